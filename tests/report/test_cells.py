import json

import pytest

from boxwise.artifacts.facts import SelectFacts
from boxwise.boxes import Boxes
from boxwise.config import BudgetConfig, DetectorConfig, StudyConfig
from boxwise.data.formats.base import Dataset
from boxwise.errors import BoxwiseError
from boxwise.records import ImageRecord, Phase, Split
from boxwise.results.cells import cell_of
from boxwise.study import Study


@pytest.fixture
def study(tmp_path):
    images = tuple(ImageRecord(f"{i}.png", tmp_path / f"{i}.png", 40, 30, Split.TRAIN) for i in range(3))
    labels = {"0.png": Boxes([[1, 2, 9, 8], [3, 3, 20, 20]], [0, 0]), "1.png": Boxes.empty()}
    return Study.create(tmp_path / "study", Dataset(("zero",), images, labels), config=StudyConfig(seed=3))


def test_a_cell_holds_labels_with_their_sources(study):
    cell = cell_of(study)
    labeled = study.store.annotations(Split.TRAIN)
    assert labeled.keys() == {"0.png", "1.png"}
    assert cell.seed == 3 and cell.labels.keys() == cell.by_model.keys() == labeled.keys()
    assert all(len(cell.by_model[image_id]) == len(boxes) and not cell.by_model[image_id].any() for image_id, boxes in cell.labels.items())
    assert (cell.ask, cell.policy, cell.cooperates, cell.self_labels) == ("full", "all_labeled", False, {})


def test_a_cell_names_the_files_of_images_that_are_labelled_or_chosen(tmp_path):
    images = tuple(ImageRecord(f"{i}.png", tmp_path / f"{i}.png", 40, 30, Split.TRAIN) for i in range(9))
    config = StudyConfig(seed=3, budget=BudgetConfig(initial=3, validation=0), detector=DetectorConfig(name="tiny_ssd"))
    study = Study.create(tmp_path / "study", Dataset(("zero",), images, {"0.png": Boxes.empty()}), config=config)
    assert cell_of(study).images == {"0.png": str(tmp_path / "0.png")}
    asked = study.ask().image_ids
    assert asked and cell_of(study).images == {name: str(tmp_path / name) for name in ("0.png", *asked)}


def test_a_study_whose_strategy_has_changed_is_named_after_all_that_asked(tmp_path):
    images = tuple(ImageRecord(f"{i}.png", tmp_path / f"{i}.png", 40, 30, Split.TRAIN) for i in range(9))
    study = Study.create(tmp_path / "study", Dataset(("zero",), images, {}), config=StudyConfig(budget=BudgetConfig(rounds=9)))

    assert cell_of(study).arm == "facility_location"
    for number, name in enumerate(("random", "random", "k_center", "k_center", "random")):
        study.store.put("position", [number, "select"])
        study.store.commit(number, Phase.SELECT, SelectFacts(strategy=name).to_json(), then=(number, Phase.ANNOTATE))
    assert cell_of(study).arm == "random → k_center → random"


def test_what_simulation_knows_of_self_labels_is_read_from_its_file(study):
    judged = {"1": {"annotated": {"zero": {"self_labeled": 4, "correct": 3, "objects": 5}}}}
    (study.folder / "self_labels.json").write_text(json.dumps(judged), encoding="utf-8")
    assert cell_of(study).self_labels == judged


@pytest.mark.parametrize("text", ["{", "[1]"])
def test_a_broken_file_is_named(study, text):
    (study.folder / "self_labels.json").write_text(text, encoding="utf-8")
    with pytest.raises(BoxwiseError, match=r"self_labels\.json"):
        cell_of(study)
