"""Who labels which image next: the round's query, less what others have open, and what comes back from them.

Returns tasks and outcomes as plain values. Knows the study and its leases, drafts and skips; knows nothing of HTTP, pages or training.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from threading import Lock
from time import time
from typing import Any, NamedTuple

from boxwise.annotation.comparison import same_labels
from boxwise.data.addresses import place_of
from boxwise.errors import ImageError, ImageStoreError
from boxwise.records import Annotation, ImageRecord, Phase, QueryItem
from boxwise.store import LabellingStore, LabelsChangedError, Lease, OutBy, Review, SentBack, fault_by, out_by
from boxwise.study import Study
from boxwise.web.answers import Answer, OverError, QuarantinedError, TakenError, UnknownImageError, check_round, checked
from boxwise.web.keeping import Keeping
from boxwise.web.pictures import check_file
from boxwise.web.tasks import Task, as_drawn, questions

LEASE_SECONDS = 120.0
_SOME = 100  # images


class _OpenIn(NamedTuple):
    """The tab in which somebody has an image open, and the visit that it was last handed to."""

    annotator: str
    tab: str
    until: float
    visit: str


@dataclass
class LabelQueue:
    """The labelling side of one study. clock: seconds since the epoch, for leases; by default the store's.

    A lease is a person's; which of their tabs has the image is known here alone. An image that was leased before this queue was made goes
    to the tab that asks for it by name, and to no other before the lease has expired.
    """

    study: Study
    labelling: LabellingStore
    lease_seconds: float = LEASE_SECONDS
    clock: Callable[[], float] = time
    _open_in: dict[str, _OpenIn] = field(default_factory=dict)
    _closed: set[str] = field(default_factory=set)  # visits that have ended
    _choosing: Lock = field(default_factory=Lock)  # one looks for an image at a time, or all would reach for the same
    _taking: Lock = field(default_factory=Lock)  # between looking which tab has an image and taking it

    def __post_init__(self) -> None:
        self._keeping = Keeping(self.study)
        if self.clock is time:
            self.clock = self.labelling.clock

    def next(self, annotator: str, *, tab: str = "", keep: Collection[str] = (), visit: str = "") -> Task | str:
        """The most valuable image that is free; or why there is none: "leased", "others", "answered", "training", "done", "unreachable".

        Images that the annotator has skipped come last; "others": what is left is for a second person, or was sent back to another. tab:
        which of the annotator's windows asks; each has images of its own. keep: images that it holds already and does not want again.
        visit: names one loading of the page, which `close_tab` ends. One whose file is gone is quarantined, as by a training; one that lies
        where nothing can be read now is passed over, and "unreachable" where all that is left is.
        """
        beyond: set[str] = set()
        while True:
            with self._choosing:
                task = "leased" if visit in self._closed else self._next(annotator, tab, {*keep, *beyond}, visit)
                if isinstance(task, Task) and visit in self._closed:  # asked for by a page that was closed meanwhile
                    self.release([task.record.image_id], annotator, tab=tab)
                    return "leased"
            if not isinstance(task, Task):
                return "unreachable" if beyond else task
            try:
                self._check_file(task.record, annotator, tab)
                return task
            except QuarantinedError:
                continue
            except ImageStoreError:
                beyond |= self._beside(task.record)

    def _next(self, annotator: str, tab: str, keep: Collection[str], visit: str) -> Task | str:
        while True:
            free, otherwise = self._free(annotator, tab, keep)
            if free is None:
                return otherwise
            try:
                task = self._task(free, annotator, tab, visit)
            except (TakenError, QuarantinedError):
                continue  # between looking and taking: somebody else was faster, so look again
            if self.study.waiting(self.study.position[0], image_id=free) or task.sent_back:
                return task
            self.release([free], annotator, tab=tab)  # answered between looking and taking

    def _free(self, annotator: str, tab: str, keep: Collection[str]) -> tuple[str | None, str]:
        """(the first image that waits, is not in `keep` and is free; why there is none). What was sent back to this person comes first.

        What was sent back to another is anybody's when it is not `_kept` for them; what no question of now is about comes after the rest.
        """
        number, phase = self.study.position
        waiting = self.study.waiting(number) if phase is Phase.ANNOTATE else frozenset()
        held, skipped, asked = self._leases(), self.labelling.skipped(number), self.study.asked(number)
        # Read after the leases: an answer ends its lease, and between the two the image would seem to be anybody's.
        once = self.labelling.answered_once(number, annotator) if any(item.twice for item in asked.values()) else frozenset()
        back = self.study.reviews.sent_back()
        own = [image_id for image_id, sent in back.items() if sent.to == annotator and image_id not in keep]
        wanted = waiting - {*keep, *own}
        left = [image_id for image_id in asked if image_id in wanted]
        kept = self._kept(back)
        others = {image_id for image_id in left if image_id in once or image_id in kept}
        theirs = [*own, *(image_id for image_id in left if image_id not in others)]
        elsewhere = {*left, *own, *kept, *keep}
        earlier = [image_id for image_id in back if image_id not in elsewhere]
        for image_id in sorted([*theirs, *earlier], key=lambda image_id: annotator in skipped.get(image_id, {})):
            lease = held.get(image_id)
            mine = lease is not None and lease.annotator == annotator and self._is_in(image_id, annotator, tab)
            if mine or (lease is None and not self._is_elsewhere(image_id, annotator, tab)):
                return image_id, ""
        if not theirs and phase is not Phase.ANNOTATE:
            return None, "done" if phase is Phase.DONE else "training"
        return None, "leased" if theirs else "others" if left else "answered"

    def kept_for(self, image_id: str) -> str | None:
        """Who alone may answer an image, since it was sent back to them, see `_kept`; reviewers may all the same."""
        back = self.study.reviews.sent_back(image_id)
        return back[image_id].to if self._kept(back) else None

    def waits(self, image_id: str) -> bool:
        """Whether an image waits for an answer: the round asks about it, or it was sent back."""
        return bool(self.study.waiting(self.study.position[0], image_id=image_id) or self.study.reviews.sent_back(image_id))

    def _kept(self, back: Mapping[str, SentBack]) -> set[str]:
        """What is for whoever answered it alone."""
        return self._keeping.kept(back, at=self.clock())

    def open(self, image_id: str, annotator: str, *, tab: str = "", visit: str = "") -> Task:
        """An image of the annotator's own choice, also one that is labelled already.

        Raises TakenError when somebody else has it, or the annotator in another tab; QuarantinedError when it is out of use, or its file
        is gone; ImageStoreError where no file can be read.
        """
        task = self._task(image_id, annotator, tab, visit)
        self._check_file(task.record, annotator, tab)
        return task

    def renew(
        self, image_ids: Collection[str], annotator: str, *, tab: str = "", begun_on: Mapping[str, int] | None = None
    ) -> tuple[float, list[str]]:
        """(when the leases end now, the images that were lost: to others, to another tab, or answered by others in an absence).

        begun_on: image_id → number of the labels that the work began with; another person's are no loss where they are these.
        """
        until, held, begun = self.clock() + self.lease_seconds, self._leases(), begun_on or {}
        overtaken = [i for i in image_ids if i not in held and self._is_overtaken(i, annotator, begun.get(i))]
        return until, [i for i in image_ids if i in overtaken or self._take(i, annotator, tab, until) is not None]

    def _is_overtaken(self, image_id: str, annotator: str, begun_on: int | None) -> bool:
        """Whether another person has answered an image since the work on it began."""
        answered = self.labelling.answered_by_another(image_id, self.study.position[0], annotator)
        return answered and self._counting(image_id) != begun_on

    def _counting(self, image_id: str) -> int | None:
        """The number of the annotation that counts."""
        return next((entry.number for entry in reversed(self.study.history(image_id)) if not entry.late), None)

    def release(self, image_ids: Collection[str], annotator: str, *, tab: str = "") -> None:
        """Give images back; those of others and of other tabs stay theirs."""
        mine = [i for i in image_ids if i not in self._open_in or self._is_in(i, annotator, tab)]
        self.labelling.release(mine, annotator)
        self._forget(mine, annotator)

    def close_tab(self, annotator: str, *, tab: str = "", keep: Collection[str] = (), visit: str = "") -> None:
        """A visit ends: give back what the tab has of it but `keep`, also what it is handed later; not what the tab's next visit has."""
        with self._taking:
            self._closed |= {visit} - {""}
            idle = [i for i, opened in self._open_in.items() if opened.visit in ("", visit) and i not in keep]
        self.release(idle, annotator, tab=tab)

    def answer(self, answer: Answer) -> bool:
        """Store an answer; durable when this returns. Returns whether it came late (kept as history, not as the image's labels).

        An answer for an image that was quarantined meanwhile is history, too: the image has no labels that count.
        Raises RefusedError, with nothing stored, for one that cannot be right.
        """
        record, known = self.record(answer.image_id), self.labelling.answer(answer.key)
        if known is None:
            self._store(answer, record)
            known = self.labelling.answer(answer.key)
        if known is None or known.image_id != answer.image_id:
            raise OverError("key_of_another", answer.image_id, answer.key)
        self.labelling.drop_draft(answer.image_id, answer.round, answer.annotator)
        self.labelling.unskip(answer.image_id, answer.annotator)
        self._forget([answer.image_id], answer.annotator)
        return known.late

    def _store(self, answer: Answer, record: ImageRecord) -> None:
        item = self.study.asked(answer.round).get(answer.image_id)
        answer, shown, begun = checked(self.study, answer, record, item)
        try:
            self.study.tell(
                answer.image_id,
                answer.verdicts,
                complete=answer.complete if item is None or item.box_ids is None else None,
                annotator=answer.annotator,
                seconds=answer.seconds,
                shown=shown,
                round_index=answer.round,
                key=answer.key,
                classes=answer.classes,
                review=self._review(answer),
                begun=begun,
            )
        except LabelsChangedError:
            raise OverError("labels_changed", answer.image_id) from None

    def withdraw(self, key: str, image_id: str, round_index: int, annotator: str, *, tab: str = "") -> None:
        """Take back an answer: it stays in the history, its seconds count, and the image waits again, in the hands of who took it back.

        Again changes nothing. Raises RefusedError, and the answer stands, when the round is over, or another has answered or has the image.
        """
        self.record(image_id)
        held = self._is_in(image_id, annotator, tab)
        if (taken := self._take(image_id, annotator, tab, self.clock() + self.lease_seconds)) is not None:
            raise TakenError(image_id, taken)
        if not self.labelling.withdraw(key, image_id, round_index, annotator):
            self.release([] if held else [image_id], annotator, tab=tab)
            raise OverError("not_taken_back", image_id)

    def save_draft(self, image_id: str, round_index: int, annotator: str, *, revision: int, document: Mapping[str, Any]) -> int:
        """Keep somebody's unfinished work; the revision that is kept. Raises RefusedError for an unknown image or round."""
        self.record(image_id)
        check_round(self.study, image_id, round_index)
        return self.labelling.save_draft(image_id, round_index, annotator, revision=revision, document=document)

    def skip(self, image_id: str, round_index: int, annotator: str, reason: str) -> None:
        """Put the image off: others may take it now, this annotator gets it again after all the rest."""
        self.record(image_id)
        check_round(self.study, image_id, round_index)
        self.labelling.skip(image_id, round_index, annotator, reason)
        self._forget([image_id], annotator)

    def flag(self, image_id: str, annotator: str, reason: str) -> None:
        """The image is of no use to anybody: quarantined, with the first reason and who gave it; what they have begun on it is over."""
        self.record(image_id)
        self.study.quarantine(image_id, fault_by(OutBy.FLAGGED, annotator, reason), who=annotator)
        self.labelling.drop_draft(image_id, self.study.position[0], annotator)
        self.labelling.release([image_id], annotator)
        self._forget([image_id], annotator)

    def unflag(self, image_id: str, annotator: str) -> None:
        """Take a person's flag back: the image is asked about again. Raises RefusedError where a fault of the file keeps it out of use."""
        self.record(image_id)
        if (fault := self.study.fault(image_id)) is None:
            return
        if out_by(fault) is not OutBy.FLAGGED:
            raise QuarantinedError(image_id, fault)
        self.study.include([image_id], who=annotator)

    def is_flagged_by(self, image_id: str, annotator: str) -> bool:
        """Whether the image is out of use because this person has said so."""
        return (self.study.fault(image_id) or "").startswith(fault_by(OutBy.FLAGGED, annotator, ""))

    def listing(self) -> list[dict[str, Any]]:
        """Every image of the round's query: who has it or has answered it."""
        number, phase = self.study.position
        if phase is Phase.SELECT:
            return []
        waiting, suggested = self.study.waiting(number), self.study.proposals()
        held, faulty = self._leases(), self.study.quarantined()
        return [
            self._listed(rank, item, waiting, held, faulty)
            | {"open": questions(item, suggested.get(item.image_id)) if item.image_id in waiting else 0}
            for rank, item in enumerate(self.study.asked(number).values())
        ]

    def _listed(
        self, rank: int, item: QueryItem, waiting: Collection[str], held: Mapping[str, Any], faulty: Mapping[str, str]
    ) -> dict[str, Any]:
        lease, fault = held.get(item.image_id), faulty.get(item.image_id)
        if fault is not None:
            state = "flagged" if out_by(fault) is OutBy.FLAGGED else "unusable"
        else:
            state = "answered" if item.image_id not in waiting else "leased" if lease else "waiting"
        return {
            "image_id": item.image_id,
            "rank": rank,
            "split": item.split.value,
            "state": state,
            "by": lease.annotator if lease else None,
            "fault": fault,
            "utility": item.utility if item.ranked else None,
            "terms": dict(item.terms),
            "asked": None if item.box_ids is None else len(item.box_ids),
        }

    def _check_file(self, record: ImageRecord, annotator: str, tab: str) -> None:
        """Give an image back whose file cannot be had: QuarantinedError, and out of use, where it is gone; ImageStoreError otherwise."""
        try:
            check_file(record, self._others)
        except ImageError as error:
            self.study.quarantine(record.image_id, str(error))
            self.release([record.image_id], annotator, tab=tab)
            raise QuarantinedError(record.image_id, str(error)) from error
        except ImageStoreError:
            self.release([record.image_id], annotator, tab=tab)
            raise

    def _beside(self, record: ImageRecord) -> set[str]:
        """The images asked about now that lie where this one does, it among them."""
        place, asked = place_of(record.uri), self.study.records(self.study.asked(self.study.position[0]))
        return {record.image_id} | {other.image_id for other in asked if place_of(other.uri) == place}

    def _others(self) -> list[ImageRecord]:
        """Images that are asked about now, and more of the study."""
        return [*self.study.records(self.study.asked(self.study.position[0])), *self.study.images(most=_SOME)]

    def _leases(self) -> dict[str, Lease]:
        """The leases that hold now. One with more than twice its length before it was given under a clock that was wrong."""
        at = self.clock()
        return {i: lease for i, lease in self.labelling.leases(at=at).items() if lease.until <= at + 2 * self.lease_seconds}

    def _take(self, image_id: str, annotator: str, tab: str, until: float, visit: str = "") -> str | None:
        """Take or renew an image for one tab, and one visit where it is named; who has it instead, or None."""
        with self._taking:
            if self._is_elsewhere(image_id, annotator, tab):
                return annotator
            taken = self.labelling.lease(image_id, annotator, at=self.clock(), until=until)
            if taken is None:
                visit = visit or (self._open_in[image_id].visit if self._is_in(image_id, annotator, tab) else "")
                self._open_in[image_id] = _OpenIn(annotator, tab, until, visit)
            return None if taken is None else taken.annotator

    def _is_in(self, image_id: str, annotator: str, tab: str) -> bool:
        opened = self._open_in.get(image_id)
        return opened is not None and opened[:2] == (annotator, tab)

    def _is_elsewhere(self, image_id: str, annotator: str, tab: str) -> bool:
        """Whether the annotator has the image in another tab."""
        opened = self._open_in.get(image_id)
        if opened is None or opened.annotator != annotator or opened.tab == tab:
            return False
        return 0 < opened.until - self.clock() <= 2 * self.lease_seconds

    def _forget(self, image_ids: Collection[str], annotator: str) -> None:
        with self._taking:
            for image_id in {i for i in image_ids if i in self._open_in and self._open_in[i].annotator == annotator}:
                del self._open_in[image_id]

    def _task(self, image_id: str, annotator: str, tab: str, visit: str) -> Task:
        record, number = self.record(image_id), self.study.position[0]
        if (fault := self.study.fault(image_id)) is not None:
            raise QuarantinedError(image_id, fault)
        until = self.clock() + self.lease_seconds
        if (taken := self._take(image_id, annotator, tab, until, visit)) is not None:
            raise TakenError(image_id, taken)
        asked = self.study.asked(number)
        item = asked.get(image_id)
        rank = None if item is None else list(asked).index(image_id)
        draft = self.labelling.draft(image_id, number, annotator)
        shown, sent = self.study.shown(image_id, round_index=number), self.study.reviews.sent_back(image_id).get(image_id)
        if sent is not None:
            labels = sent.answer if item is not None or sent.answer is None else as_drawn(sent.answer)
        else:
            labels = None if item is None else self._answered(item, number, annotator)
        begun_on = self._counting(image_id)
        by_another = self.labelling.answered_by_another(image_id, number, annotator)
        return Task(record, number, rank, item, shown, until, draft, labels, sent, begun_on, by_another, self.study.relabelled())

    def _answered(self, item: QueryItem, number: int, annotator: str) -> Annotation | None:
        """What the round was answered already for the image; while that waits for a second person, what this one answered alone."""
        if self.is_secret(item.image_id):
            return self.labelling.own(item.image_id, number, annotator)
        current = self.study.annotation(item.image_id)
        return current if current is not None and current.round >= number else None

    def _review(self, answer: Answer) -> Review | None:
        """How the answer is a verdict on another person's, as a team's reviewers give it by opening and correcting an image."""
        if answer.judges is None or not self.study.team.members():
            return None
        current = self.study.annotation(answer.image_id)
        asked_anew = answer.image_id in self.study.asked(answer.round) and current is not None and current.round < answer.round
        return None if asked_anew else Review(answer.judges, same_labels)

    def is_secret(self, image_id: str) -> bool:
        """Whether nobody may see what the image was labelled as, since a second person is to label it alone."""
        number, phase = self.study.position
        item = self.study.asked(number).get(image_id) if phase is Phase.ANNOTATE else None
        return item is not None and item.twice and bool(self.study.waiting(number, image_id=image_id))

    def record(self, image_id: str) -> ImageRecord:
        """The image's record, quarantined or not, as it is now: `boxwise relocate` may have moved it. Raises UnknownImageError."""
        if "\0" in image_id or (record := self.study.record(image_id)) is None:  # not every database can be asked about a NUL
            raise UnknownImageError(image_id)
        return record
