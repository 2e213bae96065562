"""Changing a study's classes: names are added, changed, merged or removed, and labels, questions and weights follow.

Labels given before are converted and stay in the history as they were. Knows nothing of how a command says what is wanted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from typing import Any

from boxwise.annotation.class_change import ClassChange, now_called
from boxwise.config import StudyConfig
from boxwise.data.formats.class_names import names_text
from boxwise.errors import StudyError, plural, quoted
from boxwise.records import Phase, Split
from boxwise.registry import settled
from boxwise.store import CLASSES_CHANGED, HistoryEntry, Journal, StoredEvent, relabels
from boxwise.study.config_file import as_kept, write_config, written
from boxwise.study.upkeep import StudyUpkeep, user

_TO_FOLLOW = "certain_of_to_follow"  # `ask.certain_of` of config.yaml while that has yet to follow the newest change; null once it has


@dataclass(frozen=True)
class ChangedClasses:
    """images: whose labels are others now. removed: class → boxes that count no more. back_to: the step that is done again, if any.

    unfinished: person → images that they had begun and not handed in, of a question that is withdrawn.
    """

    images: int
    removed: Mapping[str, int]
    back_to: tuple[int, Phase] | None
    unfinished: Mapping[str, Sequence[str]]


class StudyClasses(StudyUpkeep):
    """The classes of a study, and those it had."""

    def change_classes(self, change: ClassChange, *, who: str | None = None) -> ChangedClasses:
        """From now on the study has the classes of `change`. What was trained on others is trained again, its head keeping the rows of the
        classes that stay, before anything is asked; a question that is open is withdrawn then, and its answers stay.

        Raises StudyError while somebody is labelling, and between a round's labels and its training, and where another process has changed
        the classes before; then nothing changes.
        """
        with self._lock():
            self.store.classes(change.before)
            number, phase = self.changes_from
            self._check_nobody_labels(change, number)
            back_to = self._back_to(change, number, phase)
            removed, unfinished = self._removed(change), self._withdrawn(back_to, number)
            if back_to is not None:
                self._clear(back_to[0], change)
            config = _under(self.config, change.before, change.names)
            body = {"before": change.before, "after": change.after, "added": change.added, "names": change.names, "removed": removed}
            images = Journal(self.store).change_classes(
                change.convert,
                self._facts(change, config, back_to),
                back_to=back_to,
                round_index=number,
                who=who or user(),
                body=body | {"why": _sentence(change)},
            )
            self._finish_change()
        self.config = config
        return ChangedClasses(images, removed, back_to, unfinished)

    def in_file(self) -> StudyConfig:
        """What config.yaml says, under the names of now also where a change of the classes was killed before it wrote them there."""
        config = as_kept(settled(written(self.folder)))
        return _under(config, *self.class_changes()[-1]) if config.ask.certain_of == self.store.get(_TO_FOLLOW) else config

    def relabelled(self) -> int:
        """How many changes of the classes gave labels another meaning: all but those that only added and renamed."""
        changes = self.class_changes()
        after = [*(before for before, _ in changes[1:]), self.classes]
        return sum(relabels(before, names, now) for (before, names), now in zip(changes, after, strict=False))

    def renumbered(self) -> frozenset[int]:
        """The numbers of those classes whose number was another class's at some time; of merged ones any is the class that they became."""
        called = {name: name for name in self.classes}  # name at a time → what that class is called now
        found = set[int]()
        for before, names in reversed(self.class_changes()):
            called = {name: called[names[name]] for name in before if names.get(name) in called}
            found |= {number for number, (then, now) in enumerate(zip(before, self.classes, strict=False)) if called.get(then) != now}
        return frozenset(found)

    def to_review(self) -> dict[str, list[str]]:
        """Class → images labelled before there was such a class, and not looked at since: objects of it may be missing there."""
        found: dict[str, list[str]] = {}
        for event in self.class_events():
            called = now_called(event.body["after"], self.class_changes())
            found |= {called[name]: Journal(self.store).labelled_before(event.at) for name in event.body["added"] if name in called}
        return {name: images for name, images in found.items() if images}

    def classes_of(self, entry: HistoryEntry) -> tuple[str, ...]:
        """The classes that there were when an annotation was given."""
        since = [event for event in self.class_events() if event.body["newest"] >= entry.number]
        return tuple(since[0].body["before"]) if since else self.classes

    def converted(self, entries: Sequence[HistoryEntry]) -> set[int]:
        """The numbers of those of an image's annotations whose place another took, the same one in the classes of a change."""
        changes = [event.body["newest"] for event in self.class_events()]
        return {
            entry.number
            for entry in entries
            for other in entries
            if entry.late and _same(entry, other) and any(entry.number <= newest < other.number for newest in changes)
        }

    def class_events(self) -> list[StoredEvent]:
        """Every change of the classes, oldest first; `newest` in its body is the number of the last annotation before it."""
        return Journal(self.store).events(kind=CLASSES_CHANGED)

    @contextmanager
    def _lock(self, *, wait: bool = False) -> Iterator[None]:
        """As ever; what a killed change of the classes left to do is done first."""
        with super()._lock(wait=wait):
            self._finish_change()
            yield

    def _finish_change(self) -> None:
        """Let config.yaml follow the newest change of the classes, if it has not."""
        if self.store.get(_TO_FOLLOW) is not None:
            write_config(self.folder, self.in_file())
            self.store.put(_TO_FOLLOW, None)

    def _check_nobody_labels(self, change: ClassChange, number: int) -> None:
        leases = self.labelling.leases(at=self.store.clock())
        if leases:
            people = ", ".join(sorted({lease.annotator for lease in leases.values()}))
            free = ceil(max(lease.until for lease in leases.values()) / 60) * 60
            raise StudyError(
                f"{self.folder}: {plural(len(leases), 'image', 'is')} in the hands of {people}. Close the page, then change the classes; "
                f"or wait till {datetime.fromtimestamp(free):%H:%M}: unless somebody goes on labelling, nobody has an image in hand then."
            )
        begun = [] if change.keeps_labels else self._begun(number)
        if begun:
            who, image_id = begun[0]
            raise StudyError(
                f"{self.folder}: {who} has begun {image_id} and not handed it in, with boxes of the classes as they are. Hand it in or "
                f"flag it on the page (boxwise label {quoted(self.folder)}), or have somebody else hand it in; then change the classes."
            )

    def _begun(self, number: int) -> list[tuple[str, str]]:
        """(annotator, image) of what was begun in a round and may yet be handed in: no image that is out of use or another's by now."""
        out, drafters = self.store.quarantined(), self.labelling.drafters(number)
        begun = [(who, image_id) for who, images in drafters.items() for image_id in images if image_id not in out]
        return [(who, image_id) for who, image_id in begun if not self.labelling.answered_by_another(image_id, number, who)]

    def _withdrawn(self, back_to: tuple[int, Phase] | None, number: int) -> dict[str, list[str]]:
        """Person → the images that they have begun, of the open question where going back to a step withdraws that."""
        if back_to is None or (back_to[0] == number and back_to[1] is not Phase.SELECT):
            return {}
        asked = set(self.query(number).image_ids)
        begun = {who: [i for i in images if i in asked] for who, images in self.labelling.drafters(number).items()}
        return {who: images for who, images in begun.items() if images}

    def _back_to(self, change: ClassChange, number: int, phase: Phase) -> tuple[int, Phase] | None:
        """The step to do again, since what it left is of the old classes."""
        if change.only_renames:
            return None
        if number == 0 and phase in (Phase.SELECT, Phase.ANNOTATE, Phase.AUDIT, Phase.COMPOSE, Phase.TRAIN):
            return self._back_from_first(change, phase)
        if phase in (Phase.AUDIT, Phase.COMPOSE):
            raise StudyError(
                f"{self.folder}: round {number} has its labels and is not trained yet. Go on first: boxwise train {quoted(self.folder)}"
            )
        return (number - 1 if phase in (Phase.ANNOTATE, Phase.SELECT) else number), Phase.TRAIN

    def _back_from_first(self, change: ClassChange, phase: Phase) -> tuple[int, Phase] | None:
        """Round 0 has no detector of the study's own yet; but it may show boxes of one that knows some of the classes."""
        self.files(0).checkpoint.unlink(missing_ok=True)
        if change.keeps_labels or phase is not Phase.ANNOTATE or not self.files(0).proposals.exists():
            return None
        items = self.query(0).items
        if len(self.unanswered().items) < len(items):
            raise StudyError(
                f"{self.folder}: some of the {len(items)} images asked about are answered, and the boxes shown on the others are of the "
                f"classes as they are. Answer them first (boxwise label {quoted(self.folder)}); "
                "classes can be added and renamed at any time."
            )
        return 0, Phase.SELECT

    def _clear(self, number: int, change: ClassChange) -> None:
        """Files of a round that its steps would go on from and that are of the old classes."""
        files = self.files(number)
        files.checkpoint.unlink(missing_ok=True)
        if not change.keeps_labels:
            files.self_labels.unlink(missing_ok=True)  # the model's own
        for path in files.of_training():
            path.unlink(missing_ok=True)

    def _removed(self, change: ClassChange) -> dict[str, int]:
        """Class that goes → boxes of it among the current labels."""
        gone = {label: change.before[label] for label, new in enumerate(change.becomes) if new is None}
        labels = [int(label) for split in Split for a in self.store.annotations(split).values() for label in a.boxes.labels]
        return {name: labels.count(label) for label, name in gone.items()}

    def _facts(self, change: ClassChange, config: StudyConfig, back_to: tuple[int, Phase] | None) -> dict[str, Any]:
        file = self.in_file()  # an edit, perhaps, that is not taken in yet
        facts = {
            "classes": list(change.after),
            "class_ids": _ids_of(change, self.store.get("class_ids")),
            "class_changes": [*self.class_changes(), (change.before, change.names)],
            "config": config.model_dump(mode="json"),
            _TO_FOLLOW: file.ask.certain_of if _under(file, change.before, change.names) != file else None,
        }
        return facts if back_to is None or back_to[1] is Phase.SELECT else facts | {"classes_from": back_to[0]}


