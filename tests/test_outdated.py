"""Labels of val that people correct: what was judged by those of before says so, and one command judges all by those of now."""

import json
import re
from dataclasses import replace

import pytest
from made_rounds import made_round

import boxwise as package
from boxwise.artifacts.detections_file import read_detections, write_detections
from boxwise.artifacts.facts import EvaluateFacts, stopping_aps
from boxwise.boxes import Boxes
from boxwise.errors import quoted
from boxwise.evaluation.average_precision import coco_metrics
from boxwise.evaluation.stopping import ApShift
from boxwise.records import Action, Phase, Split, Verdict
from boxwise.rounds.judging import fingerprints, in_one
from boxwise.study import Study
from boxwise.web.dashboard import Dashboard

SAID = re.compile(r"Round 0 was judged by labels that have changed since, those of (\d+) images?\. .*: boxwise evaluate \S+")
DRAWN = [Verdict(Action.ADD, xyxy=(1, 1, 20, 20), label=0)]


def judged(study):
    """The images of val that round 0 was judged by."""
    return list(study.annotations(Split.VAL))


def by_hand(study, number=0):
    """AP on val of what a round detected, by the labels of now."""
    truths = {image_id: one.boxes for image_id, one in study.annotations(Split.VAL).items() if one.complete}
    found = {image_id: boxes for image_id, boxes in read_detections(study.files(number).val_detections) if image_id in truths}
    return coco_metrics(found, {image_id: truths[image_id] for image_id in found}, study.classes).ap


def evaluated(marks, ap, **more):
    judged = {"val": {"ap": ap, "images": len(marks or ())}, "stopping_labels": marks and in_one(marks)}
    return {"evaluate": judged | more}


class TestWhatIsOutOfDate:
    def test_corrected_labels_are_and_the_same_ones_again_are_not(self, waiting_study):
        study = waiting_study("full")
        first, second, *_ = judged(study)
        assert study.outdated().rounds == () and study.outdated().sentences == ()
        same = study.annotation(first).boxes
        again = [
            Verdict(Action.ADD, xyxy=tuple(map(float, box)), label=int(label)) for box, label in zip(same.xyxy, same.labels, strict=True)
        ]
        study.tell(first, again[::-1], complete=True)
        assert study.outdated().rounds == ()
        study.tell(second, DRAWN, complete=True)
        assert (study.outdated().rounds, study.outdated().images) == ((0,), 1)

    @pytest.mark.parametrize(
        "act", [lambda s, i: s.unlabel([i]), lambda s, i: s.exclude([i], "dark"), lambda s, i: s.tell(i, DRAWN, complete=False)]
    )
    def test_images_that_judge_no_more_are(self, waiting_study, act):
        study = waiting_study("full")
        act(study, judged(study)[0])
        assert study.outdated().images == 1

    def test_one_that_judges_again_is_until_the_rounds_are_judged_again(self, waiting_study):
        study = waiting_study("full")
        image_id = judged(study)[0]
        study.exclude([image_id], "dark")
        study.store.put("position", [1, "evaluate"])
        study.repeat(Phase.EVALUATE)
        assert study.outdated().rounds == () and study.round(0).evaluate.val["images"] == len(judged(study))
        study.include([image_id])
        assert study.outdated().images == 1

    def test_val_that_grows_is_not(self, waiting_study):
        study = waiting_study("full")
        drawn = next(item.image_id for item in study.ask().items if item.split is Split.VAL)
        study.tell(drawn, DRAWN, complete=True)
        assert study.outdated().rounds == ()

    def test_labels_of_test_are_too(self, waiting_study):
        study = waiting_study("full")
        study.tell(next(iter(study.annotations(Split.TEST))), DRAWN, complete=True)
        assert (study.outdated().rounds, study.outdated().images) == ((0,), 1)

    def test_a_round_of_an_older_version_says_nothing_until_it_is_judged_again(self, waiting_study):
        study = waiting_study("full")
        study.store.amend(0, Phase.EVALUATE, replace(study.round(0).evaluate, val_labels=None, test_labels=None).to_json())
        study.tell(judged(study)[0], DRAWN, complete=True)
        assert study.outdated().rounds == ()
        study.store.put("position", [1, "evaluate"])
        study.repeat(Phase.EVALUATE)
        assert study.round(0).evaluate.val["ap"] == pytest.approx(by_hand(study)) and study.round(0).evaluate.val_labels

    def test_detections_that_are_lost_are_said_to_be(self, waiting_study):
        study = waiting_study("full")
        study.tell(judged(study)[0], DRAWN, complete=True)
        study.files(0).val_detections.unlink()
        assert study.outdated().lost == ()  # the last round's own are made anew
        study.store.put("position", [1, "evaluate"])
        assert (study.outdated().lost, study.outdated().command) == ((0,), "") and study.outdated().remedy.endswith(
            "What was detected then is lost, so this stays so."
        )
        assert study.repeat(Phase.EVALUATE) is None

    def test_rounds_of_other_classes_are_said_to_be_and_not_judged_again(self, waiting_study):
        study = waiting_study("full")
        study.store.put("classes_from", 1)
        assert study.outdated().sentences == ("Round 0 was judged while the classes were others, which stays so.",)
        assert study.repeat(Phase.EVALUATE) is None
        assert "while the classes were others)" in package.load(study.folder, device="cpu").origin


