import numpy as np
import pytest

from boxwise.records import DetectedBoxes, Scores
from boxwise.strategies import ppal
from boxwise.strategies.base import Budget, Candidates
from boxwise.strategies.ppal import Ppal, farthest_first, matching_distances, moved_to_medoids


def detected(images) -> DetectedBoxes:
    """One list of (label, score, embedding) an image."""
    rows = [box for image in images for box in image]
    starts = np.cumsum([0, *(len(image) for image in images)])
    labels, scores, embeddings = zip(*rows, strict=True)
    return DetectedBoxes(
        starts.astype(np.int64),
        np.array(labels, np.int64),
        np.array(scores, np.float32),
        np.zeros(len(rows), np.float32),
        np.array(embeddings, np.float16),
    )


def drawn(count: int, *, most: int, classes: int, seed: int = 0):
    """Images with 1 to `most` boxes, embeddings of unit length as they are kept: in half precision."""
    rng = np.random.default_rng(seed)
    images = []
    for _ in range(count):
        embeddings = rng.normal(size=(rng.integers(1, most + 1), 16))
        embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
        images.append([(int(rng.integers(classes)), float(rng.uniform(0.05, 1)), e.astype(np.float16)) for e in embeddings])
    return images


def by_definition(images) -> np.ndarray:
    """Box by box, pair by pair, in float64."""

    def one_way(a, b):
        least = []
        for label, _, mine in a:
            same = [1 - mine.astype(np.float64) @ theirs.astype(np.float64) for other, _, theirs in b if other == label]
            least.append(min(same, default=2.0))
        return np.average(least, weights=[score for _, score, _ in a])

    return np.array([[0 if a is b else (one_way(a, b) + one_way(b, a)) / 2 for b in images] for a in images])


def pool(scores, boxes=None, *, embeddings=None, counts=None) -> Candidates:
    ids = tuple(map(str, range(len(scores))))
    embeddings = np.ones((len(scores), 2), np.float32) if embeddings is None else embeddings
    counts = np.ones(len(scores)) if counts is None else np.asarray(counts, np.float64)
    return Candidates(1, ids, Scores(ids, np.asarray(scores, np.float64)), embeddings, embeddings[:0], counts, boxes=boxes)


def select(candidates, amount, *, unit="images", oversample=4.0, seed=0) -> list[int]:
    query = Ppal(oversample).select(candidates, Budget(amount, unit), rng=np.random.default_rng(seed))
    return [int(image_id) for image_id in query.image_ids]


class TestMatchingDistances:
    def test_by_hand(self):
        ring, disc = 0, 1
        images = [
            [(ring, 0.8, (1, 0)), (disc, 0.2, (0, 1))],
            [(ring, 0.5, (0.6, 0.8))],
            [(disc, 0.9, (0, -1)), (disc, 0.3, (-1, 0))],
            [],
        ]
        found = matching_distances(detected(images), np.ones((4, 2), np.float32))
        # 0 to 1: the ring is 1 - .6 away, the disc finds none: (.8 * .4 + .2 * 2) / 1 = .72; 1 to 0: .4
        # 0 to 2: the ring finds none, the disc is 1 - 0 from the nearer disc: .8 * 2 + .2 * 1 = 1.8
        # 2 to 0: discs are 2 and 1 away: (.9 * 2 + .3 * 1) / 1.2 = 1.75
        assert found == pytest.approx(np.array([[0, 0.56, 1.775, 2], [0.56, 0, 2, 2], [1.775, 2, 0, 2], [2, 2, 2, 0]]), abs=1e-3)

    @pytest.mark.parametrize("classes", [1, 3])
    def test_as_box_by_box_over_many_blocks_of_boxes(self, classes, monkeypatch):
        monkeypatch.setattr(ppal, "CHUNK", 16)
        images = drawn(25, most=9, classes=classes)
        assert matching_distances(detected(images), np.ones((25, 2), np.float32)) == pytest.approx(by_definition(images), abs=1e-5)

    def test_only_an_image_and_itself_are_at_distance_0(self, monkeypatch):
        """Zeroing pairs of different images that have the same place in their blocks would make them look like duplicates."""
        monkeypatch.setattr(ppal, "CHUNK", 32)
        images = drawn(90, most=20, classes=1)
        found = matching_distances(detected(images), np.ones((90, 2), np.float32))
        assert (np.diag(found) == 0).all()
        assert found[~np.eye(90, dtype=bool)].min() > 0.05
        np.testing.assert_array_equal(found, found.T)

    def test_a_true_copy_is_at_distance_0_whatever_its_scores(self):
        (image,) = drawn(1, most=5, classes=2)
        faint = [(label, score / 2, embedding) for label, score, embedding in image]
        assert matching_distances(detected([image, faint]), np.ones((2, 2), np.float32)) == pytest.approx(np.zeros((2, 2)), abs=1e-3)

    def test_images_without_detections_differ_by_their_embeddings(self):
        embeddings = np.array([[1, 0], [0.6, 0.8], [1, 0], [-1, 0]], np.float32)
        found = matching_distances(detected([[], [], [(0, 0.5, (1, 0))], []]), embeddings)
        assert found == pytest.approx(np.array([[0, 0.4, 2, 2], [0.4, 0, 2, 1.6], [2, 2, 0, 2], [2, 1.6, 2, 0]]), abs=1e-6)


