"""What human-machine cooperation costs beside the pool pass: proposals, every import policy, calibration, cross-image validation.

Prints seconds, and ratios within one run: in each round the contestants follow the pool pass in one process. Proposals and the slowest
policy together must stay under 5% of it, or the exit code is 1. Cross-image validation consists of forward passes and is reported apart.

    python benchmarks/cooperation.py [--detector ssdlite320_mobilenet_v2] [--imgsz 160] [--data DIR --format voc] [--count 1000]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

import numpy as np
import torch

from boxwise import runtime
from boxwise.annotation.calibration import Method, calibrate
from boxwise.annotation.proposals import Thresholds, propose
from boxwise.annotation.verdicts import annotation_of
from boxwise.artifacts.detections_file import read_detections, writing_detections
from boxwise.boxes import Boxes
from boxwise.config import CostConfig, DetectorConfig, PolicyConfig, ScorerConfig, TrainConfig, VaeConfig
from boxwise.data.datasets import read_dataset
from boxwise.data.digits import make_digits
from boxwise.data.formats.base import Dataset
from boxwise.detectors.detector import TorchDetector, build_detector
from boxwise.detectors.prediction import predict
from boxwise.policies.base import Material, Policy, PoolImage
from boxwise.records import Annotation, ImageRecord, Proposals, QueryItem, Sample, Split
from boxwise.registry import POLICIES, policy_of, scorer_of
from boxwise.scorers.base import Scorer
from boxwise.scorers.cross_image import cross_validate, most_confident
from boxwise.scorers.no_score import NoScore
from boxwise.scorers.pool_pass import inspect_pool
from boxwise.simulation.annotator import SimulatedAnnotator

GOAL = 0.05  # of the pool pass: proposals and the slowest policy
CERTAIN, PROPOSED = 4, 8  # boxes an image at or above each threshold: the load is the same however well the detector was trained
OVERLAP = 0.5
ROUND = 5  # the policies' material is that of such a round
LABELED, SEEN, NEW = 0.5, 0.5, 0.05  # images as shares of the pool
METHODS: tuple[Method, ...] = ("isotonic", "temperature")
VALIDATED = 64  # images cross-validated a round, the default of policy.sample_mining

Work = Callable[[], object]


@dataclass(frozen=True)
class Setting:
    """What the contestants share. detections: of the whole pool, as the pass wrote them; val_detections likewise."""

    detector: TorchDetector
    scorer: Scorer
    dataset: Dataset
    pool: tuple[ImageRecord, ...]
    folder: Path
    thresholds: Thresholds
    batch: int

    @property
    def detections(self) -> Path:
        return self.folder / "detections.parquet"

    @property
    def val_detections(self) -> Path:
        return self.folder / "val_detections.parquet"

    def proposals(self) -> list[Proposals]:
        found = read_detections(self.detections)
        return [propose(image_id, boxes, self.thresholds, overlap=OVERLAP, prefix="r5") for image_id, boxes in found]

    def labels(self, image_id: str) -> Boxes:
        return self.dataset.labels[image_id.partition("-")[2]]


def main() -> None:
    arguments = _arguments()
    runtime.prepare(arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        setting = prepared(arguments, Path(folder))
        works = contestants(setting)
        seconds = taking_turns(works, arguments.rounds)
        print(f"{arguments.detector} at {arguments.imgsz} px, {arguments.device}, median of {arguments.rounds} rounds")
        print(described(setting))
        print_table(seconds)
        print_apart(setting, seconds["pool pass"])
    sys.exit(not verdict(seconds))


def prepared(arguments: argparse.Namespace, folder: Path) -> Setting:
    """A detector after a short training, a pool of `count` images that it has passed over once, and thresholds that fit its scores."""
    dataset = _dataset(arguments, folder)
    detector = _trained(arguments, dataset)
    pool = _pool(dataset, arguments.count)
    config = ScorerConfig(name="dual", vae=VaeConfig(steps=1))  # what the VAE has learned does not change its speed
    scorer = scorer_of(config, device=detector.device, spec=detector.input)
    scorer.fit(_samples(dataset, Split.TRAIN)[:64], [], detector=detector, rng=np.random.default_rng(0))
    setting = Setting(detector, scorer, dataset, pool, folder, Thresholds(np.ones(len(dataset.classes)), 0.0), arguments.batch)
    pool_pass(setting, scorer)
    _write_val(setting)
    return replace(setting, thresholds=_thresholds(setting))


def contestants(setting: Setting) -> dict[str, Work]:
    """Name → work; the pool pass first, which the others are measured against."""
    material = material_of(setting)
    works: dict[str, Work] = {
        "pool pass": lambda: pool_pass(setting, setting.scorer),
        "pool pass without a score": lambda: pool_pass(setting, NoScore()),
        "proposals on every image": setting.proposals,
    }
    for name in POLICIES:
        works[f"policy {name}"] = _composing(policy_of(PolicyConfig(name=name)), material)
    for method in METHODS:
        works[f"calibration {method}"] = _calibrating(setting, method)
    return works


def pool_pass(setting: Setting, scorer: Scorer) -> object:
    return inspect_pool(setting.detector, scorer, setting.pool, batch=setting.batch, detections_path=setting.detections)


def material_of(setting: Setting) -> Material:
    """What the policies see in round 5: images labelled from the start, and images answered for in review, a part of them just now."""
    proposals = {found.image_id: found for found in setting.proposals()}
    truths = {image_id: setting.labels(image_id) for image_id in proposals}
    annotator = SimulatedAnnotator(truths, CostConfig())
    count = len(setting.pool)
    seen = {image.image_id: _reviewed(annotator, proposals[image.image_id]) for image in setting.pool[: int(SEEN * count)]}
    labeled = {f"labelled-{image_id}": annotation for image_id, annotation in list(seen.items())[: int(LABELED * count)]}
    new = tuple(seen)[-max(1, int(NEW * count)) :]
    classes = len(setting.dataset.classes)
    return Material(ROUND, len(new), labeled=labeled, seen=seen, new=new, pool=lambda: pool_images(setting), class_count=classes)


def pool_images(setting: Setting) -> Iterator[PoolImage]:
    """The whole pool from its file, as the step COMPOSE reads it; every image as if it had been cross-validated."""
    for image_id, boxes in read_detections(setting.detections, only={image.image_id for image in setting.pool}):
        likely = boxes.at_least(setting.thresholds.uncertain)
        yield PoolImage(image_id, likely, np.ones(len(likely), np.float32))


def taking_turns(works: dict[str, Work], rounds: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for work in works.values():
        work()  # what is imported, compiled and cached on first use is paid once a process
    for _ in range(rounds):
        for name, work in works.items():
            seconds[name].append(_seconds(work))
    return seconds


def described(setting: Setting) -> str:
    count, val = len(setting.pool), len(_samples(setting.dataset, Split.VAL))
    found = sum(len(boxes) for _, boxes in read_detections(setting.detections))
    return (
        f"{count} pool images with {found / count:.1f} detections each, {PROPOSED} of them proposed, {CERTAIN} at or above `certain`; "
        f"{int(LABELED * count)} labelled, {int(SEEN * count)} seen, {max(1, int(NEW * count))} new, {val} val images\n"
    )


def print_table(seconds: dict[str, list[float]]) -> None:
    for name, mine in seconds.items():
        print(f"{name:<32} {statistics.median(mine):9.4f} s  {share(seconds, name):8.2%} of the pool pass")


def print_apart(setting: Setting, passes: list[float]) -> None:
    """Cross-image validation, once: a forward pass for each of five pastes of each box."""
    records = {image.image_id: image for image in setting.pool}
    likely = {image.image_id: image.boxes for image in pool_images(setting)}
    images = [(records[image_id], likely[image_id]) for image_id in most_confident(likely.items(), VALIDATED)]
    hosts = _samples(setting.dataset, Split.TRAIN)
    pastes = [0]

    def count(done: int, total: int) -> None:
        pastes[0] = total

    def work() -> object:
        return cross_validate(setting.detector, images, hosts, rng=np.random.default_rng(0), batch=setting.batch, progress=count)

    took, whole = _seconds(work), statistics.median(passes)
    each = (took / max(pastes[0], 1)) / (whole / len(setting.pool))
    print(
        f"\nApart, not in the {GOAL:.0%}: cross-image validation of {len(images)} images, {pastes[0]} pastes: {took:.2f} s, "
        f"{took / whole:.2f} x the pool pass; a paste costs {each:.2f} x an image of the pass"
    )


def verdict(seconds: dict[str, list[float]]) -> bool:
    """Whether proposals and the slowest policy stay under the goal."""
    slowest = max((name for name in seconds if name.startswith("policy ")), key=lambda name: share(seconds, name))
    sum_of = share(seconds, "proposals on every image") + share(seconds, slowest)
    kept = sum_of < GOAL
    print(f"\nproposals + {slowest}: {sum_of:.2%} of the pool pass, goal under {GOAL:.0%}: {'kept' if kept else 'MISSED'}")
    return kept


def share(seconds: dict[str, list[float]], name: str) -> float:
    """The median over the rounds of a contestant's time against the pool pass of its round."""
    return statistics.median(mine / base for mine, base in zip(seconds[name], seconds["pool pass"], strict=True))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--detector", default="ssdlite320_mobilenet_v2")
    parser.add_argument("--imgsz", type=int, default=160)
    parser.add_argument("--data", type=Path, help="a labelled data set with train and val; default: generated digit scenes")
    parser.add_argument("--format", help="voc, coco or yolo; guessed when not given")
    parser.add_argument("--count", type=int, default=1000, help="pool images; those of the data set again where it has fewer")
    parser.add_argument("--steps", type=int, default=40, help="training steps before")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--threads", type=int, default=0, help="torch threads; 0: torch's own choice")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


