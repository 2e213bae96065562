"""Studies that are changed in between: what was said, shown or found before follows, or counts no more. Nothing is trained."""

import shutil
import sqlite3
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient
from PIL import Image

import boxwise.rounds
from boxwise.annotation.class_change import class_change
from boxwise.artifacts.box_tables import write_proposals
from boxwise.artifacts.detections_file import writing_detections
from boxwise.boxes import Boxes
from boxwise.cli.console import step_line
from boxwise.config import load_config
from boxwise.data.datasets import read_pool
from boxwise.errors import ChangedError, StudyError
from boxwise.records import Action, Annotation, Phase, Proposals, Query, QueryItem, Source, Split, Verdict
from boxwise.report.queries import pool_predictions
from boxwise.store import Journal, Store, journal
from boxwise.store import store as store_module
from boxwise.store.schema import writing
from boxwise.study import Study
from boxwise.study import study as study_module
from boxwise.study.repair import repair
from boxwise.study.upkeep import working_on
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


def proposes(study, number, *boxes, certain=0):
    """A round suggests these boxes of dogs on each image that it asks about, the first of them certain; all have the ids of any pass."""
    made = [
        Proposals(
            name,
            Boxes(
                np.float32(boxes),
                [1] * len(boxes),
                np.float32([0.9] * len(boxes)),
                ids=np.array([f"r{number}-{i}" for i in range(len(boxes))], object),
            ),
            np.arange(len(boxes)) < certain,
        )
        for name in study.query(number).image_ids
    ]
    study.files(number).path.mkdir(parents=True, exist_ok=True)
    write_proposals(study.files(number).proposals, made)


def without(study, name):
    """The classes, changed by another process."""
    other = Study.open(study.folder)
    other.change_classes(class_change(other.classes, remove=[name]))


