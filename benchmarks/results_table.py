"""The tables of docs/benchmark.md and docs/results.md, computed anew from the rounds of a file in benchmarks/results, in Markdown.

python benchmarks/results_table.py benchmarks/results/digits_strategies_6_seeds_rounds.csv --val 90,278
python benchmarks/results_table.py benchmarks/results/bccd_dual_6_seeds.csv --val 86,1124 --arms dual,random
python benchmarks/results_table.py benchmarks/results/development_3_seeds_rounds.csv --data kuih     # one data set of several
python benchmarks/results_table.py runs/development/results.csv --data kuih --brief                  # AP after each round, boxes, savings
--val: images and boxes of the data set's val, where the file does not say; they are priced as drawn by hand.
"""

from __future__ import annotations

import argparse
import csv
import math
from pathlib import Path

import numpy as np
from draw_results import Row, cells

from boxwise.config import CostConfig
from boxwise.evaluation.cost import by_hand
from boxwise.evaluation.curves import Axis
from boxwise.results.convergence import Reach
from boxwise.results.facts import Cell, curve
from boxwise.results.fidelity import NAMES, fidelity_of
from boxwise.results.grid import Panel, Standing, sanity, standings
from boxwise.results.set_aside import ended_early
from boxwise.results.tables import ArmResult, figure


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("results", type=Path)
    arguments.add_argument("--data", help="the data set, by default the first")
    arguments.add_argument("--val", default="0,0", help="IMAGES,BOXES")
    arguments.add_argument("--arms", help="to print, by default all; ranks and p are corrected for all that the file holds")
    arguments.add_argument("--baseline", default="random")
    arguments.add_argument("--brief", action="store_true", help="AP on test after each round, boxes drawn, and savings")
    given = arguments.parse_args()
    with given.results.open(encoding="utf-8", newline="") as file:
        rows = [with_val(row, *map(int, given.val.split(","))) for row in csv.DictReader(file)]
    data = given.data or rows[0].get("data")
    rows = [row for row in rows if row.get("data") == data]
    arms = given.arms.split(",") if given.arms else list(dict.fromkeys(row["arm"] for row in rows))
    panel = Panel(data or given.results.stem, rows[0].get("detector") or "", list(cells(rows)))
    for _, text in sanity(panel, baseline=given.baseline):
        print(f"- {text}")
    if given.brief:
        print("\n" + brief(panel, arms, given.baseline))
        return
    print("\n| arm | mean rank | AP at the end | area − random | p | p, Holm | images saved | boxes saved | time saved | time to 95% |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for standing in standings(panel, baseline=given.baseline):
        if standing.result.arm in arms:
            print(line(standing))
    for text in ended_early([standing.result for standing in standings(panel, baseline=given.baseline)]):
        print(f"\n{text}")
    print("\n" + "\n".join(fidelity([cell for cell in panel.cells if cell.arm in arms])))


def brief(panel: Panel, arms: list[str], baseline: str) -> str:
    """A line an arm, the one that saves the most time first."""
    lines = ["| arm | seeds | AP | boxes | images saved | time saved |", "|---|---|---|---|---|---|"]
    ranked = sorted(standings(panel, baseline=baseline), key=lambda standing: -_saved(standing.result))
    for result in (standing.result for standing in ranked if standing.result.arm in arms):
        curves = [curve(cell, "test") for cell in panel.cells if cell.arm == result.arm]
        ap = np.mean([each.ap for each in curves], axis=0)
        boxes = np.mean([each.boxes[-1] for each in curves])
        after = " ".join(f"{value:.3f}"[1:] for value in ap)
        saved = " | ".join(saving(result, axis) for axis in ("images", "seconds"))
        lines.append(f"| `{result.label}` | {len(curves)} | {after} | {boxes:.0f} | {saved} |")
    return "\n".join(lines)


def _saved(result: ArmResult) -> float:
    """Of the annotator's time; arms of which it is not known come last."""
    found = result.by_axis["seconds"].saving
    return found.mean if found is not None and math.isfinite(found.mean) else -math.inf


def with_val(row: Row, images: int, boxes: int) -> Row:
    """The row with what its val cost, unless it says so itself."""
    paid = {"val_images": str(images), "val_boxes": str(boxes), "val_seconds": str(by_hand(images, boxes, CostConfig()))}
    return paid | {name: value for name, value in row.items() if value}


def line(standing: Standing) -> str:
    result, reach = standing.result, standing.reach
    difference = result.quantity("difference")
    p = result.summary.test.p if result.summary.test else None
    parts = [f"`{result.label}`", figure(standing.rank, 1), figure(result.ap.mean), f"{difference.text} ({difference.remark})", figure(p)]
    parts += [figure(standing.p_holm.get(result.judged)), *(saving(result, axis) for axis in ("images", "boxes", "seconds")), near(reach)]
    return "| " + " | ".join(parts).replace("– ()", "–") + " |"


def saving(result: ArmResult, axis: Axis) -> str:
    """Val included, in bold, with its limits; after it without val."""
    shown = result.quantity("saving", axis)
    limits = shown.remark.replace("%", "").replace(", without val ", "; without val ")
    return f"**{shown.text}** ({limits})" if limits else shown.text


def near(reach: Reach | None) -> str:
    """The share of the annotator time of labelling everything at which 95% of its AP50 is reached, and in how many seeds it is."""
    if reach is None:
        return "–"
    share = reach.of_everything["seconds"]
    return f"{share:.0%} ({reach.reached} of {reach.seeds})" if math.isfinite(share) else f"never ({reach.reached} of {reach.seeds})"


def fidelity(chosen: list[Cell]) -> list[str]:
    """One line an arm and surrogate: the mean over seeds with its 95% limits."""
    said = []
    for arm in dict.fromkeys(cell.arm for cell in chosen):
        for name in NAMES:
            found = fidelity_of([cell for cell in chosen if cell.arm == arm], name)
            if found.low is not None:
                said.append(f"{arm} {name}: {found.mean:.2f} (95% {found.low:.2f} to {found.high:.2f})")
    return said


if __name__ == "__main__":
    main()
