"""Labels that are imported while people label, or by two imports at once. Nothing is trained."""

import json
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest
from PIL import Image

from boxwise.artifacts.box_tables import write_proposals
from boxwise.boxes import Boxes
from boxwise.config import load_config
from boxwise.data import datasets
from boxwise.data.datasets import read_pool
from boxwise.records import Action, Annotation, Phase, Proposals, Query, QueryItem, Source, Split, Verdict
from boxwise.study import Study
from boxwise.study import study as study_module

NAMES = tuple(f"{number}.png" for number in range(4))
SETTINGS = ("detector.name=tiny_ssd", "detector.pretrained=none", "budget.initial=4", "budget.validation=0")
CAT, DOGS = Boxes(np.float32([[1, 1, 20, 20]]), [0]), Boxes(np.float32([[5, 5, 30, 30], [40, 40, 60, 60]]), [1, 1])
LABELS = dict.fromkeys(NAMES, CAT)


def drawn(boxes):
    return [Verdict(Action.ADD, xyxy=tuple(box), label=int(label), seconds=1) for box, label in zip(boxes.xyxy, boxes.labels, strict=True)]


@pytest.fixture(params=["sqlite", "postgresql"])
def study(request, tmp_path):
    """A study that asks about four images, the last of them two people."""
    (tmp_path / "photos").mkdir()
    for number, name in enumerate(NAMES):
        Image.new("RGB", (64, 64), (number, 0, 0)).save(tmp_path / "photos" / name)
    store = [f"store={request.getfixturevalue('empty_postgres')}"] if request.param == "postgresql" else []
    pool = read_pool(tmp_path / "photos", None, classes=("cat", "dog"))
    made = Study.create(tmp_path / "study", pool, config=load_config(None, [*SETTINGS, *store]))
    query = Query(0, tuple(QueryItem(name, 0.0, twice=name == NAMES[3]) for name in NAMES))
    made.store.commit(0, Phase.SELECT, {"strategy": "made up"}, then=(0, Phase.ANNOTATE), query=query)
    return made


def labels_file(folder, *, names=NAMES, boxes=1):
    """COCO labels of images, each with one box or none."""
    images = [{"id": number, "file_name": name, "width": 64, "height": 64} for number, name in enumerate(names)]
    annotations = [{"id": number, "image_id": number, "category_id": 1, "bbox": [1, 1, 19, 19]} for number in range(boxes * len(names))]
    path = folder / "labels.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "cat"}]}))
    return path


def given(study):
    """image id → who gave each of its labels, in order."""
    return {name: [entry.annotator for entry in study.history(name)] for name in NAMES}


def test_what_was_answered_after_an_import_had_judged_stays_and_is_told(study):
    study.tell(NAMES[0], drawn(DOGS), annotator="anna")
    news = study.news_in(LABELS, annotator="imp")
    assert news.replaced == NAMES[:1]
    for name in NAMES[:2]:
        study.tell(name, drawn(DOGS), annotator="anna", key=f"answer-to-{name}", round_index=0)
    taken = study.take(news, annotator="imp")
    assert dict(taken.meanwhile) == dict.fromkeys(NAMES[:2], "anna")
    assert tuple(taken.acts) == NAMES[2:] and (taken.known, taken.replaced) == (0, ())
    assert all(len(study.annotation(name).boxes) == 2 for name in NAMES[:2])
    again = study.take(study.news_in(LABELS, annotator="imp"), annotator="imp")
    assert again.replaced == NAMES[:2] and not again.meanwhile
    assert all(len(study.annotation(name).boxes) == 1 for name in NAMES)


def test_of_two_equal_imports_at_once_the_second_knows_what_the_first_has_written(study):
    others = Study.open(study.folder)
    news = [one.news_in(LABELS, annotator="imp") for one in (study, others)]
    first, second = (one.take(said, annotator="imp") for one, said in zip((study, others), news, strict=True))
    assert (len(first.acts), first.known) == (4, 0) and (len(second.acts), second.known) == (0, 4)
    assert not second.meanwhile and given(study) == {name: ["imp"] for name in NAMES}


def test_two_imports_side_by_side_label_each_image_once(study):
    both = Barrier(2)

    def take_in(opened):
        news = opened.news_in(LABELS, annotator="imp")
        both.wait()
        taken = opened.take(news, annotator="imp")
        return len(taken.acts), taken.known, len(taken.meanwhile)

    with ThreadPoolExecutor(2) as at_once:
        found = list(at_once.map(take_in, [Study.open(study.folder) for _ in range(2)]))
    assert [sum(column) for column in zip(*found, strict=True)] == [4, 4, 0]
    assert given(study) == {name: ["imp"] for name in NAMES} and study.labour(Split.TRAIN).images == 4


