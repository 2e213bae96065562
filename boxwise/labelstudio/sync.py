"""A study's open query to a Label Studio project, and the annotations of people back as verdicts; both can be repeated.

Returns what changed. Knows the study and the client, nothing of percentages or HTTP.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import PurePosixPath
from typing import Any
from uuid import uuid4

from boxwise.data.for_browsers import for_browsers, named_for
from boxwise.errors import BoxwiseError, ChangedError, ImageError, UnreachableError, plural, quoted
from boxwise.labelstudio.client import Client
from boxwise.labelstudio.tasks import boxes_of, configured_classes, key_of, labelling_config, model_version, task_of
from boxwise.records import ImageRecord, Query, QueryItem
from boxwise.store import GIVEN, MODEL, PEOPLE
from boxwise.study import Study
from boxwise.study.exchange import Pulled, Pushed, asked_of_two, pushing, record_answer, remembering, sent_back_message, usable

MEMORY = "labelstudio"  # what the store keeps of it: the study's own key, the project, what was taken in of which annotation ("pulled")
_TITLE = 50  # Label Studio's longest
_BATCH = 10  # images uploaded and imported at once: what a kill in the middle can leave uploaded without a task
_INSTRUCTION = "What is on the image when you submit it is your answer: correct the boxes, delete wrong ones, draw what is missing."

Progress = Callable[[int, int], None]  # (images done, images in all)


def push(study: Study, client: Client, *, progress: Progress | None = None) -> Pushed:
    """Bring the project to what the study asks: its classes, the open query as tasks in the query's order, the model's boxes to correct.

    Images are uploaded, once. A task is known by its image and round, so that a second push changes nothing. Tasks of ours that
    the study no longer asks for are withdrawn, unless a person has worked on them. Tasks that others put into the project are left alone.
    Where two people are asked about an image, the project takes two annotations a task.
    """
    with pushing(study, MEMORY):
        return _push(study, client, study.ask(), progress)


def _push(study: Study, client: Client, query: Query, progress: Progress | None) -> Pushed:
    project = _project(study, client)
    tasks = {key: task for task in client.tasks(project["id"]) if (key := key_of(task)) is not None}
    asked = {(image_id, query.round) for image_id in query.image_ids}
    withdrawn = 0
    for key, task in tasks.items():
        if key not in asked and not _touched(task):
            withdrawn += _withdraw(client, task["id"])
    for_two = asked_of_two(query)
    if for_two and project.get("maximum_annotations", 1) < PEOPLE:
        client.change_project(project["id"], {"maximum_annotations": PEOPLE})
    new = [item for item in query.items if (item.image_id, query.round) not in tasks]
    made, findings = _send(study, client, project["id"], new, query.round, progress)
    there = len(query.items) - len(new)
    if made + there and project["model_version"] != model_version(query.round):
        client.change_project(project["id"], {"model_version": model_version(query.round)})
    address = f"{client.url}/projects/{project['id']}"
    with _remembering(study) as memory:
        sent_back = _sent_back(study, memory, tasks.values(), address)
    findings = (*_for_two(for_two), *findings, *sent_back)
    return Pushed(address, query.round, made, there, withdrawn, findings)


def pull(study: Study, client: Client) -> Pulled:
    """Record what people submitted, with who they are and the seconds they took; each state of an annotation once.

    Of several annotations of one image the one of the latest round counts, then the latest change; where two people were asked, each
    person's. A changed one is recorded again, and only the additional seconds are charged. What cannot be read as boxes is left in Label
    Studio and named.
    """
    with _remembering(study) as memory:
        project = _found(memory, client)
    if project is None:
        raise BoxwiseError(f"{study.folder}: no project for it on {client.url}. Next: boxwise labelstudio push {quoted(study.folder)}")
    tasks = [task for task in client.tasks(project["id"]) if key_of(task) is not None]
    answers, skipped = _answers(study, tasks)
    people = client.people() if any(_is_new(memory, annotation) for _, annotation in answers) else {}
    findings, late = [], []
    with _remembering(study) as memory:
        new = [(task, annotation) for task, annotation in answers if _is_new(memory, annotation)]
        recorder = _Recorder(study, memory, people)
        for task, annotation in new:
            try:
                late += [task["data"]["image_id"]] * recorder.record(task, annotation)
            except (UnreachableError, ChangedError):  # of the study, and not of this answer
                raise
            except BoxwiseError as error:
                findings.append(str(error))
    taken, waiting = len(new) - len(findings) - len(late), len(study.unanswered().items)
    sent_back = _sent_back(study, memory, tasks, f"{client.url}/projects/{project['id']}")
    return Pulled(taken, len(answers) - len(new), tuple(findings), waiting, skipped, late=tuple(late), sent_back=sent_back)


def record_one(study: Study, task: Mapping[str, Any], annotation: Mapping[str, Any]) -> bool:
    """Record one annotation that the server tells of by itself; whether it was new. A later pull knows it.

    Raises BoxwiseError when it cannot be taken.
    """
    with _remembering(study) as memory:
        if not _is_new(memory, annotation):
            return False
        _Recorder(study, memory, {}).record(task, annotation)
    return True


def _remembering(study: Study) -> AbstractContextManager[dict[str, Any]]:
    return remembering(study, MEMORY, read=_read, write=dict)


def _is_new(memory: Mapping[str, Any], annotation: Mapping[str, Any]) -> bool:
    pulled = memory["pulled"].get(str(annotation["id"]), {})
    return bool(pulled.get("updated_at") != annotation["updated_at"])


def _read(kept: Any) -> dict[str, Any]:
    """What the study remembers of Label Studio, of what it kept.

    pulled: annotation → what was taken in of it last, of whom, and the seconds that are recorded; earlier versions did not keep of whom.
    people: user number → under which name what they do is recorded. made: when the project was, which tells it from one of the same number
    on another server; earlier versions did not keep that.
    """
    memory: dict[str, Any] = {"key": uuid4().hex} if kept is None else kept
    pulled = memory.get("pulled", memory.get("told", {}))  # "told" in studies of earlier versions
    return {key: value for key, value in memory.items() if key != "told"} | {"pulled": dict(pulled)}


def _project(study: Study, client: Client) -> dict[str, Any]:
    """The study's project, made where there is none; its classes are the study's."""
    with _remembering(study) as memory:
        return _project_of(study, client, memory)


def _project_of(study: Study, client: Client, memory: dict[str, Any]) -> dict[str, Any]:
    title = f"boxwise: {study.folder.resolve().name}"[:_TITLE]
    found = _found(memory, client)
    if found is None:
        existing = next((project for project in client.projects(title) if _is_of(project, memory)), None)
        found = existing or client.create_project(_new_project(title, memory["key"], study.classes))
        # Annotations and people are numbered by the server, and this project may be on another one than that before.
        memory |= {"pulled": {}, "people": {}, "project": found["id"], "made": found.get("created_at")}
    if configured_classes(found["label_config"]) != study.classes:
        found = client.change_project(found["id"], {"label_config": labelling_config(study.classes)})
    return found


def _new_project(title: str, key: str, classes: Sequence[str]) -> dict[str, Any]:
    return {
        "title": title,
        "description": f"Made by boxwise. Study {key}: leave this line here.",
        "label_config": labelling_config(classes),
        "expert_instruction": _INSTRUCTION,
        "sampling": "Uncertainty sampling",
        "enable_empty_annotation": True,
        "show_collab_predictions": True,
    }


def _found(memory: Mapping[str, Any], client: Client) -> dict[str, Any] | None:
    """The project that the study remembers, if the server has it: another one may have one of that number, also of the study."""
    project = client.project(memory["project"]) if "project" in memory else None
    if project is None or not _is_of(project, memory):
        return None
    return project if memory.get("made") in (None, project.get("created_at")) else None


def _is_of(project: Mapping[str, Any], memory: Mapping[str, Any]) -> bool:
    return memory["key"] in (project.get("description") or "")


def _place(memory: Mapping[str, Any], annotation: Mapping[str, Any]) -> str:
    """Names an annotation among those of all projects that the study ever had, on any server."""
    project = [f"{memory['project']} of {memory['made']}"] if "made" in memory else []
    return ":".join([MEMORY, memory["key"], *project, str(annotation["id"])])


def _touched(task: Mapping[str, Any]) -> bool:
    return bool(task.get("annotations") or task.get("drafts") or task.get("total_annotations") or task.get("cancelled_annotations"))


def _withdraw(client: Client, number: int) -> bool:
    """Delete a task, unless somebody has worked on it since the tasks were listed; whether it is gone."""
    task = client.task(number)
    if task is not None and _touched(task):
        return False
    client.delete_task(number)
    return True


def _send(
    study: Study, client: Client, project: int, items: Sequence[QueryItem], round_index: int, progress: Progress | None
) -> tuple[int, tuple[str, ...]]:
    """Upload the images and import their tasks, batch by batch; how many, and what could not be read."""
    records = {record.image_id: record for record in study.records(item.image_id for item in items)}
    order = {image_id: rank for rank, image_id in enumerate(study.query(round_index).image_ids)}
    made, findings = 0, []
    for start in range(0, len(items), _BATCH):
        batch, files = [], []
        for item in items[start : start + _BATCH]:
            try:
                files.append(_file(records[item.image_id]))
                batch.append(item)
            except ImageError as error:
                findings.append(f"{item.image_id}: cannot be sent: {error}")
        urls = client.upload(project, files) if files else []
        tasks = []
        for item, url in zip(batch, urls, strict=True):
            image_id, place = item.image_id, {"round_index": round_index, "rank": order[item.image_id], "asked": len(order)}
            proposals = study.shown(image_id, round_index=round_index)
            tasks.append(task_of(item, proposals, records[image_id], classes=study.classes, url=url, **place))
        if tasks:
            client.import_tasks(project, tasks)
        made += len(tasks)
        if progress is not None:
            progress(min(start + _BATCH, len(items)), len(items))
    return made, tuple(findings)


def _file(record: ImageRecord) -> tuple[str, bytes]:
    """The image as a browser shows it, called by what it then is."""
    name, (content, media) = PurePosixPath(record.image_id).name, for_browsers(record.uri)
    return named_for(name, media), content


def _for_two(images: Sequence[str]) -> tuple[str, ...]:
    """What a push says of images that two people are to label, each alone."""
    asked = f"{plural(len(images), 'image', 'is')} for two people, each alone: {', '.join(images)}."
    return (f"{asked} So the project takes two annotations of every task; of the other images one counts.",) if images else ()


def _sent_back(study: Study, memory: Mapping[str, Any], tasks: Iterable[Mapping[str, Any]], project: str) -> tuple[str, ...]:
    """One message for each answer of these tasks that a reviewer has sent back. project: its address."""
    back, numbers = study.reviews.sent_back(), {}
    for task in tasks:
        why = back.get(task["data"]["image_id"])
        places = [f"{_place(memory, annotation)}:" for annotation in task.get("annotations") or ()]
        if why is not None and places and study.labelling.came_under(why.number, places):
            numbers[task["data"]["image_id"]] = task["id"]
    where = {image_id: f"Correct it in {project}/data?task={number}, then pull." for image_id, number in numbers.items()}
    return tuple(sent_back_message(image_id, why, then=where[image_id]) for image_id, why in back.items() if image_id in where)


_Given = tuple[Mapping[str, Any], Mapping[str, Any]]  # (task, annotation)


def _answers(study: Study, tasks: Sequence[Mapping[str, Any]]) -> tuple[list[_Given], tuple[str, ...]]:
    """One annotation an image, or one a person where a round asks two about it, oldest change first; and the images only passed over."""
    for_two = {number: asked_of_two(study.query(number)) for number in {task["data"]["round"] for task in tasks}}
    best: dict[str, list[_Given]] = {}
    skipped = {}
    for task in sorted(tasks, key=lambda task: task["data"]["round"]):
        image_id, number = task["data"]["image_id"], task["data"]["round"]
        given = [annotation for annotation in task.get("annotations", ()) if not annotation.get("was_cancelled")]
        if given:
            in_time = sorted(given, key=lambda annotation: annotation["updated_at"])
            latest = {_user(annotation) if image_id in for_two[number] else None: annotation for annotation in in_time}
            best[image_id] = [(task, annotation) for annotation in latest.values()]
        skipped[image_id] = bool(task.get("annotations")) and not given
    answers = sorted((answer for found in best.values() for answer in found), key=lambda answer: answer[1]["updated_at"])
    return answers, tuple(image_id for image_id, passed in skipped.items() if passed)


def _user(annotation: Mapping[str, Any]) -> int | None:
    """The number of who gave an annotation; None where the server does not say."""
    user = annotation.get("completed_by")
    number = user.get("id") if isinstance(user, dict) else user  # a dict as in what the server tells by itself
    return number if isinstance(number, int) else None


class _Recorder:
    """Records annotations in a study, and in its memory what was recorded. people: user number → name."""

    def __init__(self, study: Study, memory: dict[str, Any], people: Mapping[int, str]) -> None:
        self._study = study
        self._memory = memory
        self._people = people

    def record(self, task: Mapping[str, Any], annotation: Mapping[str, Any]) -> bool:
        """One annotation as verdicts on what its task showed, with the seconds that came on top; returns whether another's came before it.

        Raises BoxwiseError when it cannot be taken.
        """
        study, number, lead = self._study, annotation["id"], annotation.get("lead_time")
        image_id, round_index = task["data"]["image_id"], task["data"]["round"]
        subject = f"{image_id} (Label Studio task {task['id']}, annotation {number})"
        image = usable(study, image_id)
        if image is None or image_id not in study.asked(round_index):
            raise BoxwiseError(f"{subject}: expected a usable image that the study asked for in round {round_index}, found none.")
        classes = study.classes
        boxes = boxes_of(annotation["result"], image, classes, subject=subject)
        pulled, annotator = self._memory["pulled"].get(str(number), {}), self._name(annotation)
        late = record_answer(
            study,
            image_id,
            boxes,
            round_index=round_index,
            annotator=annotator,
            places=[_place(self._memory, annotation)],
            state=annotation["updated_at"],
            classes=classes,
            seconds=None if lead is None else max(0.0, lead - pulled.get("lead_time", 0.0)),
        )
        kept = {"updated_at": annotation["updated_at"], "lead_time": lead or 0, "annotator": annotator}
        self._memory["pulled"][str(number)] = kept
        if (user := _user(annotation)) is not None:
            self._memory.setdefault("people", {}).setdefault(str(user), annotator)
        return late

    def _name(self, annotation: Mapping[str, Any]) -> str:
        """Who gave an annotation: as recorded with it, else under which name its user is known here, else as the server says."""
        user, completed_by = _user(annotation), annotation.get("completed_by")
        email = completed_by.get("email") if isinstance(completed_by, dict) else self._people.get(user) if user is not None else None
        by_server = email if email and email not in (GIVEN, MODEL) else "human" if user is None else f"Label Studio user {user}"
        recorded = self._memory.get("people", {}).get(str(user), by_server)
        return str(self._memory["pulled"].get(str(annotation["id"]), {}).get("annotator", recorded))
