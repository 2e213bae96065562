"""What a detector that knows COCO saves in round 0, before anything is trained: suggestions to review against drawing everything.

Real studies of a COCO-labelled set, with the simulated annotator and the seconds of `boxwise.config.CostConfig`; both arms are asked about
the same images. Prints seconds of labour, what was done, and how right the boxes are that were accepted unseen.

    python benchmarks/round_zero.py --data coco256 --weights yolox_nano_coco.pth [--detector yolox_nano] [--images 100] [--seeds 3]
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from boxwise.config import load_config
from boxwise.data.coco_classes import COCO_CLASSES
from boxwise.data.datasets import read_dataset
from boxwise.data.formats.base import Dataset
from boxwise.evaluation.self_labels import self_label_quality
from boxwise.records import Phase, Split
from boxwise.simulation.annotator import SimulatedAnnotator
from boxwise.study import Study

ARMS = {"draw everything": "ask.mode=full", "review suggestions": "ask.mode=review"}


def renamed(dataset: Dataset, known: int) -> Dataset:
    """The data with `known` classes under their own names, the most frequent first, and the others under names that no detector knows."""
    counts = dict.fromkeys(range(len(dataset.classes)), 0)
    for boxes in dataset.labels.values():
        for label in boxes.labels.tolist():
            counts[label] += 1
    kept = set(sorted(counts, key=lambda label: -counts[label])[:known])
    names = tuple(name if label in kept else f"class {label}" for label, name in enumerate(dataset.classes))
    return replace(dataset, classes=names)


def round_zero(dataset: Dataset, overrides: Sequence[str], folder: Path) -> Mapping[str, Any]:
    """The labour of round 0's training images; nothing is trained."""
    config = load_config(None, overrides)
    pool = {record.image_id for record in dataset.images if record.split is Split.TRAIN}
    hidden = {image_id: boxes for image_id, boxes in dataset.labels.items() if image_id in pool}
    sizes = {record.image_id: (record.width, record.height) for record in dataset.images}
    annotator = SimulatedAnnotator(hidden, config.cost, config.annotator, seed=config.seed, class_count=len(dataset.classes), sizes=sizes)
    given = {image_id: boxes for image_id, boxes in dataset.labels.items() if image_id not in pool}
    study = Study.create(folder, replace(dataset, labels=given), config=config)
    while study.store.position[1] is not Phase.COMPOSE:
        if study.store.position[1] is Phase.ANNOTATE:
            study.answer(annotator)
        study.step()
    own = [(image_id, a.boxes[a.by_model]) for image_id, a in study.store.annotations(Split.TRAIN).items()]
    judged = self_label_quality(own, {image_id: hidden[image_id] for image_id, _ in own}, study.classes).values()
    right = {"accepted": sum(row["self_labeled"] for row in judged), "correct": sum(row["correct"] for row in judged)}
    return study.round(0).annotate.to_json() | right | {"suggested": study.round(0).select.proposed or 0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--detector", default="yolox_nano")
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    dataset = read_dataset(given.data)
    if not set(dataset.classes) <= set(COCO_CLASSES):  # files of numbers alone
        dataset = replace(dataset, classes=COCO_CLASSES)
    for known in (80, 3, 1):
        data = renamed(dataset, known)
        seconds: dict[str, list[float]] = {arm: [] for arm in ARMS}
        for seed in range(given.seeds):
            for arm, mode in ARMS.items():
                start = (f"detector.name={given.detector}", f"detector.weights={given.weights}", f"budget.initial={given.images}")
                with TemporaryDirectory() as folder:
                    found = round_zero(data, (*start, mode, f"seed={seed}", "threads=1"), Path(folder) / "study")
                seconds[arm].append(found["seconds"])
                own = f"{found['suggested']} suggested, {found['accepted']} accepted unseen, {found['correct']} of them right"
                print(f"{known} known, seed {seed}, {arm}: {found['images']} images, {found['seconds']:.0f} s, {own}, {found['actions']}")
        saved = [1 - after / before for before, after in zip(*seconds.values(), strict=True)]
        print(f"{known} of 80 classes known: saved {statistics.mean(saved):.1%} of the seconds ({min(saved):.1%} to {max(saved):.1%})\n")


if __name__ == "__main__":
    main()
