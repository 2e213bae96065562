"""The dashboard's figures: quality and labour so far, what the next batch is likely to bring, and which labels to look at again.

Returns plain JSON values. Reads what steps have committed and the files they left; runs no model. Knows nothing of HTTP or pages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from threading import Lock
from typing import Any, Generic, TypeVar

import numpy as np

from boxwise.artifacts.detections_file import read_classes, read_detections
from boxwise.artifacts.facts import Round, stopping_aps
from boxwise.artifacts.round_folder import RoundFolder
from boxwise.artifacts.scored_pool import read_score_values
from boxwise.boxes import Boxes
from boxwise.config import resolve
from boxwise.evaluation.cost import seconds_for
from boxwise.evaluation.suspects import FAINT, suspects, worst
from boxwise.jsonable import plain
from boxwise.records import Annotation, ImageRecord, Phase, Split
from boxwise.results.colors import class_colors
from boxwise.study import Study
from boxwise.web.outlook import budget, evaluated, learning_curve, seconds_each
from boxwise.web.progress import goes_on_by, read_trouble
from boxwise.web.stopping import BEGUN, suggestion

_MOST_WORST, _MOST_SUSPECTS, _MOST_ASIDE, _BINS = 12, 48, 50, 20
_HOUR = 3600.0
Value = TypeVar("Value")


class _Kept(Generic[Value]):
    """What was made of a study, for all who ask: made anew only when a label, a step, an event or a setting has changed since."""

    def __init__(self, study: Study, make: Callable[[Study], Value]) -> None:
        self._study, self._make = study, make
        self._kept: tuple[object, Value] | None = None
        self._making = Lock()

    def get(self) -> Value:
        """As the study is now; who asks while it is made waits for it."""
        with self._making:
            self._study.reread()
            stamp = self._study.stamp(), self._study.config  # before it is made: what comes while it is has it made again
            if self._kept is None or self._kept[0] != stamp:
                self._kept = stamp, self._make(self._study)
            return self._kept[1]


class Dashboard:
    """The figures of one study for all who watch, and the labels in doubt."""

    def __init__(self, study: Study) -> None:
        self._study, self._figures, self._doubted = study, _Kept(study, dashboard), _Kept(study, doubted)

    def figures(self) -> dict[str, Any]:
        """`dashboard` of the study as it is now."""
        figures = self._figures.get()
        shown = figures["suspects"][:_MOST_SUSPECTS]
        now = {"trouble": read_trouble(self._study.folder), "goes_on_by": goes_on_by(self._study.folder)}
        return figures | {"suspects": shown} | now | put_aside(self._study)

    def doubts(self, image_id: str) -> list[dict[str, Any]]:
        """What the model doubts of one image's labels, the weightiest first."""
        return [doubt for doubt in self._doubted.get() if doubt["image_id"] == image_id]

    def suspects(self) -> set[str]:
        """The images of which the model doubts a label."""
        return {doubt["image_id"] for doubt in self._doubted.get()}


def dashboard(study: Study) -> dict[str, Any]:
    """Everything the dashboard page shows but for what was `put_aside`, and every suspect; what is not known yet is None or empty.

    Images whose labels are secret count as labour alone.
    """
    number_now, phase = study.position
    rounds = study.rounds()
    labels = {split: study.annotations(split) for split in (Split.TRAIN, Split.VAL)}
    records = {record.image_id: record for record in study.records(i for of_split in labels.values() for i in of_split)}
    labour = _labour(study, labels[Split.TRAIN], labels[Split.VAL])
    secret = study.secret()
    seen = {split: {i: one for i, one in of_split.items() if i not in secret} for split, of_split in labels.items()}
    points, following, outdated = quality(rounds), expected(study, rounds), study.outdated(labels)
    values = {
        "name": study.folder.resolve().name,
        "round": number_now,
        "rounds": study.config.budget.rounds,
        "phase": phase.value,
        "trouble": read_trouble(study.folder),
        "goes_on_by": goes_on_by(study.folder),
        "classes": [{"name": n, "color": c} for n, c in zip(study.classes, class_colors(len(study.classes)), strict=True)],
        "quality": points,
        "outdated": {"images": outdated.images, "lost": outdated.lost, "before": outdated.before, "command": outdated.command},
        "labour": labour,
        "next": following,
        "budget": budget(study, rounds, labour),
        "stop": suggestion([*stopping_aps(rounds).values()], study.config.stop, following),
        "balance": _balance(study, rounds, seen[Split.TRAIN]),
        "histograms": _histograms(study, rounds),
        "worst": _worst(study, rounds, seen, records),
        "suspects": _suspects(study, rounds, lambda _: seen[Split.TRAIN] | seen[Split.VAL]),
    }
    return plain(values)


