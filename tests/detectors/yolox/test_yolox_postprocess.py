import torch
from yolox_cases import LEVELS, SIDE, cell_at, drawn, unsure

from boxwise.detectors.network import Postprocessing
from boxwise.detectors.yolox import postprocess
from boxwise.detectors.yolox.postprocess import raw_boxes

VALID = torch.tensor([[SIDE, SIDE]])


def logit(probability: float) -> float:
    return torch.logit(torch.tensor(probability)).item()


def test_a_cell_speaks_for_its_best_class_with_objectness_times_class() -> None:
    said, cell = unsure(), cell_at(16, 1, 2)
    said.objectness[0] = -50
    said.objectness[0, cell] = logit(0.8)
    said.classes[0, cell] = torch.tensor([logit(0.25), logit(0.75), logit(0.5)])
    (found,) = raw_boxes(said, VALID, Postprocessing())
    assert found.anchors.tolist() == [cell] and found.classes.tolist() == [1]
    torch.testing.assert_close(found.scores, torch.tensor([0.6]))
    torch.testing.assert_close(found.probabilities, torch.tensor([[0.2, 0.6, 0.4]]))  # they need not add up to 1
    assert found.xyxy.tolist() == [[8.0, 24.0, 24.0, 40.0]]


def test_boxes_are_clipped_to_what_is_image() -> None:
    (found,) = raw_boxes(unsure(), torch.tensor([[20, 30]]), Postprocessing())
    assert len(found.xyxy) == len(LEVELS.strides)
    assert found.xyxy.min() == 0 and found.xyxy.amax(0).tolist() == [30, 20, 30, 20]


def test_only_scores_above_the_threshold_and_the_best_candidates_stay(monkeypatch) -> None:
    said = drawn(1)
    (everything,) = raw_boxes(said, VALID, Postprocessing(score_threshold=0))
    (likely,) = raw_boxes(said, VALID, Postprocessing(score_threshold=0.3))
    assert 0 < len(likely.scores) == int((everything.scores > 0.3).sum()) < len(everything.scores)
    monkeypatch.setattr(postprocess, "CANDIDATES", 5)
    (few,) = raw_boxes(said, VALID, Postprocessing(score_threshold=0.3))
    torch.testing.assert_close(few.scores, everything.scores.sort(descending=True).values[:5])


def test_scores_are_the_largest_probabilities_bit_for_bit() -> None:
    both = raw_boxes(drawn(2), VALID.expand(2, 2), Postprocessing())
    assert len(both) == 2
    for found in both:
        assert len(found.scores) > 0
        assert torch.equal(found.probabilities.max(1).values, found.scores)
        assert torch.equal(found.probabilities.argmax(1), found.classes)


def test_where_nothing_is_found_there_are_no_boxes() -> None:
    (found,) = raw_boxes(unsure(), VALID, Postprocessing(score_threshold=0.9))
    assert found.xyxy.shape == (0, 4) and found.probabilities.shape == (0, 3)
