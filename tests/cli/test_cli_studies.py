"""A user's way through a real study: a folder of images, labels that come in batches, a report at the end."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from boxwise.cli.looking import next_command
from boxwise.records import Phase, Split
from boxwise.rounds.ending import End
from boxwise.study import Study


@pytest.fixture(scope="module")
def images(digits, tmp_path_factory):
    """A plain folder of the unlabelled training images."""
    folder = tmp_path_factory.mktemp("user") / "images"
    folder.mkdir()
    for record in digits.images:
        if record.split is Split.TRAIN:
            shutil.copyfile(record.uri, folder / Path(record.uri).name)
    return folder


def hand_in(study_folder, digits, target, format_name, boxwise):
    """Label what is asked, as another tool would write it, and import it."""
    from dataclasses import replace

    from boxwise.data.formats.names import FORMATS

    asked = set(Study.open(study_folder).ask().image_ids)
    by_name = {Path(record.uri).name: record.image_id for record in digits.images}
    names = {name: by_name[name] for name in asked}
    records = tuple(replace(r, image_id=Path(r.uri).name, split=None) for r in digits.images if Path(r.uri).name in names)
    dataset = replace(digits, images=records, labels={name: digits.labels[image_id] for name, image_id in names.items()}, class_ids=None)
    FORMATS[format_name].write(dataset, target, copy_images=True)
    return boxwise("import", study_folder, target, "--format", format_name)


def test_where_no_image_is_left_to_label_more_rounds_are_no_way_on():
    done = SimpleNamespace(folder="study", end=End("every image of the pool is labelled"), pool_size=lambda: 0)
    assert next_command(done, False).startswith("boxwise add study --images DIR, since no image is left to label")


def test_query_without_scores_shows_the_utility_and_none_of_a_random_draw(waiting_study, boxwise):
    study = waiting_study("full")  # by k_center; one image is drawn for val
    rows = [line.split("│")[1:-1] for line in boxwise("query", study.folder)[1].splitlines() if "whole image" in line]
    shown = {name.strip(): utility.strip() for name, _, _, utility in rows}
    wanted = {item.image_id: f"{item.utility:.3f}" if item.split is Split.TRAIN else "-" for item in study.ask().items}
    assert shown == wanted and "-" in shown.values()


@pytest.mark.slow
def test_from_a_folder_of_images_to_a_report(boxwise, images, digits, tmp_path, tiny_overrides):
    study = tmp_path / "study"
    classes = ",".join(digits.classes)
    code, out, _ = boxwise("init", study, "--images", images, "--classes", classes, *tiny_overrides)
    assert code == 0 and "0 of them labelled" in out
    for number, format_name in enumerate(("voc", "coco", "yolo")):
        code, out, _ = boxwise("run", study)
        assert code == 0 and f"Round {number} waits for labels" in out
        code, out, _ = boxwise("query", study)
        assert code == 0 and ("L_rec" in out) == (number > 0)
        boxwise("query", study, "--out", tmp_path / f"ask{number}")
        assert len(list((tmp_path / f"ask{number}" / "images").iterdir())) == (7 if number == 0 else 4)
        assert (tmp_path / f"ask{number}" / "proposals.json").exists() == (number > 0)
        code, out, err = hand_in(study, digits, tmp_path / f"labels{number}", format_name, boxwise)
        assert code == 0 and "0 known already, 0 findings" in out, err
    code, out, _ = hand_in(study, digits, tmp_path / "labels_again", "voc", boxwise)
    code, out, _ = boxwise("run", study)
    assert code == 0 and "The study is done" in out
    assert (study / "report.html").stat().st_size > 10_000 and list((study / "tensorboard").iterdir())
    with (study / "results.csv").open() as file:
        assert [row["images"] for row in csv.DictReader(file)] == ["6", "10", "14"]
    code, out, _ = boxwise("status", study)
    assert code == 0 and "round 2 of 2, next: done" in out and "Computing left" not in out and "--rounds N for more rounds" in out
    assert "the study is done" in boxwise("query", study)[1]

    code, out, _ = boxwise("export", study, tmp_path / "out.json", "--format", "coco")
    document = json.loads((tmp_path / "out.json").read_text())
    assert code == 0 and len(document["images"]) == 15
    code, out, _ = boxwise("export", study, tmp_path / "pool.json", "--predictions")
    assert code == 0 and all("score" in box for box in json.loads((tmp_path / "pool.json").read_text())["annotations"])

    weights = study / "rounds/round_02/weights.pt"
    code, out, err = boxwise("predict", weights, images, "--out", tmp_path / "drawn", "--conf", "0.01", "--device", "cpu")
    assert code == 0 and len(list((tmp_path / "drawn").glob("*.jpg"))) == len(list(images.iterdir()))
    code, _, err = boxwise("predict", weights, tmp_path / "labels0" / "classes.txt", "--out", tmp_path / "no")
    assert code == 2 and "classes.txt" in err

    code, out, err = boxwise("run", study, "--rounds", "3")
    assert code == 0 and "round 2 score: " in out and "Round 3 waits for labels of 4 images" in out, err
    assert "round 3 of 3, next: annotate" in boxwise("status", study)[1]


def test_an_import_of_images_alone_says_that_there_are_no_labels(boxwise, images, digits, tmp_path, tiny_overrides):
    boxwise("init", tmp_path / "study", "--images", images, "--classes", ",".join(digits.classes), *tiny_overrides)
    code, _, err = boxwise("import", tmp_path / "study", images)
    assert code == 2 and f"{images}: no labels of the study's images" in err


@pytest.mark.slow
def test_asked_by_boxes_a_person_hears_what_files_mean_and_what_export_leaves_out(boxwise, digits_folder, tmp_path, tiny_overrides):
    study, folder = tmp_path / "study", tmp_path / "to_label"
    asking = ("--ask", "boxes", "ask.uncertain=0.01", "ask.certain=1", "budget.initial=0", "budget.rounds=1", "budget.per_round=3")
    labels = tmp_path / "labels"
    shutil.copytree(digits_folder, labels)
    for path in sorted((labels / "Annotations").glob("*.xml"))[::2]:
        path.unlink()
    assert boxwise("init", study, "--labels", labels, *tiny_overrides, *asking)[0] == 0
    code, out, _ = boxwise("run", study)
    assert code == 0 and "Round 1 waits for labels" in out
    code, out, _ = boxwise("query", study, "--out", folder, "--format", "voc")
    assert code == 0 and "remove the label files of the images that you have not looked at" in out
    asked = len(Study.open(study).ask().items)
    code, out, _ = boxwise("import", study, folder, "--untouched", "accept")
    assert code == 0 and f"{asked} images labelled" in out
    _, _, err = boxwise("export", study, tmp_path / "labels.json")
    assert f"{asked} images are labelled in part and left out" in err


def test_an_export_says_what_it_leaves_out_and_that_there_is_nothing_yet(boxwise, images, digits, tmp_path, tiny_overrides):
    study, labels = tmp_path / "study", tmp_path / "labels"
    assert boxwise("init", study, "--images", images, "--classes", ",".join(digits.classes), *tiny_overrides)[0] == 0
    code, _, err = boxwise("export", study, tmp_path / "out")
    assert code == 2 and "no image is labelled yet, so nothing was written. Next: boxwise run" in err and not (tmp_path / "out").exists()
    code, _, err = boxwise("export", study, tmp_path / "all", "--unlabeled")
    assert code == 0, err
    names = sorted(path.name for path in images.iterdir())
    labels.mkdir()
    (labels / f"{names[0].rpartition('.')[0]}.txt").write_text("0 .5 .5 .25 .25\n")
    assert boxwise("import", study, labels, "--format", "yolo")[0] == 0
    code, out, err = boxwise("export", study, tmp_path / "out")
    assert code == 0 and "1 image, 1 box" in out
    assert f"{len(names) - 1} images are not labelled and left out; --unlabeled writes them, too." in err


def test_scores_have_chosen_no_question_of_the_first_round(boxwise, images, digits, tmp_path, tiny_overrides):
    study = tmp_path / "study"
    assert boxwise("init", study, "--images", images, "--classes", ",".join(digits.classes), *tiny_overrides)[0] == 0
    assert boxwise("query", study)[0] == 0
    code, _, err = boxwise("score", study)
    assert code == 2 and "the next step is annotate of round 0, not score. See" in err


def test_labels_that_exist_already_count_and_unlisted_images_join_the_pool(boxwise, digits_folder, tmp_path, tiny_overrides):
    from boxwise.data.datasets import read_dataset

    labels = tmp_path / "labels"
    shutil.copytree(digits_folder, labels)
    kept = sorted((labels / "Annotations").glob("*.xml"))[::2]
    for path in (labels / "Annotations").glob("*.xml"):
        if path not in kept:
            path.unlink()
    code, out, _ = boxwise("init", tmp_path / "study", "--images", labels / "JPEGImages", "--labels", labels, *tiny_overrides)
    study = Study.open(tmp_path / "study")
    assert code == 0 and f"60 images, {len(kept)} of them labelled" in out
    assert len(study.store.pool()) == 60 - len(kept)
    assert len(read_dataset(labels).labels) == len(kept)


@pytest.mark.slow
def test_single_steps(boxwise, digits_folder, tmp_path, tiny_overrides):
    study = tmp_path / "study"
    assert boxwise("init", study, "--labels", digits_folder, *tiny_overrides, "budget.rounds=1", "budget.initial=0")[0] == 0
    code, _, err = boxwise("score", study)
    assert code == 2 and "next step is select of round 0, not score" in err
    for verb in ("train", "evaluate", "score"):
        code, out, err = boxwise(verb, study)
        assert code == 0 and f"round 0 {verb}" in out, err


def test_a_study_that_waits_for_labels_is_evaluated_again_but_not_scored(boxwise, waiting_study):
    study = waiting_study("full")
    asked, quality = study.ask(), study.round(0).evaluate.val
    code, out, err = boxwise("evaluate", study.folder)
    assert code == 0 and "round 0 evaluate: val AP" in out, err
    code, _, err = boxwise("score", study.folder)
    assert code == 2 and "Round 1's questions were chosen by its scores" in err
    assert "labels of 5 images" in boxwise("train", study.folder)[1]
    again = Study.open(study.folder)
    assert again.ask() == asked and again.round(0).evaluate.val == quality


@pytest.mark.slow
def test_single_steps_of_a_study_that_is_done_can_be_repeated(boxwise, digits_folder, tmp_path, tiny_overrides):
    study = tmp_path / "study"
    assert boxwise("init", study, "--labels", digits_folder, *tiny_overrides, "budget.rounds=0", "budget.initial=0")[0] == 0
    assert boxwise("run", study)[0] == 0
    quality = Study.open(study).round(0).evaluate.val
    for verb in ("evaluate", "score"):
        code, out, err = boxwise(verb, study)
        assert code == 0 and f"round 0 {verb}" in out and "next: done" in boxwise("status", study)[1], err
    for verb in ("train", "train", "evaluate", "evaluate", "score"):
        code, out, err = boxwise(verb, study)
        assert code == 0 and f"round 0 {verb}" in out, err
    assert "next: done" in boxwise("status", study)[1]
    assert Study.open(study).round(0).evaluate.val == quality


class TestMistakes:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("run", "nowhere"), "nowhere: no boxwise study here"),
            (("init", "s"), "Give --images DIR"),
            (("init", "s", "--images", "nowhere"), "nowhere"),
            (("init", "s", "--images", ".", "--classes", "a"), "found none"),
            (("init", "s", "--images", ".", "--classes", "Gr\udcf6\udcdfe"), "is no name of a class: expected one line of text in UTF-8"),
            (("init", "s\udcf6", "--images", ".", "--classes", "a"), "expected a folder whose name is text in UTF-8"),
            (("init", "s", "--images", ".", "train.epoch=3"), "Did you mean 'train.epochs'"),
            (("init", "s", "--images", ".", "--config", "no.yaml"), "no.yaml: no such config file"),
            (("simulate", "--data", "nowhere"), "nowhere: expected a data set"),
            (("convert", "nowhere", "x", "--to", "voc"), "nowhere: expected a data set"),
            (("convert", ".", "x", "--to", "pascal"), "Unknown format 'pascal'"),
            (("predict", "no.pt", "."), "no.pt"),
            (("report", "nowhere"), "no boxwise study here"),
            (("doctor", "nowhere"), "nowhere: expected a data set"),
        ],
    )
    def test_one_message_and_exit_code_2(self, boxwise, tmp_path, monkeypatch, arguments, message):
        monkeypatch.chdir(tmp_path)
        code, _, err = boxwise(*arguments)
        assert code == 2 and message in err and "Traceback" not in err and len(err.splitlines()) <= 3

    def test_images_without_class_names(self, boxwise, images, tmp_path):
        code, _, err = boxwise("init", tmp_path / "s", "--images", images)
        assert code == 2 and "--classes" in err

    def test_a_folder_without_labels_is_named_where_labels_were_to_be(self, boxwise, images, tmp_path):
        code, _, err = boxwise("init", tmp_path / "s", "--labels", images)
        assert code == 2 and f"{images}: no labels were found there, so no class names either. Give another --labels" in err, err

    def test_weights_that_are_none(self, boxwise, tmp_path, images):
        (tmp_path / "w.pt").write_text("not weights")
        code, _, err = boxwise("predict", tmp_path / "w.pt", images, "--out", tmp_path / "drawn")
        assert code == 2 and "w.pt" in err

    @pytest.mark.parametrize(
        ("begin", "ways_out"),
        [
            (("device=cpu",), ("yolox_nano.pth", "boxwise set STUDY detector.weights=FILE", "detector.pretrained=none")),
            (
                ("detector.name=ssdlite320_mobilenet_v3", "detector.pretrained=imagenet"),
                ("detector.backbone_weights=FILE", "detector.pretrained=none"),
            ),
        ],
    )
    def test_offline_without_weights_names_the_ways_out(self, boxwise, digits_folder, tmp_path, monkeypatch, begin, ways_out):
        monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
        monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
        study = tmp_path / "study"
        boxwise("init", study, "--labels", digits_folder, "detector.imgsz=96", *begin)
        code, _, err = boxwise("run", study)
        assert code == 2 and all(way in err for way in ways_out)

    @pytest.mark.parametrize(
        ("overrides", "message"),
        [
            (("detector.weights=gone.pth",), "detector.weights=gone.pth: expected a file with a detector's weights, found no such file"),
            (("detector.weights=gone.pth", "detector.pretrained=none"), "detector.weights is a whole detector"),
            (("detector.name=tiny_ssd", "detector.pretrained=coco"), "tiny_ssd has no such weights; it takes none"),
            (("detector.pretrained=coco", "detector.backbone_weights=a.pth"), "give one of them"),
            (("detector.name=yolox_nano", "detector.backbone_weights=a.pth"), "yolox_nano has no backbone of its own to fill"),
            (("detector.name=ssdlite320_mobilenet_v2", "detector.backbone_weights=no.pth"), "no.pth: expected weights of the backbone"),
            (("detector.name=yolox_nano", "detector.imgsz=100"), "yolox_nano takes a multiple of 32 from 64 to 2048, found 100"),
        ],
    )
    def test_first_weights_that_cannot_be_are_refused_at_init(self, boxwise, digits_folder, tmp_path, overrides, message):
        code, _, err = boxwise("init", tmp_path / "s", "--labels", digits_folder, *overrides)
        assert code == 2 and message in err.replace("\n", " ")
        assert not (tmp_path / "s" / "config.yaml").exists()

    @pytest.mark.parametrize("verb", ["run", "query", "label"])
    def test_weights_that_do_not_fit_are_noticed_before_anyone_is_asked(self, boxwise, images, tmp_path, verb):
        """Names and shapes of the first layer are YOLOX-nano's, the rest is missing: only the network itself can tell."""
        import torch

        torch.save({"backbone.backbone.stem.conv.conv.weight": torch.zeros(16, 12, 3, 3)}, tmp_path / "part.pth")
        chosen = ("detector.name=yolox_nano", f"detector.weights={tmp_path / 'part.pth'}", "device=cpu")
        assert boxwise("init", tmp_path / "s", "--images", images, "--classes", "cat", *chosen)[0] == 0
        code, _, err = boxwise(verb, tmp_path / "s", *(["--no-browser"] if verb == "label" else []))
        assert code == 2 and "part.pth" in err and "missing" in err and "Traceback" not in err
        assert Study.open(tmp_path / "s").position == (0, Phase.SELECT)

    def test_they_are_noticed_too_where_they_are_set_after_the_first_question(self, boxwise, images, tmp_path, tiny_overrides):
        import torch

        torch.save({"backbone.backbone.stem.conv.conv.weight": torch.zeros(16, 12, 3, 3)}, tmp_path / "part.pth")
        assert boxwise("init", tmp_path / "s", "--images", images, "--classes", "cat", *tiny_overrides)[0] == 0
        assert boxwise("query", tmp_path / "s")[0] == 0
        new = ("detector.name=yolox_nano", "detector.pretrained=auto", f"detector.weights={tmp_path / 'part.pth'}")
        code, _, err = boxwise("set", tmp_path / "s", *new)
        assert code == 2 and "part.pth" in err and Study.open(tmp_path / "s").config.detector.name == "tiny_ssd"


