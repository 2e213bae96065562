"""The frozen nouns that every room of the house speaks in.

Images are named by `image_id` everywhere, never by a position in a list. Knows nothing of files, stores or torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from boxwise.boxes import Boxes


class Split(StrEnum):
    """What an image may be used for. Only `TRAIN` images can be in the pool; only the evaluation reads `TEST`."""

    TRAIN = "train"
    VAL = "val"
    TEST = "test"


class Source(StrEnum):
    """Who a box comes from."""

    HUMAN = "human"
    MODEL = "model"


class Action(StrEnum):
    """What an annotator did with one box."""

    KEEP = "keep"
    MOVE = "move"
    RELABEL = "relabel"
    DELETE = "delete"
    ADD = "add"


class Phase(StrEnum):
    """The rungs of a round, in order. The study's position is (round, phase): the rung to do next."""

    SELECT = "select"
    ANNOTATE = "annotate"
    AUDIT = "audit"  # fidelity: the scores that chose the new images against their true loss
    TRAIN = "train"
    EVALUATE = "evaluate"
    SCORE = "score"
    DONE = "done"


@dataclass(frozen=True)
class ImageRecord:
    """One image of a data set.

    image_id: unique in the study; the path below the image folder in POSIX form, suffix included.
    width, height: pixels after EXIF orientation, so as every reader and detector sees it.
    split: None until somebody decides. source_id: the id it had in its source file (COCO's integer), if any.
    """

    image_id: str
    path: Path
    width: int
    height: int
    split: Split | None = None
    source_id: int | str | None = None


@dataclass(frozen=True)
class Annotation:
    """The current labels of one image. `complete` means that no object of a known class is left unlabelled.

    sources: one Source a box, in the order of `boxes`.
    """

    image_id: str
    boxes: Boxes
    sources: tuple[Source, ...]
    complete: bool


@dataclass(frozen=True)
class Verdict:
    """One act of an annotator on one box.

    box_id: the proposal acted on ("" for ADD). xyxy: the box after the act, pixels (None for KEEP, RELABEL, DELETE).
    label: class index after the act (None where unchanged). seconds: labour charged for this act.
    """

    action: Action
    box_id: str = ""
    xyxy: tuple[float, float, float, float] | None = None
    label: int | None = None
    seconds: float = 0.0
    difficult: bool = False
    crowd: bool = False


@dataclass(frozen=True)
class Sample:
    """One image to train or evaluate on, with its labels."""

    image: ImageRecord
    boxes: Boxes
    complete: bool = True


@dataclass(frozen=True)
class Inspection:
    """What the pool pass learned of one image.

    boxes: detections after NMS in original pixels, with `scores` and full `probabilities`.
    embedding: float32 [D], L2-normalised. evidence: raw term name → finite float, defined also where nothing was detected.
    """

    image_id: str
    boxes: Boxes
    embedding: NDArray[np.float32]
    evidence: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Scores:
    """One value an image, higher = worth more to label, always.

    values: float64 [N]. terms: the parts that `values` was made of, each float64 [N], kept visible.
    """

    image_ids: tuple[str, ...]
    values: NDArray[np.float64]
    terms: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)


@dataclass(frozen=True)
class QueryItem:
    """One image asked for, and why: its utility for the strategy and the score terms behind it.

    split: what its labels will serve, TRAIN for all but the random validation draw of round 0.
    """

    image_id: str
    utility: float
    terms: Mapping[str, float] = field(default_factory=dict)
    split: Split = Split.TRAIN


@dataclass(frozen=True)
class Query:
    """What a round asks to be labelled, most valuable first."""

    round: int
    items: tuple[QueryItem, ...]

    @property
    def image_ids(self) -> tuple[str, ...]:
        return tuple(item.image_id for item in self.items)
