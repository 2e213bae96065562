"""From a study to the cell a report is made of: facts, queries and labels, read from its store.

Knows nothing of how any of it is shown.
"""

from __future__ import annotations

from dataclasses import asdict

from boxwise.records import Phase, Split
from boxwise.report.facts import Cell, Round
from boxwise.study import Study


def cell_of(study: Study, *, arm: str | None = None, upper_bound: bool = False) -> Cell:
    """The study as one cell; `arm` names it in a comparison, by default after its strategy and scorer."""
    rounds = tuple(Round(number, _with_items(study, number, facts)) for number, facts in study.store.facts().items())
    labels = {image_id: annotation.boxes for image_id, annotation in study.store.annotations(Split.TRAIN).items()}
    return Cell(
        arm=arm or study.config.strategy.name,
        seed=study.config.seed,
        folder=study.folder,
        config=study.config.model_dump(mode="json"),
        classes=study.classes,
        rounds=rounds,
        upper_bound=upper_bound,
        images={record.image_id: record.path for record in study.store.images(Split.TRAIN)},
        labels=labels,
    )


def _with_items(study: Study, number: int, facts: dict[str, dict[str, object]]) -> dict[str, dict[str, object]]:
    """The facts of a round with its query put back into the select phase: the store keeps it in a table of its own."""
    if Phase.SELECT.value not in facts:
        return facts
    items = [asdict(item) for item in study.store.query(number).items]
    return facts | {Phase.SELECT.value: facts[Phase.SELECT.value] | {"items": items}}
