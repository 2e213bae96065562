"""Every fact of a study, once, in SQLite (WAL) or PostgreSQL; resuming is reading it.

Annotations and verdicts are append-only: the latest annotation of an image wins, the history stays. One transaction commits
a phase with its facts and the next position. All SQL is in this package. Knows nothing of training, scores or files of weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from secrets import token_hex
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine

from boxwise.errors import ChangedError
from boxwise.jsonable import plain
from boxwise.records import Annotation, ImageRecord, Phase, Query, Split, Verdict
from boxwise.store.accounts import GIVEN, MODEL, Accounts, check_person
from boxwise.store.answers import Begun, HistoryEntry, LabelState, Stamp
from boxwise.store.clock import now, seconds
from boxwise.store.connecting import engine, reaching
from boxwise.store.creating import check_unfinished
from boxwise.store.images import Images, insert_images
from boxwise.store.judging import Review, review_by
from boxwise.store.migrations import NEWEST
from boxwise.store.rows import (
    PEOPLE,
    append,
    append_all,
    change_image,
    check_begun,
    check_classes,
    check_none_since,
    hold,
    hold_classes,
    insert_query,
    is_asked_twice,
    make_history,
    overtaken,
    put,
    read_annotation,
    read_gathered,
    read_item,
    read_verdicts,
    replaced,
)
from boxwise.store.schema import (
    ANNOTATIONS,
    ANSWERS,
    DRAFTS,
    EVENTS,
    FACTS,
    IMAGES,
    LATEST,
    LEASES,
    META,
    QUERIES,
    SKIPS,
    STUDY,
    latest_of,
    writing,
)
from boxwise.store.study_facts import StudyFacts
from boxwise.store.upgrading import upgrade

__all__ = ["GIVEN", "MODEL", "Store"]


class Store(Accounts, Images, StudyFacts):
    """The study's database. Open with `Store.create` or `Store.open`; every method is one transaction."""

    backup: Path | None = None  # made when it was opened, where its schema had to change

    @classmethod
    def create(
        cls,
        url: str | URL,
        facts: Mapping[str, Any],
        *,
        images: Sequence[ImageRecord] = (),
        given: Sequence[Annotation] = (),
        own: Path | None = None,
    ) -> Store:
        """A new store at `url` holding the study's `facts` (config, classes...), its images and given labels, all in one transaction.

        own: the study's folder, where the database is a file in it. What a creation in the same folder, `made_in` or `own`, left there
        unfinished is replaced. Raises StudyError if another study is there.
        """
        store = cls(engine(url))
        with reaching(url), writing(store._engine) as connection:
            if sa.inspect(connection).has_table(STUDY.name):
                check_unfinished(connection, facts.get("made_in"), own)
                META.drop_all(connection)
            META.create_all(connection)
            start = {"schema_version": NEWEST, "id": token_hex(16), "position": [0, Phase.SELECT.value], **facts}
            connection.execute(STUDY.insert(), [{"key": key, "value": value} for key, value in start.items()])
            insert_images(connection, images)
            append_all(connection, given, round_index=0, annotator=GIVEN)
        return store

    @classmethod
    def open(cls, url: str | URL) -> Store:
        """The store at `url`, brought to today's schema if an earlier version of boxwise wrote it.

        `backup` is then the file that SQLite's was copied to. Raises StudyError if there is no store, or a newer version wrote it.
        """
        store = cls(engine(url))
        with reaching(url):
            store.backup = upgrade(store._engine)
        return store

    def close(self) -> None:
        self._engine.dispose()

    def check_writable(self) -> None:
        """Raises UnreachableError where nothing can be stored, as on a medium that is read-only."""
        with writing(self._engine) as connection:
            connection.execute(STUDY.delete().where(sa.false()))

    def clock(self) -> float:
        """The time that counts in the study, seconds since the epoch; that of all its machines, see clock.py."""
        return seconds(self._engine)

    # -- where it is --------------------------------------------------------------------------------------------------

    @property
    def position(self) -> tuple[int, Phase]:
        """Round and step to do next."""
        number, phase = self.needed("position")
        return number, Phase(phase)

    def stamp(self) -> Stamp:
        """Labels, rounds, classes and what was spent are the same while this is."""
        # Counted: PostgreSQL numbers an answer before it is committed, so that one may come to be seen after another with a higher number.
        given = sa.select(sa.func.count(ANNOTATIONS.c.id)).scalar_subquery()
        late = sa.select(sa.func.count()).where(ANNOTATIONS.c.late).scalar_subquery()
        faulty = sa.select(sa.func.count()).where(IMAGES.c.fault.is_not(None)).scalar_subquery()
        facts = sa.select(sa.func.aggregate_strings(FACTS.c.at, " ")).scalar_subquery()  # the newest alone stays where a clock was ahead
        events = sa.select(sa.func.count()).select_from(EVENTS).scalar_subquery()
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(STUDY.c.value, given, late, faulty, facts, events).where(STUDY.c.key == "position")).one()
        (number, phase), *counts = row
        return Stamp((number, Phase(phase)), *counts)

    def moment(self) -> LabelState:
        """What of the labels and of what is out of use is there by now."""
        with self._engine.connect() as connection:
            number = connection.execute(sa.select(sa.func.max(ANNOTATIONS.c.id))).scalar() or 0
        return LabelState(number, frozenset(self.quarantined()))

    # -- labels ---------------------------------------------------------------------------------------------------------

    def annotate(
        self,
        annotation: Annotation,
        verdicts: Sequence[Verdict],
        *,
        round_index: int,
        annotator: str,
        seconds: float,
        key: str | None = None,
        review: Review | None = None,
        replaces: tuple[str, ...] = (),
        classes: Sequence[str] | None = None,
        instead_of: int | None = None,
        begun: Begun | None = None,
    ) -> bool:
        """Append an annotation and the verdicts it came from; durable when this returns. Returns whether it came late.

        key: made once by the sender of an answer; the same key again stores nothing. An answer with a key is late when another person has
        answered since `round` began and the sender no longer holds the image: it is kept as history and changes nothing else.
        review: how this answer is the verdict on other people's, where it is one. replaces: how the keys of those answers begin in whose
        place this one comes, whoever gave them: after one of them it is not late, and of two people it is no second.
        classes: those of which its labels are numbers. instead_of: the number of the image's labels that were current when this was made of
        them, 0 for none. begun: the labels that an answer with a key began with, if that is known. Raises StudyError for a name that is
        no person's, ChangedError for other classes, LabelledMeanwhileError where the image has come to newer labels than `instead_of`, from
        a person, LabelsChangedError where it has others than those of `begun` and the answer is not late.
        """
        check_person(annotator)
        with writing(self._engine) as connection:
            hold_classes(connection, classes)
            hold(connection, annotation.image_id)
            if instead_of is not None:
                check_none_since(connection, annotation.image_id, instead_of, round_index, annotator)
            if key is None:
                append(connection, annotation, verdicts, round_index, annotator, seconds)
                return False
            known = connection.execute(
                sa.select(ANNOTATIONS.c.late).join(ANSWERS, ANSWERS.c.annotation_id == ANNOTATIONS.c.id).where(ANSWERS.c.key == key)
            ).scalar()
            if known is not None:
                return bool(known)
            former = replaced(connection, annotation.image_id, round_index, replaces)
            giver = annotator if former is None else former.annotator
            late = overtaken(connection, annotation.image_id, round_index, giver)
            if begun is not None and not late:
                check_begun(connection, annotation.image_id, begun, round_index, annotator)
            if former is not None and not late and giver != annotator and is_asked_twice(connection, annotation.image_id, round_index):
                make_history(connection, ANNOTATIONS.c.id == former.id)
            number = append(connection, annotation, verdicts, round_index, annotator, seconds, late=late)
            connection.execute(ANSWERS.insert(), {"key": key, "annotation_id": number})
            if review is not None and not late:
                review_by(connection, annotation, number, review, who=annotator, round_index=round_index)
            connection.execute(LEASES.delete().where(LEASES.c.image_id == annotation.image_id, LEASES.c.annotator == annotator))
            return late

    def classes(self, expected: Sequence[str] | None = None) -> tuple[str, ...]:
        """The study's classes. Raises ChangedError where others are `expected`."""
        return check_classes(self.get("classes"), expected)

    def annotations(self, split: Split, *, before: int | None = None) -> dict[str, Annotation]:
        """The latest annotation of every usable image of `split` that has one, by image id; `before`: as of the start of that round."""
        return {row.image_id: read_annotation(row) for row in self._latest(split, before)}

    def annotation(self, image_id: str) -> Annotation | None:
        """The latest annotation of one image, also of a quarantined one, if it has any."""
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(ANNOTATIONS).where(ANNOTATIONS.c.id.in_(latest_of(image_id)))).first()
        return None if row is None else read_annotation(row)

    @property
    def engine(self) -> Engine:
        """For the stores beside this one, which keep tables of their own in the same database."""
        return self._engine

    def history(self, image_id: str) -> list[HistoryEntry]:
        """Every annotation an image ever had, oldest first."""
        statement = sa.select(ANNOTATIONS).where(ANNOTATIONS.c.image_id == image_id).order_by(ANNOTATIONS.c.id)
        with self._engine.connect() as connection:
            rows = connection.execute(statement).all()
            return [
                HistoryEntry(row.id, row.annotator, row.at, row.late, read_annotation(row), read_verdicts(connection, row.id))
                for row in rows
            ]

    # -- rounds ---------------------------------------------------------------------------------------------------------

    def commit(
        self,
        round_index: int,
        phase: Phase,
        facts: Mapping[str, Any],
        *,
        then: tuple[int, Phase],
        query: Query | None = None,
        annotations: Sequence[Annotation] = (),
        pool: Mapping[str, bool] | None = None,
    ) -> None:
        """Write a finished step, all or nothing: its facts, its query if it asked one, and the next position.

        annotations: what the model labelled without a person. pool: image_id → whether the image stays in the pool from now on. Raises
        ChangedError where the step is not the next one any more.
        """
        with writing(self._engine) as connection:
            if (found := hold_position(connection)) != (round_index, phase):
                is_now = f"{found[1].value} of round {found[0]}"
                raise ChangedError(
                    f"{phase.value} of round {round_index} was not kept: the study was changed meanwhile, and its next step is {is_now}."
                )
            connection.execute(FACTS.insert(), {"round": round_index, "phase": phase.value, "facts": plain(facts), "at": now(connection)})
            if query is not None:
                insert_query(connection, query)
            append_all(connection, annotations, round_index=round_index, annotator=MODEL)
            for image_id, stays in sorted((pool or {}).items()):  # as all who change many images do, so that none waits for another
                connection.execute(IMAGES.update().where(IMAGES.c.image_id == image_id).values(open=stays))
            put(connection, "position", [then[0], then[1].value])

    def amend(self, round_index: int, phase: Phase, facts: Mapping[str, Any]) -> None:
        """Write the facts of a finished step anew; the position stays."""
        this = sa.and_(FACTS.c.round == round_index, FACTS.c.phase == phase.value)
        with writing(self._engine) as connection:
            connection.execute(FACTS.update().where(this).values(facts=plain(facts), at=now(connection)))

    def reopen(self, round_index: int, phase: Phase) -> None:
        """Go back to a step; what it and the steps after it have said is forgotten, and what they asked is withdrawn: see `go_back`."""
        with writing(self._engine) as connection:
            go_back(connection, round_index, phase)

    def query(self, round_index: int) -> Query:
        """What a round asked for; empty if it asked nothing."""
        statement = sa.select(QUERIES).where(QUERIES.c.round == round_index).order_by(QUERIES.c.rank)
        with self._engine.connect() as connection:
            rows = connection.execute(statement)
            return Query(round_index, tuple(read_item(row) for row in rows))

    def unanswered(self, round_index: int) -> Query:
        """The items of a round's query that still wait for an answer, complete unless only boxes were asked, or for those of two people."""
        still = self.waiting(round_index)
        return Query(round_index, tuple(item for item in self.query(round_index).items if item.image_id in still))

    def waiting(self, round_index: int, *, image_id: str | None = None) -> frozenset[str]:
        """The images of `unanswered`; of one image alone, that image or nothing."""
        with self._engine.connect() as connection:
            return frozenset(read_gathered(connection, waiting_images(round_index, image_id)))

    def waiting_count(self, round_index: int) -> int:
        """How many images `waiting` has, counted by the database."""
        statement = sa.select(sa.func.count()).select_from(waiting_images(round_index).subquery())
        with self._engine.connect() as connection:
            return int(connection.execute(statement).scalar_one())

    def asked(self, round_index: int) -> int:
        """How many images a round asked for."""
        with self._engine.connect() as connection:
            return int(connection.execute(sa.select(sa.func.count()).where(QUERIES.c.round == round_index)).scalar_one())

    def asked_at(self, round_index: int) -> str | None:
        """When a round's question was asked, ISO 8601, UTC: another time where it was withdrawn and asked anew; None before it was."""
        selected = sa.select(FACTS.c.at).where(FACTS.c.round == round_index, FACTS.c.phase == Phase.SELECT.value)
        with self._engine.connect() as connection:
            found: str | None = connection.execute(selected).scalar()
        return found

    def facts_of(self, round_index: int) -> dict[str, dict[str, Any]]:
        """phase → facts of the finished steps of one round."""
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(FACTS.c.phase, FACTS.c.facts).where(FACTS.c.round == round_index))
            return {row.phase: row.facts for row in rows}

    def facts(self) -> dict[int, dict[str, dict[str, Any]]]:
        """round → phase → facts of every finished step."""
        found: dict[int, dict[str, dict[str, Any]]] = {}
        with self._engine.connect() as connection:
            for row in connection.execute(sa.select(FACTS).order_by(FACTS.c.round)):
                found.setdefault(row.round, {})[row.phase] = row.facts
        return found


