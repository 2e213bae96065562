"""What a study answers about itself: images, labels, queries, rounds and labour. Changes nothing.

`Study` is a `StudyReader`; pages, commands and reports ask it, not the store below.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from boxwise.annotation.class_change import ClassChange, change_since
from boxwise.annotation.proposals import settled_anew
from boxwise.artifacts.facts import Round
from boxwise.artifacts.round_folder import RoundFolder, round_folder
from boxwise.boxes import Boxes
from boxwise.config import StudyConfig, parse_config
from boxwise.data.formats.base import Dataset
from boxwise.records import Annotation, ImageRecord, Phase, Proposals, Query, QueryItem, Source, Split
from boxwise.rounds.budget import spent
from boxwise.store import (
    CLASSES_CHANGED,
    BrowsingStore,
    HistoryEntry,
    Journal,
    LabelledBy,
    LabellingStore,
    LabelState,
    Labour,
    Person,
    PoolStore,
    ReviewStore,
    Stamp,
    Store,
    TeamStore,
)
from boxwise.study.agreement import TeamAgreement, team_agreement
from boxwise.study.config_file import as_kept
from boxwise.study.findings import FINDINGS, kept_in
from boxwise.study.memory import StudyMemory
from boxwise.study.outdated import Outdated, outdated_rounds
from boxwise.study.people import TeamMember, team_table
from boxwise.study.team import Team

_Question = tuple[Mapping[str, QueryItem], Mapping[str, Proposals]]  # what a round asks and suggests, by image id


class StudyReader(StudyMemory):
    """The questions; each is answered from what is committed at that moment."""

    def __init__(self, folder: Path, store: Store, config: StudyConfig) -> None:
        self.folder = folder
        self.store = store
        self.config = config
        self._questions: dict[tuple[int, str | None, tuple[str, ...]], _Question] = {}
        store.needed("classes")  # a study that has lost them says so at once

    @property
    def id(self) -> str:
        """Tells the study from any other, also from one made anew in its folder, and from a copy of it in another."""
        return self.id_in(str(self.folder.resolve()))

    def id_in(self, folder: str) -> str:
        """What its id is, or was, in a folder: browsers hold under it what they have not sent.

        A study of before schema 10 goes on by its folder's path alone.
        """
        made = self.store.get("id")
        return f"{made}/{folder}" if made else folder

    # -- where it is ----------------------------------------------------------------------------------------------------

    @property
    def position(self) -> tuple[int, Phase]:
        """Round and step to do next."""
        return self.store.position

    def check_writable(self) -> None:
        """Raises UnreachableError where nothing can be stored, as on a medium that is read-only."""
        self.store.check_writable()

    def reread(self) -> None:
        """Take in what another process has made of the settings."""
        self.config = as_kept(parse_config(self.store.needed("config"), str(self.folder)))

    @property
    def changes_from(self) -> tuple[int, Phase]:
        """Where a change begins to hold: the position, or the selection that found nothing to ask about and so ended the study."""
        number, phase = self.position
        return number, Phase.SELECT if self.round(number).select.ended else phase

    def stamp(self) -> Stamp:
        """Labels, rounds, classes and what was spent are the same while this is."""
        return self.store.stamp()

    def moment(self) -> LabelState:
        """What of the labels and of what is out of use is there by now."""
        return self.store.moment()

    def rounds(self) -> tuple[Round, ...]:
        """The rounds that have begun, in order, with the facts of their finished steps and the items of their queries."""
        return tuple(Round.from_json(number, steps, self.query(number).items) for number, steps in self.store.facts().items())

    def round(self, number: int) -> Round:
        """One round; of one that has not begun nothing is known."""
        return Round.from_json(number, self.store.facts_of(number), self.query(number).items)

    def outdated(self, labels: Mapping[Split, Mapping[str, Annotation]] | None = None) -> Outdated:
        """Which rounds speak of other labels than those of now, and what can be done about it. labels: all of splits that were read."""
        return outdated_rounds(self, labels or {})

    def files(self, round_index: int) -> RoundFolder:
        """The files that a round has left."""
        return round_folder(self.folder, round_index)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of their labels; another process may have changed them."""
        return tuple(self.store.needed("classes"))

    def class_changes(self) -> list[tuple[tuple[str, ...], dict[str, str]]]:
        """Every change of the classes, oldest first: those before it, and what became of their names."""
        return [(tuple(before), dict(names)) for before, names in self.store.get("class_changes") or []]

    @property
    def classes_from(self) -> int:
        """The first round whose weights are of today's classes."""
        return int(self.store.get("classes_from") or 0)

    def is_of_todays_classes(self, number: int, step: Phase) -> bool:
        """Whether the files of boxes that a step of a round has left speak of today's classes, not of those before a change."""
        first = self.classes_from
        return number > first or (number == first and (not self.class_changes() or step.value in self.store.facts_of(number)))

    def changed_settings(self) -> list[dict[str, Any]]:
        """Every change of the config since the study was made: before which step of which round, when, and each key with both values."""
        return list(self.store.get("settings") or [])

    # -- images and labels ----------------------------------------------------------------------------------------------

    def images(self, split: Split | None = None, *, most: int | None = None) -> list[ImageRecord]:
        """Images fit for use, by id; of one split, or all; the first `most` alone, where that is given."""
        return self.store.images(split, most=most)

    def record(self, image_id: str) -> ImageRecord | None:
        """One image, also a quarantined one; None where the study has no such image."""
        return self.store.record(image_id)

    def records(self, image_ids: Iterable[str]) -> list[ImageRecord]:
        """Some images, also quarantined ones, in the order of their ids; unknown ids are passed over."""
        return self.store.records(image_ids)

    def pool(self) -> list[ImageRecord]:
        """Images that may be asked about."""
        return self.store.pool()

    def pool_size(self) -> int:
        """How many images may be asked about."""
        return self.store.pool_size()

    def image_count(self, split: Split | None = None) -> int:
        """How many images of a split, or in all, are fit for use."""
        return self.store.image_count(split)

    def quarantined(self) -> dict[str, str]:
        """image_id → why it is out of use, from reading the data set and from the runs since."""
        return self._refused() | self.store.quarantined()

    def fault(self, image_id: str) -> str | None:
        """Why one image is out of use, as `quarantined` says; None where it is not."""
        fault = self.store.fault(image_id)
        return self._refused().get(image_id) if fault is None else fault

    def annotation(self, image_id: str) -> Annotation | None:
        """The current labels of one image, also of a quarantined one, if it has any."""
        return self.store.annotation(image_id)

    def annotations(self, split: Split, *, before: int | None = None) -> dict[str, Annotation]:
        """image_id → current labels of the usable images of a split; `before`: as of the start of that round."""
        return self.store.annotations(split, before=before)

    def labelled_count(self, split: Split) -> int:
        """How many usable images of a split have labels."""
        return self.store.labelled_count(split)

    def history(self, image_id: str) -> list[HistoryEntry]:
        """Every annotation an image ever had, oldest first."""
        return self.store.history(image_id)

    def answered_again(self) -> set[str]:
        """The images whose labels a person has looked at a second time."""
        return self.store.answered_again()

    def dataset(self, *, labeled_only: bool = False) -> Dataset:
        """The study's images with their current labels, without scores; `incomplete` names those in which objects may be missing."""
        current = [annotation for split in Split for annotation in self.annotations(split).values()]
        labels = {a.image_id: replace(a.boxes, scores=None) for a in current if a.complete or len(a.boxes)}
        images = tuple(record for record in self.images() if record.image_id in labels or not labeled_only)
        class_ids: Any = self.store.get("class_ids")
        incomplete = frozenset(annotation.image_id for annotation in current if not annotation.complete and annotation.image_id in labels)
        return Dataset(self.classes, images, labels, class_ids=tuple(class_ids) if class_ids else None, incomplete=incomplete)

    # -- what is asked, and what it costs -------------------------------------------------------------------------------

    def query(self, round_index: int) -> Query:
        """What a round asked for; empty if it asked nothing."""
        return self.store.query(round_index)

    def asked_count(self, round_index: int) -> int:
        """How many images a round asked for."""
        return self.store.asked(round_index)

    def proposals(self) -> Mapping[str, Proposals]:
        """image_id → what the model suggests on what is asked now; empty where people draw all, as in round 0 unless a class is known."""
        return self._question(self.position[0])[1]

    def asked(self, round_index: int) -> Mapping[str, QueryItem]:
        """image_id → what a round asks of it, in the order of the query."""
        return self._question(round_index)[0]

    def shown(self, image_id: str, *, round_index: int) -> Proposals | None:
        """What an annotator has before them on an image: the proposals of a round's query, else its labels as they are, to correct."""
        items, proposals = self._question(round_index)
        if image_id in items:
            return proposals.get(image_id)
        current = self.store.annotation(image_id)
        return None if current is None else to_correct(current)

    def open_query(self) -> Query:
        """What people are asked now: the items that still wait, most valuable first; none while another step is next."""
        number, phase = self.position
        return self.store.unanswered(number) if phase is Phase.ANNOTATE else Query(number, ())

    def unanswered(self) -> Query:
        """The items of the present round's query that still wait for an answer."""
        return self.store.unanswered(self.position[0])

    def waiting(self, round_index: int, *, image_id: str | None = None) -> frozenset[str]:
        """The images of a round's query that still wait for an answer; of one image alone, that image or nothing."""
        return self.store.waiting(round_index, image_id=image_id)

    def waiting_count(self, round_index: int) -> int:
        """How many images of a round's query still wait for an answer."""
        return self.store.waiting_count(round_index)

    def labour(self, split: Split) -> Labour:
        """Images, boxes and seconds so far in one split."""
        return self.store.labour(split)

    def seconds(self, split: Split) -> float:
        """All labour ever spent on images of one split, quarantined ones too."""
        return self.store.seconds(split)

    def spent(self) -> float:
        """What labelling took so far on train and val, in the unit of the budget."""
        return spent(self.store, self.config)

    def people(self) -> Mapping[str, Person]:
        """annotator → what they have done, the busiest first."""
        return self.store.people()

    def labelled_by(self) -> Mapping[str, LabelledBy]:
        """image_id → who gave its current labels, and in which round."""
        return PoolStore(self.store).labelled_by()

    def labelled_lately(self, most: int) -> list[Annotation]:
        """The current labels that were given last to images of train, the newest first, at most so many; none by a model alone."""
        return PoolStore(self.store).labelled_lately(Split.TRAIN, most)

    def labels_of(self, image_ids: Collection[str]) -> dict[str, Annotation]:
        """image_id → current labels, of those of the images that are usable and have some."""
        return PoolStore(self.store).labels_of(image_ids)

    def secret(self) -> frozenset[str]:
        """The images that wait for one of two people who label them alone: their labels are shown to nobody."""
        return PoolStore(self.store).secret(self.position)

    def wanted(self) -> tuple[str, ...]:
        """The images that people want asked about in the next query that is made, the oldest wish first."""
        return PoolStore(self.store).wanted(self.next_query)

    @property
    def next_query(self) -> int:
        """The round whose query is made next."""
        number, phase = self.position
        return number if phase is Phase.SELECT else number + 1

    # -- for tools beside it --------------------------------------------------------------------------------------------

    @property
    def labelling(self) -> LabellingStore:
        """Who has which image in hand, their drafts and answers."""
        return LabellingStore(self.store)

    @property
    def browsing(self) -> BrowsingStore:
        """What is found among the images, page by page."""
        return BrowsingStore(self.store)

    @property
    def team(self) -> Team:
        """The people who have a link of their own, with their roles."""
        return Team(self.store)

    @property
    def reviews(self) -> ReviewStore:
        """Which answers wait for a review, and what was said of them."""
        return ReviewStore(self.store)

    def agreement(self) -> TeamAgreement:
        """How far people agree, over the images that two of them labelled alone."""
        return team_agreement(TeamStore(self.store).answered_twice(), self.classes)

    def team_table(self, agreement: TeamAgreement | None = None) -> list[TeamMember]:
        """What each person has done, the busiest first. agreement: that of `agreement`, where it is known already."""
        store = TeamStore(self.store)
        return team_table(store.work(), store.members(), (agreement or self.agreement()).by_person)

    def _refused(self) -> dict[str, str]:
        """image_id, or where its file is → why reading the data set put it out of use."""
        return {found.image_id or found.place: found.message for found in kept_in(self.store.get(FINDINGS)) if found.out}

    def _question(self, round_index: int) -> _Question:
        """The items and proposals of a round's query, empty before it was asked; read once, until it is asked anew."""
        number, phase = self.position
        if round_index > number or (round_index == number and phase is Phase.SELECT):
            return {}, {}
        found = self._questions.get(key := (round_index, self.store.asked_at(round_index), self.classes))
        if found is None:
            found = self._read_question(round_index)
            before = list(self._questions.items())[-1:]  # the last answers of the round before come while the next is open
            self._questions = dict([*before, (key, found)])
        return found

    def _read_question(self, number: int) -> _Question:
        made = self._suggested(number) if self.files(number).proposals.exists() else {}
        proposals = {image_id: settled_anew(p, overlap=self.config.ask.overlap) for image_id, p in made.items()}
        return {item.image_id: item for item in self.store.query(number).items}, proposals

    def _suggested(self, number: int) -> Mapping[str, Proposals]:
        from boxwise.artifacts.box_tables import read_proposals  # here, since PyArrow takes its time to import

        made = read_proposals(self.files(number).proposals, self.store.annotations(Split.TRAIN, before=number))
        asked_at = self.store.asked_at(number) or ""
        since = sum(event.at > asked_at for event in Journal(self.store).events(kind=CLASSES_CHANGED))
        if not since:
            return made
        change = change_since(self.classes, self.class_changes()[-since:])  # the files are of the classes that there were
        return {image_id: _under(change, proposals) for image_id, proposals in made.items()}


def _under(change: ClassChange, proposals: Proposals) -> Proposals:
    """The proposals in the classes after a change, less those of classes that are gone."""
    boxes, kept = change.convert(proposals.boxes)
    return replace(proposals, boxes=boxes, certain=proposals.certain[kept])


def to_correct(annotation: Annotation) -> Proposals:
    """An image's labels as they are put before a person who may correct them: all as a person's."""
    by_people = replace(annotation, sources=(Source.HUMAN,) * len(annotation.boxes))
    return Proposals(annotation.image_id, Boxes.empty(), np.zeros(0, bool), by_people)
