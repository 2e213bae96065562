"""What each person of a study has done: images and seconds, what reviewers said of it, and agreement with others.

Computes from figures that it is given. Knows nothing of stores.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from boxwise.evaluation.agreement import Agreement
from boxwise.records import Role
from boxwise.store import Member, Work


@dataclass(frozen=True)
class TeamMember:
    """One row of the lead's table; what is not known yet is None.

    role: of their link. images: that they labelled, without what they decided in reviews. each: seconds an image. reviewed: answers of
    theirs that a reviewer judged, the last verdict on each; accepted: the share of these that was right as it was. reviews: verdicts that
    they gave.
    """

    name: str
    role: Role | None
    images: int
    seconds: float
    each: float | None
    reviewed: int
    accepted: float | None
    reviews: int
    agreement: Agreement | None


def team_table(work: Mapping[str, Work], members: Mapping[str, Member], agreement: Mapping[str, Agreement]) -> list[TeamMember]:
    """A row for everybody who has labelled, reviewed or has a link, the busiest first."""
    names = sorted({*work, *members}, key=lambda name: (-work.get(name, _NONE).images, name))
    return [_row(name, work.get(name, _NONE), members.get(name), agreement.get(name)) for name in names]


_NONE = Work()


def _row(name: str, work: Work, member: Member | None, agreement: Agreement | None) -> TeamMember:
    each = work.seconds / work.images if work.images else None
    accepted = work.accepted / work.reviewed if work.reviewed else None
    role = None if member is None else member.role
    return TeamMember(name, role, work.images, work.seconds, each, work.reviewed, accepted, work.reviews, agreement)
