"""`boxwise run` as a child of the process that serves the page: started, listened to, and ended together with its parent.

Returns why a run ended before its time. Knows processes and signals; nothing of studies or pages.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from _thread import interrupt_main
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from time import sleep
from typing import Any

import typer

_SECONDS_TO_STOP = 30.0
_LINES_KEPT = 20
# In a session (on Windows: a group) of its own Ctrl-C reaches it once, from here.
_ALONE: dict[str, Any] = {"creationflags": 0x200} if os.name == "nt" else {"start_new_session": True}
_WAS_INTERRUPTED = 3  # exit code of the training process, which leaves the words to the one that started it


def advance(folder: Path) -> str | None:
    """`boxwise run` in a process of its own, until labels are needed or the study is done; None, or why it ended before.

    What it prints is seen as it comes. When this process is interrupted, so is that one; when this one dies, `ending_with_parent` ends it.
    """
    command = [sys.executable, "-m", "boxwise", "run", str(folder), "--served"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace", **_ALONE)
    last_lines: deque[str] = deque(maxlen=_LINES_KEPT)
    listener = Thread(target=_pass_on, args=(process, last_lines), daemon=True)
    listener.start()
    try:
        code = process.wait()
    finally:
        _stop(process)
        listener.join()
    if code == 0:
        return None
    if code == _WAS_INTERRUPTED:
        return "the training process was interrupted."
    if code < 0:
        return f"the training process was ended by {signal.Signals(-code).name}" + (", perhaps for lack of memory." if code == -9 else ".")
    return last_lines[-1].strip().removeprefix("Error: ") if last_lines else f"the training process ended with code {code}."


@contextmanager
def ending_with_parent() -> Iterator[None]:
    """In the process that `advance` starts: within the block the end of the one that started it ends the work as Ctrl-C does.

    The other holds the writing end of this one's standard input and never writes; however it dies, the system closes that end.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job is started with SIGINT ignored, and so its children
    Thread(target=_outlive, args=(sys.stdin.fileno(),), daemon=True).start()
    try:
        yield
    except KeyboardInterrupt:
        raise typer.Exit(_WAS_INTERRUPTED) from None


def _outlive(parent: int) -> None:
    """Wait for the parent's end, then interrupt this process and its workers, and in the end kill what did not stop."""
    while os.read(parent, 1):
        pass
    if os.name == "nt":
        interrupt_main()
        sleep(_SECONDS_TO_STOP)
        os._exit(_WAS_INTERRUPTED)
    os.killpg(0, signal.SIGINT)
    sleep(_SECONDS_TO_STOP)
    os.killpg(0, signal.SIGKILL)


def _pass_on(process: subprocess.Popen[str], last_lines: deque[str]) -> None:
    for line in process.stderr or ():
        sys.stderr.write(line)
        if line.strip():
            last_lines.append(line)


def _stop(process: subprocess.Popen[str]) -> None:
    """Interrupt the process and its workers as Ctrl-C would; what it committed stays."""
    if process.poll() is not None:
        return
    _interrupt(process)
    try:
        process.wait(_SECONDS_TO_STOP)
    except subprocess.TimeoutExpired:
        _kill(process)
        process.wait()


def _interrupt(process: subprocess.Popen[str]) -> None:
    """On Windows by ending its standard input, which `_outlive` waits for; elsewhere by a signal to it and its workers."""
    with suppress(OSError):
        if os.name != "nt":
            os.killpg(process.pid, signal.SIGINT)
        elif process.stdin is not None:
            process.stdin.close()


def _kill(process: subprocess.Popen[str]) -> None:
    with suppress(OSError):
        if os.name != "nt":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
