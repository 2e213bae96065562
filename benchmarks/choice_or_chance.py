"""How much of AP is owed to which images were labelled, and how much to the chance of one training: what there is for a strategy to gain.

    python benchmarks/choice_or_chance.py DATA... --out choice_or_chance.csv [--weights yolox_nano.pth] [--labels 50] [--draws 8]
        [--trainings 2] [--val 20] [--imgsz 128] [--detector yolox_nano]

Of the pool, --draws random sets of --labels images are drawn; on each the detector is trained --trainings times, with the same val and
first weights and other seeds. The variance of AP on test is then split in two (one-way analysis of variance, random effects): within a
draw, the training's chance; between draws, the choice. A row a training is added to the CSV as it ends, and rows that are there are not
made again. The spread between draws bounds what choosing among images like these can bring, not what a choice that no random draw would
ever make can.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from labels_needed import append_row, judged, of_split, read_rows, samples
from scipy.stats import f as f_distribution

from boxwise.config import DetectorConfig, TrainConfig
from boxwise.data.datasets import read_dataset
from boxwise.data.formats.base import Dataset
from boxwise.data.splits import with_few_val, with_splits
from boxwise.detectors.detector import build_detector
from boxwise.records import Split


@dataclass(frozen=True)
class Row:
    """One training. labels: images; boxes: those on them. draw: which of the random sets; training: which training on it."""

    data: str
    detector: str
    imgsz: int
    labels: int
    val: int
    draw: int
    training: int
    boxes: int
    steps: int
    test_ap: float
    test_ap50: float

    @property
    def key(self) -> tuple[str, str, int, int, int, int, int]:
        return self.data, self.detector, self.imgsz, self.labels, self.val, self.draw, self.training


@dataclass(frozen=True)
class Spread:
    """Standard deviations of AP. p: of the F test that draws do not differ."""

    mean: float
    choice: float
    chance: float
    p: float


def main() -> None:
    options = _options()
    torch.set_num_threads(1)
    done = {row.key: row for row in read_rows(options.out, Row)}
    config = DetectorConfig(name=options.detector, imgsz=options.imgsz, **({"weights": options.weights} if options.weights else {}))
    for folder in options.data:
        dataset = with_few_val(with_splits(read_dataset(folder)), options.val)
        rows = []
        for training in range(options.trainings):
            for draw in range(options.draws):
                key = (folder.name, options.detector, options.imgsz, options.labels, options.val, draw, training)
                if key not in done:
                    done[key] = row = _train(dataset, key, config)
                    append_row(options.out, row)
                    print(f"{row.data} draw {draw} training {training}: {row.boxes} boxes, AP {row.test_ap:.3f}", flush=True)
                rows.append(done[key])
        print(_verdict(folder.name, rows), flush=True)


def _train(dataset: Dataset, key: tuple[str, str, int, int, int, int, int], config: DetectorConfig) -> Row:
    data, name, imgsz, labels, val, draw, training = key
    pool = of_split(dataset, Split.TRAIN)
    drawn = [pool[row] for row in sorted(np.random.default_rng(draw).permutation(len(pool))[:labels])]
    detector = build_detector(name, dataset.classes, config, seed=training, device=torch.device("cpu"))
    report = detector.fit(samples(dataset, drawn), samples(dataset, of_split(dataset, Split.VAL)), TrainConfig(), seed=training)
    ap, ap50 = judged(detector, dataset, of_split(dataset, Split.TEST))
    boxes = sum(len(dataset.labels[record.image_id]) for record in drawn)
    return Row(data, name, imgsz, labels, val, draw, training, boxes, report.steps, ap, ap50)


def spread(groups: Sequence[Sequence[float]]) -> Spread:
    """The variance components of AP by draw, each draw with as many trainings; a choice whose estimate is below nothing is 0.

    The usual estimates of the one-way random-effects model: within = mean square within draws, between = (mean square between draws −
    within) / trainings a draw.
    """
    values = np.array(groups)
    draws, trainings = values.shape
    within = ((values - values.mean(1, keepdims=True)) ** 2).sum() / (draws * (trainings - 1))
    between = trainings * values.mean(1).var(ddof=1)
    p = float(f_distribution.sf(between / within, draws - 1, draws * (trainings - 1))) if within > 0 else 0.0
    return Spread(float(values.mean()), float(max(between - within, 0.0) / trainings) ** 0.5, float(within) ** 0.5, p)


def _verdict(data: str, rows: Sequence[Row]) -> str:
    by_draw: dict[int, list[Row]] = {}
    for row in sorted(rows, key=lambda row: row.training):
        by_draw.setdefault(row.draw, []).append(row)
    found = spread([[row.test_ap for row in group] for group in by_draw.values()])
    counts = [group[0].boxes for group in by_draw.values()]
    owed = float(np.corrcoef(counts, [np.mean([row.test_ap for row in group]) for group in by_draw.values()])[0, 1])
    return (
        f"{data}, {rows[0].labels} random labels, {len(by_draw)} draws of {len(rows) // len(by_draw)} trainings: AP {found.mean:.3f}; "
        f"standard deviation owed to the choice {found.choice:.4f} (p = {found.p:.2f} that there is none), to the training's chance "
        f"{found.chance:.4f}; correlation of AP with the number of boxes {owed:+.2f}"
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", nargs="+", type=Path, help="Data sets with labels.")
    parser.add_argument("--out", type=Path, required=True, help="CSV that grows by a row a training.")
    parser.add_argument("--weights", type=Path, help="The detector's first weights; default: COCO's, downloaded.")
    parser.add_argument("--labels", type=int, default=50)
    parser.add_argument("--draws", type=int, default=8)
    parser.add_argument("--trainings", type=int, default=2)
    parser.add_argument("--val", type=int, default=20)
    parser.add_argument("--imgsz", type=int, default=128)
    parser.add_argument("--detector", default="yolox_nano")
    options = parser.parse_args()
    if options.draws < 2 or options.trainings < 2:
        parser.error("--draws and --trainings: a spread takes two of each or more")
    return options


if __name__ == "__main__":
    main()
