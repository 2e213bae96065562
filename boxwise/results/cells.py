"""From a study to the cell a report is made of: facts, queries and labels, read from its store.

Knows nothing of how any of it is shown.
"""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

from boxwise.artifacts.facts import Round
from boxwise.errors import BoxwiseError
from boxwise.evaluation.cost import by_hand
from boxwise.records import Phase, Split
from boxwise.registry import role_of
from boxwise.results.facts import Cell
from boxwise.study import Study

SELF_LABELS_FILE = "self_labels.json"  # what simulation knows of the model's own labels; a real study has none


def cell_of(study: Study, *, arm: str | None = None) -> Cell:
    """The study as one cell; `arm` names it in a comparison, by default after the strategies that chose its images."""
    cell, annotations = figures_of(study, arm=arm), study.annotations(Split.TRAIN)
    kept = annotations.keys() | {item.image_id for one_round in cell.rounds for item in one_round.items}
    return replace(
        cell,
        images={record.image_id: record.uri for record in study.records(sorted(kept)) if record.split is Split.TRAIN},
        labels={image_id: annotation.boxes for image_id, annotation in annotations.items()},
        by_model={image_id: annotation.by_model for image_id, annotation in annotations.items()},
    )


def figures_of(study: Study, *, arm: str | None = None) -> Cell:
    """As `cell_of`, without images and labels."""
    arm = arm or _strategies_of(study)
    return Cell(
        arm=arm,
        seed=study.config.seed,
        folder=study.folder,
        config=study.config.model_dump(mode="json"),
        classes=study.classes,
        rounds=tuple(_with_val(study, one_round) for one_round in study.rounds()),
        role=role_of(arm, study.config),
        self_labels=_self_labels(study.folder / SELF_LABELS_FILE),
    )


def _strategies_of(study: Study) -> str:
    """The strategies that the rounds after round 0 were asked by, in order; the one that comes next where there was none yet."""
    asked = [one.select.strategy for one in study.rounds() if one.round and one.select.strategy]
    return " → ".join(name for name, _ in groupby(asked or [study.config.strategy.name]))


def _with_val(study: Study, one_round: Round) -> Round:
    """The round with what val cost by then, where an older version has not written that down: as if drawn by hand."""
    spent = one_round.annotate
    if not one_round.done(Phase.ANNOTATE) or spent.val_boxes is not None:
        return one_round
    val = study.annotations(Split.VAL, before=one_round.round + 1).values()
    boxes = sum(annotation.boxes.drawn for annotation in val)
    paid = replace(spent, val_images=len(val), val_boxes=boxes, val_seconds=by_hand(len(val), boxes, study.config.cost))
    return replace(one_round, steps={**one_round.steps, Phase.ANNOTATE: paid})


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
