"""What is done to a study beside its rounds: images join, labels are taken back, images go out of use and come back, files move.

Each is recorded with who did it and the round from which it holds; labels are never deleted. Knows nothing of steps.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import partial
from getpass import getuser
from pathlib import Path, PurePosixPath
from typing import Any

from boxwise.data.addresses import Address, absolute, is_local
from boxwise.data.formats.base import Dataset, Finding, FindingKind, Progress
from boxwise.data.images import image_size
from boxwise.data.watching import Looked, file_stamp, look, new_files
from boxwise.errors import BusyError, ChangedError, ImageError, StudyError, plural, quoted
from boxwise.files import locked
from boxwise.records import Annotation, ImageRecord, Source, Split
from boxwise.rounds.opening import open_first
from boxwise.store import Journal, OutBy, PoolStore, StoredEvent, fault_by, out_by
from boxwise.study.findings import FINDINGS, kept_in, with_news
from boxwise.study.reading import StudyReader
from boxwise.study.relocating import Relocated, findings_in, found_in, plan

_FEW, _SAMPLE = 20_000, 1_000  # images whose files are all looked at in passing, and how many of more are


@dataclass(frozen=True)
class Added:
    """images, labels: how many joined. known: those that were in the study already. findings: of the files that did not join."""

    images: int
    labels: int
    known: int
    findings: tuple[Finding, ...]


class StudyUpkeep(StudyReader):
    """The changes, each one transaction of the store."""

    def want(self, image_ids: Sequence[str], *, who: str, wanted: bool = True) -> None:
        """Ask about these images first in the next query, as far as its budget goes and the rest in the one after; or no longer.

        Kept in the history with who wanted it and when. Images that are no longer in the pool by then are passed over.
        """
        PoolStore(self.store).want(image_ids, round_index=self.next_query, who=who, wanted=wanted)

    # -- opening ------------------------------------------------------------------------------------------------------

    def record(self, image_id: str) -> ImageRecord | None:
        """One image with its size, also a quarantined one; None where the study has no such image.

        May write: one that joined by a list and was never opened is opened, and goes out of use where it cannot be read. `records` only
        reads.
        """
        record = super().record(image_id)
        if record is None or record.measured:
            return record
        self.open_first([image_id])
        return super().record(image_id)

    def dataset(self, *, labeled_only: bool = False) -> Dataset:
        """As `StudyReader.dataset`. May write: with images that have no labels, those never opened are opened first, as by `open_first`."""
        if not labeled_only:
            self.open_first(record.image_id for record in self.images() if not record.measured)
        return super().dataset(labeled_only=labeled_only)

    def open_first(self, image_ids: Iterable[str]) -> None:
        """Read the size of the images that joined by a list and were never opened; those that cannot be read go out of use."""
        for image_id, fault in open_first(self.store, image_ids).items():
            self.store.quarantine(image_id, fault)

    # -- growing --------------------------------------------------------------------------------------------------------

    def add(self, dataset: Dataset, *, who: str | None = None) -> Added:
        """Images of `dataset` join, with the labels that came with them; its findings are kept. The classes are the study's.

        An image that is in the study already, by name and bytes, stays as it is; a copy of one under another name, or another image
        under a taken name, does not join and is named. Raises StudyError for classes that the study does not have.
        """
        if dataset.labels and dataset.classes != self.classes:
            raise StudyError(f"{self.folder}: the labels have classes {', '.join(dataset.classes)}, the study {', '.join(self.classes)}.")
        there = {record.image_id: record for record in self.store.all_images()}
        dataset = _as_known(dataset, there.values())
        news = [*_refused(dataset.images, there, self.folder), *(finding for finding in dataset.findings if finding.image_id not in there)]
        refused = {finding.path for finding in news}
        fresh = [r for r in dataset.images if r.image_id not in there and r.uri not in refused]
        number = self.position[0]
        given = [replace(annotation, round=number) for annotation in given_annotations(dataset, fresh)]
        if self.config.train.folds and (val := [record for record in fresh if record.split is Split.VAL]):
            raise StudyError(
                f"{self.folder}: train.folds takes the place of a val split, but {plural(len(val), 'image', 'is')} of "
                f"val, {val[0].image_id} for one. Nothing was added; give them as images of train."
            )
        joined = {record.image_id for record in fresh}
        facts: dict[str, Callable[[Any], Any]] = {FINDINGS: partial(with_news, news=news, joined=joined, there=there.keys())}
        if dataset.listed:
            facts["listed"] = lambda _: True
        if fresh:
            try:
                Journal(self.store).add(
                    [replace(record, uri=absolute(record.uri)) for record in fresh],
                    given,
                    beside=len(there),
                    classes=dataset.classes if given else None,
                    facts=facts,
                    rounds=self.config.budget.rounds,
                    round_index=number,
                    who=who or user(),
                    body={"images": len(fresh), "labels": len(given), "findings": len(news)},
                )
            except ChangedError:  # images joined by another process, these perhaps
                return self.add(dataset, who=who)
        else:
            self.store.change_facts(facts)
        known = {r.image_id for r in dataset.images if r.image_id in there and r.uri not in refused}
        known |= {finding.image_id for finding in dataset.findings if finding.image_id in there}
        return Added(len(fresh), len(given), len(known), tuple(news))

    # -- correcting -----------------------------------------------------------------------------------------------------

    def unlabel(self, image_ids: Sequence[str], *, who: str | None = None) -> list[str]:
        """Take the images' labels back: they are history from now on; returns the images that had any. Open images are asked again."""
        rounds = self.config.budget.rounds
        return Journal(self.store).unlabel(image_ids, rounds=rounds, round_index=self.position[0], who=who or user())

    def exclude(self, image_ids: Sequence[str], reason: str, *, who: str | None = None) -> list[str]:
        """Take images out of use, labels and all; returns those that were in use."""
        by = who or user()
        return Journal(self.store).exclude(image_ids, fault_by(OutBy.EXCLUDED, by, reason), round_index=self.position[0], who=by)

    def include(self, image_ids: Sequence[str], *, who: str | None = None) -> list[str]:
        """Put images to use again that a person took out, or whose file can be read by now; returns those that were out of use.

        Raises StudyError that names the first image whose file is unfit.
        """
        faults = self.store.quarantined()
        for image_id in image_ids:
            record = self.record(image_id)
            if record is not None and not out_by(faults.get(image_id, "")) and (fault := _fault_of(record)):
                raise StudyError(f"{image_id} cannot be used: {fault}")
        rounds = self.config.budget.rounds
        return Journal(self.store).include(image_ids, rounds=rounds, round_index=self.position[0], who=who or user())

    def set_aside_damaged(self) -> list[str]:
        """Annotations of which a byte has changed since they were stored count no more; the images that had one."""
        return Journal(self.store).set_aside_damaged(round_index=self.position[0], who="boxwise")

    def events(self, image_id: str | None = None) -> list[StoredEvent]:
        """What was done to the study, or to one of its images, beside labelling."""
        return Journal(self.store).events(image_id)

    def note(self, kind: str, body: Mapping[str, Any], *, who: str) -> None:
        """Keep in the history what was done to the study outside of its database."""
        Journal(self.store).note(kind, round_index=self.position[0], who=who, body=body)

    def quarantine(self, image_id: str, fault: str, *, who: str = "boxwise") -> None:
        """Take an image out of use and remember why; of one that is out of use already the first reason stays."""
        self.store.quarantine(image_id, fault, who=who)

    # -- files ----------------------------------------------------------------------------------------------------------

    def look(self, *, thoroughly: bool = False, progress: Progress | None = None) -> Looked:
        """Which files of usable images are gone or hold other bytes, and which lie in their folders and are not in the study.

        thoroughly: hash each, also where size and time are the same. Where images were given as a list, no other files are looked for.
        """
        records, faulty = self.store.all_images(), self.store.quarantined()
        usable = [record for record in records if record.image_id not in faulty]
        looked = look(usable, thoroughly=thoroughly, progress=progress)
        # By place, which earlier versions kept as it was typed, and by name: the place may be of labels, or the folder of an odd name.
        unfit = [known for found in kept_in(self.store.get(FINDINGS)) for known in (found.place, found.image_id) if known]
        new, closed = ([], "") if self.store.get("listed") else new_files(records, unfit)
        return replace(looked, new=tuple(new), closed=closed)

    def glance(self) -> Looked:
        """As `look`; but of more than 20,000 images at a thousand alone, drawn at random each time, so that no command waits for a disk."""
        count = self.store.image_count()
        if count <= _FEW:
            return self.look()
        some = self.store.some_images(_SAMPLE)
        return replace(look(some), seen=(len(some), count))

    def look_at(self, records: Sequence[ImageRecord]) -> Looked:
        """Which files of these images are gone or hold other bytes."""
        return look(records)

    def relocate(
        self, folder: Address, *, changed_too: bool = False, who: str | None = None, progress: Progress | None = None
    ) -> Relocated:
        """The images lie below `folder` now, under the same names, or under others where one file alone of this machine has an image's
        content; those out of use for want of a file come back, and a study that ended for want of images goes on.

        changed_too: take files of other bytes as well, but where the image's labels would lie outside; else these stay where they were.
        Raises StudyError when none is there.
        """
        records, faults = self.store.all_images(), self.store.quarantined()
        aside = {image_id for image_id, fault in faults.items() if out_by(fault)}
        found = found_in(folder, records, progress)
        if not found.there:
            first = f" (such as {records[0].image_id})" if records else ""
            raise StudyError(f"{folder}: none of the study's {plural(len(records), 'image')} is there{first}.")
        do = plan(records, found.there, self.annotation, changed_too=changed_too)
        restored = Journal(self.store).move(
            do.moved,
            changed=do.how,
            back=[record.image_id for record in do.moved if record.image_id in faults and record.image_id not in aside],
            facts={FINDINGS: lambda fact: findings_in(folder, kept_in(fact), set(found.renamed.values()))},
            rounds=self.config.budget.rounds,
            round_index=self.position[0],
            who=who or user(),
            body={"folder": absolute(str(folder)), "images": len(do.moved)},
        )
        missing = tuple(image_id for image_id in found.missing if image_id not in aside)
        return Relocated(len(do.moved), len(restored), missing, do.changed, found.renamed, do.unfit, do.doubtful)

    # -- names ----------------------------------------------------------------------------------------------------------

    def images_named(self, names: Sequence[str]) -> list[str]:
        """The ids of the images that somebody calls by `names`, in their order: an id, or the last parts of one where these are unique, or
        more than it, `\\` or `/` between them. However many they are, the study's ids are gone through once.

        Raises StudyError for the first name that fits no image, and names the nearest, or several.
        """
        called = {record.image_id: record.image_id for record in self.store.records(names)}
        others = [name for name in dict.fromkeys(names) if name not in called]
        ids = self.store.image_ids() if others else []
        for name, found in ending_alike(ids, others).items():
            if not found:
                near = get_close_matches(name, ids, n=1, cutoff=0.5) if len(ids) <= _FEW else []  # a million take minutes
                raise StudyError(f"{self.folder} has no image {name!r}." + (f" Did you mean {near[0]!r}?" if near else ""))
            if len(found) > 1:
                said = f"{name!r} fits {plural(len(found), 'image')} of the study: {', '.join(found[:3])}"
                raise StudyError(f"{said}... Give the whole name.")
            called[name] = found[0]
        return [called[name] for name in names]

    def _lock(self, *, wait: bool = False) -> AbstractContextManager[None]:
        return working_on(self.folder, wait=wait)


