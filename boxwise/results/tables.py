"""The words and tables of a report: who won, by how much, how sure, at what labour.

Returns strings and small value objects for a template; every statistic comes from evaluation.curves. Knows nothing of HTML or charts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from boxwise.errors import plural
from boxwise.evaluation.curves import AXES, ArmSummary, Axis, CellCurve, compare_arms
from boxwise.evaluation.in_words import ap_in_words
from boxwise.evaluation.significance import MIN_SEEDS, Interval, PairedTest, holm, interval
from boxwise.registry import Role
from boxwise.results.convergence import trained_twice
from boxwise.results.facts import Cell, Round, arms_of, cells_of, competing, curve, number

NONE = "–"
SIGNIFICANT = 0.05
Verdict = Literal["win", "loss", "undecided"]
AXIS_NAMES = {"images": "labelled images", "boxes": "labelled boxes", "seconds": "annotator time"}
_WORDS = {"win": "Better than", "loss": "Worse than", "undecided": "Undecided against"}
_OVERALL = {"ap": "AP", "ap50": "AP50", "ap75": "AP75", "voc07_ap50": "VOC07 AP50", "voc10_ap50": "VOC10+ AP50"}


@dataclass(frozen=True)
class Quantity:
    """A table cell: a figure, and its 95% interval or another remark below."""

    text: str
    remark: str = ""
    best: bool = False


@dataclass(frozen=True)
class ArmResult:
    """One row of the result table, one card of the headline.

    role: that of its cells, or "check" where it has twice the training steps of an arm beside it.
    judged: the cost that arms are judged over: labelled images, or annotator time where people are asked differently from arm to arm.
    p_holm: p by cost axis, corrected for the arms that are rivals of the baseline; empty for what is no rival, or has no p.
    unit: what its budget is in, where the baseline's is in something else.
    """

    arm: str
    label: str
    role: Role | Literal["check"]
    seeds: int
    ap: Interval
    ap50: Interval
    by_axis: Mapping[Axis, ArmSummary]
    judged: Axis = "images"
    p_holm: Mapping[Axis, float] = field(default_factory=dict)
    unit: str = ""

    def quantity(self, kind: str, axis: Axis | None = None) -> Quantity:
        """A statistic as shown: 'area', 'difference' or 'saving' on an axis, 'ap' or 'ap50' after the last round, or the 'test'.

        A saving is of all labels, those of val included, with that of the labels trained on alone as a remark. The remark of the
        test is its p after Holm's correction.
        """
        summary = self.by_axis[axis or self.judged]
        if kind == "test":
            return Quantity(summary.test.text if summary.test else NONE, self._corrected(summary))
        value = getattr(self, kind) if kind in ("ap", "ap50") else getattr(summary, kind)
        stated = _quantity(value, {"difference": signed, "saving": saved}.get(kind, share))
        return replace(stated, remark=", ".join(filter(None, (stated.remark, *_remarks(summary))))) if kind == "saving" else stated

    def _corrected(self, summary: ArmSummary) -> str:
        p = self.p_holm.get(summary.axis)
        return "" if p is None or summary.test is None or p == summary.test.p else f"Holm: {figure(p)}"

    @property
    def verdict(self) -> Verdict:
        """A win or a loss needs a paired test on the area over `judged` below .05 after Holm's correction; anything else is undecided.

        What is no rival, an upper bound, a floor or a check, goes by its own p.
        """
        test, difference = self.summary.test, self.summary.difference
        p = self.p_holm.get(self.judged, test.p if test else None)
        if p is None or p >= SIGNIFICANT or difference is None:
            return "undecided"
        return "win" if difference.mean > 0 else "loss"

    @property
    def summary(self) -> ArmSummary:
        """The arm over the cost it is judged by."""
        return self.by_axis[self.judged]


@dataclass(frozen=True)
class Table:
    """Column heads and rows of cells; the first cell of a row names it."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str | Quantity, ...], ...]


def figure(value: float | None, places: int = 3) -> str:
    """A number as shown; a dash where there is none, and no sign on what rounds to zero."""
    if value is None or not math.isfinite(value):
        return NONE
    text = f"{value:.{places}f}"
    return text.replace("-", "" if float(text) == 0 else "−")


def signed(value: float | None) -> str:
    """A difference with its sign."""
    text = figure(value)
    return f"+{text}" if text != NONE and text[0] != "−" and float(text) else text


