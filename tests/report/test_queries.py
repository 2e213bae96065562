"""A query on disk: what to label, why, and the model's boxes to correct; handed back unchanged they mean what they showed."""

import csv

import numpy as np
import pytest

from boxwise.config import load_config
from boxwise.data.datasets import read_labels_for
from boxwise.errors import ConfigError, StudyError
from boxwise.records import Action, Source, Verdict
from boxwise.report.queries import pool_predictions, write_labels, write_query
from boxwise.study import Study


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_list_and_a_table(waiting_study, tmp_path):
    study = waiting_study("review")
    query = study.ask()
    write_query(study, query, tmp_path / "q.txt")
    write_query(study, query, tmp_path / "q.csv")
    assert len((tmp_path / "q.txt").read_text().splitlines()) == len(query.items) == 5
    found = rows(tmp_path / "q.csv")
    assert [row["image_id"] for row in found] == list(query.image_ids) and {row["asked"] for row in found} == {"whole image"}
    assert [row["for"] for row in found].count("val") == 1


@pytest.mark.parametrize("format_name", ["voc", "coco", "yolo"])
def test_unchanged_boxes_handed_back_are_accepted_proposals(waiting_study, tmp_path, format_name):
    study, out = waiting_study("review"), tmp_path / format_name
    write_query(study, study.ask(), out, format_name=format_name)
    labels = out / "proposals.json" if format_name == "coco" else out
    back = read_labels_for(study.store.images(), labels, format_name=format_name, classes=study.classes)
    assert set(back.labels) == set(study.proposals()) != set()  # not the image for val
    study.tell_all(back.labels)
    for image_id in back.labels:
        proposals = study.proposals()[image_id]
        entry = study.store.history(image_id)[-1]
        annotation, verdicts = entry.annotation, entry.verdicts
        assert {verdict.action.value for verdict in verdicts} <= {"keep"} and len(verdicts) == (~proposals.certain).sum()
        assert annotation.sources.count(Source.MODEL) == proposals.certain.sum() > 0
        assert np.allclose(sorted(annotation.boxes.xyxy.tolist()), sorted(proposals.boxes.xyxy.tolist()), atol=0.01)


def test_the_state_of_every_box_is_listed(waiting_study, tmp_path):
    study = waiting_study("review")
    write_query(study, study.ask(), tmp_path / "out")
    found = rows(tmp_path / "out" / "boxes.csv")
    for image_id in study.ask().image_ids:
        if image_id in study.proposals():
            states = {row["box_id"]: row["state"] for row in found if row["image_id"] == image_id}
            proposals = study.proposals()[image_id]
            assert states == {i: "certain" if sure else "uncertain" for i, sure in zip(proposals.boxes.ids, proposals.certain, strict=True)}
    assert {row["image_id"] for row in found} == set(study.proposals()) != set()


def test_where_people_draw_everything_the_models_boxes_are_a_hint(waiting_study, tmp_path):
    study = waiting_study("full")
    write_query(study, study.ask(), tmp_path / "out")
    assert (tmp_path / "out" / "proposals.json").exists() and not (tmp_path / "out" / "boxes.csv").exists()


def test_an_unknown_format_is_named(waiting_study, tmp_path):
    study = waiting_study("review")
    with pytest.raises(ConfigError, match="Unknown format 'pascal'"):
        write_query(study, study.ask(), tmp_path / "out", format_name="pascal")


def test_no_predictions_before_the_first_scoring(digits, tmp_path, tiny_overrides):
    study = Study.create(tmp_path / "study", digits, config=load_config(None, tiny_overrides))
    with pytest.raises(StudyError, match="no predictions yet"):
        pool_predictions(study)


@pytest.fixture(params=["review", "trust"])
def shared(waiting_study, request):
    """A study in which an image has boxes of a person and of the model; (study, image id)."""
    study = waiting_study(request.param)
    image_id = next(i for i in study.ask().image_ids if i in study.proposals() and study.proposals()[i].certain.any())
    study.tell(image_id, [Verdict(Action.ADD, xyxy=(1, 2, 9, 11), label=0, seconds=7)])
    annotation = study.annotation(image_id)
    assert set(annotation.sources) == {Source.HUMAN, Source.MODEL} and np.isnan(annotation.boxes.scores[0])
    return study, image_id


@pytest.mark.parametrize("way", ["export", "review"])
@pytest.mark.parametrize(("name", "file"), [("coco", "labels.json"), ("yolo", "."), ("cvat", "."), ("voc", ".")])
def test_labels_that_people_and_the_model_share_are_written_without_scores(shared, boxwise, tmp_path, name, file, way):
    (study, image_id), out = shared, tmp_path / "out"
    if way == "export":
        code, _, err = boxwise("export", study.folder, out / file, "--format", name, "--incomplete")
        assert code == 0, err
    else:
        write_labels(study, [image_id], out, format_name=name)
    texts = [path.read_text() for path in out.rglob("*") if path.suffix in (".json", ".txt", ".xml")]
    assert not any(word in text for text in texts for word in ("NaN", "nan", "score"))
    back = read_labels_for(study.images(), out / file, format_name=name, classes=study.classes)
    assert back.labels[image_id].scores is None and np.allclose(
        back.labels[image_id].xyxy, study.annotation(image_id).boxes.xyxy, atol=0.01
    )
    assert not back.findings


@pytest.mark.parametrize("name", ["coco", "yolo", "cvat"])
def test_exported_predictions_have_their_scores(waiting_study, boxwise, tmp_path, name):
    study = waiting_study("review")
    out = tmp_path / ("out.json" if name == "coco" else "out")
    code, _, err = boxwise("export", study.folder, out, "--format", name, "--predictions")
    assert code == 0, err
    back = read_labels_for(study.images(), out, format_name=name, classes=study.classes)
    predicted = {image_id: boxes.scores for image_id, boxes in pool_predictions(study).labels.items() if len(boxes)}
    assert predicted and all(np.allclose(sorted(back.labels[i].scores), sorted(scores), atol=1e-6) for i, scores in predicted.items())