class TestClassesThatAnotherProcessChanges:
    def test_answers_of_a_page_that_knows_the_old_ones_are_stored_under_their_names(self, trained):
        study = trained()
        page = TestClient(create_app(LabelQueue(study, study.labelling), hosts=("testserver",)))
        asks(study, 1, "2.png", "3.png")
        assert study.ensure_asked().image_ids == ("2.png", "3.png")  # read, and kept
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

    def test_what_was_made_of_the_old_ones_is_not_stored(self, trained):
        study = trained()
        asks(study, 1, "2.png")
        box = {"5.png": Boxes(np.array([[1, 1, 20, 20]], np.float32), [1])}
        known, news = study.classes, study.news_in(box, classes=study.classes)
        without(study, "cat")
        with pytest.raises(ChangedError, match="changed meanwhile: cat is gone"):
            study.take(news)
        with pytest.raises(ChangedError):
            study.tell_all(box, classes=known)
        with pytest.raises(ChangedError):
            study.change_classes(class_change(known, add=["fish"]))
        assert study.annotation("5.png") is None
        study.tell("5.png", [replace(DRAWN, label=1)])
        assert [study.classes[label] for label in study.annotation("5.png").boxes.labels] == ["bird"]

    def test_labels_are_of_the_classes_that_are_there_when_they_are_stored(self, trained, monkeypatch):
        study, annotate = trained(), Store.annotate

        def late(*given, **more):
            monkeypatch.undo()
            without(study, "cat")
            return annotate(*given, **more)

        monkeypatch.setattr(Store, "annotate", late)
        with pytest.raises(ChangedError):
            study.tell("5.png", [replace(DRAWN, label=1)])
        assert study.annotation("5.png") is None and study.classes == ("dog", "bird")

    def test_a_page_is_to_send_an_answer_again_that_met_a_change_or_another_writer(self, trained, monkeypatch):
        study, annotate = trained(), Store.annotate
        asks(study, 1, "2.png", "3.png")
        page = TestClient(create_app(LabelQueue(study, study.labelling), hosts=("testserver",)))
        verdict = {"action": "add", "xyxy": [5, 5, 30, 30], "label": 1, "seconds": 3}
        body = {"key": "key-of-eva", "annotator": "eva", "image_id": "3.png", "round": 1, "verdicts": [verdict], "complete": True}
        body |= {"seconds": 5, "classes": study.classes}

        def late(*given, **more):
            monkeypatch.undo()
            other = Study.open(study.folder)
            other.change_classes(class_change(other.classes, rename={"dog": "wolf"}))
            return annotate(*given, **more)

        with closing(sqlite3.connect(study.folder / "study.sqlite")) as other:
            other.execute("BEGIN IMMEDIATE")
            sa.event.listen(study.store.engine, "checkout", at_once)
            reply = page.post("/api/answers", json=body)
            assert reply.status_code == 503 and "another process has written to it" in reply.json()["error"]
        monkeypatch.setattr(Store, "annotate", late)
        reply = page.post("/api/answers", json=body)
        assert reply.status_code == 503 and "the classes of the study changed meanwhile" in reply.json()["error"]
        assert page.post("/api/answers", json=body).status_code == 200
        assert [study.classes[label] for label in study.annotation("3.png").boxes.labels] == ["wolf"]

    def test_nobody_else_writes_from_the_beginning_of_a_change_on(self, study_of):
        study = study_of()
        with (
            writing(study.store._engine),
            closing(sqlite3.connect(study.folder / "study.sqlite", timeout=0)) as other,
            pytest.raises(sqlite3.OperationalError, match="locked"),
        ):
            other.execute("BEGIN IMMEDIATE")

    def test_an_annotator_in_python_answers_in_the_classes_that_it_was_asked_in(self, trained):
        study = trained()
        asks(study, 1, "2.png")

        class Changing:
            def annotate(self, item, proposals):
                without(study, "cat")
                return [DRAWN], 7.0

        with pytest.raises(ChangedError):
            study.answer(Changing())

    def test_nobody_stores_labels_while_those_that_are_there_become_others(self, trained, monkeypatch):
        study, relabel, tried = trained(), journal._relabel, []

        def watched(*given):
            with closing(sqlite3.connect(study.folder / "study.sqlite", timeout=0)) as other:
                with pytest.raises(sqlite3.OperationalError, match="locked"):
                    other.execute("BEGIN IMMEDIATE")
                tried.append(other)
            return relabel(*given)

        monkeypatch.setattr(journal, "_relabel", watched)
        without(study, "cat")
        assert len(tried) == 2

    def test_images_that_join_with_labels_of_the_old_ones_do_not(self, study_of, tmp_path, monkeypatch):
        study = study_of()
        (tmp_path / "more").mkdir()
        Image.new("RGB", (64, 64), (99, 0, 0)).save(tmp_path / "more/new.png")
        more = read_pool(tmp_path / "more", None, classes=study.classes)
        labelled = replace(more, labels={"new.png": Boxes(np.array([[1, 1, 20, 20]], np.float32), [1])})
        add = Journal.add
        monkeypatch.setattr(Journal, "add", lambda *given, **more: (without(study, "cat"), add(*given, **more)))
        with pytest.raises(StudyError, match="the labels have classes cat, dog, bird, the study dog, bird"):
            study.add(labelled)
        assert study.record("new.png") is None


def at_once(connection, *_):
    """No waiting for another writer."""
    connection.execute("PRAGMA busy_timeout=0")


