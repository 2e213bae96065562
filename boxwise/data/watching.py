"""The files of a study's images, looked at again: which are gone, which hold other bytes, which have come beside them.

Returns records and paths. Content is hashed only where a file's size or time is another than when its image joined. Changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from boxwise.data.images import digest, find_images
from boxwise.errors import ImageError
from boxwise.records import ImageRecord


@dataclass(frozen=True)
class Looked:
    """missing: no such file, or it cannot be opened. changed: other bytes than when the image joined. new: image files beside them.

    seen: how many of all images were looked at, where it was a sample; then nothing new was looked for.
    """

    missing: tuple[ImageRecord, ...]
    changed: tuple[ImageRecord, ...]
    new: tuple[Path, ...] = ()
    seen: tuple[int, int] | None = None

    @property
    def folders_gone(self) -> tuple[Path, ...]:
        """Folders of missing images that are not there themselves: they were moved, or a disk is not mounted."""
        folders = dict.fromkeys(root_of(record) or record.path.parent for record in self.missing)
        return tuple(folder for folder in folders if not folder.is_dir())


def look(records: Sequence[ImageRecord], *, thoroughly: bool = False) -> Looked:
    """thoroughly: hash every file, also those of the same size and time."""
    missing, changed = [], []
    for record in records:
        found = file_stamp(record.path)
        if found is None:
            missing.append(record)
        elif record.digest is not None and (thoroughly or found != record.stamp) and _digest(record.path) != record.digest:
            changed.append(record)
    return Looked(tuple(missing), tuple(changed))


def new_files(records: Iterable[ImageRecord], known: Collection[Path]) -> list[Path]:
    """Image files in the folders of `records` that belong to none of them. known: files that were found unfit before."""
    records = list(records)
    roots = {root for record in records if (root := root_of(record)) is not None and root.is_dir()}
    taken = {record.path.absolute() for record in records} | {path.absolute() for path in known}
    outermost = [root for root in roots if not any(other in root.parents for other in roots)]
    return sorted(path for root in outermost for path in find_images(root.absolute()) if path not in taken)


def root_of(record: ImageRecord) -> Path | None:
    """The folder below which the image's id is its path; None where the two differ."""
    parts = PurePosixPath(record.image_id).parts
    return Path(*record.path.parts[: -len(parts)]) if record.path.parts[-len(parts) :] == parts else None


def file_stamp(path: Path) -> str | None:
    """Size and time of a file, in a few bytes; None where there is no readable file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return f"{found.st_size}:{found.st_mtime_ns}"


def _digest(path: Path) -> str | None:
    try:
        return digest(path)
    except ImageError:
        return None
