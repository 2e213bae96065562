"""Faster R-CNN against torchvision's own losses, and its losses without sampling."""

import copy

import pytest
import torch
from torchvision.models.detection.image_list import ImageList

from boxwise.detectors.backbones import BackboneWeights
from boxwise.detectors.faster_rcnn import FasterRcnn, FasterRcnnOutputs, expected_weights, fasterrcnn_mobilenet_v3_large_fpn
from boxwise.detectors.network import Postprocessing
from boxwise.detectors.targets import Target
from boxwise.errors import ConfigError

SIDE = 96


@pytest.fixture(scope="module")
def network() -> FasterRcnn:
    torch.manual_seed(0)
    return fasterrcnn_mobilenet_v3_large_fpn(3, SIDE, BackboneWeights(pretrained=False)).eval()


@pytest.fixture(scope="module")
def pixels() -> torch.Tensor:
    return torch.randint(0, 256, (2, 3, SIDE, SIDE), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def valid() -> torch.Tensor:
    return torch.tensor([[SIDE, SIDE], [SIDE, 70]])


@pytest.fixture(scope="module")
def targets() -> list[Target]:
    return [
        Target(torch.tensor([[8.0, 8.0, 50.0, 60.0], [40.0, 30.0, 90.0, 80.0]]), torch.tensor([1, 3])),
        Target(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)),
    ]


@pytest.fixture(scope="module")
def outputs(network: FasterRcnn, pixels: torch.Tensor, valid: torch.Tensor) -> FasterRcnnOutputs:
    with torch.no_grad():
        return network(pixels, valid)


def test_training_terms_have_torchvisions_mean(
    network: FasterRcnn, outputs: FasterRcnnOutputs, pixels: torch.Tensor, valid: torch.Tensor, targets: list[Target]
) -> None:
    wanted = [{"boxes": t.xyxy, "labels": t.classes} for t in targets]
    with torch.no_grad():
        torch.manual_seed(7)
        mine = {name: loss.mean() for name, loss in network.training_losses(outputs, targets).items()}
        torch.manual_seed(7)
        images = ImageList(torch.zeros(2, 3, SIDE, SIDE), [(h, w) for h, w in valid.tolist()])
        network.rpn.train()
        network.roi_heads.train()
        proposals, rpn = network.rpn(images, outputs.features, wanted)
        _, roi = network.roi_heads(outputs.features, proposals, [(SIDE, SIDE)] * 2, wanted)
        network.eval()
    torch.testing.assert_close(mine["objectness"], rpn["loss_objectness"])
    torch.testing.assert_close(mine["proposal_box"], rpn["loss_rpn_box_reg"])
    torch.testing.assert_close(mine["class"], roi["loss_classifier"])
    torch.testing.assert_close(mine["box"], roi["loss_box_reg"])


def test_image_losses_are_the_average_of_the_sampled_ones(network: FasterRcnn, outputs: FasterRcnnOutputs, targets: list[Target]) -> None:
    """What is drawn varies; its average over many draws is what image_losses says at once."""
    alone = [network.image_losses(outputs, targets)[image] for image in range(2)]
    with torch.no_grad():
        draws = torch.stack([sum(network.training_losses(outputs, targets).values()) for _ in range(8)])
    torch.testing.assert_close(torch.stack(alone), draws.mean(0), rtol=0.05, atol=0.02)


def test_outputs_are_of_one_type_in_both_modes(network: FasterRcnn, pixels: torch.Tensor, valid: torch.Tensor) -> None:
    with torch.no_grad():
        training = copy.deepcopy(network).train()(pixels, valid)  # a copy: train mode moves BatchNorm statistics
        evaluation = network(pixels, valid)
    assert type(training) is type(evaluation)
    assert training.objectness.shape == evaluation.objectness.shape


def test_padding_is_not_seen(network: FasterRcnn, pixels: torch.Tensor, valid: torch.Tensor) -> None:
    painted = pixels.clone()
    painted[1, :, :, 70:] = 200  # beyond the valid width
    with torch.no_grad():
        torch.testing.assert_close(network(painted, valid).objectness, network(pixels, valid).objectness)


def test_detections_stay_in_the_valid_area(network: FasterRcnn, outputs: FasterRcnnOutputs, valid: torch.Tensor) -> None:
    with torch.no_grad():
        found = network.detections(outputs, valid, Postprocessing(score_threshold=0.0))
    assert len(found[1].xyxy) > 0
    assert found[1].xyxy[:, 2].max() <= 70


def test_expected_weights_are_the_chances_of_being_drawn() -> None:
    labels = torch.tensor([1] * 2 + [0] * 10 + [-1] * 3)
    weights = expected_weights(labels, 8, 0.5)
    assert weights.sum().item() == pytest.approx(1)
    assert weights[:2].tolist() == pytest.approx([1 / 8] * 2)  # both positives are always drawn
    assert weights[2:12].tolist() == pytest.approx([6 / 8 / 10] * 10)
    assert weights[12:].tolist() == [0] * 3
    assert expected_weights(torch.zeros(4), 8, 0.5).tolist() == [0.25] * 4


def test_refuses_a_size_off_the_grid() -> None:
    with pytest.raises(ConfigError, match="multiple of 32"):
        fasterrcnn_mobilenet_v3_large_fpn(1, 100, BackboneWeights(pretrained=False))
