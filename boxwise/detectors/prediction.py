"""Detections of many images: the one loop over batches that evaluation and `predict` share.

Returns boxes by image id, and why the others could not be read. Knows nothing of labels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from boxwise.boxes import Boxes
from boxwise.detectors.base import Detector
from boxwise.detectors.loading import image_batches
from boxwise.records import ImageRecord


def predict(
    detector: Detector,
    images: Sequence[ImageRecord],
    *,
    batch: int = 16,
    workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[dict[str, Boxes], dict[str, str]]:
    """image_id → detections in original pixels, and image_id → message for the images that could not be read."""
    found: dict[str, Boxes] = {}
    unreadable: dict[str, str] = {}
    batches = image_batches(images, detector.input, batch=batch, workers=workers, on_unreadable=unreadable.__setitem__)
    for image_batch in batches:
        view = detector.view(image_batch)
        found |= {record.image_id: boxes for record, boxes in zip(image_batch.records, detector.detections(view), strict=True)}
        if progress is not None:
            progress(len(found) + len(unreadable), len(images))
    return found, unreadable