class TestStepsThatAnotherProcessChanges:
    def test_a_step_is_the_next_one_when_it_begins(self, trained, monkeypatch):
        """Between the look at the study and the lock the classes changed: the training comes first, not the selection."""
        study, done = trained(), []
        lock = Study._lock

        def held(self, **how):
            if self is study:
                monkeypatch.setattr(Study, "_lock", lock)
                without(study, "cat")
            return lock(self, **how)

        def step_of(phase):
            done.append(phase)
            raise StudyError("enough")

        monkeypatch.setattr(Study, "_lock", held)
        monkeypatch.setattr(boxwise.rounds, "step_of", step_of)
        with pytest.raises(StudyError, match="enough"):
            study.run()
        assert done == [Phase.TRAIN]

    def test_what_a_step_made_of_an_earlier_study_is_not_kept(self, trained):
        study = trained()
        study.go_back(0, Phase.SCORE)
        with pytest.raises(ChangedError, match=r"select of round 1 was not kept.* its next step is score of round 0"):
            asks(study, 1, "2.png")
        assert study.position == (0, Phase.SCORE) and not study.query(1).items


def test_ranks_wait_until_the_first_has_taken_an_edit_in(trained, monkeypatch):
    study, trained_by = trained(), []
    study.go_back(0, Phase.TRAIN)
    first = Study.open(study.folder)
    config = study.folder / "config.yaml"
    config.write_text(config.read_text().replace("lr: null", "lr: 0.003"))
    monkeypatch.setattr(study_module, "sleep", lambda seconds: first.change(first.edited()))
    monkeypatch.setattr(boxwise.rounds, "train_along", lambda context, number: trained_by.append(context.config.train.lr))
    study.train_along()
    assert trained_by == [0.003]


def test_a_folder_without_the_files_of_a_shared_study_does_no_step(trained, tmp_path):
    study = trained(f"store=sqlite:///{tmp_path / 'shared.sqlite'}")
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(study.folder / "config.yaml", other)
    with pytest.raises(StudyError, match=f"share its folder, too; it was made in {study.folder}"):
        Study.open(other).step()
    assert Study.open(other).position == study.position == (1, Phase.SELECT)


def test_a_server_asks_what_a_round_asks_anew(trained):
    study = trained()
    asks(study, 1, "2.png", "3.png")
    served = LabelQueue(own := Study.open(study.folder), own.labelling)
    assert list(served.study.asked(1)) == ["2.png", "3.png"]
    study.go_back(1, Phase.SELECT)
    asks(study, 1, "4.png", "5.png")
    assert [row["image_id"] for row in served.listing()] == ["4.png", "5.png"] and served.next("anna").record.image_id == "4.png"


class TestLostFilesOfTheRoundBefore:
    def test_the_audit_says_so_and_the_round_goes_on(self, trained):
        study = trained()
        asks(study, 1, "2.png")
        study.tell("2.png", [DRAWN])
        study.step()
        assert study.step() is Phase.COMPOSE
        audit = study.round(1).audit
        assert audit.n == 0 and audit.lost == f"{study.files(0).weights}: missing"
        assert step_line(study, 1, Phase.AUDIT).endswith("fidelity not known, as a file of the round before is lost: " + audit.lost)

    def test_a_repair_names_what_is_missing_of_what_finished_steps_have_left(self, trained):
        study = trained()
        asks(study, 1, "2.png")
        files, position = study.files(0), study.position
        study.store.close()
        said = list(repair(study.folder))
        for path in (files.weights, files.scores, files.embeddings):
            assert f"{path}: missing. Later steps rest on it, so it is not made again; labels and results are not touched." in said
        assert len(said) == 3 and Study.open(study.folder).position == position

    def test_a_repair_is_done_before_it_is_said(self, trained):
        study = trained()
        study.store.close()
        sentences = repair(study.folder)
        assert "weights.pt: missing. It is made again: train of round 0 is done anew." in next(sentences)
        sentences.close()  # nobody reads on, though more is missing
        assert Study.open(study.folder).position == (0, Phase.TRAIN)

    def test_a_training_that_goes_on_from_there_names_the_way_out(self, trained):
        study = trained("train.start=previous")
        with pytest.raises(StudyError, match=r"weights\.pt: missing, .* boxwise set .* train\.start=initial"):
            study._context(None, None).go_on_from(None, study.files(0).weights)


