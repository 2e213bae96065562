"""Checkpoint files: whole or absent, and only for the training that wrote them."""

import io
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
from changed_bits import changed_bits
from dot_network import DotNetwork, dot_samples

from boxwise.config import TrainConfig
from boxwise.detectors.checkpoints import identity, read_checkpoint, write_checkpoint
from boxwise.detectors.exporting import _write_torchscript, quietly
from boxwise.detectors.weights_file import note, noted, read_weights, write_torch
from boxwise.errors import BoxwiseError, StudyError


@pytest.fixture
def samples(tmp_path):
    return dot_samples(tmp_path, count=4)


def test_what_is_written_is_read_and_nothing_else_stays_behind(tmp_path):
    state = {"step": 3, "weights": {"a": torch.arange(3.0)}, "history": [{"step": 1.0, "ap": float("nan")}]}
    write_checkpoint(tmp_path / "new" / "c.pt", {"seed": "0"}, state)
    found = read_checkpoint(tmp_path / "new" / "c.pt", {"seed": "0"})
    assert found is not None
    assert found["step"] == 3
    assert torch.equal(found["weights"]["a"], torch.arange(3.0))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["c.pt"]


def test_no_file_is_no_state(tmp_path):
    assert read_checkpoint(tmp_path / "c.pt", {}) is None


def test_a_failed_write_leaves_the_old_file(tmp_path):
    write_checkpoint(tmp_path / "c.pt", {}, {"step": 1})
    with pytest.raises(Exception, match="pickle"):
        write_checkpoint(tmp_path / "c.pt", {}, {"step": lambda: 2})
    assert read_checkpoint(tmp_path / "c.pt", {}) == {"step": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["c.pt"]


@contextmanager
def small_disk():
    """No file may grow beyond 20 kB, as on a disk with no more left; nothing is to be imported meanwhile, or its bytecode is cut off."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_a_message_and_leaves_the_old_file(tmp_path):
    write_checkpoint(tmp_path / "c.pt", {}, {"step": 1})
    with small_disk(), pytest.raises(BoxwiseError, match=r"c\.pt: cannot be written \(File too large\)"):
        write_checkpoint(tmp_path / "c.pt", {}, {"step": 2, "weights": torch.zeros(10_000)})
    assert read_checkpoint(tmp_path / "c.pt", {}) == {"step": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["c.pt"]


def test_an_interrupt_in_the_middle_of_a_write_stays_one(tmp_path, monkeypatch):
    class Interrupted(io.BytesIO):
        def write(self, some):
            if self.tell() > 1000:
                raise KeyboardInterrupt
            return super().write(some)

    monkeypatch.setattr(type(tmp_path), "open", lambda path, mode: Interrupted())
    with pytest.raises(KeyboardInterrupt):
        write_torch({"weights": torch.zeros(10_000)}, tmp_path / "c.pt")


def test_a_full_disk_does_not_end_the_process_that_exports(tmp_path):
    layer, pixels = torch.nn.Conv2d(3, 64, 9), torch.zeros(2, 3, 64, 64)
    with quietly():
        _write_torchscript(layer, pixels, {}, tmp_path / "model.pt")
    with quietly(), small_disk(), pytest.raises(OSError, match="File too large"):
        _write_torchscript(layer, pixels, {}, tmp_path / "model.pt")


@pytest.mark.parametrize("content", [b"", b"not a checkpoint"])
def test_another_file_is_refused_by_name(tmp_path, content):
    (tmp_path / "c.pt").write_bytes(content)
    with pytest.raises(StudyError, match=r"c\.pt: not a readable training checkpoint"):
        read_checkpoint(tmp_path / "c.pt", {})


def test_a_checkpoint_and_weights_with_a_changed_bit_are_refused_or_as_they_were(tmp_path):
    state = {"step": 3, "weights": torch.arange(9.0)}
    write_checkpoint(tmp_path / "c.pt", {}, state)
    torch.save({"boxwise": "detector", "network": state}, tmp_path / "w.pt")
    note(tmp_path / "w.pt", {"threshold": 0.5})

    def weights(path):
        contents = read_weights(path)
        assert noted(contents) == {"threshold": 0.5}
        return contents["network"]

    for path, read in ((tmp_path / "c.pt", lambda path: read_checkpoint(path, {})), (tmp_path / "w.pt", weights)):
        refused = 0
        for _ in changed_bits(path, 200):
            try:
                found = read(path)
            except BoxwiseError as error:
                assert path.name in str(error)
                refused += 1
            else:
                assert found["step"] == 3 and torch.equal(found["weights"], state["weights"])
        assert refused > 180


def test_another_training_is_refused_naming_what_differs(tmp_path, samples):
    network, config = DotNetwork(), TrainConfig()
    mine = identity(network, samples, [], config, 0)
    write_checkpoint(tmp_path / "c.pt", mine, {})
    moved = [replace(samples[0], boxes=replace(samples[0].boxes, xyxy=samples[0].boxes.xyxy + 1)), *samples[1:]]
    others = {
        "seed": identity(network, samples, [], config, 1),
        "train": identity(network, samples, [], TrainConfig(lr=0.5), 0),
        "training images and boxes": identity(network, moved, [], config, 0),
        "validation images and boxes": identity(network, samples, samples[:1], config, 0),
        "network": identity(DotNetwork(64), samples, [], config, 0),
    }
    for name, other in others.items():
        with pytest.raises(StudyError, match=name):
            read_checkpoint(tmp_path / "c.pt", other)


def test_settings_without_effect_on_the_result_may_change(samples):
    network = DotNetwork()
    a, b = TrainConfig(checkpoint_every=7, cache_mb=0), TrainConfig()
    assert identity(network, samples, [], a, 0) == identity(network, samples, [], b, 0)


def test_what_labels_do_not_teach_is_part_of_the_identity(samples):
    def digest(**facts) -> str:
        return identity(DotNetwork(), [replace(samples[0], **facts), *samples[1:]], [], TrainConfig(), 0)["training images and boxes"]

    one, box = np.ones(1, np.float32), samples[0].boxes.xyxy
    crowd = replace(samples[0].boxes, crowd=np.array([True]))
    changes = [{}, {"complete": False}, {"rejected": box}, {"rejected": box + 1}, {"weights": one}, {"weights": one / 2}, {"boxes": crowd}]
    assert len({digest(**facts) for facts in changes}) == len(changes)


def test_plain_samples_keep_the_identity_that_older_checkpoints_have(samples):
    found = identity(DotNetwork(), samples, [], TrainConfig(), 0)["training images and boxes"]
    assert found == "4 images, a312ca862bdbb9d5"
