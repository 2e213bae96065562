"""A folder to correct: what a person corrected there is not written over, what nobody touched is not their answer."""

import json
import re
import shutil

import pytest

from boxwise.records import Split
from boxwise.study import Study
from boxwise.study import study as study_module

FORMATS = ("voc", "coco", "yolo", "cvat")
FILES = {"coco": "proposals.json", "cvat": "annotations.xml"}


def label_files(out, name):
    """The files that hold labels; in COCO and CVAT one has all of them."""
    if name in FILES:
        return [out / FILES[name]]
    return sorted((out / "Annotations").glob("*.xml") if name == "voc" else (out / "labels").glob("*.txt"))


def correct(out, name):
    """Move the edge of a box of one image, or draw the first, as a person would; which image it was, apart from its suffix."""
    if name == "coco":
        path = out / "proposals.json"
        document = json.loads(path.read_text())
        box = document["annotations"][0]
        box["bbox"][2] += 7.0
        path.write_text(json.dumps(document))
        return next(image["file_name"] for image in document["images"] if image["id"] == box["image_id"]).rpartition(".")[0]
    if name == "cvat":
        path = out / "annotations.xml"
        text = path.read_text()
        first = re.search(r'<box [^>]*xtl="[^"]*"', text)
        image = re.findall(r'<image [^>]*name="([^"]*)"', text[: first.start()])[-1]
        edge = re.search(r'xtl="([^"]*)"', first[0])
        moved = first[0].replace(edge[0], f'xtl="{float(edge[1]) / 2 + 0.1}"')
        path.write_text(text.replace(first[0], moved, 1).replace(first[0], moved, 1))
        return image.rpartition(".")[0]
    path = next(path for path in label_files(out, name) if (path.read_text().strip() and "<object>" in path.read_text()) or name == "yolo")
    if name == "voc":
        path.write_text(re.sub(r"<xmax>[^<]*</xmax>", "<xmax>95</xmax>", path.read_text(), count=1))
    else:
        path.write_text("0 0.5 0.5 0.25 0.25\n")
    return path.stem


def labelled_now(folder):
    return {image_id.rpartition(".")[0] for split in Split for image_id in Study.open(folder).annotations(split)}


@pytest.fixture
def asked(boxwise, waiting_study, tmp_path, name):
    """A study and the folder to which a query has written what it asks, in the format `name`."""
    study, out = waiting_study("full").folder, tmp_path / "to_label"
    assert boxwise("query", study, "--out", out, "--format", name)[0] == 0
    return study, out


@pytest.mark.parametrize("mode", ["full", "review"])
@pytest.mark.parametrize("name", FORMATS)
class TestQuery:
    def test_what_was_corrected_is_not_written_over(self, boxwise, waiting_study, tmp_path, name, mode):
        study, out = waiting_study(mode).folder, tmp_path / "to_label"
        query = ("query", study, "--out", out, "--format", name)
        assert boxwise(*query)[0] == 0 and boxwise(*query)[0] == 0  # nobody has changed anything
        correct(out, name)
        before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
        code, _, err = boxwise(*query)
        assert code == 2 and "was changed since it was written" in err and "import it first, or give another --out" in err, err
        assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
        assert boxwise("import", study, out, "--format", name)[0] == 0
        code, _, err = boxwise(*query)
        assert code == 0, err

    def test_what_nobody_touched_is_no_answer_unless_that_is_said(self, boxwise, waiting_study, tmp_path, name, mode):
        study, out = waiting_study(mode).folder, tmp_path / "to_label"
        before = labelled_now(study)
        code, said, _ = boxwise("query", study, "--out", out, "--format", name)
        assert code == 0 and "--untouched accept" in said and ("charged as drawn" in said) == (mode == "full")
        corrected = correct(out, name)
        code, said, err = boxwise("import", study, out, "--format", name)
        assert code == 0 and "1 image labelled" in said, said + err
        assert "3 images are as boxwise wrote them: left waiting; `--untouched accept` takes them as they are." in err
        assert labelled_now(study) - before == {corrected} and "4 images still wait" in said
        code, said, err = boxwise("import", study, out, "--format", name, "--untouched", "accept")
        assert code == 0 and "3 images labelled, 1 known already" in said and "left waiting" not in err, said + err
        assert "1 image still waits" in said  # that of val, which had no boxes of the model's