def doubted(study: Study) -> list[dict[str, Any]]:
    """Every suspect; no labels are read but of images of which a model that knows something has said what it sees."""
    suspected: list[dict[str, Any]] = plain(_suspects(study, study.rounds(), lambda ids: study.labels_of(ids - study.secret())))
    return suspected


def put_aside(study: Study) -> dict[str, Any]:
    """Which images were sent back and not answered since, to whom and when, and which of the round people skipped and why.

    Of each the first `_MOST_ASIDE`, and how many there are.
    """
    back = [{"image_id": image_id, "to": sent.to, "at": sent.at} for image_id, sent in study.reviews.sent_back().items()]
    skipped = study.labelling.skipped(study.position[0])
    reasons = [{"image_id": i, "by": name, "reason": why} for i, given in sorted(skipped.items()) for name, why in sorted(given.items())]
    counts = {"sent_back_count": len(back), "skipped_count": len(reasons)}
    return {"sent_back": back[:_MOST_ASIDE], "skipped": reasons[:_MOST_ASIDE]} | counts


def quality(rounds: Sequence[Round]) -> list[dict[str, Any]]:
    """AP and AP50 on val of each evaluated round, with what had been labelled by then.

    judged_on: val, or how else it was judged. val_images: how many images say so. ap_range, ap50_range: 95% intervals over them, None where
    they are not known.
    """
    points = []
    for one in rounds:
        spent, metrics = one.annotate, one.evaluate.val
        if one.done(Phase.ANNOTATE) and metrics:
            costs = {"images": spent.images, "boxes": spent.boxes, "seconds": spent.seconds}
            limits = metrics.get("intervals") or {}
            chance = {"val_images": metrics["images"], "ap_range": limits.get("ap"), "ap50_range": limits.get("ap50")}
            points.append({"round": one.round, "judged_on": one.judged_on, **costs, "ap": metrics["ap"], "ap50": metrics["ap50"], **chance})
    return points


def expected(study: Study, rounds: Sequence[Round]) -> dict[str, Any] | None:
    """AP that the next batch is likely to add on val, and its price; None with fewer than three evaluated rounds, or nothing left.

    Follows the AP that the stopping rule follows, over labelled images or boxes, whichever the budget counts. The price is what an image
    (or box) took in the last labelled round, validation images included.
    """
    unit = study.config.budget.unit
    unit = "seconds" if unit == "money" else unit
    points, batch = evaluated(rounds, unit), _batch(study)
    curve = learning_curve(points)
    if curve is None or not batch:
        return None
    now = points[-1][0]
    gain, each = curve.gain(now, batch), seconds_each(rounds, unit)
    seconds = None if each is None else each * batch
    return {
        "unit": unit,
        "batch": batch,
        "gain": gain.mean,
        "low": gain.low,
        "high": gain.high,
        "seconds_each": each,
        "seconds": seconds,
        "per_hour": gain.mean / seconds * _HOUR if seconds else None,
        "curve": [[amount, curve.at(amount)] for amount in np.linspace(points[0][0] or 1, now + batch, 40)],
    }


