"""A detector as one ONNX or TorchScript file that runs without boxwise, checked against the detector itself before it is put in place.

The file takes pixels and gives every box with its probabilities; how pixels are made from an image, and detections from these boxes, is
written inside as JSON, and `detections_of` does it. Knows nothing of studies.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision.ops import batched_nms

from boxwise.boxes import Boxes
from boxwise.detectors.base import ImageBatch
from boxwise.detectors.detector import TorchDetector
from boxwise.detectors.fusion import fused
from boxwise.detectors.input import InputSpec
from boxwise.detectors.names import EXPORT_FORMATS, check_exportable
from boxwise.detectors.network import Network
from boxwise.errors import BoxwiseError
from boxwise.files import replacing
from boxwise.records import ImageRecord

METADATA = "boxwise"  # key of the ONNX file's metadata; TorchScript's extra file is METADATA + ".json"
PIXELS_APART, PROBABILITY_APART = 0.05, 1e-3  # the most that an exported box may differ: of a pixel, and of a probability
BOX_APART, _COMPARED = 0.5, 20  # the most that a detection may differ, in pixels of its image; how many of an image's best are compared
Run = Callable[[NDArray[np.uint8]], tuple[NDArray[np.float32], NDArray[np.float32]]]


class Exported(nn.Module):
    """What goes into the file: uint8 RGB pixels [B, 3, H, W] → boxes float32 [B, A, 4] (xyxy, input pixels), probabilities [B, A, C]."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = fused(network).eval()

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        size = torch.tensor([pixels.shape[2:]], device=pixels.device).expand(pixels.shape[0], 2)
        return self.network.every_box(self.network(pixels, size))


def export(detector: TorchDetector, path: Path, *, batch: ImageBatch, threshold: float, about: Mapping[str, Any]) -> dict[str, float]:
    """Write `detector` to `path`, in the format of its suffix, and return how far it is from the detector on `batch`: "pixels",
    "probability".

    threshold: least score of a detection, written into the file with `about`. The file is in place only when what it gives is what the
    detector gives: every box, and the detections made of them. Raises ConfigError as `check_exportable` does, BoxwiseError when these
    differ or a package is missing.
    """
    check_exportable(detector.config.name, path)
    kind = EXPORT_FORMATS[path.suffix]
    module = Exported(detector.network).to("cpu").eval()
    metadata = description(detector, threshold) | dict(about)
    with replacing(path) as aside, quietly():
        try:
            run = (_write_onnx if kind == "ONNX" else _write_torchscript)(module, batch.pixels.cpu(), metadata, aside)
            apart = _apart(module, run, batch.pixels.cpu())
            differ = _differing(detector, run, batch, metadata)
        except (BoxwiseError, OSError):
            raise
        except Exception as error:  # exporters and runtimes have errors of their own, of all kinds
            reason = str(error).partition("\n")[0]
            raise BoxwiseError(f"{path}: not written. {kind} cannot hold {detector.config.name} here: {reason}") from error
        if apart["pixels"] > PIXELS_APART or apart["probability"] > PROBABILITY_APART:
            raise BoxwiseError(
                f"{path}: not written. The exported model's boxes differ from the detector's by {apart['pixels']:.3g} pixels and "
                f"{apart['probability']:.3g} of a probability, expected at most {PIXELS_APART} and {PROBABILITY_APART}."
            )
        if differ:
            raise BoxwiseError(
                f"{path}: not written. Detections made of the exported model's boxes, as the file says, are not those of `boxwise predict` "
                f"on {', '.join(differ)}."
            )
    return apart


