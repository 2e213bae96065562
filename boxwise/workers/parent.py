"""What ends a process together with the one that began it, however that one dies. Knows nothing of what either does."""

from __future__ import annotations

import multiprocessing
import os
from multiprocessing.connection import wait
from threading import Thread
from time import sleep

_PATIENCE_SECONDS = 0.5  # between looks at who the parent is


def end_with_parent() -> None:
    """From now on the end of this process's parent ends this one at once, as SIGKILL would: for work that any kill leaves whole.

    A worker that waits for its next task would else wait for ever, with its memory; one at work would go on and keep the study's lock.
    """
    Thread(target=_outlive, args=(os.getppid(),), daemon=True, name="boxwise-parent").start()


def _outlive(began: int) -> None:
    """Wait for the parent's end: it holds the other end of a process of multiprocessing's pipe; torchrun's ranks are given none."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
    else:
        while os.getppid() == began:
            sleep(_PATIENCE_SECONDS)
    os._exit(1)
