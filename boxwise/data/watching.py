"""The files of a study's images, looked at again: which are gone, which hold other bytes, which have come beside them.

Returns records and addresses. Content is hashed only where a file's size or time is another than when its image joined. Images of a remote
store are looked at only where it is asked for, since each costs a request; what cannot be reached at all raises. Changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from boxwise.data import image_store
from boxwise.data.addresses import folder_of, is_local, parent
from boxwise.data.formats.base import Progress, printable
from boxwise.data.images import digest
from boxwise.data.own_files import pictures_below
from boxwise.errors import BoxwiseError, ImageError
from boxwise.records import ImageRecord


@dataclass(frozen=True)
class Looked:
    """missing: no such file, or it cannot be opened. changed: other bytes than when the image joined. new: image files beside them.

    closed: why new ones could not be looked for, if so. seen: how many of all images were looked at, where it was a sample; then nothing
    new was looked for.
    """

    missing: tuple[ImageRecord, ...]
    changed: tuple[ImageRecord, ...]
    new: tuple[Path, ...] = ()
    closed: str = ""
    seen: tuple[int, int] | None = None

    @property
    def folders_gone(self) -> tuple[Path, ...]:
        """Folders of missing images that are not there themselves: they were moved, or a disk is not mounted."""
        local = [record for record in self.missing if is_local(record.uri)]
        folders = dict.fromkeys(Path(folder_of(record.uri, record.image_id) or parent(record.uri)) for record in local)
        return tuple(folder for folder in folders if not folder.is_dir())


def look(records: Sequence[ImageRecord], *, thoroughly: bool = False, progress: Progress | None = None) -> Looked:
    """thoroughly: hash every file of this machine, also those of the same size and time, and ask remote stores for theirs."""
    missing, changed = [], []
    for record in counted(records, progress):
        if not thoroughly and not is_local(record.uri):
            continue
        found = file_stamp(record.uri)
        doubtful = found != record.stamp or (thoroughly and is_local(record.uri))
        if found is None:
            missing.append(record)
        elif record.digest is not None and doubtful and _digest(record.uri) != record.digest:
            changed.append(record)
    return Looked(tuple(missing), tuple(changed))


def counted(records: Sequence[ImageRecord], progress: Progress | None) -> Iterator[ImageRecord]:
    """The records one by one; after each, progress hears how many are done of how many."""
    for done, record in enumerate(records, start=1):
        yield record
        if progress is not None:
            progress(done, len(records))


def new_files(records: Iterable[ImageRecord], known: Collection[str]) -> tuple[list[Path], str]:
    """Image files in the folders of `records`, of this machine, that belong to none of them; and why there may be more, or "".

    known: files that were found unfit before, from the root on or from such a folder on, `printable` as findings are.
    """
    local = [record for record in records if is_local(record.uri)]
    one_of_each = {record.uri.removesuffix(record.image_id): record for record in local}.values()  # folder: taking paths apart takes long
    roots = {root for record in one_of_each if (root := root_of(record)) is not None and root.is_dir()}
    taken = {Path(record.uri).absolute() for record in local} | {root.absolute() / place for root in roots for place in known}
    outermost = [root for root in roots if not any(other in root.parents for other in roots)]
    new: list[Path] = []
    closed = ""
    for root in outermost:
        try:
            found = pictures_below(root.absolute())
            new += [path for path in (*found.photos, *found.dead) if path not in taken]
        except BoxwiseError as error:  # a folder that may not be looked into holds no image of the study back
            closed = str(error)
    return sorted(path for path in new if Path(printable(str(path))) not in taken), closed


def root_of(record: ImageRecord) -> Path | None:
    """The folder of this machine below which the image's id is its path; None where the two differ, or the image is elsewhere."""
    found = folder_of(record.uri, record.image_id) if is_local(record.uri) else None
    return None if found is None else Path(found)


def file_stamp(uri: str) -> str | None:
    """Size and version of an image's file, in a few bytes; None where there is no readable file."""
    try:
        return image_store.stat(uri).stamp
    except ImageError:
        return None


def _digest(uri: str) -> str | None:
    try:
        return digest(uri)
    except ImageError:
        return None
