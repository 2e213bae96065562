"""The dashboard's figures: quality and labour so far, what the next batch is likely to bring, and which labels to look at again.

Returns plain JSON values. Reads what steps have committed and the files they left; runs no model. Knows nothing of HTTP or pages.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from boxwise.artifacts.detections_file import read_detections
from boxwise.artifacts.scored_pool import read_scores
from boxwise.boxes import Boxes
from boxwise.config import resolve
from boxwise.evaluation.expected_gain import FEWEST_ROUNDS, LearningCurve
from boxwise.evaluation.suspects import FAINT, suspects, worst
from boxwise.jsonable import plain
from boxwise.records import Annotation, ImageRecord, Phase, Split
from boxwise.results.colors import class_colors
from boxwise.results.facts import Facts, number
from boxwise.rounds.evaluate import VAL_DETECTIONS, stopping_ap
from boxwise.study import Study
from boxwise.web.progress import read_trouble
from boxwise.web.stopping import BEGUN, suggestion

DETECTIONS = "detections.parquet"
_MOST_WORST, _MOST_SUSPECTS, _BINS = 12, 48, 20
_HOUR = 3600.0


class Dashboard:
    """The figures of one study for all who watch: made anew only when a label, a step or a quarantine has come or gone since."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self._stamp: object = None
        self._figures: dict[str, Any] = {}
        self._making = Lock()

    def figures(self) -> dict[str, Any]:
        """`dashboard` of the study as it is now; who asks while it is made waits for it."""
        with self._making:
            stamp = self._study.store.stamp()  # before the figures: what comes while they are made has them made again
            if stamp != self._stamp:
                self._figures, self._stamp = dashboard(self._study), stamp
            shown = self._figures["suspects"][:_MOST_SUSPECTS]
            return self._figures | {"suspects": shown, "trouble": read_trouble(self._study.folder)}

    def doubts(self, image_id: str) -> list[dict[str, Any]]:
        """What the model doubts of one image's labels, the weightiest first."""
        self.figures()
        return [doubt for doubt in self._figures["suspects"] if doubt["image_id"] == image_id]


def dashboard(study: Study) -> dict[str, Any]:
    """Everything the dashboard page shows, and every suspect; what is not known yet is None or empty."""
    number_now, phase = study.store.position
    facts = study.store.facts()
    records = {record.image_id: record for record in study.store.images()}  # before the labels: what is quarantined now has none then
    labels = {split: study.store.annotations(split) for split in (Split.TRAIN, Split.VAL)}
    points, following = quality(facts), expected(study, facts)
    values = {
        "name": study.folder.resolve().name,
        "round": number_now,
        "rounds": study.config.budget.rounds,
        "phase": phase.value,
        "trouble": read_trouble(study.folder),
        "classes": [{"name": n, "color": c} for n, c in zip(study.classes, class_colors(len(study.classes)), strict=True)],
        "quality": points,
        "labour": _labour(study, labels[Split.TRAIN], labels[Split.VAL]),
        "next": following,
        "stop": suggestion([stopping_ap(of.get("evaluate") or {}) for of in facts.values()], study.config.stop, following),
        "balance": _balance(study, facts, labels[Split.TRAIN]),
        "histograms": _histograms(study, facts),
        "worst": _worst(study, facts, labels[Split.VAL], records),
        "suspects": _suspects(study, facts, labels, records),
    }
    return plain(values)


def quality(facts: Mapping[int, Mapping[str, Facts]]) -> list[dict[str, Any]]:
    """AP and AP50 on val of each evaluated round, with what had been labelled by then."""
    points = []
    for round_index, phases in facts.items():
        spent, metrics = phases.get("annotate") or {}, (phases.get("evaluate") or {}).get("val")
        if spent and metrics:
            costs = {name: spent.get(name) for name in ("images", "boxes", "seconds")}
            points.append({"round": round_index, **costs, "ap": metrics["ap"], "ap50": metrics["ap50"]})
    return points