def test_a_file_of_one_image_that_was_saved_is_an_answer_though_nothing_moved(boxwise, waiting_study, tmp_path):
    study, out = waiting_study("full").folder, tmp_path / "to_label"
    assert boxwise("query", study, "--out", out, "--format", "voc")[0] == 0
    path = label_files(out, "voc")[0]
    path.write_text(path.read_text() + "\n")
    code, said, err = boxwise("import", study, out)
    assert code == 0 and "1 image labelled" in said and "3 images are" in err, said + err


def test_labels_that_were_not_taken_are_not_replaced_by_the_models(boxwise, waiting_study, tmp_path):
    """Who labels elsewhere after all: the folder's files are nobody's answer to what is labelled by now."""
    study, out = waiting_study("full"), tmp_path / "to_label"
    assert boxwise("query", study.folder, "--out", out, "--format", "yolo")[0] == 0
    first = next(item.image_id for item in study.ask().items if item.split is Split.TRAIN)
    study.tell(first, [], annotator="ann", seconds=1.0)
    assert boxwise("import", study.folder, out)[0] == 0
    assert Study.open(study.folder).history(first)[-1].annotator == "ann"


@pytest.mark.parametrize(("there", "given"), [("voc", "coco"), ("coco", "voc"), ("yolo", "cvat"), ("cvat", "yolo")])
def test_formats_are_not_mixed_in_one_folder(boxwise, waiting_study, tmp_path, there, given):
    study, out = waiting_study("full").folder, tmp_path / "to_label"
    assert boxwise("query", study, "--out", out, "--format", there)[0] == 0
    before = sorted(out.rglob("*"))
    code, _, err = boxwise("query", study, "--out", out, "--format", given)
    assert code == 2 and f"found labels of {there}" in err and f"--format {there}" in err, err
    assert sorted(out.rglob("*")) == before


def test_labels_of_another_format_that_are_not_read_are_said(boxwise, waiting_study, tmp_path):
    study, out = waiting_study("full").folder, tmp_path / "to_label"
    assert boxwise("query", study, "--out", out, "--format", "voc")[0] == 0
    correct(out, "voc")
    assert "lie there, too" not in boxwise("import", study, out, "--dry-run")[2]
    (out / "labels").mkdir()
    (out / "labels" / f"{label_files(out, 'voc')[0].stem}.txt").write_text("0 .5 .5 .25 .25\n")
    code, _, err = boxwise("import", study, out)
    assert code == 0 and "labels of the format yolo lie there, too, and are not read; --format yolo reads them" in err, err


def test_a_dry_run_says_what_would_be_taken_from_whom_and_takes_nothing(boxwise, waiting_study, tmp_path):
    study, out = waiting_study("full"), tmp_path / "to_label"
    assert boxwise("query", study.folder, "--out", out, "--format", "yolo")[0] == 0
    corrected = correct(out, "yolo")
    image_id = next(i for i in study.ask().image_ids if i.startswith(corrected))
    study.tell(image_id, [], annotator="ann", seconds=1.0)
    before = labelled_now(study.folder)
    code, said, err = boxwise("import", study.folder, out, "--annotator", "ben", "--dry-run")
    assert code == 0 and "it would be labels of 1 image, from ben" in said and f"{image_id}: would replace the labels of ann." in said, err
    assert labelled_now(study.folder) == before and len(Study.open(study.folder).history(image_id)) == 1
    code, said, _ = boxwise("import", study.folder, out, "--annotator", "ben")
    assert code == 0 and "1 image labelled (1 of them changed)" in said and len(Study.open(study.folder).history(image_id)) == 2


