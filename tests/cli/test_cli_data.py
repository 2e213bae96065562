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