class TestJudgingAgain:
    def test_a_round_before_the_last_is_judged_by_what_it_detected(self, waiting_study, monkeypatch):
        """No detector is asked, and test stays as it was."""
        study = waiting_study("full")
        before, labels = study.round(0).evaluate, study.annotations(Split.VAL)
        seen = {i: Boxes(one.boxes.xyxy, one.boxes.labels, [0.9] * len(one.boxes)) for i, one in labels.items()}
        write_detections(study.files(0).val_detections, seen)  # all that was labelled
        study.tell(judged(study)[0], DRAWN, complete=True)
        study.store.put("position", [1, "evaluate"])
        monkeypatch.setattr("boxwise.detectors.prediction.predict", None)
        study.repeat(Phase.EVALUATE)
        after = study.round(0).evaluate
        assert after.val["ap"] == pytest.approx(by_hand(study)) and before.val["ap"] < after.val["ap"] < 1 and after.val["intervals"]
        assert (after.test, after.test_labels) == (before.test, before.test_labels)
        assert after.operating_point != before.operating_point and study.outdated().rounds == ()

    def test_where_labels_of_test_have_changed_the_detector_looks_at_test_again(self, waiting_study):
        study = waiting_study("full")
        before = study.round(0).evaluate
        study.tell(next(iter(study.annotations(Split.TEST))), DRAWN, complete=True)
        study.store.put("position", [1, "evaluate"])
        study.repeat(Phase.EVALUATE)
        after = study.round(0).evaluate
        assert after.test["boxes"] != before.test["boxes"] and after.val == before.val and study.outdated().rounds == ()

    def test_in_cross_validation_it_is_by_what_the_folds_found_on_labelled_images(self, waiting_study):
        study = waiting_study("full")
        labels = study.annotations(Split.TRAIN)
        found = {i: Boxes(one.boxes.xyxy, one.boxes.labels, [0.9] * len(one.boxes)) for i, one in labels.items()}
        write_detections(study.files(0).val_detections, found)
        study.store.amend(0, Phase.TRAIN, replace(study.round(0).train, folds=({}, {})).to_json())
        study.store.put("position", [1, "evaluate"])
        study.store.amend(0, Phase.EVALUATE, replace(study.round(0).evaluate, val_labels=None).to_json())
        study.repeat(Phase.EVALUATE)
        assert study.round(0).evaluate.val["ap"] == 1 and not study.outdated().rounds
        study.tell(judged(study)[0], DRAWN, complete=True)  # of val, which does not judge here
        assert not study.outdated().rounds
        study.tell(next(iter(labels)), DRAWN, complete=True)
        assert study.outdated().images == 1
        study.repeat(Phase.EVALUATE)
        assert study.round(0).evaluate.val["ap"] < 1 and not study.outdated().rounds


