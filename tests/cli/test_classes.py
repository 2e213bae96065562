"""Classes come, go and change their names in a study that is under way, through the command line."""

import re

import numpy as np
import pytest

from boxwise.annotation.class_change import class_change
from boxwise.annotation.verdicts import annotation_of
from boxwise.data.digits import make_digits
from boxwise.detectors.weights_file import read_weights
from boxwise.records import Action, Phase, Split, Verdict
from boxwise.study import Study

SETTINGS = (
    *("budget.initial=4", "budget.per_round=2", "budget.rounds=2", "budget.validation=0", "scorer.name=detection_loss"),
    *("detector.name=tiny_ssd", "detector.imgsz=64", "train.min_steps=2", "train.max_steps=2", "train.start=previous", "train.batch=2"),
)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    make_digits(folder, seed=3, images=12, imgsz=48)
    return folder / "JPEGImages"


def begin(request, boxwise, scenes, folder, *settings):
    """A study in SQLite or PostgreSQL whose first images are labelled: box i of an image is of class i."""
    store = [f"store={request.getfixturevalue('empty_postgres')}"] if request.param == "postgresql" else []
    code, _, err = boxwise("init", folder, "--images", scenes, "--classes", "cat,dog,cow", *SETTINGS, *store, *settings)
    assert code == 0, err
    assert boxwise("run", folder)[0] == 0
    return folder


@pytest.fixture(params=["sqlite", "postgresql"])
def study(request, boxwise, scenes, tmp_path):
    return begin(request, boxwise, scenes, tmp_path / "study")


def answer(folder, *, count=None, labels=(0, 1, 2)):
    """Give `count` of the images that are asked for one box of each of `labels`; their ids."""
    study = Study.open(folder)
    ids = study.ask().image_ids[:count]
    for image_id in ids:
        acts = [Verdict(Action.ADD, xyxy=(1 + n, 2, 9 + n, 8), label=label) for n, label in enumerate(labels)]
        study.tell(image_id, acts, annotator="ann", seconds=3.0)
    study.store.close()
    return ids


def labels_of(folder, image_id):
    study = Study.open(folder)
    return [study.classes[label] for label in study.annotation(image_id).boxes.labels]


def test_a_merged_and_a_removed_class_in_all_labels_and_the_history(study, boxwise):
    first = answer(study, count=2)[0]
    code, out, err = boxwise("classes", study, "--merge", "cat,dog=pet", "--remove", "cow", "--by", "lead")
    assert code == 0, err
    assert (
        "cat, dog, cow became pet." in out
        and "The labels of 2 images follow" in out
        and "2 boxes are no longer counted: cow is removed" in err
    )
    assert labels_of(study, first) == ["pet", "pet"]
    opened = Study.open(study)
    assert opened.seconds(Split.TRAIN) == 6.0 and opened.people()["ann"].images == 2 and not opened.answered_again()
    assert len(opened.unanswered().items) == 2, "what was asked for stays asked for"
    _, told, _ = boxwise("history", study, first)
    lines = [line.partition("  ")[2] for line in told.splitlines()[1:-1]]
    assert lines == [
        "labelled by ann, round 0: 1 cat, 1 dog, 1 cow, complete, converted when the classes changed",
        "classes cat, dog, cow became pet, round 0",
        "labelled by ann, round 0: 2 pet, complete",
    ]
    assert boxwise("classes", study)[1].count("pet") == 1


