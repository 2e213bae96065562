r"""A backslash in a name: part of it on Linux and macOS, where files may be called so; between folders in what Windows writes."""

import json
import os
from pathlib import Path

import pytest
from formats_scenario import PLACE, found, make

from boxwise.data.datasets import read_dataset
from boxwise.data.formats.image_list import read_image_list
from boxwise.data.formats.names import FORMATS

pytestmark = pytest.mark.skipif(os.name == "nt", reason="no file of Windows is called so")
BOX = {"x": 50, "y": 40, "width": 20, "height": 20}


def coco(name: str) -> str:
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [40, 30, 20, 20]}
    return json.dumps({"images": [{"id": 1, "file_name": name}], "annotations": [box], "categories": [{"id": 1, "name": "bee"}]})


def cvat(name: str) -> str:
    box = '<box label="bee" xtl="40" ytl="30" xbr="60" ybr="50"/>'
    return f'<annotations><image id="0" name="{name}" width="100" height="80">{box}</image></annotations>'


def create_ml(name: str) -> str:
    return json.dumps([{"image": name, "annotations": [{"label": "bee", "coordinates": BOX}]}])


def label_studio(name: str) -> str:
    value = {"x": 40, "y": 37.5, "width": 20, "height": 25, "rectanglelabels": ["bee"]}
    region = {"type": "rectanglelabels", "original_width": 100, "original_height": 80, "value": value}
    return json.dumps([{"data": {"image": f"/data/local-files/?d={name}"}, "annotations": [{"result": [region]}]}])


WRITTEN = {"labels.json": coco, "annotations.xml": cvat, "a.createml.json": create_ml, "studio.json": label_studio}


@pytest.mark.parametrize("file", WRITTEN)
@pytest.mark.parametrize("said", [r"back\slash.jpg", r"./back\slash.jpg", "back/slash.jpg"])
def test_labels_go_to_the_file_that_is_called_so(tmp_path: Path, file: str, said: str) -> None:
    make(tmp_path, {r"images/back\slash.jpg": 1, "images/back/slash.jpg": 2, file: WRITTEN[file](said)})
    assert found(read_dataset(tmp_path)) == {said.removeprefix("./"): [("bee", PLACE[0])]}


@pytest.mark.parametrize("file", WRITTEN)
def test_between_folders_as_windows_writes_it(tmp_path: Path, file: str) -> None:
    make(tmp_path, {"images/back/slash.jpg": 2, r"images/other\one.jpg": 3, file: WRITTEN[file](r"back\slash.jpg")})
    assert found(read_dataset(tmp_path)) == {"back/slash.jpg": [("bee", PLACE[0])]}


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_written_reads_back(tmp_path: Path, name: str) -> None:
    make(tmp_path / "here", {r"images/back\slash.jpg": 1, r"images/we\ird/a.jpg": 2, "images/back/slash.jpg": 3})
    (tmp_path / "here/labels.json").write_text(coco(r"we\ird/a.jpg"))
    dataset = read_dataset(tmp_path / "here")
    FORMATS[name].write(dataset, tmp_path / "there", copy_images=True)
    again = read_dataset(tmp_path / "there", format_name=name)
    assert found(again) == {r"we\ird/a.jpg": [("bee", PLACE[0])]}
    assert not again.findings


def test_a_list_calls_them_as_their_folder_does(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("back\\slash.jpg\nback/slash.jpg\n")
    assert [record.image_id for record in read_image_list(tmp_path / "list.txt").images] == [r"back\slash.jpg", "back/slash.jpg"]
