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
    def compose(material, *, rng):
        assert len(list(material.pool())) == 60
        return plan

    policy = SimpleNamespace(partial=True, labels_pool=True, validates=0, compose=compose)
    return CheckedPolicy(policy, "policy mine").compose(material(), rng=np.random.default_rng(0))


def labelled(image_id="pool0", *, weight=1.0, label=0, x=1):
    boxes = Boxes(np.array([[x, 1, 5, 5]], np.float32), np.array([label]))
    return TrainingPlan((), self_labels={image_id: SelfLabels(boxes, np.array([weight]))})


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
        (labelled("nowhere"), "expected self_labels of images read from the pool, found 'nowhere', which is none of them"),
        (labelled("first0"), "expected self_labels of images read from the pool, found 'first0', which is labelled"),
        (labelled("new0"), "expected self_labels of images read from the pool, found 'new0', which is labelled"),
        (labelled(weight=np.nan), "expected weights from 0 to 1 in the self_labels of 'pool0', found nan"),
        (labelled(weight=np.inf), "expected weights from 0 to 1 in the self_labels of 'pool0', found inf"),
        (labelled(weight=-5.0), "expected weights from 0 to 1 in the self_labels of 'pool0', found -5.0"),
        (labelled(weight="1"), "expected numbers as weights in the self_labels of 'pool0', found <U1"),
        (labelled(label=3), "expected labels from 0 to 2 in the self_labels of 'pool0', found 3"),
        (labelled(label=-1), "expected labels from 0 to 2 in the self_labels of 'pool0', found -1"),
        (labelled(x=np.nan), "expected finite corners in the self_labels of 'pool0', found nan"),
    ],
    ids=range(19),
)
def test_a_broken_promise_is_named(plan, message):
    with pytest.raises(BoxwiseError, match=f"^policy mine: {re.escape(message)}.*PolicyContract"):
        planned(plan)


def test_a_plan_that_keeps_them_passes_as_it_is():
    plan = TrainingPlan(("first0", "new0"), joins=("new0",), requeue=("new1",), self_labels={"pool0": SelfLabels(SURE, np.ones(1))})
    assert planned(plan) is plan


@pytest.mark.parametrize("plan", [labelled(weight=0, label=2), TrainingPlan((), self_labels={"pool0": SelfLabels(SURE[:0], np.ones(0))})])
def test_so_do_self_labels_at_the_bounds_and_without_boxes(plan):
    assert planned(plan) is plan


def test_numpys_flags_and_whole_numbers_become_pythons():
    checked = CheckedPolicy(SimpleNamespace(partial=np.True_, labels_pool=np.False_, validates=np.int64(3)), "policy mine")
    traits = (checked.partial, checked.labels_pool, checked.validates)
    assert traits == (True, False, 3) and [type(trait) for trait in traits] == [bool, bool, int]
