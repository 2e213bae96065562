"""People and the model in one study: who labelled what, what that saved, where the images went, and which were hardest.

Returns value objects for the page's template, None for a study in which a person labelled everything. Knows nothing of other arms or HTML.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from boxwise.artifacts.facts import AnnotateFacts, ComposeFacts
from boxwise.records import Phase
from boxwise.report.charts import BY_MODEL, BY_PERSON, NEUTRAL, Chart, Line, histogram_chart
from boxwise.report.estimates import lure_table, parts_chart, parts_table
from boxwise.report.self_labels import class_table, quality_chart
from boxwise.report.sheets import Thumbnail, thumbnail
from boxwise.report.thresholds import reliability_chart, reliability_table, target_of, threshold_table
from boxwise.results.colors import class_colors
from boxwise.results.facts import Cell, Round, ap_shifts, hardest, mean_value, number, time_saved
from boxwise.results.tables import NONE, Quantity, Table, count, duration, figure, known_columns, percent

_MODES = {
    "full": "A person draws every box.",
    "review": "The model's certain boxes are shown as accepted; a person answers for the uncertain ones and adds what was missed.",
    "trust": "The model's certain boxes enter unseen; a person answers for the uncertain ones.",
    "boxes": "A person answers for the model's uncertain boxes and nothing else; the images stay in the pool.",
}
_ACTIONS = {"keep": "kept", "move": "moved", "relabel": "relabelled", "delete": "deleted", "add": "added"}
_RATIO, _SCORE = "mean AL ratio", "mean SL score"
BY_WHOM = (Line("by the model", (), (), BY_MODEL, dashed=True), Line("by a person", (), (), BY_PERSON))
DASHED = Line("dashed: by the model", (), (), NEUTRAL, dashed=True)


@dataclass(frozen=True)
class HardShot:
    """One of the hardest images. value: what it was ranked by; boxes and by_model: its labels, and how many of them are the model's."""

    image_id: str
    value: str
    thumbnail: Thumbnail | None
    boxes: int
    by_model: int


@dataclass(frozen=True)
class HardSheet:
    """The hardest images of a round, hardest first, and what that was judged by. sourced: whether colours tell who labelled."""

    round: int
    judged_by: str
    shots: tuple[HardShot, ...]
    sourced: bool


@dataclass(frozen=True)
class CooperationView:
    """What the page shows of people and the model in one study; parts that nothing is known of are None or empty."""

    summary: str
    labour: Table | None
    images: Table | None
    training: Table | None
    self_label_charts: tuple[Chart, ...]
    by_class: tuple[int, Table] | None
    distributions: tuple[Chart, ...]
    thresholds: tuple[int, Table] | None
    target: str
    reliability: Chart | None
    reliability_table: Table | None
    parts: Chart | None
    parts_table: Table | None
    lure: Table | None
    hardest: HardSheet | None
    legend: tuple[Line, ...] = BY_WHOM


def cooperation_view(cell: Cell, *, shots: int) -> CooperationView | None:
    """The cell's cooperation with at most `shots` pictures; None where a person labelled everything and all of it was trained on."""
    if not cell.cooperates:
        return None
    quality = quality_chart(cell)
    proposed = cell.ask != "full"  # otherwise nothing can be saved, thresholds decide nothing, and every AL ratio is 1
    chosen = proposed or cell.policy != "all_labeled"
    return CooperationView(
        _summary(cell),
        _labour_table(cell) if proposed else None,
        _image_table(cell) if chosen else None,
        _training_table(cell) if chosen else None,
        (quality,) if quality else (),
        class_table(cell),
        tuple(chart for chart in (_ratios(cell), _scores(cell)) if chart) if proposed else (),
        threshold_table(cell) if proposed else None,
        target_of(cell),
        reliability_chart(cell) if proposed else None,
        reliability_table(cell) if proposed else None,
        parts_chart(cell),
        parts_table(cell),
        lure_table(cell),
        _hard_sheet(cell, shots),
    )


def _summary(cell: Cell) -> str:
    text = f"Asked: {cell.ask}. {_MODES.get(cell.ask, '')} Trained on: {cell.policy}."
    spent = next((r.annotate for r in reversed(cell.rounds) if r.done(Phase.ANNOTATE)), AnnotateFacts())
    seconds, share = time_saved(spent)
    if math.isfinite(share) and cell.ask != "full":
        labour, by_hand = duration(number(spent.seconds)), duration(number(spent.by_hand_seconds))
        less = "as much as" if percent(share) == "0%" else f"{percent(abs(share))} {'less' if seconds >= 0 else 'more'} than"
        text += f" So far {labour} of labour, {less} the {by_hand} that drawing the very same boxes by hand would have taken."
    return text


def _labour_table(cell: Cell) -> Table | None:
    heads = ("round", "boxes by a person", "boxes by the model", "share by the model", "labour", "by hand", "saved", *_ACTIONS.values())
    rows = tuple(_labour_row(r.round, r.annotate) for r in cell.rounds if r.done(Phase.ANNOTATE))
    return known_columns(Table(heads, rows)) if rows else None


