"""What every network inherits: NMS over its raw boxes, and how many of them stand behind each box that is left."""

import pytest
import torch
from made_targets import made

from boxwise.detectors.backbones import BackboneWeights
from boxwise.detectors.network import Network, Postprocessing, RawBoxes, TrainingLosses
from boxwise.detectors.ssd import ssdlite320_mobilenet_v2
from boxwise.detectors.tiny_ssd import tiny_ssd
from boxwise.detectors.yolox.network import yolox_nano

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


@pytest.mark.parametrize("build", [tiny_ssd, ssdlite320_mobilenet_v2, yolox_nano])
def test_a_step_orders_images_by_their_loss_per_matched_box(build) -> None:
    """As `image_losses` does, which fidelity is measured by: a crowd is not harder than a single object for being many."""
    network = build(2, 96, BackboneWeights(pretrained=False)).eval()
    crowd = made([[8.0 * i, 8.0 * j, 8.0 * i + 24, 8.0 * j + 24] for i in range(6) for j in range(6)], [1] * 36)
    targets = [made([[10, 10, 40, 40]], [1]), crowd, made([[10, 10, 40, 40], [50, 20, 90, 90]], [2, 1])]
    pixels = torch.randint(0, 256, (3, 3, 96, 96), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        step = network.training_step(pixels, torch.full((3, 2), 96), targets)
        true = network.image_losses(network(pixels, torch.full((3, 2), 96)), targets)
    ratio = step.per_image() / true
    torch.testing.assert_close(ratio, ratio[:1].expand(3))
    by_sum = torch.stack(list(step.terms.values())).sum(0) / true
    assert by_sum[1] > 5 * by_sum[0]


def test_terms_that_are_means_are_taken_as_they_are() -> None:
    terms = {"a": torch.tensor([1.0, 2.0]), "b": torch.tensor([3.0, 0.5])}
    assert TrainingLosses(terms, torch.zeros(2, 1)).per_image().tolist() == [4.0, 2.5]
    assert TrainingLosses(terms, torch.zeros(2, 1), torch.tensor([4, 0])).per_image().tolist() == [1.0, 2.5]
