import numpy as np
import pytest

from boxwise.records import Scores
from boxwise.strategies.base import Budget, Candidates
from boxwise.strategies.pal import Pal, rarity


def pool(uncertainties, *, scores=None, labeled=(), expected=None, counts=None) -> Candidates:
    """uncertainties: [N, C]. expected: objects expected in the pool, [C], laid on the first image."""
    uncertainties = np.asarray(uncertainties, np.float64)
    count, classes = uncertainties.shape
    ids = tuple(map(str, range(count)))
    terms = {f"pal:{label}": uncertainties[:, label] for label in range(classes)}
    values = uncertainties.max(axis=1, initial=0) if scores is None else np.asarray(scores, np.float64)
    of_class = np.zeros((count, classes))
    of_class[0] = 0 if expected is None else expected
    nothing = np.zeros((count, 2), np.float32)
    return Candidates(
        1,
        ids,
        Scores(ids, values, terms),
        nothing,
        nothing[:0],
        np.ones(count) if counts is None else np.asarray(counts, np.float64),
        class_counts=of_class,
        labeled_class_counts=np.asarray(labeled, np.float64),
    )


def select(candidates, amount, unit="images") -> list[int]:
    query = Pal().select(candidates, Budget(amount, unit), rng=np.random.default_rng(0))
    return [int(image_id) for image_id in query.image_ids]


def one_class_each(count: int, classes: int) -> np.ndarray:
    """Image i is uncertain of class i % classes alone, earlier images more."""
    uncertainties = np.zeros((count, classes))
    uncertainties[np.arange(count), np.arange(count) % classes] = np.linspace(0.69, 0.01, count)
    return uncertainties


def test_rarity_by_hand():
    # labelled 6 : 3 : 1 and expected 1 : 1 : 2 -> 1 - (.6 + .25) / 2, 1 - (.3 + .25) / 2, 1 - (.1 + .5) / 2
    assert rarity(np.array([6.0, 3, 1]), np.array([10.0, 10, 20])) == pytest.approx([0.575, 0.725, 0.7])


def test_rarity_where_nothing_is_labelled_hangs_on_the_pool():
    assert rarity(np.zeros(2), np.array([3.0, 1])) == pytest.approx([1 - (0.5 + 0.75) / 2, 1 - (0.5 + 0.25) / 2])


def test_each_class_spends_its_share_on_its_most_uncertain_images():
    # r = .575, .725, .7 of 2: of 40 images 11.5, 14.5 and 14; the rarest first, up to 14.5 -> 15, 28.5 -> 29 and 40
    candidates = pool(one_class_each(300, 3), labeled=[6, 3, 1], expected=[10, 10, 20])
    picks = select(candidates, 40)
    assert picks == [*range(1, 1 + 3 * 15, 3), *range(2, 2 + 3 * 14, 3), *range(0, 3 * 11, 3)]


def test_equal_classes_share_a_budget_that_divides_exactly():
    picks = np.array(select(pool(one_class_each(60, 3), labeled=[5, 5, 5]), 9))
    assert np.bincount(picks % 3).tolist() == [3, 3, 3]


def test_an_image_counts_against_the_class_that_chose_it_and_is_not_offered_again():
    # the rare class 1 takes image 0, which is also the first of class 0
    assert select(pool([[0.6, 0.6], [0.5, 0], [0.4, 0]], labeled=[9, 1]), 2) == [0, 1]


def test_what_a_class_cannot_spend_falls_to_the_next_and_then_to_the_highest_scores():
    uncertainties = np.zeros((6, 2))
    uncertainties[3, 1], uncertainties[4, 0] = 0.2, 0.1
    candidates = pool(uncertainties, scores=[1, 6, 2, 0, 0, 0], labeled=[9, 1])
    query = Pal().select(candidates, Budget(4), rng=np.random.default_rng(0))
    assert query.image_ids == ("3", "4", "1", "2")
    assert [item.utility for item in query.items] == [0.2, 0.1, 6, 2]


def test_a_single_class_takes_the_most_uncertain():
    assert select(pool([[0.1], [0.3], [0.2]], labeled=[4], expected=[9]), 2) == [1, 2]


def test_a_budget_in_boxes_is_split_in_boxes():
    # classes 0 and 1 of equal rarity: 12 boxes each; images hold 4
    picks = np.array(select(pool(one_class_each(40, 2), labeled=[5, 5], counts=np.full(40, 4)), 24, "boxes"))
    assert np.bincount(picks % 2).tolist() == [3, 3]
