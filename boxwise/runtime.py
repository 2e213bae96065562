"""The process as training and inference need it: allocator, threads, device, place among others, and a record of what it ran on.

Returns devices and plain dicts. Imports torch only inside the functions that need it, so that the command line stays quick.
Knows nothing of networks, images or studies.
"""

from __future__ import annotations

import ctypes
import os
import platform
import re
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from boxwise.errors import BoxwiseError, ConfigError

if TYPE_CHECKING:
    import torch

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_DEVICES = re.compile(r"auto|cpu|mps|cuda(:\d+)?|onnx(:.*)?")  # which of ONNX Runtime's there are: see detectors/onnx_provider.py
_ALONE = {"RANK": 0, "LOCAL_RANK": 0, "WORLD_SIZE": 1}  # what holds without torchrun, and the least that each can be
_PACKAGES = ("boxwise", "torchvision", "numpy", "scipy", "scikit-learn", "pillow", "pydantic", "sqlalchemy", "pyarrow", "hotcoco")


def prepare_environment() -> None:
    """Set what OpenMP reads once, when torch is imported: call this before. Values that the user has set stay."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # idle threads of one pool must not spin on the cores of another


def prepare(threads: int = 0) -> None:
    """Tune the allocator for large short-lived tensors and set torch's thread count (0: leave torch's own choice)."""
    import torch

    keep_freed_memory()
    if threads > 0:
        torch.set_num_threads(threads)


def keep_freed_memory() -> bool:
    """Make glibc reuse the pages of freed tensors instead of returning them to the kernel and faulting them in again.

    True if it took effect; False, without harm, where the C library is not glibc.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    raised = mallopt(_M_MMAP_THRESHOLD, 1 << 30) or mallopt(_M_MMAP_THRESHOLD, 1 << 25)  # older glibc refuses more than 32 MiB
    return bool(raised and mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1))


def of_torchrun(name: Literal["RANK", "LOCAL_RANK", "WORLD_SIZE"]) -> int:
    """A number that torchrun gives each process in its environment; of a process that runs alone where it gives none.

    Raises BoxwiseError for what is no such number.
    """
    found = os.environ.get(name, "").strip() or str(_ALONE[name])
    if not (found.isascii() and found.isdigit() and int(found) >= _ALONE[name]):
        raise BoxwiseError(f"{name}={found!r}: expected a whole number of {_ALONE[name]} or more, as torchrun sets it, or none at all.")
    return int(found)


def check_device(name: str) -> None:
    """ConfigError for what names no device on any machine. Imports no torch."""
    if not _DEVICES.fullmatch(name):
        hint = f" Did you mean {name.lower()!r}?" if _DEVICES.fullmatch(name.lower()) else ""
        raise ConfigError(f"device={name!r} is not a device.{hint} Expected one of: auto, cpu, cuda, cuda:N, mps, onnx.")


def is_missing(device: str) -> bool:
    """Whether a device that a config names is not on this machine, as far as that shows without torch, which is not imported."""
    if not _DEVICES.fullmatch(device):
        return True
    if device == "mps":
        return platform.system() != "Darwin"
    kind, _, number = device.partition(":")
    return kind == "cuda" and _built_for("hip") is None and int(number or 0) >= _gpus()


def choose_device(name: str = "auto") -> torch.device:
    """The torch device of that name; "auto" is CUDA, else Apple's MPS, else the CPU. "onnx", which scores the pool alone, is "auto" here.

    Under torchrun, "auto" and "cuda" mean this process's own GPU. Raises BoxwiseError if the device is not there.
    """
    import torch

    check_device(name)
    if name == "auto" or name.partition(":")[0] == "onnx":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if name == "cuda" and torch.cuda.is_available():
        name = f"cuda:{of_torchrun('LOCAL_RANK') % torch.cuda.device_count()}"
    if name not in available_devices():
        raise BoxwiseError(f"device={name!r} is not available here. Expected one of: {', '.join(available_devices())}, auto, onnx.")
    return torch.device(name)


def has_gpu() -> bool:
    """Whether the installed torch can use a GPU of NVIDIA's: it was built for CUDA, and the driver is new enough and sees a GPU.

    Asked of torch's version file and of the driver, so that no one waits for torch.
    """
    return _gpus() > 0


def torch_cuda() -> str | None:
    """The version of CUDA that the installed torch was built for, such as "12.8"; None of one for the CPU alone. Imports no torch."""
    return _built_for("cuda")


def _built_for(toolkit: Literal["cuda", "hip"]) -> str | None:
    """The version of CUDA, or of AMD's HIP, that torch's version file says it was built for."""
    found = find_spec("torch")
    try:
        text = "" if found is None or found.origin is None else Path(found.origin).with_name("version.py").read_text(encoding="utf-8")
    except OSError:
        return None
    stated = re.search(rf"""^{toolkit}\b[^=\n]*=\s*["']([\d.]+)""", text, re.MULTILINE)
    return stated and stated[1]


def _gpus() -> int:
    """How many of NVIDIA's GPUs the installed torch can use. The driver runs every minor version of the CUDA that it speaks."""
    built_for = torch_cuda()
    if built_for is None:
        return 0
    name = "nvcuda.dll" if platform.system() == "Windows" else "libcuda.so.1"
    try:
        driver, count, version = ctypes.CDLL(name), ctypes.c_int(0), ctypes.c_int(0)
        sees = driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0
        speaks = sees and driver.cuDriverGetVersion(ctypes.byref(version)) == 0
        return count.value if speaks and version.value // 1000 >= int(built_for.partition(".")[0]) else 0
    except (OSError, AttributeError):
        return 0


def available_devices() -> list[str]:
    """The names of the devices that `choose_device` can return here."""
    import torch

    gpus = [f"cuda:{index}" for index in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    return [*gpus, *(["mps"] if torch.backends.mps.is_available() else []), "cpu"]


def environment(device: str = "auto") -> dict[str, str | int]:
    """What a run took place on: versions, platform, processor, device, threads. For reports and `boxwise doctor`."""
    import torch

    chosen = choose_device(device)
    return {
        "python": platform.python_version(),
        "torch": str(torch.__version__),  # with the CUDA build that it was made for
        **{package: _version(package) for package in _PACKAGES},
        "platform": platform.platform(),
        "processor": processor_name(),
        "cores": os.cpu_count() or 1,
        "threads": torch.get_num_threads(),
        "device": str(chosen),
        "device_name": torch.cuda.get_device_name(chosen) if chosen.type == "cuda" else processor_name(),
    }


def processor_name() -> str:
    """The CPU's model name, or its architecture where the system does not tell."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _version(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