def _under(config: StudyConfig, before: Sequence[str], names: Mapping[str, str]) -> StudyConfig:
    """The config with the thresholds of the classes `before` under their new names, without those of classes that go; of classes that
    merge, the highest."""
    certain: dict[str, float] = {}
    for name, score in config.ask.certain_of.items():
        if name in names or name not in before:
            new = names.get(name, name)
            certain[new] = max(score, certain.get(new, 0.0))
    return config.model_copy(update={"ask": config.ask.model_copy(update={"certain_of": certain})})


def _same(entry: HistoryEntry, other: HistoryEntry) -> bool:
    """Whether they were given by the same person at the same time."""
    return (entry.annotator, entry.at, entry.annotation.round) == (other.annotator, other.at, other.annotation.round)


def _ids_of(change: ClassChange, ids: list[int] | None) -> list[int] | None:
    """The numbers that the classes have in other tools: those that stay keep theirs, new ones come after."""
    if not ids:
        return None
    known = {new: ids[label] for label, new in reversed(list(enumerate(change.becomes))) if new is not None}
    following = max(ids) + 1
    return [known[label] if label in known else following + label - len(known) for label in range(len(change.after))]


def _sentence(change: ClassChange) -> str:
    return f"classes {names_text(change.before)} became {names_text(change.after)}"