def test_labels_that_are_known_are_not_said_to_be_unasked_again(boxwise, waiting_study, tmp_path):
    study, out = waiting_study("full").folder, tmp_path / "to_label"
    assert boxwise("query", study, "--out", out, "--format", "yolo")[0] == 0
    assert boxwise("import", study, out, "--untouched", "accept")[0] == 0
    code, said, err = boxwise("import", study, out, "--untouched", "accept")
    assert code == 0 and "0 images labelled, 4 known already" in said and "not asked for now" not in err


@pytest.mark.parametrize("name", FORMATS)
def test_labels_older_than_a_class_are_not_written_over_either(boxwise, waiting_study, tmp_path, name):
    study, out = waiting_study("full").folder, tmp_path / "again"
    assert boxwise("classes", study, "--add", "fox")[0] == 0
    query = ("query", study, "--before-class", "fox", "--out", out, "--format", name)
    assert boxwise(*query)[0] == 0 and boxwise(*query)[0] == 0
    path = out / "labels.json" if name == "coco" else label_files(out, name)[0]
    path.write_text(path.read_text() + " ")
    code, _, err = boxwise(*query)
    assert code == 2 and f"{path} was changed since it was written" in err, err


def test_what_an_import_has_not_read_is_not_written_over(boxwise, waiting_study, tmp_path):
    """Answers in a file of their own count alone; what was corrected in the model's file beside them is still to be imported."""
    study, out = waiting_study("full"), tmp_path / "to_label"
    query = ("query", study.folder, "--out", out)
    assert boxwise(*query)[0] == 0
    document = json.loads((out / "proposals.json").read_text())
    document["info"]["description"] = "mine"
    document["annotations"][0]["bbox"][2] += 7.0
    correct(out, "coco")
    (out / "instances.json").write_text(json.dumps(document))
    code, said, err = boxwise("import", study.folder, out)
    assert code == 0 and "1 image labelled" in said and "Not read, since instances.json has labels" in err, said + err
    code, _, err = boxwise(*query)
    assert code == 2 and "proposals.json was changed since it was written" in err, err


def rounded(out, name):
    """As a tool that keeps whole pixels hands the boxes back."""
    path = out / FILES[name]
    if name == "coco":
        document = json.loads(path.read_text())
        for box in document["annotations"]:
            box["bbox"] = [float(round(number)) for number in box["bbox"]]
        path.write_text(json.dumps(document))
    else:
        edges = r'(xtl|ytl|xbr|ybr)="([^"]*)"'
        path.write_text(re.sub(edges, lambda found: f'{found[1]}="{round(float(found[2]))}"', path.read_text()))


@pytest.mark.parametrize(
    ("name", "where"),
    [*((name, where) for name in FORMATS for where in ("copied", "wrapped")), *(("coco", where) for where in ("below", "named"))],
)
def test_what_nobody_touched_is_known_wherever_it_comes_back_from(boxwise, asked, tmp_path, name, where):
    (study, out), back = asked, tmp_path / "back"
    if where in ("copied", "wrapped"):
        shutil.copytree(out, back / "task_7" if where == "wrapped" else back, ignore=shutil.ignore_patterns(".*", "*.csv"))
    else:
        (back / "annotations").mkdir(parents=True)
        shutil.copy(out / FILES[name], back / "annotations" / "instances_default.json")
        back = back if where == "below" else back / "annotations" / "instances_default.json"
    before = labelled_now(study)
    code, said, err = boxwise("import", study, back)
    assert code == 0 and "0 images labelled" in said and "4 images are as boxwise wrote them: left waiting" in err, said + err
    assert labelled_now(study) == before and not list((tmp_path / "back").rglob(".written*"))
    code, said, err = boxwise("import", study, back, "--untouched", "accept")
    assert code == 0 and "4 images labelled" in said, said + err


@pytest.mark.parametrize("name", FILES)
def test_boxes_that_come_back_in_whole_pixels_are_as_written(boxwise, asked, name):
    study, out = asked
    rounded(out, name)
    code, said, err = boxwise("import", study, out)
    assert code == 0 and "0 images labelled" in said and "4 images are" in err, said + err


