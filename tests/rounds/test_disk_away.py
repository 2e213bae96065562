"""Images that are away for a while: the step that needs them ends with one message, no image goes out of use, and it is done later."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from boxwise.artifacts import pool_parts
from boxwise.config import load_config
from boxwise.errors import ImageStoreError, StudyError
from boxwise.records import Phase
from boxwise.rounds.parts import Shard
from boxwise.study import Study

pytestmark = pytest.mark.slow
STEPS = (Phase.TRAIN, Phase.EVALUATE, Phase.SCORE)


@pytest.fixture(scope="module")
def waiting(hidden, tiny_overrides, tmp_path_factory):
    """Step → folder with `study`, which is about to do it; the last is a study that has scored its pool."""
    folder = tmp_path_factory.mktemp("waiting")
    overrides = (*tiny_overrides, "score_batch=4", "train.cache_mb=0", "scorer.name=none", "strategy.name=k_center")
    study, made = Study.create(folder / "study", hidden[1], config=load_config(None, overrides)), {}
    while study.position != (1, Phase.SELECT):
        if study.position[1] in STEPS:
            study.store.close()
            made[study.position[1]] = shutil.copytree(study.folder, folder / study.position[1].value)
        if study.position[1] is Phase.ANNOTATE:
            study.answer(hidden[0])
        study.step()
    study.store.close()
    return made


@pytest.fixture
def study_before(waiting, digits_folder, tmp_path):
    """A function from a step to a study of its own images, in `tmp_path/images`, that is about to do it."""

    def made(step):
        study = Study.open(shutil.copytree(waiting[step], tmp_path / "study"))
        study.relocate(shutil.copytree(digits_folder / "JPEGImages", tmp_path / "images"))
        return study

    return made


@pytest.mark.parametrize("mount_point", [False, True])
@pytest.mark.parametrize("step", STEPS)
def test_nothing_goes_out_of_use_and_the_step_is_done_when_they_are_back(study_before, tmp_path, step, mount_point):
    study = study_before(step)
    (tmp_path / "images").rename(tmp_path / "away")
    if mount_point:
        (tmp_path / "images").mkdir()
    with pytest.raises(ImageStoreError, match="Nothing was taken out of use"):
        study.step()
    assert study.position == (0, step) and not study.quarantined()
    shutil.rmtree(tmp_path / "images", ignore_errors=True)
    (tmp_path / "away").rename(tmp_path / "images")
    study.step()
    assert study.position != (0, step) and not study.quarantined()


def test_parts_of_the_pool_that_were_not_seen_are_no_parts(study_before, tmp_path, monkeypatch):
    monkeypatch.setattr(pool_parts, "_SMALLEST", 4)
    study = study_before(Phase.SCORE)
    study.inspect_shard(Shard(1, 2))
    before = sorted(study.files(0).pool_pass.glob("part_*"))
    (tmp_path / "images").rename(tmp_path / "away")
    with pytest.raises(ImageStoreError):
        study.inspect_shard(Shard(2, 2))
    assert before and sorted(study.files(0).pool_pass.glob("part_*")) == before
    (tmp_path / "away").rename(tmp_path / "images")
    study.step()
    assert study.round(0).score.pool == len(study.pool()) and not study.quarantined()


def test_a_single_file_that_is_gone_goes_out_of_use(study_before):
    study = study_before(Phase.SCORE)
    gone = study.pool()[0]
    Path(gone.uri).unlink()
    study.step()
    assert list(study.quarantined()) == [gone.image_id]


def test_a_study_that_ended_for_want_of_images_goes_on_when_they_are_found(study_before, tmp_path):
    study = study_before(Phase.SCORE)
    for record in study.pool():
        study.quarantine(record.image_id, f"{record.uri}: expected an image that decodes, found no such file.")
    study.step()
    assert study.position[1] is Phase.DONE
    with pytest.raises(StudyError):
        study.relocate(tmp_path / "study")
    study.relocate(shutil.move(tmp_path / "images", tmp_path / "moved"))
    assert study.position == (0, Phase.SCORE)
    study.step()
    assert study.ask().items


def test_images_of_a_list_that_are_away_when_they_are_first_opened(study_before, tmp_path):
    study = study_before(Phase.SCORE)
    first = study.pool()[0]
    study.store.measured([replace(first, width=0, height=0)])
    (tmp_path / "images").rename(tmp_path / "away")
    with pytest.raises(ImageStoreError, match="relocate"):
        study.record(first.image_id)
    assert not study.quarantined()
