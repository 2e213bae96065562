from rounds import Rounds, asked, of_ratio, rng

from boxwise.policies.v1plus import V1Plus


def test_trains_as_v1_and_all_new_images_join():
    labeled = [of_ratio(name, 10) for name in ("a", "b", "c")]
    plan = V1Plus().compose(asked([of_ratio("x", 0), of_ratio("y", 9)], labeled=labeled, batch=2), rng=rng())
    assert plan.train[:2] == ("x", "y") and len(plan.train) == 4 and set(plan.train[2:]) < {"a", "b", "c"}
    assert plan.joins == ("x", "y") and plan.requeue == plan.release == ()


def test_rounds_lose_no_image_and_train_on_at_most_two_batches():
    study = Rounds(V1Plus(), images=8, batch=3, answer=lambda image_id, times: of_ratio(image_id, 5))
    assert [len(study.play().train) for _ in range(4)] == [6, 6, 5, 3]  # 8 images in batches of 3, 3 and 2, then the known alone
    assert not study.lost() and len(study.labeled) == 11
