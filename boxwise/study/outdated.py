"""Which evaluated rounds speak of other labels than those of now, and what can be done about it.

Returns rounds and sentences. Changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from boxwise.artifacts.facts import Round
from boxwise.errors import plural, quoted
from boxwise.files import seal_is_broken
from boxwise.records import Annotation, Phase, Split
from boxwise.rounds.judging import changed
from boxwise.study.repeating import round_to_repeat

if TYPE_CHECKING:
    from boxwise.study.reading import StudyReader


@dataclass(frozen=True)
class Outdated:
    """folder: the study's. rounds: those that were judged by labels that have changed since, of so many `images`; lost: those of them that
    cannot be judged again, since what they detected is gone. before: those that were judged while the classes were others."""

    folder: Path
    rounds: tuple[int, ...] = ()
    images: int = 0
    lost: tuple[int, ...] = ()
    before: tuple[int, ...] = ()

    def clause(self, number: int) -> str:
        """What is to be known of one round's figures, as a clause; empty where they speak of the labels of now."""
        if number in self.before:
            return ", while the classes were others"
        return ", by labels that have changed since" if number in self.rounds else ""

    @property
    def command(self) -> str:
        """What judges by the labels of now; empty where nothing is out of date, or nothing can be judged again."""
        return "" if self.rounds == self.lost else f"boxwise evaluate {quoted(self.folder)}"

    @property
    def remedy(self) -> str:
        """What is to be known and done where labels have changed; empty where none have."""
        if not self.rounds:
            return ""
        said = f"{_were(self.rounds)} judged by labels that have changed since, those of {plural(self.images, 'image')}."
        if not self.command:
            return f"{said} What was detected then is lost, so this stays so."
        kept = f", but for {_named(self.lost)}, whose detections are lost" if self.lost else ""
        return f"{said} To judge by those of now{kept}: {self.command}"

    @property
    def sentences(self) -> tuple[str, ...]:
        """All that is to be known beside the rounds' figures."""
        classes = f"{_were(self.before)} judged while the classes were others, which stays so." if self.before else ""
        return tuple(filter(None, (self.remedy, classes)))


def outdated_rounds(study: StudyReader, labels: Mapping[Split, Mapping[str, Annotation]]) -> Outdated:
    """What is out of date by the labels of now. labels: all of splits that have been read."""
    rounds = _evaluated(study)
    found = changed(study.store, [one for one in rounds if one.round >= study.classes_from], labels)
    again = round_to_repeat(study, Phase.EVALUATE)
    lost = [one.round for one in rounds if one.round in found and not _can_be_judged(study, one, again)]
    before = tuple(one.round for one in rounds if one.round < study.classes_from)
    return Outdated(study.folder, tuple(found), len(set().union(*found.values())), tuple(lost), before)


def rounds_to_judge(study: StudyReader) -> list[int]:
    """The rounds of today's classes that are not known to be judged by the labels of now and can be by what they have detected; without
    the one whose evaluation is repeated as a whole."""
    rounds, again = [one for one in _evaluated(study) if one.round >= study.classes_from], round_to_repeat(study, Phase.EVALUATE)
    wanted = changed(study.store, rounds, {}).keys() | {one.round for one in rounds if one.evaluate.val_labels is None}
    return [one.round for one in rounds if one.round in wanted and one.round != again and _can_be_judged(study, one, None)]


def _evaluated(study: StudyReader) -> list[Round]:
    return [one for one in study.rounds() if one.done(Phase.EVALUATE)]


def _can_be_judged(study: StudyReader, one: Round, again: int | None) -> bool:
    """Whether its detections on val are there and whole, or are made anew with the evaluation that is repeated."""
    path = study.files(one.round).val_detections
    return (path.is_file() and not seal_is_broken(path)) or (one.round == again and not one.train.folds)


def _named(rounds: tuple[int, ...]) -> str:
    *others, last = map(str, rounds)
    return f"rounds {', '.join(others)} and {last}" if others else f"round {last}"


def _were(rounds: tuple[int, ...]) -> str:
    return f"{_named(rounds).capitalize()} {'was' if len(rounds) == 1 else 'were'}"
