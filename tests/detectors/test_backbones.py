"""Backbone weights from files: what fits is loaded, what does not is named, and a missing network has two ways out."""

from pathlib import Path

import pytest
import torch
from torchvision.models import mobilenet_v2, mobilenet_v3_large
from torchvision.models.vgg import cfgs, make_layers

from boxwise.detectors.backbones import IMAGENET_MEAN, IMAGENET_STD, VGG_MEAN, BackboneWeights, load_backbone
from boxwise.detectors.faster_rcnn import fasterrcnn_mobilenet_v3_large_fpn
from boxwise.detectors.ssd import ssd300_vgg16, ssdlite320_mobilenet_v2, ssdlite320_mobilenet_v3
from boxwise.errors import BoxwiseError


@pytest.fixture(scope="module")
def mobilenet() -> torch.nn.Module:
    return mobilenet_v2(weights=None)


def test_a_file_fills_the_backbone(mobilenet: torch.nn.Module, tmp_path: Path) -> None:
    torch.save(mobilenet.state_dict(), tmp_path / "weights.pth")
    network = ssdlite320_mobilenet_v2(2, 96, BackboneWeights(True, tmp_path / "weights.pth")).eval()
    mobilenet.eval()
    images = torch.randn(1, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        level = network.extractor(images)["1"]
        torch.testing.assert_close(level, mobilenet.features(images))


def test_half_precision_files_are_taken(mobilenet: torch.nn.Module, tmp_path: Path) -> None:
    torch.save(mobilenet.half().state_dict(), tmp_path / "weights.pth")
    features = mobilenet_v2(weights=None).features
    load_backbone(features, "mobilenet_v2", BackboneWeights(True, tmp_path / "weights.pth"), prefix="features.")
    torch.testing.assert_close(features[0][0].weight, mobilenet.features[0][0].weight.float())
    mobilenet.float()


def test_nothing_is_read_without_pretraining_or_when_deferred() -> None:
    features = mobilenet_v2(weights=None).features
    before = features[0][0].weight.clone()
    for weights in (BackboneWeights(False), BackboneWeights(True, Path("nowhere.pth"), deferred=True)):
        load_backbone(features, "mobilenet_v2", weights, prefix="features.")
    assert torch.equal(before, features[0][0].weight)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"features.0.0.weight": torch.zeros(1)}, r"weights\.pth: not the weights of a mobilenet_v2.*missing.*of another shape"),
        ({"model": {"a": 1}}, r"weights\.pth: expected a torchvision state dict.*found a dict that is no state dict of tensors"),
        (None, r"weights\.pth: expected a torchvision state dict.* found a file torch cannot read"),
    ],
)
def test_a_wrong_file_is_named_with_what_was_expected(content: dict | None, message: str, tmp_path: Path) -> None:
    file = tmp_path / "weights.pth"
    if content is None:
        file.write_bytes(b"not a checkpoint at all")
    else:
        torch.save(content, file)
    with pytest.raises(BoxwiseError, match=message):
        ssdlite320_mobilenet_v2(2, 96, BackboneWeights(True, file))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BoxwiseError, match=r"none\.pth: no such file"):
        ssdlite320_mobilenet_v2(2, 96, BackboneWeights(True, tmp_path / "none.pth"))


def test_offline_names_both_ways_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that refuses connections stands for a machine without a network."""
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(BoxwiseError, match=r"backbone_weights=FILE.*pretrained=none"):
        ssdlite320_mobilenet_v2(2, 96, BackboneWeights(True))


def test_vgg_weights_for_normalised_input_are_rescaled(tmp_path: Path) -> None:
    """A whole VGG16 file was trained on (x - mean) / std; away from the border the first layer must give the same."""
    features = make_layers(cfgs["D"])
    state = {f"features.{key}": value for key, value in features.state_dict().items()}
    torch.save({**state, "classifier.0.weight": torch.zeros(2, 2)}, tmp_path / "whole.pth")
    loaded = make_layers(cfgs["D"])
    load_backbone(loaded, "vgg16", BackboneWeights(True, tmp_path / "whole.pth"), prefix="features.")
    image = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    view = (1, 3, 1, 1)
    normalised = (image - torch.tensor(IMAGENET_MEAN).view(view)) / torch.tensor(IMAGENET_STD).view(view)
    shifted = 255 * (image - torch.tensor(VGG_MEAN).view(view))
    with torch.no_grad():
        torch.testing.assert_close(loaded[0](shifted)[..., 1:-1, 1:-1], features[0](normalised)[..., 1:-1, 1:-1], rtol=1e-4, atol=1e-5)


def test_feature_files_of_vgg_are_taken_as_they_are(tmp_path: Path) -> None:
    state = {f"features.{key}": value for key, value in make_layers(cfgs["D"]).state_dict().items()}
    torch.save({**state, "classifier.0.weight": torch.full((2, 2), torch.nan)}, tmp_path / "features.pth")
    loaded = make_layers(cfgs["D"])
    load_backbone(loaded, "vgg16", BackboneWeights(True, tmp_path / "features.pth"), prefix="features.")
    assert torch.equal(loaded[0].weight, state["features.0.weight"])


@pytest.mark.parametrize(
    ("build", "backbone", "imgsz"),
    [
        (ssdlite320_mobilenet_v2, lambda: mobilenet_v2(weights=None), 96),
        (ssdlite320_mobilenet_v3, lambda: mobilenet_v3_large(weights=None), 96),
        pytest.param(ssd300_vgg16, lambda: torch.nn.ModuleDict({"features": make_layers(cfgs["D"])}), 300, marks=pytest.mark.slow),
        (fasterrcnn_mobilenet_v3_large_fpn, lambda: mobilenet_v3_large(weights=None), 96),
    ],
)
def test_embeddings_and_boxes_of_an_untrained_detector_are_seen_by_pretrained_layers_alone(build, backbone, imgsz: int, tmp_path) -> None:
    """Whatever the seed: a cold start that pools through layers drawn at random would choose by nothing that was ever learned."""
    torch.save(backbone().state_dict(), tmp_path / "weights.pth")
    pixels = torch.randint(0, 256, (2, 3, imgsz, imgsz), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        network = build(2, imgsz, BackboneWeights(True, tmp_path / "weights.pth")).eval()
        with torch.no_grad():
            found.append(network.embeddings(network(pixels, torch.full((2, 2), imgsz))))
    torch.testing.assert_close(*found)
    assert not torch.allclose(found[0][0], found[0][1])


@pytest.mark.parametrize(
    ("build", "imgsz", "file"),
    [(ssdlite320_mobilenet_v2, 96, "mobilenet_v2-b0353104.pth"), (ssd300_vgg16, 300, "vgg16_features_hed_rgb255_fp16.pth")],
)
@pytest.mark.slow
def test_real_weights_load(build, imgsz: int, file: str, shared_weights: Path) -> None:
    network = build(2, imgsz, BackboneWeights(True, shared_weights / file))
    wrong = shared_weights / "tf_efficientnet_lite0.pth"
    assert all(p.isfinite().all() for p in network.parameters())
    with pytest.raises(BoxwiseError, match="missing"):
        build(2, imgsz, BackboneWeights(True, wrong))
