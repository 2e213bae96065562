"""Which of the labels that come from elsewhere a study does not know yet, and which they replace; and taking these in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from boxwise.annotation.comparison import same_labels, says_nothing_new, verdicts_from
from boxwise.annotation.verdicts import annotation_of, drawn
from boxwise.boxes import Boxes
from boxwise.records import Phase, Proposals, Split, Verdict
from boxwise.store import Current, LabelledMeanwhileError, LabelState, Stamp

if TYPE_CHECKING:
    from boxwise.study.study import Study


@dataclass(frozen=True)
class Judged:
    """What labels were judged by. asked: round, step, and when the round's question was asked. shown: what was proposed on the images.

    numbers: those of the labels that the images had then and that may be replaced; 0: of none.
    """

    stamp: Stamp
    asked: tuple[int, Phase, str | None]
    shown: Mapping[str, Proposals]
    numbers: Mapping[str, int]


@dataclass(frozen=True)
class News:
    """acts: image_id → what a person must have done to what the image showed, of the images about which the labels say something new.

    labels: as they were given, of the known images too. replaced: those of `acts` that have other labels by now. known: of how many images
    the labels say nothing new. classes: those of which they are numbers. since: what was there when they began to be taken in.
    meanwhile: image_id → who labelled it since then; gone: image_id → why it went out of use since then: of neither anything is taken.
    """

    acts: Mapping[str, Sequence[Verdict]]
    labels: Mapping[str, Boxes]
    replaced: tuple[str, ...]
    known: int
    classes: tuple[str, ...]
    since: LabelState
    judged: Judged
    meanwhile: Mapping[str, str] = field(default_factory=dict)
    gone: Mapping[str, str] = field(default_factory=dict)

    @property
    def left(self) -> Set[str]:
        """The images that were left as they are, by what happened meanwhile."""
        return self.meanwhile.keys() | self.gone.keys()

    def without(self, image_ids: Set[str]) -> News:
        """The news of the other images; nothing is taken of these, whatever happens meanwhile."""
        acts = {i: acts for i, acts in self.acts.items() if i not in image_ids}
        labels = {i: boxes for i, boxes in self.labels.items() if i not in image_ids}
        return replace(self, acts=acts, labels=labels, replaced=tuple(i for i in self.replaced if i in acts))


def news_in(
    study: Study,
    labels: Mapping[str, Boxes],
    *,
    annotator: str,
    incomplete: Set[str],
    classes: tuple[str, ...],
    since: LabelState | None = None,
) -> News:
    """What is new in the final boxes of many images, as an annotator gives them; their labels are numbers of `classes`. Changes nothing:
    where a selection comes next there is no query yet to judge them by, and no image that was never opened is opened.

    since: when they began to be taken in; what is labelled or goes out of use after it stays as it is. By default now.
    """
    since = study.moment() if since is None else since
    return _judged(study, labels, since=since, annotator=annotator, incomplete=incomplete, classes=classes)


def take(study: Study, news: News, *, annotator: str, incomplete: Set[str]) -> News:
    """Record what `news_in` found; returns what of it was recorded. A selection that comes next is done first. Where the study has changed
    since, by that or by others, the labels are judged anew.

    An image that was labelled after `news.since` is left as it is: it is among the known ones where it has these very labels now, as from
    the same import beside this one, and else among those of `meanwhile`. One that went out of use is among those of `gone`.
    """
    study.ensure_asked()
    study.open_first(news.labels)
    judge = partial(_judged, study, since=news.since, annotator=annotator, incomplete=incomplete, classes=news.classes)
    now = news if study.stamp() == news.judged.stamp else judge(news.labels)
    to_do, acts, replaced = dict.fromkeys(now.acts), dict[str, Sequence[Verdict]](), set(now.replaced)
    by, gone = dict[str, str](), dict[str, str]()
    for image_id in tuple(to_do):
        if _asked(study) != now.judged.asked:  # the round has moved on, and may propose other boxes
            now = judge({i: news.labels[i] for i in to_do})
            replaced = (replaced & acts.keys()) | set(now.replaced)
        del to_do[image_id]
        if image_id not in now.acts:
            continue
        if image_id not in news.since.out_of_use and (fault := study.store.fault(image_id)):
            gone[image_id] = fault
            continue
        try:
            _tell(study, now, image_id, annotator=annotator, complete=False if image_id in incomplete else None)
        except LabelledMeanwhileError as error:
            by[image_id] = error.annotator
        else:
            acts[image_id] = now.acts[image_id]
    meanwhile = {i: by[i] for i in judge({i: news.labels[i] for i in by}).acts} if by else {}
    known = news.known + len(news.acts) - len(acts) - len(meanwhile) - len(gone)
    return replace(news, acts=acts, replaced=tuple(i for i in acts if i in replaced), known=known, meanwhile=meanwhile, gone=gone)


def _judged(
    study: Study, labels: Mapping[str, Boxes], *, since: LabelState, annotator: str, incomplete: Set[str], classes: tuple[str, ...]
) -> News:
    stamp, asked = study.stamp(), _asked(study)  # before what the labels are judged by, so that no change of it is missed
    study.store.classes(classes)
    current, shown = _current(study), study.proposals()
    acts = {i: _acts(study, boxes, shown.get(i)) for i, boxes in labels.items()}
    boxes = {i: annotation_of(i, acts[i], shown.get(i)).boxes for i in labels}
    new = _new(study, boxes, current, annotator=annotator, incomplete=incomplete)
    replaced = tuple(i for i in new if i in current and not same_labels(current[i].annotation.boxes, boxes[i]))
    numbers = {i: min(current[i].number, since.number) if i in current else 0 for i in new}
    judged = Judged(stamp, asked, {i: shown.get(i) or Proposals(i, Boxes.empty(), np.zeros(0, np.bool_)) for i in new}, numbers)
    return News({i: acts[i] for i in new}, labels, replaced, len(labels) - len(new), classes, since, judged)


def _tell(study: Study, news: News, image_id: str, *, annotator: str, complete: bool | None) -> None:
    """As it was judged, though the round moves on at this moment: of other proposals the acts would leave other boxes."""
    study.tell(
        image_id,
        news.acts[image_id],
        annotator=annotator,
        complete=complete,
        classes=news.classes,
        shown=news.judged.shown[image_id],
        round_index=news.judged.asked[0],
        instead_of=news.judged.numbers[image_id],
    )


def _asked(study: Study) -> tuple[int, Phase, str | None]:
    number, phase = study.position
    return number, phase, study.store.asked_at(number)


def _current(study: Study) -> dict[str, Current]:
    return {image_id: labels for split in Split for image_id, labels in study.store.current(split).items()}


def _new(
    study: Study, boxes: Mapping[str, Boxes], current: Mapping[str, Current], *, annotator: str, incomplete: Set[str]
) -> Sequence[str]:
    """Those of the images about which the boxes say something new, where they have the labels of `current`."""
    number, phase = study.position
    asked_now = study.waiting(number) if phase is Phase.ANNOTATE else ()
    waiting = {*asked_now, *(image_id for images in study.to_review().values() for image_id in images)}
    once = study.labelling.answered_once(number, annotator)  # of two people: the other one's turn
    waiting -= once
    before = {i: current[i].annotation for i in boxes if i in current}
    before |= {i: own for i in once & boxes.keys() if (own := study.labelling.own(i, number, annotator))}
    rounds_told = {number, *(annotation.round for annotation in before.values())}
    asked = {image_id for told in rounds_told for image_id in study.query(told).image_ids}
    flags = {i: {"incomplete": i in incomplete, "asked": i in asked, "waiting": i in waiting} for i in boxes}
    return [i for i in boxes if not says_nothing_new(before.get(i), boxes[i], **flags[i])]


def _acts(study: Study, boxes: Boxes, proposals: Proposals | None) -> tuple[Verdict, ...]:
    return drawn(boxes, study.config.cost) if proposals is None else verdicts_from(boxes, proposals, study.config.cost)
