"""Pretrained backbone weights: torchvision's download or a local file, checked key by key.

Loads ImageNet weights into a bare feature extractor. Knows nothing of heads, losses or images.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

import torch
from torch import Tensor, nn
from torchvision.models import MobileNet_V2_Weights, MobileNet_V3_Large_Weights, ResNet50_Weights, VGG16_Weights

from boxwise.detectors.weights_file import read_torch, tensors_in
from boxwise.errors import BoxwiseError

log = logging.getLogger(__name__)

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5)
VGG_MEAN = (0.48235, 0.45882, 0.40784)  # of torchvision's SSD300: VGG takes 0-255 RGB minus this, as it was trained in Caffe
VGG_STD = (1 / 255, 1 / 255, 1 / 255)

# The first ImageNet weights of each, as in torchvision's detection registry.
_DOWNLOADS = {
    "mobilenet_v2": MobileNet_V2_Weights.IMAGENET1K_V1,
    "mobilenet_v3_large": MobileNet_V3_Large_Weights.IMAGENET1K_V1,
    "resnet50": ResNet50_Weights.IMAGENET1K_V1,
    "vgg16": VGG16_Weights.IMAGENET1K_FEATURES,
}
_CLASSIFIERS = ("classifier.", "fc.")


@dataclass(frozen=True)
class BackboneWeights:
    """Where a backbone's first weights come from.

    pretrained: ImageNet weights, from `file` if given, else torchvision's download; False: drawn at random.
    deferred: build the network as for pretrained weights but leave them out, because a whole detector is loaded next.
    state: with `deferred`, the tensors that are loaded next.
    coco: the detector is, or comes from, its family's COCO release, and is built as that was trained; then deferred, too.
    """

    pretrained: bool
    file: Path | None = None
    deferred: bool = False
    coco: bool = False
    state: Mapping[str, Tensor] | None = None


def load_backbone(module: nn.Module, architecture: str, weights: BackboneWeights, *, prefix: str = "") -> None:
    """Fill `module`, the part of torchvision's `architecture` whose keys start with `prefix`, with its ImageNet weights.

    Does nothing when none are wanted. Raises BoxwiseError when the file does not fit or the download fails.
    """
    if not weights.pretrained or weights.deferred:
        return
    state = _download(architecture) if weights.file is None else _read(weights.file)
    origin = str(weights.file or architecture)
    if architecture == "vgg16":
        state = _for_vgg_input(state)
    found = {key.removeprefix(prefix): value.float() for key, value in state.items() if not key.startswith(_CLASSIFIERS)}
    check_tensors(module, found, origin, architecture)
    module.load_state_dict(found, strict=False)  # strict but for num_batches_tracked, which old files lack


def _download(architecture: str) -> Mapping[str, Tensor]:
    weights = _DOWNLOADS[architecture]
    if not (Path(torch.hub.get_dir()) / "checkpoints" / Path(weights.url).name).exists():
        log.info("downloading %s", weights.url)
    try:
        return weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except (URLError, OSError, RuntimeError) as error:
        raise BoxwiseError(
            f"{weights.url}: cannot be downloaded ({error}). Two ways out, by `boxwise set STUDY`: "
            "detector.backbone_weights=FILE takes a copy of that file on this disk, detector.pretrained=none starts from random weights."
        ) from None


def _read(file: Path) -> Mapping[str, Tensor]:
    expected = "a torchvision state dict, as detector.backbone_weights names one"
    return tensors_in(read_torch(file, expected), file, expected)


def check_tensors(module: nn.Module, found: Mapping[str, Tensor], origin: str, what: str) -> None:
    """Raises BoxwiseError unless `found` has exactly the module's tensors, in their shapes; how often norms were updated does not count."""
    expected = {key: value for key, value in module.state_dict().items() if not key.endswith("num_batches_tracked")}
    names = {key for key in found if not key.endswith("num_batches_tracked")}
    faults = {
        "missing": sorted(expected.keys() - names),
        "unexpected": sorted(names - expected.keys()),
        "of another shape": sorted(key for key in expected.keys() & names if expected[key].shape != found[key].shape),
    }
    if any(faults.values()):
        parts = [f"{len(keys)} {kind} ({', '.join(keys[:3])}{', …' if len(keys) > 3 else ''})" for kind, keys in faults.items() if keys]
        raise BoxwiseError(
            f"{origin}: not the weights of a {what}: expected its {len(expected)} tensors, found {len(names)}; {'; '.join(parts)}."
        )


def _for_vgg_input(state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """VGG16 weights for 0-255 input minus the mean, whichever of its two inputs they were trained on.

    torchvision's plain VGG16 wants input divided by the standard deviation; its file alone holds a usable classifier.
    Feature-only files (torchvision's own for SSD has a classifier of NaN) already take 0-255 input.
    """
    classifier = state.get("classifier.0.weight")
    if classifier is None or not bool(classifier.isfinite().all()) or "features.0.weight" not in state:
        return state
    mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
    weight = state["features.0.weight"] / std.view(1, 3, 1, 1)
    shift = (weight * (torch.tensor(VGG_MEAN) - mean).view(1, 3, 1, 1)).sum((1, 2, 3))
    return {**state, "features.0.weight": weight / 255, "features.0.bias": state["features.0.bias"] + shift}
