"""The learning curves of a file in benchmarks/results as a PNG: AP on test over images, boxes and annotator time.

python benchmarks/draw_results.py benchmarks/results/digits_strategies_6_seeds_rounds.csv --arms random,dual,k_center --out curves.png
python benchmarks/draw_results.py RESULTS.csv --data bccd --out curves.png     # one data set of several
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import Path
from typing import get_args

from PIL import Image

from boxwise.registry import Role
from boxwise.report.comparison import save_curves
from boxwise.results.facts import Cell, Round

Row = dict[str, str]
ROLES: dict[str, Role] = {role: role for role in get_args(Role)}
COSTS = ("images", "boxes", "seconds", "val_images", "val_boxes", "val_seconds")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("results", type=Path)
    arguments.add_argument("--arms", help="those to draw, by default all")
    arguments.add_argument("--data", help="the data set to draw, by default the first")
    arguments.add_argument("--baseline", default="random")
    arguments.add_argument("--out", type=Path, default=Path("curves.png"))
    given = arguments.parse_args()
    with given.results.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    data = given.data or rows[0].get("data")
    arms = given.arms.split(",") if given.arms else list(dict.fromkeys(row["arm"] for row in rows))
    chosen = [row for arm in arms for row in rows if row["arm"] == arm and row.get("data") == data]
    save_curves(list(cells(chosen)), given.out, baseline=given.baseline)
    Image.open(given.out).quantize(64).save(given.out, optimize=True)  # a quarter of the bytes
    print(given.out)


def cells(rows: Iterable[Row]) -> Iterable[Cell]:
    """One cell an arm and seed, of rows that stand in their order, with what the curves need and nothing else."""
    for (arm, seed), of_cell in groupby(rows, key=lambda row: (row["arm"], row["seed"])):
        found = list(of_cell)
        rounds = tuple(Round.from_json(int(row["round"]), facts(row)) for row in found)
        yield Cell(arm, int(seed), Path(), {}, (), rounds, role=ROLES[found[0].get("role") or "arm"])


def facts(row: Row) -> Mapping[str, Mapping[str, object]]:
    """What the row says of its round; older files have no cost of val, no AP50 on it and no fidelity."""
    spent = {name: float(row[name]) for name in COSTS if row.get(name)}
    fidelity = {name.removeprefix("fidelity_"): float(value) for name, value in row.items() if name.startswith("fidelity_") and value}
    reached = {
        split: {name: float(row[f"{split}_{name}"]) for name in ("ap", "ap50")} for split in ("val", "test") if row.get(f"{split}_ap50")
    }
    return {"annotate": spent, "evaluate": reached, "audit": {"fidelity": fidelity}}


if __name__ == "__main__":
    main()