def _dataset(arguments: argparse.Namespace, folder: Path) -> Dataset:
    if arguments.data is None:
        return make_digits(folder / "digits", seed=1, images=400, imgsz=arguments.imgsz)
    dataset = read_dataset(arguments.data, format_name=arguments.format)
    if not all(_samples(dataset, split) for split in (Split.TRAIN, Split.VAL)):
        raise SystemExit(f"{arguments.data}: expected labelled images in train and in val.")
    return dataset


def _trained(arguments: argparse.Namespace, dataset: Dataset) -> TorchDetector:
    config = DetectorConfig(name=arguments.detector, imgsz=arguments.imgsz, pretrained=False)
    detector = build_detector(arguments.detector, dataset.classes, config, seed=0, device=torch.device(arguments.device))
    steps: dict[str, int] = {"min_steps": arguments.steps, "max_steps": arguments.steps}
    detector.fit(_samples(dataset, Split.TRAIN), [], TrainConfig(batch=8, warmup_steps=5, augment="none", **steps), seed=0)
    return detector


def _samples(dataset: Dataset, split: Split) -> list[Sample]:
    """The labelled images of a split."""
    labels = dataset.labels
    return [Sample(image, labels[image.image_id]) for image in dataset.images if image.split is split and image.image_id in labels]


