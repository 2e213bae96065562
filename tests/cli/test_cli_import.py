"""What an import says it understood."""

import json

import numpy as np
import pytest

from boxwise.data.images import write_image
from boxwise.errors import plural
from boxwise.records import Phase, Split
from boxwise.study import Study


def document(study, names, path, *, boxed):
    """A COCO file of some images, of which the first `boxed` have a box."""
    images = [{"id": number, "file_name": name, "width": 96, "height": 96} for number, name in enumerate(names, 1)]
    boxes = [{"id": n, "image_id": n, "category_id": 1, "bbox": [1, 1, 9, 9], "area": 81, "iscrowd": 0} for n in range(1, boxed + 1)]
    path.write_text(json.dumps({"images": images, "annotations": boxes, "categories": [{"id": 1, "name": study.classes[0]}]}))
    return path


def voc(study, names, folder, *, boxed):
    """VOC files, one an image; those after the first `boxed` say that there is nothing."""
    (folder / "Annotations").mkdir(parents=True)
    for number, name in enumerate(names):
        thing = f"<object><name>{study.classes[0]}</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></object>"
        stem = name.split("/")[-1].rsplit(".", 1)[0]
        (folder / "Annotations" / f"{stem}.xml").write_text(
            f"<annotation><filename>{name}</filename><size><width>96</width><height>96</height><depth>3</depth></size>"
            f"{thing if number < boxed else ''}</annotation>"
        )
    return folder


@pytest.mark.parametrize(("missing", "taken", "word"), [("empty", 3, "taken as empty"), ("unlabeled", 1, "left open")])
def test_images_without_boxes_are_said_and_taken_as_wished(boxwise, waiting_study, tmp_path, missing, taken, word):
    study = waiting_study("full")
    asked = study.ask().image_ids
    labels = voc(study, asked[:3], tmp_path / "labels", boxed=1)
    code, out, err = boxwise("import", study.folder, labels, "--format", "voc", "--missing", missing)
    assert code == 0 and f"{plural(taken, 'image')} labelled" in out and f"2 images have no box, of 3: {word}" in err, out + err
    assert len(Study.open(study.folder).ask().items) == len(asked) - taken


def test_images_that_were_not_asked_for_are_said(boxwise, waiting_study, tmp_path):
    study = waiting_study("full")
    others = [record.image_id for record in study.store.pool() if record.image_id not in study.ask().image_ids]
    code, out, err = boxwise("import", study.folder, document(study, others[:2], tmp_path / "labels.json", boxed=2))
    assert code == 0 and "2 images were not asked for now, of 2: these labels count all the same" in err, out + err


PHOTOS = ("a.jpg", "sub/b.jpg", "c.jpg", "x/d.jpg", "y/d.jpg")


@pytest.fixture
def study(boxwise, tmp_path):
    """A study of five unlabelled photos of the classes cat and dog."""
    for number, name in enumerate(PHOTOS):
        write_image(np.full((80, 100, 3), 40 * number, np.uint8), tmp_path / "photos" / name)
    code, _, err = boxwise("init", tmp_path / "study", "--images", tmp_path / "photos", "--classes", "cat,dog", "detector.pretrained=none")
    assert code == 0, err
    return tmp_path / "study"


def coco(path, names, *, category="cat", boxed=None):
    images = [{"id": n, "file_name": name, "width": 100, "height": 80} for n, name in enumerate(names)]
    boxes = [{"id": n, "image_id": n, "category_id": 7, "bbox": [40, 30, 20, 20]} for n in range(len(names) if boxed is None else boxed)]
    path.write_text(json.dumps({"images": images, "annotations": boxes, "categories": [{"id": 7, "name": category}]}))
    return path


