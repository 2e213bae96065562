"""A query on disk: what to label, why, and the model's boxes to correct; handed back unchanged they mean what they showed."""

import csv
import shutil
from dataclasses import replace

import numpy as np
import pytest

from boxwise.annotation.simulated import SimulatedAnnotator
from boxwise.config import CostConfig, load_config
from boxwise.datasets import read_labels_for
from boxwise.errors import ConfigError, StudyError
from boxwise.records import Phase, Source, Split
from boxwise.report.queries import pool_predictions, write_query
from boxwise.study import Study


@pytest.fixture(scope="module")
def studies(digits, tiny_overrides, tmp_path_factory):
    """One study waiting in round 1 in each mode."""
    pool = {record.image_id for record in digits.images if record.split is Split.TRAIN}
    annotator = SimulatedAnnotator({name: digits.labels[name] for name in pool}, CostConfig())
    shown = replace(digits, labels={name: boxes for name, boxes in digits.labels.items() if name not in pool})
    made = {}
    for mode in ("full", "review"):
        overrides = (*tiny_overrides, f"ask.mode={mode}", "ask.certain=0.34", "scorer.name=none", "budget.val_per_round=1")
        study = Study.create(tmp_path_factory.mktemp(mode) / "study", shown, config=load_config(None, overrides))
        while study.store.position != (1, Phase.ANNOTATE):
            if study.store.position[1] is Phase.ANNOTATE:
                study.answer(annotator)
            study.step()
        made[mode] = study
    return made


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_list_and_a_table(studies, tmp_path):
    query = studies["review"].ask()
    write_query(studies["review"], query, tmp_path / "q.txt")
    write_query(studies["review"], query, tmp_path / "q.csv")
    assert len((tmp_path / "q.txt").read_text().splitlines()) == len(query.items) == 5
    found = rows(tmp_path / "q.csv")
    assert [row["image_id"] for row in found] == list(query.image_ids) and {row["asked"] for row in found} == {"whole image"}
    assert [row["for"] for row in found].count("val") == 1


@pytest.mark.parametrize("format_name", ["voc", "coco", "yolo"])
def test_unchanged_boxes_handed_back_are_accepted_proposals(studies, tmp_path, format_name):
    study, out = studies["review"], tmp_path / format_name
    write_query(study, study.ask(), out, format_name=format_name)
    labels = out / "proposals.json" if format_name == "coco" else out
    back = read_labels_for(study.store.images(), labels, format_name=format_name, classes=study.classes)
    assert set(back.labels) == set(study.proposals())  # not the image for val
    study.store.close()  # so that the write-ahead log is in the one file that is copied
    copy = Study.open(shutil.copytree(study.folder, tmp_path / "copy"))
    for image_id, boxes in back.labels.items():
        proposals = study.proposals()[image_id]
        copy._tell_labels(image_id, boxes, "somebody")
        _, _, annotation, verdicts = copy.store.history(image_id)[-1]
        assert {verdict.action.value for verdict in verdicts} <= {"keep"} and len(verdicts) == (~proposals.certain).sum()
        assert annotation.sources.count(Source.MODEL) == proposals.certain.sum() > 0
        assert np.allclose(sorted(annotation.boxes.xyxy.tolist()), sorted(proposals.boxes.xyxy.tolist()), atol=0.01)


def test_the_state_of_every_box_is_listed(studies, tmp_path):
    study = studies["review"]
    write_query(study, study.ask(), tmp_path / "out")
    found = rows(tmp_path / "out" / "boxes.csv")
    for image_id in study.ask().image_ids:
        if image_id in study.proposals():
            states = {row["box_id"]: row["state"] for row in found if row["image_id"] == image_id}
            proposals = study.proposals()[image_id]
            assert states == {i: "certain" if sure else "uncertain" for i, sure in zip(proposals.boxes.ids, proposals.certain, strict=True)}
    assert {row["image_id"] for row in found} == set(study.proposals())


def test_where_people_draw_everything_the_models_boxes_are_a_hint(studies, tmp_path):
    study = studies["full"]
    write_query(study, study.ask(), tmp_path / "out")
    assert (tmp_path / "out" / "proposals.json").exists() and not (tmp_path / "out" / "boxes.csv").exists()


def test_an_unknown_format_is_named(studies, tmp_path):
    with pytest.raises(ConfigError, match="Unknown format 'pascal'"):
        write_query(studies["review"], studies["review"].ask(), tmp_path / "out", format_name="pascal")


def test_no_predictions_before_the_first_scoring(digits, tmp_path, tiny_overrides):
    study = Study.create(tmp_path / "study", digits, config=load_config(None, tiny_overrides))
    with pytest.raises(StudyError, match="no predictions yet"):
        pool_predictions(study)
