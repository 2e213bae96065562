"""Simulation: studies answered by the simulated annotator, arms × seeds, paired, resumable cell by cell.

For each seed a trunk study does the first round, which is the same for every arm that sees the same in it; each arm forks it and goes
on under its own config. Returns the finished cells for the report. The only module that reaches ground truth of the pool.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

from boxwise import __version__, rounds
from boxwise.artifacts.box_tables import read_self_labels
from boxwise.config import StudyConfig, TrainConfig, apply_overrides, differences, parse_config
from boxwise.data.formats.base import Dataset
from boxwise.data.splits import data_facts, with_splits
from boxwise.errors import ConfigError, StudyError, listed
from boxwise.evaluation.self_labels import self_label_quality
from boxwise.files import replacing
from boxwise.records import Phase, Split
from boxwise.registry import arm_keys, arm_overrides, needs_oracle, own_overrides, settled, without_effect
from boxwise.results.cells import SELF_LABELS_FILE, cell_of, figures_of
from boxwise.results.facts import Cell
from boxwise.results.finished import FINISHED_FILE, Finished, cell_name, check_alike, keep, read_finished
from boxwise.rounds import Event, may_propose
from boxwise.simulation.annotator import SimulatedAnnotator
from boxwise.simulation.beginnings import check_beginnings
from boxwise.simulation.folder import (
    ARMS_FILE,
    as_begun,
    begun_arms,
    cells_there,
    check_same,
    data_there,
    holds_simulation,
    without_arms,
    write_plan,
)
from boxwise.simulation.twins import without_twins
from boxwise.study import Study
from boxwise.workers.base import Workers, finished
from boxwise.workers.cluster import Cluster
from boxwise.workers.processes import processes

_ROUND_0: Any = {  # what round 0 sees of a config
    "detector": True,
    "train": set(TrainConfig.model_fields) - {"start"},  # which asks how later rounds start
    "budget": {"initial", "validation"},
    "cold_start": True,
    "annotator": True,
    "cost": True,
}


@dataclass(frozen=True)
class Plan:
    """What to simulate: the data with all its labels, the base config, arms (overrides: registry.arm_overrides), seeds, where.

    Each cell has its own seed and database, whatever the base config says of them. left_out: arms that are not run, as the arm that each
    is said to be has the same config.
    """

    dataset: Dataset
    config: StudyConfig
    arms: tuple[str, ...]
    seeds: tuple[int, ...]
    folder: Path
    left_out: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", Path(self.folder))  # as a script may give it
        object.__setattr__(self, "config", self.config.model_copy(update={"store": None}))

    def cell_config(self, arm: str, seed: int) -> StudyConfig:
        return _overridden(self._values(seed), arm_overrides(arm), arm)

    def base_config(self, seed: int) -> StudyConfig:
        """What all arms have, apart from what each decides."""
        return _overridden(self._values(seed), (), "base")

    def cell_folder(self, arm: str, seed: int) -> Path:
        return self.folder / "cells" / cell_name(arm, seed)

    def trunks(self, seed: int) -> list[Trunk]:
        """The first rounds that the arms of a seed need: one for all arms that round 0 shows no difference between."""
        base = without_arms(self.base_config(seed))
        trunks: dict[str, Trunk] = {}
        for arm in self.arms:
            config = _trunk_config(base, self.cell_config(arm, seed))
            name = f".trunk{_digest(differences(base, config))}_seed{seed}"
            before = trunks[name].arms if name in trunks else ()
            trunks[name] = Trunk(self.folder / "cells" / name, config, (*before, arm))
        return list(trunks.values())

    def left(self, trunk: Trunk) -> list[str]:
        """The arms of a trunk that are not finished, here or elsewhere."""
        done = {found.cell.folder for found in read_finished(self.folder)}
        return [arm for arm in trunk.arms if self.cell_folder(arm, trunk.config.seed) not in done]

    def name_of(self, trunk: Trunk) -> str:
        """Whose first round it is, in events: of many arms the first."""
        if trunk.arms == self.arms:
            return "all arms"
        return listed(trunk.arms) if len(trunk.arms) < 4 else f"{listed(trunk.arms, most=1)} arms"

    def _values(self, seed: int) -> dict[str, Any]:
        return self.config.model_dump(mode="json") | {"seed": seed}


@dataclass(frozen=True)
class Trunk:
    """Round 0 of a seed up to its evaluation, and the arms that fork it."""

    folder: Path
    config: StudyConfig
    arms: tuple[str, ...]


Message = tuple[str, int, Event]  # arm, seed, event
OnEvent = Callable[[Message], None]


def simulate(plan: Plan, *, jobs: int = 1, cluster: Cluster | None = None, on_event: OnEvent | None = None) -> list[Cell]:
    """Run every cell of the plan that is not finished, here or elsewhere; returns all of them, in the order of arms and seeds.

    Finished elsewhere are those that stand in the folder's `finished.jsonl.gz`; they come without labels and images. A folder that holds a
    simulation of another config or data set is an error that names the difference; arms and seeds may be added. Of arms with one config
    the first is run (`without_twins`).
    jobs: cells side by side, each in its own process with its share of the cores. cluster: run them there, as many as it has room for.
    """
    plan = without_twins(replace(plan, dataset=with_splits(plan.dataset)))
    check_plan(plan)
    check_beginnings([plan], cluster)
    run_cells(plan, jobs=jobs, cluster=cluster, on_event=on_event)
    return read_simulation(plan.folder, only=[plan.cell_folder(arm, seed) for arm in plan.arms for seed in plan.seeds])


def run_cells(plan: Plan, *, jobs: int = 1, cluster: Cluster | None = None, on_event: OnEvent | None = None) -> None:
    """As `simulate`, for those who have checked the beginnings and read the cells by themselves."""
    plan = replace(plan, dataset=with_splits(plan.dataset))
    check_plan(plan)
    plan = replace(plan, config=as_begun(plan.folder, plan.config))
    cells = {arm: [plan.cell_folder(arm, seed).name for seed in plan.seeds] for arm in plan.arms}
    write_plan(plan.folder, plan.config, data_facts(plan.dataset), cells)
    if cluster is not None:
        workers = cluster.workers(device=plan.config.device, threads=plan.config.threads)
        _run_side_by_side(plan, workers, on_event or (lambda message: None))
    elif jobs <= 1:
        for seed in plan.seeds:
            for trunk in plan.trunks(seed):
                _run_trunk(plan, trunk, on_event)
                for arm in plan.left(trunk):
                    _run_cell(plan, arm, seed, trunk.folder, on_event)
    else:
        _run_in_processes(plan, jobs, on_event or (lambda message: None))


def read_simulation(folder: Path, *, known: Iterable[Cell] = (), only: Sequence[Path] | None = None) -> list[Cell]:
    """All cells of a simulation's folder, or `only` those in these folders; those of `known` that are finished are not read again.

    Raises StudyError when there is none, and for finished cells of two data sets or configs (`check_alike`).
    """
    if not holds_simulation(folder):
        raise StudyError(f"{folder}: no simulation here (no {ARMS_FILE}).")
    arms = cells_there(folder)
    listed = read_finished(folder)
    elsewhere = {found.cell.folder: found.cell for found in listed}
    at_hand = {cell.folder: cell for cell in known if cell.finished}
    names = {folder / "cells" / name: arm for arm, names in arms.items() for name in names}
    names |= {place: cell.arm for place, cell in elsewhere.items() if place not in names}
    cells = []
    for place in names if only is None else only:
        cell = at_hand.get(place) or (read_cell(place, arm=names[place]) if place.exists() else None)
        found = cell if cell and cell.finished else elsewhere.get(place, cell)
        cells += [found] if found else []
    if listed:  # studies alone were begun in this folder, so with its config
        data, studies = data_there(folder), [cell for cell in cells if cell.finished and cell.folder.exists()]
        check_alike([*listed, *(Finished(cell, data) for cell in studies)], folder / FINISHED_FILE)
    return cells


def check_plan(plan: Plan) -> None:
    """ConfigError or StudyError for every fault that can be known before the first training; writes nothing.

    The plan's data set has its splits already. An arm that was begun in the folder goes on, also with keys that nothing reads.
    """
    if len(set(plan.arms)) < len(plan.arms) or len(set(plan.seeds)) < len(plan.seeds):
        raise ConfigError(f"an arm or seed is named twice: {', '.join(plan.arms)}; {', '.join(map(str, plan.seeds))}.")
    val_images = sum(record.split is Split.VAL for record in plan.dataset.images)
    elsewhere = read_finished(plan.folder)
    begun = begun_arms(plan.folder)
    called = {cell_name(arm, 0): arm for arm in begun}
    for arm in plan.arms:
        if (other := called.setdefault(cell_name(arm, 0), arm)) != arm:
            raise ConfigError(f"arms {other} and {arm} would share a folder and its results: write one of them otherwise.")
    for arm in plan.arms:
        try:
            config = plan.cell_config(arm, plan.seeds[0])
            rounds.check(config, plan.dataset.classes, simulated=True)
            idle = without_effect(config, own_overrides(arm), simulated=True, val_images=val_images)
            if idle and arm not in begun:
                raise ConfigError(" ".join(idle))
        except ConfigError as error:
            raise ConfigError(f"arm {arm}: {str(error).removeprefix(f'arm {arm}: ')}") from None  # a wrong key's message names it already
    data = data_facts(plan.dataset)
    check_same(plan.folder, as_begun(plan.folder, plan.config), data)
    for found in elsewhere:
        arm, seed = found.cell.arm, found.cell.seed
        if arm in plan.arms:
            found.check(plan.cell_config(arm, seed), data)
        else:
            found.check(plan.base_config(seed), data, but=arm_keys(arm))


def check_baseline(folder: Path, arms: Sequence[str], baseline: str) -> None:
    """ConfigError unless `baseline` is an arm, of `arms` or of earlier calls in the folder; an arm alone is compared with nothing."""
    names = list(dict.fromkeys([*arms, *cells_there(folder)]))
    if baseline in names:
        return
    arm_overrides(baseline)
    if len(names) > 1:
        raise ConfigError(
            f"baseline {baseline!r} is none of the arms ({', '.join(names)}), so nothing could be compared with it. "
            "Add it to the arms, or say with --baseline which of them it is."
        )


def read_cell(folder: Path, *, arm: str) -> Cell:
    """A finished or unfinished cell for the report, with its labels."""
    return cell_of(Study.open(folder), arm=arm)


def _run_trunk(plan: Plan, trunk: Trunk, on_event: OnEvent | None) -> None:
    folder, config = trunk.folder, trunk.config
    if all(plan.cell_folder(arm, config.seed).exists() for arm in plan.left(trunk)):
        return
    annotator, images = _hide_pool_labels(plan.dataset, config)
    begun = (folder / "config.yaml").exists()
    study = Study.open(folder, config=as_begun(folder, config)) if begun else Study.create(folder, images, config=config, simulated=True)
    while study.store.position != (0, Phase.SCORE):
        if study.store.position[1] is Phase.ANNOTATE:
            study.answer(annotator)
        number, phase = study.store.position
        show = _tagged(plan.name_of(trunk), config.seed, on_event)
        study.step(on_event=show)
        show(_finished(study, number, phase))
    study.store.close()


def _run_cell(plan: Plan, arm: str, seed: int, trunk: Path, on_event: OnEvent | None) -> None:
    folder, config = plan.cell_folder(arm, seed), plan.cell_config(arm, seed)
    if not folder.exists():
        Study.open(trunk).fork(folder, config)
    study = Study.open(folder, config=config)
    annotator, _ = _hide_pool_labels(plan.dataset, config)
    show = _tagged(arm, seed, on_event)
    version = None if study.position[1] is Phase.DONE else __version__  # another may have run it

    def after(number: int, phase: Phase) -> None:
        show(_finished(study, number, phase))
        if phase is Phase.EVALUATE:
            _judge_self_labels(study, annotator)

    study.run(annotator, oracle=annotator.reveal if needs_oracle(config) else None, on_event=show, on_step=after)
    _judge_self_labels(study, annotator)
    keep(plan.folder, figures_of(study, arm=arm), data_facts(plan.dataset), version=version)
    study.store.close()


def _judge_self_labels(study: Study, annotator: SimulatedAnnotator) -> None:
    """Hold the model's own labels of each round that is not judged yet against ground truth, for the report alone."""
    path = study.folder / SELF_LABELS_FILE
    judged: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    new = {str(number) for number in range(1, study.store.position[0] + 1)} - judged.keys()
    if new:
        judged |= {number: _self_labels_of(study, int(number), annotator) for number in sorted(new, key=int)}
        with replacing(path) as aside:
            aside.write_text(json.dumps(judged, indent=1), encoding="utf-8")


