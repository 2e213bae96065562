from rounds import Rounds, asked, of_ratio, rng

from boxwise.policies.topk_ratio import TopKRatio

LABELED = [of_ratio(name, 10) for name in ("a", "b", "c")]


def compose(material, seed=0):
    return TopKRatio().compose(material, rng=rng(seed))


def test_the_highest_of_all_seen_are_trained_on_and_the_lowest_join():
    before = [of_ratio("old hard", 9), of_ratio("old easy", 1)]
    new = [of_ratio("easy", 2), of_ratio("middle", 5), of_ratio("hard", 8)]
    plan = compose(asked(new, before=before, labeled=LABELED, batch=2))
    assert plan.train[:2] == ("old hard", "hard")
    assert len(plan.train) == 4 and set(plan.train[2:]) < {"a", "b", "c"}
    assert plan.joins == ("old easy", "easy")
    assert plan.release == ("middle",) and plan.requeue == ()


def test_each_image_joins_once_and_what_joined_keeps_its_rank():
    joined = [of_ratio("easiest", 0), of_ratio("easy", 1)]
    plan = compose(asked([of_ratio("new", 2), of_ratio("hard", 9)], before=joined, labeled=LABELED + joined, batch=2))
    assert plan.joins == () and plan.train[:2] == ("hard", "new")


def test_a_first_round_trains_on_the_batch_and_keeps_it():
    plan = compose(asked([of_ratio("x", 3), of_ratio("y", 7)], labeled=LABELED, batch=2))
    assert plan.train[:2] == ("y", "x") and plan.joins == ("x", "y") and plan.release == ()


def test_an_image_trained_on_before_goes_back_once_harder_ones_come():
    before = [of_ratio("low", 0), of_ratio("was hard", 6)]
    plan = compose(asked([of_ratio("harder", 8)], before=before, labeled=[*LABELED, before[0]], batch=1))
    assert plan.train[0] == "harder" and plan.release == ("was hard",)


def test_the_labelled_are_never_released():
    before = [of_ratio("low", 0), of_ratio("joined", 5), of_ratio("high", 9)]
    assert compose(asked([], before=before, labeled=[*LABELED, *before[:2]], batch=1)).release == ()


def test_equal_ratios_rank_at_random():
    picks = {compose(asked([of_ratio(name, 5) for name in "xyz"], labeled=LABELED, batch=1), seed).train[0] for seed in range(40)}
    assert picks == {"x", "y", "z"}


def test_a_middle_image_joins_when_the_model_has_learned_it():
    """Asked first, one to nine tenths of an image are a person's; asked again, nothing is."""

    def answer(image_id, times):
        return of_ratio(image_id, 1 + int(image_id) % 9 if times == 1 else 0)

    study = Rounds(TopKRatio(), images=12, batch=3, answer=answer)
    for _ in range(12):
        plan = study.play()
        assert study.lost() <= set(plan.train)  # neither labelled nor in the pool: only what is still among the hardest
    joined_later = [image_id for image_id in study.labeled if study.asked_times.get(image_id, 0) > 1]
    assert len(joined_later) > 2 and len(study.labeled) > 3 + 3 + len(joined_later)
