"""How far a detector comes with few labels: AP on test at 20, 50, 100, 200 random labels and with everything, and the minutes it took.

    python benchmarks/labels_needed.py DATA... --out labels.csv [--detectors yolox_nano ssdlite320_mobilenet_v2] [--seeds 3] [--imgsz 160]
        [--weights yolox_nano=FILE] [--backbone ssdlite320_mobilenet_v2=FILE] [--budgets 20 50 100 200 0] [--check]

Labels are drawn at random; val (a fifth of them, at least ten images) comes on top and is counted; of a set without a val split,
"everything" gives a fifth of itself to val. A row a training is added to the CSV as it ends, and rows that are there are not made again: it
can be killed. --check repeats the smallest and the largest training at twice the length: a detector has converged where val AP moves by
less than .01. Detectors of one call run on the same labels, one thread each. It does not show what a strategy saves: nothing is chosen.
"""

from __future__ import annotations

import argparse
import csv
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from time import process_time
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from boxwise.config import DetectorConfig, TrainConfig
from boxwise.data.datasets import read_dataset
from boxwise.data.formats.base import Dataset
from boxwise.detectors.detector import TorchDetector, build_detector
from boxwise.detectors.prediction import predict
from boxwise.evaluation.average_precision import coco_metrics
from boxwise.records import ImageRecord, Sample, Split

BUDGETS = (20, 50, 100, 200, 0)  # 0: everything
CONVERGED = 0.01


@dataclass(frozen=True)
class Row:
    """One training. labels, val: images. length: times as long as the rule says. minutes: of one processor, so that other work beside it
    does not count; NaN where it was not measured. val_ap: of the weights that were kept.
    """

    data: str
    detector: str
    imgsz: int
    seed: int
    labels: int
    val: int
    length: float
    steps: int
    minutes: float
    val_ap: float
    test_ap: float
    test_ap50: float

    @property
    def key(self) -> tuple[str, str, int, int, int, float]:
        return self.data, self.detector, self.imgsz, self.seed, self.labels, self.length


def main() -> None:
    options = _options()
    torch.set_num_threads(1)
    done = {row.key: row for row in read_rows(options.out, Row)}
    for folder in options.data:
        dataset = read_dataset(folder)
        for seed in range(options.seeds):
            for labels, length in _plan(dataset, options.budgets, check=options.check and seed == 0):
                for name in options.detectors:
                    key = (folder.name, name, options.imgsz, seed, labels, length)
                    if key not in done:
                        row = _train(dataset, key, _config(options, name))
                        done[key] = row
                        append_row(options.out, row)
                        print(_line(row), flush=True)
    if options.check:
        _say_converged(list(done.values()))


def _plan(dataset: Dataset, budgets: Sequence[int], *, check: bool) -> Iterator[tuple[int, float]]:
    """(labels, length) of every training; budgets that the pool has no images for are left out, and 0 is all of it."""
    pool = len(of_split(dataset, Split.TRAIN))
    labels = [budget or pool for budget in budgets if budget < pool]
    yield from ((number, 1.0) for number in labels)
    if check and labels:
        yield from ((number, 2.0) for number in dict.fromkeys((labels[0], labels[-1])))


def of_split(dataset: Dataset, split: Split) -> list[ImageRecord]:
    """The labelled images of a split."""
    return [record for record in dataset.images if record.split is split and record.image_id in dataset.labels]


