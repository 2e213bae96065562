"""The learning curves as files for other programs: results.csv, one row an arm, seed and round, and results.json beside it.

Returns nothing; both files are complete or untouched. Knows nothing of charts or HTML.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from boxwise.evaluation.curves import AXES, Axis
from boxwise.files import replacing, write_csv
from boxwise.jsonable import finite_or_none, plain
from boxwise.records import Phase
from boxwise.results.facts import Cell, Round, arms_of, cells_of, judged_on, mean_value
from boxwise.results.fidelity import NAMES as FIDELITY_NAMES
from boxwise.results.fidelity import fidelity_of
from boxwise.results.self_labels import quality_of
from boxwise.results.tables import ArmResult, arm_results

RESULTS = "results.json"
_METRICS = ("ap", "ap50", "ap75", "voc07_ap50", "voc10_ap50")
_TRAIN = ("steps", "steps_behind", "stopped_early", "best_ap", "seconds", "images_per_second")
_COOPERATION = (
    "model_boxes",
    "by_hand_seconds",
    "policy",
    "ask",
    "self_images",
    "self_boxes",
    "sl_precision",
    "sl_recall",
    "al_ratio_mean",
)
COLUMNS = (
    *("arm", "seed", "role", "round", "images", "boxes", "seconds", "new_images", "new_boxes", "new_seconds"),
    *("val_images", "val_boxes", "val_seconds"),
    *(f"{split}_{name}" for split in ("val", "test") for name in _METRICS),
    *(f"train_{name}" for name in _TRAIN),
    *("select_seconds", "score_seconds", "pool"),
    *(f"fidelity_{name}" for name in FIDELITY_NAMES),
    *_COOPERATION,
    *("lure_loss", "lure_error"),
)


def write_results(cells: Sequence[Cell], path: Path, *, baseline: str = "random", split: str = "test") -> None:
    """`path` (CSV; empty where a figure is unknown) and the same rows, with the comparison of the arms, as `path` with suffix .json.

    Costs are cumulative, those of val apart; seconds are the annotator's. split: what the comparison is judged on, val where no cell has
    it; its costs include val.
    sl_precision, sl_recall: of the model's own labels of the round, known in simulation only.
    """
    rows = result_rows(cells)
    write_csv(path, COLUMNS, rows)
    judged = judged_on(cells, split)
    results = {result.arm: result for result in arm_results(cells, baseline=baseline, split=judged)}
    arms = [arm for arm in dict.fromkeys(cell.arm for cell in cells) if arm in results]
    comparison = [_comparison(results[arm], axis) for axis in AXES for arm in arms]
    fidelity = {arm: {name: fidelity_of(cells_of(cells, arm), name) for name in FIDELITY_NAMES} for arm in arms_of(cells, baseline)}
    document = {"split": judged, "baseline": baseline, "rounds": rows, "comparison": comparison, "fidelity": fidelity}
    with replacing(path.with_suffix(".json")) as aside:
        aside.write_text(json.dumps(plain(document), indent=1, allow_nan=False), encoding="utf-8")


def last_baseline(folder: Path) -> str | None:
    """The arm that the others were compared with when the results of a simulation or a benchmark were last written; None where not known.

    A benchmark of an older version has it in the results of its panels alone.
    """
    of_panels = sorted(folder.glob(f"*/{RESULTS}"), key=lambda path: path.stat().st_mtime)
    files = [folder / RESULTS] if (folder / RESULTS).is_file() else of_panels
    with suppress(IndexError, KeyError, TypeError, ValueError):
        found = json.loads(files[-1].read_text(encoding="utf-8"))["baseline"]
        return found if isinstance(found, str) else None
    return None


def _comparison(result: ArmResult, axis: Axis) -> dict[str, Any]:
    summary = result.by_axis[axis]
    figures = {"saving": summary.saving, "saving_without_val": summary.saving_without_val, "p_holm": result.p_holm.get(axis)}
    return {"role": result.role, **asdict(summary), **figures}


def result_rows(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """One row an arm, seed and labelled round, with the columns COLUMNS.

    select_seconds: of the round's own query. score_seconds, pool: of the pass over the pool after the round's training.
    """
    return [row for cell in cells for row in _rows(cell)]


def _rows(cell: Cell) -> Iterator[dict[str, Any]]:
    return (
        {"arm": cell.arm, "seed": cell.seed, "role": cell.role, "round": r.round, **_figures(r), **_cooperation(cell, r)}
        for r in cell.rounds
        if r.done(Phase.ANNOTATE)
    )


def _figures(one_round: Round) -> dict[str, Any]:
    spent, train = one_round.annotate, one_round.train
    return {
        **{name: getattr(spent, name) for name in COLUMNS[4:13]},
        **{f"{split}_{name}": (one_round.metrics(split) or {}).get(name) for split in ("val", "test") for name in _METRICS},
        **{f"train_{name}": getattr(train, name) for name in _TRAIN},
        "select_seconds": one_round.select.seconds,
        "score_seconds": one_round.score.seconds,
        "pool": one_round.score.pool,
        **{f"fidelity_{name}": one_round.audit.fidelity.get(name) for name in FIDELITY_NAMES},
    }


def _cooperation(cell: Cell, one_round: Round) -> dict[str, Any]:
    spent, plan, lure = one_round.annotate, one_round.compose, one_round.audit.lure or {}
    quality = quality_of(cell, one_round.round)
    return {
        **{name: getattr(spent, name) for name in ("model_boxes", "by_hand_seconds")},
        "policy": plan.policy or cell.policy,
        "ask": cell.ask,
        **{name: getattr(plan, name) for name in ("self_images", "self_boxes")},
        "sl_precision": finite_or_none(quality.precision) if quality else None,
        "sl_recall": finite_or_none(quality.recall) if quality else None,
        "al_ratio_mean": finite_or_none(mean_value(plan.al_ratio)),
        **{f"lure_{name}": lure.get(name) for name in ("loss", "error")},
    }
