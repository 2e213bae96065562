"""How far the running step is, from the process that runs it to the page: one small file in the study's folder.

Returns plain values. A file whose writer is gone or silent says nothing, but for the reason that a run left when it ended. Knows nothing of
training, HTTP or stores.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, time
from typing import TYPE_CHECKING, Any

from boxwise.errors import BoxwiseError, BusyError, quoted
from boxwise.files import replacing
from boxwise.jsonable import plain

if TYPE_CHECKING:
    from boxwise.rounds import Event

FILE = "progress.json"
_SECONDS_BETWEEN_WRITES = 0.5
_SILENT_SECONDS = 60.0
_SHOWN = ("phase", "round", "step", "steps", "figures")
_WRITER = {"updated", "pid", "host"}


class ProgressFile:
    """Leaves a study's events where the page finds them; the file is gone when the block ends. Use as a context manager.

    A progress that cannot be written never ends a run. clock: any seconds that only grow.
    """

    def __init__(self, folder: Path, *, clock: Callable[[], float] = monotonic) -> None:
        self._path, self._clock = folder / FILE, clock
        self._last: tuple[str, float] = ("", 0.0)

    def __enter__(self) -> ProgressFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.step_done()

    def event(self, event: Event) -> None:
        """Write the event, unless the last one of the same step was written less than half a second ago."""
        step, now = f"{event.round} {event.phase}", self._clock()
        if event.finished or event.message or (self._last[0] == step and now - self._last[1] < _SECONDS_BETWEEN_WRITES):
            return
        self._last = step, now
        figures = {"step": event.step, "steps": event.steps, "figures": dict(event.figures)}
        _write(self._path, {"phase": event.phase.value, "round": event.round, **figures})

    def step_done(self) -> None:
        """What was written is over: the next step may have nothing to tell."""
        self._last = ("", 0.0)
        with suppress(OSError):
            self._path.unlink()


def write_trouble(folder: Path, message: str) -> None:
    """Say why nothing runs any more, until something runs again."""
    _write(folder / FILE, {"trouble": message})


@contextmanager
def leaving_trouble(folder: Path) -> Iterator[None]:
    """Leave for the page what ends the block, and this process, until something runs again. Ctrl-C is no trouble, nor another at work."""
    try:
        yield
    except BusyError:
        raise
    except Exception as error:
        _write(folder / FILE, {"trouble": str(error) or type(error).__name__, "pid": None})
        raise


def clear_trouble(folder: Path) -> None:
    """What a run left when it ended is over."""
    if read_trouble(folder) is not None:
        with suppress(OSError):
            (folder / FILE).unlink()


def read_progress(folder: Path) -> dict[str, Any] | None:
    """phase, round, step, steps, figures (name → number or None), and for how many seconds nothing was heard; None when nothing runs.

    The page need not compare clocks. A writer whose clock is ahead by less than a minute has been heard just now; by more, nothing is
    known of it.
    """
    found = _read(folder)
    if found is None or not found.keys() >= set(_SHOWN) or abs(silent := time() - found["updated"]) >= _SILENT_SECONDS:
        return None
    return {name: found[name] for name in _SHOWN} | {"silent": max(0.0, silent)}


def read_trouble(folder: Path) -> str | None:
    """Why the study does not go on by itself; None when it does, or when a process that was to say so for as long as it lives is gone."""
    found = _read(folder)
    return None if found is None else found.get("trouble")


def goes_on_by(folder: Path) -> str:
    """The command that takes the study on, as it is typed in whatever folder."""
    return f"boxwise run {quoted(folder.resolve())}"


def _write(path: Path, values: dict[str, Any]) -> None:
    values = {"updated": time(), "pid": os.getpid(), "host": platform.node()} | values
    with suppress(BoxwiseError), replacing(path) as aside:
        aside.write_text(json.dumps(plain(values)), encoding="utf-8")


def _read(folder: Path) -> dict[str, Any] | None:
    """What a writer that still runs has written, if there is one."""
    try:
        found = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and found.keys() >= _WRITER and _alive(found) else None


def _alive(found: dict[str, Any]) -> bool:
    """Whether the writer still runs, or has left word for after its end; on another machine, or on Windows, only its silence is known."""
    if found["pid"] is None:
        return True
    if found["host"] != platform.node() or os.name == "nt":  # Windows' os.kill ends the process that it is asked about
        return True
    try:
        os.kill(found["pid"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
