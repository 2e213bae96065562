"""The dashboard's figures on a study of three evaluated rounds: what they say is what store and files hold."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from knowing import evaluated_at

from boxwise.artifacts.detections_file import read_detections, writing_detections
from boxwise.boxes import Boxes
from boxwise.config import StopConfig, load_config
from boxwise.records import Action, Phase, Split, Verdict
from boxwise.store import ReviewStore, Store
from boxwise.study import Study
from boxwise.web.dashboard import Dashboard, dashboard, expected, put_aside
from boxwise.web.outlook import evaluated, forecast, learning_curve
from boxwise.web.progress import write_trouble
from boxwise.web.stopping import suggestion

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def finished(hidden, tiny_overrides, tmp_path_factory):
    """A study of rounds 0, 1 and 2, all evaluated."""
    annotator, dataset = hidden
    config = load_config(None, (*tiny_overrides, "device=cpu", "train.max_steps=4", "train.min_steps=4"))
    study = Study.create(tmp_path_factory.mktemp("dashboard") / "study", dataset, config=config)
    study.run(annotator)
    study.extend(3)  # so that there is a next batch
    study.store.close()
    return study.folder


@pytest.fixture
def study(finished, tmp_path):
    return Study.open(shutil.copytree(finished, tmp_path / "study"))


def put_detections(path, found):
    with writing_detections(path) as writer:
        for image_id, boxes in found.items():
            writer.add(image_id, boxes)


def sure(boxes, score=0.95):
    """The boxes as a detector of that score would find them."""
    return Boxes(boxes.xyxy, boxes.labels, np.full(len(boxes), score, np.float32))


class TestFigures:
    def test_quality_and_labour_are_those_of_the_store(self, study):
        shown = dashboard(study)
        assert [point["round"] for point in shown["quality"]] == [0, 1, 2]
        for point in shown["quality"]:
            one = study.round(point["round"])
            metrics, spent = one.evaluate.val, one.annotate
            assert (point["ap"], point["ap50"], point["val_images"]) == (metrics["ap"], metrics["ap50"], metrics["images"])
            assert (point["ap_range"], point["ap50_range"]) == (metrics["intervals"].get("ap"), metrics["intervals"].get("ap50"))
            assert [point[name] for name in ("images", "boxes", "seconds")] == [spent.images, spent.boxes, spent.seconds]
        labour = study.store.labour(Split.TRAIN)
        amounts = [shown["labour"][name] for name in ("images", "boxes", "model_boxes", "seconds")]
        assert amounts == [labour.images, labour.boxes, labour.model_boxes, labour.seconds]
        (person,) = shown["labour"]["people"]
        assert (person["name"], person["images"]) == ("simulated", labour.images) and person["seconds"] == pytest.approx(labour.seconds)

    def test_each_person_has_their_own_time(self, study):
        image_id = next(iter(study.store.annotations(Split.TRAIN)))
        study.tell(image_id, [], annotator="anna", seconds=12.5)
        study.labelling.spend(image_id, 1, "ben", 7.5, key="a key")
        people = {person["name"]: person for person in dashboard(study)["labour"]["people"]}
        assert people["anna"] == {"name": "anna", "images": 1, "seconds": 12.5, "each": 12.5}
        assert people["ben"] == {"name": "ben", "images": 0, "seconds": 7.5, "each": None}

    def test_classes_count_labels_and_what_the_pool_seems_to_hold(self, study):
        labels = np.concatenate([a.boxes.labels for a in study.store.annotations(Split.TRAIN).values()])
        path = study.files(1).detections
        found = np.concatenate([boxes.at_least(study.config.ask.uncertain).labels for _, boxes in read_detections(path)])
        balance = dashboard(study)["balance"]
        assert [row["name"] for row in balance] == list(study.classes)
        assert [row["labelled"] for row in balance] == np.bincount(labels, minlength=10).tolist()
        assert [row["found"] for row in balance] == np.bincount(found, minlength=10).tolist()

    def test_histograms_hold_every_scored_image(self, study):
        histograms = {one["name"]: one for one in dashboard(study)["histograms"]}
        assert {"score", "L_rec", "L_det"} <= histograms.keys()
        pool = study.round(1).score.pool
        assert sum(histograms["score"]["counts"]) == pool and len(histograms["score"]["edges"]) == 21

    def test_a_new_study_shows_what_there_is(self, hidden, tmp_path):
        shown = dashboard(Study.create(tmp_path / "new", hidden[1]))
        assert (shown["quality"], shown["next"], shown["histograms"], shown["worst"], shown["suspects"]) == ([], None, [], [], [])
        assert shown["stop"]["advice"] == "unknown" and shown["balance"][0]["found"] is None and shown["labour"]["people"] == []

    def test_trouble_is_shown(self, study):
        write_trouble(study.folder, "no space left")
        assert dashboard(study)["trouble"] == "no space left"


class TestWatching:
    @pytest.fixture
    def made(self, monkeypatch):
        """One entry for each time the figures were made."""
        times = []
        monkeypatch.setattr("boxwise.web.dashboard.dashboard", lambda study: times.append(1) or dashboard(study))
        return times

    def test_many_watchers_cost_one_look(self, study, made):
        watched = Dashboard(study)
        with ThreadPoolExecutor(4) as tabs:
            shown = list(tabs.map(lambda _: watched.figures(), range(8)))
        assert len(made) == 1 and shown == [dashboard(study) | put_aside(study)] * 8

    def test_labels_quarantines_and_steps_are_shown_at_once(self, study, made):
        watched = Dashboard(study)
        before = watched.figures()
        first, second = list(study.store.annotations(Split.TRAIN))[:2]
        study.tell(first, [], annotator="anna", seconds=12.5)
        shown = watched.figures()
        study.store.quarantine(second, "truncated")
        less = watched.figures()
        study.store.put("position", [2, "evaluate"])
        assert {person["name"] for person in shown["labour"]["people"]} == {"anna", "simulated"} and len(made) == 3
        assert less["labour"]["images"] == before["labour"]["images"] - 1
        assert watched.figures() == dashboard(study) | put_aside(study) and watched.figures()["phase"] == "evaluate" and len(made) == 4

    def test_trouble_is_shown_though_nothing_else_is_new(self, study, made):
        watched = Dashboard(study)
        assert watched.figures()["trouble"] is None
        write_trouble(study.folder, "no space left")
        assert watched.figures()["trouble"] == "no space left" and len(made) == 1

    def test_what_was_put_aside_is_read_once_a_look_and_the_first_of_it_shown(self, study, made, monkeypatch):
        names = [record.image_id for record in study.images(Split.TRAIN)][:3]
        for name in names:
            study.labelling.skip(name, study.position[0], "anna", "too dark")
        read, really = [], ReviewStore.sent_back
        monkeypatch.setattr(ReviewStore, "sent_back", lambda store: read.append(store) or really(store))
        monkeypatch.setattr("boxwise.web.dashboard._MOST_ASIDE", 2)
        shown = Dashboard(study).figures()
        assert len(read) == 1 and (shown["sent_back"], shown["sent_back_count"]) == ([], 0)
        assert [one["image_id"] for one in shown["skipped"]] == sorted(names)[:2] and shown["skipped_count"] == 3

    def test_the_labels_of_a_split_are_read_once(self, study, monkeypatch):
        read, really = [], Store._latest
        monkeypatch.setattr(Store, "_latest", lambda store, split, *more: read.append(split) or really(store, split, *more))
        dashboard(study)
        assert sorted(read) == [Split.TEST, Split.TRAIN, Split.VAL]


class TestNextBatch:
    def test_gain_and_price_of_the_next_batch(self, study):
        following = dashboard(study)["next"]
        assert (following["unit"], following["batch"]) == ("images", 4)
        spent = study.round(2).annotate
        assert following["seconds_each"] == pytest.approx(spent.new_seconds / 4)
        assert following["seconds"] == pytest.approx(spent.new_seconds)
        assert following["low"] <= following["gain"] <= following["high"]
        assert following["curve"][0][0] == 6 and following["curve"][-1][0] == 18

    def test_fewer_than_three_rounds_promise_nothing(self, study):
        assert expected(study, study.rounds()) is not None
        assert expected(study, study.rounds()[:2]) is None


PAYS, DOES_NOT = {"per_hour": 0.02}, {"per_hour": 0.001}


class TestStopping:
    @pytest.mark.parametrize(
        ("aps", "following", "advice"),
        [
            ([0.1, 0.2], None, "unknown"),
            ([0.1, 0.2, 0.3, 0.4], None, "go on"),
            ([0.1, 0.2, 0.3, 0.4], PAYS, "go on"),
            ([0.1, 0.2, 0.3, 0.4], DOES_NOT, "stop"),
            ([0.400, 0.401, 0.399, 0.400], PAYS, "stop"),
            ([0.0, 0.0, 0.0, 0.0], None, "go on"),  # training that has not begun to work
            ([0.0, 0.01, 0.01], DOES_NOT, "unknown"),
            ([None, 0.3, 0.4], {"per_hour": None}, "unknown"),
        ],
    )
    def test_one_rule_is_enough_and_each_says_why(self, aps, following, advice):
        found = suggestion(aps, StopConfig(), following)
        assert found["advice"] == advice and all(rule["why"] for rule in found["rules"])

    def test_the_studys_own_threshold_counts_where_there_is_one(self):
        aps = [0.40, 0.42, 0.40, 0.42]
        assert suggestion(aps, StopConfig(), None)["advice"] == "go on"
        assert suggestion(aps, StopConfig(ap_shift=0.02), None)["advice"] == "stop"


class TestOutlook:
    def test_the_budget_is_what_the_config_plans_in_labels_and_hours(self, study):
        found = dashboard(study)["budget"]
        labour = study.store.labour(Split.TRAIN)
        each = study.round(2).annotate.new_seconds / study.round(2).annotate.new_images
        assert (found["unit"], found["done"], found["planned"]) == ("images", labour.images, 6 + 3 * 4)
        assert found["seconds"] == study.seconds(Split.TRAIN) + study.seconds(Split.VAL)
        assert found["seconds_planned"] == pytest.approx(found["seconds"] + (18 - labour.images) * each)

    def test_labels_that_came_with_the_data_are_the_first_batch_where_they_are_more(self, digits, tiny_overrides, tmp_path):
        given = [record.image_id for record in digits.images if record.split is Split.TRAIN][:10]
        budget = ("budget.initial=2", "budget.per_round=2", "budget.rounds=3", "cold_start.name=random")
        config = load_config(None, (*tiny_overrides, *budget))
        study = Study.create(tmp_path / "study", replace(digits, labels={i: digits.labels[i] for i in given}), config=config)
        assert (dashboard(study)["budget"]["done"], dashboard(study)["budget"]["planned"]) == (10, 10 + 3 * 2)
        while study.position[1] in (Phase.SELECT, Phase.ANNOTATE):
            study.step(oracle=digits.labels.__getitem__)
        study.tell(given[0], [], annotator="anna")
        assert (dashboard(study)["budget"]["done"], dashboard(study)["budget"]["planned"]) == (10, 10 + 3 * 2)

    def test_a_forecast_follows_the_curve_and_says_what_it_cannot_say(self, study):
        evaluated_at(study, 0.4)
        assert forecast(study, 0.4)["why"] == "reached"
        assert forecast(study, 0.9)["why"] in ("far", "pool")
        points = evaluated(study.rounds(), "images")
        assert [ap for _, ap in points] == [0.4] * 3 and learning_curve(points[:2]) is None
        for one, ap in enumerate((0.2, 0.3, 0.36)):
            evaluated_at(study, ap, rounds=(one,))
        found = forecast(study, 0.38)
        assert found["why"] is None and points[-1][0] < found["low"] <= found["amount"] <= len(study.images(Split.TRAIN))
        assert found["high"] is None or found["high"] >= found["amount"]
        assert found["seconds_each"] == pytest.approx(study.round(2).annotate.new_seconds / 4)


class TestSecondLook:
    @pytest.fixture
    def agreeing(self, study):
        """The study as if its models had found exactly what is labelled."""
        evaluated_at(study, 0.4)
        for split, rounds, name in ((Split.VAL, [2], "val_detections"), (Split.TRAIN, [0, 1], "detections")):
            found = {image_id: sure(annotation.boxes) for image_id, annotation in study.store.annotations(split).items()}
            for round_index in rounds:
                put_detections(getattr(study.files(round_index), name), found)
        return study

    def change(self, study, split, round_index, name, image_id, boxes):
        path = getattr(study.files(round_index), name)
        put_detections(path, dict(read_detections(path)) | {image_id: boxes})

    def test_nothing_is_in_doubt_where_model_and_labels_agree(self, agreeing):
        shown = dashboard(agreeing)
        assert shown["worst"] == [] and shown["suspects"] == []

    def test_a_val_image_the_model_gets_wrong_is_listed_with_its_faults_and_doubts(self, agreeing):
        image_id, annotation = next((i, a) for i, a in agreeing.store.annotations(Split.VAL).items() if len(a.boxes) > 1)
        self.change(agreeing, Split.VAL, 2, "val_detections", image_id, sure(annotation.boxes[1:]))
        shown = dashboard(agreeing)
        (bad,), (suspect,) = shown["worst"], shown["suspects"]
        assert (bad["image_id"], bad["missed"], bad["imagined"], bad["confused"]) == (image_id, 1, 0, 0)
        assert (suspect["image_id"], suspect["split"], suspect["doubt"]) == (image_id, "val", "unseen")
        assert suspect["xyxy"] == annotation.boxes.xyxy[0].tolist() and suspect["label"] == annotation.boxes.labels[0]

    def test_train_labels_are_judged_by_the_pass_that_chose_the_image(self, agreeing):
        asked = [item.image_id for item in agreeing.store.query(2).items]
        annotation = agreeing.store.annotations(Split.TRAIN)[asked[0]]
        other = Boxes(annotation.boxes.xyxy, (annotation.boxes.labels + 1) % 10, np.full(len(annotation.boxes), 0.9, np.float32))
        self.change(agreeing, Split.TRAIN, 0, "detections", asked[0], other)
        assert dashboard(agreeing)["suspects"] == []
        self.change(agreeing, Split.TRAIN, 1, "detections", asked[0], other)
        suspects = dashboard(agreeing)["suspects"]
        assert {(s["image_id"], s["split"], s["doubt"]) for s in suspects} == {(asked[0], "train", "class")}
        assert len(suspects) == len(annotation.boxes) and Dashboard(agreeing).doubts(asked[0]) == suspects

    def test_what_was_looked_at_again_is_not_listed_again(self, agreeing):
        image_id, annotation = next((i, a) for i, a in agreeing.store.annotations(Split.VAL).items() if len(a.boxes) > 1)
        self.change(agreeing, Split.VAL, 2, "val_detections", image_id, sure(annotation.boxes[1:]))
        boxes = zip(annotation.boxes.xyxy.tolist(), annotation.boxes.labels.tolist(), strict=True)
        agreeing.tell(image_id, [Verdict(Action.ADD, xyxy=tuple(xyxy), label=label) for xyxy, label in boxes], annotator="anna")
        assert dashboard(agreeing)["suspects"] == []

    @pytest.mark.parametrize(("ap", "doubts"), [(0.01, 0), (None, 0), (0.05, 1)])
    def test_a_model_that_knows_nothing_doubts_nobody(self, agreeing, ap, doubts):
        image_id, annotation = next((i, a) for i, a in agreeing.store.annotations(Split.VAL).items() if len(a.boxes) > 1)
        self.change(agreeing, Split.VAL, 2, "val_detections", image_id, sure(annotation.boxes[1:]))
        evaluated_at(agreeing, ap)
        assert len(dashboard(agreeing)["suspects"]) == doubts

    def test_an_image_that_waits_for_a_second_person_is_not_listed(self, agreeing, monkeypatch):
        image_id, annotation = next((i, a) for i, a in agreeing.store.annotations(Split.VAL).items() if len(a.boxes) > 1)
        self.change(agreeing, Split.VAL, 2, "val_detections", image_id, sure(annotation.boxes[1:]))
        monkeypatch.setattr(Study, "secret", lambda self: frozenset({image_id}))
        shown = dashboard(agreeing)
        assert shown["worst"] == [] and shown["suspects"] == [] and Dashboard(agreeing).suspects() == set()

    def test_the_doubts_of_one_image(self, agreeing):
        image_id, annotation = next((i, a) for i, a in agreeing.store.annotations(Split.VAL).items() if len(a.boxes) > 1)
        self.change(agreeing, Split.VAL, 2, "val_detections", image_id, sure(annotation.boxes[1:]))
        watched = Dashboard(agreeing)
        (doubt,) = watched.doubts(image_id)
        assert doubt["doubt"] == "unseen" and doubt["xyxy"] == annotation.boxes.xyxy[0].tolist() and watched.doubts("none.png") == []

    def test_the_test_split_is_never_shown(self, study):
        shown = dashboard(study)
        test = {record.image_id for record in study.store.images(Split.TEST)}
        assert test and not test & {one["image_id"] for one in (*shown["worst"], *shown["suspects"])}
