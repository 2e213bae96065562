"""Files that are complete or absent: written aside, fsynced, then renamed over the target."""

import csv
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from boxwise.errors import BoxwiseError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to; when the block ends without an error it takes `path`'s place, durably.

    The suffix is kept, since some writers choose a format by it. Raises BoxwiseError naming the file when the disk refuses.
    """
    aside = path.with_name(f".{path.stem}.{os.getpid()}.aside{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield aside
        _sync(aside)
        aside.replace(path)
        _sync(path.parent)
    except OSError as error:
        raise BoxwiseError(f"{path}: cannot be written ({error.strerror or error}). Nothing that was there is lost.") from error
    finally:
        with suppress(OSError):  # there may not even be a folder
            aside.unlink()


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """The rows under a header of `columns`; what is missing, None or NaN is left empty. ValueError for a key that is no column."""
    with replacing(path) as aside, aside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows({name: _known(value) for name, value in row.items()} for row in rows)


def _known(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
