"""Which strategy would have saved the most on data that is labelled already?

    python examples/compare_strategies.py FOLDER [DATA]

DATA is any labelled data set that boxwise reads; without one, digit scenes are made. Each arm and seed is a study of its own; for
each seed all arms start from the same images and the same first training. Run it again to go on after an interruption.
"""

import sys
from pathlib import Path

import boxwise
from boxwise.results.tables import arm_results

ARMS = ("random", "k_center", "score_then_diversity")
SEEDS = (0, 1)  # six are needed for a test of significance
SMALL = (
    *("detector.name=tiny_ssd", "detector.imgsz=96", "detector.pretrained=none"),
    *("train.min_steps=12", "train.max_steps=12", "train.batch=4", "scorer.vae.size=32", "scorer.vae.steps=8"),
    *("budget.initial=10", "budget.per_round=5", "budget.rounds=1"),
)


def main(folder: Path, data: Path | None) -> None:
    if data is None:
        data = folder / "digits"
        boxwise.make_digits(data, seed=0, images=60)
    plan = boxwise.Plan(boxwise.read_dataset(data), boxwise.load_config(None, SMALL), ARMS, SEEDS, folder / "simulation")
    cells = boxwise.simulate(plan)
    for result in arm_results(cells, baseline="random", split="test"):
        print(f"{result.arm}: AP {result.quantity('ap').text} after the last round")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