def description(detector: TorchDetector, threshold: float) -> dict[str, Any]:
    """What a program needs to run the exported file and to read its outputs."""
    spec, config = detector.input, detector.config
    height, width = spec.canvas(spec.imgsz, spec.imgsz)
    return {
        "detector": config.name,
        "classes": list(detector.classes),
        "input": {
            "name": "pixels",
            "type": f"uint8 [batch, 3, {height}, {width}], RGB, 0 to 255; normalised inside",
            "resize": spec.resize,
            "imgsz": spec.imgsz,
            "fill": spec.fill,
            "antialias": spec.antialias,
            "steps": " ".join(f"{_TO_RGB} {_PREPROCESSING[spec.resize].format(imgsz=spec.imgsz, fill=spec.fill)}".split()),
        },
        "outputs": {
            "boxes": "float32 [batch, boxes, 4]: x1, y1, x2, y2 in pixels of the input",
            "probabilities": "float32 [batch, boxes, classes]: in the order of `classes`, without background",
        },
        "postprocessing": {
            "score_threshold": threshold,
            "nms_iou": config.nms_iou if detector.network.suppresses else None,
            "max_detections": config.max_detections,
            "steps": " ".join(_POSTPROCESSING.split()),
        },
    }


_TO_RGB = """
    Take the first frame of an animation, the first page of a file of several. Make it RGB of 8 bits: lay transparency over white; repeat
    grey in the three channels. Of grey of more than 8 bits, whole numbers or floats, v becomes v * 255 / white, rounded and clipped to 0 to
    255. There white is the smallest of 255, 4095, 16383, 65535 and further powers of two less 1 (of floats also of 1) that is not below the
    image's largest finite value; NaN and negative infinity become 0, infinity that largest value. Of colours of 16 bits a channel take the
    upper 8.
"""
_PREPROCESSING = {
    "stretch": """
        Turn upright by EXIF. Resize to {imgsz} x {imgsz}, bilinear, averaging over source pixels if antialias.
    """,
    "letterbox": """
        Turn upright by EXIF. Resize so that the longest side is {imgsz}, bilinear, averaging over source pixels if antialias. Put it in the
        upper left corner and fill the rest with {fill}.
    """,
}
_POSTPROCESSING = """
    A box's score is its largest probability, which names its class. Keep scores of score_threshold or more. Clip to the image's part of the
    input. Within each class, by falling score, drop boxes that overlap a kept one by more than nms_iou (none if null). Keep the best
    max_detections. Drop boxes of no width or height, which lie outside the image. Divide x by (input width of the image / its width), y
    likewise.
"""


def detections_of(
    boxes: NDArray[np.float32], probabilities: NDArray[np.float32], metadata: Mapping[str, Any], size: Sequence[int]
) -> Boxes:
    """Detections of one image, in input pixels, from the file's outputs [A, 4] and [A, C] and its metadata, as written there.

    size: (height, width) of the image's part of the input, to which boxes are clipped before any is dropped for its overlap.
    """
    post, (height, width) = metadata["postprocessing"], size
    boxes = np.clip(boxes, 0, [width, height] * 2).astype(np.float32)
    scores, labels = probabilities.max(axis=1), probabilities.argmax(axis=1)
    rows = np.flatnonzero(scores >= np.float32(post["score_threshold"]))
    rows = rows[np.argsort(-scores[rows], kind="stable")]
    if post["nms_iou"] is not None:
        kept = batched_nms(*(torch.from_numpy(column[rows]) for column in (boxes, scores, labels)), post["nms_iou"])
        rows = rows[kept.numpy()]
    rows = rows[: post["max_detections"]]
    rows = rows[(boxes[rows, 2:] > boxes[rows, :2]).all(axis=1)]
    return Boxes(boxes[rows], labels[rows], scores[rows], probabilities[rows])


def noise(spec: InputSpec, images: int) -> ImageBatch:
    """Random pixels, the same every time, for a check where there are no images."""
    height, width = spec.canvas(spec.imgsz, spec.imgsz)
    pixels = np.random.default_rng(0).integers(0, 256, (images, 3, height, width), dtype=np.uint8)
    records = tuple(ImageRecord(f"noise {index}", "", width, height) for index in range(images))
    return ImageBatch(records, torch.from_numpy(pixels), torch.tensor([[height, width]] * images))


def _apart(module: Exported, run: Run, pixels: Tensor) -> dict[str, float]:
    """The largest differences on all images together and on the first alone, since the batch's size is free."""
    far = {"pixels": 0.0, "probability": 0.0}
    for part in (pixels, pixels[:1]):
        with torch.inference_mode():
            expected = [values.numpy() for values in module(part)]
        for name, wanted, found in zip(far, expected, run(part.numpy()), strict=True):
            if wanted.shape != found.shape:
                return dict.fromkeys(far, float("inf"))
            far[name] = max(far[name], float(np.abs(wanted - found).max(initial=0)))
    return {name: value if np.isfinite(value) else float("inf") for name, value in far.items()}