def percent(value: float | None) -> str:
    """A share in whole percent."""
    return NONE if value is None or not math.isfinite(value) else f"{figure(100 * value, 0)}%"


def saved(value: float | None) -> str:
    """A share saved, or the limit of one: t intervals of few seeds pass 100%, a saving does not."""
    return percent(None if value is None else min(value, 1.0))


def count(value: float | None) -> str:
    """A whole number with its thousands set apart."""
    return NONE if value is None or not math.isfinite(value) else f"{value:,.0f}"


def duration(seconds: float | None) -> str:
    """Labour or machine time in the unit a person would say."""
    if seconds is None or not math.isfinite(seconds):
        return NONE
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 2 * 3600 else f"{seconds / 3600:.1f} h"


def share(value: float | None) -> str:
    """An AP or the limit of one: t intervals of few seeds leave [0, 1], an AP does not."""
    return figure(None if value is None else min(max(value, 0.0), 1.0))


def of_seeds(summary: ArmSummary) -> str:
    """How many seeds a saving rests on; in the others labels bought one of the two nothing."""
    return f"{summary.saving_seeds} of {len(summary.paired_seeds)} seeds"


def _remarks(summary: ArmSummary) -> list[str]:
    """What is said below a saving: that without val where val has a cost, and the seeds it rests on where they are not all."""
    bare = summary.saving_without_val
    remarks = []
    if bare is not None and math.isfinite(bare.mean) and bare != summary.saving:
        remarks.append(f"without val {saved(bare.mean)}")
    if 0 < summary.saving_seeds < len(summary.paired_seeds):
        remarks.append(of_seeds(summary))
    return remarks


def arm_results(cells: Sequence[Cell], *, baseline: str, split: str) -> list[ArmResult]:
    """One result an arm, paired with the baseline by seed; ceilings and arms without a single evaluated round are left out."""
    cells = competing(cells)
    curves = [found for cell in cells if len((found := curve(cell, split)).ap)]
    floors = {cell.arm for cell in cells if cell.role == "floor"}
    by_axis = {(s.arm, s.axis): s for s in compare_arms(curves, baseline=baseline, apart=floors)}
    half = {s.arm: s for s in compare_arms(curves, baseline=baseline, metric="ap50", axes=("images",), apart=floors)}
    judged: Axis = "seconds" if len({cell.ask for cell in cells}) > 1 else "images"
    strategies = {cell.arm for cell in cells if cell.role == "arm"}
    checks = strategies.intersection(trained_twice(cells)) - {baseline}
    rivals = strategies - checks
    corrected = {axis: corrected_p({arm: s.test for (arm, on), s in by_axis.items() if on == axis and arm in rivals}) for axis in AXES}
    of_baseline, results = cells_of(cells, baseline), []
    for arm in arms_of(cells, baseline):
        if arm not in half:
            continue
        summaries = {axis: by_axis[arm, axis] for axis in AXES}
        of_arm = cells_of(cells, arm)
        final, seeds = summaries["images"].final, len(summaries["images"].seeds)
        p_holm = {axis: corrected[axis][arm] for axis in AXES if arm in corrected[axis]}
        unit = "" if of_arm[0].unit in {cell.unit for cell in of_baseline} or not of_baseline else of_arm[0].unit
        result = ArmResult(arm, of_arm[0].label, of_arm[0].role, seeds, final, half[arm].final, summaries, judged, p_holm, unit)
        results.append(replace(result, label=f"{arm} (check)", role="check") if arm in checks else result)
    return results


def corrected_p(tests: Mapping[str, PairedTest | None]) -> dict[str, float]:
    """Arm → p after Holm's correction for all arms that were tested. One with too few seeds for a p counts among them as p = 1."""
    p = {arm: test.p for arm, test in tests.items() if test is not None}
    corrected = holm([1.0 if each is None else each for each in p.values()])
    return {arm: after for arm, after in zip(p, corrected, strict=True) if p[arm] is not None}


