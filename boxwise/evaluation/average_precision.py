"""Detection quality on one split: COCO AP, VOC AP, precision-recall curves and the confusion matrix.

Returns a frozen `Metrics` that travels as JSON. Knows nothing of detectors, images, stores or which split it is given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

import numpy as np
from hotcoco import COCO, COCOeval
from numpy.typing import NDArray

from boxwise.boxes import Boxes
from boxwise.evaluation.confusion import confusion_matrix
from boxwise.evaluation.voc_average_precision import voc_average_precision
from boxwise.jsonable import finite_or_none

NAN = float("nan")
ALL_AREAS = {"all": [0.0, 1e10]}
_AREAS = {**ALL_AREAS, "small": [0.0, 32.0**2], "medium": [32.0**2, 96.0**2], "large": [96.0**2, 1e10]}


@dataclass(frozen=True)
class Metrics:
    """How well one set of predictions met its truth. Every AP is in [0, 1], or NaN where there is no truth to find.

    COCO AP (Lin et al., ECCV 2014): 101-point precision, at most 100 detections a class and image, mean over IoU .50:.05:.95 (`ap`)
    or at one IoU (`ap50`, `ap75`), mean over the classes that have truth; sizes by area, 32² and 96² square pixels.
    voc07_ap50, voc10_ap50: PASCAL VOC's 11-point and area AP at IoU .5; `difficult` is skipped there, and counts in the COCO figures.
    images, boxes: how many were judged; crowd regions are not counted.
    per_class: class → {"AP", "AP50"}.
    pr: class or "all" → {"recall": [101], "precision": [101]} at IoU .5, rounded to 4 decimals; classes without truth are absent.
    confusion: counts [C + 1][C + 1] at score ≥ .3 and IoU ≥ .5, rows truth, columns predictions, background last.
    intervals: "ap" and "ap50" → 95% limits by a bootstrap over the images, where somebody asked for them (evaluation/bootstrap.py).
    Without `details` the sizes and the VOC figures are NaN, `pr` and `confusion` empty.
    """

    images: int
    boxes: int
    ap: float
    ap50: float
    ap75: float
    per_class: Mapping[str, Mapping[str, float]]
    ap_small: float = NAN
    ap_medium: float = NAN
    ap_large: float = NAN
    voc07_ap50: float = NAN
    voc10_ap50: float = NAN
    pr: Mapping[str, Mapping[str, list[float]]] = field(default_factory=dict)
    confusion: list[list[int]] = field(default_factory=list)
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; NaN becomes None."""
        values = {key: finite_or_none(value) for key, value in asdict(self).items()}
        values["per_class"] = {name: {key: finite_or_none(ap) for key, ap in row.items()} for name, row in self.per_class.items()}
        return values

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The metrics that `to_json` wrote; None becomes NaN."""
        per_class = {name: {key: _nan_if_none(ap) for key, ap in row.items()} for name, row in values["per_class"].items()}
        return cls(**{key: _nan_if_none(value) for key, value in values.items()} | {"per_class": per_class})


def coco_metrics(
    predictions: Mapping[str, Boxes], truths: Mapping[str, Boxes], classes: tuple[str, ...], *, details: bool = True
) -> Metrics:
    """Judge `predictions` against `truths`, both by image_id; `truths` says which images are judged.

    An image without predictions, or without truth, is data. Crowd regions absorb detections and are never missed.
    details: False leaves out sizes, VOC AP, curves and confusion, for evaluations during training.
    Raises ValueError for predictions of an image that has no entry in `truths`, without scores, or with labels beyond `classes`.
    """
    _check(predictions, truths, len(classes))
    areas = _AREAS if details else ALL_AREAS
    precision = _precision(predictions, truths, classes, areas)
    by_class = ap_by_class(precision[..., 0])
    by_class50 = ap_by_class(precision[:1, ..., 0])
    metrics = Metrics(
        images=len(truths),
        boxes=sum(_countable(truth) for truth in truths.values()),
        ap=mean_of_known(by_class),
        ap50=mean_of_known(by_class50),
        ap75=mean_of_known(ap_by_class(precision[5:6, ..., 0])),
        per_class={name: {"AP": float(ap), "AP50": float(ap50)} for name, ap, ap50 in zip(classes, by_class, by_class50, strict=True)},
    )
    if not details:
        return metrics
    voc = voc_average_precision(predictions, truths, classes)
    small, medium, large = (mean_of_known(ap_by_class(precision[..., size])) for size in (1, 2, 3))
    return replace(
        metrics,
        ap_small=small,
        ap_medium=medium,
        ap_large=large,
        voc07_ap50=voc.mean07,
        voc10_ap50=voc.mean10,
        pr=_curves(precision[0, ..., 0], classes),
        confusion=confusion_matrix(predictions, truths, len(classes)).tolist(),
    )


def _check(predictions: Mapping[str, Boxes], truths: Mapping[str, Boxes], class_count: int) -> None:
    strangers = sorted(predictions.keys() - truths.keys())
    if strangers:
        raise ValueError(f"predictions of {len(strangers)} images that have no truth entry, first {strangers[0]!r}")
    bare = sorted(image_id for image_id, boxes in predictions.items() if len(boxes) and boxes.scores is None)
    if bare:
        raise ValueError(f"predictions of {bare[0]!r} have no scores; AP ranks by score")
    for kind, images in (("prediction", predictions), ("truth", truths)):
        for image_id, boxes in images.items():
            if len(boxes) and not 0 <= boxes.labels.min() <= boxes.labels.max() < class_count:
                raise ValueError(f"{kind} of {image_id!r} has labels {set(boxes.labels.tolist())}, expected 0 to {class_count - 1}")


def _precision(
    predictions: Mapping[str, Boxes], truths: Mapping[str, Boxes], classes: tuple[str, ...], areas: Mapping[str, list[float]]
) -> NDArray[np.float64]:
    """COCO's precision; float64 [10 IoUs, 101 recalls, C, areas], -1 where a class has no truth."""
    if not truths or not classes:
        return np.full((10, 101, len(classes), len(areas)), -1.0)
    evaluation = matched(predictions, truths, classes, areas)
    evaluation.accumulate()
    accumulated = evaluation.eval
    assert accumulated is not None  # accumulate() has run
    return np.asarray(accumulated["precision"], np.float64)[..., 0]