def labels_alone(name, folder, image_ids):
    """Labels of a cat on each image, without a picture beside them."""
    folder.mkdir()
    if name == "coco":
        return coco(folder / "l.json", image_ids)
    if name == "cvat":
        box = '<box label="cat" xtl="40" ytl="30" xbr="60" ybr="50"/>'
        entries = "".join(f'<image name="{image_id}" width="100" height="80">{box}</image>' for image_id in image_ids)
        (folder / "annotations.xml").write_text(f"<annotations>{entries}</annotations>")
    for image_id in image_ids if name in ("voc", "yolo") else ():
        text = TEXTS["voc"].replace("a.jpg", image_id) if name == "voc" else TEXTS["yolo"]
        path = folder / f"{image_id.rpartition('.')[0]}.{'xml' if name == 'voc' else 'txt'}"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return folder


def labelled(folder):
    """Image id → (boxes, whether complete)."""
    return {i: (len(a.boxes), a.complete) for split in Split for i, a in Study.open(folder).annotations(split).items()}


@pytest.mark.parametrize("name", ["images/{}", "images\\{}", "C:\\set\\{}", "/home/ann/set/{}", "http://host/media/{}", "../{}"])
def test_file_names_are_enough_where_they_are_unique(boxwise, study, tmp_path, name):
    labels = coco(tmp_path / "l.json", [name.format(photo) for photo in ("a.jpg", "b.jpg", "d.jpg")])
    code, out, err = boxwise("import", study, labels)
    assert code == 0 and "2 images labelled" in out, err
    assert "2 images are found by file name" in err and "'a.jpg'" not in err
    assert labelled(study) == {"a.jpg": (1, True), "sub/b.jpg": (1, True)}
    assert err.startswith(("missing image", "bad label file")) and "d.jpg" in err.splitlines()[0]  # two images are called so


@pytest.mark.parametrize("name", ["coco", "cvat", "voc", "yolo"])
def test_labels_alone_are_taken_after_a_second_folder_has_joined(boxwise, study, tmp_path, name):
    for number, photo in enumerate(("new.jpg", "sub/e.jpg")):
        write_image(np.full((80, 100, 3), 200 + 9 * number, np.uint8), tmp_path / "more" / photo)
    assert boxwise("add", study, "--images", tmp_path / "more")[0] == 0
    image_ids = ["a.jpg", "sub/b.jpg", "new.jpg", "sub/e.jpg"]
    code, out, err = boxwise("import", study, labels_alone(name, tmp_path / "l", image_ids))
    assert code == 0 and "4 images labelled, 0 known already, 0 findings" in out, out + err
    assert labelled(study) == dict.fromkeys(image_ids, (1, True))


@pytest.mark.parametrize("name", ["coco", "cvat", "voc", "yolo"])
def test_labels_of_a_picture_that_no_folder_has_are_named(boxwise, study, tmp_path, name):
    write_image(np.full((80, 100, 3), 200, np.uint8), tmp_path / "more" / "new.jpg")
    assert boxwise("add", study, "--images", tmp_path / "more")[0] == 0
    code, out, err = boxwise("import", study, labels_alone(name, tmp_path / "l", ["new.jpg", "lost.jpg"]))
    assert code == 0 and "1 image labelled, 0 known already, 1 finding" in out, out + err
    assert err.startswith("missing image") and "lost." in err.splitlines()[0]


@pytest.mark.parametrize("name", ["coco", "cvat", "voc", "yolo"])
@pytest.mark.parametrize("folders", [1, 2])
def test_labels_of_images_out_of_use_are_named_with_why_and_what_helps(boxwise, study, tmp_path, name, folders):
    if folders == 2:
        write_image(np.full((80, 100, 3), 200, np.uint8), tmp_path / "more" / "new.jpg")
        assert boxwise("add", study, "--images", tmp_path / "more")[0] == 0
    opened = Study.open(study)
    opened.quarantine("a.jpg", "flagged by anna: blurred")
    opened.exclude(["sub/b.jpg"], "dark", who="lead")
    opened.quarantine("x/d.jpg", "x/d.jpg: truncated.")  # and mended since
    labels = labels_alone(name, tmp_path / "l", ["a.jpg", "sub/b.jpg", "c.jpg", "x/d.jpg"])
    code, out, err = boxwise("import", study, labels)
    assert code == 0 and "1 image labelled, 0 known already, 3 findings" in out and "boxwise add" not in err, out + err
    whys = {"a.jpg": "flagged by anna: blurred", "sub/b.jpg": "excluded by lead: dark", "x/d.jpg": "x/d.jpg: truncated"}
    for image_id, why in whys.items():
        assert f"image out of use: {labels}: labels for '{image_id}'. Expected an image in use, found one that is not: {why}. " in err
        assert f"They are not taken; `boxwise include STUDY {image_id}` puts it to use again." in err
        assert boxwise("include", study, image_id)[0] == 0
    code, out, _ = boxwise("import", study, labels)
    assert code == 0 and "3 images labelled, 1 known already, 0 findings" in out


