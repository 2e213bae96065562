"""A policy that breaks its promises is one message, before anything is trained on."""

import re
from types import SimpleNamespace

import numpy as np
import pytest

from boxwise.boxes import Boxes
from boxwise.errors import BoxwiseError
from boxwise.policies.base import SelfLabels, TrainingPlan
from boxwise.policies.checked import CheckedPolicy
from boxwise.testing.policies import material

SURE = Boxes(np.array([[1, 1, 5, 5]], np.float32), np.array([0]))


def planned(plan):
    policy = SimpleNamespace(partial=True, labels_pool=False, validates=0, compose=lambda material, *, rng: plan)
    return CheckedPolicy(policy, "policy mine").compose(material(), rng=np.random.default_rng(0))


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (["new0"], "expected a TrainingPlan from compose, found a list"),
        (TrainingPlan("new0"), "expected a tuple of image ids as the plan's train, found a str"),
        (TrainingPlan(("new0",), joins={"new0"}), "expected a tuple of image ids as the plan's joins, found a set"),
        (TrainingPlan((SURE,)), "expected image ids in the plan's train, found a Boxes"),
        (TrainingPlan(("new0", "new0")), "expected a plan of labelled images, each once, found one of 2 twice"),
        (TrainingPlan((), release=("pool0",)), "expected a plan of labelled images, each once, found 'pool0', which is not labelled"),
        (
            TrainingPlan((), joins=("new0", "new1"), release=("new1",)),
            "expected a plan in which an image is in one of joins, requeue, release, found 'new1' in more",
        ),
        (TrainingPlan((), self_labels={"pool0": SURE}), "expected SelfLabels with Boxes as the self_labels of 'pool0', found a Boxes"),
        (
            TrainingPlan((), self_labels={"pool0": SelfLabels(SURE, np.ones(2))}),
            "expected 1 weights, one a box, in the self_labels of 'pool0'",
        ),
    ],
    ids=range(9),
)
def test_a_broken_promise_is_named(plan, message):
    with pytest.raises(BoxwiseError, match=f"^policy mine: {re.escape(message)}.*PolicyContract"):
        planned(plan)


def test_a_plan_that_keeps_them_passes_as_it_is():
    plan = TrainingPlan(("first0", "new0"), joins=("new0",), requeue=("new1",), self_labels={"pool0": SelfLabels(SURE, np.ones(1))})
    assert planned(plan) is plan
