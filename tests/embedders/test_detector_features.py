"""What is kept of a detector's features is found again by its network alone."""

from dataclasses import replace

import torch

from boxwise.config import DetectorConfig, Options
from boxwise.detectors.detector import build_detector
from boxwise.detectors.weights_file import note, weights_digest
from boxwise.embedders.detector import detector


def built(seed=0, **config):
    known = DetectorConfig(name="tiny_ssd", imgsz=96, pretrained="none", **config)
    return build_detector("tiny_ssd", ("thing",), known, seed=seed, device=torch.device("cpu"))


def test_its_identity_is_of_the_network_whatever_it_keeps_of_the_detections(circumstances):
    given = circumstances()
    first, same, other = (
        detector(Options(), replace(given, detector=lambda made=made: made)).identity
        for made in (built(), built(score_threshold=0.5), built(seed=1))
    )
    assert first == same != other


def test_a_digest_is_of_tensors_and_not_of_how_they_were_stored(tmp_path):
    contents = {"boxwise": "detector", "network": {"a": torch.arange(6.0), "b": torch.ones(2, dtype=torch.bfloat16)}}
    torch.save(contents, tmp_path / "one.pt")
    wide = {"a": torch.arange(999.0)[:6], "b": contents["network"]["b"]}  # the file holds all of them
    torch.save(contents | {"network": wide}, tmp_path / "two.pt")
    assert (tmp_path / "one.pt").stat().st_size != (tmp_path / "two.pt").stat().st_size
    first = weights_digest(tmp_path / "one.pt")
    assert first == weights_digest(tmp_path / "two.pt")
    note(tmp_path / "one.pt", {"round": 3})
    assert first == weights_digest(tmp_path / "one.pt")
    torch.save(contents | {"network": {"a": torch.arange(6.0) + 1, "b": wide["b"]}}, tmp_path / "two.pt")
    assert first != weights_digest(tmp_path / "two.pt")
    (tmp_path / "foreign.pt").write_bytes(b"of another program")
    assert len(weights_digest(tmp_path / "foreign.pt")) == 64
