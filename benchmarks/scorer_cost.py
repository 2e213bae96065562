"""What each scorer costs an image beside the plain pool pass, the scorers taking turns in one run.

    python benchmarks/scorer_cost.py                                        # digit scenes, tiny_ssd at 96 px
    python benchmarks/scorer_cost.py --detector ssdlite320_mobilenet_v2 --imgsz 320 --images 64

Plain is the pass with detections and embeddings and no score (`scorer.name=none`), decoding included. What a scorer learns before the pass
(`fit`: a VAE, a look at what is labelled) has a column of its own; an ensemble's further trainings have none. Processor time.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections import defaultdict
from pathlib import Path
from time import process_time

import numpy as np
import torch

from boxwise.config import DetectorConfig, ScorerConfig, TrainConfig, VaeConfig
from boxwise.data.digits import make_digits
from boxwise.detectors.detector import TorchDetector, build_detector
from boxwise.records import ImageRecord, Sample, Split
from boxwise.registry import SCORERS, scorer_of
from boxwise.scorers.base import Scorer
from boxwise.scorers.pool_pass import inspect_pool

TRAINING = TrainConfig(min_steps=200, max_steps=200, batch=16, lr=0.02, epochs=1, augment="flip")
LEFT_OUT = {"mixture"}  # needs mixture heads


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--detector", default="tiny_ssd")
    parser.add_argument("--imgsz", type=int, default=96)
    parser.add_argument("--images", type=int, default=192, help="pool images; a third as many are labelled")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        labeled, pool, classes = scenes(Path(folder), options.images, options.imgsz)
        detector, member = (trained(options, labeled, classes, seed=seed) for seed in (0, 1))
        scorers = {name: build(name, detector, member) for name in SCORERS if name not in LEFT_OUT}
        fits = {name: fit(scorer, detector, labeled, pool) for name, scorer in scorers.items()}
        passes: dict[str, list[float]] = defaultdict(list)
        for _ in range(options.repeats):
            for name, scorer in scorers.items():
                passes[name].append(seconds_of_pass(detector, scorer, pool) / len(pool))
    report(fits, passes, plain="none")


def scenes(folder: Path, count: int, imgsz: int) -> tuple[list[Sample], list[ImageRecord], tuple[str, ...]]:
    dataset = make_digits(folder, seed=0, images=round(count * 2.3), imgsz=max(96, imgsz))
    train = [record for record in dataset.images if record.split is Split.TRAIN]
    third = count // 3
    return [Sample(record, dataset.labels[record.image_id]) for record in train[:third]], train[third : third + count], dataset.classes


def trained(options: argparse.Namespace, labeled: list[Sample], classes: tuple[str, ...], *, seed: int) -> TorchDetector:
    """A detector that finds something, so that there are boxes to look at twice."""
    config = DetectorConfig(name=options.detector, imgsz=options.imgsz, pretrained=False)
    detector = build_detector(options.detector, classes, config, seed=seed, device=torch.device("cpu"))
    detector.fit(labeled, [], TRAINING, seed=seed)
    return detector


def build(name: str, detector: TorchDetector, member: TorchDetector) -> Scorer:
    config = ScorerConfig(name=name, vae=VaeConfig(steps=100))
    return scorer_of(config, device="cpu", spec=detector.input, members=[member, member])


def fit(scorer: Scorer, detector: TorchDetector, labeled: list[Sample], pool: list[ImageRecord]) -> float:
    started = process_time()
    scorer.fit(labeled, pool, detector=detector, rng=np.random.default_rng(0))
    return process_time() - started


def seconds_of_pass(detector: TorchDetector, scorer: Scorer, pool: list[ImageRecord]) -> float:
    started = process_time()
    inspect_pool(detector, scorer, pool)
    return process_time() - started


def report(fits: dict[str, float], passes: dict[str, list[float]], *, plain: str) -> None:
    unit = statistics.median(passes[plain])
    print(f"{'scorer':18} {'ms an image':>12} {'x plain':>8} {'s to fit':>9}")
    for name in sorted(passes, key=lambda name: statistics.median(passes[name])):
        cost = statistics.median(passes[name])
        print(f"{name:18} {1e3 * cost:12.2f} {cost / unit:8.2f} {fits[name]:9.1f}")


if __name__ == "__main__":
    main()