def test_of_two_people_who_are_asked_alone_the_other_has_not_answered_in_place_of_an_import(study):
    news = study.news_in(LABELS, annotator="imp")
    study.tell(NAMES[3], drawn(DOGS), annotator="anna", key="answer-of-anna", round_index=0)
    taken = study.take(news, annotator="imp")
    assert not taken.meanwhile and given(study)[NAMES[3]] == ["anna", "imp"] and not study.unanswered().items


def test_an_answer_that_was_taken_back_meanwhile_holds_nothing_up(study):
    study.tell(NAMES[0], drawn(DOGS), annotator="anna", key="answer-of-anna", round_index=0)
    news = study.news_in(LABELS, annotator="imp")
    assert study.labelling.withdraw("answer-of-anna", NAMES[0], 0, "anna")
    taken = study.take(news, annotator="imp")
    assert len(taken.acts) == 4 and not taken.meanwhile and len(study.annotation(NAMES[0]).boxes) == 1


def test_labels_of_an_image_out_of_use_are_known_too(study):
    study.exclude(NAMES[:1], reason="dark", who="lea")
    assert study.tell_all(LABELS) == (4, 0) and study.tell_all({NAMES[0]: CAT}) == (0, 1)


def test_an_import_names_what_was_labelled_meanwhile_and_by_whom(study, boxwise, monkeypatch, tmp_path):
    labels = labels_file(tmp_path)
    take = study_module.take

    def later(*said, **more):
        monkeypatch.undo()
        study.tell(NAMES[1], drawn(DOGS), annotator="anna", key="answer-of-anna", round_index=0)
        return take(*said, **more)

    monkeypatch.setattr(study_module, "take", later)
    code, out, err = boxwise("import", study.folder, labels, "--annotator", "imp")
    assert code == 0 and "3 images labelled, 0 known already, 0 findings." in out, out + err
    assert "1 image was labelled meanwhile, by anna: 1.png; left as answered. Import again to replace it." in err, err
    assert len(study.annotation(NAMES[1]).boxes) == 2
    code, out, err = boxwise("import", study.folder, labels, "--annotator", "imp")
    assert code == 0 and "1 image labelled (1 of them changed), 3 known already" in out and "meanwhile" not in err, out + err


def goes_on(study, *items, proposed=(), by_model=()):
    """Another process ends the round and asks the next question."""
    number, phase = study.position
    study.store.commit(number, phase, {}, then=(number + 1, Phase.SELECT))
    path = study.files(number + 1).proposals
    path.parent.mkdir(parents=True, exist_ok=True)
    write_proposals(path, proposed)
    query, then = Query(number + 1, items), (number + 1, Phase.ANNOTATE)
    study.store.commit(number + 1, Phase.SELECT, {"strategy": "made up"}, then=then, query=query, annotations=by_model)


def test_what_was_answered_while_an_import_read_its_labels_stays_too(study):
    study.tell(NAMES[0], drawn(DOGS), annotator="ben")
    since = study.moment()
    study.tell(NAMES[1], drawn(DOGS), annotator="anna")
    study.tell(NAMES[2], drawn(CAT), annotator="anna")
    taken = study.take(study.news_in(LABELS, annotator="imp", since=since), annotator="imp")
    assert dict(taken.meanwhile) == {NAMES[1]: "anna"} and tuple(taken.acts) == (NAMES[0], NAMES[3])
    assert (taken.known, taken.replaced) == (1, NAMES[:1]) and len(study.annotation(NAMES[1]).boxes) == 2


def test_an_import_began_before_it_read_its_labels(study, boxwise, monkeypatch, tmp_path):
    read = datasets.read_labels_for

    def meanwhile(*said, **more):
        study.tell(NAMES[1], drawn(DOGS), annotator="anna")
        study.quarantine(NAMES[2], "flagged by lea: dark", who="lea")
        return read(*said, **more)

    monkeypatch.setattr(datasets, "read_labels_for", meanwhile)
    code, out, err = boxwise("import", study.folder, labels_file(tmp_path, names=NAMES[:3]), "--annotator", "imp")
    assert code == 0 and "1 image labelled, 0 known already, 0 findings." in out, out + err
    assert "1 image was labelled meanwhile, by anna: 1.png; left as answered." in err, err
    assert "1 image went out of use meanwhile: 2.png (flagged by lea: dark); nothing was taken of it." in err, err


