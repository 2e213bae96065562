"""One study in detail: what each round chose and why, how well scores predicted the loss, how the networks trained.

Returns value objects for the page's template. Knows nothing of other arms, statistics over seeds, or HTML.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from boxwise.artifacts.facts import AuditFacts
from boxwise.artifacts.vae_history import read_vae_history
from boxwise.records import Phase, QueryItem
from boxwise.report.charts import MARKERS, PALETTE, Axis, Chart, Line, line_chart, round_colors
from boxwise.report.cooperation import CooperationView, cooperation_view
from boxwise.report.sheets import Thumbnail, picture, thumbnail
from boxwise.results.colors import class_colors
from boxwise.results.facts import Cell, Round, number, train_losses
from boxwise.results.fidelity import NAMES as FIDELITY_NAMES  # one look and one order for each, in every study of a report
from boxwise.results.tables import Table, count, duration, figure, known_columns, pool_table, round_table, signed


@dataclass(frozen=True)
class Term:
    """One score term of a chosen image; `start` and `length` place its bar in percent of the widest of the round."""

    name: str
    value: str
    start: float
    length: float

    @property
    def negative(self) -> bool:
        return self.start < 50


@dataclass(frozen=True)
class Shot:
    """One chosen image. utility: "" where it has none to speak of, as in a random draw.

    boxes: what was found in it, None when not labelled yet; by_model: how many of them the model labelled itself.
    """

    image_id: str
    utility: str
    terms: tuple[Term, ...]
    thumbnail: Thumbnail | None
    boxes: int | None
    split: str
    by_model: int = 0


@dataclass(frozen=True)
class Gallery:
    """The images that a round chose: the most valuable ones are shown, `chosen` counts all."""

    round: int
    strategy: str
    chosen: int
    shots: tuple[Shot, ...]
    summary: str


@dataclass(frozen=True)
class StudyView:
    """Everything the page shows of one cell. colors: of its classes, in their order."""

    cell: Cell
    colors: tuple[str, ...]
    rounds: Table
    cooperation: CooperationView | None
    pool: Table | None
    galleries: tuple[Gallery, ...]
    fidelity: Chart | None
    fidelity_table: Table | None
    training: tuple[Chart, ...]
    vae: tuple[Chart, ...]
    sheet: Thumbnail | None
    sheet_round: int


def view(cell: Cell, *, shots: int) -> StudyView:
    """The details of a cell, with at most `shots` pictures a round."""
    sheet_round, sheet = _last_sheet(cell)
    return StudyView(
        cell,
        tuple(class_colors(len(cell.classes))),
        round_table(cell),
        cooperation_view(cell, shots=shots),
        pool_table(cell),
        tuple(_gallery(cell, one_round, shots) for one_round in cell.rounds if one_round.items),
        _fidelity_chart(cell),
        _fidelity_table(cell),
        _training_charts(cell),
        _vae_charts(cell),
        sheet,
        sheet_round,
    )


def _gallery(cell: Cell, one_round: Round, shots: int) -> Gallery:
    items = one_round.items[:shots]
    widest = {name: max(abs(number(item.terms[name])) for item in items if item.terms) for name in _term_names(items)}
    return Gallery(
        one_round.round,
        one_round.select.strategy,
        len(one_round.items),
        tuple(_shot(cell, item, widest) for item in items),
        _summary(one_round),
    )


def _term_names(items: Sequence[QueryItem]) -> list[str]:
    """Terms known for every item that has any, in order; random draws have none."""
    scored = [item.terms for item in items if item.terms]
    return [name for name in (scored[0] if scored else ()) if all(terms.get(name) is not None for terms in scored)]


def _shot(cell: Cell, item: QueryItem, widest: Mapping[str, float]) -> Shot:
    image_id = item.image_id
    boxes = cell.labels.get(image_id)
    path = cell.images.get(image_id)
    by_model = cell.by_model.get(image_id) if cell.ask != "full" and boxes is not None else None
    colors = class_colors(len(cell.classes))
    small = None if path is None else thumbnail(path, boxes, classes=cell.classes, colors=colors, by_model=by_model)
    terms = tuple(_term(name, number(item.terms[name]), top) for name, top in widest.items() if item.terms)
    return Shot(
        image_id,
        _utility(item.utility) if item.ranked else "",
        terms,
        small,
        None if boxes is None else len(boxes),
        item.split.value,
        0 if by_model is None else int(by_model.sum()),
    )


def _term(name: str, value: float, widest: float) -> Term:
    half = 50 * abs(value) / widest if widest > 0 and math.isfinite(value) else 0.0
    return Term(name, signed(value), 50 - half if value < 0 else 50, half)


def _utility(value: float) -> str:
    """Two places, and more where a strategy's utilities are small: two digits of each are seen."""
    small = math.isfinite(value) and 0 < abs(value) < 0.1
    return figure(value, 1 - math.floor(math.log10(abs(value))) if small else 2)


