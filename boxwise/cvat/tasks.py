"""A round's task on a CVAT server: its names, which image each frame is, whether it is the study's, whether people have begun with it.

Asks the server, changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from boxwise.cvat.client import Client
from boxwise.cvat.memory import MadeTask
from boxwise.study import Study

RECTANGLE = "rectangle"  # CVAT's name of the one shape that is a box


def task_name(study: Study, key: str, round_index: int, *, anew: bool) -> str:
    """key: the study's. anew: of a question that is asked in place of a withdrawn one."""
    return f"boxwise: {study.folder.resolve().name}, round {round_index:02d}{', asked anew' if anew else ''} ({key[:8]})"


def address(client: Client, task: int) -> str:
    return f"{client.url}/tasks/{task}"


def file_name(rank: int, image_id: str) -> str:
    """What an image is called there; these names sort by the rank in the query."""
    return f"{rank:06d}_{PurePosixPath(image_id).name}"


def rank_of(frame: Mapping[str, Any]) -> int:
    """The rank in the query that a frame's name begins with."""
    return int(PurePosixPath(frame["name"]).name.partition("_")[0])


def image_ids(task: MadeTask, frames: Sequence[Mapping[str, Any]], asked: Sequence[str]) -> list[str]:
    """The image of each frame of a task: of those that it was made of, "" where it is not known which one.

    Where it was not kept what a task was made of: what is asked now, where the frame has the name of that image.
    """
    if task.images is not None:
        return [task.images[rank_of(frame)] for frame in frames]
    names = {file_name(rank, image_id): image_id for rank, image_id in enumerate(asked)}
    return [names.get(PurePosixPath(frame["name"]).name, "") for frame in frames]


def is_of(task: MadeTask, frames: Sequence[Mapping[str, Any]], asked: Sequence[str]) -> bool:
    """Whether a task was made of the question as it is."""
    return all(image_ids(task, frames, asked)) if task.images is None else task.images == tuple(asked)


def is_there(client: Client, task: MadeTask, key: str) -> bool:
    """Whether the server still has a task of the study's: not another server's of the same number.

    One server may be known by two addresses, and people may rename a task; where both differ it is another one.
    """
    found = client.task(task.number)
    return found is not None and (task.server in ("", client.url) or f"({key[:8]})" in str(found.get("name")))


def jobs_of(client: Client, task: int) -> list[dict[str, Any]]:
    """The jobs in which people label: not what the server compares them with."""
    return [job for job in client.jobs(task) if job.get("type", "annotation") == "annotation"]


def is_begun(client: Client, task: int) -> bool:
    """Whether a task has annotations, the model's perhaps, or a job that somebody has opened or completed."""
    jobs = client.jobs(task)  # none of a task without images, whose annotations CVAT refuses to give
    if any(job["state"] != "new" for job in jobs):
        return True
    return bool(jobs) and any(client.annotations(task).get(kind) for kind in ("shapes", "tracks", "tags"))


def lacking(classes: Sequence[str], there: Collection[str]) -> str:
    """The classes that a task does not have, in words, or ''."""
    missing = [name for name in classes if name not in there]
    return f"class {', '.join(missing)}" if missing else ""
