"""What every network inherits: NMS over its raw boxes, and how many of them stand behind each box that is left."""

import torch

from boxwise.detectors.network import Network, Postprocessing, RawBoxes

RING, DISC = 0, 1


class Given(Network):
    """A network whose outputs are its raw boxes."""

    def raw_boxes(self, outputs: list[RawBoxes], valid: torch.Tensor, post: Postprocessing) -> list[RawBoxes]:
        return outputs


def raw(*rows: tuple[list[float], int, float]) -> RawBoxes:
    """(xyxy, class, score) each; anchors count the rows."""
    xyxy, classes, scores = zip(*rows, strict=True)
    probabilities = torch.rand(len(rows), 3, generator=torch.Generator().manual_seed(0))
    return RawBoxes(torch.tensor(xyxy), torch.tensor(classes), torch.tensor(scores), probabilities, torch.arange(len(rows)))


BOXES = raw(
    ([0.0, 0, 10, 9], RING, 0.3),  # IoU .9 with the next
    ([0.0, 0, 10, 10], RING, 0.8),
    ([0.0, 0, 10, 5], RING, 0.6),  # IoU .5 with the one above: not more than nms_iou, so it stays
    ([0.0, 0, 10, 10], DISC, 0.7),
    ([50.0, 50, 60, 60], RING, 0.2),
)
VALID = torch.tensor([[100, 100]])


def test_detections_are_what_nms_leaves_by_falling_score() -> None:
    (found,) = Given().detections([BOXES], VALID, Postprocessing(nms_iou=0.5))
    assert found.anchors is not None
    assert found.anchors.tolist() == [1, 3, 2, 4]
    assert torch.equal(found.probabilities, BOXES.probabilities[[1, 3, 2, 4]])
    (fewer,) = Given().detections([BOXES], VALID, Postprocessing(nms_iou=0.5, max_detections=2))
    assert fewer.scores.tolist() == [BOXES.scores[1], BOXES.scores[3]]


def test_support_counts_raw_boxes_of_the_class_from_an_overlap_of_nms_iou_itself_among_them() -> None:
    post, network = Postprocessing(nms_iou=0.5), Given()
    found = network.detections([BOXES], VALID, post)
    (supports,) = network.supports([BOXES], VALID, post, found)
    # the first: itself, .9 and .5; the disc: itself; the half: itself, .5, and 5 / 9; the last: itself
    assert supports.tolist() == [3, 1, 3, 1]
    assert supports.dtype == torch.int64


def test_no_boxes_have_no_supports() -> None:
    nothing = RawBoxes(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.zeros(0), torch.zeros(0, 3))
    found = Given().detections([nothing], VALID, Postprocessing())
    assert [counts.tolist() for counts in Given().supports([nothing], VALID, Postprocessing(), found)] == [[]]
