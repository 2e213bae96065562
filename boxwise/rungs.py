"""What each rung of a round does: select, annotate, audit, train, evaluate, score.

A rung reads the store and the files of earlier rungs, and returns facts and the next position; only study.py commits them. A rung
killed half way is simply done again: every random draw comes from (seed, round, phase).
Knows nothing of folders of other studies, of who annotates, or of how results are shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.random import Generator, default_rng
from numpy.typing import NDArray

from boxwise import recipes
from boxwise.boxes import Boxes
from boxwise.config import StudyConfig, resolve
from boxwise.errors import StaleCheckpointError, StudyError
from boxwise.evaluation.fidelity import fit_weights, spearman
from boxwise.evaluation.stopping import ApShift
from boxwise.records import ImageRecord, Phase, Query, QueryItem, Sample, Scores, Split
from boxwise.scored_pool import ScoredPool, read_scored_pool, write_scored_pool
from boxwise.store import Store
from boxwise.strategies.base import Budget, Candidates

if TYPE_CHECKING:  # torch is imported by the rungs that need it, so that status and import stay instant
    from boxwise.detectors.detector import TorchDetector

_PHASES = tuple(Phase)


@dataclass(frozen=True)
class Event:
    """Progress of a long rung: `step` of `steps`, and figures worth showing. finished: the rung's facts are committed."""

    round: int
    phase: Phase
    step: int
    steps: int
    figures: Mapping[str, float] = field(default_factory=dict)
    finished: bool = False


@dataclass(frozen=True)
class Rung:
    """What a finished rung leaves: its facts, the next position, and the query if it asked one."""

    facts: dict[str, Any]
    then: tuple[int, Phase]
    query: Query | None = None


@dataclass(frozen=True)
class Bench:
    """What a rung works with. `oracle` is ground truth for the upper-bound arm, None outside simulation."""

    folder: Path
    store: Store
    config: StudyConfig
    classes: tuple[str, ...]
    oracle: Callable[[str], Boxes] | None
    on_event: Callable[[Event], None]

    def rng(self, round: int, phase: Phase) -> Generator:
        return default_rng([self.config.seed, round, _PHASES.index(phase)])

    def watch(self, round: int, phase: Phase) -> Callable[[int, int, Mapping[str, float]], None]:
        return lambda step, steps, figures: self.on_event(Event(round, phase, step, steps, figures))

    def device(self) -> Any:
        from boxwise.runtime import choose_device

        return choose_device(self.config.device)


def round_folder(folder: Path, number: int) -> Path:
    return folder / "rounds" / f"round_{number:02d}"


def check(config: StudyConfig) -> None:
    """ConfigError for a detector, scorer or strategy that no recipe names, before any work is done."""
    recipes.named("strategy", recipes.STRATEGIES, config.strategy.name)
    recipes.named("detector", recipes.detectors(), config.detector.name)
    recipes.named("scorer", recipes.scorers(), config.scorer.name)


def select(bench: Bench, round: int) -> Rung:
    """Ask for the round's images: at random in round 0, which has no detector yet, then by the study's strategy."""
    rng = bench.rng(round, Phase.SELECT)
    query = _first_query(bench, rng) if round == 0 else _strategic_query(bench, round, rng)
    if not query.items and not bench.store.annotations(Split.TRAIN):
        raise StudyError(f"{bench.folder}: nothing is labelled and nothing is left to ask for. Give budget.initial of 1 or more.")
    facts = {"strategy": "random" if round == 0 else bench.config.strategy.name, "asked": len(query.items)}
    exhausted = round > 0 and not query.items
    return Rung(facts, (round, Phase.DONE if exhausted else Phase.ANNOTATE), query)


def _first_query(bench: Bench, rng: Generator) -> Query:
    pool, budget = bench.store.pool(), bench.config.budget
    labeled = len(bench.store.images(Split.TRAIN)) - len(pool)
    initial = resolve(budget.initial, len(pool) + labeled, "budget.initial")
    validation = 0 if bench.store.images(Split.VAL) else resolve(budget.validation, initial, "budget.validation")
    order = [pool[row].image_id for row in rng.permutation(len(pool))]
    drawn = [QueryItem(image_id, 0.0, split=Split.VAL) for image_id in order[:validation]]
    drawn += [QueryItem(image_id, 0.0) for image_id in order[validation : validation + max(0, initial - labeled)]]
    return Query(0, tuple(drawn))


