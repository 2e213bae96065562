"""Whether a file of a round is whole: Parquet by the checks in its pages, archives (NumPy's and torch's) by those of their members.

Returns what is wrong in a few words. Knows nothing of what the files say.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from boxwise.errors import StudyError

_FAULTS = (OSError, pa.ArrowException, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)
_ARCHIVES = (".npz", ".pt")


@contextmanager
def intact(path: Path) -> Iterator[None]:
    """Within the block what a missing or damaged `path` raises becomes one StudyError that says what to do."""
    try:
        yield
    except FileNotFoundError:
        raise StudyError(f"{path}: expected a file that this round left, found none. See `boxwise repair STUDY`.") from None
    except _FAULTS as error:
        raise StudyError(f"{path}: damaged ({_said(error)}). See `boxwise repair STUDY`.") from None


def fault_in(path: Path) -> str | None:
    """What is wrong with a file; None where it is whole, or of a kind that cannot be checked."""
    try:
        if path.suffix == ".parquet":
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                for group in range(file.num_row_groups):
                    file.read_row_group(group)
        elif path.suffix in _ARCHIVES:
            with zipfile.ZipFile(path) as archive:
                broken = archive.testzip()
            return None if broken is None else f"{broken} in it is damaged"
    except _FAULTS as error:
        return _said(error)
    return None


def _said(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