@pytest.mark.parametrize("mark", ["iscrowd", "difficult", "complete"])
def test_a_box_that_was_marked_or_an_image_left_in_part_was_touched(boxwise, waiting_study, tmp_path, mark):
    study, out = waiting_study("full").folder, tmp_path / "to_label"
    assert boxwise("query", study, "--out", out)[0] == 0
    document = json.loads((out / "proposals.json").read_text())
    box = document["annotations"][0]
    image = next(image for image in document["images"] if image["id"] == box["image_id"])
    (image if mark == "complete" else box)[mark] = False if mark == "complete" else 1
    (out / "proposals.json").write_text(json.dumps(document))
    code, said, err = boxwise("import", study, out)
    assert code == 0 and "1 image labelled" in said and "3 images are" in err, said + err


def test_files_saved_with_the_boxes_as_written_are_counted(boxwise, waiting_study, tmp_path):
    study, out = waiting_study("full").folder, tmp_path / "to_label"
    assert boxwise("query", study, "--out", out, "--format", "voc")[0] == 0
    for path in label_files(out, "voc"):
        path.write_text(path.read_text() + "\n")
    code, said, err = boxwise("import", study, out)
    assert code == 0 and "4 images labelled" in said, said + err
    assert "4 files were saved with the boxes as boxwise wrote them: taken as looked at." in err and "left waiting" not in err, err


def test_a_query_that_was_killed_before_its_files_leaves_none_that_look_saved(boxwise, waiting_study, tmp_path, monkeypatch):
    study, out = waiting_study("full").folder, tmp_path / "to_label"
    query = ("query", study, "--out", out, "--format", "voc")
    assert boxwise(*query)[0] == 0
    record = out / ".written_to_correct.json"
    kept = json.loads(record.read_text())
    kept["earlier"], kept["digests"] = list(kept["digests"].values()), dict.fromkeys(kept["digests"], "of what was to come")
    record.write_text(json.dumps(kept))
    code, said, err = boxwise("import", study, out)
    assert code == 0 and "0 images labelled" in said and "4 images are" in err, said + err
    assert boxwise(*query)[0] == 0


@pytest.mark.parametrize(("name", "sheet"), [("voc", "classes.txt"), ("yolo", "data.yaml")])
def test_lists_beside_the_labels_are_nobodys_work(boxwise, waiting_study, tmp_path, name, sheet):
    study, out = waiting_study("full").folder, tmp_path / "to_label"
    query = ("query", study, "--out", out, "--format", name)
    assert boxwise(*query)[0] == 0
    (out / sheet).write_text((out / sheet).read_text() + "\n")
    code, _, err = boxwise(*query)
    assert code == 0, err


def is_not_written_over(boxwise, study, query, other, *, changed):
    """With the images of both files waiting again, a query refuses to write over the one that was changed and not taken."""
    assert boxwise("unlabel", study, *(f"{path.stem}.png" for path in (other, changed)))[0] == 0
    code, _, err = boxwise(*query)
    assert code == 2 and f"{changed} was changed since it was written" in err, err


def test_a_file_of_an_image_that_was_labelled_meanwhile_is_not_written_over(boxwise, waiting_study, tmp_path, monkeypatch):
    study, out = waiting_study("full").folder, tmp_path / "to_label"
    query = ("query", study, "--out", out, "--format", "yolo")
    assert boxwise(*query)[0] == 0
    first, second, *_ = label_files(out, "yolo")
    first.write_text("0 0.5 0.5 0.25 0.25\n")
    second.write_text("0 0.5 0.5 0.25 0.5\n")
    take = study_module.take

    def later(opened, *said, **more):
        monkeypatch.undo()
        Study.open(study).tell(f"{second.stem}.png", (), annotator="anna")
        return take(opened, *said, **more)

    monkeypatch.setattr(study_module, "take", later)
    code, said, err = boxwise("import", study, out)
    assert code == 0 and "1 image labelled" in said and f"by anna: {second.stem}.png; left as answered" in err, said + err
    assert "findings:" not in err
    is_not_written_over(boxwise, study, query, first, changed=second)
    assert boxwise("import", study, out)[0] == 0 and boxwise(*query)[0] == 0