class TestRoundsThatDoNotCompare:
    def test_those_of_the_same_labels_as_the_last_are_followed(self):
        facts = [evaluated({"a": "1", "b": "2"}, 0.9), evaluated({"a": "1", "b": "3"}, 0.5), evaluated({"a": "1", "b": "3", "c": ""}, 0.6)]
        rounds = [made_round(number, one) for number, one in enumerate(facts)]
        assert stopping_aps(rounds) == {1: 0.5, 2: 0.6} and stopping_aps(rounds[:1]) == {0: 0.9}

    def test_those_of_an_older_version_compare_as_they_did(self):
        rounds = [made_round(0, evaluated(None, 0.9)), made_round(1, evaluated({"a": "1"}, 0.5)), made_round(2, {})]
        assert stopping_aps(rounds) == {0: 0.9, 1: 0.5} and stopping_aps([]) == {}

    def test_what_val_began_with_is_what_counts_once_it_has_grown(self):
        grown = {"val_parts": {"original": {"ap": 0.25}, "round 1": {"ap": 0.75}}}
        rounds = [made_round(0, evaluated({"a": "1"}, 0.5)), made_round(1, evaluated({"a": "1"}, 0.5, **grown))]
        assert stopping_aps(rounds) == {0: 0.5, 1: 0.25}

    def test_a_jump_by_corrected_labels_is_no_progress(self):
        rounds = [made_round(number, evaluated({"a": str(number > 1)}, 0.3 + 0.3 * (number > 1))) for number in range(4)]
        assert ApShift(4, 0.1, stopping_aps(rounds).values()).shift is None
        assert ApShift(2, 0.1, stopping_aps(rounds).values()).should_stop

    def test_neither_is_the_best_of_them_chosen(self, waiting_study, monkeypatch):
        study = waiting_study("full")
        marks = [{"a": "1"}, {"a": "2"}]
        facts = {n: evaluated(of, ap) for n, (of, ap) in enumerate(zip(marks, (0.9, 0.4), strict=True))}
        for one in facts.values():
            one["evaluate"]["val"]["ap50"] = 0.5
        monkeypatch.setattr(type(study.store), "facts", lambda self: facts)
        study.files(1).path.mkdir(exist_ok=True)
        study.files(1).weights.write_bytes(study.files(0).weights.read_bytes())
        assert package.load(study.folder, device="cpu").origin.startswith("round 1 of")


def test_another_number_of_classes_is_another_judgement_and_the_order_of_boxes_is_none():
    boxes = Boxes([[0, 0, 4, 4], [1, 1, 9, 9]], [0, 1])
    one = fingerprints({"a": boxes}, ["a", "b"], 2)
    assert one == fingerprints({"a": boxes[[1, 0]]}, ["a", "b"], 2) and one["b"] == ""
    assert one["a"] != fingerprints({"a": boxes}, ["a"], 3)["a"]
    assert one["a"] != fingerprints({"a": replace(boxes, crowd=[True, False])}, ["a"], 2)["a"]
    assert EvaluateFacts.from_json(EvaluateFacts(val_labels={"original": one}).to_json()).val_labels == {"original": one}
    assert in_one(one) == in_one({"a": one["a"]}) != in_one({})


def test_commands_the_report_and_the_dashboard_say_it_and_evaluate_mends_it(boxwise, waiting_study):
    study = waiting_study("full")
    figures, image_id = Dashboard(study), judged(study)[0]
    nothing = {"images": 0, "lost": [], "before": [], "command": ""}
    assert figures.figures()["outdated"] == nothing and not SAID.search(boxwise("status", study.folder)[1])
    _, _, err = boxwise("unlabel", study.folder, image_id)
    assert SAID.search(err)[1] == "1"
    assert figures.figures()["outdated"] == nothing | {"images": 1, "command": f"boxwise evaluate {quoted(study.folder)}"}
    assert SAID.search(boxwise("status", study.folder)[1])
    status = json.loads(boxwise("status", study.folder, "--json")[1])
    assert status["outdated"] == {"rounds": [0], "images": 1, "of_other_classes": []}
    known = status["facts"]["0"]["evaluate"]
    assert known["stopping_labels"] and known.keys() & {"val_labels", "test_labels"} == set()  # a line for each image of each round
    assert boxwise("report", study.folder)[0] == 0 and SAID.search((study.folder / "report.html").read_text(encoding="utf-8"))
    model = package.load(study.folder, device="cpu")
    assert "by labels that have changed since)" in model.origin and SAID.fullmatch(model.remark)
    code, out, err = boxwise("evaluate", study.folder)
    assert code == 0 and "round 0 evaluate: val AP" in out, err
    assert figures.figures()["outdated"] == nothing and not SAID.search(boxwise("status", study.folder)[1])
    assert Study.open(study.folder).round(0).evaluate.val["images"] == len(judged(study))
    assert not package.load(study.folder, device="cpu").remark
