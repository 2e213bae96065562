import numpy as np
from rounds import asked, of_ratio, pool_image, rng

from boxwise.policies.base import PoolImage, SelfLabels
from boxwise.policies.plans import easiest, with_random_labeled

LABELED = [of_ratio(name, 10) for name in ("a", "b", "c", "d", "e")]


def test_k_random_labelled_are_drawn_beside_what_is_chosen():
    material = asked([], labeled=LABELED, batch=2)
    for seed in range(20):
        train = with_random_labeled(["x", "b"], material, rng=rng(seed))
        assert train[:2] == ("x", "b") and len(set(train)) == 4
    assert sorted(with_random_labeled(["x", "b"], asked([], labeled=LABELED, batch=99), rng=rng())) == ["a", "b", "c", "d", "e", "x"]


def hardness(image: PoolImage) -> tuple[float, SelfLabels] | None:
    """How hard the image's name says it is."""
    return None if image.image_id == "none" else (float(image.image_id[0]), SelfLabels(image.boxes, np.ones(1, np.float32)))


def images(*names: str) -> list[PoolImage]:
    return [pool_image(name, [0.9, 0.1]) for name in names]


def test_the_easiest_come_first():
    assert list(easiest(images("3", "1", "none", "2", "4"), hardness, 3, rng=rng())) == ["1", "2", "3"]
    assert list(easiest(images("3", "none"), hardness, 3, rng=rng())) == ["3"]
    assert easiest(images("3", "1"), hardness, 0, rng=rng()) == {}


def test_equals_are_drawn_at_random():
    picks = {tuple(easiest(images("1a", "1b", "1c", "2"), hardness, 1, rng=rng(seed))) for seed in range(40)}
    assert picks == {("1a",), ("1b",), ("1c",)}


def test_a_long_pool_is_never_held():
    alive, most = 0, 0

    class Counted(SelfLabels):
        def __del__(self):
            nonlocal alive
            alive -= 1

    def label(image: PoolImage) -> tuple[float, SelfLabels]:
        nonlocal alive, most
        alive += 1
        most = max(most, alive)
        return -float(image.image_id), Counted(image.boxes, np.ones(1, np.float32))

    boxes = pool_image("0", [0.9, 0.1]).boxes
    found = easiest((PoolImage(str(i), boxes) for i in range(2000)), label, 5, rng=rng())
    assert list(found) == ["1999", "1998", "1997", "1996", "1995"]
    assert most <= 10
