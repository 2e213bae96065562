import re
import shutil

import pytest

from boxwise.data.datasets import detect_format


def test_convert_there_and_back(boxwise, digits_folder, tmp_path):
    for source, target, name in ((digits_folder, "c", "coco"), (tmp_path / "c", "y", "yolo"), (tmp_path / "y", "v", "voc")):
        code, out, err = boxwise("convert", source, tmp_path / target, "--to", name)
        assert code == 0 and "60 images" in out, err
    from boxwise.data.datasets import read_dataset

    there, back = read_dataset(digits_folder), read_dataset(tmp_path / "v")
    assert {r.path.name: r.split for r in there.images} == {r.path.name: r.split for r in back.images}
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
def test_formats_are_told_by_their_files(tmp_path, files, name):
    for file in files:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    assert detect_format(tmp_path) == name


def test_formats_of_the_real_sets(shared_data):
    found = {name: detect_format(shared_data / name) for name in ("bccd", "fod", "pothole", "coco256")}
    assert found == {"bccd": "voc", "fod": "voc", "pothole": "coco", "coco256": "yolo"}
