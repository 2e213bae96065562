"""A study works in a folder, and on images, of any name in UTF-8: with Windows' backslashes, a URL's question marks, spaces."""

import json
import os
import shutil
import sys

import pytest

from boxwise.records import Split

ODD = "my study?x=1&b%20 #1" + ("" if os.name == "nt" else r"C:\user\new")


@pytest.fixture
def odd(digits, tmp_path):
    """A folder of images with odd names, a label file for one of them, and the folder for the study."""
    folder = tmp_path / ODD
    (folder / "images" / "deep er").mkdir(parents=True)
    pool = [record.uri for record in digits.images if record.split is Split.TRAIN][:8]
    names = ["deep er/a b.png", "c%20d.png", "e#f.png", "é.png", "g.png", "h.png", "i.png"]
    if os.name != "nt":
        names.append("back\\slash.png")
    for path, name in zip(pool, names, strict=False):
        shutil.copyfile(path, folder / "images" / name)
    return folder, names


def test_init_query_import_export(odd, boxwise, tmp_path):
    folder, names = odd
    study = folder / "study"
    code, out, err = boxwise(
        "init",
        study,
        "--images",
        folder / "images",
        "--classes",
        "one,two",
        "budget.initial=8",
        "budget.validation=1",
        "detector.name=tiny_ssd",
    )
    assert code == 0, err
    assert f"{len(names)} images" in out and [path.name for path in study.glob("study.sqlite")] == ["study.sqlite"]
    code, _, err = boxwise("query", study, "--out", study / "to_label")
    assert code == 0, err
    code, out, err = boxwise("query", study, "--out", study / "list.txt")
    assert code == 0 and sorted((study / "list.txt").read_text().splitlines()) == sorted(str(folder / "images" / name) for name in names)
    labels = {
        "images": [{"id": number, "file_name": name, "width": 96, "height": 96} for number, name in enumerate(names)],
        "annotations": [{"id": n, "image_id": n, "category_id": 1, "bbox": [1, 2, 3, 4]} for n in range(len(names))],
        "categories": [{"id": 1, "name": "one"}],
    }
    (folder / "labels.json").write_text(json.dumps(labels), encoding="utf-8")
    code, out, err = boxwise("import", study, folder / "labels.json")
    assert code == 0 and f"{len(names)} images labelled" in out, out + err
    assert boxwise("status", study)[0] == 0
    code, _, err = boxwise("export", study, folder / "out", "--format", "voc")
    assert code == 0, err


@pytest.mark.skipif(sys.platform != "linux", reason="names there are text")
def test_a_folder_of_images_whose_name_is_no_text_is_named(digits, boxwise, tmp_path):
    images = tmp_path / "gr\udcf6\udcdfe"
    images.mkdir()
    shutil.copy(digits.images[0].uri, images)
    code, _, err = boxwise("init", tmp_path / "study", "--images", images, "--classes", "one", "detector.name=tiny_ssd")
    assert code == 2 and "gr\\udcf6\\udcdfe" in err and "expected a name that is text in UTF-8" in err and "Traceback" not in err
