"""Which of ONNX Runtime's providers `device=onnx` means, and whether a detector can be run by it.

Pure decisions: knows neither torch nor graphs.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from boxwise.detectors.names import DETECTORS, EXPORT
from boxwise.errors import ConfigError, named

# Name after "onnx:" → ONNX Runtime's name of the provider, and its options: every one is to compute in float32.
PROVIDERS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "cpu": ("CPUExecutionProvider", {}),
    "cuda": ("CUDAExecutionProvider", {"use_tf32": 0}),
    "tensorrt": ("TensorrtExecutionProvider", {"trt_fp16_enable": False}),
    "openvino": ("OpenVINOExecutionProvider", {"device_type": "CPU", "precision": "FP32"}),
}


def check_onnx(detector: str, device: str) -> None:
    """ConfigError where `device` is ONNX Runtime and it cannot run that detector, or is not here; costs no work."""
    if not device.startswith("onnx"):
        return
    provider_of(device)
    if detector not in DETECTORS or EXPORT not in DETECTORS[detector].capabilities:
        able = ", ".join(name for name, entry in DETECTORS.items() if EXPORT in entry.capabilities)
        raise ConfigError(f"device={device}: {detector} cannot be written as one graph; expected one of {able}, or another device.")
    if missing := [name for name in ("onnxruntime", "onnxscript") if find_spec(name) is None]:
        raise ConfigError(f"device={device} needs the package {missing[0]}: pip install 'boxwise[onnx]'.")


def provider_of(device: str) -> str:
    """The key of PROVIDERS that "onnx" or "onnx:NAME" means: by default a GPU's where the installed ONNX Runtime has it, else the CPU's."""
    _, _, name = device.partition(":")
    if not name:
        return "cuda" if PROVIDERS["cuda"][0] in _available() else "cpu"
    wanted, _ = named("ONNX Runtime provider", PROVIDERS, name)
    if wanted not in _available():
        here = ", ".join(f"onnx:{key}" for key, (provider, _) in PROVIDERS.items() if provider in _available())
        raise ConfigError(f"device={device}: the installed ONNX Runtime has no {wanted}. Expected one of: {here}.")
    return name


def _available() -> list[str]:
    if find_spec("onnxruntime") is None:
        return []
    import onnxruntime

    return list(onnxruntime.get_available_providers())
