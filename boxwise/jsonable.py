"""Facts and boxes as plain JSON values, and boxes back again, bit for bit.

Knows nothing of where the JSON is kept.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from boxwise.boxes import Boxes


def boxes_to_json(boxes: Boxes) -> dict[str, Any]:
    """Columns of human or given boxes as JSON; floats survive exactly (float32 → shortest repr → float32)."""
    columns: dict[str, Any] = {"xyxy": boxes.xyxy.tolist(), "labels": boxes.labels.tolist()}
    for name in ("scores", "difficult", "crowd", "ids"):
        column = getattr(boxes, name)
        if column is not None:
            columns[name] = column.tolist()
    if boxes.scores is not None:  # a person's boxes have none, and JSON has no NaN
        columns["scores"] = [None if math.isnan(score) else score for score in columns["scores"]]
    return columns


def boxes_from_json(columns: Mapping[str, Any]) -> Boxes:
    """What `boxes_to_json` wrote."""
    if "scores" in columns:
        columns = {**columns, "scores": [math.nan if score is None else score for score in columns["scores"]]}
    return Boxes(**columns)


def plain(value: Any) -> Any:
    """`value` as JSON types: numpy scalars and arrays become numbers and lists; NaN and what has no end, None."""
    return json.loads(json.dumps(value, default=_to_json), parse_constant=lambda _: None)


def finite_or_none(value: Any) -> Any:
    """As `plain`, of one value that is a JSON type already: None for a float that is NaN or has no end."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _to_json(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is no fact")
