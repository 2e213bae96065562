"""What a person hands in, and what is wrong with it: the page is not trusted to have checked.

Returns nothing for a good answer and raises the refusal, with its HTTP status, for any other. Knows records and boxes; nothing of stores
or leases.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from boxwise.annotation.class_change import now_called
from boxwise.annotation.verdicts import shown_to_annotator
from boxwise.boxes import Boxes
from boxwise.errors import BoxwiseError
from boxwise.records import Action, Annotation, ImageRecord, Proposals, QueryItem, Verdict
from boxwise.store import Begun
from boxwise.study import Study
from boxwise.study.reading import to_correct
from boxwise.web.reasons import Reason
from boxwise.web.tasks import question_of

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
    had before them, where they may judge another's by correcting it. begun_on: that number, whoever they are; question: which boxes they
    had before them, see `question_of`; both None where the sender does not say.
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
    begun_on: int | None = None
    question: str | None = None


def in_todays_classes(
    study: Study, verdicts: Sequence[Verdict], classes: Sequence[str] | None
) -> tuple[Sequence[Verdict], tuple[str, ...]]:
    """(`verdicts` with labels of the study's classes, of a page that knows them as `classes`; the study's). RefusedError for one that is
    gone."""
    today = study.classes
    if classes is None or tuple(classes) == today:
        return verdicts, today
    labels = dict(enumerate(todays_labels(study, classes)))

    def label_of(label: int) -> int:
        if (now := labels.get(label)) is None:
            raise RefusedError("class_is_gone", classes[label] if label < len(classes) else label)
        return now

    return [one if one.label is None else replace(one, label=label_of(one.label)) for one in verdicts], today


def todays_labels(study: Study, classes: Sequence[str]) -> list[int | None]:
    """What each label of `classes`, those of the study when a page was loaded, is by now; None for a class that is gone."""
    today = study.classes
    if tuple(classes) == today:
        return list(range(len(today)))
    called = now_called(classes, study.class_changes())
    return [today.index(called[name]) if called.get(name) in today else None for name in classes]


def check_round(study: Study, image_id: str, round_index: int, *, withdrawn: bool = False) -> None:
    """Raises RefusedError for a round that has not begun. withdrawn: whether the sender was asked in it."""
    current = study.position[0]
    if round_index > current:
        if withdrawn or study.class_changes():
            raise RefusedError("question_withdrawn", image_id, round_index)
        raise RefusedError("future_round", image_id, round_index, current)


def checked(study: Study, answer: Answer, record: ImageRecord, item: QueryItem | None) -> tuple[Answer, Proposals, Begun | None]:
    """(the answer in the study's classes of now, what the person had before them, the labels that it began with). item: what its round asks
    of the image. Raises RefusedError for one that cannot be right, or is about what is there no more."""
    verdicts, classes = in_todays_classes(study, answer.verdicts, answer.classes)
    check_round(study, answer.image_id, answer.round, withdrawn=answer.question is not None)
    check_boxes(answer, record, study.annotation(answer.image_id))
    shown, begun = answered_for(study, answer, item)
    none = Proposals(answer.image_id, Boxes.empty(), np.zeros(0, bool))
    return replace(answer, verdicts=verdicts, classes=classes), none if shown is None else shown, begun


def answered_for(study: Study, answer: Answer, item: QueryItem | None) -> tuple[Proposals | None, Begun | None]:
    """What the person had before them, and the labels that their answer began with.

    The boxes that verdicts name have the ids of others where the image's labels were changed, or the question was withdrawn and another
    asked: then OverError is raised, rather than that the answer hits boxes that nobody saw. Labels that are not those of now are returned
    for an answer that may be a late one.
    """
    number = answer.begun_on or 0
    if item is not None:
        shown = study.shown(answer.image_id, round_index=answer.round)
        if not _is_about(study, answer, item, shown):
            raise OverError("question_changed", answer.image_id)
        return shown, None if answer.question is None else Begun(number, edits=False)
    labels = {entry.number: to_correct(entry.annotation) for entry in study.history(answer.image_id) if not entry.late}
    now, states = max(labels, default=0), {0: None, **labels}
    for begun in (now, number) if answer.question is not None else (number,):
        if begun in states and _is_about(study, answer, item, states[begun], is_now=begun == now):
            return states[begun], Begun(begun, edits=True)
    if number == now:
        raise OverError("question_changed", answer.image_id)
    raise OverError("labels_changed", answer.image_id)


def _is_about(study: Study, answer: Answer, item: QueryItem | None, shown: Proposals | None, *, is_now: bool = True) -> bool:
    """Whether the boxes of `shown` are those that a person had before them whose answer this is. is_now: whether they are there now."""
    empty = not len(shown_to_annotator(shown).boxes)
    if answer.question is None:
        return _may_be_about(study, answer, empty=empty, is_now=is_now)
    now = study.relabelled()
    since = 0 if empty else now  # without boxes no label of theirs can have come to mean another class
    return answer.question in {question_of(item, shown, relabelled) for relabelled in range(since, now + 1)}


def _may_be_about(study: Study, answer: Answer, *, empty: bool, is_now: bool) -> bool:
    """As `_is_about`, of a page from before pages said what they had. empty: whether there are no boxes to name.

    It had these if the classes changed in their names alone since it was loaded, as no question is withdrawn then; or if neither it can
    have had any box before it nor there is one now.
    """
    drawn = all(verdict.action is Action.ADD for verdict in answer.verdicts)
    if empty and drawn and not study.files(answer.round).proposals.exists():
        return True
    return (is_now or drawn or not empty) and _only_renamed(study, answer.classes)


def _only_renamed(study: Study, classes: Sequence[str] | None) -> bool:
    """Whether nothing but names has changed since the classes were these."""
    changes = study.class_changes()
    known, names = [*(before for before, _ in changes), study.classes], [names for _, names in changes]
    if classes is None:
        return True
    if tuple(classes) not in known:
        return False
    first = known.index(tuple(classes))
    return all(tuple(names[at].get(name) for name in known[at]) == known[at + 1] for at in range(first, len(names)))


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
