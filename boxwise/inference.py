"""A trained detector in two lines: `boxwise.load("STUDY").predict(images)` gives each image's boxes as columns.

Opens a study's best round or a single weights file. Knows nothing of how rounds are made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image as PillowImage

from boxwise import registry
from boxwise.artifacts.facts import stopping_aps
from boxwise.boxes import Boxes, FloatArray
from boxwise.data.addresses import is_local
from boxwise.data.formats.layout import is_folder
from boxwise.data.image_store import below
from boxwise.errors import BoxwiseError, ImageError, StudyError, quoted
from boxwise.evaluation.in_words import ap_in_words
from boxwise.evaluation.operating_point import OperatingPoint
from boxwise.records import Phase
from boxwise.study import Study

if TYPE_CHECKING:  # torch comes with the first model that is loaded
    from boxwise.detectors.base import Detector

Image = str | Path | PillowImage | NDArray[np.uint8]
_IMAGES = (str, Path, PillowImage, np.ndarray)
THRESHOLD = 0.3  # where val has not said which is best
_OF_WEIGHTS = {".pt", ".pth"}
_EXPORTED = {".onnx": "ONNX Runtime", ".torchscript": "torch.jit.load", ".ts": "torch.jit.load"}  # suffix → what runs it


@dataclass(frozen=True, eq=False)
class Prediction:
    """What was found on one image, best first.

    image: its address, or "image N" for what has none. width, height: pixels, upright. boxes: see `Boxes`, with scores and probabilities.
    classes: the detector's class names, which labels index.
    """

    image: str
    width: int
    height: int
    boxes: Boxes
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def xyxy(self) -> FloatArray:
        """float32 [N, 4]: left, top, right, bottom in pixels of the image."""
        return self.boxes.xyxy

    @property
    def labels(self) -> NDArray[np.int64]:
        """int64 [N], index into `classes`."""
        return self.boxes.labels

    @property
    def scores(self) -> FloatArray:
        """float32 [N] in [0, 1]."""
        assert self.boxes.scores is not None  # a detector's boxes have them
        return self.boxes.scores

    @property
    def names(self) -> list[str]:
        """The class name of each box."""
        return [self.classes[label] for label in self.boxes.labels]

    def to_supervision(self) -> Any:
        """As `supervision.Detections`, to draw, track and count with. Raises BoxwiseError where the package supervision is missing."""
        try:
            from supervision import Detections
        except ImportError:
            raise BoxwiseError("to_supervision() needs the package supervision, found none: pip install supervision") from None
        data = {"class_name": np.array(self.names, dtype=str)}
        return Detections(xyxy=self.xyxy, confidence=self.scores, class_id=self.labels.astype(int), data=data)


@dataclass(frozen=True, eq=False)
class Model:
    """A trained detector to predict with. name: as in the config. point: the threshold of best F1 on val and what it gives there; None
    where val did not say. origin: where the weights come from, for people. remark: what is to be known of the study's figures, empty where
    there is nothing: that the best round was chosen by labels that have changed since, and how to choose by those of now."""

    detector: Detector
    name: str
    point: OperatingPoint | None
    origin: str
    remark: str = ""

    @property
    def classes(self) -> tuple[str, ...]:
        return self.detector.classes

    @property
    def threshold(self) -> float:
        """The least score of a box that `predict` keeps unless another is given."""
        return THRESHOLD if self.point is None else self.point.threshold

    def predict(
        self,
        images: Image | Sequence[Image],
        *,
        threshold: float | None = None,
        batch: int = 16,
        on_unreadable: Callable[[str, str], None] | None = None,
    ) -> list[Prediction]:
        """One `Prediction` an image, in order, of the boxes that score `threshold` or more.

        images: one or many of: a path, a folder of this machine (all images below it), an address such as s3://bucket/a.jpg, a Pillow image
        (turned upright by its EXIF orientation), an array uint8 [H, W, 3] in **RGB** order or grey [H, W]. One that cannot be read raises
        ImageError; with `on_unreadable(name, message)` that is called and it is left out. threshold: in [0, 1]. batch: images at once, 1 or
        more. Raises BoxwiseError for another threshold or batch, and for what is no image.
        """
        from boxwise.detectors.prediction import detect

        least = self.threshold if threshold is None else threshold
        if not isinstance(least, Real) or not 0 <= least <= 1:
            raise BoxwiseError(f"threshold: expected a score from 0 to 1, found {threshold!r}.")
        if not isinstance(batch, Integral) or batch < 1:
            raise BoxwiseError(f"batch: expected a number of images, 1 or more, found {batch!r}.")
        several = [images] if isinstance(images, (*_IMAGES, bytes)) or not isinstance(images, Iterable) else images
        given = [image for number, each in enumerate(several) for image in _images_of(each, number)]
        return [
            Prediction(record.image_id, record.width, record.height, boxes.at_least(least), self.classes)
            for record, boxes in detect(self.detector, given, batch=batch, on_unreadable=on_unreadable or _refuse)
        ]


def load(path: Path | str, *, round_index: int | None = None, device: str = "auto") -> Model:
    """The detector of a study's folder, or of one weights file.

    Of a study, the round of highest AP on val, or `round_index`; rounds that were judged by other labels than the last do not compare with
    it, and are not chosen among. Raises BoxwiseError where there is nothing trained to load, and for a
    `round_index` beside a weights file, which is of one round.
    """
    if path == "":
        raise BoxwiseError("'': expected a study's folder or a file of weights, found no path.")
    path = Path(path)
    if path.is_dir() or (path.suffix not in _OF_WEIGHTS and not path.is_file()):
        return _of_study(Study.open(path), round_index, device)
    if round_index is not None:
        raise BoxwiseError(f"{path}: a weights file is of one round: expected a study's folder to choose round {round_index} of.")
    if not path.is_file():
        raise BoxwiseError(f"{path}: no such file. Expected the weights of a detector.")
    return _of_weights(path, device)


def _of_weights(path: Path, device: str) -> Model:
    """The detector of one weights file."""
    from boxwise.config import DetectorConfig
    from boxwise.detectors.weights_file import noted, read_weights

    if path.suffix in _EXPORTED:
        raise BoxwiseError(
            f"{path}: expected the weights of a detector, found a model that `export-model` wrote. Give the study or its "
            f"rounds/round_NN/weights.pt, or run the file with {_EXPORTED[path.suffix]}."
        )
    chosen = _ready(device)
    contents = read_weights(path)
    facts = noted(contents)
    origin = str(path) + (f" (val {ap_in_words(facts['val'])})" if facts.get("val") else "")
    detector = registry.load_detector(contents["classes"], DetectorConfig.model_validate(contents["config"]), path, device=chosen)
    return Model(detector, contents["name"], _point(facts.get("operating_point")), origin)


def _of_study(study: Study, wanted: int | None, device: str) -> Model:
    """The detector of the best or the wanted round."""
    evaluated = {one_round.round: one_round for one_round in study.rounds() if one_round.done(Phase.EVALUATE)}
    if not evaluated:
        raise StudyError(f"{study.folder}: no round has been trained and evaluated yet. Next: boxwise run {quoted(study.folder)}")
    if wanted is not None and wanted not in evaluated:
        those = ", ".join(map(str, evaluated))
        raise StudyError(f"{study.folder}: round {wanted} has not been trained and evaluated. Those that have: {those}.")
    outdated = study.outdated()
    current = [one for number, one in evaluated.items() if number not in outdated.before] or [*evaluated.values()]  # of today's classes
    aps = stopping_aps(current) or {current[-1].round: 0.0}
    best = evaluated[max(aps, key=lambda number: (aps[number], number)) if wanted is None else wanted]
    chosen, facts = best.round, best.evaluate
    quality = "no val to choose by" if facts.val is None else f"{best.judged_on} {ap_in_words(facts.val)}{outdated.clause(chosen)}"
    config, weights = study.config.detector, study.files(chosen).weights
    detector = registry.load_detector(study.classes, config, weights, device=_ready(device), changes=study.class_changes())
    origin = f"round {chosen} of {study.folder} ({quality})"
    return Model(detector, config.name, _point(facts.operating_point), origin, outdated.remedy)


def _ready(device: str) -> Any:
    """The torch device of that name. Torch comes with it: call this when it is clear that there is a detector to load."""
    from boxwise.runtime import choose_device, prepare

    if device.partition(":")[0] == "onnx":
        raise BoxwiseError(
            f"device={device!r}: expected auto or a device of torch's. ONNX Runtime scores a study's pool, and predicts nothing here."
        )
    prepare(0)
    return choose_device(device)


def _point(found: Mapping[str, Any] | None) -> OperatingPoint | None:
    """The operating point from its JSON; older studies have none."""
    return None if found is None else OperatingPoint.from_json(found)


def _images_of(image: Image, number: int) -> Sequence[Image]:
    """The image, or those of a folder of this machine. BoxwiseError where there are none in it, or where it is no image."""
    if not isinstance(image, _IMAGES):
        found = f"{type(image).__module__}.{type(image).__qualname__}".removeprefix("builtins.")
        raise BoxwiseError(f"image {number}: expected a path, a Pillow image or an array uint8 [height, width, 3] of RGB, found a {found}.")
    if isinstance(image, str) and not image:
        raise BoxwiseError(f"image {number}: expected a path, found an empty one.")
    if not isinstance(image, str | Path) or not is_local(image) or not is_folder(Path(image)):
        return [image]
    found = list(below(str(image), dead=True).values())
    if not found:
        raise BoxwiseError(f"{image}: expected images, found none in that folder.")
    return found


def _refuse(name: str, message: str) -> None:
    raise ImageError(message)
