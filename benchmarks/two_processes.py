"""The pool pass by one process and by two at once, as `boxwise score --shard` runs them: wall seconds, efficiency, and what the model says.

    python benchmarks/two_processes.py FOLDER [--images 1000,10000,100000] [--detector yolox_nano] [--imgsz 160]

Needs two idle cores. Each process has one thread of torch and is bound to a core, as two machines would be: free, one process decodes
images on the second core as well, and has a part of two already. Makes a listing of `--images` links to a hundred real pictures and a
study of it that waits for its score step under first weights, then measures `boxwise score STUDY` by itself, and the two halves side by
side with the join after them. Efficiency: time of one / (2 · time of two); images/s are those of the inspection, start of the processes
included. The model (benchmarks/scale_model.py) gets its three constants from the runs of one process of the two smallest sizes and from
the smallest join, and predicts all others. Exit code 1 when efficiency at the largest size, the join left out, is below 0.9.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from time import perf_counter

from million import check_count, listing
from scale_model import predicted

from boxwise.config import load_config
from boxwise.data.datasets import read_pool
from boxwise.records import Phase
from boxwise.study import Study

GOAL = 0.9
HEAD = (
    *("images", "one: inspect + join", "two: inspect + join", "images/s, one", "images/s, two"),
    *("efficiency", "of the inspection alone", "two, by the model"),
)
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

    @property
    def rate(self) -> float:
        """Images a second."""
        return self.images / self.inspecting


def main() -> int:
    options = _options()
    options.folder.mkdir(parents=True, exist_ok=True)
    ready = {images: waiting(options.folder / f"{images}", images, options.detector, options.imgsz) for images in options.images}
    runs = [measured(ready[images], images, processes) for images in options.images for processes in (1, 2)]
    ones, twos = [run for run in runs if run.processes == 1], [run for run in runs if run.processes == 2]
    constants = model(ones) if len(ones) > 1 else None
    print(f"{options.detector} at {options.imgsz} px\n| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}")
    for one, two in zip(ones, twos, strict=True):
        said = _against(two, predicted(one.images, 2, *constants)) if constants else ""
        efficiency, inspection = one.wall / (2 * two.wall), one.inspecting / (2 * two.inspecting)
        print(
            f"| {one.images:,} | {one.inspecting:.1f} + {one.joining:.1f} s | {two.inspecting:.1f} + {two.joining:.1f} s "
            f"| {one.rate:,.0f} | {two.rate:,.0f} | {efficiency:.2f} | {inspection:.2f} | {said} |"
        )
    if constants:
        passing, start, joining = constants
        print(f"an image: {1e3 * passing:.3f} ms inspected, {1e3 * joining:.3f} ms joined; start and end {start:.1f} s")
    return 0 if ones[-1].inspecting / (2 * twos[-1].inspecting) >= GOAL else 1


def model(ones: Sequence[Run]) -> tuple[float, float, float]:
    """Seconds: an image's inspection, start and end, an image's join; from the runs of one process of the two smallest sizes."""
    small, large = ones[:2]
    passing = (large.inspecting - small.inspecting) / (large.images - small.images)
    joining = (large.joining - small.joining) / (large.images - small.images)
    return passing, small.wall - small.images * (passing + joining), joining


def _against(run: Run, seconds: float) -> str:
    return f"{seconds:.1f} s ({seconds / run.wall - 1:+.0%})"


def waiting(folder: Path, images: int, detector: str, imgsz: int) -> Path:
    """A study that waits for its first score step, with the detector's first weights in the place of trained ones."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    own = (f"detector.name={detector}", f"detector.imgsz={imgsz}", "detector.pretrained=none", "scorer.name=uncertainty", "device=cpu")
    config = load_config(None, (*own, "strategy.name=top_k", "train.folds=0", "budget.validation=0", "threads=1"))
    study = Study.create(folder / "study", read_pool(listing(folder, images), None, classes=("cat", "dog")), config=config)
    check_count(study, images)
    detector_ = study._context(None, None).build()
    study.files(0).path.mkdir(parents=True)
    detector_.save(study.files(0).weights)
    for phase, following in pairwise((Phase.SELECT, Phase.ANNOTATE, Phase.AUDIT, Phase.COMPOSE, Phase.TRAIN, Phase.EVALUATE)):
        study.store.commit(0, phase, {}, then=(0, following))
    study.step()  # without val it only leaves its files
    study.store.close()
    return study.folder


def measured(study: Path, images: int, processes: int) -> Run:
    """The pass by so many shards at once, and the join; the study is as before then."""
    began = perf_counter()
    shards = [_start("score", study, "--shard", f"{number + 1}/{processes}", core=number) for number in range(processes)]
    codes = [shard.wait() for shard in shards]
    if any(codes):
        sys.exit("a shard failed; its message is above")
    inspected = perf_counter()
    if _start("score", study).wait():
        sys.exit("the join failed; its message is above")
    ended = perf_counter()
    Study.open(study).store.reopen(0, Phase.SCORE)
    print(f"{images:,} images, {processes} at once: {inspected - began:.1f} + {ended - inspected:.1f} s", file=sys.stderr, flush=True)
    return Run(images, processes, inspected - began, ended - inspected)


def _start(*arguments: object, core: int = 0) -> subprocess.Popen[bytes]:
    command = subprocess.Popen([sys.executable, "-m", "boxwise", *map(str, arguments)], env=ONE_THREAD, stdout=subprocess.DEVNULL)
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(command.pid, {cores[core % len(cores)]})
    return command


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=lambda text: [int(word) for word in text.split(",")], default=[1000, 10_000, 100_000])
    parser.add_argument("--detector", default="yolox_nano")
    parser.add_argument("--imgsz", type=int, default=160)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
