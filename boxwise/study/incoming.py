"""Which of the labels that come from elsewhere a study does not know yet, and which they replace. Changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING

from boxwise.annotation.comparison import same_labels, says_nothing_new, verdicts_from
from boxwise.annotation.verdicts import annotation_of, drawn
from boxwise.boxes import Boxes
from boxwise.records import Split, Verdict

if TYPE_CHECKING:
    from boxwise.study.study import Study


@dataclass(frozen=True)
class News:
    """acts: image_id → what a person must have done to what the image showed, of the images about which the labels say something new.

    replaced: those of them that have other labels by now. known: of how many images they say nothing new. classes: those of which the
    labels are numbers.
    """

    acts: Mapping[str, Sequence[Verdict]]
    replaced: tuple[str, ...]
    known: int
    classes: tuple[str, ...]

    def without(self, image_ids: Set[str]) -> News:
        """The news of the other images."""
        acts = {image_id: acts for image_id, acts in self.acts.items() if image_id not in image_ids}
        return News(acts, tuple(image_id for image_id in self.replaced if image_id in acts), self.known, self.classes)


def news_in(study: Study, labels: Mapping[str, Boxes], *, annotator: str, incomplete: Set[str], classes: tuple[str, ...]) -> News:
    """What is new in the final boxes of many images, as an annotator gives them; their labels are numbers of `classes`."""
    acts = {image_id: _acts(study, image_id, boxes) for image_id, boxes in labels.items()}
    waiting = {*study.asked_now().image_ids, *(image_id for images in study.to_review().values() for image_id in images)}
    waiting -= study.labelling.answered_once(study.position[0], annotator)  # of two people: the other one's turn
    current = {image_id: a for split in Split for image_id, a in study.annotations(split).items()}
    rounds_told = {study.position[0], *(current[i].round for i in labels if i in current)}
    asked = {image_id for number in rounds_told for image_id in study.query(number).image_ids}
    after = {i: annotation_of(i, acts[i], study.proposals().get(i)).boxes for i in labels}
    flags = {i: {"incomplete": i in incomplete, "asked": i in asked, "waiting": i in waiting} for i in labels}
    new = [i for i in labels if not says_nothing_new(current.get(i), after[i], **flags[i])]
    replaced = tuple(i for i in new if i in current and not same_labels(current[i].boxes, after[i]))
    return News({i: acts[i] for i in new}, replaced, len(labels) - len(new), classes)


def _acts(study: Study, image_id: str, boxes: Boxes) -> tuple[Verdict, ...]:
    proposals = study.proposals().get(image_id)
    return drawn(boxes, study.config.cost) if proposals is None else verdicts_from(boxes, proposals, study.config.cost)