def test_a_file_with_a_finding_does_not_keep_the_others_from_being_taken(boxwise, waiting_study, tmp_path):
    study, out = waiting_study("full").folder, tmp_path / "to_label"
    query = ("query", study, "--out", out, "--format", "yolo")
    assert boxwise(*query)[0] == 0
    good, bad, *_ = label_files(out, "yolo")
    good.write_text("0 0.5 0.5 0.25 0.25\n")
    bad.write_text("0 0.5 0.5 0.25 0.25\n99 0.5 0.5 0.1 0.1\n")
    code, _, err = boxwise("import", study, out)
    assert code == 0 and f"{bad} has findings: `boxwise query` does not write over it. Mend it and import it again" in err, err
    is_not_written_over(boxwise, study, query, good, changed=bad)
    bad.write_text("0 0.5 0.5 0.25 0.25\n")
    assert boxwise("import", study, out)[0] == 0
    code, _, err = boxwise(*query)
    assert code == 0, err


@pytest.mark.parametrize("name", FORMATS)
def test_a_folder_without_a_record_is_known_once_it_was_imported(boxwise, waiting_study, tmp_path, name):
    study, out = waiting_study("full").folder, tmp_path / "to_label"
    query = ("query", study, "--out", out, "--format", name)
    assert boxwise(*query)[0] == 0
    (out / ".written_to_correct.json").unlink()
    (study / "rounds" / "round_01" / "written_out.json").unlink(missing_ok=True)
    correct(out, name)
    code, _, err = boxwise(*query)
    assert code == 2 and "not written by boxwise, or by an earlier version of it" in err and "import it first" in err, err
    assert boxwise("import", study, out, "--format", name)[0] == 0
    code, _, err = boxwise(*query)
    assert code == 0, err


def test_what_was_imported_is_known_also_where_the_folder_takes_no_record(boxwise, waiting_study, tmp_path):
    study, out = waiting_study("full").folder, tmp_path / "to_label"
    query = ("query", study, "--out", out, "--format", "cvat")
    assert boxwise(*query)[0] == 0
    correct(out, "cvat")
    before = (out / ".written_to_correct.json").read_bytes()
    assert boxwise("import", study, out)[0] == 0
    (out / ".written_to_correct.json").write_bytes(before)  # as it stays in a folder that is read-only at the time
    code, _, err = boxwise(*query)
    assert code == 0, err


def test_other_peoples_labels_get_no_file_of_ours_beside_them(boxwise, waiting_study, tmp_path):
    study, theirs = waiting_study("full").folder, tmp_path / "theirs"
    image = Study.open(study).ask().image_ids[0]
    (theirs / "labels").mkdir(parents=True)
    (theirs / "labels" / f"{image.rpartition('.')[0]}.txt").write_text("0 0.5 0.5 0.25 0.25\n")
    assert boxwise("import", study, theirs, "--format", "yolo")[0] == 0
    assert [path.name for path in theirs.iterdir()] == ["labels"]


def test_labels_of_a_format_that_is_only_read_do_not_end_a_query(boxwise, waiting_study, tmp_path):
    study, out = waiting_study("full").folder, tmp_path / "to_label"
    out.mkdir()
    (out / "scene.json").write_text(json.dumps({"version": "5.0.1", "shapes": [], "imagePath": "scene.png"}))
    code, _, err = boxwise("query", study, "--out", out, "--format", "yolo")
    assert code == 0 and (out / "scene.json").is_file(), err


def test_several_files_in_the_way_are_said_in_their_number(boxwise, waiting_study, tmp_path):
    study, out = waiting_study("full").folder, tmp_path / "to_label"
    query = ("query", study, "--out", out, "--format", "yolo")
    assert boxwise(*query)[0] == 0
    for path in label_files(out, "yolo"):
        path.write_text("0 0.5 0.5 0.25 0.25\n")
    assert " and 3 more were changed since they were written. Nothing was written: import them first" in boxwise(*query)[2]


