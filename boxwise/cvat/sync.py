"""A study's open query to a CVAT task, and what people drew there back as verdicts; both can be repeated.

Returns what changed. Each round has a task of its own, cut into jobs; a job that somebody has set to completed is an answer for each of its
images, also those without a box. Knows the study and the client, nothing of HTTP.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import uuid4

import numpy as np

from boxwise.annotation.verdicts import shown
from boxwise.boxes import Boxes
from boxwise.cvat.client import Client
from boxwise.data import image_store
from boxwise.data.formats.checking import Reading, assemble
from boxwise.data.formats.listing import Checked
from boxwise.errors import BoxwiseError, ImageError
from boxwise.records import ImageRecord
from boxwise.results.colors import class_colors
from boxwise.study import Study
from boxwise.study.exchange import Pulled, Pushed, record

MEMORY = "cvat"  # what the store keeps of it: the study's own key, the task of each round, what was taken in of which image
SEGMENT = 20  # images a job
_RECTANGLE = "rectangle"


def push(study: Study, client: Client) -> Pushed:
    """Make the round's task: the images of the open query in its order, the study's classes, the model's boxes to correct.

    A second push changes nothing. A task that was left without its images or boxes, as by a kill, is made anew.
    """
    query, memory = study.ask(), _memory(study)
    number = memory["tasks"].get(str(query.round))
    if number is not None and client.task(number) is not None:
        return Pushed(_address(client, number), query.round, 0, len(client.frames(number)))
    name = _task_name(study, memory["key"], query.round)
    for left in client.tasks(name):
        client.delete_task(left["id"])
    files, findings = _files(study, query.round, set(query.image_ids))
    if not files:
        return Pushed(client.url, query.round, 0, 0, findings=findings)
    labels = [
        {"name": name, "color": color, "attributes": [], "type": _RECTANGLE}
        for name, color in zip(study.classes, class_colors(len(study.classes)), strict=True)
    ]
    number = client.create_task(name, labels, segment=SEGMENT)["id"]
    client.upload(number, files)
    client.put_annotations(number, _shapes(study, client, number, query.round))
    memory["tasks"][str(query.round)] = number
    study.remember(MEMORY, memory)
    return Pushed(_address(client, number), query.round, len(files), 0, findings=findings)


def pull(study: Study, client: Client) -> Pulled:
    """Record what is on the images of completed jobs, each state once; the rest goes on waiting.

    A job that is opened and completed again is taken in again where its boxes have changed. CVAT does not say how long somebody took: the
    costs of the config are charged for what was done to the boxes.
    """
    memory = _memory(study)
    if not memory["tasks"]:
        raise BoxwiseError(f"{study.folder}: no task for it on {client.url}. Next: boxwise cvat push {study.folder}")
    taken, known, unfinished, findings = 0, 0, 0, []
    try:
        for round_index, number in sorted((int(name), number) for name, number in memory["tasks"].items()):
            if client.task(number) is None:
                continue  # deleted there
            answers, open_frames = _answers(study, client, number, round_index)
            unfinished += open_frames
            for answer in answers:
                state = answer.state
                if memory["pulled"].get(f"{number}:{answer.image_id}") == state:
                    known += 1
                    continue
                try:
                    _record(study, answer, round_index, key=f"{MEMORY}:{memory['key']}:{number}:{answer.image_id}:{state}")
                except BoxwiseError as error:
                    findings.append(str(error))
                else:
                    memory["pulled"][f"{number}:{answer.image_id}"] = state
                    taken += 1
    finally:
        study.remember(MEMORY, memory)
    return Pulled(taken, known, tuple(findings), len(study.unanswered().items), unfinished=unfinished)


@dataclass(frozen=True)
class _Answer:
    """What is on one image of a completed job."""

    image_id: str
    shapes: tuple[Mapping[str, Any], ...]
    names: Mapping[int, str]
    size: tuple[int, int]
    annotator: str
    subject: str

    @property
    def state(self) -> str:
        """A fingerprint of the boxes."""
        drawn = sorted(json.dumps([self.names.get(s["label_id"]), s.get("type"), s.get("rotation"), s.get("points")]) for s in self.shapes)
        return sha256("".join(drawn).encode()).hexdigest()[:16]


def _answers(study: Study, client: Client, task: int, round_index: int) -> tuple[list[_Answer], int]:
    """(the images of completed jobs, how many images are in other jobs)."""
    frames, ids = client.frames(task), study.query(round_index).image_ids
    jobs = [job for job in client.jobs(task) if job.get("type", "annotation") == "annotation"]
    done = {frame: job for job in jobs if job["state"] == "completed" for frame in range(job["start_frame"], job["stop_frame"] + 1)}
    if not done:
        return [], len(frames)
    names, found = {number: name for name, number in client.label_ids(task).items()}, client.annotations(task)
    answers = []
    for frame, job in sorted(done.items()):
        image_id = ids[_rank(frames[frame]["name"])]
        shapes = tuple(shape for shape in [*found["shapes"], *found["tracks"]] if shape["frame"] == frame)
        size = frames[frame]["width"], frames[frame]["height"]
        annotator = (job.get("assignee") or {}).get("username") or "CVAT"
        answers.append(_Answer(image_id, shapes, names, size, annotator, f"{image_id} (CVAT task {task}, job {job['id']}, frame {frame})"))
    return answers, len(frames) - len(done)


def _record(study: Study, answer: _Answer, round_index: int, *, key: str) -> None:
    image = study.record(answer.image_id)
    if image is None or answer.image_id in study.quarantined():
        raise BoxwiseError(f"{answer.subject}: expected a usable image of the study, found none.")
    boxes = _boxes(answer, image, study.classes)
    record(study, answer.image_id, boxes, round_index=round_index, annotator=answer.annotator, key=key)


def _boxes(answer: _Answer, record: ImageRecord, classes: Sequence[str]) -> Boxes:
    """The rectangles in pixels of `record`. Raises BoxwiseError for another shape, a turned box, another size, an unknown class."""
    if answer.size != (record.width, record.height):
        raise BoxwiseError(f"{answer.subject}: is {answer.size[0]} x {answer.size[1]} there. Expected {record.width} x {record.height}.")
    faults = [f"{answer.subject}: {fault}" for shape in answer.shapes if (fault := _fault(shape, answer.names, classes))]
    if faults:
        raise BoxwiseError("\n".join(faults))
    xyxy = np.array([shape["points"] for shape in answer.shapes], np.float64).reshape(-1, 4)
    checked = assemble(
        Checked([record]),
        {record.image_id: Reading(Path(answer.subject), [answer.names[s["label_id"]] for s in answer.shapes], xyxy, {})},
        classes=tuple(classes),
    )
    refused = [finding.message for finding in checked.findings if finding.quarantined]
    if refused:
        raise BoxwiseError("\n".join(refused))
    return checked.labels[record.image_id]


def _fault(shape: Mapping[str, Any], names: Mapping[int, str], classes: Sequence[str]) -> str:
    """What is wrong with a shape, or ''."""
    if "type" not in shape:
        return "has a track. Expected rectangles of one image each."
    if shape["type"] != _RECTANGLE:
        return f"has a {shape['type']}. Expected rectangles."
    if shape.get("rotation"):
        return f"has a rectangle that is turned by {shape['rotation']:g} degrees. Expected 0."
    name = names.get(shape["label_id"])
    return "" if name in classes else f"has the class {name!r}. Expected one of {', '.join(classes)}."


def _shapes(study: Study, client: Client, task: int, round_index: int) -> list[dict[str, Any]]:
    """The boxes that the study puts before people, as rectangles of the task's frames."""
    ids, labels = study.query(round_index).image_ids, client.label_ids(task)
    made = []
    for frame, entry in enumerate(client.frames(task)):
        boxes = shown(study.shown(ids[_rank(entry["name"])], round_index=round_index)).boxes
        for xyxy, label in zip(boxes.xyxy.astype(np.float64).tolist(), boxes.labels.tolist(), strict=True):
            made.append(_shape(frame, labels[study.classes[label]], xyxy))
    return made


