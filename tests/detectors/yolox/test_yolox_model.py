"""YOLOX's modules: that they are the published ones, told by the release file's weights, sizes and figures."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import batched_nms

from boxwise.boxes import Boxes
from boxwise.data.datasets import read_dataset
from boxwise.detectors.decoding import decode
from boxwise.detectors.loading import scaled
from boxwise.detectors.network import Postprocessing
from boxwise.detectors.yolox.model import Focus, PyramidPooling, Yolox, yolox_m, yolox_nano, yolox_s, yolox_tiny
from boxwise.detectors.yolox.postprocess import raw_boxes
from boxwise.evaluation.average_precision import Metrics, coco_metrics
from boxwise.records import Split

FILL = 114.0


@pytest.fixture(scope="module")
def released(shared_weights: Path) -> dict[str, Tensor]:
    state: dict[str, Tensor] = torch.load(shared_weights / "yolox_nano_coco.pth", weights_only=True)["model"]
    return state


def test_the_release_file_loads_strictly(released: dict[str, Tensor]) -> None:
    network = yolox_nano(80)
    network.load_state_dict(released, strict=True)
    assert {name: value.shape for name, value in network.state_dict().items()} == {name: value.shape for name, value in released.items()}


@pytest.mark.parametrize(("build", "millions"), [(yolox_nano, 0.91), (yolox_tiny, 5.06), (yolox_s, 8.97), (yolox_m, 25.33)])
def test_sizes_are_the_published_ones(build, millions: float) -> None:
    with torch.device("meta"):
        parameters = sum(p.numel() for p in build(80).parameters())
    assert parameters / 1e6 == pytest.approx(millions, abs=0.02)


def test_norms_are_those_of_the_release() -> None:
    norms = [layer for layer in yolox_nano(2).modules() if isinstance(layer, nn.BatchNorm2d)]
    assert {(norm.eps, norm.momentum) for norm in norms} == {(1e-3, 0.03)}


class Letterboxed:
    """An image scaled to fit 416 × 416, upper left on grey; BGR."""

    def __init__(self, path: Path) -> None:
        image = decode(path)
        longest = max(image.shape[1:])
        self.size = (round(image.shape[1] * 416 / longest), round(image.shape[2] * 416 / longest))
        self.pixels = torch.full((1, 3, 416, 416), FILL)
        self.pixels[0, :, : self.size[0], : self.size[1]] = scaled(image, self.size).flip(0)
        self.scale = np.array([image.shape[2] / self.size[1], image.shape[1] / self.size[0]] * 2, np.float32)


@torch.inference_mode()
def found(network: Yolox, path: Path) -> Boxes:
    """Boxes as in the published evaluation, but at a score above .001."""
    image, post = Letterboxed(path), Postprocessing(score_threshold=0.001, nms_iou=0.65, max_detections=100)
    features = network.features(image.pixels.contiguous(memory_format=torch.channels_last))
    (raw,) = raw_boxes(network.head(features.levels), torch.tensor([image.size]), post)
    final = raw[batched_nms(raw.xyxy, raw.scores, raw.classes, post.nms_iou)[: post.max_detections]]
    solid = (final.xyxy[:, 2:] > final.xyxy[:, :2]).all(dim=1)
    boxes = Boxes(final.xyxy.numpy() * image.scale, final.classes.numpy(), final.scores.numpy(), final.probabilities.numpy())
    return boxes[solid.numpy()]


def measured(network: Yolox, folder: Path) -> Metrics:
    data = read_dataset(folder, classes=tuple(map(str, range(80))))
    val = [image for image in data.images if image.split == Split.VAL]
    boxes = {image.image_id: found(network, image.uri) for image in val}
    return coco_metrics(boxes, {image.image_id: data.labels[image.image_id] for image in val}, data.classes, details=False)


@pytest.mark.slow
def test_the_release_file_gives_its_figures_on_coco256(released: dict[str, Tensor], shared_data: Path) -> None:
    """Measured: .3356 and .4909 with antialiased scaling, .3353 and .4893 without."""
    network = yolox_nano(80)
    network.load_state_dict(released)
    metrics = measured(network.eval().to(memory_format=torch.channels_last), shared_data / "coco256")
    assert metrics.images == 128
    assert metrics.ap == pytest.approx(0.335, abs=0.005)
    assert metrics.ap50 == pytest.approx(0.493, abs=0.005)


def test_one_prediction_a_cell_whatever_the_shape() -> None:
    network = yolox_nano(3).eval()
    features = network.features(torch.rand(2, 3, 64, 96) * 255)
    said = network.head(features.levels)
    cells = 8 * 12 + 4 * 6 + 2 * 3
    assert (said.boxes.shape, said.objectness.shape, said.classes.shape) == ((2, cells, 4), (2, cells), (2, cells, 3))
    assert len(said.cells.strides) == cells
    assert [level.shape[1:] for level in features.levels] == [(64, 8, 12), (128, 4, 6), (256, 2, 3)]
    assert features.deepest.shape == (2, 256, 2, 3)


def test_before_any_training_one_cell_in_a_hundred_is_thought_an_object() -> None:
    head = yolox_nano(3).head
    for layer in (*head.obj_preds, *head.cls_preds):
        torch.testing.assert_close(layer.bias.sigmoid(), torch.full_like(layer.bias, 0.01))


def test_focus_stacks_columns_of_two_pixels() -> None:
    """Upper left, lower left, upper right, lower right, each with its three colours."""
    focus = Focus(12)
    focus.conv = focus.conv.conv  # the convolution alone
    with torch.no_grad():
        focus.conv.weight.zero_()[:, :, 1, 1] = torch.eye(12)
    pixels = torch.arange(3.0)[:, None, None] + 10 * torch.tensor([[1.0, 3.0], [2.0, 4.0]])
    assert focus(pixels[None]).flatten().tolist() == [10, 11, 12, 20, 21, 22, 30, 31, 32, 40, 41, 42]


def test_pooling_over_growing_windows_is_that_of_the_paper() -> None:
    pooling = PyramidPooling(8)
    pooling.conv1 = pooling.conv2 = nn.Identity()
    features = torch.randn(1, 2, 7, 9)
    wanted = [features, *(F.max_pool2d(features, size, stride=1, padding=size // 2) for size in (5, 9, 13))]
    assert torch.equal(pooling(features), torch.cat(wanted, dim=1))


def test_layout_stays_channels_last_to_the_end() -> None:
    network = yolox_nano(2).to(memory_format=torch.channels_last)
    pixels = (torch.rand(2, 3, 64, 64) * 255).contiguous(memory_format=torch.channels_last)
    features = network.features(pixels)
    assert all(level.is_contiguous(memory_format=torch.channels_last) for level in (*features.levels, features.deepest))


def test_every_parameter_is_reached_by_a_gradient() -> None:
    network = yolox_nano(2).train()
    said = network.head(network.features(torch.rand(2, 3, 64, 64) * 255).levels)
    (said.boxes.square().sum() + said.objectness.square().sum() + said.classes.square().sum()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.abs().sum() > 0 for p in network.parameters())


def test_activations_are_in_place_where_nothing_is_learned_and_say_the_same() -> None:
    network = yolox_nano(2)
    pixels = torch.rand(1, 3, 64, 64) * 255
    with torch.no_grad():
        network.eval()
        quiet = network.features(pixels).deepest
        for module in network.modules():
            if not isinstance(module, nn.BatchNorm2d):
                module.training = True
        assert torch.equal(network.features(pixels).deepest, quiet)
