import numpy as np
import torch

from boxwise.detectors.dropout import channel_masks

LEVELS = [torch.zeros(2, 4000, 3, 3), torch.zeros(2, 8, 1, 1)]


def test_drops_whole_channels_and_keeps_the_mean():
    (first, second), (other, _) = channel_masks(LEVELS, passes=2, rate=0.2, seed=3)
    assert first.shape == (1, 4000, 1, 1) and second.shape == (1, 8, 1, 1)
    assert set(first.flatten().tolist()) == {0.0, 1.25}
    assert abs(float(first.mean()) - 1) < 0.05
    assert not torch.equal(first, other)


def test_masks_come_from_the_seed_alone():
    before = torch.get_rng_state()
    one, same, other = (channel_masks(LEVELS, passes=2, rate=0.5, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for x, y in zip(one, same, strict=True) for a, b in zip(x, y, strict=True))
    assert not torch.equal(one[0][0], other[0][0])
    smaller = channel_masks([level[:1] for level in LEVELS], passes=2, rate=0.5, seed=1)
    assert np.array_equal(smaller[1][0], one[1][0])
