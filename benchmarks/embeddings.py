"""What each embedder costs, and how far images that it puts near each other show the same classes.

    python benchmarks/embeddings.py --data DIR... [--weights NAME=FILE ...] [--embedders NAME ...] [--images 300] [--timed 48]

An analysis with ground truth, which no strategy has: for images with objects drawn at random from the training images, what share of an
image's classes its nearest other image shows as well (recall of classes, in the mean over images), and over its five nearest in the mean;
beside it the same for a random image. Costs are images a second of processor time of one thread, decoding included. `--weights` names a
file or folder for an embedder; what has neither that nor a download, or lacks its package, is left out.
It does not show which embedder saves labels: near-duplicate frames share their classes whatever sees them.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from time import process_time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from numpy.typing import NDArray

from boxwise import registry, runtime
from boxwise.config import DetectorConfig, EmbeddingConfig, VaeConfig
from boxwise.data.datasets import read_dataset
from boxwise.data.formats.base import Dataset
from boxwise.detectors.detector import build_detector
from boxwise.embedders.base import Embedder, EmbedderContext, embed
from boxwise.errors import BoxwiseError
from boxwise.records import ImageRecord, Split

NEIGHBOURS = 5
CPU = torch.device("cpu")


def main() -> None:
    options = _options()
    runtime.prepare(1)
    weights = dict(one.split("=", 1) for one in options.weights)
    print("| set | embedder | images/s | nearest | five nearest |\n|---|---|---|---|---|")
    for folder in options.data:
        dataset = read_dataset(folder)
        drawn = _with_objects(dataset, options.images)
        classes = _classes(dataset, drawn)
        others = classes @ classes.T / classes.sum(axis=1, keepdims=True)
        chance = (others.sum(axis=1) - 1).mean() / (len(drawn) - 1)
        print(f"| {folder.name}, {len(drawn)} images | at random | | {chance:.3f} | {chance:.3f} |")
        for name, embedder in _embedders(options.embedders, weights, drawn):
            nearest, several = _shared(embed(drawn, embedder).embeddings, others)
            print(f"| | {name} | {_speed(embedder, drawn[: options.timed]):.0f} | {nearest:.3f} | {several:.3f} |", flush=True)


def _with_objects(dataset: Dataset, count: int) -> list[ImageRecord]:
    records = [r for r in dataset.images if r.split is Split.TRAIN and len(dataset.labels.get(r.image_id, ()))]
    return [records[row] for row in np.sort(np.random.default_rng(0).permutation(len(records))[:count])]


def _classes(dataset: Dataset, records: Sequence[ImageRecord]) -> NDArray[np.float64]:
    """1 where an image shows a class; [N, C]."""
    found = np.zeros((len(records), len(dataset.classes)))
    for row, record in enumerate(records):
        found[row, dataset.labels[record.image_id].labels] = 1
    return found


def _embedders(names: Sequence[str], weights: Mapping[str, str], images: Sequence[ImageRecord]) -> Iterator[tuple[str, Embedder]]:
    file = weights.get("backbone")
    own = DetectorConfig(name="yolox_nano", weights=Path(file) if file else None)
    given = EmbedderContext(
        CPU,
        lambda: build_detector("yolox_nano", ("thing",), own, seed=0, device=CPU),
        lambda: images,
        VaeConfig(steps=300),
        lambda: np.random.default_rng(0),
    )
    section = EmbeddingConfig.model_validate({name: {"weights": place} for name, place in weights.items() if name != "backbone"})
    for name in names:
        try:
            yield name, registry.embedder_of(section, name, given)
        except BoxwiseError as error:
            print(f"| | {name}: left out | | | | <!-- {error} -->")


def _shared(embeddings: NDArray[np.float32], others: NDArray[np.float64]) -> tuple[float, float]:
    """The share of an image's classes that its nearest, and its five nearest, show; the mean over images."""
    squared = np.square(embeddings).sum(axis=1)
    distances = squared[:, None] + squared - 2 * embeddings @ embeddings.T
    np.fill_diagonal(distances, np.inf)
    order = np.argsort(distances, axis=1)[:, :NEIGHBOURS]
    shares = np.take_along_axis(others, order, axis=1)
    return float(shares[:, 0].mean()), float(shares.mean())


def _speed(embedder: Embedder, images: Sequence[ImageRecord]) -> float:
    started = process_time()
    embed(images, embedder)
    return len(images) / (process_time() - started)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="Data sets with their labels.")
    parser.add_argument(
        "--weights", nargs="*", default=[], metavar="NAME=FILE", help="backbone (of yolox_nano), efficientnet_lite0, dinov2_small."
    )
    parser.add_argument("--embedders", nargs="+", default=[name for name in registry.EMBEDDERS if name != "detector"], metavar="NAME")
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--timed", type=int, default=48)
    return parser.parse_args()


if __name__ == "__main__":
    main()
