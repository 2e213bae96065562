from dataclasses import replace

import numpy as np
import pytest
from blob_detector import BlobDetector

from boxwise.boxes import Boxes
from boxwise.config import load_config
from boxwise.errors import ConfigError
from boxwise.rounds import check
from boxwise.scorers.mixture import COLUMNS, Mixture
from boxwise.scorers.pool_pass import inspect_pool
from boxwise.simulation.simulate import Plan, simulate


class MixedDetector(BlobDetector):
    """Finds as many boxes in the image of row i as `rows[i]` has (score, four uncertainties); the images are told apart by their names."""

    def __init__(self, rows) -> None:
        self.rows = [np.array(each, np.float32).reshape(-1, 5) for each in rows]

    def _of(self, view):
        return [self.rows[int(record.image_id[:2])] for record in view.batch.records]

    def detections(self, view) -> list[Boxes]:
        return [
            Boxes(
                np.tile(np.array([[0, 0, 9, 9]], np.float32), (len(e), 1)),
                np.zeros(len(e), int),
                e[:, 0],
                np.stack([e[:, 0], 1 - e[:, 0]], 1),
            )
            if len(e)
            else Boxes.empty(1)
            for e in self._of(view)
        ]

    def mixture_uncertainties(self, view) -> list[np.ndarray]:
        return [each[:, 1:] for each in self._of(view)]


def scores(records, rows):
    found = inspect_pool(MixedDetector(rows), Mixture(), records[: len(rows)], batch=5)
    return Mixture().score(found.image_ids, found.terms), found.terms


def test_an_image_is_as_unsure_as_its_most_unsure_box_in_each_of_the_four(scenes):
    _, terms = scores(scenes, [[(0.9, 1, 2, 3, 4), (0.3, 4, 1, 1, 1), (0.05, 0, 0, 9, 0), (0.049, 99, 99, 99, 99)], []])
    assert [terms[name].tolist() for name in COLUMNS] == [[4, 0], [2, 0], [9, 0], [4, 0]]
    assert terms["detected"].tolist() == [3, 0]


def test_the_score_is_the_largest_of_four_z_scores(scenes):
    """A column that is the same for all says nothing; z-scores of the others by hand."""
    found, _ = scores(scenes, [[(0.9, 1, 0.3, 50, 2)], [(0.9, 3, 0.1, 50, 8)], [(0.9, 1, 0.3, 50, 2)], [(0.9, 3, 0.1, 50, 8)]])
    assert found.values == pytest.approx([1, 1, 1, 1])
    found, _ = scores(scenes, [[(0.9, 1, 0.1, 50, 2)], [(0.9, 3, 0.1, 50, 8)], [(0.9, 1, 0.5, 50, 2)], [(0.9, 3, 0.1, 50, 8)]])
    spread = np.std([0.1, 0.1, 0.5, 0.1])
    assert found.values == pytest.approx([(0.1 - 0.2) / spread, 1, (0.5 - 0.2) / spread, 1])


def test_the_unit_of_a_column_does_not_matter(scenes):
    rows = np.random.default_rng(0).random((12, 1, 4))
    plain, _ = scores(scenes, [np.hstack([[[0.9]], row]) for row in rows])
    scaled, _ = scores(scenes, [np.hstack([[[0.9]], row * [1, 100, 0.01, 7]]) for row in rows])
    assert scaled.values == pytest.approx(plain.values, abs=1e-4)


def test_an_image_without_detections_lies_between_no_uncertainty_and_the_most(scenes):
    rng = np.random.default_rng(0)
    rows = [[] if index % 3 == 2 else [(0.9, *rng.random(4))] for index in range(12)]
    found, terms = scores(scenes, rows)
    empty = terms["detected"] == 0
    largest = np.stack([terms[name][~empty] for name in COLUMNS], axis=1)
    nothing = (-largest.mean(axis=0) / largest.std(axis=0)).max()
    assert empty.sum() == 4 and (found.values[empty] >= nothing).all() and (found.values[empty] <= found.values[~empty].max()).all()
    order = np.argsort(terms["expected"][empty], kind="stable")
    assert (np.diff(found.values[empty][order]) >= 0).all()


def test_a_pool_where_nothing_is_detected_is_ranked_by_expected_loss(scenes):
    found, terms = scores(scenes, [[]] * 12)
    assert np.array_equal(found.values, terms["expected"])


def test_images_that_are_all_alike_are_equal(scenes):
    found, _ = scores(scenes, [[(0.9, 0.1, 0.2, 0.3, 0.4)]] * 12)
    assert np.array_equal(found.values, np.zeros(12))


def test_refuses_a_detector_without_mixture_heads_before_any_training():
    overrides = ["scorer.name=mixture", "strategy.name=top_k"]
    with pytest.raises(
        ConfigError, match=r"scorer mixture needs mixture heads, which detector tiny_ssd has not\. Those that have it: tiny_ssd_mixture, "
    ):
        check(load_config(None, [*overrides, "detector.name=tiny_ssd"]), ("cat",))
    check(load_config(None, [*overrides, "detector.name=tiny_ssd_mixture"]), ("cat",))


@pytest.mark.slow
def test_a_study_asks_by_it(digits, tiny_overrides, tmp_path):
    config = load_config(None, [*tiny_overrides, "detector.name=tiny_ssd_mixture", "budget.rounds=1"])
    (cell,) = simulate(Plan(digits, config, ("al_mdn",), (0,), tmp_path))
    items = cell.rounds[1].items
    assert len(items) == 4 and np.isfinite([item.utility for item in items]).all()
    assert set(cell.rounds[0].score.terms) == set(COLUMNS)
    with pytest.raises(ConfigError, match="mixture heads"):
        simulate(replace(Plan(digits, config, ("al_mdn+detector.name=tiny_ssd",), (0,), tmp_path / "other")))
