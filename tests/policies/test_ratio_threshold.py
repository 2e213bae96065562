from rounds import Rounds, answered, asked, of_ratio, rng

from boxwise.policies.ratio_threshold import RatioThreshold

LABELED = [of_ratio(name, 10) for name in ("a", "b", "c")]


def test_hard_images_are_trained_on_and_asked_again_easy_ones_join_and_the_rest_goes_back():
    new = [of_ratio(f"{tenths}", tenths) for tenths in (0, 3, 4, 5, 6, 10)]
    plan = RatioThreshold().compose(asked(new, labeled=LABELED, batch=2), rng=rng())
    assert plan.train[:2] == ("6", "10") and len(plan.train) == 4 and set(plan.train[2:]) < {"a", "b", "c"}
    assert plan.requeue == ("6", "10")
    assert plan.joins == ("0", "3")
    assert plan.release == ("4", "5")


def test_the_thresholds_are_the_config_s():
    plan = RatioThreshold(ratio_train=0.9, ratio_join=0.8).compose(asked([of_ratio("x", 8), of_ratio("y", 9)], labeled=LABELED), rng=rng())
    assert plan.joins == ("x",) and plan.requeue == ("y",)


def test_an_image_without_objects_joins():
    plan = RatioThreshold().compose(asked([answered("empty")], labeled=LABELED), rng=rng())
    assert plan.joins == ("empty",)


def test_old_images_are_left_as_they_are():
    plan = RatioThreshold().compose(asked([], before=[of_ratio("old", 9)], labeled=LABELED, batch=9), rng=rng())
    assert sorted(plan.train) == ["a", "b", "c"] and plan.requeue == plan.joins == plan.release == ()


def test_images_leave_the_queue_as_the_model_learns_them_and_none_is_lost():
    """Each time an image is asked again, a person has 3 boxes of 10 less to answer for."""
    study = Rounds(RatioThreshold(), images=5, batch=2, answer=lambda image_id, times: of_ratio(image_id, max(0, 11 - 3 * times)))
    first = [study.play() for _ in range(3)]
    assert [plan.requeue for plan in first] == [("000", "001"), (), ("002", "003")]  # 8, 5, then 8 of 10
    assert first[1].release == ("000", "001")
    for _ in range(12):
        study.play()
        assert not study.lost()
    assert set(study.labeled) >= {f"{i:03}" for i in range(5)} and not study.queue and not study.pool
    assert set(study.asked_times.values()) == {3}  # 8, 5, 2: trained on, back to the pool, joined


def test_a_queue_longer_than_the_batch_loses_nobody():
    study = Rounds(RatioThreshold(), images=4, batch=2, answer=lambda image_id, times: of_ratio(image_id, 9))
    for _ in range(4):
        assert study.play().requeue == ("000", "001")
    assert not study.lost() and study.pool == ["002", "003"]
