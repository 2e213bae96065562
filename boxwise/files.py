"""Files that are complete or absent: written aside, fsynced, then renamed over the target; a check of their bytes inside them; and a lock
between processes.

The same on Linux, macOS and Windows.
"""

import csv
import math
import mmap
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any
from zlib import crc32

from boxwise.errors import BoxwiseError

SEAL = b"boxwise check 00000000"  # what a file that is to be sealed has in it: the place for the check
_MARK, _DIGITS = SEAL[:-8], 8
_EMPTY_COMMENT = b"\x00\x00"  # how an archive without a comment ends
_NUMBERS = count()
_ASIDE = re.compile(r"\.(\d+)\.aside")
_OF_DISKS = {"lost+found", "System Volume Information", "$RECYCLE.BIN"}  # at the root of a disk, the system's own


def identity(path: Path) -> tuple[int, int] | None:
    """Which file lies at a path, whatever it is called and by whatever links; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to; when the block ends without an error it takes `path`'s place, durably.

    The suffix is kept, since some writers choose a format by it. Raises BoxwiseError naming the file when the disk refuses.
    """
    aside = path.with_name(f".{path.stem}.{next(_NUMBERS)}.{os.getpid()}.aside{path.suffix}")  # threads may write the same file
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield aside
        _sync(aside)
        aside.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise BoxwiseError(f"{path}: cannot be written ({error.strerror or error}). Nothing that was there is lost.") from error
    finally:
        with suppress(OSError):  # there may not even be a folder
            aside.unlink()


@contextmanager
def sealing(path: Path) -> Iterator[Path]:
    """`replacing`, for a file with SEAL in it or a zip archive (NumPy's, torch's): the CRC-32 of all other bytes goes into the place that
    SEAL keeps, an archive's comment; other programs read the file as ever.
    """
    with replacing(path) as aside:
        yield aside
        with aside.open("r+b") as file:
            file.seek(-len(_EMPTY_COMMENT), os.SEEK_END)
            if file.read() == _EMPTY_COMMENT:
                file.seek(-len(_EMPTY_COMMENT), os.SEEK_END)
                file.write(len(SEAL).to_bytes(2, "little") + SEAL)
        with aside.open("r+b") as file, mmap.mmap(file.fileno(), 0) as content:
            place = _seal_of(content)
            if place is None:
                raise ValueError(f"{path}: expected {SEAL!r} in what was written, found none.")
            content[place : place + _DIGITS] = _check(content, place)


def seal_is_broken(path: Path) -> bool:
    """Whether a file that `sealing` wrote has other bytes now. Files without a seal, such as those of earlier versions, pass."""
    if not path.stat().st_size:
        return True
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        place = _seal_of(content)
        return place is not None and content[place : place + _DIGITS] != _check(content, place)


def _seal_of(content: mmap.mmap) -> int | None:
    """Where the digits of the check begin."""
    found = content.rfind(_MARK)
    return None if found < 0 else found + len(_MARK)


def _check(content: mmap.mmap, place: int) -> bytes:
    """CRC-32 of all but the digits at `place`, in hexadecimal."""
    with memoryview(content) as view, view[:place] as before, view[place + _DIGITS :] as after:
        return b"%08x" % crc32(after, crc32(before))


def walk(folder: Path) -> Iterator[Path]:
    """What lies below `folder` and is no folder, hidden names left out. BoxwiseError as for `walk_folders`.

    A link to a folder elsewhere is followed; one that leads into `folder`, to it or above it is not, so that nothing comes twice.
    """
    for parent, _, names in walk_folders(folder):
        yield from (parent / name for name in names if not name.startswith("."))


def walk_folders(folder: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """(Each folder that `walk` goes through, the hidden folders in it, all that is no folder), those around before those within.

    BoxwiseError for a folder that this user may not look into: what lies there would be lost in silence.
    """
    seen = {Path(os.path.realpath(folder))}
    for parent, folders, names in os.walk(folder, followlinks=True, onerror=_closed):
        if (folders or names) and not os.access(parent, os.X_OK, effective_ids=os.access in os.supports_effective_ids):
            raise _closed_folder(str(parent))  # its names can be read, and nothing of what they name
        hidden = [name for name in folders if name.startswith(".") or name in _OF_DISKS]
        folders[:] = [name for name in sorted(folders) if name not in hidden and _leads_on(Path(parent, name), seen)]
        yield Path(parent), hidden, names


def _closed(error: OSError) -> None:
    if isinstance(error, PermissionError):
        raise _closed_folder(error.filename) from error


def _closed_folder(path: str) -> BoxwiseError:
    return BoxwiseError(
        f"{path}: expected a folder that this user may look into, found one without that right. Give it, or move the folder away."
    )


def _leads_on(folder: Path, seen: set[Path]) -> bool:
    """Whether to look into a folder: each link's target once, none that has to do with what is seen already."""
    if not folder.is_symlink():
        return True
    target = Path(os.path.realpath(folder))
    if any(target.is_relative_to(other) or other.is_relative_to(target) for other in seen):
        return False
    seen.add(target)
    return True


@contextmanager
def locked(path: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold the lock file `path` while the block runs; the system lets go of it when the process ends, however that happens.

    Raises BlockingIOError while another process holds it, unless this one is to `wait`.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path, timeout=-1 if wait else 0)
    try:
        lock.acquire()
    except Timeout:
        raise BlockingIOError(f"{path} is held by another process") from None
    try:
        yield
    finally:
        lock.release()


def sweep(folder: Path) -> list[Path]:
    """Remove what processes that are gone have left beside their targets in `folder` and below; the paths removed."""
    left = [path for path in folder.rglob(".*.aside*") if (found := _ASIDE.search(path.name)) and not _runs(int(found[1]))]
    for path in left:
        path.unlink(missing_ok=True)
    return left


def _runs(process: int) -> bool:
    if os.name == "nt":  # where asking would end it
        return process != 0
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        pass
    return True


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """The rows under a header of `columns`; what is missing, None or NaN is left empty. ValueError for a key that is no column."""
    with replacing(path) as aside, aside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows({name: _none_if_nan(value) for name, value in row.items()} for row in rows)


def _none_if_nan(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


def _sync(file: Path) -> None:
    with file.open("r+b") as opened:  # Windows syncs what is open for writing alone
        os.fsync(opened.fileno())


def _sync_folder(folder: Path) -> None:
    """Make a rename in the folder durable; Windows opens no folder, and its file system logs renames itself."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
