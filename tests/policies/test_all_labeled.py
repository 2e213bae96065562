from rounds import Rounds, asked, of_ratio, rng

from boxwise.policies.all_labeled import AllLabeled


def test_trains_on_everything_and_everything_new_joins():
    material = asked([of_ratio("new", 5)], before=[of_ratio("old", 5)], labeled=[of_ratio("first", 10), of_ratio("old", 5)])
    plan = AllLabeled().compose(material, rng=rng())
    assert plan.train == ("first", "old", "new") and plan.joins == ("new",)
    assert plan.requeue == plan.release == () and not plan.self_labels


def test_an_image_asked_again_is_trained_on_once():
    plan = AllLabeled().compose(asked([of_ratio("again", 5)], labeled=[of_ratio("again", 5)]), rng=rng())
    assert plan.train == ("again",) and plan.joins == ()


def test_rounds_lose_no_image():
    study = Rounds(AllLabeled(), images=7, batch=3, answer=lambda image_id, times: of_ratio(image_id, 5))
    sizes = [len(study.play().train) for _ in range(4)]
    assert sizes == [6, 9, 10, 10] and not study.lost()
