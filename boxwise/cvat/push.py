"""A study's open query to a CVAT task; again changes nothing.

Each round has a task of its own, cut into jobs. Returns what was sent. Knows the study and the client, nothing of HTTP.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import replace
from typing import Any

import numpy as np

from boxwise.annotation.verdicts import shown_to_annotator
from boxwise.cvat.client import Client
from boxwise.cvat.memory import MEMORY, MadeTask, Memory, remembered, remembering
from boxwise.cvat.sent_back import sent_back
from boxwise.cvat.tasks import RECTANGLE, address, file_name, is_begun, is_of, is_there, lacking, rank_of, task_name
from boxwise.data.for_browsers import for_browsers
from boxwise.errors import ImageError, plural, quoted
from boxwise.records import Query
from boxwise.results.colors import class_colors
from boxwise.study import Study
from boxwise.study.exchange import Pushed, asked_of_two, pushing

SEGMENT = 20  # images a job
_WITHDRAWN = (
    "the question of this task was withdrawn and another one is asked, so there is a new task. Of this one only images count that are "
    "still asked about: pull them, then delete it."
)
_UNKNOWN = (
    "is called as the task of this round and has annotations, the model's or somebody's, but other images than the round asks about, so it "
    "is left alone and never pulled. Delete it where nobody needs it."
)


def push(study: Study, client: Client) -> Pushed:
    """Make the round's task: the images of the open query in its order, the study's classes, the model's boxes to correct.

    A second push changes nothing; one that begins while another runs waits for it. A task that a killed push has left is made anew while
    nobody can have worked on it, and taken over where it has annotations: no task with annotations is ever deleted. Where the question of
    the last task was withdrawn and asked anew, the new one gets a task of its own; the old one is left alone. Jobs with answers that a
    reviewer has sent back are opened again.
    """
    with pushing(study, MEMORY):
        query = study.ask()
        pushed = _push(study, client, remembered(study), query)
        back = sent_back(study, client, reopen=True)
    return replace(pushed, findings=(*pushed.findings, *_for_two(study, query), *back))


def _push(study: Study, client: Client, memory: Memory, query: Query) -> Pushed:
    asked, tasks = study.query(query.round).image_ids, memory.tasks.get(query.round, ())
    there = [task for task in tasks if is_there(client, task, memory.key)]
    last = there[-1] if there and there[-1] is tasks[-1] else None
    if last is not None and is_of(last, client.frames(last.number), asked):
        return _there(study, client, last.number, query.round)
    name = task_name(study, memory.key, query.round, anew=last is not None)
    known, findings = {task.number for task in there}, list[str]()
    for left in [task["id"] for task in client.tasks(name) if task["id"] not in known]:
        if not is_begun(client, left):
            client.delete_task(left)
        elif is_of(MadeTask(left, None, client.url), client.frames(left), asked):
            _remember(study, query.round, MadeTask(left, asked, client.url))
            return _there(study, client, left, query.round)
        else:
            findings.append(f"{address(client, left)}: {_UNKNOWN}")
    made = _made(study, client, name, query, asked)
    if made.made and last is not None:
        findings.insert(0, f"{address(client, last.number)}: {_WITHDRAWN}")
    return replace(made, findings=(*findings, *made.findings))


def _made(study: Study, client: Client, name: str, query: Query, asked: tuple[str, ...]) -> Pushed:
    """What a push says of a task that it has made; of none where no image can be sent."""
    files, findings = _files(study, query.round, set(query.image_ids))
    if not files:
        return Pushed(client.url, query.round, 0, 0, findings=findings)
    labels = [
        {"name": name, "color": color, "attributes": [], "type": RECTANGLE}
        for name, color in zip(study.classes, class_colors(len(study.classes)), strict=True)
    ]
    number = client.create_task(name, labels, segment=SEGMENT)["id"]
    client.upload(number, files)
    client.put_annotations(number, _shapes(study, client, number, query.round))
    _remember(study, query.round, MadeTask(number, asked, client.url))
    return Pushed(address(client, number), query.round, len(files), 0, findings=findings)


def _there(study: Study, client: Client, task: int, round_index: int) -> Pushed:
    """What a push says of a task that was made before."""
    place, missing = address(client, task), lacking(study.classes, client.label_ids(task))
    findings = (f"{place}: has no {missing}. Add it to the labels of the task.",) if missing else ()
    return Pushed(place, round_index, 0, len(client.frames(task)), findings=findings)


def _remember(study: Study, round_index: int, task: MadeTask) -> None:
    with remembering(study) as memory:
        memory.tasks[round_index] = (*memory.tasks.get(round_index, ()), task)


def _for_two(study: Study, query: Query) -> tuple[str, ...]:
    """What a push says of images that two people are to label, each alone."""
    if not (images := asked_of_two(query)):
        return ()
    asked = plural(len(images), "image", "is")
    other = f"boxwise label {quoted(study.folder)}"
    return (f"{asked} for two people, each alone, and CVAT asks one: {', '.join(images)}. The other one: {other}",)


def _shapes(study: Study, client: Client, task: int, round_index: int) -> list[dict[str, Any]]:
    """The boxes that the study puts before people, as rectangles of the task's frames."""
    ids, classes, labels = study.query(round_index).image_ids, study.classes, client.label_ids(task)
    made = []
    for frame, entry in enumerate(client.frames(task)):
        boxes = shown_to_annotator(study.shown(ids[rank_of(entry)], round_index=round_index)).boxes
        for xyxy, label in zip(boxes.xyxy.astype(np.float64).tolist(), boxes.labels.tolist(), strict=True):
            made.append(_shape(frame, labels[classes[label]], xyxy))
    return made


def _shape(frame: int, label_id: int, xyxy: Sequence[float]) -> dict[str, Any]:
    fixed = {"occluded": False, "outside": False, "z_order": 0, "rotation": 0, "group": 0, "source": "auto", "attributes": []}
    return {"type": RECTANGLE, "frame": frame, "label_id": label_id, "points": [round(edge, 2) for edge in xyxy], **fixed}


def _files(study: Study, round_index: int, waiting: Set[str]) -> tuple[list[tuple[str, bytes]], tuple[str, ...]]:
    """(name, content) of each image that waits, named so that they sort by their rank in the query; and what could not be read."""
    files, findings = [], []
    for rank, image_id in enumerate(study.query(round_index).image_ids):
        if image_id not in waiting:
            continue
        record = study.record(image_id)
        try:
            assert record is not None
            files.append((file_name(rank, image_id), for_browsers(record.uri)[0]))
        except ImageError as error:
            findings.append(f"{image_id}: cannot be sent: {error}")
    return files, tuple(findings)
