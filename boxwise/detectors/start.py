"""Where a detector's first weights come from, as its config says it: resolved and checked before any work.

Knows no torch: of a file it reads the names and shapes alone. Whether every tensor fits is `pretrained.fill`'s to say.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from boxwise.config import DetectorConfig, TrainConfig
from boxwise.detectors.names import DETECTORS, NEEDS_EXTRA, TRANSFORMERS, input_side, sides_of
from boxwise.detectors.weights_header import Header, read_header
from boxwise.errors import BoxwiseError, ConfigError, named, plural

Start = Literal["coco", "imagenet", "none", "file"]

WAYS_OUT = "Give a copy of its COCO release{form} or a weights.pt that boxwise saved of it, or leave detector.weights out."
_STEM = "backbone.backbone.stem.conv.conv.weight"
# A tensor of each COCO release, and its shape, that no other detector's has.
_MARKS = {
    "yolox_nano": (_STEM, (16, 12, 3, 3)),
    "yolox_tiny": (_STEM, (24, 12, 3, 3)),
    "yolox_s": (_STEM, (32, 12, 3, 3)),
    "yolox_m": (_STEM, (48, 12, 3, 3)),
    "ssd300_vgg16": ("backbone.scale_weight", (512,)),
    "ssdlite320_mobilenet_v3": ("backbone.features.0.0.0.weight", (16, 3, 3, 3)),
    "fasterrcnn_resnet50_fpn": ("backbone.body.conv1.weight", (64, 3, 7, 7)),
    "fasterrcnn_mobilenet_v3_large_fpn": ("backbone.body.0.0.weight", (16, 3, 3, 3)),
}


def check_start(config: DetectorConfig) -> None:
    """Whether the detector can begin as `config` says, as far as that shows without torch and without a network.

    Raises ConfigError as `start_of` does, for an imgsz that the detector cannot take and for a package that is missing; BoxwiseError for a
    file that is truncated, holds no weights, or those of another detector.
    """
    start = start_of(config)
    if config.name in TRANSFORMERS and find_spec("transformers") is None:
        raise ConfigError(NEEDS_EXTRA.format(name=config.name, package="transformers"))
    if config.name not in TRANSFORMERS or config.weights is None:  # a folder of another size of the family may take other sides
        input_side(config.name, config.imgsz)
    if start == "file":
        assert config.weights is not None
        found = _check_detector(config.name, config.weights)
        if sides := sides_of(found.architecture):
            input_side(config.name, config.imgsz, sides)
    elif config.backbone_weights is not None:
        read_header(config.backbone_weights, f"weights of the backbone of {config.name}")


def check_pieces(name: str, config: TrainConfig) -> None:
    """ConfigError where the detector `name` cannot be trained on as few images at once as `config` says."""
    least, size = DETECTORS[name].together, config.batch // config.accumulate
    if size < least:
        raise ConfigError(
            f"train.batch={config.batch} in train.accumulate={config.accumulate} pieces is {plural(size, 'image')} at once: {name} has "
            f"BatchNorm that sees one place of an image, and learns from {least} images or more. Give a larger train.batch or fewer pieces."
        )


def _check_detector(name: str, file: Path) -> Header:
    """What `file` says of its weights.

    BoxwiseError where it shows to be no detector `name`: by whose it says it is, or by the one tensor that its release has alone.
    """
    found = read_header(file, f"weights of a {name}")
    if found.detector is not None:
        fits = found.detector == name
    elif name in TRANSFORMERS:
        fits = found.model_type == TRANSFORMERS[name]
    else:
        fits = name in _MARKS and _marked(found, name)
    if not fits:
        form = ", a folder with config.json and model.safetensors," if name in TRANSFORMERS else ""
        raise BoxwiseError(f"{file}: expected weights of a {name}, found {_whose(found)}. {WAYS_OUT.format(form=form)}")
    return found


def _whose(found: Header) -> str:
    """Which detector a file is of, as far as that shows."""
    if found.model_type is not None:
        own = next((name for name, kind in TRANSFORMERS.items() if kind == found.model_type), None)
        return own or f"a model of type {found.model_type}"
    return found.detector or next((other for other in _MARKS if _marked(found, other)), "something else")


def _marked(found: Header, name: str) -> bool:
    tensor, shape = _MARKS[name]
    return found.shapes.get(tensor) == shape


def start_of(config: DetectorConfig) -> Start:
    """What the detector of that name begins with: its COCO release, an ImageNet backbone, random weights, or the file `config.weights`.

    Raises ConfigError for weights that there are not, a file that is not there, or keys that contradict each other.
    """
    starts = named("detector", DETECTORS, config.name).starts
    if config.weights is not None:
        return _file(config)
    if config.backbone_weights is not None and config.pretrained == "coco":
        raise ConfigError("detector.pretrained=coco is a whole detector, detector.backbone_weights a part of one: give one of them.")
    if config.backbone_weights is not None and "imagenet" not in starts:
        having = ", ".join(name for name, entry in DETECTORS.items() if "imagenet" in entry.starts)
        raise ConfigError(
            f"detector.backbone_weights={config.backbone_weights}: {config.name} has no backbone of its own to fill; detector.weights=FILE "
            f"takes a whole detector. Detectors with one: {having}."
        )
    if config.backbone_weights is not None or config.pretrained == "auto":
        return "imagenet" if config.backbone_weights is not None else starts[0] if starts else "none"
    if config.pretrained == "imagenet" and not starts:  # true in old configs, also of networks that always start at random
        return "none"
    if config.pretrained not in (*starts, "none"):
        having = ", ".join(name for name, entry in DETECTORS.items() if config.pretrained in entry.starts)
        raise ConfigError(
            f"detector.pretrained={config.pretrained}: {config.name} has no such weights; it takes {', '.join([*starts, 'none'])}. "
            f"Detectors that have them: {having}."
        )
    return config.pretrained


def _file(config: DetectorConfig) -> Start:
    if config.pretrained in ("imagenet", "none") or config.backbone_weights is not None:
        raise ConfigError("detector.weights is a whole detector: it goes with neither detector.backbone_weights nor detector.pretrained.")
    assert config.weights is not None
    folder = config.weights.is_dir()
    if config.name in TRANSFORMERS and config.weights.suffix == ".safetensors":
        raise ConfigError(f"detector.weights={config.weights}: expected the folder that holds it and a config.json, found a file.")
    if not (config.weights.is_file() or (config.name in TRANSFORMERS and folder)):
        found = "a folder" if folder else "no such file on this machine"
        raise ConfigError(f"detector.weights={config.weights}: expected a file with a detector's weights, found {found}.")
    return "file"