def test_labels_of_the_model_alone_are_nobodys_answer(study):
    news = study.news_in({NAMES[2]: CAT}, annotator="imp")
    nothing = np.zeros((0, 4), np.float32)
    goes_on(study, QueryItem(NAMES[0], 0.0), by_model=[Annotation(NAMES[2], DOGS, (Source.MODEL,) * 2, True, nothing, 1)])
    taken = study.take(news, annotator="imp")
    assert tuple(taken.acts) == taken.replaced == (NAMES[2],) and not taken.meanwhile
    assert given(study)[NAMES[2]] == ["model", "imp"] and len(study.annotation(NAMES[2]).boxes) == 1


def certain(name):
    found = Boxes(np.float32([[30, 30, 60, 60]]), [1], scores=np.float32([0.9]), probabilities=np.float32([[0.1, 0.9]]), ids=["r1-0"])
    return Proposals(name, found, np.array([True]))


@pytest.mark.parametrize("moment", ["before it writes", "at its first image", "as it writes the second"])
def test_a_round_that_goes_on_adds_none_of_the_models_boxes_to_imported_labels(study, monkeypatch, moment):
    names = NAMES[:2]
    news = study.news_in(dict.fromkeys(names, CAT), annotator="imp")
    told, tell = [], Study.tell

    def go_on():
        goes_on(study, QueryItem(names[1], 0.0), proposed=[certain(names[1])])

    def telling(self, image_id, *said, **more):
        if moment == "as it writes the second" and image_id == names[1]:
            go_on()
        told.append(image_id)
        annotation = tell(self, image_id, *said, **more)
        if moment == "at its first image" and image_id == names[0]:
            go_on()
        return annotation

    if moment == "before it writes":
        go_on()
    monkeypatch.setattr(Study, "tell", telling)
    taken = study.take(news, annotator="imp")
    assert tuple(taken.acts) == names and told == list(names)
    assert study.annotation(names[1]).boxes.xyxy.tolist() == [[1, 1, 20, 20]]
    assert study.annotation(names[1]).sources == (Source.HUMAN,)
    assert study.waiting(1) == ({names[1]} if moment == "as it writes the second" else set())


def test_an_image_that_went_out_of_use_meanwhile_is_named_and_not_counted(study, boxwise, monkeypatch, tmp_path):
    take = study_module.take

    def later(*said, **more):
        monkeypatch.undo()
        study.quarantine(NAMES[0], "flagged by anna: dark", who="anna")
        return take(*said, **more)

    monkeypatch.setattr(study_module, "take", later)
    code, out, err = boxwise("import", study.folder, labels_file(tmp_path, names=NAMES[:2]))
    assert code == 0 and "1 image labelled, 0 known already, 0 findings." in out, out + err
    assert "1 image went out of use meanwhile: 0.png (flagged by anna: dark); nothing was taken of it." in err, err
    assert not study.history(NAMES[0])


def test_what_was_known_and_taken_back_meanwhile_is_labelled(study):
    study.tell(NAMES[0], drawn(CAT), annotator="anna")
    news = study.news_in({NAMES[0]: CAT}, annotator="imp")
    assert (len(news.acts), news.known) == (0, 1)
    study.unlabel([NAMES[0]], who="lea")
    taken = study.take(news, annotator="imp")
    assert (tuple(taken.acts), taken.known) == (NAMES[:1], 0) and len(study.annotation(NAMES[0]).boxes) == 1


def test_remarks_speak_of_what_was_taken_alone(study, boxwise, monkeypatch, tmp_path):
    take = study_module.take

    def later(*said, **more):
        monkeypatch.undo()
        for name in NAMES[:2]:
            study.tell(name, drawn(DOGS), annotator="anna")
        return take(*said, **more)

    monkeypatch.setattr(study_module, "take", later)
    labels = labels_file(tmp_path, names=NAMES[:3], boxes=0)
    code, out, err = boxwise("import", study.folder, labels, "--missing", "empty")
    assert code == 0 and "1 image labelled" in out and "1 image has no box, of 1: taken as empty" in err, out + err


def test_the_same_labels_of_one_of_two_people_change_nothing_after_the_other_has_answered(study):
    twice, others = {NAMES[3]: CAT}, Study.open(study.folder)
    news = others.news_in(twice, annotator="imp")
    assert study.tell_all(twice, annotator="imp") == (1, 0)
    study.tell(NAMES[3], drawn(DOGS), annotator="anna", key="answer-of-anna", round_index=0)
    taken = others.take(news, annotator="imp")
    assert (len(taken.acts), taken.known, dict(taken.meanwhile)) == (0, 1, {})
    assert study.tell_all(twice, annotator="imp") == (0, 1) and given(study)[NAMES[3]] == ["imp", "anna"]
