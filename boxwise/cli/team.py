"""The verb of the team: people with roles come by links of their own."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlencode

import typer

from boxwise.cli.looking import AsJson
from boxwise.cli.options import check_used
from boxwise.cli.upkeep import Who
from boxwise.errors import plural, quoted
from boxwise.records import Role

if TYPE_CHECKING:
    from boxwise.evaluation.agreement import Agreement
    from boxwise.study import Study

app = typer.Typer()


@app.command()
def team(
    study: Annotated[Path, typer.Argument(metavar="STUDY", help="The study's folder.")],
    add: Annotated[str | None, typer.Option(metavar="NAME", help="Make a link for this person; their earlier one ends.")] = None,
    role: Annotated[Role | None, typer.Option(help="What the person of --add may do; annotate unless given.")] = None,
    days: Annotated[float | None, typer.Option(help="For how long the link of --add opens the page; 30 unless given.")] = None,
    url: Annotated[
        str, typer.Option(envvar="BOXWISE_URL", help="Where the page is served, as the person reaches it.")
    ] = "http://127.0.0.1:8123/",
    revoke: Annotated[str | None, typer.Option(metavar="NAME", help="End this person's link.")] = None,
    stats: Annotated[bool, typer.Option("--stats", help="What each person has done: images, seconds, reviews, agreement.")] = False,
    as_json: AsJson = False,
    by: Who = None,
) -> None:
    """Show the team, make a link for a person, or revoke one.

    A link is signed and shown once; whoever has it is that person.
    """
    from boxwise.cli.console import say
    from boxwise.study import Study
    from boxwise.study.upkeep import user

    changes = add is not None or revoke is not None
    check_used(
        {"--json": as_json and changes and not stats}, why="beside --add and --revoke, which list no one. Ask for the list by itself."
    )
    check_used({"--role": role is not None and add is None, "--days": days is not None and add is None}, why="without --add NAME.")
    opened, who = Study.open(study), by or user()
    if revoke is not None:
        opened.team.revoke(revoke, who=who)
        say(f"The link of {revoke} opens nothing any more. What they have labelled stays.")
    if add is not None:
        role, days = role or Role.ANNOTATOR, 30.0 if days is None else days
        token = opened.team.invite(add, role, who=who, days=days)
        say(f"{add.strip()}, {role.value}, for {days:g} {'day' if days == 1 else 'days'}:")
        typer.echo(f"{url.split()[0].rstrip('/')}/?{urlencode({'person': token})}")
    if stats:
        _show_stats(opened, as_json=as_json)
    elif not changes:
        _show(opened, as_json=as_json)


def _show(opened: Study, *, as_json: bool) -> None:
    from boxwise.cli.console import say, say_json, table

    members = opened.team.members().values()
    if as_json:
        return say_json([asdict(member) for member in members])
    if not members:
        say(f"No one has a link of their own. Make one: boxwise team {quoted(opened.folder)} --add NAME --role reviewer")
        return None
    gone = opened.team.gone()
    rows: list[tuple[str, str, str]] = []
    for member in members:
        until = datetime.fromtimestamp(member.until, UTC)
        rows.append((member.name, member.role.value, f"{until:%Y-%m-%d %H:%M} UTC" + (", expired" if member.name in gone else "")))
    return table(plural(len(rows), "person"), ("name", "role", "until"), rows, numbers=False)


def _show_stats(opened: Study, *, as_json: bool) -> None:
    """What each person has done, and how far people agree by pair and by class, where images were labelled by two."""
    from boxwise.cli.console import say_json, table

    found = opened.agreement()
    people = opened.team_table(found)
    if as_json:
        pairs = [{"people": list(pair)} | asdict(one) for pair, one in found.by_pair.items()]
        classes = [{"class": name} | asdict(one) for name, one in found.by_class.items()]
        agreement = {"all": asdict(found.every), "by_pair": pairs, "by_class": classes}
        return say_json({"people": [asdict(one) for one in people], "agreement": agreement})
    head = (
        "person",
        "role",
        "images",
        "s an image",
        "reviewed",
        "accepted",
        "reviews given",
        "two labelled",
        "boxes with a partner",
        "same class",
    )
    rows = [
        (
            one.name,
            one.role or "–",
            one.images,
            _seconds(one.each),
            one.reviewed,
            _share(one.accepted),
            one.reviews,
            *_agreed(one.agreement),
        )
        for one in people
    ]
    table(plural(len(people), "person"), head, rows)
    if found.every.images:
        every = [("all", found.every), *((" – ".join(pair), one) for pair, one in found.by_pair.items()), *found.by_class.items()]
        columns = ("agreement", "images", "boxes", "boxes with a partner", "IoU", "same class", "kappa")
        shares = [
            (name, one.images, one.boxes, _share(one.matched), _two(one.iou), _share(one.same_class), _two(one.kappa))
            for name, one in every
        ]
        table("Images that two people labelled, each alone", columns, shares)
    return None


def _agreed(one: Agreement | None) -> tuple[int, str, str]:
    return (0, "–", "–") if one is None else (one.images, _share(one.matched), _share(one.same_class))


def _share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}%"


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def _two(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
