"""What people drew in CVAT back as verdicts; again takes in nothing twice.

A job that somebody has set to completed is an answer for each of its images, also those without a box. Returns what was taken in. Knows the
study and the client, nothing of HTTP.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from boxwise.boxes import Boxes
from boxwise.cvat.client import Client
from boxwise.cvat.memory import MEMORY, MadeTask, Taken, remembered, remembering
from boxwise.cvat.sent_back import sent_back
from boxwise.cvat.tasks import RECTANGLE, image_ids, is_there, jobs_of, lacking
from boxwise.data.formats.checking import Reading, assemble
from boxwise.data.formats.listing import Checked
from boxwise.errors import BoxwiseError, ChangedError, UnreachableError, quoted
from boxwise.records import ImageRecord
from boxwise.store import GIVEN, MODEL
from boxwise.study import Study
from boxwise.study.exchange import Pulled, record_answer, usable


def pull(study: Study, client: Client) -> Pulled:
    """Record what is on the images of completed jobs, each state once; the rest goes on waiting.

    A job that is opened and completed again is taken in again where its boxes have changed, in place of what was on the image before,
    whoever drew that: a reviewer may have taken the job over. Of a task whose question was withdrawn, the
    images count that the round asks about anew. CVAT does not say how long somebody took: the costs of the config are charged for what was
    done to the boxes.
    """
    seen = remembered(study)
    there = {number: [task for task in tasks if is_there(client, task, seen.key)] for number, tasks in seen.tasks.items()}
    if not any(there.values()):
        raise BoxwiseError(f"{study.folder}: no task for it on {client.url}. Next: boxwise cvat push {quoted(study.folder)}")
    taken, known, late, findings, unfinished = 0, 0, [], [], set[str]()
    for round_index, tasks in sorted(there.items()):
        answers, waiting = _answers_of_round(study, client, tasks, round_index)
        unfinished |= waiting
        with remembering(study) as memory:
            for answer in answers:
                before = memory.taken(answer.place)
                # Where another process has changed it since it was read here, what was read may be the older; a later pull reads it anew.
                if before.state == answer.state or before != seen.taken(answer.place):
                    known += 1
                    continue
                try:
                    came_late = _record(study, answer, round_index, seen.key, times=before.times)
                except (UnreachableError, ChangedError):  # of the study, and not of this answer
                    raise
                except BoxwiseError as error:
                    findings.append(str(error))
                else:
                    memory.pulled[answer.place] = Taken(answer.state, before.times + 1)
                    late += [answer.image_id] * came_late
                    taken += not came_late
    back, still = sent_back(study, client, reopen=False), set(study.unanswered().image_ids)
    return Pulled(taken, known, tuple(findings), len(still), unfinished=len(unfinished & still), late=tuple(late), sent_back=back)


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
    def place(self) -> str:
        """Names the image in its task."""
        return self.places[0]

    @property
    def state(self) -> str:
        """A fingerprint of the boxes."""
        drawn = sorted(json.dumps([self.names.get(s["label_id"]), s.get("type"), s.get("rotation"), s.get("points")]) for s in self.shapes)
        return sha256("".join(drawn).encode()).hexdigest()[:16]


def _answers_of_round(study: Study, client: Client, tasks: Sequence[MadeTask], round_index: int) -> tuple[list[_Answer], set[str]]:
    """(one answer an image, of the latest task that has one; the images that the round asks about and that are in open jobs alone)."""
    asked, waiting = study.query(round_index).image_ids, set[str]()
    answers: list[_Answer] = []
    for number in range(len(tasks), 0, -1):
        known = {answer.image_id for answer in answers} - {""}
        completed, unfinished = _answers(client, tasks[:number], asked)
        answers += [answer for answer in completed if answer.image_id not in known]
        waiting |= unfinished
    return answers, waiting.intersection(asked) - {answer.image_id for answer in answers}


def _answers(client: Client, tasks: Sequence[MadeTask], asked: Sequence[str]) -> tuple[list[_Answer], set[str]]:
    """(the images of the completed jobs of a round's last task, those of its other jobs)."""
    number = tasks[-1].number
    frames = client.frames(number)
    ids = image_ids(tasks[-1], frames, asked)
    done = {
        frame: job
        for job in jobs_of(client, number)
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
        places = tuple(task.place(image_id) for task in reversed(tasks))
        answers.append(_Answer(places, image_id, image_id in asked, shapes, names, size, annotator, subject))
    return answers, {image_id for frame, image_id in enumerate(ids) if frame not in done}


def _record(study: Study, answer: _Answer, round_index: int, key: str, *, times: int) -> bool:
    """Whether it came after another person's. times: how many states of it were taken in. Raises BoxwiseError when it cannot be taken."""
    if not answer.asked:
        raise BoxwiseError(f"{answer.subject}: round {round_index} does not ask about it any more, so it was not taken.")
    classes = study.classes
    if missing := lacking(classes, answer.names.values()):
        raise BoxwiseError(f"{answer.subject}: has no {missing} to label with. Add it to the task, look at the image again, then pull.")
    image = usable(study, answer.image_id)
    if image is None:
        raise BoxwiseError(f"{answer.subject}: expected a usable image of the study, found none.")
    boxes = _boxes(answer, image, classes)
    places, state = [f"{MEMORY}:{key}:{place}" for place in answer.places], f"{times}:{answer.state}"
    by = answer.annotator
    return record_answer(study, answer.image_id, boxes, round_index=round_index, annotator=by, places=places, state=state, classes=classes)


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
    if shape["type"] != RECTANGLE:
        return f"has a {shape['type']}. Expected rectangles."
    if shape.get("rotation"):
        return f"has a rectangle that is turned by {shape['rotation']:g} degrees. Expected 0."
    name = names.get(shape["label_id"])
    return "" if name in classes else f"has the class {name!r}. Expected one of {', '.join(classes)}."
