"""Rounds of a report as tests write them down: the facts as the store keeps them, with the query's items among those of SELECT."""

from collections.abc import Mapping
from typing import Any

from boxwise.artifacts.facts import Round
from boxwise.config import apply_overrides, parse_config
from boxwise.records import QueryItem, Split
from boxwise.rounds import RoundContext
from boxwise.study import Study


def made_round(number: int, steps: Mapping[str, Any]) -> Round:
    items = (steps.get("select") or {}).get("items") or ()
    return Round.from_json(number, steps, tuple(_item(item) for item in items))


def _item(item: Mapping[str, Any]) -> QueryItem:
    return QueryItem(item["image_id"], item.get("utility", 0.0), item.get("terms") or {}, Split(item.get("split", "train")))


def as_json(one: Round) -> dict[str, Any]:
    """What `made_round` makes the round of."""
    steps = {phase.value: facts.to_json() for phase, facts in one.steps.items()}
    items = [{"image_id": i.image_id, "utility": i.utility, "terms": dict(i.terms), "split": i.split.value} for i in one.items]
    return steps | ({"select": {**steps.get("select", {}), "items": items}} if items or "select" in steps else {})


def context_of(study: Study, *overrides: str, past: Mapping[int, Mapping[str, Any]] | None = None) -> RoundContext:
    """What the steps of `study` work with, under other settings. past: round → what its steps committed, in place of what they did."""

    class Remembered(RoundContext):
        def committed(self, round_index: int) -> Round:
            return super().committed(round_index) if past is None else made_round(round_index, past.get(round_index, {}))

    values = study.config.model_dump(mode="json")
    apply_overrides(values, overrides)
    return Remembered(study.folder, study.store, parse_config(values, "config"), study.classes, None, lambda event: None)
