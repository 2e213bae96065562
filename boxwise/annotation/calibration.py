"""Calibration: how often a detection of a given score is right, and the score from which a class's are right often enough.

Returns a frozen `Calibration` that travels as JSON. Knows nothing of detectors, images, stores or which split it is given;
the caller gives it val: thresholds found on the pool's truth or on test would be a leak.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from boxwise.annotation.proposals import Thresholds
from boxwise.boxes import Boxes, FloatArray, area, iou
from boxwise.evaluation.entropy import distribution
from boxwise.evaluation.isotonic import RisingCurve
from boxwise.evaluation.precision_bound import first_look, lowest_threshold
from boxwise.jsonable import plain

Method = Literal["temperature", "isotonic"]
MIN_IOU = 0.5
BINS = 10
MIN_DETECTIONS = 20  # of a class, from which it has a map of its own
PRIOR = 10  # detections that the map of all classes is worth beside a class's own
_LOG_T = math.log(20)  # temperatures are sought in [1/20, 20]
_TINY = 1e-12  # in place of a probability of 0, which has no logarithm


@dataclass(frozen=True)
class ReliabilityBin:
    """Detections with raw scores within one tenth of [0, 1]: mean score, mean calibrated P(correct), share correct; NaN when empty."""

    confidence: float
    calibrated: float
    precision: float
    count: int


@dataclass(frozen=True)
class ClassRow:
    """What a class's threshold means on val. detections: judged ones. precision: of those at or above `threshold`, None if there are none.

    recall: share of the class's objects that those find, None if val has no object of it.
    """

    threshold: float
    detections: int
    precision: float | None
    recall: float | None


@dataclass(frozen=True, eq=False)
class Calibration:
    """The thresholds that val shows to reach `target` precision, each with `confidence`, and the evidence for them.

    certain: float64 [C], raw score from which a class's boxes are certain; inf: no score reaches the target.
    temperature: T of softmax(log p / T); None for isotonic, or when nothing was detected.
    ece_before, ece_after: expected calibration error (Naeini et al., AAAI 2015; 10 equal bins) of the raw score and of the calibrated
    P(correct); the latter on each half of the images under a map fitted on the other half; NaN when there are no detections.
    bins: the reliability diagram, 10 bins of the raw score. classes: name → its row.
    """

    certain: NDArray[np.float64]
    method: Method
    target: float
    confidence: float
    temperature: float | None
    ece_before: float
    ece_after: float
    bins: tuple[ReliabilityBin, ...]
    classes: Mapping[str, ClassRow]

    def thresholds(self, uncertain: float) -> Thresholds:
        """The thresholds for proposals; `uncertain` is lowered to the lowest of `certain` where it is above."""
        return Thresholds(self.certain, min(uncertain, float(self.certain.min(initial=np.inf))))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; NaN and inf become None."""
        figures = {name: getattr(self, name) for name in ("target", "confidence", "temperature", "ece_before", "ece_after")}
        return {
            "method": self.method,
            **plain(figures),
            "bins": [plain(vars(row)) for row in self.bins],
            "classes": {name: plain(vars(row)) for name, row in self.classes.items()},
        }


@dataclass(frozen=True)
class _Judged:
    """N detections against their truth. outcomes: class each turned out to be, C for background; correct where it is `labels`.

    images: which image each lies in, by number.
    """

    scores: NDArray[np.float64]
    labels: NDArray[np.int64]
    outcomes: NDArray[np.int64]
    images: NDArray[np.int64]
    probabilities: FloatArray | None

    @property
    def correct(self) -> NDArray[np.bool_]:
        return self.outcomes == self.labels

    def __getitem__(self, rows: NDArray[np.bool_]) -> _Judged:
        probabilities = None if self.probabilities is None else self.probabilities[rows]
        return _Judged(self.scores[rows], self.labels[rows], self.outcomes[rows], self.images[rows], probabilities)


Chance = Callable[[_Judged], NDArray[np.float64]]  # P(correct) of each detection


