"""What is importable from boxwise takes a path as `Path` or as text, as a notebook gives it."""

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
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


def test_the_reference_lists_what_is_importable_from_where_it_says():
    """Names of the first sections come from boxwise itself, those of methods from their modules; `load` gives a Model, with Predictions."""
    page = (Path(__file__).resolve().parents[1] / "docs/reference/api.md").read_text(encoding="utf-8")
    front, methods = page.split("## Adding a method")
    listed = [line.removeprefix("::: ").rpartition(".") for line in front.splitlines() if line.startswith("::: ")]
    known = {name for _, _, name in listed} - {"Model", "Prediction"}
    assert known == set(boxwise.__all__) - {"__version__", "StudyConfig", "BoxwiseError"}
    assert all(getattr(boxwise, name) is getattr(import_module(home), name) for home, _, name in listed if name in known)
    others = [line.removeprefix("::: ").rpartition(".") for line in methods.splitlines() if line.startswith("::: ")]
    assert others and all(hasattr(import_module(home), name) and not hasattr(boxwise, name) for home, _, name in others)


def test_a_folder_to_predict_on_is_its_images(tmp_path):
    from boxwise.data.images import write_image
    from boxwise.detectors.detector import build_detector
    from boxwise.inference import Model

    config = boxwise.load_config(None, ["detector.imgsz=64", "detector.pretrained=none"]).detector
    detector = build_detector("tiny_ssd", ("cat",), config, seed=0, device=torch.device("cpu"))
    model = Model(detector, "tiny_ssd", None, "made here")
    paths = [tmp_path / "photos" / name for name in ("a.jpg", "sub/b.jpg")]
    for path in paths:
        write_image(np.zeros((40, 50, 3), np.uint8), path)
    for given in (tmp_path / "photos", [str(tmp_path / "photos")], paths):
        assert [found.image for found in model.predict(given)] == list(map(str, paths))
    (tmp_path / "empty").mkdir()
    with pytest.raises(boxwise.BoxwiseError, match=r"empty: expected images, found none in that folder"):
        model.predict(tmp_path / "empty")