def _strategic_query(bench: Bench, round: int, rng: Generator) -> Query:
    config = bench.config
    strategy = recipes.named("strategy", recipes.STRATEGIES, config.strategy.name)(config.strategy)
    amount = resolve(config.budget.per_round, len(bench.store.images(Split.TRAIN)), "budget.per_round")
    return strategy.select(_candidates(bench, round), Budget(amount, config.budget.unit), rng=rng)


def _candidates(bench: Bench, round: int) -> Candidates:
    """The scored pool of the round before, less what was labelled since."""
    still = {record.image_id for record in bench.store.pool()}
    return read_scored_pool(round_folder(bench.folder, round - 1)).candidates(round, still)


def annotate(bench: Bench, round: int) -> Rung:
    """Count the labour once every image of the query is labelled."""
    train, val = bench.store.labour(Split.TRAIN), bench.store.labour(Split.VAL)
    before = bench.store.facts().get(round - 1, {}).get(Phase.ANNOTATE.value, {})
    facts = {
        "images": train.images,
        "boxes": train.boxes,
        "seconds": train.seconds,
        "val_images": val.images,
        "val_seconds": val.seconds,
        "new_images": train.images - before.get("images", 0),
        "new_boxes": train.boxes - before.get("boxes", 0),
        "new_seconds": train.seconds - before.get("seconds", 0.0),
    }
    if not train.images:
        raise StudyError(f"{bench.folder}: none of the images asked for could be used; see `boxwise status {bench.folder}`.")
    return Rung(facts, (round, Phase.AUDIT if round else Phase.TRAIN))


def audit(bench: Bench, round: int) -> Rung:
    """Hold the scores that chose the new images against their true loss, now known, under the model that chose them."""
    from boxwise.scorers import pool_pass
    from boxwise.scorers.detection_loss import surrogates

    config, detector = bench.config, _load(bench, round - 1)
    chosen = {item.image_id: item for item in bench.store.query(round).items}
    samples = _samples(bench, Split.TRAIN, only=set(chosen))
    measured = pool_pass.audit(
        detector,
        surrogates(pseudo_threshold=config.scorer.pseudo_threshold),
        samples,
        imgsz=detector.imgsz,
        resize=detector.resize,
        batch=config.score_batch,
        workers=config.workers,
    )
    true = measured.pop("true")
    read = np.isfinite(true)
    values = {name: term[read] for name, term in measured.items()}
    values |= _chosen_terms([chosen[sample.image.image_id] for sample, here in zip(samples, read, strict=True) if here])
    losses = {sample.image.image_id: float(loss) for sample, loss in zip(samples, true, strict=True) if np.isfinite(loss)}
    facts = {
        "n": len(losses),
        "fidelity": {name: spearman(value, true[read]) for name, value in values.items()},
        "true_losses": losses,
        "weights": _weights(bench, round, losses),
    }
    return Rung(facts, (round, Phase.TRAIN))


def _chosen_terms(items: Sequence[QueryItem]) -> dict[str, NDArray[np.float64]]:
    """The score that chose the images, and its reconstruction part, where the strategy had one."""
    names = {"reconstruction": "L_rec", "detection": "L_det"}
    found = {
        shown: np.array([item.terms[name] for item in items])
        for shown, name in names.items()
        if items and all(name in item.terms for item in items)
    }
    return found | {"score": np.array([item.utility for item in items])} if found else {}


def _weights(bench: Bench, round: int, new_losses: Mapping[str, float]) -> dict[str, float] | None:
    """alpha and beta fitted to every true loss seen so far; None unless they are 'auto'."""
    if bench.config.scorer.alpha != "auto":
        return None
    facts = bench.store.facts()
    losses = {number: facts.get(number, {}).get(Phase.AUDIT.value, {}).get("true_losses", {}) for number in range(1, round)}
    losses[round] = new_losses
    rows = [
        (item.terms["L_rec"], item.terms["L_det"], of_round[item.image_id])
        for number, of_round in losses.items()
        for item in bench.store.query(number).items
        if item.image_id in of_round and "L_rec" in item.terms and "L_det" in item.terms
    ]
    if not rows:
        return None
    rec, det, true = np.array(rows).T
    fitted = fit_weights({"L_rec": rec, "L_det": det}, true)
    return {"alpha": fitted["L_rec"], "beta": fitted["L_det"]}


