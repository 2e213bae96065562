"""What a detector finds is held to what every detector promises, before it is kept or measured.

Returns the detections, or one message that names the detector. Knows nothing of how they are found.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from boxwise.boxes import Boxes
from boxwise.detectors.base import Detector, FitReport, View
from boxwise.errors import BoxwiseError
from boxwise.records import ImageRecord

_ROUNDING = 1.0  # pixels by which a box may leave its image


def detections_of(detector: Detector, view: View) -> list[Boxes]:
    """`detector.detections(view)`: one Boxes an image with scores, known labels and finite corners inside the image."""
    found, records = detector.detections(view), view.batch.records
    if len(found) != len(records):
        raise _refused(detector, "detections", f"one Boxes for each of {len(records)} images, found {len(found)}")
    for boxes, record in zip(found, records, strict=True):
        if fault := _fault(boxes, record, len(detector.classes)):
            raise _refused(detector, f"detections of {record.image_id!r}", fault)
    return found


def embeddings_of(detector: Detector, view: View) -> NDArray[np.float32]:
    """`detector.embeddings(view)`: a finite row an image."""
    found = detector.embeddings(view)
    try:
        return finite_rows(found, len(view.batch.records))
    except (TypeError, ValueError, RuntimeError) as error:
        raise _refused(detector, "embeddings", str(error).removeprefix("expected ")) from error


def finite_rows(found: Any, images: int, dimensions: int | None = None) -> NDArray[np.float32]:
    """`found` as an array, if it is float [images, dimensions] and finite, else an error that says so. dimensions: None for any."""
    rows = np.asarray(found)
    if rows.dtype.kind != "f" or rows.ndim != 2 or len(rows) != images or dimensions not in (None, rows.shape[1]):
        wanted = "D" if dimensions is None else dimensions
        raise ValueError(f"expected floating numbers [{images}, {wanted}], a row an image, found {rows.dtype} {list(rows.shape)}")
    if wrong := int((~np.isfinite(rows)).any(axis=1).sum()):
        raise ValueError(f"expected finite numbers, found NaN or infinity in {wrong} of {images} rows")
    return rows


def reported(detector: Detector, report: FitReport) -> FitReport:
    """What `detector.fit` returned, if it is a FitReport."""
    if not isinstance(report, FitReport):
        raise _refused(detector, "fit", f"a FitReport, found a {type(report).__name__}")
    return report


def _fault(boxes: Boxes, record: ImageRecord, classes: int) -> str | None:
    """What was expected and what was found; None where nothing is wrong."""
    if not isinstance(boxes, Boxes):
        return f"Boxes, found a {type(boxes).__name__}"
    if not len(boxes):
        return None
    if boxes.scores is None or boxes.probabilities is None:
        return "scores and probabilities, found none"
    if boxes.probabilities.ndim != 2 or boxes.probabilities.shape[1] - classes not in (0, 1):
        return f"probabilities of {classes} classes, with or without background last, found the shape {boxes.probabilities.shape}"
    if not (np.isfinite(boxes.xyxy).all() and np.isfinite(boxes.scores).all() and np.isfinite(boxes.probabilities).all()):
        return "finite corners, scores and probabilities, found NaN or infinity"
    if boxes.labels.min() < 0 or boxes.labels.max() >= classes:
        return f"labels from 0 to {classes - 1}, found {boxes.labels.min()} to {boxes.labels.max()}"
    if boxes.xyxy.min() < -_ROUNDING or (boxes.xyxy > np.array([record.width, record.height] * 2) + _ROUNDING).any():
        outside = boxes.xyxy[int(np.abs(boxes.xyxy).max(axis=1).argmax())].round(1).tolist()
        return f"boxes inside the image of {record.width} × {record.height} pixels, found {outside}"
    return None


def _refused(detector: Detector, what: str, fault: str) -> BoxwiseError:
    return BoxwiseError(
        f"detector {type(detector).__name__}: {what}: expected {fault}. What was done before is kept: mend the detector "
        "(boxwise.testing.DetectorContract tests it) and run again."
    )
