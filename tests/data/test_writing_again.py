"""An export into the folder of an earlier one: what was taken back is gone, and nothing that boxwise did not write is removed."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from boxwise.boxes import Boxes
from boxwise.data.datasets import read_dataset
from boxwise.data.earlier_writes import ANY, Earlier
from boxwise.data.formats.base import Dataset
from boxwise.data.formats.names import FORMATS
from boxwise.data.images import write_image
from boxwise.data.writing import chosen, write
from boxwise.errors import BoxwiseError
from boxwise.records import ImageRecord, Split

BOX = Boxes([[10, 10, 20, 20]], [0])
STALE = {"yolo": "labels/b.txt", "voc": "Annotations/b.xml"}
IDS = ("a.jpg", "b.jpg", "x/images/c.jpg")


@pytest.fixture
def both(tmp_path: Path) -> Dataset:
    """a.jpg of train, b.jpg of val and one in a folder called images, all with a box."""
    for number, name in enumerate(IDS):
        write_image(np.full((80, 100, 3), number, np.uint8), tmp_path / "from" / name)
    splits = (Split.TRAIN, Split.VAL, Split.TRAIN)
    images = tuple(ImageRecord(name, str(tmp_path / "from" / name), 100, 80, split) for name, split in zip(IDS, splits, strict=True))
    return Dataset(("cat",), images, dict.fromkeys(IDS, BOX))


def without(dataset: Dataset, *image_ids: str) -> Dataset:
    return replace(dataset, labels={image_id: boxes for image_id, boxes in dataset.labels.items() if image_id not in image_ids})


def all_train(dataset: Dataset) -> Dataset:
    return replace(dataset, images=tuple(replace(record, split=Split.TRAIN) for record in dataset.images))


def boxed(folder: Path, name: str) -> set[str]:
    return {image_id for image_id, boxes in read_dataset(folder, format_name=name, missing_is_empty=False).labels.items() if len(boxes)}


@pytest.mark.parametrize("name", FORMATS)
def test_labels_that_were_taken_back_are_gone(tmp_path: Path, both: Dataset, name: str) -> None:
    write(both, FORMATS[name], tmp_path / "to", copy_images=True)
    assert boxed(tmp_path / "to", name) == set(IDS)
    remarks = write(without(both, "b.jpg", "x/images/c.jpg"), FORMATS[name], tmp_path / "to", copy_images=True)
    assert boxed(tmp_path / "to", name) == {"a.jpg"}
    assert any("2 files were removed" in remark for remark in remarks) == (name in STALE)


@pytest.mark.parametrize("name", FORMATS)
def test_so_are_those_of_images_that_are_not_written_any_more(tmp_path: Path, both: Dataset, name: str) -> None:
    write(both, FORMATS[name], tmp_path / "to", copy_images=False)
    write(chosen(without(both, "b.jpg"), FORMATS[name]), FORMATS[name], tmp_path / "to", copy_images=False)
    images = {image_id: str(tmp_path / "from" / image_id) for image_id in IDS}
    again = read_dataset(tmp_path / "to", format_name=name, images=images, missing_is_empty=False)
    assert {image_id for image_id, boxes in again.labels.items() if len(boxes)} == {"a.jpg", "x/images/c.jpg"}
    assert not {"b.txt", "b.xml", "val.txt", "instances_val.json"} & {path.name for path in (tmp_path / "to").rglob("*")}


@pytest.mark.parametrize("name", STALE)
def test_an_export_of_other_images_is_refused_and_stays(tmp_path: Path, both: Dataset, name: str) -> None:
    other, rest = (replace(both, images=(record,), labels={record.image_id: BOX}) for record in both.images[:2])
    write(other, FORMATS[name], tmp_path / "to", copy_images=False)
    before = {found: found.read_bytes() for found in (tmp_path / "to").rglob("*") if found.is_file()}
    with pytest.raises(BoxwiseError, match=r"1 file that it does not name .* Name another folder"):
        write(rest, FORMATS[name], tmp_path / "to", copy_images=False)
    assert {found: found.read_bytes() for found in (tmp_path / "to").rglob("*") if found.is_file()} == before


def test_the_list_of_what_was_written_may_end_its_lines_as_windows_does(tmp_path: Path, both: Dataset) -> None:
    write(both, FORMATS["yolo"], tmp_path / "to", copy_images=False)
    record = tmp_path / "to" / ".written_yolo.txt"
    assert b"\r" not in record.read_bytes()
    record.write_bytes(record.read_bytes().replace(b"\n", b"\r\n"))
    write(without(both, "b.jpg"), FORMATS["yolo"], tmp_path / "to", copy_images=False)
    assert not (tmp_path / "to" / "labels" / "b.txt").exists()


@pytest.mark.parametrize("name", FORMATS)
def test_so_are_lists_of_a_split_that_has_no_images_any_more(tmp_path: Path, both: Dataset, name: str) -> None:
    write(both, FORMATS[name], tmp_path / "to", copy_images=True)
    write(all_train(both), FORMATS[name], tmp_path / "to", copy_images=True)
    again = read_dataset(tmp_path / "to", format_name=name)
    assert {record.split for record in again.images} <= {Split.TRAIN, None} and not again.findings and len(again.labels) == 3
    left = {path.name for path in (tmp_path / "to").rglob("*") if path.is_file()}
    assert not left & {"val.txt", "instances_val.json"}


@pytest.mark.parametrize("name", STALE)
@pytest.mark.parametrize("whose", ["of another program", "changed since"])
def test_what_boxwise_did_not_write_is_refused_and_stays(tmp_path: Path, both: Dataset, name: str, whose: str) -> None:
    if whose == "changed since":
        write(both, FORMATS[name], tmp_path / "to", copy_images=True)
    path = tmp_path / "to" / STALE[name]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("somebody's own")
    before = {found: found.read_bytes() for found in (tmp_path / "to").rglob("*") if found.is_file()}
    with pytest.raises(BoxwiseError, match=r"1 file that would stay .* Remove it, or name another folder"):
        write(without(both, "b.jpg"), FORMATS[name], tmp_path / "to", copy_images=True)
    assert {found: found.read_bytes() for found in (tmp_path / "to").rglob("*") if found.is_file()} == before


@pytest.mark.parametrize(("name", "file"), [*STALE.items(), ("coco", "instances_val.json"), ("cvat", "annotations.xml")])
def test_what_was_changed_since_is_not_written_over(tmp_path: Path, both: Dataset, name: str, file: str) -> None:
    write(both, FORMATS[name], tmp_path / "to", copy_images=True)
    path = tmp_path / "to" / file
    path.write_text(path.read_text() + " ")
    before = {found: found.read_bytes() for found in (tmp_path / "to").rglob("*") if found.is_file()}
    with pytest.raises(BoxwiseError, match=rf"{path} was changed since it was written\. Nothing was written: name another folder"):
        write(both, FORMATS[name], tmp_path / "to", copy_images=True)
    assert {found: found.read_bytes() for found in (tmp_path / "to").rglob("*") if found.is_file()} == before
    path.unlink()
    write(both, FORMATS[name], tmp_path / "to", copy_images=True)


def test_a_coco_file_of_other_images_is_refused_and_stays(tmp_path: Path, both: Dataset) -> None:
    other = replace(both, images=both.images[1:2], labels={"b.jpg": BOX})
    write(other, FORMATS["coco"], tmp_path / "to", copy_images=False)
    rest = replace(both, images=both.images[:1], labels={"a.jpg": BOX})
    with pytest.raises(BoxwiseError, match=r"instances_val\.json"):
        write(rest, FORMATS["coco"], tmp_path / "to", copy_images=False)
    assert (tmp_path / "to" / "instances_val.json").exists()


def test_files_beside_the_export_stay(tmp_path: Path, both: Dataset) -> None:
    write(both, FORMATS["yolo"], tmp_path / "to", copy_images=False)
    for name in ("notes.txt", "labels.cache", "runs/best.pt"):
        (tmp_path / "to" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "to" / name).write_text("mine")
    write(all_train(without(both, "a.jpg")), FORMATS["yolo"], tmp_path / "to", copy_images=False)
    assert all((tmp_path / "to" / name).read_text() == "mine" for name in ("notes.txt", "labels.cache", "runs/best.pt"))
    assert not (tmp_path / "to" / "labels" / "a.txt").exists()


def test_the_list_of_what_was_written_leads_nowhere_else(tmp_path: Path, both: Dataset) -> None:
    write(both, FORMATS["yolo"], tmp_path / "to", copy_images=False)
    own = tmp_path / "own.txt"
    own.write_bytes((tmp_path / "to" / "labels" / "a.txt").read_bytes())
    record = tmp_path / "to" / ".written_yolo.txt"
    line = next(line for line in record.read_text().splitlines() if line.endswith("labels/a.txt"))
    record.write_text(f"{record.read_text()}{line.partition(' ')[0]} ../own.txt\n{line.partition(' ')[0]} {own}\nno sense\n")
    write(both, FORMATS["yolo"], tmp_path / "to", copy_images=False)
    assert own.exists()


@pytest.mark.parametrize(("name", "file"), [("yolo", "labels/a.txt"), ("voc", "Annotations/a.xml"), ("coco", "instances_train.json")])
def test_a_write_that_was_killed_can_be_repeated(tmp_path: Path, both: Dataset, name: str, file: str, monkeypatch: Any) -> None:
    """The files are new by then, and the list of them is that of the write before."""

    class Killed(BaseException):
        pass

    def killed(self: Earlier, written: Any) -> None:
        raise Killed

    write(both, FORMATS[name], tmp_path / "to", copy_images=True)
    moved = replace(both, labels=both.labels | {"a.jpg": Boxes([[1, 1, 30, 30]], [0])})
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Earlier, "followed_by", killed)
        write(without(moved, "b.jpg"), FORMATS[name], tmp_path / "to", copy_images=True)
    write(without(moved, "b.jpg"), FORMATS[name], tmp_path / "to", copy_images=True)
    assert boxed(tmp_path / "to", name) >= {"a.jpg"} and "b.jpg" not in boxed(tmp_path / "to", name)
    path = tmp_path / "to" / file
    path.write_text(path.read_text() + " ")
    with pytest.raises(BoxwiseError, match="was changed since it was written"):
        write(both, FORMATS[name], tmp_path / "to", copy_images=True)


def test_several_changed_files_are_said_in_their_number(tmp_path: Path, both: Dataset) -> None:
    write(both, FORMATS["yolo"], tmp_path / "to", copy_images=False)
    for path in (tmp_path / "to" / "labels").rglob("*.txt"):
        path.write_text("0 .5 .5 .1 .1\n")
    with pytest.raises(BoxwiseError, match=r"and 1 more were changed since they were written"):
        write(both, FORMATS["yolo"], tmp_path / "to", copy_images=False)


@pytest.mark.parametrize(("name", "file"), [("coco", "all.json"), ("cvat", "all.xml")])
def test_a_file_named_by_hand_is_replaced_and_that_is_said(tmp_path: Path, both: Dataset, name: str, file: str) -> None:
    target = tmp_path / file
    assert not any("replaced" in remark for remark in write(both, FORMATS[name], target, copy_images=False))
    target.write_text(target.read_text() + " ")
    assert f"{target} was there already and is replaced." in write(both, FORMATS[name], target, copy_images=False)


@pytest.mark.parametrize(("name", "file"), [("coco", "all.json"), ("cvat", "all.xml")])
def test_one_file_may_be_written_beside_photographs_that_it_does_not_name(tmp_path: Path, both: Dataset, name: str, file: str) -> None:
    (tmp_path / "from").rename(tmp_path / "images")
    records = tuple(replace(record, uri=str(tmp_path / "images" / record.image_id)) for record in both.images)
    some = replace(both, images=records[:1], labels={"a.jpg": BOX})
    for copy_images in (False, True):  # of itself no image is a copy
        write(some, FORMATS[name], tmp_path / file, copy_images=copy_images)
        assert read_dataset(tmp_path / file, format_name=name).labels.keys() == {"a.jpg"}


@pytest.mark.parametrize(("name", "ending"), [("coco", ".json"), ("cvat", ".xml")])
def test_images_are_not_copied_among_those_of_another_data_set(tmp_path: Path, both: Dataset, name: str, ending: str) -> None:
    first, second = (replace(both, images=(record,), labels={record.image_id: BOX}) for record in both.images[:2])
    write(first, FORMATS[name], tmp_path / "to" / f"first{ending}", copy_images=True)
    with pytest.raises(BoxwiseError, match="1 file that it does not name"):
        write(second, FORMATS[name], tmp_path / "to" / f"second{ending}", copy_images=True)
    write(second, FORMATS[name], tmp_path / "to" / f"second{ending}", copy_images=False)


def test_what_was_only_about_to_be_written_is_not_removed(tmp_path):
    mine, drawn = tmp_path / "a.jpg", tmp_path / "b.jpg"
    Earlier.of(tmp_path, "predictions").expecting({mine: ANY})
    mine.write_text("a person's")
    drawn.write_text("boxwise's")
    assert Earlier.of(tmp_path, "predictions").followed_by([drawn]) == [] and mine.is_file()


@pytest.mark.parametrize("place", ["classes.txt", "labels/classes.txt"])
def test_yolo_is_not_written_beside_a_list_of_other_names(tmp_path: Path, both: Dataset, place: str) -> None:
    target = tmp_path / "to"
    (target / place).parent.mkdir(parents=True)
    (target / place).write_text("dog\ncat\n")
    with pytest.raises(BoxwiseError, match=r"classes\.txt: expected the names of .*data\.yaml, found that class 0 is 'dog', there 'cat'"):
        FORMATS["yolo"].write(both, target)
    assert [path.name for path in target.rglob("*") if path.is_file()] == ["classes.txt"]
    (target / place).write_text("cat\n")
    FORMATS["yolo"].write(both, target)
    assert read_dataset(target, format_name="yolo", images=tmp_path / "from").classes == ("cat",)