class TestAStudyThatIsDone:
    """`run` and `status` ask the same question, so that neither sends to the other for ever."""

    @pytest.fixture
    def done(self, trained):
        """done(*overrides) → the study after round 1, whose score step has found that it is over."""

        def make(*overrides):
            study = trained(*overrides)
            asks(study, 1, "2.png")
            study.tell("2.png", [DRAWN])
            study.store.commit(1, Phase.ANNOTATE, {"images": 3}, then=(1, Phase.TRAIN))
            trains(study, 1)
            for number in (0, 1):
                study.store.amend(number, Phase.EVALUATE, {"val": {"ap": 0.3, "ap50": 0.5, "images": 40, "intervals": {}}})
            study.store.reopen(1, Phase.SCORE)
            assert study.step() is Phase.DONE
            return study

        return make

    @pytest.mark.parametrize(
        ("ends", "why", "way", "more"),
        [
            (("budget.total=3",), "the budget is spent: 3 of 3 images", "budget.total=N", "budget.total=4"),
            (("stop.ap_range=2", "stop.ap_shift=0.01"), "AP on val moved by 0.0000 over 2 rounds", "stop.ap_shift=0", "stop.ap_shift=0"),
        ],
    )
    def test_stays_so_until_what_has_ended_it_is_changed(self, done, boxwise, ends, why, way, more):
        folder = done(*ends).folder
        for setting in ("train.lr=0.1", "train.lr=0.2"):
            assert boxwise("set", folder, setting)[0] == 0
            code, out, err = boxwise("status", folder)
            assert code == 0 and f"The study is done: {why}." in out and f"Next: boxwise set {folder} {way}" in out, err
            assert Study.open(folder).step() is Phase.DONE
            assert why in boxwise("query", folder)[1]
        assert boxwise("set", folder, more)[0] == 0
        assert Study.open(folder).position == (1, Phase.SCORE) and f"Next: boxwise run {folder}" in boxwise("status", folder)[1]

    def test_names_what_ends_it_now(self, done, boxwise):
        study = done("budget.total=3", "stop.ap_range=2", "stop.ap_shift=0.01")
        assert "budget is spent" in study.end.why
        assert boxwise("set", study.folder, "budget.total=4")[0] == 0
        assert f"Next: boxwise set {study.folder} stop.ap_shift=0" in boxwise("status", study.folder)[1]

    def test_goes_on_where_images_have_joined_an_empty_pool(self, done, boxwise):
        study = done("budget.total=3")
        study.exclude(["3.png", "4.png", "5.png"], "blurred")
        assert boxwise("set", study.folder, "budget.total=9")[0] == 0
        assert f"Next: boxwise add {study.folder}" in boxwise("status", study.folder)[1]
        study.include(["3.png"])
        assert f"Next: boxwise run {study.folder}" in boxwise("status", study.folder)[1]


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


class TestAKillAfterTheTransaction:
    @pytest.fixture
    def killed(self, monkeypatch):
        """killed(act) does it up to the end of its first transaction of the journal."""
        real = journal.writing

        @contextmanager
        def once(engine):
            with real(engine) as connection:
                yield connection
            raise KeyboardInterrupt

        def kill(act):
            with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
                patch.setattr(journal, "writing", once)
                act()

        return kill

    def test_of_an_image_that_joins_leaves_no_finding_of_it(self, study_of, killed, tmp_path):
        study, path = study_of(), tmp_path / "photos/mended.png"
        path.write_bytes(b"no image")
        assert study.add(read_pool(tmp_path / "photos", None, classes=study.classes)).findings and "mended.png" in study.quarantined()
        Image.new("RGB", (64, 64), (99, 0, 0)).save(path)
        killed(lambda: study.add(read_pool(tmp_path / "photos", None, classes=study.classes)))
        assert study.record("mended.png") and not study.quarantined() and study.fault("mended.png") is None

    def test_of_images_that_moved_leaves_none_out_of_use(self, study_of, killed, tmp_path):
        study = study_of()
        study.quarantine("5.png", "found no such file")
        (tmp_path / "photos").rename(tmp_path / "moved")
        (tmp_path / "moved/4.png").rename(tmp_path / "moved/four.png")
        assert study.add(read_pool(tmp_path / "moved", None, classes=study.classes)).findings and "four.png" in study.quarantined()
        killed(lambda: study.relocate(tmp_path / "moved"))
        assert [Path(record.uri).name for record in study.images()] == ["0.png", "1.png", "2.png", "3.png", "four.png", "5.png"]
        assert not study.quarantined()

    def test_of_an_earlier_version_is_put_right_by_the_next_add(self, study_of, tmp_path):
        study = study_of()
        study.store.put("findings", [["corrupt image", str(tmp_path / "photos/5.png"), "5.png: truncated", "5.png", True]])
        assert "5.png" in study.quarantined()
        assert study.add(read_pool(tmp_path / "photos", None, classes=study.classes)).images == 0
        assert not study.quarantined()


