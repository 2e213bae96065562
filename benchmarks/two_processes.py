"""The pool pass by one process and by two at once, as `boxwise score --shard` runs them: wall seconds, efficiency, and what the model says.

    python benchmarks/two_processes.py FOLDER [--images 1000,10000,100000] [--detector yolox_nano] [--imgsz 160]

Needs two idle cores; each process has one thread. Makes a listing of `--images` names of a hundred real pictures and a study of it that
waits for its score step under first weights, then measures `boxwise score STUDY` by itself, and the two halves side by side with the join
after them. Efficiency: time of one / (2 · time of two). The model (benchmarks/scale_model.py) gets its three constants from the runs of
one process of the two smallest sizes and from the smallest join, and predicts all others. Exit code 1 when efficiency at the largest size
is below 0.9.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from million import listing
from scale_model import predicted

from boxwise.config import load_config
from boxwise.data.datasets import read_pool
from boxwise.records import Phase
from boxwise.study import Study

GOAL = 0.9
HEAD = ("images", "one: inspect + join", "two: inspect + join", "efficiency", "of the inspection alone", "two, by the model")
ONE_THREAD = os.environ | {"OMP_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Run:
    """Wall seconds. inspecting: of the shards, side by side. joining: of the command after them."""

    images: int
    processes: int
    inspecting: float
    joining: float

    @property
    def wall(self) -> float:
        return self.inspecting + self.joining


def main() -> int:
    options = _options()
    options.folder.mkdir(parents=True, exist_ok=True)
    ready = {images: waiting(options.folder / f"{images}", images, options.detector, options.imgsz) for images in options.images}
    runs = [measured(ready[images], images, processes) for images in options.images for processes in (1, 2)]
    ones, twos = [run for run in runs if run.processes == 1], [run for run in runs if run.processes == 2]
    passing = (ones[1].inspecting - ones[0].inspecting) / (ones[1].images - ones[0].images)
    joining = (ones[1].joining - ones[0].joining) / (ones[1].images - ones[0].images)
    start = ones[0].wall - ones[0].images * (passing + joining)
    print(f"| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}")
    for one, two in zip(ones, twos, strict=True):
        told = predicted(one.images, 2, passing, start, joining)
        print(
            f"| {one.images:,} | {one.inspecting:.1f} + {one.joining:.1f} s | {two.inspecting:.1f} + {two.joining:.1f} s "
            f"| {one.wall / (2 * two.wall):.2f} | {one.inspecting / (2 * two.inspecting):.2f} | {told:.1f} s ({told / two.wall - 1:+.0%}) |"
        )
    print(f"an image: {1e3 * passing:.3f} ms inspected, {1e3 * joining:.3f} ms joined; start and end {start:.1f} s")
    return 0 if ones[-1].inspecting / (2 * twos[-1].inspecting) >= GOAL else 1


def waiting(folder: Path, images: int, detector: str, imgsz: int) -> Path:
    """A study that waits for its first score step, with the detector's first weights in the place of trained ones."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    own = (f"detector.name={detector}", f"detector.imgsz={imgsz}", "detector.pretrained=none", "scorer.name=uncertainty", "device=cpu")
    config = load_config(None, (*own, "strategy.name=top_k", "train.folds=0", "budget.validation=0", "threads=1"))
    study = Study.create(folder / "study", read_pool(listing(folder, images), None, classes=("cat", "dog")), config=config)
    detector_ = study._context(None, None).build()
    study.files(0).path.mkdir(parents=True)
    detector_.save(study.files(0).weights)
    for phase in (Phase.SELECT, Phase.ANNOTATE, Phase.AUDIT, Phase.COMPOSE, Phase.TRAIN):
        study.store.commit(0, phase, {}, then=(0, Phase.EVALUATE))
    study.step()  # without val it only leaves its files
    study.store.close()
    return study.folder


def measured(study: Path, images: int, processes: int) -> Run:
    """The pass by so many shards at once, and the join; the study is as before then."""
    began = perf_counter()
    shards = [_start("score", study, "--shard", f"{number + 1}/{processes}") for number in range(processes)]
    codes = [shard.wait() for shard in shards]
    if any(codes):
        sys.exit("a shard failed; its message is above")
    inspected = perf_counter()
    if _start("score", study).wait():
        sys.exit("the join failed; its message is above")
    ended = perf_counter()
    Study.open(study).store.reopen(0, Phase.SCORE)
    return Run(images, processes, inspected - began, ended - inspected)


def _start(*arguments: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "boxwise", *map(str, arguments)], env=ONE_THREAD, stdout=subprocess.DEVNULL)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=lambda text: [int(word) for word in text.split(",")], default=[1000, 10_000, 100_000])
    parser.add_argument("--detector", default="yolox_nano")
    parser.add_argument("--imgsz", type=int, default=160)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
