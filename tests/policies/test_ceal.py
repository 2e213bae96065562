from dataclasses import replace

import numpy as np
from rounds import answered, asked, of_ratio, pool_image, rng

from boxwise.policies.ceal import Ceal

SURE = [0.995, 0.0, 0.005]  # .995 · .005 + .005 · 5.298 = .0315 nats
SURER = [0.999, 0.0, 0.001]  # .0079
UNSURE = [0.9, 0.05, 0.05]  # .394
LABELED = [of_ratio("a", 10), of_ratio("b", 10)]


def compose(pool, *, round_index=1, new=(), labeled=LABELED, **knobs):
    return Ceal(**knobs).compose(asked(list(new), labeled=labeled, round_index=round_index, pool=pool), rng=rng())


def test_everything_annotated_and_the_sure_boxes_of_the_pool():
    plan = compose([pool_image("p", SURE, UNSURE, SURER), pool_image("q", UNSURE)], new=[answered("n", person=1)])
    assert plan.train == ("a", "b", "n") and plan.joins == ("n",) and plan.requeue == plan.release == ()
    assert list(plan.self_labels) == ["p"]
    labels = plan.self_labels["p"]
    assert np.array_equal(labels.boxes.probabilities, np.array([SURE, SURER], np.float32))
    assert labels.weights.tolist() == [1, 1]


def test_delta_falls_each_round_until_nothing_is_self_labelled():
    pool = [pool_image("p", SURE), pool_image("q", SURER)]
    found = {round_index: set(compose(pool, round_index=round_index).self_labels) for round_index in (1, 6, 7, 13, 14, 16, 17, 40)}
    assert found[1] == found[6] == {"p", "q"}  # .05 - 5 · .0033 = .0335
    assert found[7] == found[13] == {"q"}  # .0302, .0104
    assert found[14] == found[16] == found[17] == found[40] == set()  # .0071, .0005, below 0


def test_images_of_lowest_mean_entropy_come_first_and_no_more_than_their_share():
    pool = [pool_image("mixed", SURE, SURER), pool_image("sure", SURE, UNSURE), pool_image("surer", SURER)]
    assert list(compose(pool, most_self_labeled=1.5).self_labels) == ["surer", "mixed", "sure"]
    assert list(compose(pool, most_self_labeled=1).self_labels) == ["surer", "mixed"]
    assert list(compose(pool, most_self_labeled=1, new=[answered("n")]).self_labels) == ["surer", "mixed", "sure"]
    assert compose(pool, most_self_labeled=0).self_labels == {}


def test_boxes_without_probabilities_are_never_self_labelled():
    image = pool_image("p", SURER)
    bare = type(image)("bare", type(image.boxes)(image.boxes.xyxy, image.boxes.labels, image.boxes.scores))
    assert list(compose([bare, image]).self_labels) == ["p"]


def test_the_pool_is_not_even_read_when_nothing_can_be_self_labelled():
    def pool():
        raise AssertionError("read")
        yield

    for round_index, knobs in ((17, {}), (1, {"most_self_labeled": 0})):
        material = replace(asked([], labeled=LABELED, round_index=round_index), pool=pool)
        assert Ceal(**knobs).compose(material, rng=rng()).self_labels == {}
