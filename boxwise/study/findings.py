"""The findings of reading a data set, as a study keeps them: under its fact `findings`, each as a list in JSON.

Knows nothing of where the fact is stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from typing import Any, NamedTuple

from boxwise.data.addresses import absolute
from boxwise.data.formats.base import Finding

FINDINGS = "findings"  # the fact


class KeptFinding(NamedTuple):
    """kind: of `FindingKind`. place: the file from the root on; earlier versions kept it as it was typed. out: whether it kept the
    image out of the study."""

    kind: str
    place: str
    message: str
    image_id: str | None
    out: bool


def kept_in(fact: Any) -> list[KeptFinding]:
    """The findings that the fact says; of a study without it none."""
    return [KeptFinding(*found) for found in fact or []]


def to_keep(findings: Iterable[Finding]) -> list[KeptFinding]:
    """Findings as they are kept."""
    return [KeptFinding(f.kind.value, absolute(str(f.path)), f.message, f.image_id, f.quarantined) for f in findings]


def with_news(fact: Any, news: Sequence[Finding], *, joined: Set[str], there: Set[str]) -> list[KeptFinding]:
    """The fact, with the findings of new files beside those known. joined, there: images that have joined now and before, which no finding
    keeps out any more."""
    known = [found for found in kept_in(fact) if found.image_id not in joined and not (found.out and found.image_id in there)]
    return [*known, *(found for found in to_keep(news) if found not in known)]
