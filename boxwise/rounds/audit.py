"""The step AUDIT: now that labels of the new images are known, did scores predict their true loss?

Returns fidelity, the weights it suggests, and the risk of the pool where images were drawn with known probabilities.
Looks only at rounds that people labelled throughout, and there at images new to the model: on what it has learnt, and against its own
labels, it is right. Where a file of the round before is lost, there are no figures.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from boxwise import registry
from boxwise.artifacts.damage import lost
from boxwise.artifacts.detections_file import read_detections
from boxwise.artifacts.facts import AuditFacts
from boxwise.artifacts.scored_pool import read_scores
from boxwise.boxes import Boxes
from boxwise.evaluation.fidelity import fit_weights, spearman
from boxwise.evaluation.lure import image_error, lure
from boxwise.records import Phase, QueryItem, Sample, Split
from boxwise.rounds.context import RoundContext, StepResult
from boxwise.rounds.scored_by import same_scorer, scored_by

_PARTS = {"reconstruction": "L_rec", "detection": "L_det"}  # of the dual score: its terms


def audit(context: RoundContext, round_index: int) -> StepResult:
    """Hold each score of the new images against their true loss, now known, under the model of the round before.

    The surrogates of the loss are measured whether or not the images were chosen by one; the scorer's scores are there if it gave any.
    """
    from boxwise.scorers import pool_pass
    from boxwise.scorers.detection_loss import surrogates

    config = context.config
    chosen = {item.image_id: item for item in context.store.query(round_index).items if item.split is Split.TRAIN}
    samples = _by_people(context, set(chosen) - set(context.store.annotations(Split.TRAIN, before=round_index)))
    scorer = scored_by(config.scorer)
    gone = _lost(context, round_index, chosen.values()) if samples else None
    if gone is not None or not samples:
        weights = _weights(context, round_index, {})
        return StepResult(AuditFacts(n=0, weights=weights, weights_of=scorer, lost=gone), (round_index, Phase.COMPOSE))
    detector = context.load(round_index - 1)
    offers = registry.DETECTORS[config.detector.name].offers
    measured = pool_pass.audit(
        detector,
        surrogates(pseudo_threshold=config.scorer.pseudo_threshold, expected="expected_loss" in offers),
        samples,
        batch=config.score_batch,
        workers=config.workers,
    )
    true = measured.pop("true")
    read = np.isfinite(true)
    values = {name: term[read] for name, term in measured.items()}
    chosen_items = [chosen[sample.image.image_id] for sample, here in zip(samples, read, strict=True) if here]
    values |= _chosen_terms(chosen_items) | _chosen_scores(context, round_index, [item.image_id for item in chosen_items])
    losses = {sample.image.image_id: float(loss) for sample, loss in zip(samples, true, strict=True) if np.isfinite(loss)}
    facts = AuditFacts(
        n=len(losses),
        fidelity={name: spearman(value, true[read]) for name, value in values.items()},
        true_losses=losses,
        weights=_weights(context, round_index, losses),
        weights_of=scorer,
        lure=_risk(context, round_index, list(chosen.values()), losses, {sample.image.image_id: sample.boxes for sample in samples}),
    )
    return StepResult(facts, (round_index, Phase.COMPOSE))


def _lost(context: RoundContext, round_index: int, chosen: Iterable[QueryItem]) -> str | None:
    """The first file of the round before that is needed and cannot be read: labels and training do not wait for a statistic."""
    files = context.files(round_index - 1)
    if why := context.lost(files.weights):
        return f"{files.weights}: {why}"
    needed = (files.scores, files.detections) if any(item.probability is not None for item in chosen) else (files.scores,)
    return next((f"{path}: {why}" for path in needed if (why := lost(path)) is not None), None)


def _by_people(context: RoundContext, image_ids: set[str]) -> list[Sample]:
    """The completely labelled images among `image_ids`; none at all where the model labelled a box of one of them itself.

    The others would be no sample of what was chosen: they are those in which the model was sure of nothing.
    """
    labels = {i: label for i, label in context.store.annotations(Split.TRAIN).items() if i in image_ids}
    if any(label.by_model.any() for label in labels.values()):
        return []
    return context.samples(Split.TRAIN, only={i for i, label in labels.items() if label.complete})


def _chosen_terms(items: Sequence[QueryItem]) -> dict[str, NDArray[np.float64]]:
    """The parts of the dual score that the images were chosen with, each [n]; empty for other scorers."""
    terms = [item.terms for item in items]
    there = {name: term for name, term in _PARTS.items() if terms and all(term in each for each in terms)}
    return {name: np.array([each[term] for each in terms]) for name, term in there.items()}


def _chosen_scores(context: RoundContext, round_index: int, image_ids: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """By "score" the scores of the images when chosen, [n], NaN where one had none; empty where all are equal, as without a scorer.

    An item's utility will not do: it may be a distance or another quantity of the strategy.
    """
    scores = read_scores(context.files(round_index - 1).scores)
    if not len(scores.values) or np.ptp(scores.values) == 0:
        return {}
    wanted = set(image_ids)
    score_of = {image_id: value for image_id, value in zip(scores.image_ids, scores.values, strict=True) if image_id in wanted}
    return {"score": np.array([score_of.get(image_id, np.nan) for image_id in image_ids])}


def _weights(context: RoundContext, round_index: int, new_losses: Mapping[str, float]) -> dict[str, float] | None:
    """The scorer's weights fitted to the true losses of all images that it scored, each beside those of its round; None: they are given."""
    terms = registry.scorer_options(context.config.scorer).learned_weights()
    if not terms:
        return None
    losses = {number: context.committed(number).audit.true_losses for number in range(1, round_index)} | {round_index: new_losses}
    now = scored_by(context.config.scorer)
    rows = [
        (number, *(item.terms[term] for term in terms.values()), of_round[item.image_id])
        for number, of_round in losses.items()
        if same_scorer(context.committed(number - 1).score.scored_by, now)
        for item in context.store.query(number).items
        if item.image_id in of_round and item.terms.keys() >= set(terms.values())
    ]
    if not rows:
        return None
    rounds, *columns, true = np.array(rows).T
    return fit_weights(dict(zip(terms, columns, strict=True)), true, rounds=rounds)


def _risk(
    context: RoundContext, round_index: int, drawn: Sequence[QueryItem], losses: Mapping[str, float], truths: Mapping[str, Boxes]
) -> dict[str, float] | None:
    """Mean loss and error rate over the pool, estimated from the images drawn; None unless each was drawn with a known probability.

    A budget in boxes ends the drawing by what was drawn, which LURE does not allow: None, too.
    One image that cannot be judged leaves the estimate without its draw, so there is none.
    """
    if context.config.budget.unit != "images" or any(item.probability is None or item.image_id not in losses for item in drawn):
        return None
    pool = int(context.committed(round_index).select.candidates or 0)
    probabilities = np.array([item.probability for item in drawn], np.float64)
    found = dict(read_detections(context.files(round_index - 1).detections, only=set(truths)))
    loss = np.array([losses[item.image_id] for item in drawn])
    error = np.array([float(image_error(found[item.image_id], truths[item.image_id])) for item in drawn])
    return {
        "loss": lure(loss, probabilities, pool),
        "error": lure(error, probabilities, pool),
        "mean_loss": float(loss.mean()),
        "mean_error": float(error.mean()),
        "images": len(drawn),
        "pool": pool,
    }
