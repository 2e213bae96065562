"""The step SELECT: which images are asked about, and which of their boxes the model has labelled already.

Returns a query, its proposals in the round's folder, and the annotations that need no person. Knows nothing of who answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from time import monotonic

import numpy as np
from numpy.random import Generator

from boxwise import registry
from boxwise.annotation.verdicts import annotation_of
from boxwise.artifacts.box_tables import write_proposals
from boxwise.artifacts.facts import SelectFacts
from boxwise.config import resolve
from boxwise.errors import StudyError, plural
from boxwise.records import Annotation, Phase, Proposals, Query, QueryItem, Split
from boxwise.rounds.budget import beside_val, round_budget
from boxwise.rounds.cold_start import cold_start
from boxwise.rounds.context import RoundContext, StepResult
from boxwise.rounds.embedding import check_weights
from boxwise.rounds.first_proposals import first_proposals
from boxwise.rounds.offered import OfferedPool, Settled, proposals_on, settled_before
from boxwise.rounds.opening import open_first
from boxwise.store import PoolStore
from boxwise.strategies.base import Budget

_NOTHING_TO_ASK = {
    "trust": "no image of the pool has a box of score ask.uncertain or more; a lower ask.uncertain asks about weaker ones, ask.mode=review "
    "and full about whole images",
    "boxes": "no image of the pool has an uncertain box to ask about; a lower ask.uncertain or a higher ask.certain asks about more, "
    "ask.mode=review and full about whole images",
}

_FEWER_AGAIN = {  # policy → what makes it ask about fewer images again
    "ratio_threshold": "a higher policy.ratio_threshold.ratio_train",
    "score_threshold": "a lower policy.score_threshold.score_train",
}


def select(context: RoundContext, round_index: int) -> StepResult:
    """Ask for the round's images: in round 0, which has no trained detector yet, by the cold start, then by the study's strategy.

    A random share `labelling.double` of those that are asked as wholes is for two people.
    """
    result = _asking(context, round_index)
    return result if result.query is None else replace(result, query=_doubled(context, result.query))


def _asking(context: RoundContext, round_index: int) -> StepResult:
    rng = context.rng(round_index, Phase.SELECT)
    if round_index == 0:
        return _first(context, rng)
    settled = settled_before(context, round_index)
    query, facts = _chosen(context, round_index, settled, rng)
    if not any(item.split is Split.TRAIN for item in query.items):  # nor is val drawn: it would not be labelled any more
        ended = _NOTHING_TO_ASK.get(context.config.ask.mode, "no image of the pool is left to ask about")
        return StepResult(replace(_counted(facts, Query(round_index, ()), ()), ended=ended), (round_index, Phase.DONE))
    if context.config.ask.mode == "full":
        context.files(round_index).proposals.unlink(missing_ok=True)  # of a question that was withdrawn
        return StepResult(_counted(facts, query, ()), (round_index, Phase.ANNOTATE), query)
    query, proposals, annotations = _with_proposals(context, round_index, query, settled)
    write_proposals(context.files(round_index).proposals, proposals)
    return StepResult(_counted(facts, query, annotations), (round_index, Phase.ANNOTATE), query, annotations)


def _doubled(context: RoundContext, query: Query) -> Query:
    """The query with the images drawn that two people label; their number is the share's in the mean over rounds."""
    rng = context.double_rng(query.round)
    whole = [row for row, item in enumerate(query.items) if item.box_ids is None]
    amount = int(context.config.labelling.double * len(whole) + rng.random())
    drawn = {whole[place] for place in rng.permutation(len(whole))[:amount]}
    return replace(query, items=tuple(replace(item, twice=row in drawn) for row, item in enumerate(query.items)))


