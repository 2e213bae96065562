"""What a study remembers of CVAT: its own key, the tasks of each round, what was taken in of which image.

Kept as JSON in the study; a push and a pull may run side by side, so it is changed in `remembering` alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import uuid4

from boxwise.study import Study, exchange

MEMORY = "cvat"  # the name under which the study keeps it


@dataclass(frozen=True)
class MadeTask:
    """A task that a push has made. number, server: its number there, and the server's address, "" where an earlier version made it.

    images: those of its question by rank; None where it was not kept what the task was made of.
    """

    number: int
    images: tuple[str, ...] | None
    server: str

    def place(self, image_id: str) -> str:
        """Names an image in this task, on any server."""
        return f"{self.server} {self.number}:{image_id}".lstrip()


@dataclass(frozen=True)
class Taken:
    """What was taken in of an image in a task. state: the last one, None before the first and once a reviewer has sent it back.

    times: how many states were, so that each has a key of its own.
    """

    state: str | None = None
    times: int = 0


@dataclass
class Memory:
    """key: names the study there. tasks: round → its tasks, the latest last. pulled: place → what was taken in."""

    key: str
    tasks: dict[int, tuple[MadeTask, ...]] = field(default_factory=dict)
    pulled: dict[str, Taken] = field(default_factory=dict)

    def taken(self, place: str) -> Taken:
        return self.pulled.get(place, Taken())


def remembering(study: Study) -> AbstractContextManager[Memory]:
    """The memory to change; see `exchange.remembering`."""
    return exchange.remembering(study, MEMORY, read=_read, write=_write)


def remembered(study: Study) -> Memory:
    """The memory as it is now, to read."""
    with remembering(study) as memory:
        return memory


def _read(kept: Any) -> Memory:
    if kept is None:
        return Memory(uuid4().hex)
    tasks = {int(number): tuple(_task(one) for one in _listed(found)) for number, found in kept["tasks"].items()}
    return Memory(kept["key"], tasks, {place: _taken(known) for place, known in kept["pulled"].items()})


def _listed(found: Any) -> list[dict[str, Any]]:
    """The tasks of a round; an earlier version kept the number of one task alone."""
    return [{"task": found, "images": None}] if isinstance(found, int) else found


def _task(kept: Mapping[str, Any]) -> MadeTask:
    images = kept["images"]
    return MadeTask(kept["task"], None if images is None else tuple(images), kept.get("server", ""))


def _taken(known: Any) -> Taken:
    """An earlier version kept the state alone."""
    return Taken(known, 1) if isinstance(known, str) else Taken(known["state"], known["times"])


def _write(memory: Memory) -> dict[str, Any]:
    tasks = {
        str(number): [{"task": t.number, "images": t.images, "server": t.server} for t in made] for number, made in memory.tasks.items()
    }
    return {"key": memory.key, "tasks": tasks, "pulled": {place: asdict(taken) for place, taken in memory.pulled.items()}}
