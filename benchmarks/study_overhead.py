"""What a study costs beside its work: store, saved weights and bookkeeping as a share of a simulated round, and the start of the command.

    python benchmarks/study_overhead.py

Prints the seconds a round spends in training, scoring and evaluation, and in everything else; the goal is under 2%. Then the median
wall time of `boxwise --help` against that of a bare `python -c pass`.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import ParamSpec, TypeVar

from boxwise.data.datasets import read_dataset
from boxwise.data.digits import make_digits
from boxwise.rounds import RoundContext, audit, evaluate, score, train
from boxwise.simulation.demo import DEMO
from boxwise.simulation.simulate import Plan, simulate

Given = ParamSpec("Given")
Result = TypeVar("Result")


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        make_digits(Path(folder) / "digits", seed=1, images=400)
        dataset = read_dataset(Path(folder) / "digits")
        print_overhead(Plan(dataset, DEMO, ("dual",), (0,), Path(folder) / "simulation"))
    print_start()


def print_overhead(plan: Plan) -> None:
    """Wall time of the whole cell against the wall time inside its steps' work: everything that is not the store or bookkeeping."""
    worked, depth = 0.0, 0

    def timed(function: Callable[Given, Result]) -> Callable[Given, Result]:
        def call(*arguments: Given.args, **named: Given.kwargs) -> Result:
            nonlocal worked, depth
            depth += 1
            started = perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                depth -= 1
                if not depth:  # a call inside another is counted with it
                    worked += perf_counter() - started

        return call

    import boxwise.detectors.detector  # imports are paid once a process, not once a round
    import boxwise.evaluation.average_precision
    import boxwise.scorers.pool_pass  # noqa: F401

    for room, name in (
        (train, "_fit"),
        (score, "_score_pool"),
        (evaluate, "_predicted"),
        (evaluate, "_metrics"),
        (audit, "audit"),
        (RoundContext, "load"),
    ):
        setattr(room, name, timed(getattr(room, name)))
    started = perf_counter()
    simulate(plan)
    whole = perf_counter() - started
    share = 1 - worked / whole
    rounds = plan.config.budget.rounds + 1
    print(f"{rounds} rounds: {whole:.1f} s, of which {worked:.1f} s training, scoring, evaluating; the rest {share:.2%}")


def print_start() -> None:
    """Median of nine starts of each, in turn."""
    bare, command = [], []
    for _ in range(9):
        bare.append(seconds([sys.executable, "-c", "pass"]))
        command.append(seconds([sys.executable, "-m", "boxwise", "--help"]))
    print(f"boxwise --help {statistics.median(command):.3f} s; python -c pass {statistics.median(bare):.3f} s")


def seconds(command: list[str]) -> float:
    started = perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return perf_counter() - started


if __name__ == "__main__":
    main()