def train(bench: Bench, round: int) -> Rung:
    """Train on everything labelled, from the same initial weights each round unless the config says 'previous'."""
    started = monotonic()
    detector, report = _fit(bench, round)
    detector.save(_weights_file(bench, round))
    for image_id, fault in report.unreadable.items():
        bench.store.quarantine(image_id, fault)
    facts = {
        "steps": report.steps,
        "stopped_early": report.stopped_early,
        "best_ap": report.best_ap,
        "images_per_second": report.images_per_second,
        "seconds": monotonic() - started,
        "history": list(report.history),
    }
    return Rung(facts, (round, Phase.EVALUATE))


def train_along(bench: Bench, round: int) -> None:
    """What the ranks other than 0 do under torchrun: the same training, nothing written."""
    _fit(bench, round)


def tidy(bench: Bench, round: int, phase: Phase) -> None:
    """Remove what a committed rung no longer needs."""
    if phase is Phase.TRAIN:
        _checkpoint(bench, round).unlink(missing_ok=True)


def _fit(bench: Bench, round: int) -> tuple[TorchDetector, Any]:
    """A trained detector and its FitReport; a checkpoint made before labels were told anew is of no use and starts over."""
    try:
        return _fit_from(bench, round, _checkpoint(bench, round))
    except StaleCheckpointError:
        _checkpoint(bench, round).unlink()
        return _fit_from(bench, round, _checkpoint(bench, round))


def _fit_from(bench: Bench, round: int, checkpoint: Path) -> tuple[TorchDetector, Any]:
    detector = _build(bench)
    if bench.config.train.start == "previous" and round > 0:
        detector.load(_weights_file(bench, round - 1))
    report = detector.fit(
        _samples(bench, Split.TRAIN),
        _samples(bench, Split.VAL),
        bench.config.train,
        seed=int(bench.rng(round, Phase.TRAIN).integers(2**31)),
        workers=bench.config.workers,
        checkpoint=checkpoint,
        progress=bench.watch(round, Phase.TRAIN),
    )
    return detector, report


def evaluate(bench: Bench, round: int) -> Rung:
    """Metrics on val, which serves decisions, and on test, which serves nothing but the report."""
    detector = _load(bench, round)
    facts = {split.value: _metrics(bench, detector, split) for split in (Split.VAL, Split.TEST)}
    return Rung(facts, (round, Phase.SCORE))


def _metrics(bench: Bench, detector: TorchDetector, split: Split) -> dict[str, Any] | None:
    from boxwise.detectors.prediction import predict
    from boxwise.evaluation.average_precision import coco_metrics

    samples = _samples(bench, split)
    images = [sample.image for sample in samples]
    predictions, unreadable = predict(detector, images, batch=bench.config.score_batch, workers=bench.config.workers)
    for image_id, fault in unreadable.items():
        bench.store.quarantine(image_id, fault)
    truths = {sample.image.image_id: sample.boxes for sample in samples if sample.image.image_id in predictions}
    if not truths:
        return None
    return coco_metrics(predictions, truths, bench.classes).to_json()


def score(bench: Bench, round: int) -> Rung:
    """One pass over the pool for the next round's selection; ends the study when budget, pool or stopping rule says so."""
    pool = bench.store.pool()
    end = _reason_to_end(bench, round, pool)
    if end:
        return Rung({"ended": end}, (round, Phase.DONE))
    started = monotonic()
    scores, figures, unreadable = _score_pool(bench, round, pool)
    seconds = monotonic() - started
    for image_id, fault in unreadable.items():
        bench.store.quarantine(image_id, fault)
    facts = {
        "pool": len(scores.image_ids),
        "seconds": seconds,
        "images_per_second": len(scores.image_ids) / max(seconds, 1e-9),
        "scorer": figures,
        "terms": {name: _summary(values) for name, values in scores.terms.items()},
    }
    return Rung(facts, (round + 1, Phase.SELECT))


def _reason_to_end(bench: Bench, round: int, pool: Sequence[ImageRecord]) -> str | None:
    if round >= bench.config.budget.rounds:
        return f"all {round} rounds of the budget are done"
    if not pool:
        return "every image of the pool is labelled"
    shift = ApShift(bench.config.stop.ap_range, bench.config.stop.ap_shift)
    facts = bench.store.facts()
    for number in range(round + 1):
        val = facts.get(number, {}).get(Phase.EVALUATE.value, {}).get(Split.VAL.value)
        if val and val["ap"] is not None:
            shift.add(val["ap"])
    return f"AP on val moved by {shift.shift:.4f} over {bench.config.stop.ap_range} rounds" if shift.should_stop else None


