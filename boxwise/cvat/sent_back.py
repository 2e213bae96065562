"""Answers from CVAT that a reviewer has sent back: what push and pull say of them, and how their jobs are opened again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from boxwise.cvat.client import Client
from boxwise.cvat.memory import MEMORY, MadeTask, Memory, remembered, remembering
from boxwise.cvat.tasks import address, image_ids, is_there, jobs_of
from boxwise.errors import quoted
from boxwise.store import SentBack
from boxwise.study import Study
from boxwise.study.exchange import sent_back_message


def sent_back(study: Study, client: Client, *, reopen: bool) -> tuple[str, ...]:
    """One message for each answer from here that a reviewer has sent back.

    reopen: set its job to in progress, once, with the remark as an issue on the image; what is completed then is an answer also unchanged.
    """
    memory, back = remembered(study), study.reviews.sent_back()
    messages: dict[str, str] = {}
    for number, task in [(number, task) for number, tasks in memory.tasks.items() for task in tasks]:
        from_here = {image_id: why for image_id, why in back.items() if _is_from(study, memory, task, image_id, why)}
        if from_here and is_there(client, task, memory.key):
            messages |= _of_task(study, client, memory, task, from_here, asked=study.query(number).image_ids, reopen=reopen)
    return tuple(messages[image_id] for image_id in back if image_id in messages)


def _is_from(study: Study, memory: Memory, task: MadeTask, image_id: str, back: SentBack) -> bool:
    """Whether an answer that was sent back was taken in from this task."""
    place = task.place(image_id)
    return place in memory.pulled and study.labelling.came_under(back.number, [f"{MEMORY}:{memory.key}:{place}:"])


def _of_task(
    study: Study, client: Client, memory: Memory, task: MadeTask, back: Mapping[str, SentBack], *, asked: Sequence[str], reopen: bool
) -> dict[str, str]:
    """`sent_back` of one task's answers: image_id → message. asked: what its round asks about."""
    messages: dict[str, str] = {}
    frames, jobs = client.frames(task.number), jobs_of(client, task.number)
    ids = image_ids(task, frames, asked)
    for image_id, why in back.items():
        frame, place = ids.index(image_id), task.place(image_id)
        job = next(job for job in jobs if job["start_frame"] <= frame <= job["stop_frame"])
        waits = memory.taken(place).state is not None  # for a push that opens its job
        if reopen and waits:
            box = [0, 0, frames[frame]["width"], frames[frame]["height"]]
            client.raise_issue(job["id"], why.remark, frame=frame, box=box)
            client.change_job(job["id"], {"state": "in progress"})
            with remembering(study) as now:
                now.pulled[place] = replace(now.taken(place), state=None)
            waits = False
        is_open = f"Correct it in {address(client, task.number)}/jobs/{job['id']}, which is open again, then pull."
        messages[image_id] = sent_back_message(image_id, why, then=f"Next: boxwise cvat push {quoted(study.folder)}" if waits else is_open)
    return messages