def _shape(frame: int, label_id: int, xyxy: Sequence[float]) -> dict[str, Any]:
    fixed = {"occluded": False, "outside": False, "z_order": 0, "rotation": 0, "group": 0, "source": "auto", "attributes": []}
    return {"type": _RECTANGLE, "frame": frame, "label_id": label_id, "points": [round(edge, 2) for edge in xyxy], **fixed}


def _files(study: Study, round_index: int, waiting: Set[str]) -> tuple[list[tuple[str, bytes]], tuple[str, ...]]:
    """(name, content) of each image that waits, named so that they sort by their rank in the query; and what could not be read."""
    files, findings = [], []
    for rank, image_id in enumerate(study.query(round_index).image_ids):
        if image_id not in waiting:
            continue
        record = study.record(image_id)
        try:
            assert record is not None
            files.append((f"{rank:06d}_{PurePosixPath(image_id).name}", image_store.read(record.uri)))
        except ImageError as error:
            findings.append(f"{image_id}: cannot be sent: {error}")
    return files, tuple(findings)


def _rank(name: str) -> int:
    """The rank in the query that a frame's name begins with."""
    return int(PurePosixPath(name).name.partition("_")[0])


def _memory(study: Study) -> dict[str, Any]:
    """What the study remembers of CVAT; its key is stored before it is used."""
    memory = study.recall(MEMORY)
    if memory is None:
        memory = {"key": uuid4().hex, "tasks": {}, "pulled": {}}
        study.remember(MEMORY, memory)
    return {**memory, "tasks": dict(memory["tasks"]), "pulled": dict(memory["pulled"])}


def _task_name(study: Study, key: str, round_index: int) -> str:
    return f"boxwise: {study.folder.resolve().name}, round {round_index:02d} ({key[:8]})"


def _address(client: Client, task: int) -> str:
    return f"{client.url}/tasks/{task}"
