"""Blanks around the names of classes, which lists of one name a line cannot hold: they go where data are read."""

import json
from pathlib import Path

import numpy as np
import pytest
from formats_scenario import LINE, PLACE, found, kinds, make, read

from boxwise.boxes import Boxes
from boxwise.config import load_config
from boxwise.data.datasets import read_dataset, read_labels_for
from boxwise.data.formats.base import Dataset, FindingKind
from boxwise.data.formats.names import FORMATS
from boxwise.study import Study

BOX = PLACE[0]
SETTINGS = ("detector.name=tiny_ssd", "detector.pretrained=none", "budget.initial=1", "budget.validation=0")


def coco(*names: str, categories: tuple[str, ...] = ()) -> str:
    """A box of each name on a.jpg, side by side."""
    return json.dumps({
        "images": [{"id": 1, "file_name": "a.jpg"}],
        "annotations": [{"id": n, "image_id": 1, "category_id": n, "bbox": [40, 30 + n, 20, 20 - n]} for n in range(len(names))],
        "categories": [{"id": n, "name": name} for n, name in enumerate((*names, *categories))],
    })  # fmt: skip


NAMED = {
    "coco": {"images/a.jpg": 1, "instances.json": coco(" red ")},
    "yolo": {"images/a.jpg": 1, "labels/a.txt": LINE.replace("1", "0", 1), "data.yaml": 'names: [" red "]\n'},
    "cvat": {
        "images/a.jpg": 1, "annotations.xml": '<annotations><meta><task><labels><label><name> red </name></label></labels></task></meta>'
        '<image name="a.jpg" width="100" height="80"><box label=" red " xtl="40" ytl="30" xbr="60" ybr="50"/></image></annotations>',
    },
    "labelme": {"a.jpg": 1, "a.json": json.dumps({
        "imagePath": "a.jpg", "shapes": [{"label": " red ", "points": [[40, 30], [60, 50]], "shape_type": "rectangle"}],
    })},
}  # fmt: skip


@pytest.mark.parametrize("name", NAMED)
def test_they_are_taken_off_with_a_note(tmp_path: Path, name: str) -> None:
    dataset = read(tmp_path, NAMED[name])
    assert dataset.classes == ("red",) and found(dataset) == {"a.jpg": [("red", BOX)]} and not dataset.findings
    assert [note for note in dataset.notes if "' red '" in note]


def test_names_that_become_equal_are_one_class_and_a_finding(tmp_path: Path) -> None:
    dataset = read(tmp_path, {"images/a.jpg": 1, "instances.json": coco("red ", "blue", "red")})
    assert dataset.classes == ("red", "blue") and dataset.class_ids == (0, 1)
    assert [name for name, _ in found(dataset)["a.jpg"]] == ["red", "blue", "red"]
    assert kinds(dataset) == [(FindingKind.DUPLICATE_ID, None, False)] and "'red ' and 'red'" in dataset.findings[0].message


def test_a_name_without_blanks_is_left_alone(tmp_path: Path) -> None:
    dataset = read(tmp_path, {"images/a.jpg": 1, "instances.json": coco("light red")})
    assert dataset.classes == ("light red",) and not any("blank" in note for note in dataset.notes)


@pytest.mark.parametrize("name", FORMATS)
def test_a_study_whose_names_have_blanks_takes_its_labels_in(tmp_path: Path, name: str) -> None:
    """One made before they were taken off."""
    pool = read_dataset(make(tmp_path / "set", {"images/a.jpg": 1, "images/b.jpg": 2, "instances.json": coco("x")}))
    study = Study.create(tmp_path / "study", Dataset(("red ", "blue"), pool.images, {}), config=load_config(None, SETTINGS))
    labels = {"a.jpg": Boxes(np.array([[40, 30, 60, 50], [1, 2, 3, 4]], np.float32), np.array([0, 1]))}
    FORMATS[name].write(Dataset(study.classes, study.dataset().images[:1], labels), tmp_path / "drawn")
    back = read_labels_for(study.images(), tmp_path / "drawn", format_name=name, classes=study.classes)
    assert back.classes == study.classes and [name for name, _ in found(back)["a.jpg"]] == ["red ", "blue"] and not back.findings
    assert study.tell_all(back.labels, annotator="ann")[0] == 1
