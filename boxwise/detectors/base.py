"""What every detector promises: fit, view, and what can be read off one view.

Model, loss and postprocessing stay apart: `view` runs one forward pass, and detections, per-image losses and
embeddings are read off it without another. Knows nothing of studies, stores, scorers or where labels come from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from boxwise.boxes import Boxes
from boxwise.config import TrainConfig
from boxwise.detectors.input import InputSpec
from boxwise.records import ImageRecord, Sample


@dataclass(frozen=True)
class ImageBatch:
    """B images at the detector's input size.

    pixels: uint8 [B, 3, H, W] RGB. valid: int64 [B, 2], height and width of each image inside `pixels`
    (smaller than H, W where the batch is padded). A box in input pixels maps back by `record.width / valid[:, 1]`.
    """

    records: tuple[ImageRecord, ...]
    pixels: Tensor
    valid: Tensor

    def flipped(self) -> ImageBatch:
        """Every image mirrored left to right within its valid width."""
        pixels = self.pixels.clone()
        for image, width in zip(pixels, self.valid[:, 1].tolist(), strict=True):
            image[..., :width] = image[..., :width].flip(-1)
        return ImageBatch(self.records, pixels, self.valid)


@dataclass(frozen=True, eq=False)
class View:
    """What one forward pass in eval mode left behind; its `outputs` are the detector's own business.

    Equal to itself alone and hashable, so that a detector can remember what it has read off a view.
    """

    batch: ImageBatch
    outputs: Any


@dataclass(frozen=True)
class FitReport:
    """How a training went: `history` has one dict an evaluation or log point (step, lr, loss terms, AP...).

    kept_step: the steps behind the weights that were kept. best_ap: theirs on val. seconds_before: what earlier processes had spent when
    they wrote the checkpoint that this one went on from.
    """

    steps: int
    stopped_early: bool
    best_ap: float | None
    images_per_second: float
    history: tuple[dict[str, float], ...] = field(default_factory=tuple)
    unreadable: dict[str, str] = field(default_factory=dict)  # image_id → message of images skipped
    kept_step: int = 0
    seconds_before: float = 0.0


class DetectorCore(Protocol):
    """One network with its loss and its postprocessing: what every family has.

    Promises, checked by tests/contracts/test_detector.py for every recipe:
    - everything but `fit` and `load` leaves every parameter and buffer (BatchNorm statistics included) and the torch RNG as they were;
    - `losses`, `expected_losses`, `learned_losses`, `embeddings`, `box_embeddings` are deterministic, finite and defined for images
      without objects and for images where nothing is detected; an image's value does not depend on its batch companions beyond rounding;
    - detections are in original pixels, inside the image, by falling score, with probabilities [N, C + 1], background last, or [N, C];
    - two detectors built with equal arguments and seed are equal, and fit on equal samples and seed they stay equal, bit for bit on CPU.
    """

    classes: tuple[str, ...]
    input: InputSpec

    def fit(
        self,
        train: Sequence[Sample],
        val: Sequence[Sample],
        config: TrainConfig,
        *,
        seed: int,
        workers: int = 0,
        checkpoint: Path | None = None,
        progress: Callable[[int, int, dict[str, float]], None] | None = None,
    ) -> FitReport:
        """Train in place. With `checkpoint`, state is saved there as it goes and a file found there is resumed from.

        `val` serves the early stop and the choice of the best weights alone. `progress(step, steps, losses)` is called
        every few steps. Unreadable images are skipped and named in the report.
        Under torchrun, every rank calls this and ends with the same weights.
        """
        ...

    def view(self, batch: ImageBatch) -> View:
        """One forward pass without gradient in eval mode."""
        ...

    def detections(self, view: View) -> list[Boxes]:
        """Final boxes after NMS in original pixels, one Boxes an image."""
        ...

    def losses(self, view: View, targets: Sequence[Boxes]) -> NDArray[np.float32]:
        """Detection loss of each image against `targets` (original pixels); float32 [B]."""
        ...

    def learned_losses(self, view: View) -> NDArray[np.float32]:
        """The loss predicted by the loss-prediction head (Yoo & Kweon, CVPR 2019), trained in `fit`; float32 [B]."""
        ...

    def embeddings(self, view: View) -> NDArray[np.float32]:
        """Pooled backbone features, L2-normalised; float32 [B, D]."""
        ...

    def save(self, path: Path) -> None:
        """Write weights and what is needed to build the same detector again: name, classes, imgsz."""
        ...

    def load(self, path: Path) -> None:
        """Read weights written by `save`. Raises BoxwiseError if they are another detector's, size or class list's."""
        ...


# What a detector may have beyond the core. names.DETECTORS says which has what; whoever needs it is refused by name before any work.


class HasExpectedLoss(Protocol):
    """Knows what loss to expect of an image without labels."""

    def expected_losses(self, view: View) -> NDArray[np.float32]:
        """The loss the detector expects under its own belief, without any labels; float32 [B]."""
        ...


class HasDropout(Protocol):
    """Can look at a batch several times under channel dropout."""

    def dropout_views(self, batch: ImageBatch, *, passes: int, rate: float, seed: int) -> list[View]:
        """`passes` views under channel dropout of share `rate` on what feeds the heads; the backbone runs once.

        The masks come from `seed` alone and are those of every image. `losses` and all else can be read off such a view as well.
        """
        ...


class HasBoxFeatures(Protocol):
    """Can say what lies inside each box."""

    def box_embeddings(self, view: View, boxes: Sequence[Boxes] | None = None) -> list[NDArray[np.float32]]:
        """What lies inside each of `detections(view)`, in their order: float32 [n, E] an image, L2-normalised, E the same for all.

        boxes: of these in place of the detections, one Boxes an image in original pixels.
        """
        ...


class HasMixture(Protocol):
    """Has mixture heads."""

    def mixture_uncertainties(self, view: View) -> list[NDArray[np.float32]]:
        """How unsure the mixture heads are of each of `detections(view)`, in their order: float32 [n, 4] an image.

        Columns: class aleatoric, class epistemic, box aleatoric, box epistemic variance (Choi et al., ICCV 2021).
        """
        ...


class HasSupports(Protocol):
    """Keeps the boxes from before suppression."""

    def supports(self, view: View) -> list[NDArray[np.int64]]:
        """How many boxes before NMS stand behind each of `detections(view)`, itself among them: those of its class that overlap it by
        nms_iou or more. int64 [n] an image."""
        ...


class Detector(DetectorCore, HasExpectedLoss, HasDropout, HasBoxFeatures, HasMixture, HasSupports, Protocol):
    """A detector with every capability; asked for one that its family lacks, it raises ConfigError naming those that have it."""
