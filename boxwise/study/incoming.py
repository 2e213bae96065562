"""Which of the labels that come from elsewhere a study does not know yet, and which they replace; and taking these in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from boxwise.annotation.comparison import same_labels, says_nothing_new, verdicts_from
from boxwise.annotation.verdicts import annotation_of, drawn
from boxwise.boxes import Boxes
from boxwise.records import Phase, Split, Verdict
from boxwise.store import Current, LabelledMeanwhileError

if TYPE_CHECKING:
    from boxwise.study.study import Study


@dataclass(frozen=True)
class News:
    """acts: image_id → what a person must have done to what the image showed, of the images about which the labels say something new.

    boxes: what these acts leave on them. instead_of: the numbers of the labels that they had then; 0: none. replaced: those of them that
    have other labels by now. known: of how many images the labels say nothing new. classes: those of which they are numbers.
    meanwhile: image_id → who labelled it after it was judged, of the images that were left as they are therefore.
    """

    acts: Mapping[str, Sequence[Verdict]]
    boxes: Mapping[str, Boxes]
    instead_of: Mapping[str, int]
    replaced: tuple[str, ...]
    known: int
    classes: tuple[str, ...]
    meanwhile: Mapping[str, str] = field(default_factory=dict)

    def without(self, image_ids: Set[str]) -> News:
        """The news of the other images."""
        acts = {image_id: acts for image_id, acts in self.acts.items() if image_id not in image_ids}
        return replace(self, acts=acts, replaced=tuple(image_id for image_id in self.replaced if image_id in acts))


def news_in(study: Study, labels: Mapping[str, Boxes], *, annotator: str, incomplete: Set[str], classes: tuple[str, ...]) -> News:
    """What is new in the final boxes of many images, as an annotator gives them; their labels are numbers of `classes`."""
    study.asked_now()  # so that the question is made where it is time to
    current = _current(study)  # before what else they are judged by: what is labelled from here on is told by its number
    acts = {image_id: _acts(study, image_id, boxes) for image_id, boxes in labels.items()}
    boxes = {i: annotation_of(i, acts[i], study.proposals().get(i)).boxes for i in labels}
    new = _new(study, boxes, current, annotator=annotator, incomplete=incomplete)
    replaced = tuple(i for i in new if i in current and not same_labels(current[i].annotation.boxes, boxes[i]))
    numbers = {i: current[i].number if i in current else 0 for i in new}
    return News({i: acts[i] for i in new}, {i: boxes[i] for i in new}, numbers, replaced, len(labels) - len(new), classes)


def take(study: Study, news: News, *, annotator: str, incomplete: Set[str]) -> News:
    """Record what `news_in` found; returns what of it was recorded. An image that was labelled since is left as it is: it is among the
    known ones where it has these very labels now, as from the same import beside this one, and else among those of `meanwhile`.
    """
    since: dict[str, str] = {}
    for image_id, acts in news.acts.items():
        complete, before = False if image_id in incomplete else None, news.instead_of[image_id]
        try:
            study.tell(image_id, acts, annotator=annotator, complete=complete, classes=news.classes, instead_of=before)
        except LabelledMeanwhileError as error:
            since[image_id] = error.annotator
    if not since:
        return news
    new = _new(study, {i: news.boxes[i] for i in since}, _current(study), annotator=annotator, incomplete=incomplete)
    meanwhile = {i: since[i] for i in new}
    return replace(news.without(since.keys()), known=news.known + len(since) - len(new), meanwhile=meanwhile)


def _current(study: Study) -> dict[str, Current]:
    return {image_id: labels for split in Split for image_id, labels in study.store.current(split).items()}


def _new(
    study: Study, boxes: Mapping[str, Boxes], current: Mapping[str, Current], *, annotator: str, incomplete: Set[str]
) -> Sequence[str]:
    """Those of the images about which the boxes say something new, where they have the labels of `current`."""
    number, phase = study.position
    asked_now = study.waiting(number) if phase is Phase.ANNOTATE else ()
    waiting = {*asked_now, *(image_id for images in study.to_review().values() for image_id in images)}
    waiting -= study.labelling.answered_once(number, annotator)  # of two people: the other one's turn
    before = {i: current[i].annotation for i in boxes if i in current}
    rounds_told = {number, *(annotation.round for annotation in before.values())}
    asked = {image_id for told in rounds_told for image_id in study.query(told).image_ids}
    flags = {i: {"incomplete": i in incomplete, "asked": i in asked, "waiting": i in waiting} for i in boxes}
    return [i for i in boxes if not says_nothing_new(before.get(i), boxes[i], **flags[i])]


def _acts(study: Study, image_id: str, boxes: Boxes) -> tuple[Verdict, ...]:
    proposals = study.proposals().get(image_id)
    return drawn(boxes, study.config.cost) if proposals is None else verdicts_from(boxes, proposals, study.config.cost)