def expected(study: Study, facts: Mapping[int, Mapping[str, Facts]]) -> dict[str, Any] | None:
    """AP that the next batch is likely to add on val, and its price; None with fewer than three evaluated rounds, or nothing left.

    Follows the AP that the stopping rule follows, over labelled images or boxes, whichever the budget counts. The price is what an image
    (or box) took in the last labelled round, validation images included.
    """
    unit = study.config.budget.unit
    points = [
        (number(spent.get(unit)), number(ap))
        for phases in facts.values()
        if (spent := phases.get("annotate")) and (ap := stopping_ap(phases.get("evaluate") or {})) is not None
    ]
    curve, batch = LearningCurve.fit(*zip(*points, strict=True)) if len(points) >= FEWEST_ROUNDS else None, _batch(study)
    if curve is None or not batch:
        return None
    now = points[-1][0]
    gain, each = curve.gain(now, batch), _seconds_each(facts, unit)
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
    """Images (or boxes) of the next question, or of the one that is open; 0 when the pool is empty."""
    pool, budget = len(study.store.pool()), study.config.budget
    amount = resolve(budget.per_round, len(study.store.images(Split.TRAIN)), "budget.per_round")
    round_index, phase = study.store.position
    if phase is Phase.ANNOTATE and round_index and budget.unit == "images":
        return sum(item.split is Split.TRAIN for item in study.store.query(round_index).items)
    return min(amount, pool) if budget.unit == "images" else amount * (pool > 0)


def _seconds_each(facts: Mapping[int, Mapping[str, Facts]], unit: str) -> float | None:
    """Seconds that an image or box of train took in the last round in which any were labelled."""
    for phases in reversed(list(facts.values())):
        spent = phases.get("annotate") or {}
        if number(spent.get(f"new_{unit}")) > 0 and number(spent.get("new_seconds")) > 0:
            return float(spent["new_seconds"] / spent[f"new_{unit}"])
    return None


def _labour(study: Study, train: Mapping[str, Annotation], val: Mapping[str, Annotation]) -> dict[str, Any]:
    """Labelled images and boxes, as `Store.labour` counts them, and who spent how long on them."""
    people = [
        {"name": name, "images": images, "seconds": seconds, "each": seconds / max(images, 1)}
        for name, (images, seconds) in study.store.people().items()
    ]
    by_model = sum(int(annotation.by_model.sum()) for annotation in train.values())
    boxes = sum(len(annotation.boxes) for annotation in train.values()) - by_model
    amounts = {"images": len(train), "boxes": boxes, "model_boxes": by_model, "val_images": len(val)}
    return amounts | {"seconds": study.store.seconds(Split.TRAIN) + study.store.seconds(Split.VAL), "people": people}


def _balance(study: Study, facts: Mapping[int, Any], train: Mapping[str, Annotation]) -> list[dict[str, Any]]:
    """Labelled boxes of each class, and the model's detections in the pool at `ask.uncertain` or more; None before the first pass."""
    labelled = np.zeros(len(study.classes), np.int64)
    for annotation in train.values():
        labelled += np.bincount(annotation.boxes.labels, minlength=len(labelled))
    path = _last(study, facts, DETECTIONS)
    found = None if path is None else _detected(path, path.stat().st_mtime_ns, study.config.ask.uncertain, len(labelled))
    return [
        {"name": name, "labelled": int(labelled[row]), "found": None if found is None else found[row]}
        for row, name in enumerate(study.classes)
    ]


@lru_cache(maxsize=4)
def _detected(path: Path, _modified: int, score: float, class_count: int) -> tuple[int, ...]:
    counts = np.zeros(class_count, np.int64)
    for _, boxes in read_detections(path):
        counts += np.bincount(boxes.at_least(score).labels, minlength=class_count)
    return tuple(counts.tolist())


def _histograms(study: Study, facts: Mapping[int, Any]) -> list[dict[str, Any]]:
    """The scores of the last pool pass, and each of their terms."""
    path = _last(study, facts, "scores.parquet")
    if path is None:
        return []
    scores = read_scores(path.parent)
    made = []
    for name, values in {"score": scores.values, **scores.terms}.items():
        known = values[np.isfinite(values)]
        if len(known) and np.ptp(known) > 0:
            counts, edges = np.histogram(known, _BINS)
            made.append({"name": name, "counts": counts, "edges": edges})
    return made


