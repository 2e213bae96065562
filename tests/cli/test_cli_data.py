import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from boxwise.data.datasets import detect_format
from boxwise.data.images import write_image


def test_convert_there_and_back(boxwise, digits_folder, tmp_path):
    for source, target, name in ((digits_folder, "c", "coco"), (tmp_path / "c", "y", "yolo"), (tmp_path / "y", "v", "voc")):
        code, out, err = boxwise("convert", source, tmp_path / target, "--to", name)
        assert code == 0 and "60 images" in out, err
    from boxwise.data.datasets import read_dataset

    there, back = read_dataset(digits_folder), read_dataset(tmp_path / "v")
    assert {Path(r.uri).name: r.split for r in there.images} == {Path(r.uri).name: r.split for r in back.images}
    assert sum(map(len, there.labels.values())) == sum(map(len, back.labels.values()))


def test_doctor_of_sound_data(boxwise, digits_folder):
    code, out, _ = boxwise("doctor", digits_folder)
    assert code == 0 and "60 usable images" in out and "zero" in out


def test_doctor_names_every_fault_and_exits_1(boxwise, digits_folder, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(digits_folder, broken)
    pictures = sorted((broken / "JPEGImages").iterdir())
    pictures[0].write_bytes(b"")
    pictures[1].unlink()
    shutil.copyfile(pictures[2], pictures[3])
    xml = broken / "Annotations" / f"{pictures[4].stem}.xml"
    xml.write_bytes(b"\xff\xfe not xml")
    code, out, _ = boxwise("doctor", broken)
    assert code == 1
    for kind in ("corrupt image", "missing image", "duplicate image", "bad label file"):
        assert kind in out
    for path in (*pictures[:2], pictures[3], xml):
        assert path.name in out.replace("\n", "")


def test_doctor_writes_a_page_of_its_own_and_a_copy_without_faults(boxwise, digits_folder, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(digits_folder, broken)
    xml = sorted((broken / "Annotations").iterdir())
    texts = [path.read_text() for path in xml[:2]]
    xml[0].write_text(
        texts[0].replace("</object>", "</object>" + texts[0][texts[0].index("<object>") : texts[0].index("</object>") + 9], 1)
    )
    xml[1].write_text(texts[1].replace("<xmax>", "<xmax>9", 1))
    code, out, err = boxwise("doctor", broken, "--html", tmp_path / "page.html", "--fix", tmp_path / "clean")
    assert code == 1 and "duplicate box (noted)" in out and "bad box (quarantined)" in out, err
    page = (tmp_path / "page.html").read_text()
    assert page.count("<figure>") >= 2 and "data:image/jpeg;base64," in page and "http" not in page.replace("http://www.w3.org", "")
    code, out, _ = boxwise("doctor", tmp_path / "clean")
    assert code == 0 and "59 usable images" in out
    code, _, err = boxwise("doctor", broken, "--fix", tmp_path / "clean")
    assert code == 2 and "expected a new or an empty folder" in err


def test_labels_in_raw_pixels_and_vocs_origin_are_options(boxwise, digits_folder, tmp_path):
    code, out, err = boxwise("convert", digits_folder, tmp_path / "c", "--to", "coco", "--voc-origin", "1", "--labels-in", "raw")
    assert code == 0 and "60 images" in out, err


def test_doctor_of_the_machine(boxwise):
    code, out, _ = boxwise("doctor")
    assert code == 0 and "torch" in out and "threads" in out
    assert re.search(r"jpeg_decoder: (torchcodec|torchvision|Pillow) \d", out)


@pytest.mark.parametrize(
    ("files", "name"),
    [
        (["Annotations/a.xml"], "voc"),
        (["a.xml"], "voc"),
        (["data.yaml"], "yolo"),
        (["labels/a.txt", "images/a.jpg"], "yolo"),
        (["a.txt", "a.jpg"], "yolo"),
        (["instances_train.json", "images/a.jpg"], "coco"),
        (["annotations/instances.json"], "coco"),
        (["a.jpg"], None),
    ],
)
def test_formats_are_recognised_by_their_files(tmp_path, files, name):
    for file in files:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    assert detect_format(tmp_path) == name


def test_formats_of_the_real_sets(shared_data):
    found = {name: detect_format(shared_data / name) for name in ("bccd", "fod", "pothole", "coco256")}
    assert found == {"bccd": "voc", "fod": "voc", "pothole": "coco", "coco256": "yolo"}


def _mixed(root):
    """COCO: a labelled image, one with a crowd, one labelled in part, one unlabelled, one without objects; ids from 0 and 90."""
    names = ("whole", "crowded", "partly", "open", "none")
    images = [{"id": 10 * n, "file_name": f"{name}.png", "width": 32, "height": 32} for n, name in enumerate(names)]
    for number, image in enumerate(images):
        write_image(np.full((32, 32, 3), number, np.uint8), root / "images" / image["file_name"])
    images[2] |= {"complete": False}
    images[3] |= {"labeled": False}
    images[4] |= {"labeled": True}
    boxes = [{"id": 70 + n, "image_id": 10 * n, "category_id": 90, "bbox": [1, 2, 3, 4], "iscrowd": int(n == 1)} for n in range(3)]
    text = json.dumps({"images": images, "annotations": boxes, "categories": [{"id": 90, "name": "cat"}]})
    (root / "instances_train.json").write_text(text)
    return root


def _written(folder):
    return sorted(path.stem for path in (folder / "images").iterdir())


def test_convert_writes_what_is_labelled_and_says_what_it_leaves(boxwise, tmp_path):
    source = _mixed(tmp_path / "source")
    code, out, err = boxwise("convert", source, tmp_path / "coco", "--to", "coco")
    assert code == 0 and "3 images, 2 boxes" in out, out + err
    assert "1 image is not labelled and left out; --unlabeled" in err and "1 image is labelled in part and left out" in err
    assert _written(tmp_path / "coco") == ["crowded", "none", "whole"]
    content = json.loads((tmp_path / "coco" / "instances_train.json").read_text())
    assert [image["id"] for image in content["images"]] == [1, 2, 3]
    assert [(box["id"], box["image_id"], box["category_id"]) for box in content["annotations"]] == [(1, 1, 1), (2, 2, 1)]
    assert content["categories"][0]["id"] == 1


def test_convert_writes_more_where_asked_for(boxwise, tmp_path):
    source = _mixed(tmp_path / "source")
    code, out, err = boxwise("convert", source, tmp_path / "all", "--to", "coco", "--unlabeled", "--incomplete", "--keep-ids")
    assert code == 0 and "5 images, 3 boxes" in out and "left out" not in err
    content = json.loads((tmp_path / "all" / "instances_train.json").read_text())
    before = json.loads((source / "instances_train.json").read_text())
    for key in ("labeled", "complete", "id", "file_name"):
        assert [image.get(key) for image in content["images"]] == [image.get(key) for image in before["images"]]
    assert [(box["id"], box["image_id"], box["category_id"]) for box in content["annotations"]] == [(70, 0, 90), (71, 10, 90), (72, 20, 90)]


def test_what_a_format_cannot_hold_is_said(boxwise, tmp_path):
    source = _mixed(tmp_path / "source")
    code, out, err = boxwise("convert", source, tmp_path / "a", "--to", "yolo")
    assert code == 0 and "2 images, 1 box," in out and "2 images are labelled in part and left out" in err
    assert _written(tmp_path / "a") == ["none", "whole"]
    assert (tmp_path / "a" / "train.txt").read_text().split() == ["./images/whole.png", "./images/none.png"]
    code, out, err = boxwise("convert", source, tmp_path / "b", "--to", "yolo", "--incomplete", "--unlabeled")
    assert code == 0 and "yolo has no place for crowd regions: 1 are not written" in err
    assert "2 images are labelled in part, which yolo cannot say" in err and "take images without a label file as empty" in err
    assert (tmp_path / "b" / "labels" / "crowded.txt").read_text() == ""
    code, _, err = boxwise("convert", source, tmp_path / "c", "--to", "voc", "--incomplete")
    assert code == 0 and "cannot" not in err and "no place" not in err


def test_two_data_sets_are_not_mixed_in_one_folder(boxwise, digits_folder, tmp_path):
    source = _mixed(tmp_path / "source")
    for _ in range(2):  # the same again is no harm
        assert boxwise("convert", source, tmp_path / "t", "--to", "yolo")[0] == 0
    code, _, err = boxwise("convert", digits_folder, tmp_path / "t", "--to", "yolo")
    assert code == 2 and "expected a new folder, or one of this data set, found" in err.replace("\n", " ")
    assert _written(tmp_path / "t") == ["none", "whole"]


def test_where_no_image_can_be_used_nothing_is_written_and_that_is_no_success(boxwise, tmp_path):
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a.txt").write_text("0 .5 .5 .25 .25\n")
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_text("no image")
    code, out, err = boxwise("convert", tmp_path, tmp_path / "to", "--to", "coco")
    assert code == 2 and "1 image quarantined" in out and "no image is left to write, so" in err, out + err
    assert not (tmp_path / "to").exists()
    code, out, _ = boxwise("doctor", tmp_path)
    assert code == 1 and "0 usable images" in out and "without objects" not in out, out


def test_an_archive_unpacked_into_a_folder_of_its_own(boxwise, tmp_path):
    _mixed(tmp_path / "source" / "download" / "v1")
    (tmp_path / "source" / "README.md").write_text("hello")
    code, out, _ = boxwise("doctor", tmp_path / "source")
    assert code in (0, 1) and "5 usable images, 4 labelled (1 in part), 2 boxes, 1 crowds" in out
