"""Initial weights of whole detectors: loads the family's COCO release or a file into a network over other classes.

Every tensor has to fit; of the class head, the rows of the classes that both know by name are taken over, and the others start at random.
Knows nothing of images, losses or optimisers.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

import torch
from torch import Tensor
from torchvision.models import WeightsEnum
from torchvision.models.detection import (
    FasterRCNN_MobileNet_V3_Large_320_FPN_Weights,
    FasterRCNN_ResNet50_FPN_Weights,
    SSD300_VGG16_Weights,
    SSDLite320_MobileNet_V3_Large_Weights,
)

from boxwise.config import DetectorConfig
from boxwise.data.coco_classes import COCO_CLASSES, known_classes
from boxwise.detectors.backbones import check_tensors
from boxwise.detectors.names import TRANSFORMERS
from boxwise.detectors.network import Network
from boxwise.detectors.weights_file import is_detector, read_torch, tensors_in
from boxwise.errors import BoxwiseError

log = logging.getLogger(__name__)

BACKGROUND = "__background__"
_WAYS_OUT = (
    "put a copy of that file at {file}, or name it (`boxwise set STUDY detector.weights=FILE`); detector.pretrained=imagenet starts from a "
    "backbone (SSD, Faster R-CNN), detector.pretrained=none from random weights"
)
NEW_ROWS = 0.01  # standard deviation of the weights of new rows


@dataclass(frozen=True)
class Release:
    """A file of weights that its authors have released, mostly of a detector trained on COCO.

    sha256: of the file, or its first digits, which is all that some file names tell. rows: what each row of the class head is for.
    """

    url: str
    sha256: str
    rows: tuple[str, ...] = ()

    @property
    def file(self) -> Path:
        """Where a download is kept: torch's own folder, which TORCH_HOME moves."""
        return Path(torch.hub.get_dir()) / "checkpoints" / Path(self.url).name


def _torchvision(weights: WeightsEnum) -> Release:
    digits = re.search(r"-([0-9a-f]{8})\.pth$", weights.url)
    assert digits is not None  # torchvision names its files so
    return Release(weights.url, digits[1], tuple(weights.meta["categories"]))


def _yolox(name: str, sha256: str) -> Release:
    """Apache-2.0. The project publishes no checksums: these come from others who have pinned the release files."""
    return Release(f"https://github.com/Megvii-BaseDetection/YOLOX/releases/download/0.1.1rc0/{name}.pth", sha256, COCO_CLASSES)


RELEASES = {
    "ssd300_vgg16": _torchvision(SSD300_VGG16_Weights.COCO_V1),
    "ssdlite320_mobilenet_v3": _torchvision(SSDLite320_MobileNet_V3_Large_Weights.COCO_V1),
    "fasterrcnn_resnet50_fpn": _torchvision(FasterRCNN_ResNet50_FPN_Weights.COCO_V1),
    "fasterrcnn_mobilenet_v3_large_fpn": _torchvision(FasterRCNN_MobileNet_V3_Large_320_FPN_Weights.COCO_V1),
    "yolox_nano": _yolox("yolox_nano", "cd28f55fbbc1829f99d9ac9b38a16d259a22889739c8728ea877610201feff7b"),
    "yolox_tiny": _yolox("yolox_tiny", "9de513de589ac98bb92d3bca53b5af7b9acfa9b0bacb831f7999d0f7afaee8f0"),
    "yolox_s": _yolox("yolox_s", "f55ded7181e1b0c13285c56e7790b8f0e8f8db590fe4edb37f0b7f345c913a30"),
    "yolox_m": _yolox("yolox_m", "60076992b32da82951c90cfa7bd6ab70eba9eda243e08b940a396f60ac2d19b6"),
}


@dataclass(frozen=True)
class Source:
    """A whole detector's weights. rows: what each row of its class head is for. pretrained: what it began with itself, for which it is
    built. released: whether its tensors have the names of a release."""

    path: Path
    state: Mapping[str, Tensor]
    rows: tuple[str, ...]
    pretrained: str
    released: bool


