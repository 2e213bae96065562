import numpy as np

from boxwise.records import Scores
from boxwise.strategies.base import Budget, Candidates
from boxwise.strategies.random import Random


def test_draws_every_image_about_equally_often():
    ids = tuple("abcdefghij")
    candidates = Candidates(0, ids, Scores(ids, np.arange(10.0)), np.zeros((10, 2), np.float32), np.zeros((0, 2), np.float32), np.ones(10))
    rng = np.random.default_rng(0)
    drawn = [image_id for _ in range(1000) for image_id in Random().select(candidates, Budget(3), rng=rng).image_ids]
    counts = [drawn.count(image_id) for image_id in ids]
    assert min(counts) > 240 and max(counts) < 360  # 300 expected, standard deviation 14.5
