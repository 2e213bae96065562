"""The process settings: allocator, threads, device names, and a torch-free import."""

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


def test_environment_names_versions_and_the_device():
    found = runtime.environment("cpu")
    assert found["torch"] == torch.__version__
    assert found["device"] == "cpu"
    assert found["threads"] == torch.get_num_threads()
    assert all(found[key] for key in ("python", "platform", "processor", "cores", "boxwise"))