class TestAStudyThatFoundNothingToAsk:
    @pytest.fixture
    def done(self, trained):
        study = trained("ask.mode=boxes")
        study.store.commit(1, Phase.SELECT, {"strategy": "made up", "ended": "nothing to ask"}, then=(1, Phase.DONE))
        return study

    def test_goes_on_where_an_image_is_unlabelled_or_put_to_use_again(self, done):
        with working_on(done.folder):  # another process needs not end first
            done.unlabel(["0.png"])
        assert done.position == (0, Phase.SCORE)

    def test_goes_on_with_an_image_that_is_included_again(self, done):
        done.exclude(["5.png"], "blurred")
        assert done.position == (1, Phase.DONE)
        done.include(["5.png"])
        assert done.position == (0, Phase.SCORE)

    def test_goes_on_with_an_image_whose_flag_is_taken_back(self, done):
        queue = LabelQueue(done, done.labelling)
        queue.flag("5.png", "anna", "blurred")
        queue.unflag("5.png", "anna")
        assert done.position == (0, Phase.SCORE)

    def test_is_done_while_another_process_works_on_it(self, done):
        with working_on(done.folder):
            assert done.step() is Phase.DONE

    @pytest.mark.parametrize("change", ["unlabel", "include", "add"])
    def test_goes_on_or_is_as_it_was_where_a_change_is_cut_short(self, done, change, monkeypatch, tmp_path):
        (tmp_path / "more").mkdir()
        Image.new("RGB", (64, 64), (99, 0, 0)).save(tmp_path / "more/new.png")
        more = read_pool(tmp_path / "more", None, classes=done.classes)
        done.exclude(["5.png"], "blurred")
        verbs = {"unlabel": lambda: done.unlabel(["0.png"]), "include": lambda: done.include(["5.png"]), "add": lambda: done.add(more)}

        def cut(*_):
            raise KeyboardInterrupt

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(store_module, "go_back", cut)
            verbs[change]()
        assert done.position == (1, Phase.DONE) and "5.png" in done.quarantined() and done.annotation("0.png")
        verbs[change]()
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
    with pytest.raises(StudyError, match=r"is labelled and in use, .*boxwise include .* or give labels of any others \(boxwise import"):
        study.run()
    assert Journal(study.store).events()


def test_a_study_of_an_earlier_schema_goes_by_its_folder_as_it_did(tmp_path):
    study = Study.open(shutil.copytree(Path(__file__).parent / "store" / "fixtures" / "schema_9" / "study", tmp_path / "study"))
    assert study.id == str((tmp_path / "study").resolve())


PLACES = [[1.0, 1, 20, 20], [21, 1, 40, 20], [41, 1, 60, 20], [1, 30, 20, 60]]
OTHER_PLACES = [[x1 + 3, y1 + 3, x2 + 3, y2 + 3] for x1, y1, x2, y2 in PLACES]