def _worst(
    study: Study, facts: Mapping[int, Any], val: Mapping[str, Annotation], records: Mapping[str, ImageRecord]
) -> list[dict[str, Any]]:
    """The val images in which the last evaluated model gets most wrong."""
    truths = {image_id: annotation.boxes for image_id, annotation in val.items() if annotation.complete}
    faults = worst(_on_val(study, facts), truths, len(study.classes))[:_MOST_WORST]
    sizes = [records[fault.image_id] for fault in faults]
    return [
        {"image_id": f.image_id, "width": r.width, "height": r.height, "missed": f.missed, "imagined": f.imagined, "confused": f.confused}
        for f, r in zip(faults, sizes, strict=True)
    ]


def _suspects(
    study: Study, facts: Mapping[int, Any], labels: Mapping[Split, Mapping[str, Annotation]], records: Mapping[str, ImageRecord]
) -> list[dict[str, Any]]:
    """The labels that the model contradicts most.

    Val is judged by the last evaluated model. An image of train by the pool pass that chose it: the last model that had not been trained on
    its labels. Images labelled before the first pass, or never asked for, are not judged; nor are those that somebody has answered for a
    second time since. A model of an AP below `BEGUN` knows too little to doubt anybody.
    """
    known = {image_id: annotation for of_split in labels.values() for image_id, annotation in of_split.items()}
    again = study.store.answered_again()
    fresh = {image_id: annotation for image_id, annotation in known.items() if annotation.complete and image_id not in again}
    boxes, rejected = {i: of.boxes for i, of in fresh.items()}, {i: of.rejected for i, of in fresh.items()}
    doubts = suspects(_before_labels(study, facts) | _judged_val(study, facts), boxes, rejected=rejected)
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


def _on_val(study: Study, facts: Mapping[int, Any]) -> dict[str, Boxes]:
    """The last evaluated model's detections on val."""
    path = _last(study, facts, VAL_DETECTIONS)
    return {} if path is None else _detections(path, path.stat().st_mtime_ns, None)


def _judged_val(study: Study, facts: Mapping[int, Any]) -> dict[str, Boxes]:
    """Those of a model that knows enough to doubt labels."""
    last = max((number for number, phases in facts.items() if "evaluate" in phases), default=None)
    return {} if last is None or not _knows_something(facts, last) else _on_val(study, facts)


def _knows_something(facts: Mapping[int, Any], round_index: int) -> bool:
    """Whether the model that a round trained has begun to work, by its AP on val."""
    ap = stopping_ap((facts.get(round_index) or {}).get("evaluate") or {})
    return ap is not None and ap >= BEGUN


def _before_labels(study: Study, facts: Mapping[int, Any]) -> dict[str, Boxes]:
    """The detections of the pool pass that each labelled image of train was last chosen by, of models that knew something."""
    found: dict[str, Boxes] = {}
    for round_index in facts:
        path = study.round_folder(round_index - 1) / DETECTIONS
        if path.is_file() and _knows_something(facts, round_index - 1):
            asked = frozenset(item.image_id for item in study.store.query(round_index).items if item.split is Split.TRAIN)
            found |= _detections(path, path.stat().st_mtime_ns, asked)
    return found


@lru_cache(maxsize=64)
def _detections(path: Path, _modified: int, only: frozenset[str] | None) -> dict[str, Boxes]:
    """Detections that count, without what else the file holds; read once, as they are of committed rounds."""
    found = ((image_id, boxes.at_least(FAINT)) for image_id, boxes in read_detections(path, only=only))
    return {image_id: Boxes(boxes.xyxy, boxes.labels, boxes.scores) for image_id, boxes in found}


def _last(study: Study, facts: Mapping[int, Any], name: str) -> Path | None:
    """The file `name` of the last round that left one."""
    paths = (study.round_folder(round_index) / name for round_index in sorted(facts, reverse=True))
    return next((path for path in paths if path.is_file()), None)