def _pool(dataset: Dataset, count: int) -> tuple[ImageRecord, ...]:
    """`count` training images, taken again under other names where there are fewer."""
    images = [sample.image for sample in _samples(dataset, Split.TRAIN)]
    chosen = [images[index % len(images)] for index in range(count)]
    return tuple(replace(image, image_id=f"{index:06}-{image.image_id}") for index, image in enumerate(chosen))


def _write_val(setting: Setting) -> None:
    images = [sample.image for sample in _samples(setting.dataset, Split.VAL)]
    found, _ = predict(setting.detector, images, batch=setting.batch)
    with writing_detections(setting.val_detections) as file:
        for image_id, boxes in found.items():
            file.add(image_id, boxes)


def _thresholds(setting: Setting) -> Thresholds:
    """Scores that leave so many boxes an image as the constants above say."""
    scores = [boxes.scores for _, boxes in read_detections(setting.detections) if boxes.scores is not None]
    falling = -np.sort(-np.concatenate(scores))
    certain, uncertain = (float(falling[min(boxes * len(setting.pool), len(falling)) - 1]) for boxes in (CERTAIN, PROPOSED))
    return Thresholds(np.full(len(setting.dataset.classes), certain), uncertain)


def _reviewed(annotator: SimulatedAnnotator, proposals: Proposals) -> Annotation:
    verdicts, _ = annotator.annotate(QueryItem(proposals.image_id, 0.0), proposals)
    return annotation_of(proposals.image_id, verdicts, proposals, round_index=ROUND)


def _composing(policy: Policy, material: Material) -> Work:
    return lambda: policy.compose(material, rng=np.random.default_rng(0))


def _calibrating(setting: Setting, method: Method) -> Work:
    truths = {sample.image.image_id: sample.boxes for sample in _samples(setting.dataset, Split.VAL)}
    classes, how = setting.dataset.classes, {"target_precision": 0.95, "confidence": 0.9, "lowest": setting.thresholds.uncertain}
    return lambda: calibrate(dict(read_detections(setting.val_detections)), truths, classes, method=method, **how)


def _seconds(work: Work) -> float:
    started = perf_counter()
    work()
    return perf_counter() - started


if __name__ == "__main__":
    main()
