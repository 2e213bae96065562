"""Studies that are changed in between: what was said, shown or found before follows, or counts no more. Nothing is trained."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from boxwise.annotation.class_change import class_change
from boxwise.artifacts.detections_file import writing_detections
from boxwise.boxes import Boxes
from boxwise.config import load_config
from boxwise.data.datasets import read_pool
from boxwise.errors import StudyError
from boxwise.records import Action, Phase, Query, QueryItem, Split, Verdict
from boxwise.report.queries import pool_predictions
from boxwise.store import Journal
from boxwise.study import Study
from boxwise.study.repair import repair
from boxwise.web.app import create_app
from boxwise.web.dashboard import Dashboard, dashboard
from boxwise.web.found import found_on
from boxwise.web.queue import LabelQueue

DRAWN = Verdict(Action.ADD, xyxy=(1, 1, 20, 20), label=0, seconds=7)
SETTINGS = ("detector.name=tiny_ssd", "detector.pretrained=none", "budget.initial=2", "budget.validation=0", "budget.rounds=5")


@pytest.fixture
def study_of(tmp_path):
    """study_of(*overrides) → a new study of six images and three classes, in which nothing is labelled."""

    def make(*overrides):
        (tmp_path / "photos").mkdir()
        for number in range(6):
            Image.new("RGB", (64, 64), (number, 0, 0)).save(tmp_path / f"photos/{number}.png")
        pool = read_pool(tmp_path / "photos", None, classes=("cat", "dog", "bird"))
        return Study.create(tmp_path / "study", pool, config=load_config(None, (*SETTINGS, *overrides)))

    return make


def asks(study, number, *names):
    query = Query(number, tuple(QueryItem(name, 0.0) for name in names))
    study.store.commit(number, Phase.SELECT, {"strategy": "made up"}, then=(number, Phase.ANNOTATE), query=query)


def trains(study, number):
    """The steps of a round from training to the pass over the pool, which finds a dog on every image."""
    study.store.commit(number, Phase.TRAIN, {"steps": 5}, then=(number, Phase.EVALUATE))
    study.store.commit(number, Phase.EVALUATE, {}, then=(number, Phase.SCORE))
    dog = study.classes.index("dog")
    study.files(number).path.mkdir(parents=True, exist_ok=True)
    with writing_detections(study.files(number).detections) as writer:
        for record in study.images():
            probabilities = np.eye(len(study.classes) + 1, dtype=np.float32)[[dog]]
            writer.add(record.image_id, Boxes(np.array([[1, 1, 20, 20]], np.float32), [dog], np.array([0.9], np.float32), probabilities))
    study.store.commit(number, Phase.SCORE, {"pool": 4}, then=(number + 1, Phase.SELECT))


@pytest.fixture
def trained(study_of):
    """trained(*overrides) → the study after round 0, in which two images were labelled."""

    def make(*overrides):
        study = study_of(*overrides)
        asks(study, 0, "0.png", "1.png")
        for name in ("0.png", "1.png"):
            study.tell(name, [DRAWN])
        study.store.commit(0, Phase.ANNOTATE, {"images": 2}, then=(0, Phase.TRAIN))
        trains(study, 0)
        return study

    return make


def without(study, name):
    """The classes, changed by another process."""
    other = Study.open(study.folder)
    other.change_classes(class_change(other.classes, remove=[name]))


class TestClassesThatAnotherProcessChanges:
    def test_answers_of_a_page_that_knows_the_old_ones_are_stored_under_their_names(self, trained):
        study = trained()
        page = TestClient(create_app(LabelQueue(study, study.labelling), hosts=("testserver",)))
        asks(study, 1, "2.png", "3.png")
        assert study.asked_now().image_ids == ("2.png", "3.png")  # read, and kept
        without(study, "cat")
        trains(study, 0)
        asks(study, 1, "4.png", "5.png")
        assert [one["name"] for one in page.get("/api/study").json()["classes"]] == ["dog", "bird"]
        found = page.post("/api/next", json={"annotator": "eva", "tab": "t", "keep": [], "visit": "v"}).json()
        assert found["task"]["image_id"] == "4.png" and found["classes"] == ["dog", "bird"]

        def answered(name, label):
            verdict = {"action": "add", "xyxy": [5, 5, 30, 30], "label": label, "seconds": 3}
            body = {"key": f"{name}-{label}-key", "annotator": "eva", "image_id": name, "round": 1, "verdicts": [verdict]}
            known = {"classes": ["cat", "dog", "bird"], "complete": True, "seconds": 5}
            return page.post("/api/answers", json=body | known)

        assert answered("4.png", 2).status_code == 200
        assert [study.classes[label] for label in study.annotation("4.png").boxes.labels] == ["bird"]
        refused = answered("5.png", 0)
        assert refused.status_code == 422 and refused.json()["code"] == "class_is_gone" and study.annotation("5.png") is None

    def test_boxes_found_under_the_old_ones_are_not_read_with_the_new_numbers(self, trained):
        study = trained()
        assert [box["label"] for box in found_on(study, "5.png")] == [1]
        assert dashboard(study)["balance"][1]["found"] == 6
        without(study, "cat")
        assert found_on(study, "5.png") == [] and dashboard(study)["balance"][0]["found"] is None
        with pytest.raises(StudyError, match="no predictions of today's classes yet"):
            pool_predictions(study)
        trains(study, 0)
        assert [box["label"] for box in found_on(study, "5.png")] == [0]
        assert set(pool_predictions(study).labels) == {record.image_id for record in study.pool()}


def test_a_page_shows_settings_that_another_process_has_changed(trained):
    study = trained()
    shown = Dashboard(study)
    assert shown.figures()["rounds"] == 5
    Study.open(study.folder).extend(9)
    assert shown.figures()["rounds"] == 9


def test_predictions_are_of_images_that_are_in_the_pool_still(trained):
    study = trained()
    assert "5.png" in pool_predictions(study).labels
    study.tell("5.png", [DRAWN])
    assert {"0.png", "1.png", "5.png"}.isdisjoint(pool_predictions(study).labels)
    assert "5.png" in pool_predictions(study, only={"5.png"}).labels  # for whoever asks for it


def test_an_image_that_a_person_excluded_moves_along_and_stays_excluded(study_of, tmp_path):
    study = study_of()
    study.exclude(["5.png"], "blurred")
    (tmp_path / "photos").rename(tmp_path / "moved")
    assert study.relocate(tmp_path / "moved").moved == 6
    assert list(study.quarantined()) == ["5.png"] and study.record("5.png").uri == str(tmp_path / "moved/5.png")


def test_a_page_that_is_served_finds_images_where_another_process_says_that_they_lie(study_of, tmp_path):
    study = study_of()
    study.ask()
    page = TestClient(create_app(LabelQueue(study, study.labelling), hosts={"testserver"}))
    shown = page.post("/api/next", json={"annotator": "anna"}).json()["task"]
    (tmp_path / "photos").rename(tmp_path / "moved")
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (64, 64)).save(tmp_path / "photos/another.png")
    assert Study.open(study.folder).relocate(tmp_path / "moved").moved == 6
    assert page.get(shown["url"]).status_code == 200
    assert page.post("/api/open", json={"annotator": "anna", "image_id": shown["image_id"]}).status_code == 200
    assert not study.quarantined()


class TestAStudyThatFoundNothingToAsk:
    @pytest.fixture
    def done(self, trained):
        study = trained("ask.mode=boxes")
        study.store.commit(1, Phase.SELECT, {"strategy": "made up", "ended": "nothing to ask"}, then=(1, Phase.DONE))
        return study

    def test_goes_on_where_an_image_is_unlabelled_or_put_to_use_again(self, done):
        done.unlabel(["0.png"])
        assert done.position == (0, Phase.SCORE)

    def test_goes_on_with_an_image_that_is_included_again(self, done):
        done.exclude(["5.png"], "blurred")
        assert done.position == (1, Phase.DONE)
        done.include(["5.png"])
        assert done.position == (0, Phase.SCORE)

    def test_trains_its_last_round_again_for_other_classes(self, done):
        assert done.change_classes(class_change(done.classes, add=["fish"])).back_to == (0, Phase.TRAIN)
        assert not done.round(1).select.ended


class TestLostPosition:
    def test_after_the_first_labels_the_policy_comes_next(self, trained):
        study = trained()
        study.store.reopen(0, Phase.COMPOSE)
        assert self._found_again(study) == (0, Phase.COMPOSE)

    def test_a_study_that_ended_is_done(self, trained):
        study = trained()
        study.store.commit(1, Phase.SELECT, {"strategy": "made up", "ended": "nothing to ask"}, then=(1, Phase.DONE))
        assert self._found_again(study) == (1, Phase.DONE)

    def _found_again(self, study):
        study.store.put("position", None)
        study.store.close()
        list(repair(study.folder))
        return Study.open(study.folder).position


def test_labels_given_again_are_not_charged_to_the_first_of_two_people(study_of):
    study = study_of("labelling.double=1.0")
    labels = {name: Boxes(np.array([[1, 1, 20, 20]], np.float32), [0]) for name in study.ask().image_ids}
    assert study.tell_all(labels, annotator="anna") == (2, 0)
    seconds = study.seconds(Split.TRAIN)
    assert study.tell_all(labels, annotator="anna") == (0, 2) and study.seconds(Split.TRAIN) == seconds
    assert len(study.unanswered().items) == 2
    assert study.tell_all(labels, annotator="ben") == (2, 0) and not study.unanswered().items


def test_images_of_val_do_not_join_a_study_with_folds(study_of, tmp_path):
    study = study_of("train.folds=2")
    (tmp_path / "more").mkdir()
    Image.new("RGB", (64, 64), (99, 0, 0)).save(tmp_path / "more/new.png")
    more = read_pool(tmp_path / "more", None, classes=study.classes)
    val = replace(more, images=tuple(replace(record, split=Split.VAL) for record in more.images))
    with pytest.raises(StudyError, match=r"1 image is of val, new\.png for one\. Nothing was added"):
        study.add(val)
    assert study.add(more).images == 1


def test_a_first_round_of_which_no_image_is_left_names_the_ways_out(study_of):
    study = study_of()
    study.exclude(list(study.ask().image_ids), "blurred")
    with pytest.raises(StudyError, match=r"boxwise include .* or give labels of any others \(boxwise import"):
        study.run()
    assert Journal(study.store).events()


def test_a_study_of_an_earlier_schema_goes_by_its_folder_as_it_did(tmp_path):
    study = Study.open(shutil.copytree(Path(__file__).parent / "store" / "fixtures" / "schema_9" / "study", tmp_path / "study"))
    assert study.id == str((tmp_path / "study").resolve())
