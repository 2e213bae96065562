"""Where a study's images lie after they were moved or renamed, and which of them can be taken from there.

Returns a plan; changes nothing. Each image is known by its name and its content.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from boxwise.data.addresses import Address, absolute, address_in, folder_of, is_local
from boxwise.data.formats.base import Progress
from boxwise.data.images import digest, image_size
from boxwise.data.own_files import pictures_below
from boxwise.data.watching import counted, file_stamp
from boxwise.errors import ImageError
from boxwise.records import Annotation, ImageRecord
from boxwise.study.findings import KeptFinding


@dataclass(frozen=True)
class Relocated:
    """moved, restored: how many images. missing: ids that are not below the new folder. changed: ids whose file there has other bytes, left
    where they were.

    renamed: id → address of those that were found by their content, under another name. Where files of other bytes were to be taken:
    unfit: ids of those left where they were all the same, since labels lie outside of the new size; doubtful: of those taken, with labels.
    """

    moved: int
    restored: int
    missing: tuple[str, ...]
    changed: tuple[str, ...]
    renamed: Mapping[str, str]
    unfit: tuple[str, ...] = ()
    doubtful: tuple[str, ...] = ()


@dataclass(frozen=True)
class Found:
    """there: id → image as it is in the new place. renamed: id → address of those of them that have another name there. missing: ids of the
    other images."""

    there: Mapping[str, ImageRecord]
    renamed: Mapping[str, str]
    missing: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """moved: the images to take from the new place, as they are there. how: id → in which way the file is another, of those of them with
    other bytes. changed, unfit, doubtful: as in `Relocated`."""

    moved: Sequence[ImageRecord]
    how: Mapping[str, str]
    changed: tuple[str, ...]
    unfit: tuple[str, ...]
    doubtful: tuple[str, ...]


def found_in(folder: Address, records: Sequence[ImageRecord], progress: Progress | None = None) -> Found:
    """Where the images are below `folder`: under their names, or under another where one file alone of this machine has the content."""
    by_name = {record.image_id: _moved(record, folder) for record in counted(records, progress)}
    taken = {record.uri for record in by_name.values() if record is not None}
    renamed = _renamed([record for record in records if by_name[record.image_id] is None], folder, taken)
    found = by_name | renamed
    there = {image_id: record for image_id, record in found.items() if record is not None}
    missing = tuple(image_id for image_id, record in found.items() if record is None)
    return Found(there, {image_id: record.uri for image_id, record in renamed.items()}, missing)


def plan(
    records: Sequence[ImageRecord],
    there: Mapping[str, ImageRecord],
    labels_of: Callable[[str], Annotation | None],
    *,
    changed_too: bool,
) -> Plan:
    """Which of the images that are `there` are taken: those of the same bytes; changed_too: also others, but where labels would lie
    outside."""
    before = {r.image_id: r for r in records if r.image_id in there and r.digest not in (None, there[r.image_id].digest)}
    if not changed_too:
        return Plan([record for image_id, record in there.items() if image_id not in before], {}, tuple(before), (), ())
    labels = {image_id: given for image_id in before if (given := labels_of(image_id))}
    unfit = tuple(image_id for image_id, given in labels.items() if not _fits(given, before[image_id], there[image_id]))
    moved = [record for image_id, record in there.items() if image_id not in unfit]
    how = {image_id: _other(record, there[image_id]) for image_id, record in before.items() if image_id not in unfit}
    return Plan(moved, how, (), unfit, tuple(image_id for image_id in labels if image_id not in unfit))


def findings_in(folder: Address, findings: Sequence[KeptFinding], taken: Set[str]) -> list[KeptFinding]:
    """What is known of unfit files, in `folder` where that has a file of the name. taken: addresses of files that are images by now."""
    moved = [_finding_in(absolute(str(folder)), finding) for finding in findings]
    return [finding for finding in moved if finding.place not in taken]


def _finding_in(folder: str, finding: KeptFinding) -> KeptFinding:
    place = address_in(folder, finding.image_id or "")
    return finding._replace(place=place) if is_local(place) and Path(place).is_file() else finding


def _moved(record: ImageRecord, folder: Address) -> ImageRecord | None:
    """The image as it is below `folder`, or in the place it has below its last folder; None where it is not there or is no image."""
    places = [address_in(folder, record.image_id)]
    if folder_of(record.uri, record.image_id) is None:
        places.append(address_in(folder, PurePosixPath(record.uri).name))
    return _at(record, absolute(next((place for place in places if file_stamp(place) is not None), places[0])))


def _renamed(lost: Sequence[ImageRecord], folder: Address, taken: Set[str]) -> dict[str, ImageRecord]:
    """Image id → the image where it is by its content, of those `lost` by name: one file alone below `folder` has it. taken: others'."""
    wanted, files = Counter(record.digest for record in lost if record.digest is not None), defaultdict[str, list[str]](list)
    for uri in (absolute(str(path)) for path in pictures_below(Path(folder)).all) if wanted and is_local(folder) else ():
        with suppress(ImageError):
            if uri not in taken and (mark := digest(uri)) in wanted:
                files[mark].append(uri)
    alone = {record.image_id: files[record.digest] for record in lost if record.digest is not None and wanted[record.digest] == 1}
    there = {record.image_id: _at(record, alone[record.image_id][0]) for record in lost if len(alone.get(record.image_id, ())) == 1}
    return {image_id: record for image_id, record in there.items() if record is not None}


def _at(record: ImageRecord, uri: str) -> ImageRecord | None:
    """The image as it is at an address; None where there is none that can be read."""
    try:
        (width, height), mark = image_size(uri), digest(uri)
    except ImageError:
        return None
    return replace(record, uri=uri, width=width, height=height, digest=mark, stamp=file_stamp(uri))


def _fits(labels: Annotation, before: ImageRecord, now: ImageRecord) -> bool:
    """Whether the boxes lie on an image as it is now."""
    return (before.width, before.height) == (now.width, now.height) or bool((labels.boxes.xyxy[:, 2:] <= (now.width, now.height)).all())


def _other(before: ImageRecord, now: ImageRecord) -> str:
    """How an image's file is another than before, in words."""
    if (before.width, before.height) == (now.width, now.height):
        return "other content, of the same size"
    return f"other content, {now.width} x {now.height} pixels instead of {before.width} x {before.height}"
