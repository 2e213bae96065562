"""The detectors by name: where each is built, what it can be asked beyond the core, and what it is.

Importing this costs nothing: torch comes with the builder, so that a config can be checked without it. To add a detector, name it here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from boxwise.errors import ConfigError

EXPECTED_LOSS, SUPPORTS, DROPOUT, MIXTURE, BOX_FEATURES = "expected_loss", "supports", "dropout", "mixture", "box_features"
EXPORT = "export"
EXPORT_FORMATS = {".onnx": "ONNX", ".torchscript": "TorchScript", ".ts": "TorchScript"}  # suffix of the file → format
# What a detector may lack: the method of a Network that offers it, and what it is called in messages.
CAPABILITIES = {
    EXPECTED_LOSS: ("expected_losses", "an expected loss"),
    SUPPORTS: ("supports", "boxes before suppression"),
    DROPOUT: ("dropped", "channel dropout"),
    MIXTURE: ("mixture_uncertainties", "mixture heads"),
    BOX_FEATURES: ("box_features", "features of single boxes"),
    EXPORT: ("every_box", "one graph of all boxes"),
}


@dataclass(frozen=True)
class Sides:
    """The input sides, in pixels, that a detector takes: the multiples of `multiple` from `least` to `most`."""

    least: int
    most: int
    multiple: int

    def __contains__(self, side: int) -> bool:
        return self.least <= side <= self.most and side % self.multiple == 0

    def __str__(self) -> str:
        return f"a multiple of {self.multiple} from {self.least} to {self.most}" if self.least < self.most else f"{self.least} alone"


@dataclass(frozen=True)
class DetectorEntry:
    """A detector that has a name.

    builder: "module:function", called with (number of classes, imgsz or None, BackboneWeights). capabilities: of CAPABILITIES.
    about: one line. paper: where it is from. imgsz: the input side unless another is given, pixels. sides: those that it takes. starts: the
    first weights that there are for it, the best first: "coco" for the whole detector, "imagenet" for its backbone. together: least images
    that are trained on at once; 2 where a BatchNorm sees a single place of an image.
    """

    builder: str
    about: str
    paper: str
    imgsz: int
    sides: Sides
    capabilities: frozenset[str] = frozenset({EXPECTED_LOSS, SUPPORTS, DROPOUT, BOX_FEATURES})
    starts: tuple[Literal["coco", "imagenet"], ...] = ("coco", "imagenet")
    together: int = 1

    def build(self) -> Any:
        """The builder itself; imports torch."""
        module, _, function = self.builder.partition(":")
        return getattr(import_module(module), function)


_SSD, _LITE = "Liu et al., ECCV 2016", "Liu et al., ECCV 2016; Sandler et al., CVPR 2018"
_YOLOX = "Ge et al., 2021, arXiv:2107.08430"
_DFINE, _RTDETR, _RFDETR = "Peng et al., ICLR 2025", "Lv et al., 2024, arXiv:2407.17140", "Robinson et al., 2025, arXiv:2511.09554"
_MDN = "Choi et al., ICCV 2021"
_RCNN = "Ren et al., NeurIPS 2015; Lin et al., CVPR 2017"
_PROPOSALS = frozenset({EXPECTED_LOSS, SUPPORTS, DROPOUT, BOX_FEATURES})
_QUERIES = frozenset({EXPECTED_LOSS, BOX_FEATURES})
_ANCHORS = _PROPOSALS | {EXPORT}
_MIXTURES = _ANCHORS | {MIXTURE}
_STRIDES, _TWO_STAGE, _LITE_SIDES, _TINY = Sides(64, 2048, 32), Sides(96, 2048, 32), Sides(96, 512, 16), Sides(64, 512, 32)
_VGG = Sides(300, 300, 300)
_DETR_SIDES, _DINO_SIDES = Sides(128, 2048, 32), Sides(280, 2016, 56)  # with a cell for each of 300 queries
_LEAST, _MOST = 64, 2048  # pixels, of a side of any other transformer
_DETECTOR: tuple[Literal["coco", "imagenet"], ...] = ("coco",)
_BACKBONE: tuple[Literal["coco", "imagenet"], ...] = ("imagenet",)


def _entry(
    module: str,
    name: str,
    about: str,
    paper: str,
    imgsz: int,
    sides: Sides,
    capabilities: frozenset[str] = _ANCHORS,
    *,
    starts: tuple[Literal["coco", "imagenet"], ...] = ("coco", "imagenet"),
    together: int = 1,
) -> DetectorEntry:
    return DetectorEntry(f"boxwise.detectors.{module}:{name}", about, paper, imgsz, sides, capabilities, starts, together)


DETECTORS: dict[str, DetectorEntry] = {
    "yolox_nano": _entry(
        "yolox.network", "yolox_nano", "YOLOX with depthwise convolutions: quick on a CPU", _YOLOX, 416, _STRIDES, starts=_DETECTOR
    ),
    "yolox_tiny": _entry("yolox.network", "yolox_tiny", "a small YOLOX", _YOLOX, 416, _STRIDES, starts=_DETECTOR),
    "yolox_s": _entry("yolox.network", "yolox_s", "YOLOX, for a GPU", _YOLOX, 640, _STRIDES, starts=_DETECTOR),
    "yolox_m": _entry("yolox.network", "yolox_m", "a large YOLOX, for a GPU", _YOLOX, 640, _STRIDES, starts=_DETECTOR),
    "dfine_s": _entry(
        "transformer", "dfine_s", "D-FINE, a small transformer, for a GPU", _DFINE, 640, _DETR_SIDES, _QUERIES, starts=_DETECTOR
    ),
    "rtdetr_v2_r18": _entry(
        "transformer", "rtdetr_v2_r18", "RT-DETRv2 on ResNet-18, for a GPU", _RTDETR, 640, _DETR_SIDES, _QUERIES, starts=_DETECTOR
    ),
    "rf_detr_base": _entry(
        "transformer", "rf_detr_base", "RF-DETR on DINOv2, for a GPU", _RFDETR, 560, _DINO_SIDES, _QUERIES, starts=_DETECTOR
    ),
    "ssd300_vgg16": _entry("ssd", "ssd300_vgg16", "SSD on VGG16, for a GPU", _SSD, 300, _VGG),
    "ssdlite320_mobilenet_v3": _entry(
        "ssd", "ssdlite320_mobilenet_v3", "small SSD on MobileNetV3-Large", _LITE, 320, _LITE_SIDES, together=2
    ),
    "ssdlite320_mobilenet_v2": _entry(
        "ssd", "ssdlite320_mobilenet_v2", "small SSD on MobileNetV2", _LITE, 320, _LITE_SIDES, starts=_BACKBONE, together=2
    ),
    "fasterrcnn_resnet50_fpn": _entry(
        "faster_rcnn", "fasterrcnn_resnet50_fpn", "Faster R-CNN on ResNet-50, for a GPU", _RCNN, 640, _TWO_STAGE, _PROPOSALS
    ),
    "fasterrcnn_mobilenet_v3_large_fpn": _entry(
        "faster_rcnn", "fasterrcnn_mobilenet_v3_large_fpn", "Faster R-CNN on MobileNetV3-Large", _RCNN, 320, _TWO_STAGE, _PROPOSALS
    ),
    "tiny_ssd": _entry("tiny_ssd", "tiny_ssd", "a very small SSD for the demo and tests, from random weights", _SSD, 96, _TINY, starts=()),
    "tiny_ssd_mixture": _entry("mixture_ssd", "tiny_ssd_mixture", "tiny_ssd with mixture heads", _MDN, 96, _TINY, _MIXTURES, starts=()),
    "ssdlite320_mobilenet_v2_mixture": _entry(
        "mixture_ssd",
        "ssdlite320_mobilenet_v2_mixture",
        "ssdlite320_mobilenet_v2 with mixture heads",
        _MDN,
        320,
        _LITE_SIDES,
        _MIXTURES,
        starts=_BACKBONE,
        together=2,
    ),
    "ssd300_vgg16_mixture": _entry(
        "mixture_ssd", "ssd300_vgg16_mixture", "ssd300_vgg16 with mixture heads", _MDN, 300, _VGG, _MIXTURES, starts=_BACKBONE
    ),
}


# What needs the extra [hf], by the model_type in the config.json of a copy of its weights.
TRANSFORMERS = {"dfine_s": "d_fine", "rtdetr_v2_r18": "rt_detr_v2", "rf_detr_base": "rf_detr"}
NEEDS_EXTRA = "detector {name} needs the package {package}: pip install 'boxwise[hf]'"


def input_side(name: str, imgsz: int | None, sides: Sides | None = None) -> int:
    """The input side of the detector `name` in pixels, its usual one where `imgsz` is None. ConfigError for one that it cannot take.

    sides: those that it takes, where its weights say others than its entry.
    """
    entry = DETECTORS[name]
    if (side := imgsz or entry.imgsz) not in (sides or entry.sides):
        raise ConfigError(f"detector.imgsz: {name} takes {sides or entry.sides}, found {side}.")
    return side


def sides_of(architecture: Mapping[str, Any]) -> Sides | None:
    """The sides that a transformer takes, by what the config.json of its weights says of it; None where that says too little.

    Multiples of a vision transformer's windows of patches, else of the deepest stride, with a cell for each query to be chosen from.
    """
    try:
        backbone, queries = architecture["backbone_config"], architecture["num_queries"]
        windows = "num_windows" in backbone
        multiple = int(backbone["patch_size"] * backbone["num_windows"]) if windows else 32
        strides = [backbone["patch_size"]] if windows else architecture["feat_strides"]
        enough = (side for side in range(multiple, _MOST, multiple) if sum((side // s) ** 2 for s in strides) >= queries)
        return Sides(max(_LEAST, next(enough, _MOST)), _MOST, multiple)
    except (KeyError, TypeError, ValueError, ArithmeticError):
        return None


def words_for(capabilities: Iterable[str]) -> str:
    """What the capabilities are called in messages."""
    return " and ".join(CAPABILITIES[capability][1] for capability in capabilities)


def check_suffix(path: Path) -> None:
    """Raises ConfigError for a suffix that is no format."""
    if path.suffix not in EXPORT_FORMATS:
        raise ConfigError(f"{path}: expected a file that ends in {', '.join(EXPORT_FORMATS)}, found {path.suffix or 'no suffix'!r}.")


def check_exportable(name: str, path: Path) -> None:
    """Raises ConfigError for a suffix that is no format, or a detector that cannot be written as one graph; for what `export` writes."""
    check_suffix(path)
    if name not in DETECTORS or EXPORT not in DETECTORS[name].capabilities:
        able = ", ".join(other for other, entry in DETECTORS.items() if EXPORT in entry.capabilities)
        raise ConfigError(f"detector {name} cannot be exported as one graph: expected one of {able}. `boxwise predict` runs it as it is.")
