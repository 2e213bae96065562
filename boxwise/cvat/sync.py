"""A study's open query to a CVAT task, and what people drew there back as verdicts; both can be repeated.

Returns what changed. Each round has a task of its own, cut into jobs; a job that somebody has set to completed is an answer for each of its
images, also those without a box. Knows the study and the client, nothing of HTTP.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import uuid4

import numpy as np

from boxwise.annotation.verdicts import shown
from boxwise.boxes import Boxes
from boxwise.cvat.client import Client
from boxwise.data.for_browsers import for_browsers
from boxwise.data.formats.checking import Reading, assemble
from boxwise.data.formats.listing import Checked
from boxwise.errors import BoxwiseError, ChangedError, ImageError, UnreachableError, plural, quoted
from boxwise.records import ImageRecord, Query
from boxwise.results.colors import class_colors
from boxwise.store import GIVEN, MODEL, SentBack
from boxwise.study import Study
from boxwise.study.exchange import Pulled, Pushed, record, said_back, twice

MEMORY = "cvat"  # what the store keeps of it: the study's own key, the tasks of each round, what was taken in of which image
SEGMENT = 20  # images a job
_RECTANGLE = "rectangle"
_NEVER = {"state": None, "times": 0}
_WITHDRAWN = (
    "the question of this task was withdrawn and another one is asked, so there is a new task. Of this one only images count that are "
    "still asked about: pull them, then delete it."
)


def push(study: Study, client: Client) -> Pushed:
    """Make the round's task: the images of the open query in its order, the study's classes, the model's boxes to correct.

    A second push changes nothing. A task that was left without its images or boxes, as by a kill, is made anew. Where the question of the
    last task was withdrawn and asked anew, the new one gets a task of its own; the old one is left alone. Jobs with answers that a reviewer
    has sent back are opened again.
    """
    query, memory = study.ask(), _memory(study)
    pushed = _push(study, client, memory, query)
    return replace(pushed, findings=(*pushed.findings, *_for_two(study, query), *_sent_back(study, client, memory, reopen=True)))


def _push(study: Study, client: Client, memory: dict[str, Any], query: Query) -> Pushed:
    asked, tasks = study.query(query.round).image_ids, memory["tasks"].get(str(query.round), [])
    last = tasks[-1] if tasks and _is_there(client, tasks[-1], memory["key"]) else None
    if last is not None and _is_of(last, client.frames(last["task"]), asked):
        return _there(study, client, last["task"], query.round)
    name = _task_name(study, memory["key"], query.round, anew=last is not None)
    for left in client.tasks(name):
        if left["id"] not in [task["task"] for task in tasks if _is_there(client, task, memory["key"])]:
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
    memory["tasks"][str(query.round)] = [*tasks, {"task": number, "images": list(asked), "server": client.url}]
    study.remember(MEMORY, memory)
    if last is not None:
        findings = (f"{_address(client, last['task'])}: {_WITHDRAWN}", *findings)
    return Pushed(_address(client, number), query.round, len(files), 0, findings=findings)


def pull(study: Study, client: Client) -> Pulled:
    """Record what is on the images of completed jobs, each state once; the rest goes on waiting.

    A job that is opened and completed again is taken in again where its boxes have changed, in place of what was on the image before,
    whoever drew that: a reviewer may have taken the job over. Of a task whose question was withdrawn, the
    images count that the round asks about anew. CVAT does not say how long somebody took: the costs of the config are charged for what was
    done to the boxes.
    """
    memory = _memory(study)
    there = {int(name): [task for task in tasks if _is_there(client, task, memory["key"])] for name, tasks in memory["tasks"].items()}
    if not any(there.values()):
        raise BoxwiseError(f"{study.folder}: no task for it on {client.url}. Next: boxwise cvat push {quoted(study.folder)}")
    taken, known, late, findings, unfinished = 0, 0, [], [], set[str]()
    try:
        for round_index, tasks in sorted(there.items()):
            answers, waiting = _answers_of_round(study, client, tasks, round_index)
            unfinished |= waiting
            for answer in answers:
                before = memory["pulled"].get(answer.places[0], _NEVER)
                if before["state"] == answer.state:
                    known += 1
                    continue
                try:
                    came_late = _record(study, answer, round_index, memory["key"], times=before["times"])
                except (UnreachableError, ChangedError):  # of the study, and not of this answer
                    raise
                except BoxwiseError as error:
                    findings.append(str(error))
                else:
                    memory["pulled"][answer.places[0]] = {"state": answer.state, "times": before["times"] + 1}
                    late += [answer.image_id] * came_late
                    taken += not came_late
    finally:
        study.remember(MEMORY, memory)
    sent_back, still = _sent_back(study, client, memory, reopen=False), set(study.unanswered().image_ids)
    return Pulled(taken, known, tuple(findings), len(still), unfinished=len(unfinished & still), late=tuple(late), sent_back=sent_back)


@dataclass(frozen=True)
class _Answer:
    """What is on one image of a completed job. image_id: "" where it is not known which one. asked: whether the round asks about it.

    places: names the image in its task, and then in the round's tasks before that one.
    """

    places: tuple[str, ...]
    image_id: str
    asked: bool
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


def _answers_of_round(study: Study, client: Client, tasks: Sequence[Mapping[str, Any]], round_index: int) -> tuple[list[_Answer], set[str]]:
    """(one answer an image, of the latest task that has one; the images that the round asks about and that are in open jobs alone)."""
    asked, waiting = study.query(round_index).image_ids, set[str]()
    answers: list[_Answer] = []
    for number in range(len(tasks), 0, -1):
        known = {answer.image_id for answer in answers} - {""}
        completed, unfinished = _answers(client, tasks[:number], asked)
        answers += [answer for answer in completed if answer.image_id not in known]
        waiting |= unfinished
    return answers, waiting.intersection(asked) - {answer.image_id for answer in answers}


def _answers(client: Client, tasks: Sequence[Mapping[str, Any]], asked: Sequence[str]) -> tuple[list[_Answer], set[str]]:
    """(the images of the completed jobs of a round's last task, those of its other jobs)."""
    number = (task := tasks[-1])["task"]
    frames = client.frames(number)
    ids = _image_ids(task, frames, asked)
    done = {
        frame: job
        for job in _jobs(client, number)
        if job["state"] == "completed"
        for frame in range(job["start_frame"], job["stop_frame"] + 1)
    }
    if not done:
        return [], set(ids)
    names, found = {label: name for name, label in client.label_ids(number).items()}, client.annotations(number)
    answers = []
    for frame, job in sorted(done.items()):
        shapes = tuple(shape for shape in [*found["shapes"], *found["tracks"]] if shape["frame"] == frame)
        size = frames[frame]["width"], frames[frame]["height"]
        annotator = (job.get("assignee") or {}).get("username") or "CVAT"
        annotator = f"CVAT user {annotator}" if annotator in (GIVEN, MODEL) else annotator
        image_id, subject = ids[frame], f"{ids[frame] or frames[frame]['name']} (CVAT task {number}, job {job['id']}, frame {frame})"
        places = tuple(_place(each, image_id) for each in reversed(tasks))
        answers.append(_Answer(places, image_id, image_id in asked, shapes, names, size, annotator, subject))
    return answers, {image_id for frame, image_id in enumerate(ids) if frame not in done}


def _jobs(client: Client, task: int) -> list[dict[str, Any]]:
    """Those in which people label: not what the server compares them with."""
    return [job for job in client.jobs(task) if job.get("type", "annotation") == "annotation"]


def _record(study: Study, answer: _Answer, round_index: int, key: str, *, times: int) -> bool:
    """Whether it came after another person's. times: how many states of it were taken in. Raises BoxwiseError when it cannot be taken."""
    if not answer.asked:
        raise BoxwiseError(f"{answer.subject}: round {round_index} does not ask about it any more, so it was not taken.")
    classes = study.classes
    if lacking := _lacking(classes, answer.names.values()):
        raise BoxwiseError(f"{answer.subject}: has no {lacking} to label with. Add it to the task, look at the image again, then pull.")
    image = study.record(answer.image_id)
    if image is None or answer.image_id in study.quarantined():
        raise BoxwiseError(f"{answer.subject}: expected a usable image of the study, found none.")
    boxes = _boxes(answer, image, classes)
    places, state = [f"{MEMORY}:{key}:{place}" for place in answer.places], f"{times}:{answer.state}"
    by = answer.annotator
    return record(study, answer.image_id, boxes, round_index=round_index, annotator=by, places=places, state=state, classes=classes)


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


def _place(task: Mapping[str, Any], image_id: str) -> str:
    """Names an image in a task, on any server."""
    return f"{task['server']} {task['task']}:{image_id}".lstrip()


def _for_two(study: Study, query: Query) -> tuple[str, ...]:
    """What a push says of images that two people are to label, each alone."""
    if not (images := twice(query)):
        return ()
    asked = plural(len(images), "image", "is")
    other = f"boxwise label {quoted(study.folder)}"
    return (f"{asked} for two people, each alone, and CVAT asks one: {', '.join(images)}. The other one: {other}",)


def _sent_back(study: Study, client: Client, memory: dict[str, Any], *, reopen: bool) -> tuple[str, ...]:
    """One message for each answer from here that a reviewer has sent back.

    reopen: set its job to in progress, once, with the remark as an issue on the image; what is completed then is an answer also unchanged.
    """
    back = study.reviews.sent_back()
    messages: dict[str, str] = {}
    for name, task in [(name, task) for name, tasks in memory["tasks"].items() for task in tasks]:
        from_here = {image_id: why for image_id, why in back.items() if _is_from(study, memory, task, image_id, why)}
        if from_here and _is_there(client, task, memory["key"]):
            asked = study.query(int(name)).image_ids
            messages |= _sent_back_of(study, client, memory, task, from_here, asked=asked, reopen=reopen)
    return tuple(messages[image_id] for image_id in back if image_id in messages)


def _is_from(study: Study, memory: Mapping[str, Any], task: Mapping[str, Any], image_id: str, back: SentBack) -> bool:
    """Whether an answer that was sent back was taken in from this task."""
    place = _place(task, image_id)
    return place in memory["pulled"] and study.labelling.came_under(back.number, [f"{MEMORY}:{memory['key']}:{place}:"])


def _sent_back_of(
    study: Study,
    client: Client,
    memory: dict[str, Any],
    task: Mapping[str, Any],
    back: Mapping[str, SentBack],
    *,
    asked: Sequence[str],
    reopen: bool,
) -> dict[str, str]:
    """`_sent_back` of one task's answers: image_id → message. asked: what its round asks about."""
    messages: dict[str, str] = {}
    frames, jobs = client.frames(task["task"]), _jobs(client, task["task"])
    ids = _image_ids(task, frames, asked)
    for image_id, why in back.items():
        frame, known = ids.index(image_id), memory["pulled"][_place(task, image_id)]
        job = next(job for job in jobs if job["start_frame"] <= frame <= job["stop_frame"])
        if reopen and known["state"] is not None:
            box = [0, 0, frames[frame]["width"], frames[frame]["height"]]
            client.raise_issue(job["id"], why.remark, frame=frame, box=box)
            client.change_job(job["id"], {"state": "in progress"})
            known["state"] = None
            study.remember(MEMORY, memory)
        is_open = f"Correct it in {_address(client, task['task'])}/jobs/{job['id']}, which is open again, then pull."
        messages[image_id] = said_back(image_id, why, then=f"Next: boxwise cvat push {quoted(study.folder)}" if known["state"] else is_open)
    return messages


def _there(study: Study, client: Client, task: int, round_index: int) -> Pushed:
    """What a push says of a task that was made before."""
    address, lacking = _address(client, task), _lacking(study.classes, client.label_ids(task))
    findings = (f"{address}: has no {lacking}. Add it to the labels of the task.",) if lacking else ()
    return Pushed(address, round_index, 0, len(client.frames(task)), findings=findings)


def _shapes(study: Study, client: Client, task: int, round_index: int) -> list[dict[str, Any]]:
    """The boxes that the study puts before people, as rectangles of the task's frames."""
    ids, classes, labels = study.query(round_index).image_ids, study.classes, client.label_ids(task)
    made = []
    for frame, entry in enumerate(client.frames(task)):
        boxes = shown(study.shown(ids[_rank(entry)], round_index=round_index)).boxes
        for xyxy, label in zip(boxes.xyxy.astype(np.float64).tolist(), boxes.labels.tolist(), strict=True):
            made.append(_shape(frame, labels[classes[label]], xyxy))
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
            files.append((_file_name(rank, image_id), for_browsers(record.uri)[0]))
        except ImageError as error:
            findings.append(f"{image_id}: cannot be sent: {error}")
    return files, tuple(findings)


def _is_there(client: Client, task: Mapping[str, Any], key: str) -> bool:
    """Whether the server still has a task of the study's: not another server's of the same number.

    One server may be known by two addresses, and people may rename a task; where both differ it is another one.
    """
    found = client.task(task["task"])
    return found is not None and (task["server"] in ("", client.url) or f"({key[:8]})" in str(found.get("name")))


def _image_ids(task: Mapping[str, Any], frames: Sequence[Mapping[str, Any]], asked: Sequence[str]) -> list[str]:
    """The image of each frame of a task: of those that it was made of, "" where it is not known which one.

    Earlier versions did not keep what a task was made of: what is asked now, where the frame has the name of that image.
    """
    if task["images"] is not None:
        return [task["images"][_rank(frame)] for frame in frames]
    names = {_file_name(rank, image_id): image_id for rank, image_id in enumerate(asked)}
    return [names.get(PurePosixPath(frame["name"]).name, "") for frame in frames]


def _is_of(task: Mapping[str, Any], frames: Sequence[Mapping[str, Any]], asked: Sequence[str]) -> bool:
    """Whether a task was made of the question as it is."""
    return all(_image_ids(task, frames, asked)) if task["images"] is None else task["images"] == list(asked)


def _lacking(classes: Sequence[str], there: Collection[str]) -> str:
    """The classes that a task does not have, in words, or ''."""
    missing = [name for name in classes if name not in there]
    return f"class {', '.join(missing)}" if missing else ""


def _file_name(rank: int, image_id: str) -> str:
    """What an image is called there; these names sort by the rank in the query."""
    return f"{rank:06d}_{PurePosixPath(image_id).name}"


def _rank(frame: Mapping[str, Any]) -> int:
    """The rank in the query that a frame's name begins with."""
    return int(PurePosixPath(frame["name"]).name.partition("_")[0])


def _memory(study: Study) -> dict[str, Any]:
    """What the study remembers of CVAT; its key is stored before it is used.

    tasks: round → its tasks, the latest last, each with its number ("task"), its server's address, and the images of its question by rank;
    "" and None where an earlier version made it, which kept the number of one task alone. pulled: place → the state that was taken in last,
    None once it was sent back, and how many were, so that each has a key of its own; an earlier version kept the state alone.
    """
    memory = study.recall(MEMORY)
    if memory is None:
        memory = {"key": uuid4().hex, "tasks": {}, "pulled": {}}
        study.remember(MEMORY, memory)
    tasks = {name: [{"task": kept, "images": None}] if isinstance(kept, int) else kept for name, kept in memory["tasks"].items()}
    tasks = {name: [{"server": "", **task} for task in kept] for name, kept in tasks.items()}
    pulled = {place: {"state": known, "times": 1} if isinstance(known, str) else known for place, known in memory["pulled"].items()}
    return {**memory, "tasks": tasks, "pulled": pulled}


def _task_name(study: Study, key: str, round_index: int, *, anew: bool) -> str:
    return f"boxwise: {study.folder.resolve().name}, round {round_index:02d}{', asked anew' if anew else ''} ({key[:8]})"


def _address(client: Client, task: int) -> str:
    return f"{client.url}/tasks/{task}"