def _first(context: RoundContext, rng: Generator) -> StepResult:
    context.check_start()
    check_weights(context)
    pool, budget = context.store.pool_ids(), context.config.budget
    labeled = context.store.image_count(Split.TRAIN) - len(pool)
    wanted = resolve(budget.initial, len(pool) + labeled, "budget.initial")
    initial = min(wanted, len(pool) + labeled)
    most = len(pool) - (0 if labeled else 1)  # something is left to train on
    needless = context.store.image_count(Split.VAL) > 0 or context.config.train.folds > 0
    validation = 0 if needless else min(resolve(budget.validation, initial, "budget.validation"), max(0, most))
    order = [pool[row] for row in rng.permutation(len(pool))]
    drawn = [QueryItem(image_id, 0.0, split=Split.VAL) for image_id in order[:validation]]
    chosen, facts, unreadable = _first_batch(context, order[validation:], max(0, initial - labeled), rng)
    drawn += chosen
    if context.config.ask.target_precision is not None and not validation and not needless:
        raise StudyError(
            f"{context.folder}: ask.target_precision is found on val, which has no image. Give budget.validation of 1 or more."
        )
    if not chosen and not context.store.annotations(Split.TRAIN):  # labels of val alone would be in vain
        raise StudyError(f"{context.folder}: nothing is labelled and nothing is left to ask for. Give budget.initial of 1 or more.")
    drawn = _readable(context, drawn)
    asked = {item.image_id for item in drawn} & {item.image_id for item in chosen}
    first = first_proposals(context, context.store.records(sorted(asked)))
    unreadable = {**unreadable, **first.unreadable}
    for image_id, fault in unreadable.items():
        context.store.quarantine(image_id, fault)
    query = Query(0, tuple(item for item in drawn if item.image_id not in first.unreadable))
    query, annotations = _asked_with(query, first.made, context.config.ask.mode, whole=first.whole)
    context.files(0).proposals.unlink(missing_ok=True)  # of a question that was withdrawn
    if first.made:
        write_proposals(context.files(0).proposals, list(first.made.values()))
    facts = replace(_counted(facts, query, annotations), wanted=wanted if wanted > initial else None, **first.facts)
    return StepResult(facts, (0, Phase.ANNOTATE), query, annotations)


def _first_batch(
    context: RoundContext, order: Sequence[str], amount: int, rng: Generator
) -> tuple[list[QueryItem], SelectFacts, Mapping[str, str]]:
    """`amount` of the images in random `order`, facts of their choice, and image_id → message of those found unreadable on the way."""
    started, cold = monotonic(), context.config.cold_start
    if cold.name == "random" or not amount:
        return [QueryItem(image_id, 0.0) for image_id in order[:amount]], SelectFacts(strategy="random"), {}
    open_ids = set(order)
    items, unreadable = cold_start(context, [r for r in context.store.pool() if r.image_id in open_ids], amount, rng=rng)
    offered = len(open_ids - set(unreadable))
    facts = SelectFacts(strategy=cold.name, embedding=cold.embedding, candidates=offered, seconds=monotonic() - started)
    return items, facts, unreadable


def _chosen(context: RoundContext, round_index: int, settled: Settled, rng: Generator) -> tuple[Query, SelectFacts]:
    """The round's images: a random draw for val, those to be asked about again, those that people want, and the strategy's picks."""
    config, strategy = context.config, registry.strategy_of(context.config.strategy)
    pool = OfferedPool(context, round_index, settled, with_boxes=strategy.uses_boxes)
    budget, images = round_budget(context, lambda: pool.candidates(pool.askable))
    drawn = _validation(context, round_index, pool.ids - settled.before.keys(), images)
    budget, paid = beside_val(context, budget, [item.image_id for item in drawn], pool.drawn)
    drawn = drawn[:paid]

    batch = _Batch(pool, budget, pool.askable - {item.image_id for item in drawn})
    again = [image_id for image_id in context.committed(round_index - 1).compose.requeued if image_id in pool.ids]
    requeued = batch.take(again)
    if requeued and batch.left.amount <= 0:
        context.say(round_index, Phase.SELECT, _full_queue(config.policy.name, len(again)))
    wanted = batch.take([image_id for image_id in PoolStore(context.store).wanted(round_index) if image_id in batch.open])
    offered, left = pool.candidates(batch.open), batch.left
    started = monotonic()
    picks = strategy.select(offered, left, rng=rng).items if left.amount > 0 and len(offered) else ()
    facts = SelectFacts(
        strategy=config.strategy.name,
        embedding=config.embedding.name if strategy.uses_embeddings else None,
        candidates=len(offered),
        requeued=len(requeued),
        wanted=budget.amount if float(left.costs(offered).sum()) < left.amount else None,
        by_people=len(wanted) or None,
        seconds=monotonic() - started,
    )
    return Query(round_index, tuple(_readable(context, [*drawn, *requeued, *wanted, *picks]))), facts


@dataclass
class _Batch:
    """A round's batch as it fills. left: what is left of the budget. open: the images that may still be asked about."""

    pool: OfferedPool
    left: Budget
    open: Set[str]

    def take(self, image_ids: Sequence[str]) -> list[QueryItem]:
        """Of these images of the pool, with their new scores, the first ones, as far as the budget goes."""
        if not image_ids or self.left.amount <= 0:
            return []
        candidates = self.pool.candidates(set(image_ids))
        rows = {image_id: row for row, image_id in enumerate(candidates.image_ids)}
        order = np.array([rows[image_id] for image_id in image_ids if image_id in rows], dtype=np.intp)
        picks = self.left.first(order, candidates)
        spent = float(self.left.costs(candidates)[np.sort(picks)].sum())
        self.left = replace(self.left, amount=self.left.amount - int(spent))
        items = candidates.query(picks.tolist(), utility=candidates.scores.values[picks]).items
        self.open = self.open - {item.image_id for item in items}
        return list(items)