def _self_labels_of(study: Study, number: int, annotator: SimulatedAnnotator) -> dict[str, Any]:
    """How right the model's own labels of a round were, by the place they are in; nothing in the study reads it."""
    given = study.store.annotations(Split.TRAIN, before=number + 1).values()
    by_model = {a.image_id: a.boxes[a.by_model] for a in given if a.round == number and a.by_model.any()}
    own = read_self_labels(study.files(number).self_labels)
    pool = {image_id: labels.boxes for image_id, labels in own.items()}
    return {
        place: self_label_quality(labels.items(), {i: annotator.reveal(i) for i in labels}, study.classes)
        for place, labels in (("annotated", by_model), ("pool", pool))
        if labels
    }


def _hide_pool_labels(dataset: Dataset, config: StudyConfig) -> tuple[SimulatedAnnotator, Dataset]:
    """The pool's labels go to the annotator and nowhere else; those of val and test stay with the data set."""
    pool = {record.image_id for record in dataset.images if record.split is Split.TRAIN}
    hidden = {image_id: boxes for image_id, boxes in dataset.labels.items() if image_id in pool}
    visible = {image_id: boxes for image_id, boxes in dataset.labels.items() if image_id not in pool}
    sizes = {record.image_id: (record.width, record.height) for record in dataset.images}
    annotator = SimulatedAnnotator(hidden, config.cost, config.annotator, seed=config.seed, class_count=len(dataset.classes), sizes=sizes)
    return annotator, replace(dataset, labels=visible)


