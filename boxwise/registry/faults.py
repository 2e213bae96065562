"""Whose fault an error is: what the code of an installed package raises becomes one message that names the package.

Returns messages. What boxwise itself does wrong stays the error that it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from traceback import walk_tb

from boxwise.errors import BoxwiseError
from boxwise.registry.tables import KINDS


@contextmanager
def faults_of_packages() -> Iterator[None]:
    """An error that comes out of a package's code is a BoxwiseError that says where; its cause is the error itself.

    What a machine lacks, disk or memory, is no fault of the package, and has messages of its own.
    """
    try:
        yield
    except (BoxwiseError, OSError, MemoryError):
        raise
    except Exception as error:
        found = None if type(error).__name__ == "OutOfMemoryError" else _place(error)
        if found is None:
            raise
        package, place = found
        raise BoxwiseError(
            f"the package {package} failed: {type(error).__name__}: {error} ({place}). What was done before is kept: mend the package, or "
            "take another method by `boxwise set`, and run the same command again."
        ) from error


def _place(error: Exception) -> tuple[str, str] | None:
    """(package, file and line) of the innermost frame that is a package's; None where none is."""
    packages = {module: package for methods in KINDS.values() for module, package in methods.modules().items()}
    found = None
    for frame, line in walk_tb(error.__traceback__):
        package = packages.get(str(frame.f_globals.get("__name__")).partition(".")[0])
        if package is not None:
            found = package, f"{Path(frame.f_code.co_filename).name}, line {line}"
    return found