def test_a_new_class_names_the_images_to_look_at_again(study, boxwise, tmp_path):
    early = answer(study)
    code, out, err = boxwise("classes", study, "--add", "fox")
    assert code == 0 and "4 images were labelled before there was a class fox" in err, err
    assert boxwise("query", study, "--before-class", "fox")[1].split() == sorted(early)
    folder = tmp_path / "again"
    assert boxwise("query", study, "--before-class", "fox", "--out", folder, "--format", "voc")[0] == 0
    code, out, err = boxwise("import", study, folder, "--format", "voc")
    assert code == 0 and "0 images labelled" in out and "4 images are as boxwise wrote them: left waiting" in err, out + err
    code, out, err = boxwise("import", study, folder, "--format", "voc", "--untouched", "accept")
    assert code == 0 and "4 images labelled" in out, out + err
    assert labels_of(study, early[0]) == ["cat", "dog", "cow"]
    assert "all have been looked at since" in boxwise("query", study, "--before-class", "fox")[1]
    assert "labelled before" not in boxwise("classes", study)[2]
    code, _, err = boxwise("query", study, "--before-class", "wolf")
    assert code == 2 and "wolf" in err


@pytest.mark.slow
def test_the_next_training_keeps_the_rows_of_the_classes_that_stay(study, boxwise):
    answer(study)
    assert boxwise("run", study)[0] == 0
    weights = study / "rounds" / "round_00" / "weights.pt"
    before = read_weights(weights)
    assert before["classes"] == ["cat", "dog", "cow"]
    asked = answer(study, count=1)
    assert boxwise("set", study, "train.lr=0.000001")[0] == 0
    code, out, err = boxwise("classes", study, "--add", "fox", "--remove", "cat", "--rename", "dog=hound")
    assert code == 0 and "Round 0 is done again from its train step" in out, err
    assert labels_of(study, asked[0]) == ["hound", "cow"], "an answer to the question that was withdrawn stays"
    assert boxwise("run", study)[0] == 0
    after = read_weights(weights)
    assert after["classes"] == ["hound", "cow", "fox"]
    assert Study.open(study).position == (1, Phase.ANNOTATE) and asked[0] not in Study.open(study).ask().image_ids
    answer(study)
    code, _, err = boxwise("run", study)
    assert code == 0, err
    assert boxwise("report", study)[0] == 0


@pytest.mark.slow
def test_a_question_that_is_withdrawn_leaves_nothing_but_answers(request, boxwise, scenes, tmp_path):
    """Images that it had drawn for val are in the pool again, and what the model labelled by itself counts no more."""
    request.param = "sqlite"
    folder = begin(
        request, boxwise, scenes, tmp_path / "study", "budget.val_per_round=1", "ask.mode=trust", "ask.certain=0.02", "ask.uncertain=0.01"
    )
    answer(folder)
    assert boxwise("run", folder)[0] == 0
    before = Study.open(folder)
    drawn = {record.image_id for record in before.images(Split.VAL)}
    assert drawn and before.position == (1, Phase.ANNOTATE)
    by_model = {i for i, a in before.annotations(Split.TRAIN).items() if a.by_model.any()}
    before.store.close()
    assert boxwise("classes", folder, "--remove", "cow")[0] == 0
    after = Study.open(folder)
    assert not after.images(Split.VAL) and drawn <= {record.image_id for record in after.pool()}
    assert by_model and not any(a.by_model.any() for a in after.annotations(Split.TRAIN).values())
    after.store.close()
    code, _, err = boxwise("run", folder)
    assert code == 0, err


@pytest.mark.slow
@pytest.mark.parametrize("study", ["sqlite"], indirect=True)
def test_weights_are_gone_on_from_row_by_row(study, boxwise):
    """Round 1 begins with the head of round 0: with a rate of nearly nothing its rows are those of round 0, whatever their place."""
    answer(study)
    assert boxwise("run", study)[0] == 0
    answer(study)
    assert boxwise("run", study)[0] == 0
    assert boxwise("set", study, "train.lr=0.0000001", "train.ema=0")[0] == 0
    answer(study)
    code, out, err = boxwise("classes", study, "--remove", "cat")
    assert code == 0 and "Round 1 is done again from its train step" in out, err
    assert boxwise("run", study)[0] == 0
    rows = [read_weights(study / "rounds" / f"round_0{n}" / "weights.pt")["network"] for n in (0, 1)]
    heads = [name for name, tensor in rows[0].items() if tensor.shape != rows[1][name].shape]
    assert heads
    for name in heads:
        old, new = (tensor[name].reshape(-1, classes, *tensor[name].shape[1:]) for tensor, classes in zip(rows, (4, 3), strict=True))
        np.testing.assert_allclose(new, old[:, [0, 2, 3]], atol=1e-4)  # background, dog, cow


