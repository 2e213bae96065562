"""Faster R-CNN against torchvision's own losses, and its losses without sampling."""

import copy
from dataclasses import dataclass, replace

import pytest
import torch
from made_targets import EVERYWHERE, made
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import box_iou

from boxwise.detectors.backbones import BackboneWeights
from boxwise.detectors.faster_rcnn import (
    WITHHELD,
    FasterRcnn,
    FasterRcnnOutputs,
    batch_size,
    expected_weights,
    fasterrcnn_mobilenet_v3_large_fpn,
)
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
        made([[8, 8, 50, 60], [40, 30, 90, 80]], [1, 3]),
        made(),
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


@pytest.mark.slow
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


OBJECT, UNLABELLED = [[8.0, 8.0, 50.0, 60.0]], [[40.0, 30.0, 90.0, 80.0]]


@dataclass(frozen=True)
class Lesson:
    """One training step's terms [1], and the gradients of what they are computed from.

    objectness: [A] of the anchors' logits. regions: [P, 4] drawn proposals, logits: [P, C + 1] their class gradients.
    """

    terms: dict[str, torch.Tensor]
    objectness: torch.Tensor
    regions: torch.Tensor
    logits: torch.Tensor


def lesson(network: FasterRcnn, outputs: FasterRcnnOutputs, target: Target) -> Lesson:
    """What the first image teaches under `target`, always with the same draws."""
    objectness = outputs.objectness[:1].clone().requires_grad_()
    features = {key: level[:1] for key, level in outputs.features.items()}
    proposals = torch.cat([torch.tensor([*OBJECT, *UNLABELLED]), outputs.proposals[0]])
    first = replace(outputs, features=features, objectness=objectness, proposals=[proposals], regions=None)
    regions: list[torch.Tensor] = []
    logits: list[torch.Tensor] = []
    hooks = [
        network.roi_heads.box_roi_pool.register_forward_pre_hook(lambda _, given: regions.append(given[1][0])),
        network.roi_heads.box_predictor.register_forward_hook(lambda _, __, result: logits.append(result[0])),
    ]
    torch.manual_seed(5)
    terms = network.training_losses(first, [target])
    for hook in hooks:
        hook.remove()
    gradients = torch.autograd.grad(torch.stack(list(terms.values())).sum(), [objectness, logits[0]])
    return Lesson({name: value.detach() for name, value in terms.items()}, gradients[0][0], regions[0], gradients[1])


class TestWhatIsNotTaught:
    def on(self, boxes: torch.Tensor, region: list[list[float]]) -> torch.Tensor:
        return box_iou(torch.tensor(region), boxes)[0] >= 0.5

    def test_an_unlabelled_object_is_background_in_a_complete_image_alone(self, network, outputs) -> None:
        complete = lesson(network, outputs, made(OBJECT, [1]))
        incomplete = lesson(network, outputs, made(OBJECT, [1], ignore=EVERYWHERE))
        anchors = self.on(outputs.anchors, UNLABELLED) & ~self.on(outputs.anchors, OBJECT)
        assert complete.objectness[anchors].gt(0).any()
        assert not incomplete.objectness[anchors].any()
        assert self.on(complete.regions, UNLABELLED).any()
        assert complete.logits[self.on(complete.regions, UNLABELLED)].any()
        assert not self.on(incomplete.regions, UNLABELLED).any()  # not even drawn
        assert self.on(incomplete.regions, OBJECT).all()

    def test_a_labelled_object_weighs_the_same_in_both(self, network, outputs) -> None:
        """The divisor counts what would be drawn: without that, the few anchors of an incomplete batch would weigh fifty times as much."""
        complete = lesson(network, outputs, made(OBJECT, [1]))
        incomplete = lesson(network, outputs, made(OBJECT, [1], ignore=EVERYWHERE))
        raised = complete.objectness < 0
        assert raised.any()
        torch.testing.assert_close(incomplete.objectness[raised], complete.objectness[raised])
        torch.testing.assert_close(incomplete.terms["proposal_box"], complete.terms["proposal_box"])
        torch.testing.assert_close(incomplete.terms["box"], complete.terms["box"])

    def test_what_was_rejected_is_background(self, network, outputs) -> None:
        target = made(OBJECT, [1], ignore=EVERYWHERE, background=UNLABELLED)
        taught = lesson(network, outputs, target)
        assert torch.equal(taught.objectness > 0, self.on(outputs.anchors, UNLABELLED) & (taught.objectness != 0))
        assert (taught.objectness > 0).any()
        background = taught.logits[:, 0] < 0
        assert background.any()
        assert self.on(taught.regions[background], UNLABELLED).all()

    def test_a_region_is_ignored_in_an_otherwise_complete_image(self, network, outputs) -> None:
        taught = lesson(network, outputs, made(OBJECT, [1], ignore=UNLABELLED))
        assert not taught.objectness[self.on(outputs.anchors, UNLABELLED) & ~self.on(outputs.anchors, OBJECT)].any()
        assert (taught.objectness > 0).sum() > 100

    @pytest.mark.parametrize("count", [1, 2])
    def test_a_batch_that_may_teach_nothing_has_no_loss_and_no_gradient(self, network, pixels, valid, count) -> None:
        network.zero_grad()
        terms = network.training_losses(network(pixels[:count], valid[:count]), [made(ignore=EVERYWHERE)] * count)
        torch.stack(list(terms.values())).sum().backward()
        assert all(values.tolist() == [0] * count for values in terms.values())
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        assert gradients
        assert not any(gradient.any() for gradient in gradients)
        network.zero_grad()


def test_weights_scale_all_terms_of_their_object(network, outputs) -> None:
    """Anchors, proposals and the labelled box that joins the proposals, all alike."""
    full, light = (lesson(network, outputs, made(OBJECT, [1], weights=[w], ignore=EVERYWHERE)) for w in (1, 0.25))
    assert torch.equal(full.regions, light.regions)
    for name, value in full.terms.items():
        assert value > 0
        torch.testing.assert_close(light.terms[name], 0.25 * value)
    torch.testing.assert_close(light.logits, 0.25 * full.logits)


def test_image_losses_ignore_and_weigh_as_training_does(network, outputs) -> None:
    target = made(OBJECT, [1], weights=[0.25], ignore=EVERYWHERE, background=UNLABELLED)
    with torch.no_grad():
        expected = network.image_losses(outputs, [target, made(ignore=EVERYWHERE)])
        draws = torch.stack([sum(network.training_losses(outputs, [target, made(ignore=EVERYWHERE)]).values()) for _ in range(4)])
    assert expected[1] == 0
    # the batch shares one divisor of two equal parts, so the sampled loss of each image is its own
    torch.testing.assert_close(expected, draws.mean(0), rtol=0.05, atol=1e-3)


def test_withheld_background_takes_its_place_in_the_divisor_and_none_in_the_sample() -> None:
    labels = torch.tensor([1] * 2 + [0] * 2 + [WITHHELD] * 8 + [-1] * 3)
    weights = expected_weights(labels, 8, 0.5)
    assert weights[:4].tolist() == pytest.approx([1 / 8] * 4)
    assert not weights[4:].any()
    assert batch_size([labels, labels[4:12], labels[12:]], 8, 0.5) == 16
    assert batch_size([labels[12:]], 8, 0.5) == 1