class TestAnswersOfWhatIsThereNoMore:
    """An answer names boxes by ids that others may have by the time it comes: it hits those that the person saw, or is refused."""

    @pytest.fixture
    def page(self, trained):
        self.study = trained("ask.mode=review")
        return TestClient(create_app(LabelQueue(self.study, self.study.labelling), hosts=("testserver",)))

    def labels(self, name, places, who="bob"):
        """The image gets these labels, all of dogs."""
        boxes = Boxes(np.float32(places), [1] * len(places))
        self.study.store.annotate(
            Annotation(name, boxes, (Source.HUMAN,) * len(places), True), (), round_index=0, annotator=who, seconds=0.0
        )

    def now(self, name):
        return self.study.annotation(name).boxes.xyxy.tolist()

    def opened(self, page, name, who="anna"):
        found = page.post("/api/open", json={"annotator": who, "image_id": name}).json()
        return found["task"], found["classes"]

    def answer(self, page, task, classes, verdicts, *, without=(), key="key-of-anna"):
        body = {"annotator": "anna", "image_id": task["image_id"], "round": task["round"], "key": key, "complete": True, "seconds": 5}
        body |= {"classes": classes, "verdicts": verdicts, "begun_on": task["begun_on"], "question": task["question"]}
        return page.post("/api/answers", json={name: value for name, value in body.items() if name not in without})

    @pytest.mark.parametrize("without", [(), ("question",), ("question", "begun_on")], ids=["page", "page of before", "older page"])
    @pytest.mark.parametrize("act", ["delete", "relabel", "keep"])
    def test_a_correction_hits_no_other_box_where_the_labels_were_changed_meanwhile(self, page, without, act):
        self.labels("5.png", PLACES)
        task, classes = self.opened(page, "5.png")
        self.labels("5.png", PLACES[1:])  # as by an import; the lease holds all the time
        verdict = {"action": act, "box_id": "settled:2", **({"label": 2} if act == "relabel" else {})}
        reply = self.answer(page, task, classes, [verdict], without=without)
        assert reply.status_code == 409 and reply.json()["code"] == "labels_changed" and "by an import" in reply.json()["error"]
        assert self.now("5.png") == PLACES[1:] and len(self.study.history("5.png")) == 2
        assert self.study.annotation("5.png").boxes.labels.tolist() == [1, 1, 1]
        anew, classes = self.opened(page, "5.png")
        assert self.answer(page, anew, classes, [{"action": "delete", "box_id": "settled:1"}]).json()["late"] is False
        assert self.now("5.png") == [PLACES[1], PLACES[3]]

    def test_a_correction_is_taken_where_the_same_labels_came_once_more(self, page):
        self.labels("5.png", PLACES)
        task, classes = self.opened(page, "5.png")
        self.labels("5.png", PLACES)
        assert self.answer(page, task, classes, [{"action": "delete", "box_id": "settled:2"}]).json()["late"] is False
        assert self.now("5.png") == [PLACES[0], PLACES[1], PLACES[3]]

    def test_labels_that_come_between_looking_and_storing_are_not_overwritten(self, page, monkeypatch):
        self.labels("5.png", PLACES)
        (task, classes), annotate = self.opened(page, "5.png"), Store.annotate

        def late(*given, **more):
            monkeypatch.undo()
            self.labels("5.png", PLACES[1:])
            return annotate(*given, **more)

        monkeypatch.setattr(Store, "annotate", late)
        reply = self.answer(page, task, classes, [{"action": "delete", "box_id": "settled:2"}])
        assert reply.status_code == 409 and reply.json()["code"] == "labels_changed" and self.now("5.png") == PLACES[1:]

    def test_a_correction_of_labels_that_were_taken_back_does_not_bring_them_back(self, page):
        self.labels("5.png", PLACES)
        task, classes = self.opened(page, "5.png")
        self.study.unlabel(["5.png"])
        assert self.answer(page, task, classes, [{"action": "delete", "box_id": "settled:2"}]).json()["code"] == "labels_changed"
        assert self.study.annotation("5.png") is None

    def test_a_late_correction_is_history_of_the_boxes_that_were_seen(self, page):
        self.labels("5.png", PLACES)
        asks(self.study, 1, "2.png")
        task, classes = self.opened(page, "5.png")
        page.post("/api/release", json={"annotator": "anna", "image_ids": ["5.png"]})
        self.study.tell("5.png", [DRAWN], annotator="bob")
        assert self.answer(page, task, classes, [{"action": "delete", "box_id": "settled:2"}]).json()["late"] is True
        assert self.study.history("5.png")[-1].annotation.boxes.xyxy.tolist() == [PLACES[0], PLACES[1], PLACES[3]]
        assert self.now("5.png") == [list(DRAWN.xyxy)]

    @pytest.mark.parametrize("without", [(), ("question",)], ids=["page", "page of before"])
    def test_after_a_class_is_removed_rows_that_have_moved_up_are_not_taken_for_others(self, page, without):
        boxes = Boxes(np.float32(PLACES), [0, 1, 2, 2])
        annotation = Annotation("5.png", boxes, (Source.HUMAN,) * 4, True)
        self.study.store.annotate(annotation, (), round_index=0, annotator="bob", seconds=0.0)
        task, classes = self.opened(page, "5.png")
        page.post("/api/release", json={"annotator": "anna", "image_ids": ["5.png"]})
        self.study.change_classes(class_change(self.study.classes, remove=["cat"]))
        reply = self.answer(page, task, classes, [{"action": "delete", "box_id": "settled:1"}], without=without)
        assert reply.json()["code"] in ("labels_changed", "question_withdrawn") and self.now("5.png") == PLACES[1:]

    def test_an_answer_does_not_silently_replace_newer_labels_of_another_person_on_an_image_that_is_asked_about(self, page):
        asks(self.study, 1, "2.png")
        task, classes = self.opened(page, "2.png")
        self.study.tell("2.png", [DRAWN], annotator="bob")  # as an import does, whoever has it in hand
        reply = self.answer(page, task, classes, [{"action": "add", "xyxy": PLACES[3], "label": 1}])
        assert reply.json()["code"] == "labels_changed" and self.now("2.png") == [list(DRAWN.xyxy)]

    def test_a_drawing_is_taken_where_only_the_model_has_labelled_the_image_meanwhile(self, page):
        asks(self.study, 1, "2.png")
        task, classes = self.opened(page, "5.png")
        by_model = Annotation("5.png", Boxes(np.float32(PLACES), [1] * 4), (Source.MODEL,) * 4, True, round=1)
        self.study.store.commit(1, Phase.ANNOTATE, {"images": 1}, then=(1, Phase.TRAIN), annotations=[by_model])
        assert self.now("5.png") == PLACES
        assert self.answer(page, task, classes, [{"action": "add", "xyxy": OTHER_PLACES[3], "label": 1}]).json()["late"] is False
        assert self.now("5.png") == [OTHER_PLACES[3]]

    @pytest.mark.parametrize(
        ("changes", "labels"),
        [
            ([], [0, 1, 2]),
            ([{"rename": {"dog": "wolf"}}], [0, 1, 2]),
            ([{"rename": {"dog": "cat", "cat": "dog"}}], [0, 1, 2]),
            ([{"merge": {"cat": "animal", "dog": "animal"}}, {"rename": {"animal": "pet"}}], [0, 0, 1]),
            ([{"remove": ["cat"]}, {"add": ["cat"]}], [None, 0, 1]),
        ],
    )
    def test_the_labels_of_an_answer_that_waits_are_known_by_what_became_of_their_classes(self, page, changes, labels):
        before = self.study.classes
        for change in changes:
            self.study.change_classes(class_change(self.study.classes, **change))
        body = {"annotator": "anna", "image_id": "5.png"}
        assert page.post("/api/open", json=body | {"classes": before}).json()["labels"] == labels
        assert page.post("/api/open", json=body).json()["labels"] is None

    @pytest.mark.parametrize("without", [(), ("question",)], ids=["page", "page of before"])
    @pytest.mark.parametrize("asked", ["2.png", "4.png"], ids=["asked again", "not asked again"])
    @pytest.mark.parametrize("verdicts", [[{"action": "delete", "box_id": "r1-1"}], []], ids=["by id", "by silence"])
    def test_an_answer_to_a_question_that_was_withdrawn_is_not_taken_for_the_one_asked_anew(self, page, without, asked, verdicts):
        asks(self.study, 1, "2.png", "3.png")
        proposes(self.study, 1, *PLACES, certain=2)
        task, classes = self.opened(page, "2.png")
        assert [box["id"] for box in task["boxes"]] == [f"r1-{number}" for number in range(4)]
        page.post("/api/release", json={"annotator": "anna", "image_ids": ["2.png"]})
        self.study.change_classes(class_change(self.study.classes, add=["parasite"]))
        before = self.answer(page, task, classes, verdicts, without=without)
        assert before.status_code == 422 and before.json()["code"] == "question_withdrawn"
        trains(self.study, 0)
        asks(self.study, 1, asked, "5.png")
        proposes(self.study, 1, *OTHER_PLACES, certain=2)
        reply = self.answer(page, task, classes, verdicts, without=without)
        assert reply.status_code == 409 and reply.json()["code"] == "question_changed" and self.study.history("2.png") == []
        anew, classes = self.opened(page, "2.png")
        drawn = {"action": "add", "xyxy": PLACES[3], "label": 1}
        assert self.answer(page, anew, classes, [drawn]).status_code == 200
        assert self.now("2.png")[0] == PLACES[3]

    def test_an_answer_waits_for_nothing_where_classes_were_renamed_alone(self, page):
        asks(self.study, 1, "2.png", "3.png")
        proposes(self.study, 1, *PLACES, certain=2)
        (task, classes), (other, _) = self.opened(page, "2.png"), self.opened(page, "3.png")
        page.post("/api/release", json={"annotator": "anna", "image_ids": ["2.png", "3.png"]})
        self.study.change_classes(class_change(self.study.classes, rename={"dog": "wolf"}))
        keeps = [{"action": "keep", "box_id": "r1-3"}]
        assert self.answer(page, task, classes, keeps).status_code == 200
        assert self.answer(page, other, classes, keeps, without=("question",), key="key-number-2").status_code == 200
        assert self.now("2.png") == self.now("3.png") == [PLACES[3], *PLACES[:2]]

    def test_boxes_that_a_round_proposed_are_shown_under_the_classes_of_now(self, page):
        asks(self.study, 1, "2.png", "3.png")
        proposes(self.study, 1, *PLACES, certain=2)
        for name in ("2.png", "3.png"):
            self.study.tell(name, [], annotator="anna")
        self.study.store.commit(1, Phase.ANNOTATE, {"images": 2}, then=(1, Phase.TRAIN))
        self.study.change_classes(class_change(self.study.classes, remove=["cat"]))
        task, classes = self.opened(page, "2.png")
        assert {classes[box["label"]] for box in task["boxes"]} == {"dog"}
        page.post("/api/release", json={"annotator": "anna", "image_ids": ["2.png"]})
        self.study.change_classes(class_change(self.study.classes, rename={"dog": "wolf"}))
        assert self.answer(page, task, classes, [{"action": "keep", "box_id": "r1-2"}]).status_code == 200
        assert [self.study.classes[label] for label in self.study.annotation("2.png").boxes.labels] == ["wolf"] * 3
        page.post("/api/release", json={"annotator": "anna", "image_ids": ["2.png"]})
        self.study.change_classes(class_change(self.study.classes, remove=["wolf"]))
        assert self.opened(page, "2.png")[0]["boxes"] == []
