"""A study's open query to a Label Studio project, and the annotations of people back as verdicts; both can be repeated.

Returns what changed. Knows the study and the client, nothing of percentages or HTTP.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import Any
from uuid import uuid4

from PIL import Image

from boxwise.data import image_store
from boxwise.data.images import read_image
from boxwise.errors import BoxwiseError, ImageError
from boxwise.files import locked
from boxwise.labelstudio.client import Client
from boxwise.labelstudio.tasks import boxes_of, configured_classes, key_of, labelling_config, model_version, task_of
from boxwise.records import ImageRecord, QueryItem
from boxwise.store import GIVEN, MODEL
from boxwise.study import Study
from boxwise.study.exchange import Pulled, Pushed, record

MEMORY = "labelstudio"  # what the store keeps of it: the study's own key, the project, what was taken in of which annotation ("pulled")
_TITLE = 50  # Label Studio's longest
_BATCH = 10  # images uploaded and imported at once: what a kill in the middle can leave uploaded without a task
_SHOWN_BY_BROWSERS = (".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp")
_INSTRUCTION = "What is on the image when you submit it is your answer: correct the boxes, delete wrong ones, draw what is missing."

Progress = Callable[[int, int], None]  # (images done, images in all)


def push(study: Study, client: Client, *, progress: Progress | None = None) -> Pushed:
    """Bring the project to what the study asks: its classes, the open query as tasks in the query's order, the model's boxes to correct.

    Images are uploaded, once. A task is known by its image and round, so that a second push changes nothing. Tasks of ours that
    the study no longer asks for are withdrawn, unless a person has worked on them. Tasks that others put into the project are left alone.
    """
    query = study.ask()
    project = _project(study, client)
    tasks = {key: task for task in client.tasks(project["id"]) if (key := key_of(task)) is not None}
    asked = {(image_id, query.round) for image_id in query.image_ids}
    stale = [task["id"] for key, task in tasks.items() if key not in asked and not _touched(task)]
    for number in stale:
        client.delete_task(number)
    new = [item for item in query.items if (item.image_id, query.round) not in tasks]
    made, findings = _send(study, client, project["id"], new, query.round, progress)
    there = len(query.items) - len(new)
    if made + there and project["model_version"] != model_version(query.round):
        client.change_project(project["id"], {"model_version": model_version(query.round)})
    return Pushed(f"{client.url}/projects/{project['id']}", query.round, made, there, len(stale), findings)


def pull(study: Study, client: Client) -> Pulled:
    """Record what people submitted, with who they are and the seconds they took; each state of an annotation once.

    Of several annotations of one image the one of the latest round counts, then the latest change. A changed one is recorded again, and
    only the additional seconds are charged. What cannot be read as boxes is left in Label Studio and named.
    """
    with _remembering(study) as memory:
        project = _found(memory, client)
    if project is None:
        raise BoxwiseError(f"{study.folder}: no project for it on {client.url}. Next: boxwise labelstudio push {study.folder}")
    answers, skipped = _answers(task for task in client.tasks(project["id"]) if key_of(task) is not None)
    people = client.people() if any(_is_new(memory, annotation) for _, annotation in answers) else {}
    findings = []
    with _remembering(study) as memory:
        new = [(task, annotation) for task, annotation in answers if _is_new(memory, annotation)]
        recorder = _Recorder(study, people, f"{MEMORY}:{memory['key']}")
        for task, annotation in new:
            try:
                recorder.record(task, annotation, charged=_charged(memory, annotation))
            except BoxwiseError as error:
                findings.append(str(error))
            else:
                _keep(memory, annotation)
    waiting = len(study.unanswered().items)
    return Pulled(len(new) - len(findings), len(answers) - len(new), tuple(findings), waiting, skipped)


def record_one(study: Study, task: Mapping[str, Any], annotation: Mapping[str, Any]) -> bool:
    """Record one annotation that the server tells of by itself; whether it was new. A later pull knows it.

    Raises BoxwiseError when it cannot be taken.
    """
    with _remembering(study) as memory:
        if not _is_new(memory, annotation):
            return False
        _Recorder(study, {}, f"{MEMORY}:{memory['key']}").record(task, annotation, charged=_charged(memory, annotation))
        _keep(memory, annotation)
    return True


@contextmanager
def _remembering(study: Study) -> Iterator[dict[str, Any]]:
    """What the study remembers of Label Studio, and anew when the block ends, however it ends; meanwhile no other may change it.

    Annotations come side by side. One that another overwrote would be forgotten, and all of its seconds charged again when it is changed.
    """
    with locked(study.folder / ".labelstudio.lock", wait=True):
        memory = _memory(study)
        try:
            yield memory
        finally:
            study.remember(MEMORY, memory)


def _is_new(memory: Mapping[str, Any], annotation: Mapping[str, Any]) -> bool:
    known = memory["pulled"].get(str(annotation["id"]), {})
    return bool(known.get("updated_at") != annotation["updated_at"])


def _charged(memory: Mapping[str, Any], annotation: Mapping[str, Any]) -> float:
    """The seconds of an annotation that were recorded before."""
    return float(memory["pulled"].get(str(annotation["id"]), {}).get("lead_time", 0))


def _keep(memory: dict[str, Any], annotation: Mapping[str, Any]) -> None:
    memory["pulled"][str(annotation["id"])] = {"updated_at": annotation["updated_at"], "lead_time": annotation.get("lead_time") or 0}


def _memory(study: Study) -> dict[str, Any]:
    """What the study remembers of Label Studio; its key is stored before it is used."""
    memory = study.recall(MEMORY)
    if memory is None:
        memory = {"key": uuid4().hex, "pulled": {}}
        study.remember(MEMORY, memory)
    pulled = memory.get("pulled", memory.get("told", {}))  # "told" in studies of earlier versions
    return {key: value for key, value in memory.items() if key != "told"} | {"pulled": dict(pulled)}


def _project(study: Study, client: Client) -> dict[str, Any]:
    """The study's project, made where there is none; its classes are the study's."""
    with _remembering(study) as memory:
        return _project_of(study, client, memory)


def _project_of(study: Study, client: Client, memory: dict[str, Any]) -> dict[str, Any]:
    title = f"boxwise: {study.folder.resolve().name}"[:_TITLE]
    found = _found(memory, client) or next((project for project in client.projects(title) if _is_of(project, memory)), None)
    if found is None:
        memory["pulled"] = {}  # annotations are numbered by the server: a new project may be on another one
        found = client.create_project(_new_project(title, memory["key"], study.classes))
    elif configured_classes(found["label_config"]) != study.classes:
        found = client.change_project(found["id"], {"label_config": labelling_config(study.classes)})
    memory["project"] = found["id"]
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
    """The project that the study remembers, if the server still has it: by its key, since another server may have the same number."""
    project = client.project(memory["project"]) if "project" in memory else None
    return project if project is not None and _is_of(project, memory) else None


def _is_of(project: Mapping[str, Any], memory: Mapping[str, Any]) -> bool:
    return memory["key"] in (project.get("description") or "")


def _touched(task: Mapping[str, Any]) -> bool:
    return bool(task.get("annotations") or task.get("drafts") or task.get("total_annotations") or task.get("cancelled_annotations"))


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
            shown = study.shown(image_id, round_index=round_index)
            tasks.append(task_of(item, shown, records[image_id], classes=study.classes, url=url, **place))
        if tasks:
            client.import_tasks(project, tasks)
        made += len(tasks)
        if progress is not None:
            progress(min(start + _BATCH, len(items)), len(items))
    return made, tuple(findings)


def _file(record: ImageRecord) -> tuple[str, bytes]:
    """The image as a browser can show it: as it is, or as PNG."""
    name = PurePosixPath(record.image_id)
    if name.suffix.lower() in _SHOWN_BY_BROWSERS:
        return name.name, image_store.read(record.uri)
    content = io.BytesIO()
    Image.fromarray(read_image(record.uri)).save(content, "PNG")
    return f"{name.name}.png", content.getvalue()


def _answers(tasks: Iterable[Mapping[str, Any]]) -> tuple[list[tuple[Mapping[str, Any], Mapping[str, Any]]], tuple[str, ...]]:
    """One (task, annotation) an image, oldest change first; and the images that people only passed over."""
    best: dict[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {}
    skipped = {}
    for task in sorted(tasks, key=lambda task: task["data"]["round"]):
        image_id = task["data"]["image_id"]
        given = [annotation for annotation in task.get("annotations", ()) if not annotation.get("was_cancelled")]
        if given:
            best[image_id] = task, max(given, key=lambda annotation: annotation["updated_at"])
        skipped[image_id] = bool(task.get("annotations")) and not given
    answers = sorted(best.values(), key=lambda answer: answer[1]["updated_at"])
    return answers, tuple(image_id for image_id, passed in skipped.items() if passed)


class _Recorder:
    """Records annotations in a study. people: user number → name. key: prefix of the keys of answers, the study's own."""

    def __init__(self, study: Study, people: Mapping[int, str], key: str) -> None:
        self._study = study
        self._people = people
        self._key = key
        self._records = {record.image_id: record for record in study.images()}

    def record(self, task: Mapping[str, Any], annotation: Mapping[str, Any], *, charged: float) -> None:
        """One annotation as verdicts on what its task showed; `charged`: its seconds that were recorded before.

        Raises BoxwiseError when it cannot be taken.
        """
        study, number, lead = self._study, annotation["id"], annotation.get("lead_time")
        image_id, round_index = task["data"]["image_id"], task["data"]["round"]
        subject = f"{image_id} (Label Studio task {task['id']}, annotation {number})"
        image = self._records.get(image_id)
        if image is None or image_id not in study.asked(round_index):
            raise BoxwiseError(f"{subject}: expected a usable image that the study asked for in round {round_index}, found none.")
        boxes = boxes_of(annotation["result"], image, study.classes, subject=subject)
        record(
            study,
            image_id,
            boxes,
            round_index=round_index,
            annotator=self._name(annotation.get("completed_by")),
            key=f"{self._key}:{number}:{annotation['updated_at']}",
            seconds=None if lead is None else max(0.0, lead - charged),
        )

    def _name(self, user: Any) -> str:
        if isinstance(user, dict) and user.get("email"):  # as in what the server tells by itself
            return str(user["email"])
        if not isinstance(user, int):
            return "human"
        unnamed = f"Label Studio user {user}"
        name = self._people.get(user, unnamed)
        return unnamed if name in (GIVEN, MODEL) else name