def _labour_row(round_index: int, spent: AnnotateFacts) -> tuple[str | Quantity, ...]:
    human, model = number(spent.boxes), number(spent.model_boxes)
    seconds, share = time_saved(spent)
    return (
        str(round_index),
        Quantity(count(human), _more(spent.new_boxes)),
        Quantity(count(model), _more(spent.new_model_boxes)),
        percent(model / (human + model)) if human + model > 0 else NONE,
        duration(number(spent.seconds)),
        duration(number(spent.by_hand_seconds)),
        Quantity(("−" if seconds < 0 else "") + duration(abs(seconds)), percent(share) if math.isfinite(share) else ""),
        *(count(number(spent.actions.get(name))) for name in _ACTIONS),
    )


def _image_table(cell: Cell) -> Table | None:
    """Where the images of each round went."""
    return _used_columns([_image_row(r) for r in cell.rounds if r.done(Phase.COMPOSE)])


def _training_table(cell: Cell) -> Table | None:
    """What each training saw."""
    shifts = ap_shifts(cell)
    rows = [_training_row(r, shifts.get(r.round, math.nan)) for r in cell.rounds if r.done(Phase.COMPOSE)]
    if cell.ask == "full":
        rows = [{name: value for name, value in row.items() if name not in (_RATIO, _SCORE)} for row in rows]
    return _used_columns(rows)


def _used_columns(rows: Sequence[Mapping[str, str]]) -> Table | None:
    """The rows without the columns in which nothing ever happened; None without rows."""
    used = [name for name in (rows[0] if rows else ()) if name == "round" or any(row[name] not in (NONE, "0") for row in rows)]
    return Table(tuple(used), tuple(tuple(row[name] for name in used) for row in rows)) if rows else None


def _image_row(one_round: Round) -> dict[str, str]:
    asked, plan = one_round.select, one_round.compose
    return {
        "round": str(one_round.round),
        "asked whole": count(number(asked.whole)),
        "asked by box": count(number(asked.boxwise)),
        "entered without a question": count(number(asked.self_labeled)),
        "of all these, asked before": count(number(asked.requeued)),
        "drawn for val": count(number(asked.val_drawn)),
        "joined the labelled set": count(len(plan.joined)),
        "to ask again": count(len(plan.requeued)),
        "back to the pool": count(len(plan.released)),
        "labelled set": count(number(plan.labeled)),
    }


def _training_row(one_round: Round, shift: float) -> dict[str, str]:
    plan = one_round.compose
    return {
        "round": str(one_round.round),
        "images": count(number(plan.trained)),
        "boxes by a person": count(number(plan.al_boxes)),
        "boxes by the model": count(number(plan.sl_boxes)),
        "pool images labelled for it alone": count(number(plan.self_images)),
        "boxes on these": count(number(plan.self_boxes)),
        _RATIO: figure(mean_value(plan.al_ratio), 2),
        _SCORE: figure(mean_value(plan.sl_score), 2),
        "AP shift on val": figure(shift, 4),
    }


def _ratios(cell: Cell) -> Chart | None:
    caption = "Images asked, by AL ratio: the share of an image's boxes that a person answered for"
    return _histograms(cell, lambda plan: plan.al_ratio, caption, "AL ratio")


def _scores(cell: Cell) -> Chart | None:
    caption = "Images asked, by SL score: the summed scores of the boxes by the model, per box of the image"
    return _histograms(cell, lambda plan: plan.sl_score, caption, "SL score")


def _histograms(cell: Cell, fact: Callable[[ComposeFacts], Mapping[str, Any]], caption: str, columns: str) -> Chart | None:
    values = {str(r.round): _finite_values(fact(r.compose)) for r in cell.rounds}
    given = {round_index: found for round_index, found in values.items() if found}
    return histogram_chart(given, caption, rows="round", columns=columns) if given else None


def _finite_values(by_image: Mapping[str, Any]) -> Sequence[float]:
    return [value for value in map(number, by_image.values()) if math.isfinite(value)]


def _hard_sheet(cell: Cell, shots: int) -> HardSheet | None:
    """The sheet of the last round whose images can be ranked."""
    for one_round in reversed(cell.rounds):
        judged_by, ranked = hardest(cell, one_round)
        if ranked[:shots]:
            return HardSheet(one_round.round, judged_by, tuple(_hard_shot(cell, *pair) for pair in ranked[:shots]), cell.ask != "full")
    return None


def _hard_shot(cell: Cell, image_id: str, value: float) -> HardShot:
    boxes, by_model, path = cell.labels[image_id], cell.by_model.get(image_id), cell.images.get(image_id)
    sources = by_model if cell.ask != "full" else None
    colors = class_colors(len(cell.classes))
    small = thumbnail(path, boxes, classes=cell.classes, colors=colors, by_model=sources, colored_by="source") if path else None
    return HardShot(image_id, figure(value, 2), small, len(boxes), 0 if by_model is None else int(by_model.sum()))


def _more(value: float | None) -> str:
    return "" if value is None else f"+{count(number(value))}"
