from rounds import Rounds, asked, of_ratio, rng

from boxwise.policies.v1 import V1

LABELED = [of_ratio(name, 10) for name in ("a", "b", "c")]


def test_trains_on_the_new_and_k_random_labelled():
    plans = [V1().compose(asked([of_ratio("x", 0), of_ratio("y", 9)], labeled=LABELED, batch=2), rng=rng(seed)) for seed in range(30)]
    assert all(plan.train[:2] == ("x", "y") and len(plan.train) == 4 for plan in plans)
    assert {frozenset(plan.train[2:]) for plan in plans} == {frozenset(pair) for pair in ("ab", "ac", "bc")}


def test_nothing_joins_and_nothing_returns():
    plan = V1().compose(asked([of_ratio("x", 0), of_ratio("y", 9)], labeled=LABELED), rng=rng())
    assert plan.joins == plan.requeue == plan.release == ()


def test_each_image_is_trained_on_in_one_round():
    study = Rounds(V1(), images=7, batch=3, answer=lambda image_id, times: of_ratio(image_id, 5))
    trained = [image_id for _ in range(4) for image_id in study.play().train if not image_id.startswith("first")]
    assert sorted(trained) == [f"{i:03}" for i in range(7)]
    assert study.lost() == set(trained) and set(study.labeled) == {"first0", "first1", "first2"}
