from pathlib import Path

import numpy as np
import pytest
from globox import AnnotationSet
from PIL import Image

from boxwise.boxes import Boxes
from boxwise.data.formats.base import Dataset, FindingKind
from boxwise.data.formats.voc import Voc
from boxwise.data.images import write_image
from boxwise.records import ImageRecord, Split

BOX = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>10</xmax><ymax>12.5</ymax></bndbox>"


def _xml(objects: str, *, file_name: str = "a.png", size: str = "<size><width>40</width><height>30</height></size>") -> str:
    return f"<annotation><filename>{file_name}</filename>{size}{objects}</annotation>"


def _object(name: str = "cat", box: str = BOX, extra: str = "") -> str:
    return f"<object><name>{name}</name>{extra}{box}</object>"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Images a.png, b.png and c.png of 40 x 30 pixels, c with a sound XML."""
    for number, name in enumerate("abc"):
        write_image(np.full((30, 40, 3), number, np.uint8), tmp_path / "JPEGImages" / f"{name}.png")
    (tmp_path / "Annotations").mkdir()
    (tmp_path / "Annotations" / "c.xml").write_text(_xml(_object(), file_name="c.png"))
    return tmp_path


def _put(root: Path, content: str | bytes, name: str = "a.xml") -> None:
    (root / "Annotations" / name).write_bytes(content.encode() if isinstance(content, str) else content)


def _sets(root: Path, **lists: str) -> None:
    (root / "ImageSets" / "Main").mkdir(parents=True)
    for name, text in lists.items():
        (root / "ImageSets" / "Main" / f"{name}.txt").write_text(text)


def test_reads_boxes_difficult_and_fractions(root: Path) -> None:
    _put(root, _xml(_object() + _object("dog", extra="<difficult>1</difficult>")))
    read = Voc().read(root)
    assert read.classes == ("cat", "dog")
    assert read.labels["a.png"].xyxy.tolist() == [[1, 2, 10, 12.5]] * 2
    assert read.labels["a.png"].labels.tolist() == [0, 1]
    assert read.labels["a.png"].difficult.tolist() == [False, True]


def test_an_xml_without_objects_is_an_empty_image_and_no_xml_an_unlabelled_one(root: Path) -> None:
    _put(root, _xml(""))
    read = Voc().read(root)
    assert {i.image_id for i in read.images} == {"a.png", "b.png", "c.png"}
    assert {i: len(boxes) for i, boxes in read.labels.items()} == {"a.png": 0, "c.png": 1}
    assert [(f.kind, f.quarantined) for f in read.findings] == [(FindingKind.MISSING_LABEL_FILE, False)]
    assert "none for 1" in read.findings[0].message


@pytest.mark.parametrize(("lists", "expected"), [
    ({"train": "a\n", "val": "b\n", "test": "c\n"}, {"a": "train", "b": "val", "c": "test"}),
    ({"trainval": "a 1\nb -1\n", "test": "c.png\n"}, {"a": "train", "b": "train", "c": "test"}),
    ({"trainval": "a\nb\n", "train": "a\n", "val": "b\n"}, {"a": "train", "b": "val", "c": None}),
    ({"cat_train": "a 1\n"}, {"a": None, "b": None, "c": None}),
])  # fmt: skip
def test_splits_come_from_the_set_files(root: Path, lists: dict[str, str], expected: dict[str, str | None]) -> None:
    _sets(root, **lists)
    assert {i.image_id[0]: i.split for i in Voc().read(root).images} == expected


def test_set_files_know_the_images_of_a_folder_above_theirs(root: Path) -> None:
    _put(root, _xml(_object()))
    _sets(root, train="a\nb\n", test="c\n")
    read = Voc().read(root, str(root))
    found = {i.image_id: i.split for i in read.images}
    assert found == {"JPEGImages/a.png": "train", "JPEGImages/b.png": "train", "JPEGImages/c.png": "test"}
    assert not any(finding.quarantined for finding in read.findings)


def test_a_listed_name_that_two_folders_have_is_neither(root: Path) -> None:
    write_image(np.full((30, 40, 3), 9, np.uint8), root / "more" / "a.png")
    _sets(root, train="a\n")
    assert any("lists 'a'. Expected an image" in finding.message for finding in Voc().read(root, str(root)).findings)


def test_an_image_in_train_and_test_is_kept_from_training(root: Path) -> None:
    _sets(root, train="a\n", test="a\n")
    read = Voc().read(root)
    assert {i.image_id: i.split for i in read.images}["a.png"] == Split.TEST
    assert FindingKind.DUPLICATE_ID in {finding.kind for finding in read.findings}


def test_a_listed_name_without_image_is_a_finding(root: Path) -> None:
    _sets(root, train="a\nghost\n")
    finding = next(f for f in Voc().read(root).findings if f.kind is FindingKind.MISSING_IMAGE)
    assert "train.txt: lists 'ghost'. Expected an image" in finding.message


@pytest.mark.parametrize("stated", ["a", "a.jpg", "A.PNG", "C:\\photos\\a.png", "", "nonsense.bmp"])
def test_the_stem_finds_the_image_whatever_the_xml_calls_it(root: Path, stated: str) -> None:
    _put(root, _xml(_object(), file_name=stated))
    assert set(Voc().read(root).labels) == {"a.png", "c.png"}


def test_the_file_name_finds_the_image_of_an_xml_with_a_name_of_its_own(root: Path) -> None:
    _put(root, _xml(_object(), file_name="b.png"), "annotation_17.xml")
    assert set(Voc().read(root).labels) == {"b.png", "c.png"}


def test_two_xml_for_one_image_quarantine_it(root: Path) -> None:
    _put(root, _xml(_object()))
    _put(root, _xml(_object(), file_name="a.png"), "again.xml")
    read = Voc().read(root)
    assert (FindingKind.DUPLICATE_ID, "a.png", True) in {(f.kind, f.image_id, f.quarantined) for f in read.findings}
    assert set(read.labels) == {"c.png"}


def _box(xmin: str, ymin: str, xmax: str, ymax: str) -> str:
    return f"<bndbox><xmin>{xmin}</xmin><ymin>{ymin}</ymin><xmax>{xmax}</xmax><ymax>{ymax}</ymax></bndbox>"


@pytest.mark.parametrize(("box", "message"), [
    (_box("41.5", "2", "43", "12"), "has xmin 41.5 > image width 40. Expected 0 ≤ xmin < xmax ≤ 40."),
    (_box("1", "2", "10", "31.01"), "has ymax 31.01 > image height 30. Expected 0 ≤ ymin < ymax ≤ 30."),
    (_box("-3", "2", "10", "12"), "has xmin -3 < 0. Expected 0 ≤ xmin < xmax ≤ 40."),
    (_box("10", "2", "1", "12"), "has xmin 10 ≥ xmax 1. Expected 0 ≤ xmin < xmax ≤ 40."),
    (_box("1", "12", "10", "12"), "has ymin 12 ≥ ymax 12. Expected 0 ≤ ymin < ymax ≤ 30."),
    (_box("40.2", "2", "40.9", "12"), "has no width inside the image: x 40.2, 40.9."),
    (_box("nan", "2", "10", "12"), "has the coordinates nan, 2, 10, 12. Expected four finite numbers."),
    (_box("1", "2", "inf", "12"), "has the coordinates 1, 2, inf, 12."),
    (_box("1", "2", "ten", "12"), "Expected four finite numbers."),
    ("", "Expected four finite numbers."),
])  # fmt: skip
def test_a_bad_box_quarantines_its_image_and_says_why(root: Path, box: str, message: str) -> None:
    _put(root, _xml(_object() + _object("dog", box)))
    read = Voc().read(root)
    bad = [finding for finding in read.findings if finding.kind is FindingKind.BAD_BOX]
    assert [(f.image_id, f.quarantined) for f in bad] == [("a.png", True)]
    assert f"a.xml: box 2 ('dog') {message}" in bad[0].message or ("finite" in message and message in bad[0].message)
    assert {i.image_id for i in read.images} == {"b.png", "c.png"}


def test_a_box_over_the_edge_by_a_pixel_is_clipped(root: Path) -> None:
    _put(root, _xml(_object(box=_box("-1", "0", "41", "30.5"))))
    read = Voc().read(root)
    assert read.labels["a.png"].xyxy.tolist() == [[0, 0, 40, 30]]
    assert FindingKind.BAD_BOX not in {finding.kind for finding in read.findings}


LAUGHS = '<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha">' + "".join(
    f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize("content", [
    pytest.param(_xml(_object("caf\xe9")).encode("latin-1"), id="latin-1 without saying so"),
    pytest.param(f"{LAUGHS}]>{_xml(_object('&i;'))}", id="billion laughs"),
    pytest.param('<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]>' + _xml(_object("&x;")), id="external entity"),
    pytest.param(_xml(_object())[:60], id="truncated"),
    pytest.param(b"", id="empty"),
    pytest.param(b"\x00\x01\x02", id="binary"),
    pytest.param('<?xml version="1.0" encoding="klingon"?>' + _xml(_object()), id="unknown encoding"),
    pytest.param("<html><body/></html>", id="another document"),
])  # fmt: skip
def test_an_xml_that_cannot_be_read_quarantines_its_image(root: Path, content: str | bytes) -> None:
    _put(root, content)
    read = Voc().read(root)
    bad = [finding for finding in read.findings if finding.kind is FindingKind.BAD_LABEL_FILE]
    assert [(f.image_id, Path(f.path).name, f.quarantined) for f in bad] == [("a.png", "a.xml", True)]
    assert "expected" in bad[0].message
    assert {i.image_id for i in read.images} == {"b.png", "c.png"}


def test_other_encodings_are_read_where_they_are_declared(root: Path) -> None:
    _put(root, ('<?xml version="1.0" encoding="iso-8859-1"?>' + _xml(_object("café"))).encode("latin-1"))
    _put(root, ('<?xml version="1.0" encoding="utf-16"?>' + _xml(_object("名"), file_name="b.png")).encode("utf-16"), "b.xml")
    assert Voc().read(root).classes == ("café", "cat", "名")


def test_a_size_that_is_not_the_images_quarantines_it(root: Path) -> None:
    _put(root, _xml(_object(), size="<size><width>30</width><height>40</height></size>"))
    bad = [f for f in Voc().read(root).findings if f.kind is FindingKind.SIZE_MISMATCH]
    assert "a.xml: says 30 x 40 pixels. Expected 40 x 30 as in a.png. The two are swapped" in bad[0].message


@pytest.mark.parametrize("size", ["", "<size><width>0</width><height>0</height></size>", "<size><width>?</width></size>"])
def test_a_size_that_says_nothing_is_no_fault(root: Path, size: str) -> None:
    _put(root, _xml(_object(), size=size))
    assert "a.png" in Voc().read(root).labels


def test_a_bare_folder_of_xml_and_images(tmp_path: Path) -> None:
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    (tmp_path / "a.xml").write_text(_xml(_object()))
    read = Voc().read(tmp_path)
    assert list(read.labels) == ["a.png"]
    assert not read.findings


def test_the_annotations_folder_alone_finds_its_images(root: Path) -> None:
    _sets(root, train="c\n")
    read = Voc().read(root / "Annotations")
    assert {i.image_id: i.split for i in read.images}["c.png"] == Split.TRAIN


def test_crowd_difficult_and_xml_characters_survive(root: Path, tmp_path: Path) -> None:
    boxes = Boxes(np.array([[0.1, 0.2, 3.3, 4.4], [1, 1, 2, 2]]), np.array([0, 1]), difficult=np.array([1, 0]), crowd=np.array([0, 1]))
    record = ImageRecord("a.png", root / "JPEGImages" / "a.png", 40, 30, Split.VAL)
    Voc().write(Dataset(("<b> & 'c'", "d"), (record,), {"a.png": boxes}), tmp_path / "out", copy_images=True)
    read = Voc().read(tmp_path / "out")
    assert read.classes == ("<b> & 'c'", "d")
    assert read.labels["a.png"].equals(boxes)


@pytest.mark.parametrize("source", ["bccd", "fod"])
@pytest.mark.slow
def test_agrees_with_globox(source: str, shared_data: Path, tmp_path: Path) -> None:
    root = shared_data / source
    folder = tmp_path / "Annotations"
    folder.mkdir()
    for path in sorted((root / "Annotations").iterdir())[:: 12 if source == "fod" else 1]:
        (folder / path.name).symlink_to(path)
    read = Voc().read(tmp_path, root / "JPEGImages", verify=False)
    oracle = AnnotationSet.from_pascal_voc(folder)
    quarantined = {finding.image_id for finding in read.findings if finding.quarantined}
    assert set(read.labels) == set(oracle.image_ids) - quarantined
    for image_id, boxes in read.labels.items():
        theirs = [(box.label, box.xmin, box.ymin, box.xmax, box.ymax) for box in oracle[image_id].boxes]
        assert theirs == [(read.classes[label], *row) for label, row in zip(boxes.labels, boxes.xyxy.tolist(), strict=True)]


def test_the_three_sides_of_bccd(shared_data: Path) -> None:
    read = Voc().read(shared_data / "bccd")
    assert read.classes == ("Platelets", "RBC", "WBC")
    assert {s: sum(i.split == s for i in read.images) for s in Split} == {Split.TRAIN: 204, Split.VAL: 86, Split.TEST: 72}
    assert [finding.image_id for finding in read.findings] == ["BloodImage_00338.jpg", "BloodImage_00343.jpg"]  # boxes without area