@pytest.mark.slow
@pytest.mark.parametrize("study", ["sqlite"], indirect=True)
def test_a_new_name_costs_no_training(study, boxwise, tmp_path):
    answer(study)
    assert boxwise("run", study)[0] == 0
    answer(study, count=1)
    code, out, err = boxwise("classes", study, "--rename", "dog=hound")
    assert code == 0 and "done again" not in out, err
    assert len(Study.open(study).unanswered().items) == 1
    assert boxwise("predict", study, study.parent.parent / "nothing")[0] == 2
    answer(study)
    code, _, err = boxwise("run", study)
    assert code == 0, err
    from boxwise.inference import load

    assert load(study, round_index=0).classes == ("cat", "hound", "cow")


@pytest.mark.parametrize("study", ["sqlite"], indirect=True)
class TestRefused:
    def test_while_somebody_has_images_in_hand(self, study, boxwise):
        from time import time

        opened = Study.open(study)
        opened.labelling.lease(opened.ask().image_ids[0], "ann", at=time(), until=time() + 60)
        opened.store.close()
        code, out, err = boxwise("classes", study, "--add", "fox")
        assert code == 2 and "1 image is in the hands of ann" in err and "became" not in out
        assert re.search(r"Close the page, then change the classes; or wait till \d\d:\d\d: unless somebody goes on labelling", err)
        assert Study.open(study).classes == ("cat", "dog", "cow")

    def test_while_a_draft_has_boxes_of_a_class_that_goes(self, study, boxwise):
        opened = Study.open(study)
        opened.labelling.save_draft(opened.ask().image_ids[0], 0, "ann", revision=1, document={})
        opened.store.close()
        code, _, err = boxwise("classes", study, "--remove", "cow")
        assert code == 2 and "ann has begun" in err
        assert boxwise("classes", study, "--add", "fox")[0] == 0

    @pytest.mark.parametrize("over", ["out of use", "another's"])
    def test_not_while_a_draft_is_of_an_image_that_cannot_be_handed_in(self, study, boxwise, over):
        opened = Study.open(study)
        name = opened.ask().image_ids[0]
        opened.labelling.save_draft(name, 0, "ann", revision=1, document={})
        if over == "out of use":
            opened.quarantine(name, "its file is gone")
        else:
            opened.tell(name, [], annotator="ben", seconds=1.0)
        opened.store.close()
        assert boxwise("classes", study, "--merge", "cat,dog=pet")[0] == 0

    @pytest.mark.parametrize("options", [("--rename", "cat"), ("--merge", "cat,dog"), ("--rename", "=x"), ("--remove", "horse")])
    def test_what_cannot_be_meant(self, study, boxwise, options):
        code, _, err = boxwise("classes", study, *options)
        assert code == 2 and err.startswith("Error:") and "Traceback" not in err

    def test_thresholds_of_single_classes_follow(self, study, boxwise):
        assert boxwise("set", study, "ask.certain_of={cat: 0.9, cow: 0.8}")[0] == 0
        assert boxwise("classes", study, "--merge", "cat,cow=beast")[0] == 0
        assert Study.open(study).config.ask.certain_of == {"beast": 0.9}
        assert "beast" in (study / "config.yaml").read_text()
        assert "differs" not in boxwise("status", study)[2]

    @pytest.mark.parametrize("before", ["boxwise.store.Journal.change_classes", "boxwise.study.classes.write_config"])
    def test_thresholds_follow_where_a_change_is_killed_before_or_after_it_counts(self, study, boxwise, monkeypatch, before):
        def killed(*_, **__):
            raise KeyboardInterrupt

        assert boxwise("set", study, "ask.certain_of={cat: 0.9}")[0] == 0
        opened = Study.open(study)
        monkeypatch.setattr(before, killed)
        with pytest.raises(KeyboardInterrupt):
            opened.change_classes(class_change(opened.classes, rename={"cat": "tom"}))
        monkeypatch.undo()
        code, _, err = boxwise("status", study)
        assert code == 0 and "edited" not in err
        opened = Study.open(study)
        opened.step()
        name = opened.classes[0]
        assert f"{name}: 0.9" in (study / "config.yaml").read_text() and opened.config.ask.certain_of == {name: 0.9}
        (study / "config.yaml").write_text((study / "config.yaml").read_text().replace(f"{name}: 0.9", "cat: 0.9"))
        assert (Study.open(study).edited() is None) == (name == "cat")  # there is nothing to finish any more

    def test_an_edit_that_nothing_has_taken_in_stays(self, study, boxwise):
        config = study / "config.yaml"

        def edit(before, after):
            assert before in config.read_text()
            config.write_text(config.read_text().replace(before, after))

        assert boxwise("classes", study, "--add", "fox")[0] == 0
        edit("certain_of: {}", "certain_of: {fox: 0.9}")
        assert "config.yaml was edited (ask.certain_of.fox)" in boxwise("status", study)[2] and "fox: 0.9" in config.read_text()
        assert boxwise("set", study, "ask.certain_of={cat: 0.8}")[0] == 0
        edit("lr: null", "lr: 0.003")
        edit("    cat: 0.8", "    cat: 0.8\n    wolf: 0.7")
        assert boxwise("classes", study, "--rename", "cat=tom", "--add", "wolf")[0] == 0
        opened = Study.open(study)
        assert opened.config.ask.certain_of == {"tom": 0.8} and opened.config.train.lr is None
        assert opened.edited().ask.certain_of == {"tom": 0.8, "wolf": 0.7} and opened.edited().train.lr == 0.003