class TestMedoids:
    def test_centers_move_to_the_middle_of_their_clusters(self):
        places = np.array([0, 1, 2, 10, 11, 12, 13, 14], np.float32)
        distances = np.abs(places[:, None] - places)
        assert moved_to_medoids(distances, np.array([0, 7])).tolist() == [1, 5]

    def test_members_never_end_farther_from_their_medoids(self):
        distances = matching_distances(detected(drawn(60, most=3, classes=2)), np.ones((60, 2), np.float32))
        centers = np.array(farthest_first(distances, [0], np.ones(60), amount=7, rng=np.random.default_rng(0)))
        medoids = moved_to_medoids(distances, centers)
        assert len(set(medoids.tolist())) == 7
        assert distances[:, medoids].min(axis=1).sum() < distances[:, centers].min(axis=1).sum()

    def test_centers_at_distance_0_stay_apart(self):
        assert moved_to_medoids(np.zeros((4, 4), np.float32), np.array([2, 0])).tolist() == [2, 0]

    def test_farthest_first_goes_on_from_what_is_chosen(self):
        places = np.array([0, 1, 5, 9], np.float32)
        distances = np.abs(places[:, None] - places)
        assert farthest_first(distances, [0, 3], np.ones(4), amount=3, rng=np.random.default_rng(0)) == [0, 3, 2]


class TestPpal:
    def test_buys_one_of_each_kind_where_the_score_alone_would_buy_copies(self):
        kinds = [(0, 0.9, (1, 0)), (0, 0.9, (0, 1)), (0, 0.9, (-1, 0))]
        boxes = detected([[kinds[kind]] for kind in (0, 0, 0, 0, 1, 1, 2, 2)])
        picks = select(pool([9, 8.9, 8.8, 8.7, 3, 2.9, 2, 1.9], boxes), 3)
        assert {(0, 0, 0, 0, 1, 1, 2, 2)[pick] for pick in picks} == {0, 1, 2}

    def test_looks_no_further_than_the_shortlist(self):
        boxes = detected(drawn(40, most=4, classes=2))
        assert max(select(pool(-np.arange(40.0), boxes), 5, oversample=2)) < 10

    def test_the_query_falls_by_score_and_its_utility_is_the_score(self):
        boxes = detected(drawn(30, most=4, classes=2))
        query = Ppal().select(pool(np.arange(30.0), boxes), Budget(6), rng=np.random.default_rng(0))
        utilities = [item.utility for item in query.items]
        assert utilities == [float(image_id) for image_id in query.image_ids] and utilities == sorted(utilities, reverse=True)

    @pytest.mark.parametrize("seed", range(5))
    def test_medoids_that_cost_other_than_the_centers_still_spend_the_budget_exactly(self, seed):
        counts = np.random.default_rng(seed).integers(1, 12, 50)
        candidates = pool(np.arange(50.0), detected(drawn(50, most=4, classes=2, seed=seed)), counts=counts)
        spent = np.cumsum(counts[select(candidates, 40, unit="boxes", seed=seed)])
        assert spent[-1] >= 40 > spent[-2]
