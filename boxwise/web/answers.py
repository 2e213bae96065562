"""What a person hands in, and what is wrong with it: the page is not trusted to have checked.

Returns nothing for a good answer and raises the refusal, with its HTTP status, for any other. Knows records and boxes; nothing of stores
or leases.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from boxwise.annotation.class_change import now_called
from boxwise.errors import BoxwiseError
from boxwise.records import Annotation, ImageRecord, Verdict
from boxwise.study import Study
from boxwise.web.reasons import Reason

SLIVER = 1.0  # pixels: a box narrower or lower than this is no object
ROUNDING = 0.01  # pixels: the page rounds edges to a hundredth


class RefusedError(BoxwiseError):
    """What was sent cannot be taken. status: of HTTP. code, values: see `Reason`."""

    status = 422

    def __init__(self, code: str, *values: object) -> None:
        self.reason = Reason(code, *values)
        super().__init__(str(self.reason))


class UnknownImageError(RefusedError):
    """No image of that name is in the study."""

    status = 404

    def __init__(self, image_id: str) -> None:
        super().__init__("unknown_image", image_id)


class TakenError(RefusedError):
    """Somebody else has the image open."""

    status = 409

    def __init__(self, image_id: str, by: str) -> None:
        super().__init__("taken", image_id, by)
        self.by = by


class QuarantinedError(RefusedError):
    """The image is out of use and must not be labelled."""

    status = 400

    def __init__(self, image_id: str, fault: str) -> None:
        super().__init__("out_of_use", image_id, fault)


class DeniedError(RefusedError):
    """Whoever asks may not do this."""

    status = 403


class OverError(RefusedError):
    """It comes too late, or it contradicts what is stored."""

    status = 409


def reason_of(error: BoxwiseError) -> Reason:
    """Why something was refused, by its code; what the study itself raises has its sentence alone."""
    return error.reason if isinstance(error, RefusedError) else Reason("mistake", error)


@dataclass(frozen=True)
class Answer:
    """What a person hands in. key: made once by the sender, so that an answer sent twice is stored once. seconds: of real interaction.

    classes: those of which the verdicts' labels are numbers, by default the study's. judges: the number of the annotation that the giver
    had before them, where they may judge another's by correcting it.
    """

    key: str
    annotator: str
    image_id: str
    round: int
    verdicts: Sequence[Verdict]
    complete: bool
    seconds: float
    classes: Sequence[str] | None = None
    judges: int | None = None


def in_todays_classes(
    study: Study, verdicts: Sequence[Verdict], classes: Sequence[str] | None
) -> tuple[Sequence[Verdict], tuple[str, ...]]:
    """(`verdicts` with labels of the study's classes, of a page that knows them as `classes`; the study's). RefusedError for one that is
    gone."""
    today = study.classes
    if classes is None or tuple(classes) == today:
        return verdicts, today
    called = now_called(classes, study.class_changes())

    def label_of(label: int) -> int:
        name = classes[label] if label < len(classes) else str(label)
        if called.get(name) not in today:
            raise RefusedError("class_is_gone", name)
        return today.index(called[name])

    return [one if one.label is None else replace(one, label=label_of(one.label)) for one in verdicts], today


def check_round(image_id: str, round_index: int, current: int) -> None:
    """Raises RefusedError for a round that has not begun."""
    if round_index > current:
        raise RefusedError("future_round", image_id, round_index, current)


def check_boxes(answer: Answer, record: ImageRecord, known: Annotation | None) -> None:
    """Raises RefusedError for a box outside of the image, or one of no size; boxes that the image has already may be as they are."""
    stored = set() if known is None else {tuple(xyxy) for xyxy in known.boxes.xyxy.tolist()}
    for verdict in answer.verdicts:
        if verdict.xyxy is not None and tuple(verdict.xyxy) not in stored:
            _check_box(answer.image_id, verdict.xyxy, record)


def _check_box(image_id: str, xyxy: tuple[float, float, float, float], record: ImageRecord) -> None:
    x1, y1, x2, y2 = xyxy
    if not (x1 < x2 and y1 < y2):
        raise RefusedError("box_order", image_id, list(xyxy))
    if min(x1, y1) < -ROUNDING or x2 > record.width + ROUNDING or y2 > record.height + ROUNDING:
        raise RefusedError("box_outside", image_id, list(xyxy), record.width, record.height)
    if min(x2 - x1, y2 - y1) < SLIVER:
        raise RefusedError("box_sliver", image_id, list(xyxy), f"{SLIVER:g}")