def _summary(one_round: Round) -> str:
    if not one_round.done(Phase.ANNOTATE):
        return "not labelled yet"
    spent = one_round.annotate
    images, boxes = _counted(spent.new_images, "image", "images"), _counted(spent.new_boxes, "box", "boxes")
    by_model = f" and {count(spent.new_model_boxes)} by the model" if spent.new_model_boxes else ""
    return f"{images}, {boxes}{by_model}, {duration(number(spent.new_seconds))} of labour"


def _counted(amount: int | None, one: str, many: str) -> str:
    return f"{count(number(amount))} {one if amount == 1 else many}"


def _fidelity_chart(cell: Cell) -> Chart | None:
    lines = []
    for index, name in enumerate(FIDELITY_NAMES):
        points = [(r.round, number(r.audit.fidelity.get(name))) for r in cell.rounds]
        finite = [(x, y) for x, y in points if math.isfinite(y)]
        if finite:
            x, y = zip(*finite, strict=True)
            lines.append(Line(name, x, y, PALETTE[index], marker=MARKERS[index]))
    if not lines:
        return None
    axis = Axis("round", "Spearman ρ", bottom=-1, top=1, whole=True)
    return line_chart(lines, axis, "Rank correlation of each score with the true loss of the chosen images: 1 is perfect, 0 is chance")


def _fidelity_table(cell: Cell) -> Table | None:
    audited = [r for r in cell.rounds if r.done(Phase.AUDIT)]
    if not audited:
        return None
    rows = tuple(_audit_row(r.round, r.audit) for r in audited)
    return known_columns(Table(("round", "images", *FIDELITY_NAMES, "α next", "β next"), rows))


def _audit_row(round_index: int, audit: AuditFacts) -> tuple[str, ...]:
    weights = audit.weights or {}
    found = [audit.fidelity.get(name) for name in FIDELITY_NAMES] + [weights.get(name) for name in ("alpha", "beta")]
    return (str(round_index), count(number(audit.n)), *(figure(value, 2) for value in found))


def _training_charts(cell: Cell) -> tuple[Chart, ...]:
    histories = {r.round: r.train.history for r in cell.rounds if r.train.history}
    losses = dict.fromkeys(name for r in cell.rounds for name in train_losses(r))
    wanted = [(name, f"{name} loss", f"Training loss: {name}") for name in losses]
    wanted += [("ap", "AP on val", "AP on val while training"), ("lr", "learning rate", "Learning rate")]
    charts = (_over_steps(histories, name, Axis("training step", label, bottom=0), caption) for name, label, caption in wanted)
    return tuple(chart for chart in charts if chart)


def _vae_charts(cell: Cell) -> tuple[Chart, ...]:
    histories = {r.round: read_vae_history(path) for r in cell.rounds if (path := cell.files(r.round).vae_history).is_file()}
    error = _over_steps(histories, "reconstruction", Axis("training step", "mean squared error", log=True), "VAE: reconstruction error")
    divergence = _over_steps(histories, "kl", Axis("training step", "KL divergence"), "VAE: KL divergence")
    return tuple(chart for chart in (error, divergence) if chart)


def _over_steps(histories: Mapping[int, Sequence[Mapping[str, Any]]], name: str, axis: Axis, caption: str) -> Chart | None:
    """One line a round of the entries that know `name`; None when none does."""
    lines = []
    for (round_index, history), color in zip(histories.items(), round_colors(len(histories)), strict=True):
        points = [(float(entry["step"]), float(entry[name])) for entry in history if entry.get(name) is not None]
        if points:
            x, y = zip(*points, strict=True)
            lines.append(Line(f"round {round_index}", x, y, color))
    return line_chart(lines, axis, caption) if lines else None


def _last_sheet(cell: Cell) -> tuple[int, Thumbnail | None]:
    for one_round in reversed(cell.rounds):
        path = cell.files(one_round.round).reconstructions
        if path.is_file():
            return one_round.round, picture(path)
    return 0, None
