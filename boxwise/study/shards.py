"""The pool pass by workers: its shards as calls to processes elsewhere, which `Study.step` then joins.

A worker does what `boxwise score STUDY --shard I/N` does, so that what is inspected stays when a call, a worker or this process ends.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boxwise.errors import StudyError, quoted
from boxwise.records import Phase
from boxwise.rounds import Event
from boxwise.workers.base import Workers, finished

if TYPE_CHECKING:
    from boxwise.rounds.parts import Shard
    from boxwise.study.study import Study

_SHARDS_EACH = 4  # for each worker: a slow one does not keep the others waiting for long


def round_to_inspect(study: Study) -> int:
    """The round whose pool pass comes next. StudyError when the next step is another, or config.yaml holds an edit not taken in."""
    number, phase = study.position
    if phase is not Phase.SCORE:
        raise StudyError(f"{study.folder}: the next step is {phase.value} of round {number}, not score: see `boxwise status`.")
    if study.edited() is not None:
        way = f"take it in with `boxwise set {quoted(study.folder)}`, then start the shards."
        raise StudyError(f"{study.folder}: config.yaml was edited: {way}")
    return number


def inspect_by(workers: Workers, study: Study, on_event: Callable[[Event], None]) -> None:
    """Inspect the pool of the pass that comes next; nothing is committed. Raises what a shard raised."""
    from boxwise.artifacts.pool_parts import part_size
    from boxwise.rounds.parts import Shard

    images, folder = study.pool_size(), study.folder.resolve()
    size = part_size(images, study.config.score_batch)
    count = min(-(-images // size), workers.count * _SHARDS_EACH)
    waiting = {workers.submit(_inspect, folder, Shard(number, count), workers.queue) for number in range(1, count + 1)}
    round_index, pass_ = study.position[0], study.files(study.position[0]).pool_pass
    while waiting:
        done = finished(workers, waiting, on_event)
        on_event(Event(round_index, Phase.SCORE, min(images, size * len(list(pass_.glob("part_*")))), images))
        waiting -= done
        for shard in done:
            shard.result()


def _inspect(folder: Path, shard: Shard, messages: Any) -> None:
    """In a worker. How far the pass is shows in its folder; what else there is to say goes to whoever waits."""
    from boxwise.study.study import Study

    Study.open(folder).inspect_shard(shard, on_event=lambda event: messages.put(event) if event.message else None)