@pytest.mark.parametrize("name", ["coco", "cvat", "voc", "yolo"])
def test_a_double_that_is_out_of_use_takes_no_labels_from_the_image_in_use(boxwise, study, tmp_path, name):
    write_image(np.full((80, 100, 3), 200, np.uint8), tmp_path / "more" / "z" / "b.jpg")
    assert boxwise("add", study, "--images", tmp_path / "more")[0] == 0
    assert boxwise("exclude", study, "z/b.jpg", "--reason", "double", "--by", "lead")[0] == 0
    code, out, err = boxwise("import", study, labels_alone(name, tmp_path / "l", ["a.jpg", "b.jpg"]))
    assert code == 0 and "2 images labelled, 0 known already, 0 findings" in out and "z/b.jpg" not in err, out + err
    assert labelled(study) == {"a.jpg": (1, True), "sub/b.jpg": (1, True)}


def test_labels_of_images_out_of_use_alone_are_no_labels(boxwise, study, tmp_path):
    assert boxwise("exclude", study, "a.jpg", "--reason", "dark", "--by", "lead")[0] == 0
    code, _, err = boxwise("import", study, coco(tmp_path / "l.json", ["a.jpg"]))
    assert code == 2 and "found one that is not: excluded by lead: dark." in err
    assert f"Error: {tmp_path / 'l.json'}: labels none of the 4 images in use, so nothing was taken." in err


def test_a_file_that_is_gone_or_broken_is_said_of_an_image_out_of_use_too(boxwise, study, tmp_path):
    for image_id in ("a.jpg", "c.jpg"):
        Study.open(study).quarantine(image_id, "truncated")
    (tmp_path / "photos" / "a.jpg").unlink()
    (tmp_path / "photos" / "c.jpg").write_bytes(b"no image")
    _, out, err = boxwise("import", study, coco(tmp_path / "l.json", ["a.jpg", "sub/b.jpg", "c.jpg"]))
    assert "1 image labelled, 0 known already, 2 findings" in out, out + err
    assert f"expected the image {tmp_path / 'photos' / 'a.jpg'}, found no such file" in err
    assert f"{tmp_path / 'photos' / 'c.jpg'}: expected an image that decodes" in err


def test_two_labels_of_one_image_are_both_left(boxwise, study, tmp_path):
    for place, line in (("p", "0 .5 .5 .2 .2"), ("q", "1 .5 .5 .4 .4")):
        (tmp_path / "l" / place).mkdir(parents=True)
        (tmp_path / "l" / place / "a.txt").write_text(line)
    code, _, err = boxwise("import", study, tmp_path / "l", "--format", "yolo")
    assert code == 2 and "a.txt" in err
    assert labelled(study) == {}


