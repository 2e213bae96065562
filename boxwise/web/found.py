"""What the study's detector has found on one image, below every threshold too: what the page's model help picks from.

Returns boxes as plain JSON values, best first. Reads what the last pool pass left; runs no model.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from boxwise.artifacts.detections_file import read_detections, row_groups
from boxwise.boxes import Boxes
from boxwise.records import Phase
from boxwise.study import Study


def found_on(study: Study, image_id: str) -> list[dict[str, Any]]:
    """xyxy, label and score of each detection on the image by the newest model that looked at it; none before the first pass."""
    for round_index in range(study.position[0], -1, -1):
        files = study.files(round_index)
        for path, step in ((files.detections, Phase.SCORE), (files.val_detections, Phase.EVALUATE)):
            if not path.is_file() or not study.is_of_todays_classes(round_index, step):
                continue
            if (group := _groups(path, path.stat().st_mtime_ns).get(image_id)) is not None:
                ((_, boxes),) = read_detections(path, only=[image_id], groups=[group])
                return _plain(boxes)
    return []


@lru_cache(maxsize=8)
def _groups(path: Path, _modified: int) -> dict[str, int]:
    return row_groups(path)


def _plain(boxes: Boxes) -> list[dict[str, Any]]:
    scores = [1.0] * len(boxes) if boxes.scores is None else boxes.scores.tolist()
    rows = sorted(zip(scores, boxes.xyxy.tolist(), boxes.labels.tolist(), strict=True), key=lambda row: -row[0])
    return [{"xyxy": xyxy, "label": label, "score": score} for score, xyxy, label in rows]