def calibrate(
    detections: Mapping[str, Boxes],
    truths: Mapping[str, Boxes],
    classes: Sequence[str],
    *,
    target_precision: float,
    confidence: float,
    method: Method,
    lowest: float,
) -> Calibration:
    """Find for each class the smallest score from which val shows its detections to be right, and fit P(correct) on val.

    Both mappings are by image_id; `truths`, of **val only**, says which images are judged. Detections of at least `lowest` count.
    In order of score each takes the free truth of its class that it overlaps most, at IoU ≥ .5, and is correct; one left without that
    falls on difficult or crowd truth of its class counts neither way.

    A threshold is a promise: with chance `confidence` or more, detections like these are right `target_precision` of the time from it on
    (evaluation/precision_bound.py). Each class with enough for a first look has its own threshold; the others have one together, which is
    kept for their boxes taken together. inf where nothing is shown.

    P(correct) serves the reliability diagram. temperature (Guo et al., ICML 2017): P = softmax(log p / T) over classes and background, T by
    maximum likelihood of the outcome: the label where correct, else the other class it overlaps most, else background. A standard normal
    prior on log T, worth about one detection, keeps few lucky detections from driving T to 0.
    That cannot mend a detector whose right boxes score below their background, as single-shot ones do early on: isotonic can.
    isotonic (Zadrozny & Elkan, KDD 2002): P rises with the score. Each class has a map of its own, drawn towards that of all classes by
    the worth of ten detections; classes with fewer than 20 take the latter. One made-up error at score 1 counts in each, so that a run of
    n correct detections at the top is worth n / (n + 1): a short lucky one cannot pass for certainty.

    Defined, with inf everywhere, when nothing is detected.
    Raises ValueError for detections without scores, or without probabilities where the temperature needs them.
    """
    judged = _judge_all(detections, truths, len(classes), lowest)
    temperature = _fit_temperature(judged) if method == "temperature" and len(judged.scores) else None
    held_out = _held_out(judged, method)
    certain = _class_thresholds(judged, len(classes), target_precision, confidence)
    objects = np.bincount(_labels_of(truths), minlength=len(classes))
    rows = [_class_row(judged, label, float(certain[label]), int(objects[label])) for label in range(len(classes))]
    return Calibration(
        certain=certain,
        method=method,
        target=target_precision,
        confidence=confidence,
        temperature=temperature,
        ece_before=_expected_error(judged.scores, judged.correct),
        ece_after=_expected_error(held_out, judged.correct),
        bins=_reliability(judged, held_out),
        classes=dict(zip(classes, rows, strict=True)),
    )


