"""SSD networks: default boxes, normalisation, postprocessing, sizes they refuse."""

import pytest
import torch
from made_targets import EVERYWHERE, made
from torchvision.models.detection import ssdlite320_mobilenet_v3_large as torchvision_ssdlite
from torchvision.models.detection.image_list import ImageList
from torchvision_models import ssd300

from boxwise.detectors.backbones import BackboneWeights
from boxwise.detectors.mixture_ssd import tiny_ssd_mixture
from boxwise.detectors.network import Postprocessing
from boxwise.detectors.ssd import SsdNetwork, SsdOutputs, ssd300_vgg16, ssdlite320_mobilenet_v2, ssdlite320_mobilenet_v3
from boxwise.detectors.tiny_ssd import tiny_ssd
from boxwise.errors import ConfigError

SCRATCH = BackboneWeights(pretrained=False)
LITE = [ssdlite320_mobilenet_v3, ssdlite320_mobilenet_v2]


@pytest.fixture(scope="module")
def tiny() -> SsdNetwork:
    return tiny_ssd(2, 64, SCRATCH).eval()


def outputs_with(network: SsdNetwork, rows: dict[int, list[float]]) -> SsdOutputs:
    """One image in which the given default boxes have the given logits, background first, all others none but background."""
    logits = torch.zeros(1, len(network.anchors), network.class_count + 1)
    logits[..., 0] = 20.0
    for row, values in rows.items():
        logits[0, row] = torch.tensor(values)
    return SsdOutputs(torch.zeros(1, len(network.anchors), 4), logits, (), torch.zeros(1, 1, 1, 1))


@pytest.mark.parametrize("network", [tiny_ssd(2, 64, SCRATCH), tiny_ssd_mixture(2, 64, SCRATCH)], ids=["plain", "mixture"])
def test_images_without_objects_do_not_raise_the_loss_of_a_batch(network: SsdNetwork) -> None:
    """Each costs no more than its own background, three default boxes: less than an object and its three."""
    objects = made([[10, 10, 30, 30]], [1])

    def class_loss(targets) -> float:
        torch.manual_seed(0)
        outputs = network(torch.zeros(len(targets), 3, 64, 64, dtype=torch.uint8), torch.full((len(targets), 2), 64))
        return network.training_losses(outputs, targets)["class"].mean().item()

    assert class_loss([objects, *(made() for _ in range(8))]) < 1.1 * class_loss([objects])


@pytest.mark.parametrize("build", LITE)
@pytest.mark.parametrize("imgsz", [96, 160, 320])
def test_ssdlite_has_torchvisions_default_boxes_at_any_size(build, imgsz: int) -> None:
    network = build(3, imgsz, SCRATCH).eval()
    theirs = torchvision_ssdlite(weights=None, weights_backbone=None, num_classes=4).eval()
    with torch.no_grad():
        levels = list(theirs.backbone(torch.zeros(1, 3, imgsz, imgsz)).values())
    images = ImageList(torch.zeros(1, 3, imgsz, imgsz), [(imgsz, imgsz)])
    torch.testing.assert_close(network.anchors, theirs.anchor_generator(images, levels)[0])


@pytest.mark.parametrize("build", LITE)
def test_outputs_fit_the_default_boxes(build) -> None:
    network = build(3, 96, SCRATCH).eval()
    with torch.no_grad():
        outputs = network(torch.zeros(2, 3, 96, 96, dtype=torch.uint8), torch.full((2, 2), 96))
    count = len(network.anchors)
    assert outputs.deltas.shape == (2, count, 4)
    assert outputs.logits.shape == (2, count, 4)
    assert network.loss_features(outputs).shape == (2, network.loss_feature_count)