def _trunk_config(base: StudyConfig, arm: StudyConfig) -> StudyConfig:
    """`base` with what round 0 sees of the arm's config."""
    seen = arm.model_dump(mode="json", include=_ROUND_0)
    if arm.cold_start.name != "random":
        seen |= _seen_by(arm)
    if may_propose(arm):
        seen["ask"] = arm.ask.model_dump(mode="json")
    return parse_config(_merged(base.model_dump(mode="json"), seen), "trunk")


def _seen_by(arm: StudyConfig) -> dict[str, Any]:
    """What the embedder of the arm's cold start is made of."""
    name, options = arm.cold_start.embedding, arm.embedding.model_dump(mode="json")
    if name == "vae":
        return {"scorer": {"vae": arm.scorer.vae.model_dump(mode="json")}}
    return {"embedding": {name: options[name]}} if name in options else {}


def _merged(values: dict[str, Any], parts: dict[str, Any]) -> dict[str, Any]:
    """`values` with those of `parts` in their place, section by section."""
    return values | {key: _merged(values.get(key, {}), part) if isinstance(part, dict) else part for key, part in parts.items()}


def _digest(differences: Sequence[str]) -> str:
    """A short name for a trunk that differs so from the base config's, which has none."""
    return f"_{blake2b(json.dumps(differences).encode(), digest_size=4).hexdigest()}" if differences else ""


