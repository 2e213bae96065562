import numpy as np
import pytest
from rounds import answered, asked, of_ratio, pool_image, rng

from boxwise.policies.sample_mining import SampleMining

# Σ l of two classes: -log(.95) - log(1 - .02) = .0715; -log(.9) - log(1 - .06) = .1672; -log(.8) - log(1 - .1) = .3285
SURE, LIKELY, FAIR = [0.95, 0.02, 0.03], [0.9, 0.06, 0.04], [0.8, 0.1, 0.1]
LABELED = [of_ratio("a", 10), of_ratio("b", 10)]


def compose(pool, *, round_index=1, new=(), **knobs):
    return SampleMining(**knobs).compose(asked(list(new), labeled=LABELED, round_index=round_index, pool=pool), rng=rng())


def scores(plan, image_id="p"):
    return plan.self_labels[image_id].boxes.scores.tolist() if image_id in plan.self_labels else []


def test_everything_annotated_is_trained_on_and_joins():
    plan = compose([], new=[answered("n", person=1)])
    assert plan.train == ("a", "b", "n") and plan.joins == ("n",) and plan.requeue == plan.release == () and plan.self_labels == {}


def test_a_box_passes_when_three_of_five_pastes_found_it():
    image = pool_image("p", *[SURE] * 6, consistency=[1, 0.8, 3 / 5, 2 / 5, 0, np.nan])
    assert len(compose([image]).self_labels["p"].boxes) == 3
    assert compose([pool_image("p", SURE, consistency=[0.4])]).self_labels == {}


def test_untested_images_are_left_out():
    assert compose([pool_image("p", SURE)]).self_labels == {}


def test_the_gate_opens_round_by_round_up_to_one():
    image = pool_image("p", SURE, LIKELY, FAIR, [0.4, 0.3, 0.3], consistency=[1, 1, 1, 1])
    passed = {round_index: scores(compose([image], round_index=round_index, pace=5)) for round_index in (1, 2, 4, 5, 99)}
    assert passed[1] == pytest.approx([0.95])  # .15
    assert passed[2] == passed[4] == pytest.approx([0.95, 0.9])  # .20, .30
    assert passed[5] == pytest.approx([0.95, 0.9, 0.8])  # .35
    assert passed[99] == pytest.approx([0.95, 0.9, 0.8])  # 1, and not 5.05: the last box costs .92 + .36 = 1.27


def test_a_box_weighs_less_the_less_sure_it_is():
    weights = compose([pool_image("p", SURE, LIKELY, consistency=[1, 1])], gate=1).self_labels["p"].weights
    assert weights == pytest.approx([1 - 0.0513 / 0.5, 1 - 0.1054 / 0.5], abs=1e-4)


def test_the_weight_is_that_of_the_box_s_own_class():
    weights = compose([pool_image("p", [0.02, 0.95, 0.03], consistency=[1])]).self_labels["p"].weights
    assert weights == pytest.approx([1 - 0.0513 / 0.5], abs=1e-4)


def test_boxes_of_no_weight_are_left_out():
    image = pool_image("p", SURE, LIKELY, consistency=[1, 1])
    assert scores(compose([image], gate=1, pace=0.1)) == pytest.approx([0.95])  # l = .0513 and .1054
    assert compose([image], gate=1, pace=0.05).self_labels == {}


def test_the_easiest_images_come_first_and_no_more_than_their_share():
    pool = [pool_image(name, row, consistency=[1]) for name, row in (("likely", LIKELY), ("fair", FAIR), ("sure", SURE))]
    assert list(compose(pool, gate=1, most_self_labeled=1).self_labels) == ["sure", "likely"]
    assert list(compose(pool, gate=1, most_self_labeled=2).self_labels) == ["sure", "likely", "fair"]
