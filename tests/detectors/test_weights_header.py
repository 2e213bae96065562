"""Names and shapes in a file of weights, read without torch, are those that torch reads."""

import pickle
import re
import subprocess
import sys

import pytest
import torch
from torch import nn

from boxwise.detectors.weights_header import read_header
from boxwise.errors import BoxwiseError


def contents() -> dict:
    half = nn.Linear(4, 2).half().state_dict()
    return {**nn.BatchNorm2d(3).state_dict(), **half, "a view": torch.zeros(4, 6).t(), "a number": torch.tensor(3)}


@pytest.mark.parametrize("older", [False, True], ids=["zip", "before torch 1.6"])
@pytest.mark.parametrize("key", [None, "model"])
def test_names_and_shapes_are_those_of_the_file(tmp_path, older, key):
    state = contents()
    saved = state if key is None else {key: state, "epoch": 3, "optimizer": {"lr": 0.1}, "device": torch.device("cpu")}
    torch.save(saved, tmp_path / "a.pth", _use_new_zipfile_serialization=not older)
    header = read_header(tmp_path / "a.pth", "weights")
    assert header.shapes == {name: tuple(value.shape) for name, value in state.items()} and header.detector is None


def test_parameters_count_as_tensors(tmp_path):
    torch.save({"p": nn.Parameter(torch.zeros(2, 3))}, tmp_path / "a.pth")
    assert read_header(tmp_path / "a.pth", "weights").shapes == {"p": (2, 3)}


def test_what_boxwise_saved_says_whose_it_is(tmp_path):
    torch.save({"boxwise": "detector", "name": "tiny_ssd", "network": contents(), "classes": ["cat"]}, tmp_path / "weights.pt")
    assert read_header(tmp_path / "weights.pt", "weights").detector == "tiny_ssd"


def test_a_folder_of_the_package_transformers(tmp_path):
    save_file = pytest.importorskip("safetensors.torch", reason="the extra hf is not installed").save_file
    save_file({"a": torch.zeros(2, 3), "b": torch.zeros(5)}, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(BoxwiseError, match=r"expected weights, found a folder without config\.json\."):
        read_header(tmp_path, "weights")
    (tmp_path / "config.json").write_text('{"model_type": "d_fine"}')
    header = read_header(tmp_path, "weights")
    assert (header.shapes, header.model_type) == ({"a": (2, 3), "b": (5,)}, "d_fine")
    whole = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(whole[:-4])
    with pytest.raises(BoxwiseError, match=r"model\.safetensors: expected weights, .*its end is missing"):
        read_header(tmp_path, "weights")
    for wrong in ("{", "[1]"):
        (tmp_path / "config.json").write_text(wrong)
        with pytest.raises(BoxwiseError, match=r"config\.json: expected weights, found a file that is truncated or holds none"):
            read_header(tmp_path, "weights")


@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.97])
def test_a_truncated_file_is_noticed(tmp_path, older, share):
    torch.save({f"layer{n}": torch.zeros(64, 64) for n in range(10)}, tmp_path / "a.pth", _use_new_zipfile_serialization=not older)
    whole = (tmp_path / "a.pth").read_bytes()
    (tmp_path / "a.pth").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(BoxwiseError, match=r"a\.pth: expected weights, found a file that is truncated or holds none"):
        read_header(tmp_path / "a.pth", "weights")


@pytest.mark.parametrize("wrong", [b"", b"<html>Not found</html>", b"PK\x03\x04", pickle.dumps({"a": 1}), b"\x80\x02", b"\x00" * 100])
def test_what_holds_no_weights_is_one_message(tmp_path, wrong):
    (tmp_path / "a.pth").write_bytes(wrong)
    with pytest.raises(BoxwiseError, match=r"a\.pth: expected weights, found"):
        read_header(tmp_path / "a.pth", "weights")


def test_a_zip_file_of_a_version_to_come_is_one_message(tmp_path):
    torch.save(contents(), tmp_path / "a.pth")
    whole = bytearray((tmp_path / "a.pth").read_bytes())
    for entry in re.finditer(rb"PK\x01\x02", bytes(whole)):
        whole[entry.start() + 6] = 64  # of the directory: the version needed to extract
    (tmp_path / "a.pth").write_bytes(whole)
    with pytest.raises(BoxwiseError, match=r"a\.pth: expected weights, found a file that is truncated or holds none"):
        read_header(tmp_path / "a.pth", "weights")


def test_a_detector_without_a_network_is_one_message(tmp_path):
    torch.save({"boxwise": "detector", "name": "tiny_ssd"}, tmp_path / "a.pth")
    with pytest.raises(BoxwiseError, match=r"a\.pth: expected weights, found a dict that is no state dict of tensors"):
        read_header(tmp_path / "a.pth", "weights")


def test_a_missing_file_is_one_message(tmp_path):
    with pytest.raises(BoxwiseError, match=r"gone\.pth: expected weights"):
        read_header(tmp_path / "gone.pth", "weights")


class Harm:
    def __reduce__(self):
        import os

        return os.mkdir, ("harm",)


def test_code_in_a_file_is_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"model": {"a": torch.zeros(2)}, "hook": Harm()}, tmp_path / "a.pth")
    assert read_header(tmp_path / "a.pth", "weights").shapes == {"a": (2,)}
    assert not (tmp_path / "harm").exists()


def test_reading_imports_no_torch(tmp_path):
    torch.save(contents(), tmp_path / "a.pth")
    code = (
        "import sys\nfrom pathlib import Path\nfrom boxwise.detectors.weights_header import read_header\n"
        "print(len(read_header(Path(sys.argv[1]), 'weights').shapes), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "a.pth"], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(len(contents())), "False"]
