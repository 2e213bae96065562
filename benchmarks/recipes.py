"""Whether a family's learning rate and augmentation suit few labels: AP on val of short trainings that differ in these alone.

    python benchmarks/recipes.py DATA --detector ssdlite320_mobilenet_v2 [--backbone FILE | --weights FILE] [--labels 10 100]
        [--optimizers sgd adamw] [--rates 0.005 0.01 0.02] [--augment ssd scale] [--imgsz 128] [--steps 240] [--seeds 1]

Every training takes the same number of steps on the same labels, drawn at random, one thread; AP is that of the averaged weights on
`--val` images, halfway and at the end. Meant for choosing `detectors/recipe.py`'s figures: test is not read, so the figures of a table
made here favour the setting that won, by what one would gain from trying as many seeds.
"""

from __future__ import annotations

import argparse
import os
from itertools import product
from pathlib import Path
from time import perf_counter
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from boxwise.config import DetectorConfig, TrainConfig
from boxwise.data.datasets import read_dataset
from boxwise.data.formats.base import Dataset
from boxwise.detectors.detector import build_detector
from boxwise.records import Sample, Split

DECAYS: dict[str, dict[str, Any]] = {"auto": {}, "sgd": {"weight_decay": 5e-4}, "adamw": {"weight_decay": 0.01}}


def main() -> None:
    options = _options()
    torch.set_num_threads(1)
    dataset = read_dataset(options.data)
    choices = product(range(options.seeds), options.labels, options.augment, options.optimizers, options.rates)
    for seed, labels, augment, optimizer, rate in choices:
        started = perf_counter()
        recipe = DECAYS[optimizer] | {"augment": augment, "optimizer": optimizer, "lr": rate}
        halfway, end = _aps(dataset, options, recipe, labels=labels, seed=seed)
        print(
            f"{options.data.name} {options.detector} {options.imgsz} px, {labels} labels, seed {seed}, {augment}, {optimizer} {rate}: "
            f"val AP {halfway:.3f} halfway, {end:.3f} after {options.steps} steps, {perf_counter() - started:.0f} s",
            flush=True,
        )


def _aps(dataset: Dataset, options: argparse.Namespace, recipe: dict[str, Any], *, labels: int, seed: int) -> tuple[float, float]:
    """AP on val after half of the steps, at the full rate, and after all of them. recipe: keys of `train` that differ."""
    train, val = _drawn(dataset, labels, options.val, seed)
    given = {"weights": options.weights, "backbone_weights": options.backbone}
    config = DetectorConfig(name=options.detector, imgsz=options.imgsz, **{key: file for key, file in given.items() if file})
    detector = build_detector(config.name, dataset.classes, config, seed=seed, device=torch.device("cpu"))
    training = {"min_steps": options.steps, "max_steps": options.steps, "val_every": options.steps // 2, "schedule": "plateau"}
    report = detector.fit(train, val, TrainConfig.model_validate(training | recipe), seed=seed)
    halfway, end = [entry["ap"] for entry in report.history if "ap" in entry]
    return halfway, end


def _drawn(dataset: Dataset, labels: int, val: int, seed: int) -> tuple[list[Sample], list[Sample]]:
    """Random labelled images to train on and others to look at, from the set's train split."""
    pool = [record for record in dataset.images if record.split is Split.TRAIN and record.image_id in dataset.labels]
    drawn = [pool[row] for row in np.random.default_rng(seed).permutation(len(pool))[: labels + val]]
    samples = [Sample(record, dataset.labels[record.image_id]) for record in drawn]
    return samples[val:], samples[:val]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path, help="A data set with labels.")
    parser.add_argument("--detector", required=True)
    parser.add_argument("--weights", type=Path, help="The whole detector's first weights.")
    parser.add_argument("--backbone", type=Path, help="Its backbone's first weights.")
    parser.add_argument("--labels", type=int, nargs="+", default=[10, 100])
    parser.add_argument("--optimizers", nargs="+", default=["auto"], help="auto: the family's; sgd decays weights by 5e-4, adamw by .01.")
    parser.add_argument("--rates", type=float, nargs="+", default=[0.005, 0.01, 0.02])
    parser.add_argument("--augment", nargs="+", default=["ssd", "scale"])
    parser.add_argument("--imgsz", type=int, default=128)
    parser.add_argument("--steps", type=int, default=240)
    parser.add_argument("--val", type=int, default=60, help="Images to judge by.")
    parser.add_argument("--seeds", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
