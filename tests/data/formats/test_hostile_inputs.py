"""Inputs that used to end in a traceback or never: each is one finding, and the rest is read."""

import json
import os
from pathlib import Path

import processes
import pytest
import yaml
from formats_scenario import LINE, PLACE, found, kinds, make, read, voc, voc_object
from PIL import Image

from boxwise.boxes import Boxes
from boxwise.data.datasets import read_dataset
from boxwise.data.formats.base import Dataset, FindingKind
from boxwise.data.formats.names import FORMATS
from boxwise.errors import BoxwiseError
from boxwise.records import ImageRecord, Split

BOX = PLACE[0]
GOOD = {"images/a.jpg": 1, "images/b.jpg": 2, "labels/b.txt": LINE}


def _coco(**image) -> str:
    return json.dumps({
        "images": [{"id": 1, "file_name": "a.jpg", **image}, {"id": 2, "file_name": "b.jpg"}],
        "annotations": [{"id": 1, "image_id": 2, "category_id": 1, "bbox": [40, 30, 20, 20]}],
        "categories": [{"id": 1, "name": "cat"}],
    })  # fmt: skip


def _read_coco(root: Path, text: str, **options) -> Dataset:
    return read(root, {"images/a.jpg": 1, "images/b.jpg": 2, "instances.json": text}, **options)


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan"), 10**400, 1e308, "wide", None, [], {}, -5, 0.5, True])
@pytest.mark.parametrize("key", ["width", "height"])
def test_a_size_that_is_no_number_of_pixels(tmp_path: Path, key: str, value: object) -> None:
    dataset = _read_coco(tmp_path, _coco(**{"width": 100, "height": 80, key: value}))
    is_size = value == 1e308
    assert kinds(dataset) == [(FindingKind.SIZE_MISMATCH, "a.jpg", True) if is_size else (FindingKind.SIZE_MISMATCH, None, False)]
    assert ("a.jpg" in dataset.labels) is not is_size
    assert found(dataset)["b.jpg"] == [("cat", BOX)]


@pytest.mark.parametrize("name", ["x" * 300 + ".jpg", "y/" * 3000 + "b.jpg", "a\nb.jpg", "a\u2028b.jpg", "\ud800.jpg"])
def test_a_name_that_no_disk_takes_is_one_finding(tmp_path: Path, name: str) -> None:
    dataset = _read_coco(tmp_path, _coco(file_name=name))
    ((kind, image_id, quarantined),) = kinds(dataset)
    assert kind in (FindingKind.MISSING_IMAGE, FindingKind.BAD_NAME) and quarantined
    assert image_id is not None and image_id.encode() and "\n" not in dataset.findings[0].message
    assert found(dataset) == {"b.jpg": [("cat", BOX)]}


@pytest.mark.parametrize("key", ["image_id", "id", "category_id"])
def test_a_number_too_large_for_any_database(tmp_path: Path, key: str) -> None:
    content = json.loads(_coco())
    content["annotations"][0][key] = 10**30
    dataset = _read_coco(tmp_path, json.dumps(content))
    assert len(dataset.findings) == {"id": 0, "image_id": 2, "category_id": 1}[key]  # without its image no image is empty by convention
    ids = [boxes.ids for boxes in dataset.labels.values() if boxes.ids is not None]
    assert all(number is None or number < 2**63 for column in ids for number in column)


def test_an_id_too_large_takes_its_image_entry_out(tmp_path: Path) -> None:
    assert kinds(_read_coco(tmp_path, _coco(id=10**30))) == [(FindingKind.BAD_LABEL_FILE, None, False)]


SHEETS = {
    "nul in the path": 'path: "a\\0b"\nnames: [ant, bee]\n',
    "nul in a split": 'train: "a\\0b"\nnames: [ant, bee]\n',
    "nul in the file": "names: [ant, bee]\n\0",
    "a path of 5000 letters": f"path: {'x' * 5000}\nnames: [ant, bee]\n",
    "a split of 5000 letters": f"train: {'x' * 5000}\nnames: [ant, bee]\n",
    "nested aliases": "a: &a [x, x]\n" + "".join(
        f"{n}: &{n} [{', '.join(['*' + m] * 9)}]\n" for m, n in zip("abcdefgh", "bcdefghi", strict=True)
    ) + "names: *i\ntrain: *i\n",
    "an alias of itself": "names: &a [*a]\n",
    "deep": "names: " + "[" * 5000 + "\n",
    "a number of 10000 digits": f"names: {{{'9' * 10000}: x}}\n",
    "huge key points": "names: [ant, bee]\nkpt_shape: [99999999, 99999999]\n",
}  # fmt: skip


@pytest.mark.parametrize("name", SHEETS)
def test_a_strange_data_yaml_is_at_most_one_finding(tmp_path: Path, name: str) -> None:
    dataset = read(tmp_path, {**GOOD, "data.yaml": SHEETS[name]})
    assert len(dataset.findings) <= 1
    assert all(len(finding.message) < 6000 and finding.message.isprintable() for finding in dataset.findings)
    assert [row[0][1] for row in found(dataset).values() if row] == [BOX]


