"""How far the people of a study agree, over the images that two of them labelled alone: in all, by class, by pair and by person.

Computes from answers that it is given. Knows nothing of stores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from boxwise.boxes import Boxes
from boxwise.evaluation.agreement import Agreement, Compared, agreement, compare

Answered = tuple[str, tuple[str, Boxes], tuple[str, Boxes]]  # image_id, who and their boxes, who and theirs


@dataclass(frozen=True)
class TeamAgreement:
    """by_pair: names in alphabetical order; the first is the first rater of Cohen's kappa. by_person: a person with all others."""

    every: Agreement
    by_class: Mapping[str, Agreement]
    by_pair: Mapping[tuple[str, str], Agreement]
    by_person: Mapping[str, Agreement]


def team_agreement(answers: Sequence[Answered], classes: Sequence[str]) -> TeamAgreement:
    """Agreement over images that two people answered; a class that nobody drew there is left out."""
    compared = [_compared(a, b) for _, a, b in answers]
    by_class = {name: agreement([one for _, one in compared], label=label) for label, name in enumerate(classes)}
    pairs = sorted({pair for pair, _ in compared})
    people = sorted({name for pair in pairs for name in pair})
    return TeamAgreement(
        agreement([one for _, one in compared]),
        {name: found for name, found in by_class.items() if found.boxes},
        {pair: agreement([one for other, one in compared if other == pair]) for pair in pairs},
        {name: agreement([one for pair, one in compared if name in pair]) for name in people},
    )


def _compared(a: tuple[str, Boxes], b: tuple[str, Boxes]) -> tuple[tuple[str, str], Compared]:
    (first, mine), (second, theirs) = sorted((a, b), key=lambda answer: answer[0])
    return (first, second), compare(mine, theirs)
