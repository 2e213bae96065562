"""What boxwise has written itself is no image and no label of the folder that it lies in."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from boxwise.boxes import Boxes
from boxwise.data.datasets import read_dataset, read_pool
from boxwise.data.earlier_writes import Earlier
from boxwise.data.formats.base import Dataset
from boxwise.data.formats.coco import Coco
from boxwise.data.formats.yolo import Yolo
from boxwise.data.image_store import below
from boxwise.data.own_files import PREDICTIONS, QUERY_COLUMNS, QUERY_FILE, TO_CORRECT, pictures_below
from boxwise.data.watching import new_files
from boxwise.files import write_csv
from boxwise.records import ImageRecord
from boxwise.report.to_correct import write_to_correct
from boxwise.study import Study

MINE = ("a.png", "sub/b.png")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two photos, and below their folder a study, what was predicted, and two queries, one of a round without boxes."""
    for number, name in enumerate(MINE):
        picture(tmp_path / name, number)
    dataset = labelled(tmp_path, MINE)
    Study.create(tmp_path / "study", replace(dataset, labels={}))
    picture(tmp_path / "study/rounds/round_00/reconstructions.png", 50)
    write_to_correct(dataset, tmp_path / "study/to_label", "proposals.json", "coco")
    write_to_correct(dataset, tmp_path / "voc", "proposals.json", "voc")
    write_csv(tmp_path / "first" / QUERY_FILE, QUERY_COLUMNS, ())
    picture(tmp_path / "first/images/a.png", 0)
    predicted(tmp_path / "runs/predict", dataset)
    return tmp_path


def picture(path: Path, grey: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (20, 10), grey).save(path)
    return path


def labelled(folder: Path, names: Sequence[str]) -> Dataset:
    boxes = Boxes(np.array([[1, 1, 9, 9]], np.float32), np.zeros(1, np.int64))
    return Dataset(("bee",), tuple(ImageRecord(name, str(folder / name), 20, 10) for name in names), dict.fromkeys(names, boxes))


def batches(data: Path, write: Callable[[Dataset, Path], object]) -> Dataset:
    """Two labelled folders of two images each in one; the second is given."""
    for batch in (1, 2):
        for number in range(2):
            picture(data / f"b{batch}/images/{batch}{number}.png", 10 * batch + number)
        second = labelled(data / f"b{batch}/images", (f"{batch}0.png", f"{batch}1.png"))
        write(second, data / f"b{batch}")
    return second


def predicted(out: Path, dataset: Dataset) -> None:
    drawn = [picture(out / name, 100 + number) for number, name in enumerate(("a.jpg", "sub/b.jpg"))]
    Earlier.of(out, PREDICTIONS).followed_by([*Coco().write(dataset, out / "predictions.json"), *drawn])