def waiting_images(round_index: int, image_id: str | None = None) -> sa.Select[Any]:
    """The images of a query that still wait; of one image alone, that image or nothing."""
    latest, queries = (LATEST, QUERIES.c.round == round_index)
    if image_id is not None:
        latest, queries = latest_of(image_id), sa.and_(queries, QUERIES.c.image_id == image_id)
    since = sa.select(ANNOTATIONS.c.image_id).where(ANNOTATIONS.c.id.in_(latest), ANNOTATIONS.c.round >= round_index)
    answered = sa.or_(
        sa.and_(QUERIES.c.twice.is_not(True), QUERIES.c.image_id.in_(since.where(ANNOTATIONS.c.complete))),
        sa.and_(QUERIES.c.box_ids.is_not(None), QUERIES.c.image_id.in_(since)),
        sa.and_(QUERIES.c.twice.is_(True), QUERIES.c.image_id.in_(_by_two_people(round_index, image_id))),
    )
    faulty = sa.select(IMAGES.c.image_id).where(IMAGES.c.fault.is_not(None))
    return sa.select(QUERIES.c.image_id).where(queries, sa.not_(answered), QUERIES.c.image_id.not_in(faulty))


def _by_two_people(round_index: int, image_id: str | None) -> sa.Select[tuple[str]]:
    """The images that two people have labelled as wholes since the round began; of one image alone, that image or nothing."""
    one = [] if image_id is None else [ANNOTATIONS.c.image_id == image_id]
    asked_twice = sa.select(QUERIES.c.image_id).where(QUERIES.c.round == round_index, QUERIES.c.twice.is_(True))
    return (
        sa.select(ANNOTATIONS.c.image_id)
        .where(*one, ANNOTATIONS.c.image_id.in_(asked_twice), ANNOTATIONS.c.round >= round_index)
        .where(ANNOTATIONS.c.complete, sa.not_(ANNOTATIONS.c.late))
        .group_by(ANNOTATIONS.c.image_id)
        .having(sa.func.count(ANNOTATIONS.c.annotator.distinct()) >= PEOPLE)
    )


