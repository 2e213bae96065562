"""What is importable from boxwise takes a path as `Path` or as text, as a notebook gives it."""

import torch

import boxwise
from boxwise.config import dump_config


def test_a_path_may_be_text(tmp_path):
    folder = str(tmp_path / "digits")
    made = boxwise.make_digits(folder, seed=0, images=20, imgsz=48)
    dataset = boxwise.read_dataset(folder)
    assert len(dataset.images) == len(made.images) == len(boxwise.read_pool(f"{folder}/JPEGImages", folder).images) == 20

    small = boxwise.load_config(None, ["detector.name=tiny_ssd", "detector.imgsz=64", "detector.pretrained=none"])
    (tmp_path / "config.yaml").write_text(dump_config(small))
    assert boxwise.load_config(str(tmp_path / "config.yaml")) == small
    assert boxwise.Plan(dataset, small, ("random",), (0,), str(tmp_path / "out")).folder == tmp_path / "out"

    study = boxwise.Study.create(str(tmp_path / "study"), dataset, config=small)
    assert boxwise.Study.open(str(study.folder)).folder == study.folder


def test_so_may_that_of_a_detectors_weights(tmp_path):
    from boxwise.detectors.detector import build_detector

    cpu, config = torch.device("cpu"), boxwise.load_config(None, ["detector.imgsz=64", "detector.pretrained=none"]).detector
    build_detector("tiny_ssd", ("cat",), config, seed=0, device=cpu).save(tmp_path / "weights.pt")
    assert boxwise.load_detector(str(tmp_path / "weights.pt"), device=cpu).classes == ("cat",)
