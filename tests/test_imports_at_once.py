"""Labels that are imported while people label, or by two imports at once. Nothing is trained."""

import json
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest
from PIL import Image

from boxwise.boxes import Boxes
from boxwise.config import load_config
from boxwise.data.datasets import read_pool
from boxwise.records import Action, Phase, Query, QueryItem, Split, Verdict
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
    images = [{"id": number, "file_name": name, "width": 64, "height": 64} for number, name in enumerate(NAMES)]
    boxes = [{"id": number, "image_id": number, "category_id": 1, "bbox": [1, 1, 19, 19]} for number in range(len(NAMES))]
    labels = tmp_path / "labels.json"
    labels.write_text(json.dumps({"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "cat"}]}))
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
