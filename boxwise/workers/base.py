"""What runs functions side by side: processes of this machine (processes.py), or of a Ray cluster (cluster.py).

Returns futures, as concurrent.futures has them. Knows nothing of what the functions do.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from concurrent.futures import FIRST_COMPLETED, Future, wait
from queue import Empty
from typing import Any, Protocol

_PATIENCE_SECONDS = 0.2  # between looks at the queue


class Workers(Protocol):
    """`count` functions run at once. `queue` goes along as an argument: what they put into it is read by `finished`."""

    count: int
    queue: Any

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Run a function of a module on arguments that can be pickled. Errors that it raises are the future's."""
        ...


def finished(workers: Workers, waiting: Collection[Future[Any]], on_message: Callable[[Any], None]) -> set[Future[Any]]:
    """Wait a moment; hands on what the functions have put into the queue, and returns the futures that are done."""
    done, _ = wait(waiting, timeout=_PATIENCE_SECONDS, return_when=FIRST_COMPLETED)
    try:
        while True:
            on_message(workers.queue.get_nowait())
    except Empty:
        return done
