"""What YOLOX promises as a Network beyond the contract of all detectors."""

from dataclasses import replace

import pytest
import torch
from made_targets import made
from torch import nn

from boxwise.detectors.backbones import BackboneWeights
from boxwise.detectors.names import DETECTORS
from boxwise.detectors.network import Postprocessing
from boxwise.detectors.yolox.network import YoloxNetwork, mean_of_image, yolox_nano, yolox_s
from boxwise.errors import ConfigError

SCRATCH = BackboneWeights(pretrained=False)
POST = Postprocessing()
VALID = torch.tensor([[64, 64], [48, 64]])


def network(class_count: int = 3, imgsz: int = 64) -> YoloxNetwork:
    """Of random weights whose norms have seen noise, so that its features differ from image to image."""
    torch.manual_seed(0)
    built = yolox_nano(class_count, imgsz, SCRATCH)
    norms = [module for module in built.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        built.train()(pixels(8, seed=1), torch.full((8, 2), imgsz))
    for norm in norms:
        norm.momentum = 0.03
    return built.eval()


def pixels(images: int = 2, *, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, (images, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def test_colours_reach_the_modules_in_the_order_of_the_release() -> None:
    built = network()
    with torch.no_grad():
        mine = built(pixels(), VALID).predictions
        features = built.yolox.features(pixels()[:, [2, 1, 0]].float())
        wanted = built.yolox.head(features.levels)
    assert torch.equal(mine.classes, wanted.classes) and torch.equal(mine.boxes, wanted.boxes)


@pytest.mark.parametrize("name", [name for name in DETECTORS if name.startswith("yolox")])
def test_without_a_size_each_has_that_of_its_release(name: str) -> None:
    with torch.device("meta"):
        assert DETECTORS[name].build()(2, None, SCRATCH).input.imgsz == DETECTORS[name].imgsz


@pytest.mark.parametrize("imgsz", [32, 100, 4096])
def test_a_size_that_it_cannot_take_is_refused(imgsz: int) -> None:
    with pytest.raises(ConfigError, match="yolox_s takes a multiple of 32"):
        yolox_s(2, imgsz, SCRATCH)


def test_padding_is_not_part_of_an_images_mean() -> None:
    level = torch.zeros(2, 1, 4, 4)
    level[:, :, 2:] = 8  # of the second image, 40 of 64 rows, the third row of cells belongs to it and the fourth does not
    assert mean_of_image(level, torch.tensor([[64, 64], [40, 64]]), 64)[:, 0].tolist() == [4.0, pytest.approx(8 / 3)]


def test_what_is_pooled_is_what_the_loss_head_is_built_for() -> None:
    built = network()
    with torch.no_grad():
        outputs = built(pixels(), VALID)
    features = built.loss_features(outputs)
    assert features.shape == (2, built.loss_feature_count)
    assert built.embeddings(outputs).shape == (2, 256)
    torch.testing.assert_close(features[0, :64], built.yolox.features(pixels().flip(1)).levels[0][0].mean((1, 2)), rtol=1e-4, atol=1e-5)


def test_dropout_spares_the_backbone() -> None:
    built = network()
    with torch.no_grad():
        plain = built(pixels(), VALID)
        (dropped,) = built.dropped(pixels(), VALID, passes=1, rate=0.5, seed=0)
    assert torch.equal(built.embeddings(plain), built.embeddings(dropped))
    assert not torch.equal(plain.predictions.classes, dropped.predictions.classes)
    gone = (dropped.pooled[0] == 0).all(0)
    assert 0.2 < gone.float().mean() < 0.8


def test_an_images_loss_does_not_depend_on_its_batch() -> None:
    built = network()
    targets = [made([[5.0, 5.0, 40.0, 30.0], [30.0, 20.0, 60.0, 45.0]], [1, 3]), made()]
    with torch.no_grad():
        together = built.image_losses(built(pixels(), VALID), targets)
        alone = [built.image_losses(built(pixels()[[i]], VALID[[i]]), [targets[i]])[0] for i in range(2)]
    torch.testing.assert_close(together, torch.stack(alone), rtol=1e-4, atol=1e-4)


def test_exported_boxes_are_those_that_are_found() -> None:
    built = network()
    with torch.no_grad():
        outputs = built(pixels(), VALID)
        xyxy, chances = built.every_box(outputs)
        found = built.raw_boxes(outputs, VALID, replace(POST, score_threshold=0.0))
        assert len(found) == len(VALID)
        for image, raw in enumerate(found):
            assert raw.anchors is not None and len(raw.anchors) > 0
            torch.testing.assert_close(raw.probabilities, chances[image, raw.anchors])
            limits = VALID[image].flip(0).repeat(2)
            torch.testing.assert_close(raw.xyxy, torch.minimum(xyxy[image, raw.anchors].clamp(min=0), limits))