def _batch(study: Study) -> int:
    """Images (or boxes, or seconds) of the next question, or of the one that is open; 0 when the pool is empty."""
    pool, budget = study.pool_size(), study.config.budget
    amount = resolve(budget.per_round, study.image_count(Split.TRAIN), "budget.per_round")
    round_index, phase = study.position
    if phase is Phase.ANNOTATE and round_index and budget.unit == "images":
        return sum(item.split is Split.TRAIN for item in study.query(round_index).items)
    amount = round(seconds_for(amount, study.config.cost)) if budget.unit == "money" else amount
    return min(amount, pool) if budget.unit == "images" else amount * (pool > 0)


def _labour(study: Study, train: Mapping[str, Annotation], val: Mapping[str, Annotation]) -> dict[str, Any]:
    """Labelled images and boxes, as `Store.labour` counts them, and who spent how long on them."""
    people = [
        {"name": name, "images": done.images, "seconds": done.seconds, "each": done.seconds / done.images if done.images else None}
        for name, done in study.people().items()
    ]
    by_model = sum(int(annotation.by_model.sum()) for annotation in train.values())
    boxes = sum(len(annotation.boxes) for annotation in train.values()) - by_model
    amounts = {"images": len(train), "boxes": boxes, "model_boxes": by_model, "val_images": len(val)}
    return amounts | {"seconds": study.seconds(Split.TRAIN) + study.seconds(Split.VAL), "people": people}


def _balance(study: Study, rounds: Sequence[Round], train: Mapping[str, Annotation]) -> list[dict[str, Any]]:
    """Labelled boxes of each class, and the model's detections in the pool at `ask.uncertain` or more; None before the first pass."""
    labelled = np.zeros(len(study.classes), np.int64)
    for annotation in train.values():
        labelled += np.bincount(annotation.boxes.labels, minlength=len(labelled))
    path = _last(study, rounds, Phase.SCORE, lambda files: files.detections)
    found = None if path is None else _detected(path, path.stat().st_mtime_ns, study.config.ask.uncertain, len(labelled))
    return [
        {"name": name, "labelled": int(labelled[row]), "found": None if found is None else found[row]}
        for row, name in enumerate(study.classes)
    ]


@lru_cache(maxsize=4)
def _detected(path: Path, _modified: int, score: float, class_count: int) -> tuple[int, ...]:
    counts = np.zeros(class_count, np.int64)
    for seen in read_classes(path, score):
        counts += np.bincount(seen.labels, minlength=class_count)
    return tuple(counts.tolist())


def _histograms(study: Study, rounds: Sequence[Round]) -> list[dict[str, Any]]:
    """The scores of the last pool pass, and each of their terms."""
    path = _last(study, rounds, Phase.SCORE, lambda files: files.scores)
    if path is None:
        return []
    return list(_binned(path, path.stat().st_mtime_ns))


@lru_cache(maxsize=4)
def _binned(path: Path, _modified: int) -> tuple[dict[str, Any], ...]:
    made = []
    for name, values in read_score_values(path).items():
        known = values[np.isfinite(values)]
        if len(known) and np.ptp(known) > 0:
            counts, edges = np.histogram(known, _BINS)
            made.append({"name": name, "counts": counts, "edges": edges})
    return tuple(made)


def _worst(
    study: Study, rounds: Sequence[Round], labels: Mapping[Split, Mapping[str, Annotation]], records: Mapping[str, ImageRecord]
) -> list[dict[str, Any]]:
    """The val images in which the last evaluated model gets most wrong; in cross-validation, of all that are labelled."""
    last = next((one for one in reversed(rounds) if one.done(Phase.EVALUATE)), None)
    found, judged = _on_val(study, rounds), labels[Split.TRAIN if last and last.train.folds else Split.VAL]
    truths = {image_id: annotation.boxes for image_id, annotation in judged.items() if annotation.complete and image_id in found}
    faults = worst(found, truths, len(study.classes))[:_MOST_WORST]
    sizes = [records[fault.image_id] for fault in faults]
    return [
        {"image_id": f.image_id, "width": r.width, "height": r.height, "missed": f.missed, "imagined": f.imagined, "confused": f.confused}
        for f, r in zip(faults, sizes, strict=True)
    ]