def _overridden(values: dict[str, Any], overrides: Iterable[str], arm: str) -> StudyConfig:
    apply_overrides(values, overrides)
    return settled(parse_config(values, f"arm {arm}"))


def _tagged(arm: str, seed: int, on_event: OnEvent | None) -> Callable[[Event], None]:
    return lambda event: None if on_event is None else on_event((arm, seed, event))


def _finished(study: Study, number: int, phase: Phase) -> Event:
    """The event of a finished step, with what was reached if it was an evaluation."""
    metrics = study.round(number).evaluate.test if phase is Phase.EVALUATE else None
    return Event(number, phase, 1, 1, _reached(metrics) if metrics else {}, finished=True)


def _reached(metrics: Mapping[str, Any]) -> dict[str, float]:
    """AP with its 95% interval and AP50, and on how many images."""
    low, high = (metrics.get("intervals") or {}).get("ap") or (None, None)
    return {"AP": metrics["ap"], "from": low, "to": high, "AP50": metrics["ap50"], "images": metrics["images"]}


# -- side by side ------------------------------------------------------------------------------------------------------------


def _run_in_processes(plan: Plan, jobs: int, on_event: OnEvent) -> None:
    """As `_run_side_by_side`. Raises StudyError when the system has killed a process."""
    try:
        with processes(jobs, begin=_share_cores) as workers:
            _run_side_by_side(plan, workers, on_event)
    except BrokenProcessPool:
        raise StudyError(
            "a cell's process was killed, perhaps for lack of memory: use fewer --jobs; the same command goes on where it was."
        ) from None


def _run_side_by_side(plan: Plan, workers: Workers, on_event: OnEvent) -> None:
    """Trunks first; their arms start as soon as they are done. The first fault ends the other cells, unharmed, and is raised."""
    trunks = [trunk for seed in plan.seeds for trunk in plan.trunks(seed)]
    waiting: dict[Future[None], Trunk | None] = {workers.submit(_trunk_job, plan, trunk, workers.queue): trunk for trunk in trunks}
    while waiting:
        for future in finished(workers, waiting, on_event):
            trunk = waiting.pop(future)
            future.result()
            if trunk is not None:
                waiting |= {workers.submit(_cell_job, plan, arm, trunk, workers.queue): None for arm in plan.left(trunk)}


def _share_cores(threads: int) -> None:
    os.environ["OMP_NUM_THREADS"] = os.environ["RAYON_NUM_THREADS"] = str(threads)  # of torch and of hotcoco
    import torch

    torch.set_num_threads(threads)


def _trunk_job(plan: Plan, trunk: Trunk, queue: Any) -> None:
    _run_trunk(plan, trunk, queue.put)


def _cell_job(plan: Plan, arm: str, trunk: Trunk, queue: Any) -> None:
    _run_cell(plan, arm, trunk.config.seed, trunk.folder, queue.put)