@pytest.mark.parametrize("line", ["a\0b.jpg", "x" * 5000, "images/" + "y" * 300 + ".jpg", "\udcff.jpg"])
def test_a_strange_line_in_a_list_is_one_finding(tmp_path: Path, line: str) -> None:
    text = f"images/a.jpg\n{line}\n".encode("utf-8", "surrogateescape")
    dataset = read(tmp_path, {**GOOD, "train.txt": text, "data.yaml": "train: train.txt\nnames: [ant, bee]\n"})
    assert [kind for kind, _, _ in kinds(dataset)] == [FindingKind.MISSING_IMAGE]
    voc_files = {"JPEGImages/a.jpg": 1, "Annotations/a.xml": voc(voc_object(), name="a.jpg"), "ImageSets/Main/train.txt": text}
    said = kinds(read(tmp_path / "voc", voc_files))
    assert [kind for kind, _, _ in said] == [FindingKind.MISSING_IMAGE] * 2  # to VOC "images/a.jpg" is no name either


def test_names_that_are_no_utf_8_or_break_a_line(tmp_path: Path) -> None:
    make(tmp_path, GOOD)
    (tmp_path / "images" / "a.jpg").rename(os.fsdecode(os.fsencode(tmp_path / "images") + b"/\xff\xfe.jpg"))
    make(tmp_path, {"images/c\nd.jpg": 3})
    dataset = read_dataset(tmp_path)
    assert [(kind, out) for kind, _, out in kinds(dataset)] == [(FindingKind.BAD_NAME, True)] * 2
    assert found(dataset) == {"b.jpg": [("1", BOX)]}
    for finding in dataset.findings:
        assert finding.message.encode() and finding.path.encode() and finding.message.isprintable()


@pytest.mark.parametrize("name", FORMATS)
def test_no_list_is_written_that_a_name_would_break(tmp_path: Path, name: str) -> None:
    make(tmp_path, {"a\nb.jpg": 1})
    record = ImageRecord("a\nb.jpg", tmp_path / "a\nb.jpg", 100, 80, Split.TRAIN)
    dataset = Dataset(("cat",), (record,), {"a\nb.jpg": Boxes.empty()})
    if name == "coco":  # JSON holds any name
        FORMATS[name].write(dataset, tmp_path / "out")
        return
    with pytest.raises(BoxwiseError, match=r"a\\nb\.jpg: Expected a name"):
        FORMATS[name].write(dataset, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("pipe", [
    "labels/a.txt", "labels/stray.txt", "data.yaml", "classes.txt", "train.txt", "images/c.jpg", "Annotations/a.xml", "instances.json",
    "ImageSets/Main/train.txt", "annotations.xml", "boxes.csv", "obj.names", "obj.data",
])  # fmt: skip
def test_a_pipe_in_place_of_a_file_hangs_nothing(tmp_path: Path, pipe: str) -> None:
    make(tmp_path, GOOD)
    (tmp_path / pipe).parent.mkdir(exist_ok=True, parents=True)
    os.mkfifo(tmp_path / pipe)
    program = (
        "import sys; from pathlib import Path; from boxwise.data.datasets import read_dataset; from boxwise.errors import BoxwiseError\n"
        "for name in (None, 'yolo', 'voc', 'coco', 'cvat'):\n"
        "    try:\n        read_dataset(Path(sys.argv[1]), format_name=name)\n    except BoxwiseError as error:\n        print(error)\n"
    )
    ended = processes.run("-c", program, tmp_path, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_pipe_as_a_label_file_takes_its_image_out(tmp_path: Path) -> None:
    make(tmp_path, GOOD)
    os.mkfifo(tmp_path / "labels" / "a.txt")
    dataset = read_dataset(tmp_path)
    assert kinds(dataset) == [(FindingKind.BAD_LABEL_FILE, "a.jpg", True)]
    assert "expected a regular file" in dataset.findings[0].message


def test_a_large_picture_puts_nothing_on_the_screen(tmp_path: Path) -> None:
    Image.new("1", (10_000, 9_000)).save(tmp_path / "map.png")  # in the range of which Pillow warns
    program = "import sys, pathlib, boxwise.data.datasets as d; print(d.read_dataset(pathlib.Path(sys.argv[1])).images)"
    ended = processes.run("-c", program, tmp_path, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "") and "width=10000, height=9000" in ended.stdout


@pytest.mark.parametrize("content", ["[" * 200_000, '{"images": ' + "9" * 10_000 + "}", '{"images": [{"id": 1' + "0" * 5000 + "}]}"])
def test_json_that_no_parser_takes(tmp_path: Path, content: str) -> None:
    with pytest.raises(BoxwiseError, match=r"instances\.json: expected JSON"):
        _read_coco(tmp_path, content)


def test_yaml_of_a_python_object_stays_text(tmp_path: Path) -> None:
    dataset = read(tmp_path, {**GOOD, "data.yaml": "names: !!python/object/apply:os.system [echo]\n"})
    assert [kind for kind, _, _ in kinds(dataset)] == [FindingKind.BAD_LABEL_FILE]
    assert yaml.safe_load("names: [yes]") == {"names": [True]}  # what our own reading of YAML leaves as it is written
