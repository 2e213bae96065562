"""What a person hands in, and what is wrong with it: the page is not trusted to have checked.

Returns nothing for a good answer and raises the refusal, with its HTTP status, for any other. Knows records and boxes; nothing of stores
or leases.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from boxwise.errors import BoxwiseError
from boxwise.records import Annotation, ImageRecord, Verdict

SLIVER = 1.0  # pixels: a box narrower or lower than this is no object
ROUNDING = 0.01  # pixels: the page rounds edges to a hundredth


class RefusedError(BoxwiseError):
    """What was sent cannot be taken. status: of HTTP."""

    status = 422


class UnknownImageError(RefusedError):
    """No image of that name is in the study."""

    status = 404

    def __init__(self, image_id: str) -> None:
        super().__init__(f"{image_id}: no such image in the study.")


class TakenError(RefusedError):
    """Somebody else has the image open."""

    status = 409

    def __init__(self, image_id: str, by: str) -> None:
        super().__init__(f"{image_id}: {by} is labelling it.")
        self.by = by


class QuarantinedError(RefusedError):
    """The image is out of use and must not be labelled."""

    status = 400

    def __init__(self, image_id: str, fault: str) -> None:
        super().__init__(f"{image_id} is out of use and not labelled any more: {fault}")


class OverError(RefusedError):
    """It comes too late, or it contradicts what is stored."""

    status = 409


@dataclass(frozen=True)
class Answer:
    """What a person hands in. key: made once by the sender, so that an answer sent twice is stored once. seconds: of real interaction."""

    key: str
    annotator: str
    image_id: str
    round: int
    verdicts: Sequence[Verdict]
    complete: bool
    seconds: float


def check_round(image_id: str, round_index: int, current: int) -> None:
    """Raises RefusedError for a round that has not begun."""
    if round_index > current:
        raise RefusedError(f"{image_id}: round {round_index}, expected at most {current}, the round the study is in.")


def check_boxes(answer: Answer, record: ImageRecord, known: Annotation | None) -> None:
    """Raises RefusedError for a box outside of the image, or one of no size; boxes that the image has already may be as they are."""
    stored = set() if known is None else {tuple(xyxy) for xyxy in known.boxes.xyxy.tolist()}
    for verdict in answer.verdicts:
        if verdict.xyxy is not None and tuple(verdict.xyxy) not in stored:
            _check_box(answer.image_id, verdict.xyxy, record)


def _check_box(image_id: str, xyxy: tuple[float, float, float, float], record: ImageRecord) -> None:
    x1, y1, x2, y2 = xyxy
    if not (x1 < x2 and y1 < y2):
        raise RefusedError(f"{image_id}: box {list(xyxy)}, expected finite x1 < x2 and y1 < y2.")
    if min(x1, y1) < -ROUNDING or x2 > record.width + ROUNDING or y2 > record.height + ROUNDING:
        raise RefusedError(f"{image_id}: box {list(xyxy)} reaches out of the image, expected it within {record.width} x {record.height}.")
    if min(x2 - x1, y2 - y1) < SLIVER:
        raise RefusedError(f"{image_id}: box {list(xyxy)}, expected sides of {SLIVER:g} pixel or more.")
