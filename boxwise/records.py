"""The frozen nouns that every room of the house speaks in.

Images are named by `image_id` everywhere, never by a position in a list. Knows nothing of files, stores or torch.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from boxwise.boxes import Boxes, FloatArray, no_boxes


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
    """The steps of a round, in order. The study's position is (round, phase): the step to do next."""

    SELECT = "select"
    ANNOTATE = "annotate"
    AUDIT = "audit"  # fidelity: the scores of the new images, chosen by them or not, against their true loss
    COMPOSE = "compose"  # the policy: what the next training sees
    TRAIN = "train"
    EVALUATE = "evaluate"
    SCORE = "score"
    DONE = "done"


class Role(StrEnum):
    """annotator: labels. reviewer: also judges what others have answered, and sees the dashboard and the pool.

    lead: also sees what each person has done, and writes the guidelines.
    """

    ANNOTATOR = "annotator"
    REVIEWER = "reviewer"
    LEAD = "lead"


@dataclass(frozen=True)
class ImageRecord:
    """One image of a data set.

    image_id: unique in the study; the path below the image folder in POSIX form, suffix included.
    uri: where the image lies: a path of this machine, or an address such as s3://bucket/a.jpg; a string, since a Path loses a slash of it.
    width, height: pixels after EXIF orientation, so as every reader and detector sees it; 0 until an image that joined by a list is opened.
    split: None until it is decided. source_id: the id it had in its source file (COCO's integer), if any.
    digest: fingerprint of the file's bytes when the image joined. stamp: the file's size and time then. Neither makes two records differ.
    """

    image_id: str
    uri: str
    width: int
    height: int
    split: Split | None = None
    source_id: int | str | None = None
    digest: str | None = field(default=None, compare=False)
    stamp: str | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "uri", os.fspath(self.uri))  # a Path of this machine as its string

    @property
    def measured(self) -> bool:
        """Whether its size is known."""
        return self.width > 0


@dataclass(frozen=True)
class Annotation:
    """The current labels of one image. `complete` means that no object of a known class is left unlabelled.

    sources: one Source a box, in the order of `boxes`; boxes of the MODEL have their `scores`, a person's have NaN there (or no column).
    rejected: float32 [M, 4], boxes the model proposed and a person answered for: no object of a known class. round: when it was given.
    """

    image_id: str
    boxes: Boxes
    sources: tuple[Source, ...]
    complete: bool
    rejected: FloatArray = field(default_factory=no_boxes)
    round: int = 0

    @property
    def by_model(self) -> NDArray[np.bool_]:
        """Which boxes no person answered for; bool [N]."""
        return np.array([source is Source.MODEL for source in self.sources], bool)


@dataclass(frozen=True)
class Proposals:
    """What the model suggests on one image, split by how sure it is.

    boxes: with `scores`, `probabilities` and `ids` (str, unique among all ever proposed on the image). certain: bool [N]; the other boxes
    are uncertain.
    settled: what was said of the image in an earlier round. A person's boxes there remain; no proposal repeats or contradicts them.
    """

    image_id: str
    boxes: Boxes
    certain: NDArray[np.bool_]
    settled: Annotation | None = None

    @property
    def uncertain_ids(self) -> tuple[str, ...]:
        """Ids of the boxes a person is asked about, in the order of `boxes`."""
        return () if self.boxes.ids is None else tuple(str(box_id) for box_id in self.boxes.ids[~self.certain])


@dataclass(frozen=True)
class Verdict:
    """One act of an annotator on one box.

    box_id: the proposal acted on ("" for ADD). xyxy: the box after the act, pixels (None for KEEP, RELABEL, DELETE).
    label: class index after the act (None where unchanged). seconds: labour charged for this act. NumPy's numbers become Python's.
    """

    action: Action
    box_id: str = ""
    xyxy: tuple[float, float, float, float] | None = None
    label: int | None = None
    seconds: float = 0.0
    difficult: bool = False
    crowd: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "seconds", float(self.seconds))
        if self.xyxy is not None:
            object.__setattr__(self, "xyxy", tuple(map(float, self.xyxy)))
        if self.label is not None:
            object.__setattr__(self, "label", int(self.label))


@dataclass(frozen=True)
class Sample:
    """One image to train or evaluate on, with its labels.

    complete: whether what is not labelled is background. rejected: float32 [M, 4], regions known to be background even where it is not.
    weights: float32 [N] in [0, 1], how much each box counts in the loss; None: all fully.
    by_model: bool [N], boxes that no person answered for, which are no truth to judge a detector by; None: there are none.
    """

    image: ImageRecord
    boxes: Boxes
    complete: bool = True
    rejected: FloatArray = field(default_factory=no_boxes)
    weights: FloatArray | None = None
    by_model: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Inspection:
    """What the pool pass learned of one image.

    boxes: detections after NMS in original pixels, with `scores` and full `probabilities`.
    embedding: float32 [D], L2-normalised. evidence: raw term name → finite float, defined also where nothing was detected.
    box_embeddings: float16 [n, E] of the first of `boxes`, at most 20, L2-normalised; None where they were not asked for.
    """

    image_id: str
    boxes: Boxes
    embedding: NDArray[np.float32]
    evidence: Mapping[str, float] = field(default_factory=dict)
    box_embeddings: NDArray[np.float16] | None = None


@dataclass(frozen=True)
class DetectedBoxes:
    """What was detected on N images, image after image: the boxes of image i are rows starts[i] to starts[i + 1], best first.

    starts: int64 [N + 1], from 0 to B. labels: int64 [B]. scores: float32 [B]. entropies: float32 [B], nats, of the full distribution.
    embeddings: float16 [B, E], L2-normalised.
    """

    starts: NDArray[np.int64]
    labels: NDArray[np.int64]
    scores: NDArray[np.float32]
    entropies: NDArray[np.float32]
    embeddings: NDArray[np.float16]

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def image_rows(self) -> NDArray[np.int64]:
        """Which image each box lies on; int64 [B]."""
        return np.repeat(np.arange(len(self)), np.diff(self.starts))

    def images(self, rows: NDArray[np.intp]) -> DetectedBoxes:
        """The boxes of the images `rows`, in that order."""
        counts = np.diff(self.starts)[rows]
        starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        boxes = np.repeat(self.starts[:-1][rows] - starts[:-1], counts) + np.arange(starts[-1])
        return DetectedBoxes(starts, self.labels[boxes], self.scores[boxes], self.entropies[boxes], self.embeddings[boxes])


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

    split: what its labels will serve, TRAIN for all but the random validation draws. box_ids: the proposals asked about; None: the whole
    image, missed objects included. probability: with which the strategy drew it from what was left; None: it was no random draw.
    twice: two people label the whole image, each without the other's answer.
    """

    image_id: str
    utility: float
    terms: Mapping[str, float] = field(default_factory=dict)
    split: Split = Split.TRAIN
    box_ids: tuple[str, ...] | None = None
    probability: float | None = None
    twice: bool = False

    @property
    def ranked(self) -> bool:
        """Whether its utility says anything: what is drawn at random, or wanted by a person where nothing is scored, has 0 and no terms."""
        return bool(self.terms) or self.utility != 0


@dataclass(frozen=True)
class Query:
    """What a round asks to be labelled, most valuable first."""

    round: int
    items: tuple[QueryItem, ...]

    @property
    def image_ids(self) -> tuple[str, ...]:
        return tuple(item.image_id for item in self.items)
