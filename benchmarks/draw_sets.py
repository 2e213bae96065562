"""One arm against random on every data set of some files in benchmarks/results, as a PNG: AP on test over minutes of the annotator.

python benchmarks/draw_sets.py benchmarks/results/confirmation_4_seeds_rounds.csv benchmarks/results/development_3_seeds_rounds.csv \
    --arm facility_location --out docs/images/learning_curve.png

A thin line a seed, a thick one for their mean after each round; minutes include those for val. Dotted: everything labelled.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from draw_results import Row
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

COLOURS = {"random": "#8a8d91"}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("results", type=Path, nargs="+")
    arguments.add_argument("--arm", default="facility_location")
    arguments.add_argument("--out", type=Path, default=Path("curves.png"))
    given = arguments.parse_args()
    sets: dict[str, list[Row]] = {}
    for path in given.results:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                sets.setdefault(row["data"], []).append(row)
    figure = Figure(figsize=(2.9 * len(sets), 3.1), layout="constrained")
    for axes, (name, rows) in zip(np.ravel(figure.subplots(1, len(sets))), sets.items(), strict=True):
        _draw(axes, name, rows, given.arm)
    figure.axes[0].set_ylabel("AP on test")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    figure.savefig(given.out, dpi=110)
    Image.open(given.out).quantize(64).save(given.out, optimize=True)
    print(given.out)


def _draw(axes: Axes, name: str, rows: Sequence[Row], arm: str) -> None:
    for shown in ("random", arm):
        seeds: dict[str, list[tuple[float, float]]] = {}
        for row in (row for row in rows if row["arm"] == shown):
            seeds.setdefault(row["seed"], []).append(_point(row))
        curves = np.array(list(seeds.values()))
        colour = COLOURS.get(shown, "#0072b2")
        for curve in curves:
            axes.plot(*curve.T, color=colour, linewidth=0.6, alpha=0.5)
        axes.plot(*curves.mean(axis=0).T, "o-", color=colour, markersize=3, label=shown)
    ceiling = [_point(row)[1] for row in rows if row["arm"] == "everything" and row["round"] == "1"]
    axes.axhline(float(np.mean(ceiling)), color="#d55e00", linestyle=":", label="everything labelled")
    axes.set_title(f"{name}, {len(curves)} seeds", fontsize=10)
    axes.set_xlabel("minutes of the annotator")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.25)


def _point(row: Row) -> tuple[float, float]:
    return (float(row["seconds"]) + float(row["val_seconds"])) / 60, float(row["test_ap"])


if __name__ == "__main__":
    main()