def test_what_was_answered_with_no_stays_spent(study):
    opened = Study.open(study)
    image_id, other = opened.ask().image_ids[:2]
    drawn = Verdict(Action.ADD, xyxy=(1, 2, 9, 8), label=2)
    for each, boxes in ((image_id, ("a", "b")), (other, ("c",))):
        said = annotation_of(each, [drawn])
        opened.store.annotate(said, [drawn, *(Verdict(Action.DELETE, box) for box in boxes)], round_index=0, annotator="ann", seconds=3)
    assert opened.store.answered(Split.TRAIN, "boxes") == 5
    opened.change_classes(class_change(opened.classes, remove=["cat"]))
    assert opened.store.answered(Split.TRAIN, "boxes") == 5
    opened.unlabel([other])
    opened.change_classes(class_change(opened.classes, remove=["dog"]))
    assert opened.store.answered(Split.TRAIN, "boxes") == 5
    assert opened.store.actions(0, Split.TRAIN)[Action.DELETE] == 3


@pytest.mark.parametrize("study", ["sqlite"], indirect=True)
def test_commas_stand_between_classes_also_where_a_name_holds_one(study, boxwise):
    code, out, err = boxwise("classes", study, "--add", "wolf, red bear", "--add", "fox")
    assert code == 0 and "cat, dog, cow became cat, dog, cow, wolf, red bear, fox." in out, out + err
    code, _, err = boxwise("classes", study, "--add", "wolf,,lynx")
    assert code == 2 and "expected class names such as" in err
    code, out, err = boxwise("classes", study, "--rename", "wolf=WBC, big", "--rename", "cat=WBC")
    assert code == 0 and "became WBC, dog, cow, 'WBC, big', red bear, fox." in out, out + err
    code, out, err = boxwise("classes", study, "--merge", "fox,WBC, big,red bear=beast")
    assert code == 0 and "became WBC, dog, cow, beast." in out, out + err
    assert boxwise("classes", study, "--add", "a,b")[0] == 0
    assert Study.open(study).classes == ("WBC", "dog", "cow", "beast", "a", "b")
