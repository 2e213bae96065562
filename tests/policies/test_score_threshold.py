from rounds import Rounds, answered, asked, of_ratio, rng

from boxwise.policies.score_threshold import ScoreThreshold

LABELED = [of_ratio(name, 10) for name in ("a", "b", "c")]


def test_weak_self_labels_are_trained_on_and_asked_again_strong_ones_join_and_the_rest_goes_back():
    new = [
        answered("by a person", person=3),
        answered("weak", person=2, model=(0.9, 0.5)),  # 1.4 / 4 = .35
        answered("middle", person=1, model=(1.0,)),  # .5
        answered("strong", person=1, model=(0.9, 0.96)),  # 1.86 / 3 = .62
        answered("empty"),
    ]
    plan = ScoreThreshold().compose(asked(new, labeled=LABELED, batch=2), rng=rng())
    assert plan.train[:2] == plan.requeue == ("by a person", "weak")
    assert len(plan.train) == 4 and set(plan.train[2:]) < {"a", "b", "c"}
    assert plan.joins == ("strong", "empty") and plan.release == ("middle",)


def test_the_thresholds_include_their_values():
    new = [answered("x", person=3, model=(1.0,)), answered("y", person=1, model=(1.0,))]
    plan = ScoreThreshold(score_train=0.25, score_join=0.5).compose(asked(new, labeled=LABELED), rng=rng())
    assert plan.requeue == ("x",) and plan.joins == ("y",)


def test_images_leave_the_queue_as_self_labels_grow_strong_and_none_is_lost():
    """sl_score .25, then .45, then .8."""

    def answer(image_id, times):
        return answered(image_id, person=1, model=(min(1.0, 0.1 + 0.4 * times),)) if times < 3 else answered(image_id, model=(0.7, 0.9))

    study = Rounds(ScoreThreshold(), images=3, batch=2, answer=answer)
    assert study.play().requeue == ("000", "001")
    assert study.play().release == ("000", "001")
    for _ in range(8):
        study.play()
        assert not study.lost()
    assert {"000", "001", "002"} <= set(study.labeled) and set(study.asked_times.values()) == {3}