def _differing(detector: TorchDetector, run: Run, batch: ImageBatch, metadata: Mapping[str, Any]) -> list[str]:
    """The images on which the file's outputs, read by the file's own instructions, give other detections than the detector does.

    From the least score that the detector keeps, so that there is something to compare where the file's threshold lets nothing through.
    """
    low = {**metadata, "postprocessing": {**metadata["postprocessing"], "score_threshold": detector.config.score_threshold}}
    outputs = zip(*run(batch.pixels.cpu().numpy()), strict=True)
    images = zip(batch.records, batch.valid.tolist(), outputs, detector.detections(detector.view(batch)), strict=True)
    least = detector.config.score_threshold + PROBABILITY_APART  # rounding may take one below from either
    differing = []
    for record, size, (boxes, probabilities), expected in images:
        found = _on_image(detections_of(boxes, probabilities, low, size), record, size)
        if not (_has_the_best_of(found, expected, least) and _has_the_best_of(expected, found, least)):
            differing.append(record.image_id)
    return differing


def _on_image(found: Boxes, record: ImageRecord, size: Sequence[int]) -> Boxes:
    """Boxes in pixels of the image, clipped to it, from those of an input of which it fills (height, width)."""
    height, width = size
    xyxy = np.clip(found.xyxy, 0, [width, height] * 2) * ([record.width / width, record.height / height] * 2)
    return replace(found, xyxy=xyxy.astype(np.float32))


def _has_the_best_of(boxes: Boxes, others: Boxes, least: float) -> bool:
    """Whether each of the _COMPARED best of `others`, of score `least` or more, is among `boxes`: its class, its box, its score."""
    wanted = others.at_least(least)[:_COMPARED]
    far = np.abs(boxes.xyxy[:, None] - wanted.xyxy).max(axis=2) > BOX_APART
    other = boxes.labels[:, None] != wanted.labels
    unequal = np.abs(_scores(boxes)[:, None] - _scores(wanted)) > PROBABILITY_APART
    return bool((~(far | other | unequal)).any(axis=0).all())


def _scores(boxes: Boxes) -> NDArray[np.float32]:
    assert boxes.scores is not None  # a detector's boxes have them
    return boxes.scores


def _write_onnx(module: Exported, pixels: Tensor, metadata: Mapping[str, Any], path: Path) -> Run:
    try:
        import onnxruntime
        import onnxscript  # noqa: F401 (torch's exporter needs it, and its own message does not say what to install)
    except ImportError as error:
        raise BoxwiseError(
            f"Writing ONNX needs the package {error.name}: pip install 'boxwise[onnx]'. A .torchscript file needs none."
        ) from None
    program = torch.onnx.export(
        module,
        (pixels[:2],),
        dynamo=True,
        input_names=["pixels"],
        output_names=["boxes", "probabilities"],
        dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=1024)},),
        verbose=False,
    )
    assert program is not None
    program.model.metadata_props[METADATA] = json.dumps(metadata)
    program.save(path, external_data=False)
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    return lambda images: cast(Any, session.run(None, {"pixels": images}))


def _write_torchscript(module: Exported, pixels: Tensor, metadata: Mapping[str, Any], path: Path) -> Run:
    with torch.inference_mode():
        traced = torch.jit.trace(module, (pixels[:2],))
    content = BytesIO()  # torch's own writer ends the process where the disk is full
    torch.jit.save(traced, content, _extra_files={f"{METADATA}.json": json.dumps(metadata)})
    path.write_bytes(content.getbuffer())
    loaded = torch.jit.load(str(path))

    def run(images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        with torch.inference_mode():
            boxes, probabilities = loaded(torch.from_numpy(images))
        return boxes.numpy(), probabilities.numpy()

    return run


@contextmanager
def quietly() -> Iterator[None]:
    """Without the exporters' own chatter: warnings about tracing, which the check answers, and progress on stdout."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
