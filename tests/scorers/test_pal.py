import math

import numpy as np
import pytest
from dark_scenes import write_image
from found_boxes import FoundBoxes, detections

from boxwise.boxes import Boxes
from boxwise.detectors.input import InputSpec
from boxwise.detectors.loading import image_batches
from boxwise.records import Sample
from boxwise.scorers.labeled_matches import LabeledMatches
from boxwise.scorers.pal import MIN_EACH, PalUncertainty, class_chances, confidence, features, logistic

RING, DISC = 0, 1


def entropy_of(p: float) -> float:
    return -p * math.log(p) - (1 - p) * math.log(1 - p)


def made(count: int, *, label: int, slope: float, seed: int) -> LabeledMatches:
    """Detections of one class that are right the more often the more boxes support them (slope > 0), or the less often."""
    rng = np.random.default_rng(seed)
    supports, scores = rng.integers(1, 20, count), rng.uniform(0.05, 1, count).astype(np.float32)
    correct = rng.uniform(size=count) < 1 / (1 + np.exp(-slope * (supports - 10)))
    nothing = np.zeros(0, np.float32)
    return LabeledMatches(np.full(count, label), scores, supports, correct, np.zeros(0, np.int64), nothing, nothing)


def together(*parts: LabeledMatches) -> LabeledMatches:
    names = ("labels", "scores", "supports", "correct", "object_labels", "probabilities", "overlaps")
    return LabeledMatches(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


class TestLogistic:
    def test_is_the_most_likely_curve_under_its_prior(self):
        """At the optimum the slopes of ½|w|² - log likelihood vanish: sum(p - y) z + w = 0, and sum(p - y) = 0 without prior."""
        matches = made(200, label=RING, slope=0.4, seed=0)
        given = features(matches.supports, matches.scores)
        chance = logistic(given, matches.correct)(given)
        z = (given - given.mean(axis=0)) / given.std(axis=0)
        design = np.column_stack([z, np.ones(200)])
        logit = np.log(chance / (1 - chance))
        weights = np.linalg.lstsq(design, logit, rcond=None)[0]
        assert design @ weights == pytest.approx(logit)
        assert design.T @ (chance - matches.correct) + [*weights[:2], 0] == pytest.approx(np.zeros(3), abs=0.02)

    def test_reads_the_support_where_that_decides(self):
        matches = made(300, label=RING, slope=1.0, seed=1)
        chance = logistic(features(matches.supports, matches.scores), matches.correct)
        few, some, many = chance(np.array([[1, 0.9], [10, 0.5], [19, 0.1]]))
        assert few < 0.05 < 0.3 < some < 0.7 < 0.95 < many

    def test_a_feature_that_never_changes_does_no_harm(self):
        given = np.column_stack([np.ones(40), np.linspace(0.05, 1, 40)])
        chance = logistic(given, given[:, 1] > 0.5)(given)
        assert np.isfinite(chance).all() and (np.diff(chance) > 0).all()


class TestClassChances:
    def test_classes_with_enough_examples_have_their_own(self):
        matches = together(made(200, label=RING, slope=1.0, seed=0), made(200, label=DISC, slope=-1.0, seed=1))
        (ring, disc), fits = class_chances(matches, 2)
        assert fits == 2
        assert ring(np.array([[19, 0.5]])) > 0.9 and disc(np.array([[19, 0.5]])) < 0.1

    def test_others_take_the_fit_of_all_together(self):
        matches = together(made(300, label=RING, slope=1.0, seed=0), made(MIN_EACH, label=DISC, slope=-1.0, seed=1))
        (_, disc, unseen), fits = class_chances(matches, 3)
        given = np.array([[1, 0.5], [19, 0.5]])
        pooled = logistic(features(matches.supports, matches.scores), matches.correct)(given)
        assert fits == 1
        assert disc(given) == pytest.approx(pooled) and unseen(given) == pytest.approx(pooled)

    @pytest.mark.parametrize("outcome", [True, False])
    def test_where_all_are_right_or_all_wrong_confidence_stands(self, outcome):
        matches = made(50, label=RING, slope=0.0, seed=0)
        matches.correct[:] = outcome
        assert class_chances(matches, 2) == ([confidence, confidence], 0)


class TestPalUncertainty:
    def test_an_images_least_certain_detection_of_each_class(self, tmp_path):
        pool = [write_image(tmp_path, "a.png"), write_image(tmp_path, "b.png")]
        found = detections(
            ([0, 0, 9, 9], RING, 0.9), ([9, 9, 20, 20], RING, 0.6), ([30, 0, 40, 9], RING, 0.3), ([0, 50, 9, 60], DISC, 0.04)
        )
        detector = FoundBoxes(("ring", "disc"), {"a.png": (found, [4, 3, 2, 1])})
        scorer = PalUncertainty()
        figures = scorer.fit([], pool, detector=detector, rng=np.random.default_rng(0))
        (batch,) = image_batches(pool, InputSpec(32), batch=2)
        terms = scorer.measure(detector, detector.view(batch))
        assert figures == {"judged": 0, "correct": 0, "fits": 0}  # so P is the confidence
        assert terms["pal:0"] == pytest.approx([entropy_of(0.6), 0]) and terms["pal:1"].tolist() == [0, 0]
        assert scorer.score(("a.png", "b.png"), terms).values == pytest.approx([entropy_of(0.6), 0])

    def test_learns_from_labelled_images_that_support_decides(self, tmp_path):
        """Forty detections at the same confidence: those with eight boxes behind them are on an object, those with two are not."""
        images = [write_image(tmp_path, f"{index}.png") for index in range(20)]
        each = detections(([0, 0, 20, 20], RING, 0.5), ([50, 50, 70, 70], RING, 0.5))
        detector = FoundBoxes(
            ("ring", "disc"),
            {image.image_id: (each, [8, 2]) for image in images[:-3]}
            | {
                images[-3].image_id: (each[[0]], [8]),
                images[-2].image_id: (each[[0]], [5]),
                images[-1].image_id: (each[[0]], [2]),
            },
        )
        scorer = PalUncertainty()
        labeled = [Sample(image, Boxes([[0, 0, 20, 20]], [RING])) for image in images[:-3]]
        figures = scorer.fit(labeled, images[-3:], detector=detector, rng=np.random.default_rng(0))
        (batch,) = image_batches(images[-3:], InputSpec(32), batch=3)
        clear, between, false = scorer.measure(detector, detector.view(batch))["pal:0"]
        assert figures == {"judged": 34, "correct": 0.5, "fits": 1}
        assert between == pytest.approx(math.log(2), abs=0.01) and max(clear, false) < 0.3
