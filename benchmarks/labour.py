"""What each step of the tool saves a person: seconds of labelling until a given AP50 or AP, from the way people start to the whole of it.

    python benchmarks/labour.py DATA... --out FOLDER [--weights yolox_nano.pth] [--backbone mobilenet_v2.pth] [--imgsz 128] [--seeds 3]
        [--ap50 0.8 0.87] [--ap 0.5] [--show] [--set key=value ...]

(a) SSDlite from ImageNet, images at random, boxes drawn by hand; (b) YOLOX-nano from COCO instead; (c) and images chosen by
facility_location; (d) and the model's boxes shown for review, in round 0 those of COCO's classes; (e) or its boxes answered without a look
for missed objects, the surest trusted, with thresholds that val shows to keep a precision of .9. (d) and (e) have six rounds where the
others have three: with the model's boxes a round of as many images takes a person a quarter of the time. The annotator is simulated and
charged for every act; labels of val are paid for, drawn by hand. It draws exactly, where boxes of the model that it lets stand lie at an
IoU of .84 in the mean: AP tells that, AP50 hardly.

FOLDER holds a simulation for each data set, which the same command resumes cell by cell, labour.csv with a row a round, labour.md and
labour.png. Seconds are read off each cell's curve, linear between rounds, in the seeds that every step has finished; the level is the
highest that all of them reach unless --ap50 or --ap gives some, and a step that does not get there in every seed has no figure. --show
runs nothing and makes table and figure of what is finished.
"""

from __future__ import annotations

import argparse
import csv
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import product
from pathlib import Path
from typing import Literal

import numpy as np

from boxwise.config import StudyConfig, load_config
from boxwise.data.datasets import read_dataset
from boxwise.data.splits import with_few_val, with_splits
from boxwise.evaluation.curves import Curve, cost_at
from boxwise.records import Phase
from boxwise.results.facts import Cell, curve
from boxwise.simulation.outlook import Countdown, outlooks
from boxwise.simulation.simulate import Message, Plan, read_simulation, simulate

Measure = Literal["ap50", "ap"]
SHOWN: dict[Measure, str] = {"ap50": "AP50", "ap": "AP"}
WORDS = {
    "a": "SSDlite, images at random, drawn by hand",
    "b": "YOLOX-nano from COCO instead",
    "c": "+ images chosen (facility_location)",
    "d": "+ the model's boxes reviewed",
    "e": "or: its boxes answered without a look for missed ones, the surest trusted (precision .9 on val)",
}


@dataclass(frozen=True)
class Row:
    """One round of one cell. seconds: of the annotator so far, those for val included."""

    data: str
    step: str
    seed: int
    round: int
    images: int
    seconds: float
    ap50: float
    ap: float


def main() -> None:
    options = _options()
    for folder in () if options.show else options.data:
        plan = _plan(folder, options)
        simulate(plan, on_event=_saying(plan))
    rows = [row for folder in options.data for row in _rows(folder.name, options)]
    _write(rows, options.out / "labour.csv")
    print(text := "\n\n".join([*_tables(rows, "ap50", options.ap50), *_tables(rows, "ap", options.ap)]))
    (options.out / "labour.md").write_text(text + "\n", encoding="utf-8")
    _draw(rows, options.out / "labour.png")


def arms_of(weights: Path | None, backbone: Path | None) -> dict[str, str]:
    """Step → the arm that it is."""
    yolox = f"+detector.weights={weights}" if weights else "+detector.pretrained=coco"
    ssd = "random+detector.name=ssdlite320_mobilenet_v2" + (f"+detector.backbone_weights={backbone}" if backbone else "")
    own = {
        "b": "random",
        "c": "facility_location",
        "d": "facility_location+review+budget.rounds=6",
        "e": "facility_location+trust+ask.target_precision=0.9+budget.rounds=6",
    }
    return {"a": ssd} | {step: f"{arm}+detector.name=yolox_nano{yolox}" for step, arm in own.items()}


def _plan(folder: Path, options: argparse.Namespace) -> Plan:
    dataset = with_few_val(with_splits(read_dataset(folder)), options.val)
    arms = tuple(arms_of(options.weights, options.backbone).values())
    return Plan(dataset, _config(options), arms, tuple(range(options.seeds)), options.out / folder.name)


def _config(options: argparse.Namespace) -> StudyConfig:
    budget = ("budget.initial=20", "budget.per_round=15", "budget.rounds=3")
    return load_config(None, (f"detector.imgsz={options.imgsz}", *budget, *options.overrides))


def _saying(plan: Plan) -> Callable[[Message], None]:
    (left,) = outlooks([plan])
    countdown = Countdown({("", *key): each for key, each in left.trainings.items()})

    def event(message: Message) -> None:
        who, seed, event = message
        reached = countdown.finish(("", who, seed, event.round)) if event.finished and event.phase is Phase.TRAIN else None
        if reached is not None:
            print(f"{plan.folder.name}: {reached[0]} of {reached[1]} trainings, about {reached[2] / 60:.0f} min left", flush=True)

    return event


def _rows(name: str, options: argparse.Namespace) -> Iterator[Row]:
    """The rounds of all finished cells, by step."""
    steps = {arm: step for step, arm in arms_of(options.weights, options.backbone).items()}
    finished = [cell for cell in read_simulation(options.out / name) if cell.finished and cell.arm in steps]
    for cell in sorted(finished, key=lambda cell: (steps[cell.arm], cell.seed)):
        yield from _rounds(name, steps[cell.arm], cell)