def _score_pool(bench: Bench, round: int, pool: Sequence[ImageRecord]) -> tuple[Scores, dict[str, float], Mapping[str, str]]:
    """Fit the scorer, inspect every image of the pool, and leave scores, embeddings and detections in the round's folder.

    Returns the scores, the scorer's figures, and the images that could not be read.
    """
    from boxwise.scorers.dual import build_scorer
    from boxwise.scorers.no_score import NoScore
    from boxwise.scorers.pool_pass import inspect_pool

    folder, config, detector = round_folder(bench.folder, round), bench.config, _load(bench, round)
    alpha, beta = _alpha_beta(bench, round)
    build = partial(build_scorer, config.scorer, device=detector.device, imgsz=detector.imgsz, resize=detector.resize)
    scorer = build(alpha=alpha, beta=beta, truths=bench.oracle)
    labeled = [sample.image for sample in _samples(bench, Split.TRAIN)]
    figures = scorer.fit(labeled, pool, rng=bench.rng(round, Phase.SCORE), folder=folder)
    inspect = partial(
        inspect_pool, detector, imgsz=detector.imgsz, resize=detector.resize, batch=config.score_batch, workers=config.workers
    )
    watch = bench.watch(round, Phase.SCORE)
    found = inspect(scorer, pool, detections_path=folder / "detections.parquet", progress=lambda done, total: watch(done, total, {}))
    scores = scorer.score(found.image_ids, found.terms)
    covers = recipes.STRATEGIES[config.strategy.name](config.strategy).uses_embeddings
    labeled_embeddings = inspect(NoScore(), labeled).embeddings if covers else found.embeddings[:0]
    write_scored_pool(folder, ScoredPool(scores, found.embeddings, labeled_embeddings, found.box_counts))
    return scores, figures | {"alpha": alpha, "beta": beta}, found.unreadable


def _alpha_beta(bench: Bench, round: int) -> tuple[float, float]:
    """The weights in force after `round`: the config's, or the latest fitted ones, equal before there are any."""
    config = bench.config.scorer
    if config.alpha != "auto" and config.beta != "auto":
        return config.alpha, config.beta
    facts = bench.store.facts()
    fitted = [facts.get(number, {}).get(Phase.AUDIT.value, {}).get("weights") for number in range(round, 0, -1)]
    latest = next((weights for weights in fitted if weights), {"alpha": 0.5, "beta": 0.5})
    return latest["alpha"], latest["beta"]


def _summary(values: NDArray[np.float64]) -> dict[str, Any]:
    if not len(values):
        return {"mean": None, "std": None, "quantiles": []}
    quantiles = np.quantile(values, [0, 0.25, 0.5, 0.75, 1])
    return {"mean": float(values.mean()), "std": float(values.std()), "quantiles": quantiles.tolist()}


def _samples(bench: Bench, split: Split, *, only: set[str] | None = None) -> list[Sample]:
    """The completely labelled images of a split in id order, or those of them in `only`."""
    labels = bench.store.annotations(split)
    return [
        Sample(record, labels[record.image_id].boxes)
        for record in bench.store.images(split)
        if record.image_id in labels and labels[record.image_id].complete and (only is None or record.image_id in only)
    ]


def _weights_file(bench: Bench, round: int) -> Path:
    return round_folder(bench.folder, round) / "weights.pt"


def _checkpoint(bench: Bench, round: int) -> Path:
    return round_folder(bench.folder, round) / "checkpoint.pt"


def _build(bench: Bench) -> TorchDetector:
    from boxwise.detectors.detector import build_detector
    from boxwise.runtime import prepare

    prepare(bench.config.threads)
    return build_detector(bench.config.detector.name, bench.classes, bench.config.detector, seed=bench.config.seed, device=bench.device())


def _load(bench: Bench, round: int) -> TorchDetector:
    from boxwise.detectors.detector import load_detector
    from boxwise.runtime import prepare

    prepare(bench.config.threads)
    return load_detector(_weights_file(bench, round), device=bench.device())