def _judge_all(detections: Mapping[str, Boxes], truths: Mapping[str, Boxes], class_count: int, lowest: float) -> _Judged:
    none = Boxes.empty(class_count)
    kept, outcomes, images = [none], [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for number, image_id in enumerate(sorted(truths)):
        found = _distributed(_by_score(image_id, detections.get(image_id, none), lowest), class_count)
        if len(found):
            outcome, counts = _judge(found, truths[image_id], class_count)
            kept.append(found[counts])
            outcomes.append(outcome[counts])
            images.append(np.full(int(counts.sum()), number))
    judged = Boxes.concatenate(kept)
    assert judged.scores is not None  # _by_score has seen to it
    scores = judged.scores.astype(np.float64)
    return _Judged(scores, judged.labels, np.concatenate(outcomes), np.concatenate(images), judged.probabilities)


def _by_score(image_id: str, found: Boxes, lowest: float) -> Boxes:
    if not len(found):
        return found
    if found.scores is None:
        raise ValueError(f"detections of {image_id!r} have no scores; there is nothing to calibrate")
    order = np.argsort(-found.scores, kind="stable")
    return found[order[found.scores[order] >= np.float32(lowest)]]


def _distributed(found: Boxes, class_count: int) -> Boxes:
    """With one distribution a box, also where the detector's chances are independent."""
    if found.probabilities is None:
        return found
    return replace(found, probabilities=distribution(found.probabilities, class_count).astype(np.float32))


def _judge(found: Boxes, truth: Boxes, class_count: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Outcome class of each detection of one image, best score first, and which of them count; int64 [N], bool [N]."""
    skipped, overlap = truth.skipped, iou(found.xyxy, truth.xyxy)
    same = found.labels[:, None] == truth.labels[None, :]
    correct = _matched(np.where(same & ~skipped, overlap, 0))
    absorbed = (same & skipped & ((overlap >= MIN_IOU) | _in_crowd(found, truth))).any(axis=1)
    other = _other_class(np.where(same | skipped, 0, overlap), truth.labels, class_count)
    return np.where(correct, found.labels, other), correct | ~absorbed


def _matched(overlap: FloatArray) -> NDArray[np.bool_]:
    """Which detections, in order, take a truth that is still free; bool [N] from IoU [N, M]."""
    overlap = overlap.copy()
    matched = overlap.max(axis=1, initial=0) >= MIN_IOU
    for row in np.flatnonzero(matched):
        best = int(overlap[row].argmax())
        matched[row] = overlap[row, best] >= MIN_IOU
        if matched[row]:
            overlap[:, best] = 0
    return matched


def _other_class(overlap: FloatArray, labels: NDArray[np.int64], background: int) -> NDArray[np.int64]:
    """The class of the truth that each detection overlaps most, `background` below IoU .5; int64 [N] from IoU [N, M]."""
    reaching = np.where(overlap >= MIN_IOU, overlap, 0)
    barely = np.full((len(overlap), 1), MIN_IOU / 2)  # background's column: below any overlap that reaches, above none
    return np.append(labels, background)[np.hstack([reaching, barely]).argmax(axis=1)]


def _labels_of(truths: Mapping[str, Boxes]) -> NDArray[np.int64]:
    """The class of every object that can be found; int64 [M]."""
    return np.concatenate([np.zeros(0, np.int64), *(truth.labels[~truth.skipped] for truth in truths.values())])


def _in_crowd(found: Boxes, truth: Boxes) -> NDArray[np.bool_]:
    """Which detection has at least half of its area in which crowd region, COCO's overlap with crowds; bool [N, M]."""
    crowd = np.zeros(len(truth), bool) if truth.crowd is None else truth.crowd
    top_left = np.maximum(found.xyxy[:, None, :2], truth.xyxy[None, :, :2])
    bottom_right = np.minimum(found.xyxy[:, None, 2:], truth.xyxy[None, :, 2:])
    shared = np.clip(bottom_right - top_left, 0, None).prod(axis=2)
    return crowd & (shared >= MIN_IOU * area(found.xyxy)[:, None]) & (shared > 0)


def _fit_temperature(judged: _Judged) -> float:
    logs = _log_probabilities(judged)
    happened = judged.outcomes[:, None]

    def loss(log_t: float) -> float:
        scaled = logs / math.exp(log_t)
        chosen = np.take_along_axis(scaled, happened, axis=1)[:, 0]
        return float((_log_sum_exp(scaled) - chosen).sum() + log_t**2 / 2)

    return math.exp(optimize.minimize_scalar(loss, bounds=(-_LOG_T, _LOG_T), method="bounded").x)


def _at_temperature(judged: _Judged, temperature: float) -> NDArray[np.float64]:
    """P(correct) of each detection: its label's share of softmax(log p / T); float64 [N]."""
    scaled = _log_probabilities(judged) / temperature
    return np.exp(np.take_along_axis(scaled, judged.labels[:, None], axis=1)[:, 0] - _log_sum_exp(scaled))


def _log_probabilities(judged: _Judged) -> NDArray[np.float64]:
    if judged.probabilities is None:
        raise ValueError("detections have no probabilities: a temperature needs them, isotonic calibration does not")
    return np.log(np.maximum(judged.probabilities.astype(np.float64), _TINY))


def _log_sum_exp(values: NDArray[np.float64]) -> NDArray[np.float64]:
    peak = values.max(axis=1)
    return peak + np.log(np.exp(values - peak[:, None]).sum(axis=1))


def _map(judged: _Judged, method: Method) -> Chance:
    """The map from detections to P(correct) that fits the judged ones."""
    if not len(judged.scores):
        return lambda detections: detections.scores
    if method == "isotonic":
        return _isotonic_by_class(judged)
    temperature = _fit_temperature(judged)
    return lambda detections: _at_temperature(detections, temperature)


def _held_out(judged: _Judged, method: Method) -> NDArray[np.float64]:
    """P(correct) of each detection under the map of the other half of the images, or of all where there is no other; float64 [N]."""
    chance, even = np.zeros(len(judged.scores)), judged.images % 2 == 0
    if even.all() or not even.any():
        return _map(judged, method)(judged)
    for half in (even, ~even):
        chance[half] = _map(judged[~half], method)(judged[half])
    return chance


def _isotonic_by_class(judged: _Judged) -> Chance:
    pooled = _isotonic(judged.scores, judged.correct.astype(np.float64), np.ones(len(judged.scores)))
    curves = {}
    for label, count in zip(*np.unique(judged.labels, return_counts=True), strict=True):
        if count >= MIN_DETECTIONS:
            of_class = judged[judged.labels == label]
            values = np.concatenate([of_class.correct.astype(np.float64), pooled(of_class.scores)])
            weights = np.repeat([1.0, PRIOR / count], count)
            curves[int(label)] = _isotonic(np.tile(of_class.scores, 2), values, weights)

    def chance(detections: _Judged) -> NDArray[np.float64]:
        found = pooled(detections.scores)
        for label, curve in curves.items():
            of_class = detections.labels == label
            found[of_class] = curve(detections.scores[of_class])
        return found

    return chance


def _isotonic(scores: NDArray[np.float64], values: NDArray[np.float64], weights: NDArray[np.float64]) -> RisingCurve:
    """The rising curve nearest to `values` [N] in weighted squares, and to one error at score 1."""
    return RisingCurve.fit(np.append(scores, 1.0), np.append(values, 0.0), np.append(weights, 1.0))


def _class_thresholds(judged: _Judged, class_count: int, target: float, confidence: float) -> NDArray[np.float64]:
    """Of each class with detections enough for a first look its own threshold, of all others together one; float64 [C]."""
    counts = np.bincount(judged.labels, minlength=class_count)
    own = counts >= first_look(target, confidence)
    others = judged[~own[judged.labels]]
    certain = np.full(class_count, lowest_threshold(others.scores, others.correct, target=target, confidence=confidence))
    for label in np.flatnonzero(own):
        of_class = judged[judged.labels == label]
        certain[label] = lowest_threshold(of_class.scores, of_class.correct, target=target, confidence=confidence)
    return certain


def _class_row(judged: _Judged, label: int, threshold: float, objects: int) -> ClassRow:
    of_class = judged.labels == label
    correct = judged.correct[of_class & (judged.scores >= threshold)]
    return ClassRow(
        threshold=threshold,
        detections=int(of_class.sum()),
        precision=float(correct.mean()) if len(correct) else None,
        recall=float(correct.sum() / objects) if objects else None,
    )


def _bin_of(confidence: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.clip(np.floor(confidence * BINS), 0, BINS - 1).astype(np.int64)


def _expected_error(confidence: NDArray[np.float64], correct: NDArray[np.bool_]) -> float:
    """Mean over detections of the gap, in their bin, between mean confidence and share correct; NaN without detections."""
    if not len(confidence):
        return math.nan
    gaps = np.bincount(_bin_of(confidence), confidence - correct, BINS)
    return float(np.abs(gaps).sum() / len(confidence))


def _reliability(judged: _Judged, chance: NDArray[np.float64]) -> tuple[ReliabilityBin, ...]:
    numbers = _bin_of(judged.scores)
    columns = (judged.scores, chance, judged.correct.astype(np.float64))
    counts = np.bincount(numbers, minlength=BINS)
    sums = [np.bincount(numbers, column, BINS) for column in columns]
    means = np.divide(sums, counts, out=np.full((3, BINS), math.nan), where=counts > 0)
    return tuple(ReliabilityBin(*row) for row in zip(*means.tolist(), counts.tolist(), strict=True))