def headline(results: Sequence[ArmResult], *, baseline: str, split: str) -> str:
    """What the comparison says, in one or two sentences."""
    judged = [r for r in results if r.arm != baseline and r.summary.test is not None]
    if not judged:
        return _standing(results, split)
    tally = {name: [r.label for r in judged if r.verdict == name] for name in _WORDS}
    parts = (f"{words} {baseline}: {', '.join(tally[name])}." for name, words in _WORDS.items() if tally[name])
    rivals = [r for r in judged if r.role == "arm"]
    seeds = [r.summary.test.seeds for r in rivals or judged if r.summary.test]
    over = AXIS_NAMES[judged[0].judged]
    corrected = f", Holm's correction for {len(rivals)} arms" if len(rivals) > 1 else ""
    text = f"{' '.join(parts)} Judged by AP on {split} along the curve over {over}, {paired(seeds)}{corrected}."
    few = f" A verdict needs {MIN_SEEDS}: with fewer, even the same winner every time could be luck."
    return text + few if min(seeds) < MIN_SEEDS else text


def paired(seeds: Sequence[int]) -> str:
    """How many seeds the arms share with the baseline, where each has its own number of them."""
    few, many = min(seeds), max(seeds)
    return plural(many, "paired seed") if few == many else f"{few} to {many} paired seeds"


def reading(result: ArmResult) -> list[str]:
    """What one arm's figures say against the baseline, sentence by sentence."""
    summary = result.summary
    difference = result.quantity("difference")
    limits = f" (95% {difference.remark})" if difference.remark else ""
    test = ", ".join(filter(None, (result.quantity("test").text, result.quantity("test").remark)))
    seeds = plural(len(summary.paired_seeds), "seed")
    return [
        f"Mean AP along the curve over {AXIS_NAMES[result.judged]} {difference.text}{limits}; "
        f"ahead on {summary.ahead} of {seeds}; Wilcoxon: {test}.",
        "For the same AP, val included: " + ", ".join(_spent(result.by_axis[axis], AXIS_NAMES[axis]) for axis in AXES) + ".",
    ]


def alone(cell: Cell, split: str) -> str:
    """What is said of a study on its own: what its last evaluated round reached."""
    rounds = cell.evaluated(split)
    if not rounds:
        return "No round has been evaluated yet."
    return f"Round {rounds[-1].round}: {split} {ap_in_words(rounds[-1].metrics(split) or {})}."


def quality_table(columns: Mapping[str, Sequence[Mapping[str, Any]]], classes: Sequence[str]) -> Table:
    """Overall metrics, then AP (AP50 below) a class; each column is the mean of its Metrics (JSON). The best of a row is marked.

    Where every column is of one evaluation, the 95% interval over its images is below AP and AP50.
    """
    lone = all(len(column) == 1 for column in columns.values())
    rows = [
        _row(
            name,
            [[number(m.get(key)) for m in column] for column in columns.values()],
            [_limits(column[0], key) for column in columns.values()] if lone else None,
        )
        for key, name in _OVERALL.items()
    ]
    for name in classes:
        found = [[m["per_class"].get(name, {}) for m in column] for column in columns.values()]
        ap50 = [f"AP50 {figure(mean_of([number(ap.get('AP50')) for ap in column]))}" for column in found]
        rows.append(_row(name, [[number(ap.get("AP")) for ap in column] for column in found], ap50))
    return Table(("", *columns), tuple(rows))


def round_table(cell: Cell) -> Table:
    """The rounds of one cell: labels so far, quality, training, the pool pass. Rows and columns that nothing is known of are left out."""
    heads = (
        "round",
        "images",
        "boxes",
        "labour",
        "cost",
        "val AP",
        "test AP",
        "test AP50",
        "steps",
        "training",
        "images/s",
        "pool",
        "pool images/s",
    )
    rows = [_round_row(r, number((cell.config.get("cost") or {}).get("per_hour"))) for r in cell.rounds]
    return known_columns(Table(heads, tuple(row for row in rows if any(_text(value) != NONE for value in row[1:]))))


def pool_table(cell: Cell) -> Table | None:
    """Mean ± standard deviation of each score term over the pool, round by round; None when no pool was scored with terms."""
    scored = [r for r in cell.rounds if r.score.terms]
    names = list(dict.fromkeys(name for r in scored for name in r.score.terms))
    rows = tuple((str(r.round), *(_spread(r.score.terms.get(name)) for name in names)) for r in scored)
    return Table(("round", *names), rows) if rows else None


def known_columns(table: Table) -> Table:
    """The table without the columns in which no row has a figure."""
    kept = [i for i in range(len(table.heads)) if any(_text(row[i]) != NONE for row in table.rows)]
    return Table(tuple(table.heads[i] for i in kept), tuple(tuple(row[i] for i in kept) for row in table.rows))


