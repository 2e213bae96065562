"""From a study to the cell a report is made of: facts, queries and labels, read from its store.

Knows nothing of how any of it is shown.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from boxwise.errors import BoxwiseError
from boxwise.evaluation.cost import by_hand
from boxwise.records import Phase, Split
from boxwise.registry import role_of
from boxwise.results.facts import Cell, Round
from boxwise.study import Study

SELF_LABELS_FILE = "self_labels.json"  # what simulation knows of the model's own labels; a real study has none


def cell_of(study: Study, *, arm: str | None = None) -> Cell:
    """The study as one cell; `arm` names it in a comparison, by default after its strategy and scorer."""
    rounds = tuple(
        Round(number, _with_val(study, number, _with_items(study, number, facts))) for number, facts in study.store.facts().items()
    )
    annotations = study.store.annotations(Split.TRAIN)
    kept = annotations.keys() | {item["image_id"] for one_round in rounds for item in one_round.phase(Phase.SELECT.value).get("items", ())}
    arm = arm or study.config.strategy.name
    return Cell(
        arm=arm,
        seed=study.config.seed,
        folder=study.folder,
        config=study.config.model_dump(mode="json"),
        classes=study.classes,
        rounds=rounds,
        role=role_of(arm, study.config),
        images={record.image_id: record.path for record in study.store.images(Split.TRAIN) if record.image_id in kept},
        labels={image_id: annotation.boxes for image_id, annotation in annotations.items()},
        by_model={image_id: annotation.by_model for image_id, annotation in annotations.items()},
        self_labels=_self_labels(study.folder / SELF_LABELS_FILE),
    )


def _with_items(study: Study, number: int, facts: dict[str, dict[str, object]]) -> dict[str, dict[str, object]]:
    """The facts of a round with its query put back into the select phase: the store keeps it in a table of its own."""
    if Phase.SELECT.value not in facts:
        return facts
    items = [asdict(item) for item in study.store.query(number).items]
    return facts | {Phase.SELECT.value: facts[Phase.SELECT.value] | {"items": items}}


def _with_val(study: Study, number: int, facts: dict[str, dict[str, object]]) -> dict[str, dict[str, object]]:
    """The facts of a round with what val cost by then, where an older version has not written that down: as if drawn by hand."""
    spent = facts.get(Phase.ANNOTATE.value)
    if not spent or "val_boxes" in spent:
        return facts
    val = study.store.annotations(Split.VAL, before=number + 1).values()
    boxes = sum(len(annotation.boxes) for annotation in val)
    paid = {"val_images": len(val), "val_boxes": boxes, "val_seconds": by_hand(len(val), boxes, study.config.cost)}
    return facts | {Phase.ANNOTATE.value: spent | paid}


def _self_labels(path: Path) -> dict[str, Any]:
    """What simulation left there, by round; empty without the file. Raises BoxwiseError for a file that is no JSON object."""
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BoxwiseError(f"{path}: not readable as JSON ({error}).") from None
    if not isinstance(found, dict):
        raise BoxwiseError(f"{path}: expected a JSON object by round, found a {type(found).__name__}.")
    return found