def test_it_is_no_image_of_a_study(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for root in (photos, Path()):
        monkeypatch.chdir(photos)
        read = read_pool(root, None)
        assert [record.image_id for record in read.images] == [*MINE]
        (unused,) = read.findings
        assert "found 2 files that could hold labels" in unused.message and "voc/Annotations" in unused.message  # a person's by now?
        assert [note for note in read.notes if note.startswith("8 image files are left out") and "boxwise has" in note]
    assert new_files(read_pool(photos, None).images, ()) == ([], "")


def test_a_folder_that_is_named_is_read(photos: Path) -> None:
    assert [*below(photos / "voc")] == [f"JPEGImages/{name}" for name in MINE]
    assert [*read_dataset(photos / "study/to_label").labels] == [*MINE]
    assert [*read_dataset(photos / "voc").labels] == [*MINE]
    assert [*below(photos / "runs/predict")] == ["a.jpg", "sub/b.jpg"]


def test_photos_beside_what_was_drawn_stay(tmp_path: Path) -> None:
    for number, name in enumerate(MINE):
        picture(tmp_path / "in" / name, number)
    predicted(tmp_path / "in", Dataset(("bee",), (), {}))
    assert [*below(tmp_path)] == ["in/a.png", "in/sub/b.png"]
    assert [*below(tmp_path / "in")] == [*MINE]


def test_it_holds_no_labels_of_the_folder(photos: Path) -> None:
    shutil.rmtree(photos / "voc")
    read = read_dataset(photos)
    assert not read.labels and not read.findings
    labelled = '{"images": [{"id": 1, "file_name": "a.png", "labeled": true}], "annotations": [], "categories": []}'
    (photos / "labels.json").write_text(labelled)
    read = read_dataset(photos)
    assert [*read.labels] == ["a.png"] and not [note for note in read.notes if "beside" in note]


def test_hidden_images_are_counted(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", 0)
    assert not pictures_below(tmp_path, hidden=True).left_out()
    for number, name in enumerate((".b.png", ".c/d.png", "._a.png", ".c/._d.png")):
        picture(tmp_path / name, number)
    (note,) = pictures_below(tmp_path, hidden=True).left_out()
    assert note.startswith("2 image files are left out") and note.endswith(f"(first: {tmp_path / '.b.png'}).")
    assert note in read_pool(tmp_path, None).notes


@pytest.mark.parametrize("name", ["yolo", "coco"])
def test_labels_of_a_folder_that_boxwise_has_written_to_stay(tmp_path: Path, name: str) -> None:
    def write(dataset: Dataset, folder: Path) -> None:
        if name == "coco":
            Coco().write(dataset, folder / "annotations.json")
        else:
            Yolo().write(dataset, folder)
            (folder / "data.yaml").unlink()

    second = batches(tmp_path, write)
    before, alone = read_dataset(tmp_path), read_dataset(tmp_path / "b2")
    assert len(before.labels) == 4 and all(map(len, before.labels.values()))
    predicted(tmp_path / "b2", second)
    Study.create(tmp_path / "b2", replace(second, labels={}))
    picture(tmp_path / "b2/rounds/round_00/reconstructions.png", 60)
    for root, expected in ((tmp_path, before), (tmp_path / "b2", alone)):
        read = read_dataset(root)
        assert read.images == expected.images and {*map(len, read.labels.values())} == {1}
        assert read.labels.keys() == expected.labels.keys() and read.findings == expected.findings and read.notes == expected.notes


def test_labels_in_folders_called_as_those_of_a_study_stay(tmp_path: Path) -> None:
    picture(tmp_path / "cells/a.png", 0)
    dataset = labelled(tmp_path, ("cells/a.png",))
    Coco().write(dataset, tmp_path / "data.json")
    Study.create(tmp_path, replace(dataset, labels={}))
    assert [*read_dataset(tmp_path).labels] == ["cells/a.png"]


@pytest.mark.parametrize("name", ["yolo", "coco"])
def test_a_folder_to_label_counts_beside_other_labels(tmp_path: Path, name: str) -> None:
    """Where a person has labelled the pictures that a query has copied."""
    photos = [picture(tmp_path / "photos" / f"{number}.png", number) for number in range(2)]
    data = tmp_path / "data"
    for number in range(2):
        picture(data / f"b/images/x{number}.png", 10 + number)
    write_to_correct(labelled(tmp_path / "photos", [path.name for path in photos]), data / "q", "labels.json", name)
    other = labelled(data / "b/images", ("x0.png", "x1.png"))
    if name == "coco":
        path = data / "q/labels.json"
        path.write_text(path.read_text().replace("written by boxwise, to be corrected", "corrected"))
        Coco().write(other, data / "b/labels.json")
    else:
        Yolo().write(other, data / "b")
    read = read_dataset(data)
    assert len(read.images) == len(read.labels) == 4 and not read.findings
    joined = read_pool(data, data)
    assert len(joined.images) == 4 and not [note for note in joined.notes if "left out" in note]
    assert [record.image_id for record in read_pool(data, None).images] == ["b/images/x0.png", "b/images/x1.png"]


def test_a_study_of_copies_is_found_beside_other_images(tmp_path: Path) -> None:
    for number in range(2):
        picture(tmp_path / "data/q/images" / f"{number}.png", number)
    (tmp_path / "data/q" / TO_CORRECT).write_text("{}")
    study = Study.create(tmp_path / "study", read_pool(tmp_path / "data/q", None, classes=("bee",)))
    (tmp_path / "data").rename(tmp_path / "moved")
    picture(tmp_path / "moved/other.png", 9)
    assert study.relocate(tmp_path / "moved").moved == 2


def test_a_link_that_leads_nowhere_is_no_photo_beside_copies_alone(tmp_path: Path) -> None:
    write_csv(tmp_path / "first" / QUERY_FILE, QUERY_COLUMNS, ())
    copy = picture(tmp_path / "first/images/a.png", 0)
    (tmp_path / "lost.png").symlink_to(tmp_path / "away.png")
    (tmp_path / "first/images/b.png").symlink_to(tmp_path / "away.png")
    (tmp_path / ".lost.png").symlink_to(tmp_path / "away.png")
    found = pictures_below(tmp_path, hidden=True)
    assert found.photos == found.undrawn == found.all == [copy] and found.dead == [tmp_path / "lost.png"]
    assert below(tmp_path) == {"first/images/a.png": str(copy)}
    records = read_pool(tmp_path, None).images
    assert new_files(records, ()) == ([tmp_path / "lost.png"], "") and new_files(records, ["lost.png"]) == ([], "")