def money(amount: float) -> str:
    """An amount in the currency of `cost.per_hour`; a dash for none."""
    return f"{amount:,.2f}" if amount > 0 else NONE


def _limits(metrics: Mapping[str, Any], key: str = "ap") -> str:
    """The 95% interval of an AP and the images that it comes from, where both are known."""
    limits = (metrics.get("intervals") or {}).get(key)
    return f"{figure(limits[0])} to {figure(limits[1])}, {plural(metrics['images'], 'image')}" if limits else ""


def _text(cell: str | Quantity) -> str:
    return cell if isinstance(cell, str) else cell.text


def _spread(term: Mapping[str, Any] | None) -> str:
    """A term that was standardised has a mean of some 1e-17: of its spread, that is 0."""
    if not term:
        return NONE
    mean, spread = number(term.get("mean")), number(term.get("std"))
    return f"{0 if abs(mean) < 1e-9 * spread else mean:.3g} ± {spread:.3g}".replace("-", "−")


def _round_row(one_round: Round, per_hour: float) -> tuple[str | Quantity, ...]:
    spent, train, pool = one_round.annotate, one_round.train, one_round.score
    val, test = one_round.metrics("val") or {}, one_round.metrics("test") or {}
    return (
        str(one_round.round),
        Quantity(count(number(spent.images)), _more(spent.new_images, count)),
        Quantity(count(number(spent.boxes)), _more(spent.new_boxes, count)),
        Quantity(duration(number(spent.seconds)), _more(spent.new_seconds, duration)),
        money(number(spent.seconds) / 3600 * per_hour),
        Quantity(figure(number(val.get("ap"))), _limits(val)),
        Quantity(figure(number(test.get("ap"))), _limits(test)),
        Quantity(figure(number(test.get("ap50"))), _limits(test, "ap50")),
        Quantity(count(number(train.steps)), "stopped early" if train.stopped_early else ""),
        duration(number(train.seconds)),
        figure(number(train.images_per_second), 1),
        count(number(pool.pool)),
        figure(number(pool.images_per_second), 1),
    )


def final_metrics(cells: Sequence[Cell], split: str) -> list[Mapping[str, Any]]:
    """The last metrics of each cell that has any."""
    return [metrics for cell in cells if (metrics := cell.last_metrics(split))]


def mean_of(values: Sequence[float]) -> float:
    """The mean of what is known; NaN when nothing is."""
    return interval(list(values)).mean


def mean_cell(values: Sequence[float], in_words: Callable[[float | None], str]) -> Quantity:
    """The mean of what is known, its 95% interval below."""
    return _quantity(interval(list(values)), in_words)


def uneven(curves: Sequence[CellCurve]) -> bool:
    """Whether some cells have run fewer rounds than others, so that means cover different seeds."""
    return len({len(c.ap) for c in curves}) > 1


def _row(name: str, values: Sequence[Sequence[float]], below: Sequence[str] | None = None) -> tuple[str | Quantity, ...]:
    means = np.array([mean_of(column) for column in values])
    top = means == np.nanmax(means) if len(means) > 1 and np.isfinite(means).any() else np.zeros(len(means), bool)
    remarks = below or [""] * len(means)
    return (name, *(Quantity(figure(value), remark, bool(best)) for value, remark, best in zip(means, remarks, top, strict=True)))


def _quantity(value: Interval | None, in_words: Any) -> Quantity:
    if value is None:
        return Quantity(NONE)
    remark = "" if value.low is None else f"{in_words(value.low)} to {in_words(value.high)}"
    return Quantity(in_words(value.mean), remark)


def _more(value: float | None, in_words: Any) -> str:
    return "" if value is None else f"+{in_words(value)}"


def _spent(summary: ArmSummary, name: str) -> str:
    share = summary.saving.mean if summary.saving else math.nan
    if not math.isfinite(share):
        return f"{name} not comparable"
    return f"{percent(abs(share))} {'less' if share >= 0 else 'more'} {name}".replace("less labelled", "fewer labelled")


def _standing(results: Sequence[ArmResult], split: str) -> str:
    """The sentence for a study on its own, or arms that share no seed with a baseline."""
    if not results:
        return "No round has been evaluated yet."
    sentences = [f"{r.label}: AP {figure(r.ap.mean)}, AP50 {figure(r.ap50.mean)} on {split}" for r in results]
    return "; ".join(sentences) + ". There is no baseline arm to compare with, so nothing is said about savings."
