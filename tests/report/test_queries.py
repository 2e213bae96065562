"""A query on disk: what to label, why, and the model's boxes to correct; handed back unchanged they mean what they showed."""

import csv

import numpy as np
import pytest

from boxwise.config import load_config
from boxwise.data.datasets import read_labels_for
from boxwise.errors import ConfigError, StudyError
from boxwise.records import Source
from boxwise.report.queries import pool_predictions, write_query
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
    assert set(back.labels) == set(study.proposals())  # not the image for val
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
    assert {row["image_id"] for row in found} == set(study.proposals())


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
