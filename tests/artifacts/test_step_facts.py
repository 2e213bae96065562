"""Facts survive JSON, those of earlier versions too, and a file of a round has one name."""

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest

import boxwise
from boxwise.artifacts.facts import FACTS, AnnotateFacts, ComposeFacts, EvaluateFacts, Round, TrainFacts
from boxwise.artifacts.round_folder import RoundFolder
from boxwise.errors import StudyError
from boxwise.records import Phase


@pytest.mark.parametrize("phase", FACTS)
def test_every_step_has_facts_that_know_nothing_by_default(phase):
    facts = FACTS[phase]()
    assert FACTS[phase].from_json(facts.to_json()) == FACTS[phase].from_json({}) == facts
    assert json.loads(json.dumps(facts.to_json()))["version"] == FACTS[phase].VERSION


def test_facts_come_back_as_they_were():
    composed = ComposeFacts(policy="v1", joined=("a.png", "b.png"), al_ratio={"a.png": 0.5}, train=("a.png",))
    trained = TrainFacts(steps=3, seconds=np.float64(2.5), history=({"step": 1, "loss": float("nan")},))
    assert ComposeFacts.from_json(json.loads(json.dumps(composed.to_json()))) == composed
    assert TrainFacts.from_json(trained.to_json()) == dataclasses.replace(trained, history=({"step": 1, "loss": None},))


def test_facts_of_an_earlier_version_lack_what_it_did_not_write_down():
    old = AnnotateFacts.from_json({"images": 4, "seconds": 9.5, "forgotten": True})
    assert (old.images, old.seconds, old.val_boxes, old.actions) == (4, 9.5, None, {})


def test_facts_of_a_later_version_are_refused():
    with pytest.raises(StudyError, match=r"EvaluateFacts of version 2, this boxwise knows up to 1\. Update boxwise"):
        EvaluateFacts.from_json({"version": 2})


def test_a_step_that_is_not_done_knows_nothing():
    one = Round.from_json(3, {"annotate": {"images": 0}, "train": None})
    assert one.done(Phase.ANNOTATE) and not one.done(Phase.TRAIN) and one.train == TrainFacts()
    assert one.metrics("test") is None and one.metrics("train") is None


def test_val_as_it_was_is_what_the_stopping_rule_follows():
    assert EvaluateFacts(val={"ap": 0.5}, val_parts={"original": {"ap": 0.25}}).stopping_ap == 0.25
    assert EvaluateFacts(val={"ap": 0.5}).stopping_ap == 0.5 and EvaluateFacts().stopping_ap is None


@pytest.mark.parametrize(
    ("parts", "followed"),
    [
        ({"original": None, "round 10": {"ap": 0.4}, "added later": {"ap": 0.3}, "round 2": {"ap": 0.2}}, 0.2),
        ({"original": None, "round 1": {"ap": None}, "added later": {"ap": 0.3}}, 0.3),  # nothing on its images
        ({"original": {"ap": 0.1}, "round 1": {"ap": 0.2}}, 0.1),
    ],
)
def test_where_a_study_began_without_val_the_stopping_rule_follows_its_first_part(parts, followed):
    assert EvaluateFacts(val={"ap": 0.5}, val_parts=parts).stopping_ap == followed


def test_figures_are_all_but_what_the_study_alone_needs():
    facts = EvaluateFacts(val={"ap": 0.5}, val_labels={"original": {"a": "1"}}, test_labels={"b": "2"}, stopping_labels="3")
    assert (
        facts.figures() == {"version": 1, "val": {"ap": 0.5}, "stopping_labels": "3"} and EvaluateFacts.from_json(facts.to_json()) == facts
    )


def test_no_file_of_a_round_is_spelled_anywhere_else():
    names = [getattr(RoundFolder(Path()), name).name for name, kind in vars(RoundFolder).items() if isinstance(kind, property)]
    spelled = re.compile("|".join(rf'"{re.escape(name)}"' for name in names))
    root = Path(boxwise.__file__).parent
    files = [path for path in root.rglob("*.py") if path.parent.name != "testing"]  # a suite's own files are no round's
    found = {path.name for path in files if spelled.search(path.read_text(encoding="utf-8"))}
    assert len(names) == len(set(names)) > 10 and found == {"round_folder.py"}
