"""What the labelled images of finished runs are like: classes seen and how evenly, near-duplicates, and how near the pool lies to them.

    python benchmarks/what_was_chosen.py RESULTS DATA... [--weights yolox_nano.pth] [--imgsz 128] [--cosine 0.95] [--arms ...]

RESULTS is a folder of `boxwise benchmark --out` with one detector and the arm `everything`, or benchmarks/results/confirmation; DATA the
data sets that it was run on, of the same names. An analysis with ground truth, which no strategy has, after each arm's last round, in the
mean over its seeds: images and boxes; classes with a box, and classes as if all had as many boxes (the exponential of the entropy of their
shares); images with another labelled one at that cosine or nearer; and the distance (1 - cosine) of a pool image to the nearest labelled
one, in the mean. Images are compared by the pooled features of YOLOX-nano before any training, so with the weights that are given. Trains
nothing.
It shows in what arms differ, not that this is why one is ahead.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from boxwise import runtime
from boxwise.config import DetectorConfig
from boxwise.data.datasets import read_dataset
from boxwise.data.formats.base import Dataset
from boxwise.detectors.detector import build_detector
from boxwise.detectors.loading import image_batches
from boxwise.records import ImageRecord
from boxwise.results.facts import Cell
from boxwise.results.finished import FINISHED_FILE, read_finished

BATCH = 16
COLUMNS = ("set", "arm", "seeds", "images", "boxes", "classes", "as if even", "near-duplicates", "pool's distance")


@dataclass(frozen=True)
class Chosen:
    """One cell: what its labelled images are like; see the head of this file."""

    images: int
    boxes: int
    classes: int
    even: float
    duplicates: float
    distance: float


def main() -> None:
    options = _options()
    runtime.prepare(1)
    print(f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|")
    for folder in options.data:
        (place,) = {path.parent for path in options.results.glob(f"{folder.name}_*/{FINISHED_FILE}")} or {options.results}
        cells = [found.cell for found in read_finished(place)]
        for row in _rows(folder.name, cells, read_dataset(folder), options):
            print(row, flush=True)


def _rows(name: str, cells: Sequence[Cell], dataset: Dataset, options: argparse.Namespace) -> Iterator[str]:
    whole = {item.image_id for cell in cells if cell.arm == "everything" for one in cell.rounds for item in one.items}
    pool = [record for record in dataset.images if record.image_id in whole]
    place = {record.image_id: row for row, record in enumerate(pool)}
    features = _features(pool, options.weights, options.imgsz)
    for arm in options.arms or dict.fromkeys(cell.arm for cell in cells):
        found = [_chosen(cell, dataset, place, features, options.cosine) for cell in cells if cell.arm == arm]
        if found:
            mean = {key: float(np.mean([getattr(one, key) for one in found])) for key in Chosen.__annotations__}
            counts = f"{mean['images']:.0f} | {mean['boxes']:.0f} | {mean['classes']:.1f} of {len(dataset.classes)}"
            yield f"| {name} | {arm} | {len(found)} | {counts} | {mean['even']:.1f} | {mean['duplicates']:.0%} | {mean['distance']:.3f} |"


def _chosen(cell: Cell, dataset: Dataset, place: dict[str, int], features: NDArray[np.float32], cosine: float) -> Chosen:
    ids = [item.image_id for one in cell.rounds for item in one.items]
    labelled = features[[place[image_id] for image_id in ids]]
    nearest = features @ labelled.T
    among = labelled @ labelled.T
    np.fill_diagonal(among, -1)
    counts = np.bincount(np.concatenate([dataset.labels[i].labels for i in ids]), minlength=len(dataset.classes))
    shares = counts[counts > 0] / max(counts.sum(), 1)
    return Chosen(
        images=len(ids),
        boxes=int(counts.sum()),
        classes=int((counts > 0).sum()),
        even=float(np.exp(-(shares * np.log(shares)).sum())),
        duplicates=float((among.max(axis=1) >= cosine).mean()),
        distance=float(1 - nearest.max(axis=1).mean()),
    )


def _features(records: Sequence[ImageRecord], weights: Path | None, imgsz: int) -> NDArray[np.float32]:
    """Unit vectors, [N, D]."""
    config = DetectorConfig(name="yolox_nano", imgsz=imgsz, weights=weights)
    detector = build_detector("yolox_nano", ("thing",), config, seed=0, device=torch.device("cpu"))
    return np.concatenate([detector.embeddings(detector.view(batch)) for batch in image_batches(records, detector.input, batch=BATCH)])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("results", type=Path, help="A benchmark's folder.")
    parser.add_argument("data", type=Path, nargs="+", help="The data sets that it was run on, of the same names.")
    parser.add_argument("--weights", type=Path, help="YOLOX-nano's release file; else it is downloaded.")
    parser.add_argument("--imgsz", type=int, default=128)
    parser.add_argument("--cosine", type=float, default=0.95, help="from which two images are near-duplicates")
    parser.add_argument("--arms", nargs="+", help="Of all arms that are finished there.")
    return parser.parse_args()


if __name__ == "__main__":
    main()
