from pathlib import Path

import numpy as np
import pytest
from globox import AnnotationSet

from boxwise.boxes import Boxes
from boxwise.data.datasets import detect_format, read_dataset, read_labels_for
from boxwise.data.formats.base import Dataset, FindingKind
from boxwise.data.formats.cvat import Cvat
from boxwise.data.images import write_image
from boxwise.errors import BoxwiseError
from boxwise.records import ImageRecord, Split

LABELS = "".join(
    f"<label><name>{name}</name><color>#aa0000</color><type>{kind}</type><attributes></attributes></label>"
    for name, kind in (("dog", "rectangle"), ("cat", "any"), ("looked at", "tag"))
)
BOX = '<box label="cat" source="manual" occluded="0" xtl="1.00" ytl="2.00" xbr="10.00" ybr="12.50" z_order="0"{}>{}</box>'


def box(extra: str = "", inside: str = "") -> str:
    return BOX.format(f" {extra}", inside)


def moved(text: str) -> str:
    """The same box a pixel to the right: two at one place would be one."""
    return text.replace('xtl="1.00"', 'xtl="2.00"')


def image(name: str, content: str = "", extra: str = "") -> str:
    return f'<image id="0" name="{name}" width="40" height="30" {extra}>{content}</image>'


def document(*images: str, labels: str = LABELS, owner: str = "task") -> str:
    meta = f"<meta><{owner}><id>1</id><labels>{labels}</labels></{owner}><dumped>2026-01-01</dumped></meta>"
    return f'<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version>{meta}{"".join(images)}</annotations>'


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Images a.png, b.png and c.png of 40 x 30 pixels, as CVAT lays out an export."""
    for number, name in enumerate("abc"):
        write_image(np.full((30, 40, 3), number, np.uint8), tmp_path / "images" / f"{name}.png")
    return tmp_path


def read(root: Path, text: str | bytes, **options) -> Dataset:
    (root / "annotations.xml").write_bytes(text.encode() if isinstance(text, str) else text)
    return Cvat().read(root, **options)


@pytest.mark.parametrize("owner", ["task", "project", "job"])
def test_reads_boxes_and_the_declared_classes_in_order(root: Path, owner: str) -> None:
    found = read(root, document(image("a.png", box() + moved(box('rotation="360.0"'))), owner=owner))
    assert not found.findings
    assert found.classes == ("dog", "cat")
    assert found.labels["a.png"].xyxy.tolist() == [[1, 2, 10, 12.5], [2, 2, 10, 12.5]]
    assert found.labels["a.png"].labels.tolist() == [1, 1]


def test_attributes_are_columns(root: Path) -> None:
    first = '<attribute name="difficult">true</attribute><attribute name="score">0.5</attribute><attribute name="color">red</attribute>'
    second = '<attribute name="score">0.25</attribute><attribute name="crowd">1</attribute>'
    boxes = read(root, document(image("a.png", box(inside=first) + moved(box(inside=second))))).labels["a.png"]
    assert boxes.difficult.tolist() == [True, False]
    assert boxes.crowd.tolist() == [False, True]
    assert boxes.scores.tolist() == [0.5, 0.25]
    plain = read(root, document(image("a.png", box(inside=first) + moved(box())))).labels["a.png"]
    assert plain.scores is None and plain.crowd is None


def test_every_column_survives_to_the_bit(root: Path) -> None:
    rng = np.random.default_rng(0)
    xyxy = np.sort(rng.uniform(0, 30, (50, 2, 2)), axis=1).reshape(50, 4).astype(np.float32)
    columns = {"scores": rng.random(50), "difficult": rng.random(50) < 0.5, "crowd": rng.random(50) < 0.5}
    record = ImageRecord("a.png", root / "images" / "a.png", 40, 30, Split.VAL)
    boxes = Boxes(xyxy, rng.integers(0, 2, 50), **columns)
    Cvat().write(Dataset(('<"a">', "b & c"), (record,), {"a.png": boxes}), root)
    found = Cvat().read(root)
    assert found.classes == ('<"a">', "b & c")
    assert found.images == (record,)
    assert found.labels["a.png"].equals(boxes)


@pytest.mark.parametrize(("said", "when_empty", "when_not"), [
    ("", True, False),  # CVAT alone does not say
    ('labeled="1"', True, True),
    ('labeled="0"', False, False),
])  # fmt: skip
def test_an_image_without_a_shape_is_what_the_file_says_or_what_the_caller_decides(root, said, when_empty, when_not) -> None:
    text = document(image("a.png", extra=said), image("b.png", box()))
    for missing_is_empty, labelled in ((True, when_empty), (False, when_not)):
        found = read(root, text, missing_is_empty=missing_is_empty)
        assert [i.image_id for i in found.images] == ["a.png", "b.png"]
        assert ("a.png" in found.labels) == labelled
        assert [f.kind for f in found.findings] == ([] if labelled else [FindingKind.MISSING_LABEL_FILE])


def test_a_tag_says_that_somebody_looked(root: Path) -> None:
    text = document(image("a.png", '<tag label="looked at" source="manual"></tag>'), image("b.png"))
    found = read(root, text, missing_is_empty=False)
    assert {i: len(boxes) for i, boxes in found.labels.items()} == {"a.png": 0}
    assert found.classes == ("dog", "cat")


@pytest.mark.parametrize(("content", "says"), [
    (box() + box('rotation="much"'), "box 2 ('cat') is rotated by much degrees"),
    ('<blob label="cat" points="1,1;5,5;1,5"></blob>' * 2, "2 shapes of the kind 'blob'"),
    ('<shapes><box label="cat" xtl="1" ytl="2" xbr="3" ybr="4"/></shapes>', "1 shape of the kind 'shapes'"),
])  # fmt: skip
def test_what_is_no_shape_that_is_known_takes_its_image_out(root: Path, content: str, says: str) -> None:
    found = read(root, document(image("a.png", content), image("b.png", box())))
    ((kind, image_id, quarantined, message),) = [(f.kind, f.image_id, f.quarantined, f.message) for f in found.findings]
    assert (kind, image_id, quarantined) == (FindingKind.BAD_BOX, "a.png", True)
    assert says in message and "Expected boxes" in message
    assert [i.image_id for i in found.images] == ["b.png"]


def test_tracks_of_a_video_are_a_finding_beside_images_and_an_error_alone(root: Path) -> None:
    track = '<track id="0" label="cat"><box frame="0" outside="0" xtl="1" ytl="1" xbr="5" ybr="5"/></track>'
    found = read(root, document(image("a.png", box()), track))
    assert [(f.kind, f.quarantined) for f in found.findings] == [(FindingKind.BAD_LABEL_FILE, False)]
    assert len(found.labels["a.png"]) == 1
    with pytest.raises(BoxwiseError, match=r"1 tracks of a video\. Export the task as 'CVAT for images 1\.1'"):
        read(root, document(track))


@pytest.mark.parametrize("name", ["../z.png", "/etc/passwd", "", "x/../../z.png", "../b.png"])
def test_a_name_outside_the_folder_is_a_finding(root: Path, name: str) -> None:
    found = read(root, document(image(name, box()), image("b.png", box())))
    assert [(f.kind, f.quarantined) for f in found.findings] == [(FindingKind.BAD_LABEL_FILE, True)]
    assert set(found.labels) == {"b.png"}


def test_an_image_listed_twice_is_taken_out_once_named(root: Path) -> None:
    found = read(root, document(image("a.png", box()), image("a.png"), image("b.png", box())))
    assert [(f.kind, f.image_id, f.quarantined) for f in found.findings] == [(FindingKind.DUPLICATE_ID, "a.png", True)]
    assert [i.image_id for i in found.images] == ["b.png"]


@pytest.mark.parametrize("coordinates", ['xtl="x"', 'xtl="nan"', 'xtl="20"', 'xtl="-5"', ""])
def test_a_bad_box_takes_its_image_out(root: Path, coordinates: str) -> None:
    bad = f'<box label="cat" {coordinates} ytl="2" xbr="10" ybr="12"/>'
    found = read(root, document(image("a.png", bad), image("b.png", box())))
    assert [(f.kind, f.image_id) for f in found.findings] == [(FindingKind.BAD_BOX, "a.png")]


def test_an_undeclared_class_comes_after_the_declared_ones(root: Path) -> None:
    stray = box().replace('"cat"', '"ant"')
    assert read(root, document(image("a.png", stray))).classes == ("dog", "cat", "ant")


def test_subsets_of_a_project_are_splits_and_tell_apart_images_of_one_name(tmp_path: Path) -> None:
    for number, folder in enumerate(("Train", "Validation")):
        write_image(np.full((30, 40, 3), number, np.uint8), tmp_path / "images" / folder / "a.png")
    text = document(*(image("a.png", box(), f'subset="{subset}"') for subset in ("Train", "Validation")), owner="project")
    found = read(tmp_path, text)
    assert not found.findings
    assert {i.image_id: i.split for i in found.images} == {"Train/a.png": Split.TRAIN, "Validation/a.png": Split.VAL}


@pytest.mark.parametrize("text", [
    b"", b"\xff\xfe", b"<annotations>", b"<annotation/>", b"<annotations/>",
    b'<!DOCTYPE a [<!ENTITY b "c"><!ENTITY d "&b;&b;">]><annotations><image name="&d;"/></annotations>',
])  # fmt: skip
def test_what_is_no_such_file_is_one_error(root: Path, text: bytes) -> None:
    with pytest.raises(BoxwiseError, match=r"annotations.xml: expected .*found"):
        read(root, text)


def test_the_format_is_detected_by_the_root_element(root: Path) -> None:
    (root / "annotations.xml").write_text(document(image("a.png", box())))
    assert detect_format(root) == detect_format(root / "annotations.xml") == "cvat"
    assert read_dataset(root / "annotations.xml").labels.keys() == {"a.png"}
    (root / "annotations.xml").write_text("<annotation/>")
    assert detect_format(root) == "voc"
    assert detect_format(root / "annotations.xml") is None


def test_an_export_of_part_of_a_study_leaves_the_rest_waiting(root: Path) -> None:
    records = [ImageRecord(f"{name}.png", root / "images" / f"{name}.png", 40, 30, Split.TRAIN) for name in "abc"]
    (root / "task.xml").write_text(document(image("a.png", box()), image("b.png")))
    labels = read_labels_for(records, root / "task.xml", format_name=None, classes=("dog", "cat"))
    assert set(labels.labels) == {"a.png"} and not labels.findings


def test_globox_reads_what_is_written(root: Path) -> None:
    records = tuple(ImageRecord(f"{name}.png", root / "images" / f"{name}.png", 40, 30) for name in "ab")
    boxes = Boxes(np.array([[1, 2, 10, 12.5], [0, 0, 40, 30]]), np.array([1, 0]))
    Cvat().write(Dataset(("dog", "cat"), records, {"a.png": boxes, "b.png": Boxes.empty()}), root / "out.xml")
    theirs = AnnotationSet.from_cvat(root / "out.xml")
    found = {(b.label, b.xmin, b.ymin, b.xmax, b.ymax) for b in theirs["a.png"].boxes}
    assert found == {("cat", 1, 2, 10, 12.5), ("dog", 0, 0, 40, 30)}
    assert len(theirs) == 2 and not theirs["b.png"].boxes
    assert theirs["a.png"].image_size == (40, 30)


def test_reads_what_globox_writes(root: Path) -> None:
    record = ImageRecord("a.png", root / "images" / "a.png", 40, 30)
    Cvat().write(Dataset(("dog",), (record,), {"a.png": Boxes(np.array([[1, 2, 10, 12]]), np.array([0]))}), root / "ours.xml")
    AnnotationSet.from_cvat(root / "ours.xml").save_cvat(root / "annotations.xml")
    found = Cvat().read(root / "annotations.xml")
    assert not found.findings and found.classes == ("dog",)
    assert found.labels["a.png"].xyxy.tolist() == [[1, 2, 10, 12]]
