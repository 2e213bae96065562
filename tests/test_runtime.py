"""The process settings: allocator, threads, device names, and a torch-free import."""

import os
import shutil
import subprocess
import sys

import pytest
import torch

from boxwise import runtime
from boxwise.errors import BoxwiseError


def test_preparing_the_environment_imports_no_torch_and_keeps_what_the_user_set():
    code = (
        "import os, sys; os.environ.pop('OMP_WAIT_POLICY', None)\n"
        "from boxwise import runtime; runtime.prepare_environment()\n"
        "assert os.environ['OMP_WAIT_POLICY'] == 'PASSIVE'\n"
        "os.environ['OMP_WAIT_POLICY'] = 'ACTIVE'; runtime.prepare_environment()\n"
        "assert os.environ['OMP_WAIT_POLICY'] == 'ACTIVE'\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_prepare_sets_threads_and_zero_leaves_them():
    before = torch.get_num_threads()
    try:
        runtime.prepare(threads=1)
        assert torch.get_num_threads() == 1
        runtime.prepare(threads=0)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


@pytest.mark.skipif(runtime.platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_glibc_accepts_the_thresholds():
    assert runtime.keep_freed_memory()


def test_auto_is_a_device_that_holds_tensors():
    assert torch.zeros(1, device=runtime.choose_device("auto")).item() == 0
    assert runtime.choose_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["cuda:99", "gpu", "", "cpu:x"])
def test_an_absent_device_is_an_error_that_names_the_present_ones(name):
    with pytest.raises(BoxwiseError, match=r"device=.*Expected one of: .*cpu"):
        runtime.choose_device(name)


def test_torchrun_ranks_get_a_gpu_each(monkeypatch):
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA GPU")
    monkeypatch.setenv("LOCAL_RANK", "0")
    assert runtime.choose_device("auto") == torch.device("cuda:0")


@pytest.mark.parametrize(("name", "alone"), [("RANK", 0), ("LOCAL_RANK", 0), ("WORLD_SIZE", 1)])
def test_what_torchrun_sets_is_a_number_or_a_message_that_names_it(monkeypatch, name, alone):
    monkeypatch.delenv(name, raising=False)
    assert runtime.of_torchrun(name) == alone
    monkeypatch.setenv(name, "3")
    assert runtime.of_torchrun(name) == 3
    for found in ("x", "two", "-1", "1.5", str(alone - 1)):
        monkeypatch.setenv(name, found)
        with pytest.raises(BoxwiseError, match=f"^{name}='{found}': expected a whole number of {alone} or more"):
            runtime.of_torchrun(name)


def test_a_device_that_is_missing_here_is_told_without_torch(monkeypatch):
    assert not any(map(runtime.is_missing, ("auto", "cpu", "onnx", "onnx:cuda")))
    assert runtime.is_missing("cuda:99") is (torch.version.hip is None)
    assert all(map(runtime.is_missing, ("cuda:abc", "CPU")))  # words of studies that an earlier boxwise made
    assert runtime.is_missing("cuda") is not (torch.cuda.is_available() or torch.version.hip is not None)
    monkeypatch.setattr(runtime.platform, "system", lambda: "Linux")
    assert runtime.is_missing("mps")


def test_the_cuda_that_torch_was_built_for_is_read_from_its_file():
    assert runtime.torch_cuda() == torch.version.cuda
    if torch.version.hip is None:
        assert runtime.has_gpu() == torch.cuda.is_available()


_DRIVER = """
int cuInit(unsigned flags) { return 0; }
int cuDeviceGetCount(int *count) { *count = 1; return 0; }
int cuDriverGetVersion(int *version) { *version = 12040; return 0; }
"""


@pytest.mark.skipif(sys.platform != "linux" or shutil.which("cc") is None, reason="builds a driver of its own with cc")
@pytest.mark.parametrize(
    ("version", "usable"),
    [
        ("__version__ = '2.9.0+cpu'\ncuda: Optional[str] = None\nhip: Optional[str] = None", False),
        ("cuda: Optional[str] = '12.8'", True),
        ("cuda = '11.8'", True),
        ("cuda: Optional[str] = '13.0'", False),  # the driver speaks 12
    ],
)
def test_a_gpu_counts_only_where_the_installed_torch_can_use_it(tmp_path, version, usable):
    (tmp_path / "driver.c").write_text(_DRIVER)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", tmp_path / "libcuda.so.1", tmp_path / "driver.c"], check=True)
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("raise RuntimeError('imported')")
    (tmp_path / "torch" / "version.py").write_text(version)
    code = (
        "from boxwise import registry, runtime\nfrom boxwise.config import StudyConfig\n"
        "print(runtime.has_gpu(), registry.settled(StudyConfig()).detector.name)"
    )
    paths = os.pathsep.join([str(tmp_path), *sys.path])
    environment = os.environ | {"LD_LIBRARY_PATH": str(tmp_path), "PYTHONPATH": paths}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.split() == [str(usable), "yolox_s" if usable else "yolox_nano"]


def test_environment_names_versions_and_the_device():
    found = runtime.environment("cpu")
    assert found["torch"] == torch.__version__
    assert found["device"] == "cpu"
    assert found["threads"] == torch.get_num_threads()
    assert all(found[key] for key in ("python", "platform", "processor", "cores", "boxwise"))