def go_back(connection: Connection, round_index: int, phase: Phase) -> None:
    """Make a step the next one; what it and the steps after it have said is forgotten, and what they asked is withdrawn, with what people
    have begun of it or put off.

    Answers of people stay. Images that were drawn for val and have no labels are in the pool again.
    """
    hold_position(connection)
    again = [step.value for step in tuple(Phase)[tuple(Phase).index(phase) :]]
    this = sa.and_(FACTS.c.round == round_index, FACTS.c.phase.in_(again))
    connection.execute(FACTS.delete().where(sa.or_(this, FACTS.c.round > round_index)))
    first = round_index + (phase is not Phase.SELECT)  # the first round whose question is withdrawn
    labelled = sa.select(ANNOTATIONS.c.image_id).where(sa.not_(ANNOTATIONS.c.late))
    drawn = sa.select(QUERIES.c.image_id).where(QUERIES.c.round >= first, QUERIES.c.split != Split.TRAIN.value)
    back = sa.select(IMAGES.c.image_id).where(IMAGES.c.image_id.in_(drawn), IMAGES.c.image_id.not_in(labelled))
    for image_id in connection.execute(back.order_by(IMAGES.c.image_id)).scalars().all():
        change_image(connection, image_id, split=Split.TRAIN.value)
    for table in (DRAFTS, SKIPS):
        asked = sa.exists().where(QUERIES.c.image_id == table.c.image_id, QUERIES.c.round == table.c.round)
        connection.execute(table.delete().where(table.c.round >= first, asked))
    connection.execute(QUERIES.delete().where(QUERIES.c.round >= first))
    make_history(connection, sa.and_(ANNOTATIONS.c.round >= first, ANNOTATIONS.c.annotator == MODEL))
    put(connection, "position", [round_index, phase.value])


def hold_position(connection: Connection) -> tuple[int, Phase]:
    """Round and step to do next, which nobody changes until this transaction ends; after the classes, before any image is held."""
    number, phase = connection.execute(sa.select(STUDY.c.value).where(STUDY.c.key == "position").with_for_update()).scalar_one()
    return number, Phase(phase)


def go_on(connection: Connection, rounds: int) -> None:
    """A study that is done scores its pool again, in which there are new images, if its budget of `rounds` has any left."""
    number, phase = hold_position(connection)
    if phase is Phase.DONE:
        selected = connection.execute(sa.select(FACTS.c.facts).where(FACTS.c.round == number, FACTS.c.phase == Phase.SELECT.value)).scalar()
        last = number - 1 if (selected or {}).get("ended") else number
        if last < rounds:
            go_back(connection, last, Phase.SCORE)