@contextmanager
def working_on(folder: Path, *, wait: bool = False) -> Iterator[None]:
    """No other process does a step of the study in `folder` while the block runs. BusyError where one does, unless it is to `wait`."""
    try:
        with locked(folder / ".lock", wait=wait):
            yield
    except BlockingIOError:
        raise BusyError(f"{folder}: another boxwise process is working on this study.") from None


def user() -> str:
    """Who is at the machine, as the system knows them."""
    try:
        return getuser()
    except (OSError, KeyError, ImportError):
        return "human"


def given_annotations(dataset: Dataset, images: Iterable[ImageRecord]) -> list[Annotation]:
    """The labels of `images` that came with the data, complete unless the data say otherwise."""
    labels = {record.image_id: dataset.labels[record.image_id] for record in images if record.image_id in dataset.labels}
    return [
        Annotation(image_id, boxes, (Source.HUMAN,) * len(boxes), complete=image_id not in dataset.incomplete)
        for image_id, boxes in labels.items()
    ]


def _refused(images: Sequence[ImageRecord], there: Mapping[str, ImageRecord], study: Path) -> Iterator[Finding]:
    """Copies of images that are `there` under another name, images that were renamed, and other images under a taken name."""
    by_digest = {record.digest: record for record in there.values() if record.digest is not None}
    for record in images:
        kept = there.get(record.image_id) or (by_digest.get(record.digest) if record.digest else None)
        if kept is None or (kept.image_id == record.image_id and kept.digest in (None, record.digest)):
            continue
        if kept.image_id == record.image_id:
            message = f"{record.uri}: the study has another image called {record.image_id} ({kept.uri}). Put it into a folder of its own."
            yield Finding(FindingKind.DUPLICATE_ID, record.uri, message)
        else:
            message = f"{record.uri}: expected a new image, found a copy of {kept.image_id}, which is in the study."
            if is_local(kept.uri) and file_stamp(kept.uri) is None:
                message = f"{record.uri}: is {kept.image_id} under another name. To say so: boxwise relocate {quoted(study)} --images DIR"
            yield Finding(FindingKind.DUPLICATE_IMAGE, record.uri, message, record.image_id, quarantined=True)