@pytest.mark.slow
def test_ssd300_computes_what_torchvisions_computes() -> None:
    theirs = ssd300(4)
    network = ssd300_vgg16(3, 300, SCRATCH).eval()
    network.extractor.load_state_dict(theirs.backbone.state_dict())
    network.head.load_state_dict(theirs.head.state_dict())
    pixels = torch.randint(0, 256, (1, 3, 300, 300), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        images, _ = theirs.transform([pixels[0] / 255])
        levels = list(theirs.backbone(images.tensors).values())
        heads, anchors = theirs.head(levels), theirs.anchor_generator(images, levels)[0]
        outputs = network(pixels, torch.tensor([[300, 300]]))
    torch.testing.assert_close(network.anchors, anchors)
    torch.testing.assert_close(outputs.logits, heads["cls_logits"], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(outputs.deltas, heads["bbox_regression"], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("build", "imgsz"), [(ssd300_vgg16, 320), (ssdlite320_mobilenet_v3, 64), (ssdlite320_mobilenet_v2, 170), (tiny_ssd, 100)]
)
def test_refuses_a_size_it_cannot_take(build, imgsz: int) -> None:
    with pytest.raises(ConfigError, match=rf"detector\.imgsz.*found {imgsz}"):
        build(1, imgsz, SCRATCH)


def test_training_terms_are_the_image_losses_of_a_single_image(tiny: SsdNetwork) -> None:
    pixels = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    targets = [made([[4.0, 4.0, 30.0, 40.0]], [2])]
    with torch.no_grad():
        outputs = tiny(pixels, torch.tensor([[64, 64]]))
        terms = tiny.training_losses(outputs, targets)
        torch.testing.assert_close(terms["box"] + terms["class"], tiny.image_losses(outputs, targets))


def test_an_image_loss_grows_when_the_labels_are_wrong(tiny: SsdNetwork) -> None:
    """A default box that is sure of class 2 and lies on the object: the right label costs less than the wrong one or none."""
    outputs = outputs_with(tiny, {100: [0.0, 0.0, 20.0]})
    box = tiny.anchors[100:101]

    def loss(*classes: int) -> float:
        return tiny.image_losses(outputs, [made(box[: len(classes)], list(classes))]).item()

    assert loss(2) < loss(1)
    assert loss(2) < loss()


@pytest.mark.parametrize("count", [1, 3])
def test_a_batch_that_may_teach_nothing_has_no_loss_and_no_gradient(tiny: SsdNetwork, count: int) -> None:
    tiny.zero_grad()
    outputs = tiny(torch.zeros(count, 3, 64, 64, dtype=torch.uint8), torch.full((count, 2), 64))
    terms = tiny.training_losses(outputs, [made(ignore=EVERYWHERE)] * count)
    torch.stack(list(terms.values())).sum().backward()
    assert all(values.tolist() == [0] * count for values in terms.values())
    assert all(p.grad is None or not p.grad.any() for p in tiny.parameters())
    assert any(p.grad is not None for p in tiny.parameters())


def test_light_boxes_do_not_blow_up_the_background(tiny: SsdNetwork) -> None:
    """The divisor counts matched default boxes, not their weights: a batch of light boxes teaches less, never more."""
    with torch.no_grad():
        outputs = tiny(torch.zeros(1, 3, 64, 64, dtype=torch.uint8), torch.tensor([[64, 64]]))
        box = [[4.0, 4.0, 30.0, 40.0]]
        full, light = (sum(tiny.training_losses(outputs, [made(box, [2], weights=[weight])]).values()).item() for weight in (1, 1e-6))
    assert light < full


class TestDetections:
    post = Postprocessing(score_threshold=0.3, nms_iou=0.5, max_detections=3)
    valid = torch.tensor([[64, 64]])

    def test_default_boxes_become_boxes_with_their_probabilities(self, tiny: SsdNetwork) -> None:
        (found,) = tiny.detections(outputs_with(tiny, {100: [0.0, 3.0, 1.0]}), self.valid, self.post)
        expected = torch.tensor([0.0, 3.0, 1.0]).softmax(0)
        torch.testing.assert_close(found.xyxy, tiny.anchors[100:101].clamp(0, 64))
        assert found.classes.tolist() == [0]
        torch.testing.assert_close(found.probabilities, expected[[1, 2, 0]][None])
        torch.testing.assert_close(found.scores, expected[1:2])

    def test_nms_keeps_the_best_of_a_class_and_both_of_two(self, tiny: SsdNetwork) -> None:
        twin = int(torch.cdist(tiny.anchors, tiny.anchors[100:101]).squeeze(1).topk(2, largest=False).indices[1])
        same = outputs_with(tiny, {100: [0.0, 3.0, 0.0], twin: [0.0, 5.0, 0.0]})
        other = outputs_with(tiny, {100: [0.0, 3.0, 0.0], twin: [0.0, 0.0, 5.0]})
        loose = Postprocessing(0.3, 0.05, 3)
        assert tiny.detections(same, self.valid, loose)[0].classes.tolist() == [0]
        assert tiny.detections(other, self.valid, loose)[0].classes.tolist() == [1, 0]

    def test_nothing_above_the_threshold_is_no_boxes(self, tiny: SsdNetwork) -> None:
        (found,) = tiny.detections(outputs_with(tiny, {}), self.valid, self.post)
        assert found.xyxy.shape == (0, 4)
        assert found.probabilities.shape == (0, 3)

    def test_no_more_than_the_most_boxes_best_first(self, tiny: SsdNetwork) -> None:
        rows = {row: [0.0, 2.0 + row / 100, 0.0] for row in range(0, len(tiny.anchors), 5)}
        (found,) = tiny.detections(outputs_with(tiny, rows), self.valid, self.post)
        assert len(found.scores) == 3
        assert found.scores.tolist() == sorted(found.scores.tolist(), reverse=True)
