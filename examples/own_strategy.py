"""A strategy of your own, named and compared with random in one file.

    python examples/own_strategy.py FOLDER

docs/tutorials/add_a_strategy.md explains each line.
"""

import sys
from pathlib import Path

from numpy.random import Generator

import boxwise
from boxwise import registry
from boxwise.records import Query
from boxwise.strategies.base import Budget, Candidates
from boxwise.strategies.top_k import falling

SMALL = (
    *("detector.name=tiny_ssd", "detector.imgsz=96", "detector.pretrained=none"),
    *("train.min_steps=12", "train.max_steps=12", "train.batch=4"),
    *("budget.initial=10", "budget.per_round=5", "budget.rounds=1"),
)


class Crowded:
    """The images on which the detector expects the most boxes, ties in random order."""

    uses_embeddings = False
    uses_boxes = False

    def select(self, candidates: Candidates, budget: Budget, *, rng: Generator) -> Query:
        picks = budget.first(falling(candidates.box_counts, rng), candidates)
        return candidates.query(picks.tolist(), utility=candidates.box_counts[picks])


def main(folder: Path) -> None:
    registry.STRATEGIES.register("crowded", registry.Method(Crowded, "the most boxes first"))
    boxwise.make_digits(folder / "digits", seed=0, images=60)
    dataset = boxwise.read_dataset(folder / "digits")
    arms = ("random", "random+strategy.name=crowded")
    for cell in boxwise.simulate(boxwise.Plan(dataset, boxwise.load_config(None, SMALL), arms, (0,), folder / "simulation")):
        spent = cell.rounds[-1].annotate
        print(f"{cell.arm}: {spent.images} images, {spent.boxes} boxes, {spent.seconds:.0f} seconds of a person")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
