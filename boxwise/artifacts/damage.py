"""Whether a file of a round is whole: by its seal, and those from before the seals by Parquet's checks of pages and archives' of members.

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
from boxwise.files import SEAL, seal_is_broken

SEALED = {"boxwise": SEAL.decode()}  # the metadata of a Parquet schema whose file is to be sealed
_OTHER_BYTES = "its bytes are not those that were written"
_FAULTS = (OSError, pa.ArrowException, ValueError, KeyError, TypeError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error)
_ARCHIVES = (".npz", ".pt")


@contextmanager
def intact(path: Path, *, expected: str = "a file as a round left it", sealed: bool = True) -> Iterator[None]:
    """Within the block what a missing or damaged `path` raises becomes one StudyError with what to do. sealed: check all bytes first."""
    try:
        if sealed and seal_is_broken(path):
            raise ValueError(_OTHER_BYTES)
        yield
    except FileNotFoundError:
        raise StudyError(f"{path}: expected {expected}, found none. See `boxwise repair STUDY`.") from None
    except _FAULTS as error:
        raise StudyError(f"{path}: expected {expected}, found it damaged ({_first_line(error)}). See `boxwise repair STUDY`.") from None


def fault_in(path: Path) -> str | None:
    """What is wrong with a file; None where it is whole, or of a kind that cannot be checked."""
    try:
        if seal_is_broken(path):
            return _OTHER_BYTES
        if path.suffix == ".parquet":
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                for group in range(file.num_row_groups):
                    file.read_row_group(group)
        elif path.suffix in _ARCHIVES:
            with zipfile.ZipFile(path) as archive:
                broken = archive.testzip()
            return None if broken is None else f"{broken} in it is damaged"
    except _FAULTS as error:
        return _first_line(error)
    return None


def lost(path: Path, *, own: bool = True) -> str | None:
    """Why what a step left at `path` cannot be used any more, in a word or two; None where it can. own: whether boxwise wrote it, which
    alone can be checked."""
    if not path.is_file():
        return "missing"
    fault = fault_in(path) if own else None
    return None if fault is None else f"damaged ({fault})"


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