def source_of(name: str, file: Path | None = None) -> Source:
    """The weights of the detector `name` in `file`, its COCO release or weights that boxwise saved; without one, the release by download.

    Raises BoxwiseError for a download that fails, another detector's weights, a truncated file, or one that holds no weights.
    """
    expected = f"weights of a {name}"
    if name in TRANSFORMERS and (file is None or file.is_dir()):
        state, rows = _of_hub(name, file)
        return Source(file or Path(name), state, rows, "coco", released=True)
    path = downloaded(RELEASES[name]) if file is None else file
    contents = read_torch(path, expected)
    if not is_detector(contents):
        if name not in RELEASES:
            raise BoxwiseError(f"{path}: expected {expected} that boxwise saved, found something else; there is no COCO release of it.")
        return Source(path, tensors_in(contents, path, expected), RELEASES[name].rows, "coco", released=True)
    if contents["name"] != name:
        raise BoxwiseError(f"{path}: weights of another detector: expected {name}, found {contents['name']}.")
    own = DetectorConfig.model_validate(contents["config"])
    return Source(path, contents["network"], tuple(contents["classes"]), own.pretrained, released=False)


def _of_hub(name: str, folder: Path | None) -> tuple[Mapping[str, Tensor], tuple[str, ...]]:
    from boxwise.detectors.transformer import released  # needs the extra [hf]

    return released(name, folder)


def downloaded(release: Release, ways_out: str = _WAYS_OUT) -> Path:
    """The release's file, fetched and checked if it is not there yet. Raises BoxwiseError with `ways_out`, in which {file} is its place."""
    if release.file.is_file():
        return release.file
    log.info("downloading %s", release.url)
    try:
        release.file.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(release.url, str(release.file), hash_prefix=release.sha256, progress=False)
    except (URLError, OSError, RuntimeError) as error:
        raise BoxwiseError(f"{release.url}: cannot be downloaded ({error}). Ways out: {ways_out.format(file=release.file)}.") from None
    return release.file


def fill(network: Network, source: Source, classes: Sequence[str], name: str) -> frozenset[int]:
    """Load `source` into `network`, the detector `name` over `classes`; of the class head, the rows of classes that both have by name.

    Returns the indices in `classes` that are known by it. Raises BoxwiseError that says what does not fit.
    """
    rows = source.rows if source.released else (*[BACKGROUND] * network.background_rows, *source.rows)
    known = known_classes(classes, [row for row in rows if row not in (BACKGROUND, "N/A")])
    taken = {index + network.background_rows: rows.index(row) for index, row in known.items()}
    taken |= {0: rows.index(BACKGROUND)} if network.background_rows else {}
    found = dict(network.from_release(source.state) if source.released else source.state)
    own = network.state_dict()
    for pattern, inner in network.class_rows.items():
        for key in (key for key in own if re.fullmatch(pattern, key) and key in found):
            found[key] = _with_rows(own[key], found[key], taken, (network.class_count + network.background_rows, len(rows)), inner, source)
    found |= {key: own[key] for key in own if re.fullmatch(network.own, key)}
    check_tensors(network, found, str(source.path), name)
    network.load_state_dict(found, strict=False)  # strict but for num_batches_tracked, which old files and frozen norms lack
    log.info("%s: %s", source.path.name, summary(classes, known))
    return frozenset(known)


def _with_rows(own: Tensor, loaded: Tensor, taken: Mapping[int, int], counts: tuple[int, int], inner: int, source: Source) -> Tensor:
    """`own` with rows from `loaded`, both [anchors × rows × inner, ...]. taken: row of own → row of loaded. counts: rows of both.

    The other rows keep their biases and the direction of their weights, but are scaled down: on trained features a head of the usual
    scale would fire everywhere before it has learned anything.
    """
    anchors = own.shape[0] // (counts[0] * inner)
    if loaded.shape[0] != anchors * counts[1] * inner:
        raise BoxwiseError(
            f"{source.path}: its class head has {loaded.shape[0] // max(1, anchors * inner)} rows, expected {counts[1]}. A file of other "
            "classes than COCO's says nothing of their names: train it with boxwise, or start from the COCO release."
        )
    if own.shape[1:] != loaded.shape[1:]:
        return loaded  # of another shape, which `check_tensors` reports
    merged = own * (NEW_ROWS / own.std()) if own.ndim > 1 else own.clone()
    kept = loaded.float().view(anchors, counts[1], inner, *loaded.shape[1:])
    merged.view(anchors, counts[0], inner, *own.shape[1:])[:, list(taken)] = kept[:, list(taken.values())]
    return merged


def summary(classes: Sequence[str], known: Mapping[int, str]) -> str:
    """A sentence: which of a study's classes a detector knows."""
    named = [row if classes[index] == row else f"{classes[index]} (as {row})" for index, row in known.items()]
    new = [name for index, name in enumerate(classes) if index not in known]
    return f"knows {', '.join(named) or 'none of the classes'}" + (f"; new to it: {', '.join(new)}" if new and named else "")