def matched(
    predictions: Mapping[str, Boxes],
    truths: Mapping[str, Boxes],
    classes: tuple[str, ...],
    areas: Mapping[str, list[float]] = ALL_AREAS,
) -> COCOeval:
    """COCO's matches of every image and class; the images are numbered from 1 on in the order of their ids, and so are the classes."""
    number = {image_id: index for index, image_id in enumerate(sorted(truths), start=1)}
    truth = _truth_table(truths, number, classes)
    evaluation = COCOeval(truth, truth.load_res(_detection_rows(predictions, number)), "bbox")
    evaluation.params.img_ids = list(number.values())
    evaluation.params.cat_ids = list(range(1, len(classes) + 1))
    evaluation.params.max_dets = [100]
    evaluation.params.area_rng = list(areas.values())
    evaluation.params.area_rng_lbl = list(areas)
    evaluation.evaluate()
    return evaluation


def _truth_table(truths: Mapping[str, Boxes], number: Mapping[str, int], classes: tuple[str, ...]) -> COCO:
    ordered = [truths[image_id] for image_id in number]
    image_ids = np.repeat(list(number.values()), [len(truth) for truth in ordered]).astype(np.int64)
    xywh = np.concatenate([_xywh(truth) for truth in ordered])
    return COCO.from_arrays(
        [{"id": index, "width": 1, "height": 1} for index in number.values()],
        [{"id": index, "name": name} for index, name in enumerate(classes, start=1)],
        image_ids,
        np.concatenate([truth.labels for truth in ordered]) + 1,
        xywh,
        area=xywh[:, 2] * xywh[:, 3],
        iscrowd=np.concatenate([_flags(truth.crowd, len(truth)) for truth in ordered]),
    )


def _detection_rows(predictions: Mapping[str, Boxes], number: Mapping[str, int]) -> NDArray[np.float64]:
    """float64 [N, 7]: image, x, y, w, h, score, category."""
    rows = [np.zeros((0, 7))]
    for image_id, index in number.items():
        boxes = predictions.get(image_id)
        if boxes is not None and boxes.scores is not None:
            columns = (np.full(len(boxes), index), _xywh(boxes), boxes.scores.astype(np.float64), boxes.labels + 1)
            rows.append(np.column_stack(columns))
    return np.concatenate(rows)


def _xywh(boxes: Boxes) -> NDArray[np.float64]:
    xyxy = boxes.xyxy.astype(np.float64)
    return np.column_stack([xyxy[:, :2], xyxy[:, 2:] - xyxy[:, :2]])


def _flags(column: NDArray[np.bool_] | None, length: int) -> NDArray[np.int64]:
    return np.zeros(length, np.int64) if column is None else column.astype(np.int64)


def _countable(truth: Boxes) -> int:
    return len(truth) - int(_flags(truth.crowd, len(truth)).sum())


def ap_by_class(precision: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean over IoUs and recalls of [..., IoUs, 101, C]; NaN for a class without truth."""
    values = np.where(precision < 0, np.nan, precision)
    return values.mean(axis=(-3, -2))


def mean_of_known(values: NDArray[np.float64]) -> float:
    """The mean of those that are not NaN; NaN where none is."""
    finite = values[~np.isnan(values)]
    return float(finite.mean()) if len(finite) else NAN


def _curves(precision: NDArray[np.float64], classes: tuple[str, ...]) -> dict[str, dict[str, list[float]]]:
    """The precision-recall curve of each class with truth, and their mean as "all"; precision is [101, C]."""
    found = np.asarray((precision >= 0).all(axis=0))
    curves = {name: precision[:, index] for index, name in enumerate(classes) if found[index]}
    if curves:
        curves["all"] = precision[:, found].mean(axis=1)
    recall = np.linspace(0, 1, 101).round(4).tolist()
    return {name: {"recall": recall, "precision": values.round(4).tolist()} for name, values in curves.items()}


def _nan_if_none(value: Any) -> Any:
    return NAN if value is None else value