def _train(dataset: Dataset, key: tuple[str, str, int, int, int, float], config: DetectorConfig) -> Row:
    data, name, imgsz, seed, labels, length = key
    pool, test = of_split(dataset, Split.TRAIN), of_split(dataset, Split.TEST)
    order = [pool[row] for row in np.random.default_rng(seed).permutation(len(pool))]
    count = max(10, labels // 5)
    given = of_split(dataset, Split.VAL)
    val, train = (_some(given, count, seed), order[:labels]) if given else (order[-count:], order[: min(labels, len(order) - count)])
    detector = build_detector(name, dataset.classes, config, seed=seed, device=torch.device("cpu"))
    started = process_time()
    report = detector.fit(samples(dataset, train), samples(dataset, val), TrainConfig(length=length), seed=seed)
    minutes = (process_time() - started) / 60
    ap, ap50 = judged(detector, dataset, test)
    return Row(data, name, imgsz, seed, labels, len(val), length, report.steps, minutes, report.best_ap or 0.0, ap, ap50)


def _some(records: Sequence[ImageRecord], count: int, seed: int) -> list[ImageRecord]:
    """`count` of them at random, or all where there are fewer."""
    return [records[row] for row in np.random.default_rng([seed, 1]).permutation(len(records))[:count]]


def samples(dataset: Dataset, records: Sequence[ImageRecord]) -> list[Sample]:
    """Images with their labels."""
    return [Sample(record, dataset.labels[record.image_id]) for record in records]


def judged(detector: TorchDetector, dataset: Dataset, test: Sequence[ImageRecord]) -> tuple[float, float]:
    """AP and AP50 on these images."""
    found, _ = predict(detector, test)
    metrics = coco_metrics(found, {name: dataset.labels[name] for name in found}, dataset.classes, details=False)
    return metrics.ap, metrics.ap50


def _config(options: argparse.Namespace, name: str) -> DetectorConfig:
    whole, part = _files(options.weights), _files(options.backbone)
    given = {"weights": whole.get(name), "backbone_weights": part.get(name)}
    return DetectorConfig(name=name, imgsz=options.imgsz, **{key: value for key, value in given.items() if value is not None})


def _files(pairs: Sequence[str]) -> dict[str, Path]:
    return {name: Path(file) for name, _, file in (pair.partition("=") for pair in pairs)}


def _line(row: Row) -> str:
    return (
        f"{row.data} {row.detector} {row.imgsz} px seed {row.seed}: {row.labels} labels + {row.val} val, {row.steps} steps, "
        f"{row.minutes:.1f} min, val AP {row.val_ap:.3f}, test AP {row.test_ap:.3f} AP50 {row.test_ap50:.3f}"
    )


def _say_converged(rows: Sequence[Row]) -> None:
    """The convergence check: what twice the length moved on val."""
    once = {row.key[:-1]: row for row in rows if row.length == 1}
    for row in (row for row in rows if row.length == 2 and row.key[:-1] in once):
        moved = row.val_ap - once[row.key[:-1]].val_ap
        verdict = "converged" if abs(moved) < CONVERGED else "NOT CONVERGED"
        print(f"{row.data} {row.detector}, {row.labels} labels: twice the steps move val AP by {moved:+.3f}: {verdict}")


def read_rows(path: Path, kind: type[Any]) -> list[Any]:
    """The rows of a CSV that `append_row` wrote, of a dataclass of text and numbers; none where there is no file yet."""
    if not path.exists():
        return []
    types = {field.name: {"str": str, "int": int, "float": float}[str(field.type)] for field in fields(kind)}
    with path.open(newline="", encoding="utf-8") as file:
        return [kind(**{name: types[name](value) for name, value in line.items()}) for line in csv.DictReader(file)]


def append_row(path: Path, row: Any) -> None:
    """Add a dataclass to a CSV, which begins with the names of its fields."""
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(row)])
        if new:
            writer.writeheader()
        writer.writerow(asdict(row))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", nargs="+", type=Path, help="Data sets with labels and a test split.")
    parser.add_argument("--out", type=Path, required=True, help="CSV that grows by a row a training.")
    parser.add_argument("--detectors", nargs="+", default=["yolox_nano", "ssdlite320_mobilenet_v2"])
    parser.add_argument("--weights", nargs="*", default=[], metavar="DETECTOR=FILE", help="A whole detector's first weights.")
    parser.add_argument("--backbone", nargs="*", default=[], metavar="DETECTOR=FILE", help="A backbone's first weights.")
    parser.add_argument("--budgets", nargs="+", type=int, default=BUDGETS, metavar="LABELS", help="0: everything.")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--imgsz", type=int, default=160)
    parser.add_argument("--check", action="store_true", help="Twice the length for the smallest and the largest budget of seed 0.")
    return parser.parse_args()


if __name__ == "__main__":
    main()