def _readable(context: RoundContext, items: list[QueryItem]) -> list[QueryItem]:
    """Those whose image can be read, of images that joined by a list and are opened now; the others go out of use."""
    unfit = open_first(context.store, [item.image_id for item in items])
    if unfit and len(unfit) == len(items):  # a disk that is away, not so many broken files
        raise StudyError(f"{context.folder}: none of the {len(items)} images chosen can be read. {next(iter(unfit.values()))}")
    for image_id, fault in unfit.items():
        context.store.quarantine(image_id, fault)
    return [item for item in items if item.image_id not in unfit]


def _validation(context: RoundContext, round_index: int, untouched: Set[str], images: int) -> list[QueryItem]:
    """A random draw from what no person has looked at, made before the strategy chooses, so that val stays a sample and not a choice.

    images: about how many the round asks for, of which `val_per_round` may be a share.
    """
    wanted = resolve(context.config.budget.val_per_round, images, "budget.val_per_round")
    ordered = sorted(untouched)
    wanted = min(wanted, max(0, len(ordered) - 1))  # something is left to train on
    rows = context.validation_rng(round_index).permutation(len(ordered))[:wanted]
    return [QueryItem(ordered[row], 0.0, split=Split.VAL) for row in rows]


def _full_queue(policy: str, waiting: int) -> str:
    """That images asked about again leave no room for others, and what to set."""
    threshold = f", {_FEWER_AGAIN[policy]}" if policy in _FEWER_AGAIN else ""
    return (
        f"no new image is asked; {plural(waiting, 'image')} that the policy {policy} asks about again fill the round. More of "
        f"budget.per_round{threshold} or another policy.name makes room."
    )


def _with_proposals(
    context: RoundContext, round_index: int, query: Query, settled: Settled
) -> tuple[Query, list[Proposals], tuple[Annotation, ...]]:
    """The query with the boxes that are asked about, all proposals, and the annotations of images that need no look."""
    mode = context.config.ask.mode
    train = {item.image_id for item in query.items if item.split is Split.TRAIN}
    made = {p.image_id: _in_mode(p, mode) for p in proposals_on(context, round_index, train, settled)}
    query, annotations = _asked_with(query, made, mode)
    return query, list(made.values()), annotations


def _asked_with(
    query: Query, made: Mapping[str, Proposals], mode: str, *, whole: Set[str] = frozenset()
) -> tuple[Query, tuple[Annotation, ...]]:
    """The query with the boxes that are asked about, whole images in `whole`, and the annotations of images that need no look."""
    items = tuple(item if item.image_id in whole else _asked(item, made.get(item.image_id), mode) for item in query.items)
    alone = {item.image_id for item in items if item.box_ids == ()}
    annotations = tuple(
        annotation_of(i, (), p, complete=bool(p.settled and p.settled.complete), round_index=query.round)
        for i, p in made.items()
        if i in alone
    )
    return replace(query, items=items), annotations


def _in_mode(proposals: Proposals, mode: str) -> Proposals:
    """What enters the annotation or is asked about: by boxes, certain ones do neither."""
    if mode != "boxes":
        return proposals
    return replace(proposals, boxes=proposals.boxes[~proposals.certain], certain=np.zeros(int((~proposals.certain).sum()), bool))


def _asked(item: QueryItem, proposals: Proposals | None, mode: str) -> QueryItem:
    """Whole images in review, unless a person has looked over them before; else the uncertain boxes, which may be none."""
    if proposals is None:
        return item
    looked_over = proposals.settled is not None and proposals.settled.complete
    return item if mode == "review" and not looked_over else replace(item, box_ids=proposals.uncertain_ids)


def _counted(facts: SelectFacts, query: Query, annotations: Sequence[Annotation]) -> SelectFacts:
    train = [item for item in query.items if item.split is Split.TRAIN]
    return replace(
        facts,
        asked=len(query.items) - len(annotations),
        whole=sum(item.box_ids is None for item in train),
        boxwise=sum(bool(item.box_ids) for item in train),
        self_labeled=len(annotations),
        val_drawn=len(query.items) - len(train),
    )