@pytest.mark.parametrize(("name", "way"), [("voc", "remove the label files"), ("coco", "`images`"), ("cvat", "`<image>`")])
def test_how_to_take_out_what_nobody_looked_at_is_said(boxwise, waiting_study, tmp_path, name, way):
    study, out = waiting_study("full").folder, tmp_path / "to_label"
    said = boxwise("query", study, "--out", out, "--format", name)[1]
    assert way in said, said
    if name == "coco":
        document = json.loads((out / "proposals.json").read_text())
        left = document["annotations"][0]["image_id"]
        document["images"] = [image for image in document["images"] if image["id"] != left]
        document["annotations"] = [box for box in document["annotations"] if box["image_id"] != left]
        (out / "proposals.json").write_text(json.dumps(document))
    elif name == "cvat":
        path = out / "annotations.xml"
        path.write_text(re.sub(r"<image .*?</image>", "", path.read_text(), count=1, flags=re.DOTALL))
    else:
        label_files(out, name)[0].unlink()
    code, said, err = boxwise("import", study, out, "--untouched", "accept")
    assert code == 0 and "3 images labelled" in said and "0 findings" in said, said + err


def test_boxes_are_called_a_hint_where_there_are_any(boxwise, waiting_study, tmp_path, monkeypatch):
    from boxwise.boxes import Boxes
    from boxwise.report import queries

    study, found = waiting_study("full").folder, queries._prelabels
    monkeypatch.setattr(queries, "_prelabels", lambda *given: dict.fromkeys(found(*given), Boxes.empty()))
    said = boxwise("query", study, "--out", tmp_path / "to_label")[1]
    assert "--untouched accept" in said and "The boxes are a hint" not in said, said


def test_a_dry_run_names_twenty_at_most(capsys):
    from types import SimpleNamespace

    from boxwise.cli.reading import say_what_would_be_taken

    ids = tuple(f"{number}.png" for number in range(25))
    opened = SimpleNamespace(history=lambda image_id: [SimpleNamespace(annotator="ann", late=False)])
    say_what_would_be_taken(opened, SimpleNamespace(acts=dict.fromkeys(ids, ()), replaced=ids, known=0), "ben")
    said = capsys.readouterr().out
    assert said.count("would replace the labels of ann") == 20 and "... and 5 more images" in said


@pytest.mark.parametrize("name", FORMATS)
def test_what_an_image_out_of_use_was_corrected_to_is_not_written_over(boxwise, waiting_study, tmp_path, name):
    study, out = waiting_study("full").folder, tmp_path / "to_label"
    query = ("query", study, "--out", out, "--format", name)
    assert boxwise(*query)[0] == 0
    stem = correct(out, name)
    answered = next(file for file in label_files(out, name) if name in FILES or file.stem == stem)
    assert boxwise("exclude", study, f"{stem}.png")[0] == 0 and boxwise("import", study, out)[0] == 0
    assert boxwise("include", study, f"{stem}.png")[0] == 0 and stem not in labelled_now(study)
    code, _, err = boxwise(*query)
    assert code == 2 and f"{answered} was changed since it was written" in err, err


def save_beside(out, place, name, stem, *, boxes=1):
    """As a labelling tool does that was not told of the folder for labels: with the images, or in the folder that was opened."""
    path = out / place / f"{stem}{'.xml' if name == 'voc' else '.txt'}"
    drawn = "<object><name>{}</name><bndbox><xmin>3</xmin><ymin>4</ymin><xmax>40</xmax><ymax>50</ymax></bndbox></object>"
    first = (out / "classes.txt").read_text().split()[0] if name == "voc" else ""
    voc = f"<annotation><filename>{stem}.png</filename>{drawn.format(first) * boxes}</annotation>"
    path.write_text(voc if name == "voc" else "0 0.5 0.5 0.25 0.25\n" * boxes)
    return path


