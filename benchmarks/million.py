"""A study of very many images: seconds and peak memory of the commands that answer from the store, and of each strategy's query.

    python benchmarks/million.py FOLDER [--images 1000000] [--store URL] [--strategies k_center,top_k] [--dim 128]
    PYTHONPATH=OTHER_CHECKOUT python benchmarks/million.py FOLDER --images 100000 --linked    # the same commands of an earlier commit

makes a list of `--images` files in FOLDER, each a link to one of a hundred real pictures (with --linked a folder of so many files instead,
of which every one is opened, as commits before such lists need it), a study of it, and runs each command in a process of its own. For the
queries a pool pass is made up: scores, `--dim` numbers of embedding and, with --boxes, ten boxes an image, without any network; each
strategy then chooses 1,000 images. Prints a table in Markdown, with the goals beside wall seconds. A study of so many images that is in
FOLDER already is used again, but for `init`; one of any other number is refused.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import made_pool
import numpy as np
from made_pool import CLASSES

from boxwise.artifacts.scored_pool import ScoredPool, write_scored_pool
from boxwise.data.images import write_image
from boxwise.records import Phase, Scores
from boxwise.study import Study

PICTURES, A_FOLDER = 100, 1000  # different pictures, and names in one folder of the listing
STATUS, QUERY = 1.0, 60.0  # seconds of the clock on an idle machine, goals of a million images
SMALL = ("detector.name=tiny_ssd", "detector.pretrained=none", "scorer.name=none", "budget.initial=1000", "budget.per_round=1000")
# Run by an interpreter of its own, since a process begins with the peak memory of the one that starts it.
SPAWN = """
import os, sys, time
began = time.monotonic()
process = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)])
_, status, used = os.wait4(process, 0)
print(time.monotonic() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1000)
sys.exit(os.waitstatus_to_exitcode(status))
"""


@dataclass(frozen=True)
class Cost:
    """wall, cpu: seconds. memory: the largest resident set, MB."""

    wall: float
    cpu: float
    memory: float


def measured(*arguments: object) -> Cost:
    """What `boxwise ...` takes; CalledProcessError where it fails."""
    command = [sys.executable, "-S", "-c", SPAWN, sys.executable, "-m", "boxwise", *map(str, arguments)]
    return Cost(*map(float, subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.split()))


def main() -> None:
    options = _options()
    options.folder.mkdir(parents=True, exist_ok=True)
    study, store = options.folder / "study", (f"store={options.store}",) if options.store else ()
    print("| command | wall s | CPU s | peak MB |\n|---|---|---|---|", flush=True)
    if not (study / "config.yaml").exists():
        images = linked(options.folder, options.images) if options.linked else listing(options.folder, options.images)
        _say(f"init of {options.images:,} images", measured("init", study, "--images", images, "--classes", _classes(), *SMALL, *store))
    check_count(Study.open(study), options.images)
    for command in ("status", "set"):
        measured(command, study)  # the first run reads the file from the disk
        _say(command, measured(command, study), goal=STATUS if command == "status" else None)
    if Study.open(study).position[0] == 0:
        _say("query of 1,000, round 0", measured("query", study), goal=QUERY)
        after_a_pass(study, options.dim, boxes=options.boxes)
    for name in options.strategies:
        _ask_again(study, name)
        _say(f"query of 1,000, {name}", measured("query", study, "--json"), goal=QUERY)
        _say(f"status after {name}", measured("status", study), goal=STATUS)


def listing(folder: Path, images: int) -> Path:
    """A CSV of `images` files, each a link to one of the pictures: one file under several names would join once."""
    folder = folder.resolve()  # paths of a list count from where the list lies
    pictures, target, path = _pictures(folder), folder / "named", folder / "listing.csv"
    shutil.rmtree(target, ignore_errors=True)
    with path.open("w") as file:
        file.write("image_id,path\n")
        for number in range(images):
            name = _name(number)
            if number % A_FOLDER == 0:
                (target / name).parent.mkdir(parents=True)
            (target / name).hardlink_to(pictures[number % PICTURES])
            file.write(f"{name},{target / name}\n")
    return path


def check_count(study: Study, images: int) -> None:
    """SystemExit unless the study has so many images, of which all that is measured is said."""
    if (found := study.image_count()) != images:
        raise SystemExit(f"{study.folder}: expected a study of {images} images, found {found}. Take an empty folder, or --images {found}.")


def linked(folder: Path, images: int) -> Path:
    """A folder with `images` pictures that differ in their last bytes, since copies would not join."""
    target = folder / "linked"
    shutil.rmtree(target, ignore_errors=True)
    pictures = [path.read_bytes() for path in _pictures(folder)]
    for number in range(images):
        path = target / _name(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pictures[number % PICTURES] + number.to_bytes(8, "little"))
    return target


def after_a_pass(study_folder: Path, dim: int, *, boxes: bool) -> None:
    """Bring the study to the query of round 1: no labels, no weights, and a pass over the pool that nobody made."""
    study = Study.open(study_folder)
    ids = tuple(study.store.pool_ids())
    write_scored_pool(study.files(0), _made_pass(ids, dim, boxes=boxes))
    for phase, following in pairwise((Phase.ANNOTATE, Phase.AUDIT, Phase.COMPOSE, Phase.TRAIN, Phase.EVALUATE, Phase.SCORE)):
        study.store.commit(0, phase, {}, then=(0, following))
    study.store.commit(0, Phase.SCORE, {"pool": len(ids)}, then=(1, Phase.SELECT))


def _ask_again(study_folder: Path, strategy: str) -> None:
    study = Study.open(study_folder)
    study.store.reopen(1, Phase.SELECT)
    config = study.config.model_copy(update={"strategy": study.config.strategy.model_copy(update={"name": strategy})})
    study._set_config(config)


def _made_pass(ids: tuple[str, ...], dim: int, *, boxes: bool) -> ScoredPool:
    rng = np.random.default_rng(0)
    counts = rng.gamma(0.3, 1.0, (len(ids), CLASSES)).astype(np.float32)
    terms = {"entropy": rng.random(len(ids))}
    return ScoredPool(
        Scores(ids, rng.normal(size=len(ids)), terms),
        made_pool.embeddings(len(ids), dim, rng),
        made_pool.embeddings(1000, dim, rng),
        counts.sum(axis=1, dtype=np.float64),
        counts,
        made_pool.boxes(len(ids), rng) if boxes else None,
    )


def _pictures(folder: Path) -> list[Path]:
    rng, paths = np.random.default_rng(0), [folder / "pictures" / f"{number:03}.jpg" for number in range(PICTURES)]
    for path in paths:
        if not path.exists():
            write_image(rng.integers(0, 255, (60, 80, 3), np.uint8), path)
    return paths


def _name(number: int) -> str:
    return f"camera_{number // A_FOLDER:04}/frame_{number:08}.jpg"


def _classes() -> str:
    return ",".join(f"class_{number}" for number in range(CLASSES))


def _say(name: str, cost: Cost, *, goal: float | None = None) -> None:
    wall = f"{cost.wall:.2f}" + (f" ({'within' if cost.wall < goal else 'beyond'} {goal:g})" if goal else "")
    print(f"| {name} | {wall} | {cost.cpu:.2f} | {cost.memory:,.0f} |", flush=True)


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--store", help="URL of an empty PostgreSQL database, instead of SQLite")
    parser.add_argument("--linked", action="store_true", help="a folder of files, each of which is opened")
    parser.add_argument("--boxes", action="store_true", help="for the strategies that look at boxes")
    parser.add_argument("--strategies", type=_names, default=["random", "top_k", "k_center", "gain_per_second", "typiclust"])
    return parser.parse_args()


if __name__ == "__main__":
    main()
