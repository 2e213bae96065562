"""What a simulation has left to train, known before it starts, and how fast this machine trains.

Returns the trainings that are left, seconds, and how much of them is done. Trains nothing but a moment, to see how long a step takes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import numpy as np

from boxwise import registry
from boxwise.artifacts.facts import Round
from boxwise.config import DetectorConfig, StudyConfig, resolve
from boxwise.data.formats.base import Dataset
from boxwise.detectors.recipe import of_length
from boxwise.records import Phase, Sample, Split
from boxwise.rounds.duration import images_shown
from boxwise.runtime import choose_device, prepare
from boxwise.simulation.simulate import Plan
from boxwise.study import Study

_SHORT, _LONG = 2, 10  # steps of the trainings that are timed

Key = tuple[str, int, int]  # who trains, as the events of a simulation say it; the seed; the round
Whole = tuple[str, str, int, int]  # the panel before it


@dataclass(frozen=True)
class Training:
    """One training that is left. shown: images that it looks at in all its steps, at most; val can end it sooner."""

    detector: DetectorConfig
    shown: int


@dataclass(frozen=True)
class Outlook:
    """What is left of a simulation: `unfinished` of its `cells`, and their trainings."""

    cells: int
    unfinished: int
    trainings: Mapping[Key, Training]


def outlooks(plans: Iterable[Plan]) -> list[Outlook]:
    """What is left of each plan when those before it are done; their data sets have their splits.

    What a cell may end early by is not foreseen: it is the most there can be.
    """
    counted: set[Path] = set()
    return [_outlook(plan, counted) for plan in plans]


def _outlook(plan: Plan, counted: set[Path]) -> Outlook:
    """counted: folders of cells and trunks that an earlier plan does; this one's are added."""
    trainings: dict[Key, Training] = {}
    cells = unfinished = 0
    for seed in plan.seeds:
        for trunk in plan.trunks(seed):
            left = plan.left(trunk)
            forked = all(plan.cell_folder(arm, seed).exists() for arm in left)
            if trunk.folder not in counted and not forked and 0 not in _trained(_rounds(trunk.folder)):
                trainings[plan.name_of(trunk), seed, 0] = _training(plan.dataset, trunk.config, 0)
            fresh = [arm for arm in trunk.arms if plan.cell_folder(arm, seed) not in counted]
            counted |= {trunk.folder, *(plan.cell_folder(arm, seed) for arm in fresh)}
            cells += len(fresh)
            for arm in [arm for arm in fresh if arm in left]:
                config, rounds = plan.cell_config(arm, seed), _rounds(plan.cell_folder(arm, seed))
                if any(one.ended for one in rounds):
                    continue
                unfinished += 1
                untrained = set(range(1, config.budget.rounds + 1)) - _trained(rounds)
                trainings |= {(arm, seed, number): _training(plan.dataset, config, number) for number in sorted(untrained)}
    return Outlook(cells, unfinished, trainings)


def _rounds(folder: Path) -> Sequence[Round]:
    """What a cell or trunk has done; nothing where there is none."""
    if not (folder / "config.yaml").exists():
        return ()
    study = Study.open(folder)
    try:
        return study.rounds()
    finally:
        study.store.close()


def _trained(rounds: Iterable[Round]) -> set[int]:
    return {one.round for one in rounds if one.done(Phase.TRAIN)}


def _training(dataset: Dataset, config: StudyConfig, number: int) -> Training:
    return Training(config.detector, images_shown(config, images_by(dataset, config, number)))


def images_by(dataset: Dataset, config: StudyConfig, number: int) -> int:
    """About how many images are labelled by a round: exactly so where the budget counts images, else by what one costs in the mean.

    That is a drawing for each box, or, where the model's are asked about, a verification; a look where people see whole images.
    """
    pool = [record.image_id for record in dataset.images if record.split is Split.TRAIN]
    budget, cost = config.budget, config.cost
    boxes = float(np.mean([len(dataset.labels[image_id]) for image_id in pool])) if pool else 0.0
    mode = config.ask.mode
    seconds = (cost.look if mode in ("full", "review") else 0.0) + (cost.draw if mode == "full" else cost.verify) * boxes
    usual = {"images": 1.0, "boxes": boxes, "seconds": seconds, "money": seconds * cost.per_hour / 3600}[budget.unit]
    given = resolve(budget.per_round, len(pool), "budget.per_round")
    each = given if isinstance(budget.per_round, str) else given / max(usual, 1e-9)
    return min(len(pool), resolve(budget.initial, len(pool), "budget.initial") + round(number * each))


def seconds_an_image(plan: Plan, detector: DetectorConfig) -> float:
    """What showing one image in training takes here with the detector; images of the plan's pool, of which it has one at least.

    From two short trainings, so that what every training begins and ends with does not count, after one that warms up.
    """
    prepare(plan.config.threads)
    network = registry.build_detector(plan.dataset.classes, detector, seed=0, device=choose_device(plan.config.device))
    pool = [record for record in plan.dataset.images if record.split is Split.TRAIN][: plan.config.train.batch]
    samples = [Sample(record, plan.dataset.labels[record.image_id]) for record in pool]
    took = []
    for steps in (_SHORT, _SHORT, _LONG):
        began = monotonic()
        network.fit(samples, (), of_length(plan.config.train, steps), seed=0)
        took.append(monotonic() - began)
    _, short, long = took
    a_step = (long - short) / (_LONG - _SHORT) if long > short else long / _LONG  # on a busy machine the short one may take longer
    return a_step / plan.config.train.batch


def seconds_of(plans: Iterable[tuple[Plan, Outlook]]) -> Iterator[float]:
    """What the trainings left of each plan take one after the other, at most, as busy as this machine is; each detector is tried once."""
    paces: dict[str, float] = {}
    for plan, left in plans:
        total = 0.0
        for training in left.trainings.values():
            key = training.detector.model_dump_json()
            if key not in paces:
                paces[key] = seconds_an_image(plan, training.detector)
            total += training.shown * paces[key]
        yield total


class Countdown:
    """How many of the trainings are done, and how long the others take at the pace so far."""

    def __init__(self, trainings: Mapping[Whole, Training]) -> None:
        self._left = {key: training.shown * (training.detector.imgsz or 0) ** 2 or training.shown for key, training in trainings.items()}
        self._all, self._done, self._began = len(self._left), 0.0, monotonic()

    def finish(self, key: Whole) -> tuple[int, int, float] | None:
        """(done, all, seconds left) after the training `key`; None where it is none of these."""
        if key not in self._left:
            return None
        self._done += self._left.pop(key)
        pace = (monotonic() - self._began) / self._done
        return self._all - len(self._left), self._all, pace * sum(self._left.values())