FILES = {"voc": "a.xml", "yolo": "a.txt", "coco": "l.json", "labelstudio": "tasks.json", "cvat": "annotations.xml"}
TEXTS = {
    "voc": "<annotation><filename>a.jpg</filename><object><name>cat</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax>"
    "</bndbox></object></annotation>",
    "yolo": "1 0.5 0.5 0.2 0.25\n",
    "coco": json.dumps({"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [], "categories": []}),
    "labelstudio": json.dumps([{"data": {"image": "a.jpg"}, "annotations": [{"result": []}]}]),
    "cvat": '<annotations><image name="a.jpg" width="100" height="80"/></annotations>',
}


@pytest.mark.parametrize(("there", "given"), [(there, given) for there in FILES for given in FILES if there != given])
def test_a_wrong_format_is_answered_with_the_right_one(boxwise, study, tmp_path, there, given):
    (tmp_path / "l").mkdir()
    (tmp_path / "l" / FILES[there]).write_text(TEXTS[there])
    code, _, err = boxwise("import", study, tmp_path / "l", "--format", given)
    assert code == 2 and f"This looks like {there}: --format {there}." in err.replace("\n", " "), err
    assert labelled(study) == {}


def test_unknown_classes_are_named_once_with_the_nearest(boxwise, study, tmp_path):
    code, _, err = boxwise("import", study, coco(tmp_path / "l.json", ["a.jpg", "c.jpg"], category="Cat"))
    assert code == 2 and "unknown classes: 'Cat' (2 boxes; 'cat'?)" in err


@pytest.mark.parametrize(
    ("options", "taken"), [((), {"a.jpg": (1, True)}), (("--missing", "empty"), {"a.jpg": (1, True), "c.jpg": (0, True)})]
)
def test_an_image_that_coco_lists_without_a_box_stays_asked(boxwise, study, tmp_path, options, taken):
    code, _, err = boxwise("import", study, coco(tmp_path / "l.json", ["a.jpg", "c.jpg"], boxed=1), *options)
    assert code == 0 and labelled(study) == taken
    assert ("1 image has no box, of 2 in" in err and "left open" in err) is not bool(options)


def test_labels_in_part_are_taken_as_such(boxwise, study, tmp_path):
    box, line = '<box label="cat" xtl="1" ytl="2" xbr="3" ybr="4"/>', '<polyline label="cat" points="1,1;9,9"/>'
    path = tmp_path / "annotations.xml"
    path.write_text(f'<annotations><image name="a.jpg" width="100" height="80">{box}{line}</image></annotations>')
    for said in ("1 image labelled, 0 known already", "0 images labelled, 1 known already"):
        code, out, err = boxwise("import", study, path)
        assert code == 0 and said in out and "1 polyline in 1 image" in err
        assert labelled(study) == {"a.jpg": (1, False)}
    path.write_text(f'<annotations><image name="a.jpg" width="100" height="80">{box}</image></annotations>')
    assert "1 image labelled" in boxwise("import", study, path)[1]
    assert labelled(study) == {"a.jpg": (1, True)}


@pytest.mark.parametrize("name", ["a.xml", "a.txt"])
def test_one_file_of_many_is_answered(boxwise, study, tmp_path, name):
    (tmp_path / name).write_text(TEXTS["voc" if name == "a.xml" else "yolo"])
    code, _, err = boxwise("import", study, tmp_path / name)
    assert code == 2 and "is read by its folder" in err.replace("\n", " ")


def test_labels_are_taken_where_the_first_weights_are_gone(boxwise, tmp_path):
    """The first question needs the detector; labels that people have made do not wait for it."""
    import torch

    from boxwise.config import DetectorConfig
    from boxwise.detectors.detector import build_detector

    write_image(np.zeros((80, 100, 3), np.uint8), tmp_path / "photos" / "a.jpg")
    weights = tmp_path / "first.pt"
    config = DetectorConfig(name="tiny_ssd", imgsz=64, pretrained=False)
    build_detector("tiny_ssd", ("cat", "dog"), config, seed=0, device=torch.device("cpu")).save(weights)
    init = ("init", tmp_path / "study", "--images", tmp_path / "photos", "--classes", "cat,dog")
    code, _, err = boxwise(*init, "detector.name=tiny_ssd", "detector.imgsz=64", f"detector.weights={weights}")
    assert code == 0, err
    weights.unlink()
    code, _, err = boxwise("query", tmp_path / "study")
    assert code == 2 and str(weights) in err
    code, out, err = boxwise("import", tmp_path / "study", coco(tmp_path / "l.json", ["a.jpg"]))
    assert code == 0 and "1 image labelled" in out, err
    assert labelled(tmp_path / "study") == {"a.jpg": (1, True)}


def test_numbers_alone_are_not_taken_once_the_classes_have_changed_theirs(boxwise, study, tmp_path):
    (tmp_path / "l").mkdir()
    (tmp_path / "l" / "a.txt").write_text("1 .5 .5 .2 .25\n")
    code, out, err = boxwise("import", study, tmp_path / "l", "--format", "yolo")
    assert code == 0 and "1 image labelled" in out and "numbers are taken for those of the study's classes (1 = dog)" in err, out + err
    assert boxwise("classes", study, "--add", "fox")[0] == 0  # the numbers stay
    code, out, err = boxwise("import", study, tmp_path / "l", "--format", "yolo")
    assert code == 0 and "1 = dog" in err, err
    assert boxwise("classes", study, "--remove", "cat")[0] == 0
    for verb in (("import", study, tmp_path / "l"), ("add", study, "--images", tmp_path / "photos", "--labels", tmp_path / "l")):
        code, _, err = boxwise(*verb, "--format", "yolo")
        assert code == 2 and f"to {tmp_path / 'l' / 'classes.txt'}." in err and "1 has meant another class" in err, err
    (tmp_path / "l" / "classes.txt").write_text("cat\ndog\n")
    code, out, err = boxwise("import", study, tmp_path / "l", "--format", "yolo")
    assert code == 0 and "0 findings" in out and "Note" not in err, out + err
    opened = Study.open(study)
    assert [opened.classes[label] for label in opened.annotation("a.jpg").boxes.labels] == ["dog"]


def test_numbers_alone_are_taken_where_none_of_them_meant_another_class(boxwise, study, tmp_path):
    (tmp_path / "l").mkdir()
    (tmp_path / "l" / "a.txt").write_text("1 .5 .5 .2 .25\n")
    for change in (("--add", "bird"), ("--remove", "bird"), ("--rename", "dog=hound"), ("--add", "fox"), ("--merge", "hound,fox=hound")):
        assert boxwise("classes", study, *change)[0] == 0
    code, out, err = boxwise("import", study, tmp_path / "l", "--format", "yolo")
    assert code == 0 and "1 image labelled" in out and "(1 = hound)" in err, out + err
    assert boxwise("classes", study, "--add", "fox")[0] == 0
    (tmp_path / "l" / "a.txt").write_text("2 .5 .5 .2 .25\n")  # bird, or a fox of the one time or the other
    code, _, err = boxwise("import", study, tmp_path / "l", "--format", "yolo")
    assert code == 2 and "2 has meant another class of the study before" in err, err


def test_a_tool_with_another_order_of_classes_in_a_folder_of_query(boxwise, waiting_study, tmp_path):
    study, out = waiting_study("full"), tmp_path / "to_label"
    assert boxwise("query", study.folder, "--out", out, "--format", "yolo")[0] == 0
    before = labelled(study.folder)
    next((out / "labels").glob("*.txt")).write_text("0 .5 .5 .2 .2\n")
    (out / "labels" / "classes.txt").write_text("\n".join(reversed(study.classes)))
    code, _, err = boxwise("import", study.folder, out)
    assert code == 2 and "labels/classes.txt: expected the names of" in err and "data.yaml, found that class 0 is" in err, err
    assert labelled(study.folder) == before
    (out / "labels" / "classes.txt").write_text("\n".join(study.classes))
    assert boxwise("import", study.folder, out)[0] == 0


class TestManyFindings:
    """The first are on the screen, all are in a file of the study."""

    NAMES = tuple(f"{n}.jpg" for n in range(23))

    def labelled(self, folder, label):
        """(images, YOLO labels elsewhere): one box an image, its line as given."""
        for name in self.NAMES:
            write_image(np.full((80, 100, 3), 9 * int(name[:-4]), np.uint8), folder / "photos" / name)
            path = folder / "y" / "labels" / f"{name[:-4]}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(label)
        (folder / "y" / "data.yaml").write_text("names: [cat, fox]\n")
        return folder / "photos", folder / "y"

    def said(self, err, study, kind):
        text = (study / "findings.txt").read_text(encoding="utf-8").splitlines()
        assert f"... and 3 more findings; all of them are in {study / 'findings.txt'}." in err
        assert len(text) == 23 and all(line.startswith(kind) for line in text) and err.count(f"\n{kind}") + err.startswith(kind) == 20

    def test_of_labels_that_a_study_is_made_with(self, boxwise, tmp_path):
        images, labels = self.labelled(tmp_path, "0 .5 .5 .2 .2\n" * 2)
        code, _, err = boxwise("init", tmp_path / "s", "--images", images, "--labels", labels, "detector.pretrained=none")
        assert code == 0, err
        self.said(err, tmp_path / "s", "duplicate box")

    def test_of_labels_that_come_later_also_where_nothing_is_taken(self, boxwise, tmp_path):
        images, labels = self.labelled(tmp_path, "1 .5 .5 .2 .2\n")
        assert boxwise("init", tmp_path / "s", "--images", images, "--classes", "cat", "detector.pretrained=none")[0] == 0
        code, _, err = boxwise("import", tmp_path / "s", labels)
        assert code == 2 and "nothing was taken" in err
        self.said(err, tmp_path / "s", "unknown class")

    def test_a_dry_run_says_all_and_writes_nothing(self, boxwise, tmp_path):
        images, labels = self.labelled(tmp_path, "0 .5 .5 .2 .2\n" * 2)
        assert boxwise("init", tmp_path / "s", "--images", images, "--classes", "cat", "detector.pretrained=none")[0] == 0
        before = {path.name for path in (tmp_path / "s").iterdir()}
        code, _, err = boxwise("import", tmp_path / "s", labels, "--dry-run")
        assert code == 0 and {path.name for path in (tmp_path / "s").iterdir()} == before, err
        assert all(f"{name[:-4]}.txt" in err for name in self.NAMES) and "more finding" not in err


def test_a_dry_run_leaves_a_study_before_its_selection(boxwise, waiting_study, tmp_path):
    study = waiting_study("full")
    labels = document(study, study.open_query().image_ids[:2], tmp_path / "labels.json", boxed=2)
    study.go_back(1, Phase.SELECT)
    before = study.stamp()
    code, said, err = boxwise("import", study.folder, labels, "--dry-run")
    assert code == 0 and "labels of 2 images" in said and "next query is not selected yet. An import selects it first" in err, said + err
    assert study.stamp() == before and study.position == (1, Phase.SELECT)
    code, said, err = boxwise("import", study.folder, labels)
    assert code == 0 and "2 images labelled" in said and "not selected yet" not in err and study.position == (1, Phase.ANNOTATE), said + err


def test_a_dry_run_opens_no_image_of_a_list(boxwise, tmp_path):
    write_image(np.zeros((96, 96, 3), np.uint8), tmp_path / "a.jpg")
    (tmp_path / "list.txt").write_text(f"{tmp_path / 'a.jpg'}\n")
    assert boxwise("init", tmp_path / "s", "--images", tmp_path / "list.txt", "--classes", "cat", "detector.pretrained=none")[0] == 0
    study = Study.open(tmp_path / "s")
    labels = document(study, ["a.jpg"], tmp_path / "labels.json", boxed=1)
    code, said, err = boxwise("import", study.folder, labels, "--dry-run")
    assert code == 0 and "labels of 1 image," in said and not study.images()[0].measured, said + err
    code, said, err = boxwise("import", study.folder, labels)
    assert code == 0 and "1 image labelled" in said and study.images()[0].measured, said + err


def test_labels_of_no_known_layout_are_said_where_classes_are_given(boxwise, tmp_path):
    write_image(np.zeros((80, 100, 3), np.uint8), tmp_path / "kt" / "images" / "a.jpg")
    (tmp_path / "kt" / "label_02").mkdir()
    (tmp_path / "kt" / "label_02" / "0000.txt").write_text("0 1 Car 0 0 0 40 30 60 50 1 1 1 1 1 1 1\n")
    code, _, err = boxwise("init", tmp_path / "s", "--images", tmp_path / "kt", "--labels", tmp_path / "kt", "--classes", "Car")
    assert code == 2 and "no labels were found there. Give another --labels, or leave it out." in err and "label_02/0000.txt" in err, err
