"""The learning curves as files for other programs: results.csv, one row an arm, seed and round, and results.json beside it.

Returns nothing; both files are complete or untouched. Knows nothing of charts or HTML.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from boxwise.evaluation.curves import compare_arms
from boxwise.files import replacing
from boxwise.report.facts import Cell, Round, curve, judged_on

_METRICS = ("ap", "ap50", "ap75", "voc07_ap50", "voc10_ap50")
_TRAIN = ("steps", "stopped_early", "best_ap", "seconds", "images_per_second")
FIDELITY = ("expected", "pseudo", "learned", "reconstruction", "score")
COLUMNS = (
    *("arm", "seed", "upper_bound", "round", "images", "boxes", "seconds", "new_images", "new_boxes", "new_seconds", "val_images"),
    *(f"{split}_{name}" for split in ("val", "test") for name in _METRICS),
    *(f"train_{name}" for name in _TRAIN),
    *(f"fidelity_{name}" for name in FIDELITY),
)


def write_results(cells: Sequence[Cell], path: Path, *, baseline: str = "random", split: str = "test") -> None:
    """`path` (CSV; empty where a figure is unknown) and the same rows, with the comparison of the arms, as `path` with suffix .json.

    Costs are cumulative; seconds are the annotator's. split: what the comparison is judged on, val where no cell has it.
    """
    rows = [row for cell in cells for row in _rows(cell)]
    with replacing(path) as aside, aside.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    judged = judged_on(cells, split)
    comparison = [asdict(summary) for summary in compare_arms([curve(cell, judged) for cell in cells], baseline=baseline)]
    document = {"split": judged, "baseline": baseline, "rounds": rows, "comparison": comparison}
    with replacing(path.with_suffix(".json")) as aside:
        aside.write_text(json.dumps(_plain(document), indent=1, allow_nan=False), encoding="utf-8")


def _rows(cell: Cell) -> Iterator[dict[str, Any]]:
    return (
        {"arm": cell.arm, "seed": cell.seed, "upper_bound": cell.upper_bound, "round": r.round, **_figures(r)}
        for r in cell.rounds
        if r.phase("annotate")
    )


def _figures(round: Round) -> dict[str, Any]:
    spent, train = round.phase("annotate"), round.phase("train")
    fidelity = round.phase("audit").get("fidelity") or {}
    return {
        **{name: spent.get(name) for name in COLUMNS[4:11]},
        **{f"{split}_{name}": (round.metrics(split) or {}).get(name) for split in ("val", "test") for name in _METRICS},
        **{f"train_{name}": train.get(name) for name in _TRAIN},
        **{f"fidelity_{name}": fidelity.get(name) for name in FIDELITY},
    }


def _plain(value: Any) -> Any:
    """The value with NaN as None: JSON has no NaN."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
