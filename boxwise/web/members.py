"""What those may do who came by a link of their own: everybody under their name alone, and only what their role allows.

Who came by the shared link, or from this machine, may do everything under any name. Raises HTTP's 403 with the reason.
"""

from __future__ import annotations

from typing import Any

from fastapi import Request

from boxwise.records import Role
from boxwise.store import Member
from boxwise.web.answers import DeniedError
from boxwise.web.queue import LabelQueue

_REVIEWS = (Role.REVIEWER, Role.LEAD)


def member_in(request: Request) -> Member | None:
    """Who came by a link of their own; None for all others."""
    found: Member | None = request.scope.get("member")
    return found


async def under_own_name(request: Request) -> None:
    """A dependency of every route whose body has an `annotator`."""
    member = member_in(request)
    if member is None or request.method == "GET":
        return
    body: Any = await request.json()
    if not isinstance(body, dict) or body.get("annotator") != member.name:
        raise DeniedError("own_name", member.name)


def may_review(member: Member | None) -> bool:
    """Whether somebody may see and judge what others have done."""
    return member is None or member.role in _REVIEWS


async def reviewing(request: Request) -> None:
    """A dependency of routes that show what others have done."""
    member = member_in(request)
    if member is not None and not may_review(member):
        raise DeniedError("for_reviewers", member.name, member.role.value)


async def leading(request: Request) -> None:
    """A dependency of routes that compare what people have done."""
    member = member_in(request)
    if member is not None and member.role is not Role.LEAD:
        raise DeniedError("for_leads", member.name, member.role.value)


def check_may_open(member: Member | None, queue: LabelQueue, image_id: str) -> None:
    """Annotators open no image whose labels are another person's."""
    if member is not None and not may_open(member, queue, image_id):
        if (kept := queue.kept_for(image_id)) is not None:
            raise DeniedError("kept_for_another", image_id, kept, member.name, member.role.value)
        by = queue.labelling.answerer(image_id)
        raise DeniedError("answered_by_another", image_id, by, member.name, member.role.value)


def check_may_flag(member: Member | None, queue: LabelQueue, image_id: str, round_index: int) -> None:
    """Annotators take images out of use, and put them back, that the round asks about, or that they answered or flagged; no others."""
    check_may_open(member, queue, image_id)
    if member is None or may_review(member) or image_id in queue.study.asked(round_index):
        return
    if queue.labelling.answerer(image_id) != member.name and not queue.is_flagged_by(image_id, member.name):
        raise DeniedError("not_theirs_to_flag", image_id, member.name, member.role.value)


def may_open(member: Member | None, queue: LabelQueue, image_id: str) -> bool:
    """Whether somebody may have an image before them, with the labels that it has: one that waits for an answer now is for all."""
    if member is None or may_review(member):
        return True
    if queue.kept_for(image_id) not in (None, member.name):
        return False
    if queue.labelling.answerer(image_id) in (None, member.name):
        return True
    return queue.waits(image_id)


def figures_for(member: Member | None, figures: dict[str, Any]) -> dict[str, Any]:
    """The dashboard's figures; what each person has done, and has skipped and why, is for leads."""
    if member is None or member.role is Role.LEAD:
        return figures
    return figures | {"labour": figures["labour"] | {"people": None}, "skipped": [], "skipped_count": 0}
