"""The members of an ensemble in a real study of seconds, one of them killed in its training."""

import shutil
import signal
from dataclasses import replace

import processes
import pytest
import torch

from boxwise.config import load_config
from boxwise.records import Phase, Split
from boxwise.rounds import RoundContext
from boxwise.rounds.ensemble import members
from boxwise.study import Study

pytestmark = pytest.mark.slow

KILLED_IN_THE_SECOND_MEMBER = """
import os, signal, sys
from pathlib import Path
from boxwise.study import Study

study = Study.open(sys.argv[1])
first = Path(study.folder) / "rounds/round_00/weights_member1.pt"

def on_event(event):
    if first.exists() and event.step >= 10:
        os.kill(os.getpid(), signal.SIGKILL)

study.step(on_event=on_event)
"""


@pytest.fixture(scope="module")
def scored(hidden, tiny_overrides, tmp_path_factory):
    """A study that is about to score its first pool, and a copy of it that has."""
    config = load_config(None, (*tiny_overrides, "scorer.name=ensemble", "scorer.members=3", "budget.rounds=1"))
    study = Study.create(tmp_path_factory.mktemp("ensemble") / "study", hidden[1], config=config)
    while study.store.position[1] is not Phase.SCORE:
        if study.store.position[1] is Phase.ANNOTATE:
            study.answer(hidden[0])
        study.step()
    study.store.close()
    done = Study.open(shutil.copytree(study.folder, study.folder.parent / "done"))
    done.step()
    return study.folder, done


def weights(study, name):
    return torch.load(study.folder / "rounds/round_00" / name, weights_only=True)["network"]


def differs(a, b):
    return any(not torch.equal(a[name], b[name]) for name in a)


def bench_of(study):
    return RoundContext(study.folder, study.store, study.config, study.classes, None, lambda event: None)


def test_the_scoring_step_trains_the_members_that_are_missing(scored):
    _, study = scored
    mine, one, two = (weights(study, name) for name in ("weights.pt", "weights_member1.pt", "weights_member2.pt"))
    assert differs(mine, one) and differs(mine, two) and differs(one, two)
    assert not list(study.folder.glob("rounds/*/checkpoint_member*"))
    assert study.store.position == (1, Phase.SELECT)
    assert study.round(0).score.terms["mutual_information"]["quantiles"][-1] > 0


def test_members_that_are_there_are_not_trained_again(scored):
    _, study = scored
    path = study.files(0).member_weights(1)
    before = path.stat().st_mtime_ns
    assert len(members(bench_of(study), 0)) == 2 and path.stat().st_mtime_ns == before


def test_they_are_trained_again_with_the_round(scored, tmp_path):
    study = Study.open(shutil.copytree(scored[0], tmp_path / "again"))
    context = bench_of(study)
    members(context, 0)
    first = weights(study, "weights_member1.pt")
    image_id, annotation = next((i, a) for i, a in study.annotations(Split.TRAIN).items() if len(a.boxes))
    study.tell_all({image_id: annotation.boxes[:0]})
    assert study.repeat(Phase.TRAIN) == 0
    study.step()
    assert not list(study.folder.glob("rounds/*/weights_member*"))
    members(context, 0)
    assert differs(weights(study, "weights_member1.pt"), first)


def test_only_an_ensemble_has_members(scored):
    _, study = scored
    context = bench_of(study)
    dual = context.config.model_copy(update={"scorer": context.config.scorer.model_copy(update={"name": "dual"})})
    assert members(replace(context, config=dual), 0) == []


def test_seeds_are_their_own_and_the_first_weights_the_same_every_round(scored):
    context = bench_of(scored[1])
    seeds = {(round_index, member): context.member_seeds(round_index, member) for round_index in (0, 1) for member in (1, 2)}
    assert seeds[0, 1][0] == seeds[1, 1][0] != seeds[0, 2][0] == seeds[1, 2][0]
    assert len({training for _, training in seeds.values()}) == 4


def test_killed_in_the_second_member_it_ends_the_same(scored, tmp_path):
    waiting, whole = scored
    killed = Study.open(shutil.copytree(waiting, tmp_path / "killed"))
    killed.store.close()
    process = processes.run("-c", KILLED_IN_THE_SECOND_MEMBER, killed.folder)
    assert process.returncode == -signal.SIGKILL, process.stderr
    first = killed.folder / "rounds/round_00/weights_member1.pt"
    assert first.exists() and (killed.folder / "rounds/round_00/checkpoint_member2.pt").exists()
    assert not (killed.folder / "rounds/round_00/weights_member2.pt").exists()
    trained = first.stat().st_mtime_ns
    again = Study.open(killed.folder)
    again.step()
    assert first.stat().st_mtime_ns == trained
    for name in ("weights_member1.pt", "weights_member2.pt"):
        assert not differs(weights(again, name), weights(whole, name))
    assert [item.image_id for item in again.ask().items] == [item.image_id for item in whole.ask().items]
