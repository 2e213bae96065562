"""What policies are given of rounds under another policy."""

import numpy as np
import pytest
from made_rounds import context_of

from boxwise.policies.all_labeled import AllLabeled
from boxwise.records import Split
from boxwise.rounds.compose import _material


@pytest.fixture
def study(waiting_study, hidden):
    """One whose round 1 is answered."""
    study = waiting_study("full")
    study.answer(hidden[0])
    return study


def material(study, policy, of_round_1):
    past = {1: {"compose": {"policy": of_round_1, "labeled": 6}}}
    return _material(context_of(study, f"policy.name={policy}", past=past), 2, study.annotations(Split.TRAIN))


@pytest.mark.parametrize("policy", ["all_labeled", "v1plus", "ceal"])
def test_labels_that_another_policy_was_done_with_belong_to_the_labelled_set(study, policy):
    found = material(study, policy, "v1")
    assert set(found.labeled) == set(study.annotations(Split.TRAIN)) > {item.image_id for item in study.store.query(0).items}


@pytest.mark.parametrize("of_round_1", ["v1", ""])  # an older version wrote down no policy
def test_under_one_policy_they_stay_what_it_made_of_them(study, of_round_1):
    asked = {item.image_id for item in study.store.query(1).items}
    assert asked and set(material(study, "v1", of_round_1).labeled) == set(study.annotations(Split.TRAIN)) - asked


def test_after_v1_everything_labelled_means_everything(study):
    plan = AllLabeled().compose(material(study, "all_labeled", "v1"), rng=np.random.default_rng(0))
    assert set(plan.train) == set(study.annotations(Split.TRAIN))
