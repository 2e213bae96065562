"""The process as training and inference need it: allocator, threads, device, and a record of what it ran on.

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
from typing import TYPE_CHECKING

from boxwise.errors import BoxwiseError

if TYPE_CHECKING:
    import torch

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
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


def choose_device(name: str = "auto") -> torch.device:
    """The torch device of that name; "auto" is CUDA, else Apple's MPS, else the CPU. "onnx", which scores the pool alone, is "auto" here.

    Under torchrun, "auto" and "cuda" mean this process's own GPU. Raises BoxwiseError if the device is not there.
    """
    import torch

    if name == "auto" or name.partition(":")[0] == "onnx":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if name == "cuda" and torch.cuda.is_available():
        name = f"cuda:{int(os.environ.get('LOCAL_RANK', 0)) % torch.cuda.device_count()}"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise BoxwiseError(f"device={name!r} is not a device. Expected one of: {', '.join(available_devices())}, auto, onnx.") from None
    if str(device) not in available_devices():
        raise BoxwiseError(f"device={name!r} is not available here. Expected one of: {', '.join(available_devices())}, auto, onnx.")
    return device


def has_gpu() -> bool:
    """Whether the installed torch can use a GPU of NVIDIA's: it was built for CUDA, and the driver is new enough and sees a GPU.

    Asked of torch's version file and of the driver, so that no one waits for torch.
    """
    built_for = torch_cuda()
    return built_for is not None and _driver_cuda() >= int(built_for.partition(".")[0])


def torch_cuda() -> str | None:
    """The version of CUDA that the installed torch was built for, such as "12.8"; None of one for the CPU alone. Imports no torch."""
    found = find_spec("torch")
    try:
        text = "" if found is None or found.origin is None else Path(found.origin).with_name("version.py").read_text(encoding="utf-8")
    except OSError:
        return None
    stated = re.search(r"""^cuda\b[^=\n]*=\s*["']([\d.]+)["']""", text, re.MULTILINE)
    return stated and stated[1]


def _driver_cuda() -> int:
    """The major version of CUDA that NVIDIA's driver speaks, which runs every minor version of it; 0 where no GPU is seen."""
    name = "nvcuda.dll" if platform.system() == "Windows" else "libcuda.so.1"
    try:
        driver, count, version = ctypes.CDLL(name), ctypes.c_int(0), ctypes.c_int(0)
        sees = driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0
        return version.value // 1000 if sees and driver.cuDriverGetVersion(ctypes.byref(version)) == 0 else 0
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
