"""Which scorer a round's scores are of: what was learned of the scores of one says nothing of another's.

Returns what tells scorers apart, for the facts of a round. Builds no scorer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from boxwise import registry
from boxwise.artifacts.facts import Json
from boxwise.config import ScorerConfig


def scored_by(config: ScorerConfig) -> dict[str, Any]:
    """The scorer that `config` names, with all that its scores depend on."""
    options = registry.scorer_options(config)
    facts = {"name": config.name, "pseudo_threshold": config.pseudo_threshold, "options": options.model_dump(mode="json")}
    return facts | ({"vae": config.vae.model_dump(mode="json")} if options.trains_vae() else {})


def same_scorer(one: Json | None, other: Json | None) -> bool:
    """Whether two notes of `scored_by` are of one scorer. None: an older version did not write it down, and scorers seldom change.

    Options that only one of them has are of another version, and say nothing.
    """
    return one is None or other is None or _alike(one, other)


def _alike(one: Any, other: Any) -> bool:
    """Whether two values are equal, dictionaries in the keys that both have."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return all(_alike(one[key], other[key]) for key in one.keys() & other.keys())
    return bool(one == other)