def test_interrupted_by_the_user(boxwise, digits_folder, tmp_path, tiny_overrides, monkeypatch):
    boxwise("init", tmp_path / "s", "--labels", digits_folder, *tiny_overrides)

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("boxwise.study.Study._advance", interrupted)
    code, _, err = boxwise("run", tmp_path / "s")
    assert code == 130 and "Nothing is lost" in err


@pytest.mark.slow
def test_training_under_torchrun(boxwise, digits_folder, tmp_path, tiny_overrides, monkeypatch):
    """Two processes train one study, by settings that were edited before; only the first writes."""
    study = tmp_path / "study"
    boxwise("init", study, "--labels", digits_folder, *tiny_overrides, "budget.initial=0", "budget.rounds=0", "device=cpu")
    while Study.open(study).position[1] is not Phase.TRAIN:
        Study.open(study).step()
    config = study / "config.yaml"
    config.write_text(config.read_text().replace("max_steps: 12", "max_steps: 14"))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "boxwise", "train", study]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("round 0 train: 14 steps") == 1
    assert (study / "rounds/round_00/weights.pt").exists() and not (study / "rounds/round_00/checkpoint.pt").exists()
    with monkeypatch.context() as again:
        again.setenv("WORLD_SIZE", "2")
        said = f"Under torchrun no training is done again: `boxwise train {study}` alone does"
        assert said in boxwise("train", study)[2]
    assert boxwise("evaluate", study)[0] == 0