def _as_known(dataset: Dataset, there: Iterable[ImageRecord]) -> Dataset:
    """The data set with the ids under which the study has the same files already: they may be given by another folder, or be renamed."""
    ids = {record.uri: record.image_id for record in there}
    return replace(dataset, images=tuple(replace(r, image_id=ids.get(absolute(r.uri), r.image_id)) for r in dataset.images))


def _fault_of(record: ImageRecord) -> str | None:
    try:
        image_size(record.uri)
    except ImageError as error:
        return str(error)
    return None


def ending_alike(ids: Iterable[str], names: Iterable[str]) -> dict[str, list[str]]:
    """Name → the ids that end in it, or in which it ends: the user may give less of the path than the id, or more."""
    found: dict[str, list[str]] = {name: [] for name in names}
    exactly, ends = defaultdict[tuple[str, ...], list[str]](list), defaultdict[tuple[str, ...], list[str]](list)
    for name in found:
        parts = PurePosixPath(name.replace("\\", "/")).parts
        exactly[parts].append(name)
        for count in range(1, len(parts)):
            ends[parts[count:]].append(name)
    for image_id in ids:
        parts = tuple(image_id.split("/"))
        shorter = (name for count in range(len(parts)) for name in exactly.get(parts[count:], ()))
        for name in (*shorter, *ends.get(parts, ())):
            found[name].append(image_id)
    return found