def _suspects(study: Study, rounds: Sequence[Round], labels_of: Callable[[Set[str]], Mapping[str, Annotation]]) -> list[dict[str, Any]]:
    """The labels that the model contradicts most.

    Val is judged by the last evaluated model. An image of train by the pool pass that chose it: the last model that had not been trained on
    its labels. Images labelled before the first pass, or never asked for, are not judged; nor are those that somebody has answered for a
    second time since. A model of an AP below `BEGUN` knows too little to doubt anybody.
    """
    found = _before_labels(study, rounds) | _judged_val(study, rounds)
    if not found:
        return []
    again = study.answered_again()
    fresh = {image_id: one for image_id, one in labels_of(found.keys()).items() if one.complete and image_id not in again}
    boxes, rejected = {i: of.boxes for i, of in fresh.items()}, {i: of.rejected for i, of in fresh.items()}
    doubts = suspects(found, boxes, rejected=rejected)
    records = {record.image_id: record for record in study.records({doubt.image_id for doubt in doubts})}
    return [
        {
            "image_id": doubt.image_id,
            "split": (records[doubt.image_id].split or Split.TRAIN).value,
            "width": records[doubt.image_id].width,
            "height": records[doubt.image_id].height,
            "doubt": doubt.doubt.value,
            "xyxy": doubt.xyxy,
            "label": doubt.label,
            "found": doubt.found,
            "strength": doubt.strength,
        }
        for doubt in doubts
    ]


def _on_val(study: Study, rounds: Sequence[Round]) -> dict[str, Boxes]:
    """The last evaluated model's detections on val."""
    path = _last(study, rounds, Phase.EVALUATE, lambda files: files.val_detections)
    return {} if path is None else _detections(path, path.stat().st_mtime_ns, None)


def _judged_val(study: Study, rounds: Sequence[Round]) -> dict[str, Boxes]:
    """Those of a model that knows enough to doubt labels."""
    last = next((one for one in reversed(rounds) if one.done(Phase.EVALUATE)), None)
    return {} if last is None or not _knows_something(last) else _on_val(study, rounds)


def _knows_something(one: Round) -> bool:
    """Whether the model that a round trained has begun to work, by its AP on val."""
    ap = one.evaluate.stopping_ap
    return ap is not None and ap >= BEGUN


def _before_labels(study: Study, rounds: Sequence[Round]) -> dict[str, Boxes]:
    """The detections of the pool pass that each labelled image of train was last chosen by, of models that knew something."""
    found: dict[str, Boxes] = {}
    for before, one in pairwise(rounds):
        path = study.files(before.round).detections
        if path.is_file() and _knows_something(before) and study.is_of_todays_classes(before.round, Phase.SCORE):
            asked = frozenset(item.image_id for item in one.items if item.split is Split.TRAIN)
            found |= _detections(path, path.stat().st_mtime_ns, asked)
    return found


@lru_cache(maxsize=64)
def _detections(path: Path, _modified: int, only: frozenset[str] | None) -> dict[str, Boxes]:
    """Detections that count, without what else the file holds; read once, as they are of committed rounds."""
    found = ((image_id, boxes.at_least(FAINT)) for image_id, boxes in read_detections(path, only=only))
    return {image_id: Boxes(boxes.xyxy, boxes.labels, boxes.scores) for image_id, boxes in found}


def _last(study: Study, rounds: Sequence[Round], step: Phase, name: Callable[[RoundFolder], Path]) -> Path | None:
    """The file of that name that `step` left in the last round that has one, of today's classes."""
    paths = (name(study.files(one.round)) for one in reversed(rounds) if study.is_of_todays_classes(one.round, step))
    return next((path for path in paths if path.is_file()), None)