def _rounds(name: str, step: str, cell: Cell) -> Iterator[Row]:
    found = curve(cell, "test")
    spent = zip(found.images, found.seconds, found.val["seconds"], found.ap50, found.ap, strict=True)
    for number, (images, seconds, on_val, ap50, ap) in enumerate(spent):
        yield Row(name, step, cell.seed, number, int(images), seconds + on_val, ap50, ap)


def _tables(rows: Sequence[Row], measure: Measure, levels: Sequence[float] | None) -> Iterator[str]:
    for name in dict.fromkeys(row.data for row in rows):
        asked: Sequence[float | None] = levels or [None]
        for level, found in (_seconds(_paired([row for row in rows if row.data == name]), given, measure) for given in asked):
            nothing = f"{name}: there is no {SHOWN[measure]} above 0 that every cell reaches: train for longer, or give --{measure}."
            yield _table(name, level, found, measure) if level > 0 else nothing


def _paired(rows: Sequence[Row]) -> list[Row]:
    """Those of the seeds that every step has."""
    seeds = {step: {row.seed for row in rows if row.step == step} for step in {row.step for row in rows}}
    return [row for row in rows if all(row.seed in each for each in seeds.values())]


def _seconds(rows: Sequence[Row], level: float | None, measure: Measure = "ap50") -> tuple[float, dict[str, list[float | None]]]:
    """(level, step → seconds to it in each seed, None where it is not reached); a level of 0 where there is nothing."""
    cells: dict[tuple[str, int], list[Row]] = {}
    for row in rows:
        cells.setdefault((row.step, row.seed), []).append(row)
    reach = [max(getattr(row, measure) for row in cell) for cell in cells.values()]
    level = level or math.floor(100 * min(reach, default=0)) / 100
    found: dict[str, list[float | None]] = {}
    for (step, _), cell in cells.items():
        reached = Curve(np.array([row.seconds for row in cell]), np.array([getattr(row, measure) for row in cell]))
        found.setdefault(step, []).append(cost_at(reached, level))
    return level, found


def mean_of(seconds: Sequence[float | None]) -> float:
    """The geometric mean over seeds; NaN where the level was not reached in each."""
    known = [value for value in seconds if value is not None]
    return math.exp(np.mean(np.log(known))) if known and len(known) == len(seconds) else math.nan


def _table(name: str, level: float, found: Mapping[str, Sequence[float | None]], measure: Measure = "ap50") -> str:
    lines = [f"{name}: seconds of the annotator, val included, until {SHOWN[measure]} {level:.2f} on test", ""]
    lines += ["| | step | seconds (seeds) | saved by the step | saved since (a) |", "|---|---|---|---|---|"]
    before = first = math.nan
    for step, seconds in found.items():
        mean = mean_of(seconds)
        lines.append(f"| {step} | {WORDS[step]} | {_spread(mean, seconds)} | {_saved(mean, before)} | {_saved(mean, first)} |")
        before, first = mean, mean if step == "a" else first
    return "\n".join(lines)


def _spread(mean: float, seconds: Sequence[float | None]) -> str:
    known = [value for value in seconds if value is not None]
    if not math.isfinite(mean):
        return f"not reached ({len(known)} of {len(seconds)} seeds)"
    return f"{mean:,.0f} ({min(known):,.0f} to {max(known):,.0f}; {len(known)})"


def _saved(mean: float, than: float) -> str:
    return f"{1 - mean / than:.0%}".replace("-", "−") if math.isfinite(mean) and math.isfinite(than) else "–"


def _draw(rows: Sequence[Row], target: Path) -> None:
    """AP50 and AP over minutes of the annotator, a row a data set, a line a step: the mean over seeds of each round."""
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(row.data for row in rows))
    figure = Figure(figsize=(12, 4.5 * max(len(names), 1)), layout="constrained")
    places = figure.subplots(max(len(names), 1), len(SHOWN), squeeze=False)
    for (name, measure), axes in zip(product(names, SHOWN), places.flat, strict=False):
        mine = _paired([row for row in rows if row.data == name])
        for step, words in WORDS.items():
            rounds: dict[int, list[Row]] = {}
            for row in (row for row in mine if row.step == step):
                rounds.setdefault(row.round, []).append(row)
            means = [
                (np.mean([row.seconds for row in each]) / 60, np.mean([getattr(row, measure) for row in each]))
                for _, each in sorted(rounds.items())
            ]
            if means:
                axes.plot(*zip(*means, strict=True), "o-", markersize=3, label=f"({step}) {words}")
        axes.set(title=name, xlabel="minutes of the annotator, val included", ylabel=f"{SHOWN[measure]} on test")
        axes.grid(alpha=0.3)
    places[0, 0].legend(fontsize=7, loc="lower right")
    figure.savefig(target, dpi=120)


def _write(rows: Sequence[Row], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)])
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", nargs="+", type=Path, help="data sets with labels")
    parser.add_argument("--out", type=Path, required=True, help="folder of the simulations, which resume, and of table and figure")
    parser.add_argument("--weights", type=Path, help="YOLOX-nano's COCO release, instead of a download")
    parser.add_argument("--backbone", type=Path, help="MobileNetV2's ImageNet weights, instead of a download")
    parser.add_argument("--imgsz", type=int, default=128)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--val", type=int, default=20, help="images of val")
    parser.add_argument("--ap50", type=float, nargs="+", help="levels, instead of the highest that all cells reach")
    parser.add_argument("--ap", type=float, nargs="+", help="likewise")
    parser.add_argument("--show", action="store_true", help="run nothing")
    parser.add_argument("--set", dest="overrides", nargs="*", default=(), metavar="key=value", help="config of every cell")
    return parser.parse_args()


if __name__ == "__main__":
    main()
