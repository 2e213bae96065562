"""Where a detector's first weights come from, as its config says it: resolved and checked before any work.

Pure decisions: knows neither torch nor what is inside a file.
"""

from __future__ import annotations

from typing import Literal

from boxwise.config import DetectorConfig
from boxwise.detectors.names import DETECTORS, TRANSFORMERS
from boxwise.errors import ConfigError, named

Start = Literal["coco", "imagenet", "none", "file"]


def start_of(config: DetectorConfig) -> Start:
    """What the detector of that name begins with: its COCO release, an ImageNet backbone, random weights, or the file `config.weights`.

    Raises ConfigError for weights that there are not, a file that is not there, or keys that contradict each other.
    """
    known = named("detector", DETECTORS, config.name).starts
    if config.weights is not None:
        return _file(config)
    if config.backbone_weights is not None and config.pretrained == "coco":
        raise ConfigError("detector.pretrained=coco is a whole detector, detector.backbone_weights a part of one: give one of them.")
    if config.backbone_weights is not None and "imagenet" not in known:
        having = ", ".join(name for name, entry in DETECTORS.items() if "imagenet" in entry.starts)
        raise ConfigError(
            f"detector.backbone_weights={config.backbone_weights}: {config.name} has no backbone of its own to fill; detector.weights=FILE "
            f"takes a whole detector. Detectors with one: {having}."
        )
    if config.backbone_weights is not None or config.pretrained == "auto":
        return "imagenet" if config.backbone_weights is not None else known[0] if known else "none"
    if config.pretrained == "imagenet" and not known:  # true in old configs, also of networks that always start at random
        return "none"
    if config.pretrained not in (*known, "none"):
        having = ", ".join(name for name, entry in DETECTORS.items() if config.pretrained in entry.starts)
        raise ConfigError(
            f"detector.pretrained={config.pretrained}: {config.name} has no such weights; it takes {', '.join([*known, 'none'])}. "
            f"Detectors that have them: {having}."
        )
    return config.pretrained


def _file(config: DetectorConfig) -> Start:
    if config.pretrained in ("imagenet", "none") or config.backbone_weights is not None:
        raise ConfigError("detector.weights is a whole detector: it goes with neither detector.backbone_weights nor detector.pretrained.")
    assert config.weights is not None
    if not (config.weights.is_file() or (config.name in TRANSFORMERS and config.weights.is_dir())):
        raise ConfigError(f"detector.weights={config.weights}: no such file. Expected a detector's weights.")
    return "file"