@pytest.mark.parametrize(("name", "place"), [("voc", "JPEGImages"), ("voc", ""), ("yolo", "images"), ("yolo", "")])
class TestLabelsSavedBesideTheFolderForThem:
    def test_they_are_taken_before_files_that_nobody_touched(self, boxwise, asked, name, place):
        study, out = asked
        query = ("query", study, "--out", out, "--format", name)
        first, second, *_ = (path.stem for path in label_files(out, name))
        save_beside(out, place, name, first)
        save_beside(out, place, name, second, boxes=0)
        code, _, err = boxwise(*query)
        assert code == 2 and "and 1 more have labels of images that are asked about. Nothing was written: import them first" in err, err
        before = labelled_now(study)
        code, said, err = boxwise("import", study, out)
        assert code == 0 and "2 images labelled" in said and "0 findings" in said and "2 images are as boxwise wrote them" in err, (
            said + err
        )
        assert labelled_now(study) - before == {first, second}
        assert {len(Study.open(study).history(f"{stem}.png")[-1].annotation.boxes) for stem in (first, second)} == {0, 1}
        code, _, err = boxwise(*query)
        assert code == 0, err
        assert boxwise("unlabel", study, f"{first}.png")[0] == 0
        code, _, err = boxwise(*query)
        assert code == 2 and f"{out / place / first}" in err and "Nothing was written: remove it, or give another --out" in err, err

    @pytest.mark.parametrize("recorded", [True, False], ids=["corrected", "without-the-record"])
    def test_two_answers_that_differ_are_both_named_and_none_is_taken(self, boxwise, asked, name, place, recorded):
        study, out = asked
        stem = correct(out, name) if recorded else label_files(out, name)[0].stem
        own = next(path for path in label_files(out, name) if path.stem == stem)
        beside = save_beside(out, place, name, own.stem, boxes=2)
        if not recorded:
            (out / ".written_to_correct.json").unlink()
        code, said, err = boxwise("import", study, out, "--untouched", "accept")
        assert code == 0 and "3 images labelled" in said and own.stem not in labelled_now(study), said + err
        assert f"{beside}: expected one label file for {own.stem}.png, found {own} too" in err, err

    def test_the_same_boxes_saved_again_were_looked_at(self, boxwise, asked, name, place):
        study, out = asked
        own = label_files(out, name)[0]
        (out / place / own.name).write_text(own.read_text() + "\n")
        code, said, err = boxwise("import", study, out)
        assert code == 0 and "1 image labelled" in said and "3 images are as boxwise wrote them" in err, said + err

    def test_where_the_folder_for_labels_is_named_they_are_named_too(self, boxwise, asked, name, place):
        study, out = asked
        own = label_files(out, name)[0]
        beside = save_beside(out, place, name, own.stem)
        code, said, err = boxwise("import", study, own.parent, "--format", name)
        assert code == 0 and "0 images labelled" in said, said + err
        assert f"1 more file beside {own.parent.name} is not read (first: {beside})" in err, err


@pytest.mark.parametrize("place", ["task.xml", "task_7/annotations.xml", "task_7/job_1/annotations.xml"])
def test_a_file_of_cvat_beside_that_of_the_query_counts_where_nobody_touched_that(boxwise, waiting_study, tmp_path, place):
    study, out = waiting_study("full").folder, tmp_path / "to_label"
    assert boxwise("query", study, "--out", out, "--format", "cvat")[0] == 0
    written = (out / "annotations.xml").read_text()
    corrected = correct(out, "cvat")
    (out / place).parent.mkdir(parents=True, exist_ok=True)
    (out / place).write_text((out / "annotations.xml").read_text())
    (out / "annotations.xml").write_text(written)
    before = labelled_now(study)
    code, said, err = boxwise("import", study, out)
    assert code == 0 and "1 image labelled" in said and labelled_now(study) - before == {corrected}, said + err
    assert f"is not read (first: {out / 'annotations.xml'})" in err, err


@pytest.mark.parametrize(("name", "place"), [("voc", "JPEGImages"), ("coco", "images"), ("yolo", "images"), ("cvat", "images")])
def test_labelmes_files_beside_the_images_are_named(boxwise, asked, name, place):
    study, out = asked
    image = next((out / place).glob("*.png"))
    image.with_suffix(".json").write_text(json.dumps({"version": "5.0.1", "shapes": [], "imagePath": image.name}))
    err = boxwise("import", study, out)[2]
    assert "--format labelme reads them" in err or f"is not read (first: {image.with_suffix('.json')})" in err, err
