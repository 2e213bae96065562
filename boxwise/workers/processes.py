"""Workers that are processes of this machine, each with its share of the cores."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.managers import SyncManager
from typing import Any

from boxwise.workers.base import Workers
from boxwise.workers.parent import end_with_parent

_BEGUN = "spawn"  # anew: a process forked from one that has threads of torch may wait for them for ever


@dataclass
class _Processes:
    count: int
    queue: Any
    pool: ProcessPoolExecutor

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        return self.pool.submit(function, *arguments)


@contextmanager
def processes(count: int, *, begin: Callable[[int], None]) -> Iterator[Workers]:
    """`count` processes while the block runs. Where it fails they are ended, and gone when this returns; where this process is killed they
    end by themselves, in the middle of what they do.

    begin: called first in each of them, with how many threads are its share of the cores.
    """
    context = multiprocessing.get_context(_BEGUN)
    threads = max(1, (os.cpu_count() or 1) // count)
    manager = SyncManager(ctx=context)
    manager.start(end_with_parent)
    with manager, ProcessPoolExecutor(count, mp_context=context, initializer=_begin, initargs=(begin, threads)) as pool:
        others = set(multiprocessing.active_children())
        try:
            yield _Processes(count, manager.Queue(), pool)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            _end(set(multiprocessing.active_children()) - others)
            raise


def _begin(begin: Callable[[int], None], threads: int) -> None:
    end_with_parent()
    begin(threads)


def _end(workers: Iterable[multiprocessing.process.BaseProcess]) -> None:
    """Waits until they are gone, so that the next run finds their files free."""
    for worker in workers:
        worker.terminate()
    for worker in workers:
        worker.join()
