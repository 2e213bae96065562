import numpy as np
import pytest
from dark_scenes import write_broken, write_image
from found_boxes import FoundBoxes, detections

from boxwise.boxes import Boxes
from boxwise.records import Sample
from boxwise.scorers.labeled_matches import labeled_matches

RING, DISC = 0, 1


def matched(tmp_path, found, truth, *, counts=None, least=0.05, **of_sample):
    """Matches on one image."""
    image = write_image(tmp_path, "a.png")
    detector = FoundBoxes(("ring", "disc"), {"a.png": (found, counts or [1] * len(found))})
    return labeled_matches(detector, [Sample(image, truth, **of_sample)], least=least, supports=counts is not None)


def test_pairs_detections_with_objects_of_their_class(tmp_path):
    found = detections(
        ([0, 0, 10, 10], RING, 0.9), ([20, 0, 30, 10], DISC, 0.7), ([40, 0, 50, 8], DISC, 0.6), ([70, 70, 80, 80], RING, 0.1)
    )
    truth = Boxes([[0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10], [60, 0, 70, 10]], [RING, RING, DISC, DISC])
    matches = matched(tmp_path, found, truth, counts=[5, 4, 3, 2])
    assert matches.correct.tolist() == [True, False, True, False]  # the second is a disc on a ring, the fourth is on nothing
    assert matches.labels.tolist() == [RING, DISC, DISC, RING] and matches.supports.tolist() == [5, 4, 3, 2]
    assert matches.scores == pytest.approx([0.9, 0.7, 0.6, 0.1])
    assert matches.object_labels.tolist() == [RING, RING, DISC, DISC]
    assert matches.probabilities == pytest.approx([0.9, 0, 0.6, 0])
    assert matches.overlaps == pytest.approx([1, 0, 0.8, 0])


def test_of_two_detections_on_an_object_the_nearer_finds_it(tmp_path):
    found = detections(([0, 0, 10, 6], RING, 0.9), ([0, 0, 10, 9], RING, 0.3))
    matches = matched(tmp_path, found, Boxes([[0, 0, 10, 10]], [RING]))
    assert matches.correct.tolist() == [False, True]
    assert matches.probabilities == pytest.approx([0.3]) and matches.overlaps == pytest.approx([0.9])


def test_detections_below_the_least_score_find_nothing(tmp_path):
    matches = matched(tmp_path, detections(([0, 0, 10, 10], RING, 0.04)), Boxes([[0, 0, 10, 10]], [RING]))
    assert len(matches.labels) == 0 and matches.probabilities.tolist() == [0]


@pytest.mark.parametrize("column", ["difficult", "crowd"])
def test_difficult_objects_and_crowds_count_neither_way(tmp_path, column):
    found = detections(([0, 0, 10, 10], RING, 0.9), ([2, 2, 8, 8], RING, 0.8), ([0, 0, 10, 10], DISC, 0.7))
    truth = Boxes([[0, 0, 10, 10], [50, 50, 60, 60]], [RING, RING], **{column: [True, False]})
    matches = matched(tmp_path, found, truth)
    assert matches.labels.tolist() == [DISC] and not matches.correct.any()
    assert matches.object_labels.tolist() == [RING] and matches.probabilities.tolist() == [0]


def test_an_incomplete_image_says_nothing(tmp_path):
    """What is found on it may be an object that was never labelled, and what is not found would still count as missed."""
    found = detections(([0, 0, 10, 10], RING, 0.9), ([20, 20, 30, 30], RING, 0.8), ([50, 50, 60, 60], RING, 0.7))
    rejected = np.array([[50, 50, 60, 60]], np.float32)
    matches = matched(tmp_path, found, Boxes([[0, 0, 10, 10]], [RING]), complete=False, rejected=rejected)
    assert len(matches.labels) == len(matches.object_labels) == 0


def test_what_the_model_labelled_itself_proves_nothing(tmp_path):
    """Of three detections one lies on a person's box, one on the model's own, one on nothing."""
    found = detections(([0, 0, 10, 10], RING, 0.9), ([20, 20, 30, 30], RING, 0.8), ([50, 50, 60, 60], RING, 0.7))
    truth = Boxes([[0, 0, 10, 10], [20, 20, 30, 30], [70, 70, 80, 80]], [RING, RING, DISC])
    matches = matched(tmp_path, found, truth, by_model=np.array([False, True, True]))
    assert matches.correct.tolist() == [True, False] and matches.scores == pytest.approx([0.9, 0.7])
    assert matches.object_labels.tolist() == [RING]


def test_unreadable_images_are_left_out_and_the_rest_is_put_together(tmp_path):
    images = [write_image(tmp_path, "a.png"), write_broken(tmp_path, "b.jpg"), write_image(tmp_path, "c.png")]
    found = (detections(([0, 0, 10, 10], RING, 0.9)), [3])
    truth = Boxes([[0, 0, 10, 10]], [RING])
    detector = FoundBoxes(("ring", "disc"), {"a.png": found, "b.jpg": found})
    matches = labeled_matches(detector, [Sample(image, truth) for image in images], least=0.05, supports=True)
    assert matches.correct.tolist() == [True] and matches.supports.tolist() == [3]
    assert matches.probabilities == pytest.approx([0.9, 0])


def test_nothing_labelled_gives_empty_columns():
    matches = labeled_matches(FoundBoxes(("ring", "disc"), {}), [], least=0.05)
    assert len(matches.labels) == len(matches.supports) == len(matches.object_labels) == 0
