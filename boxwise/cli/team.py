"""The verb of the team: people with roles come by links of their own."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlencode

import typer

from boxwise.cli.upkeep import Who
from boxwise.records import Role

if TYPE_CHECKING:
    from boxwise.study import Study

app = typer.Typer()


@app.command()
def team(
    study: Annotated[Path, typer.Argument(metavar="STUDY", help="The study's folder.")],
    add: Annotated[str | None, typer.Option(metavar="NAME", help="Make a link for this person; their earlier one ends.")] = None,
    role: Annotated[Role, typer.Option(help="What the person of --add may do.")] = Role.ANNOTATOR,
    days: Annotated[float, typer.Option(help="For how long the link opens the page.")] = 30.0,
    url: Annotated[str, typer.Option(help="Where the page is served, as the person reaches it.")] = "http://127.0.0.1:8123/",
    revoke: Annotated[str | None, typer.Option(metavar="NAME", help="End this person's link.")] = None,
    by: Who = None,
) -> None:
    """Show the team, make a signed link for a person, or revoke one. A link is shown once; whoever has it is that person."""
    from boxwise.cli.console import say
    from boxwise.study import Study
    from boxwise.study.upkeep import user

    opened, who = Study.open(study), by or user()
    if revoke is not None:
        opened.team.revoke(revoke, who=who)
        say(f"The link of {revoke} opens nothing any more. What they have labelled stays.")
    if add is not None:
        token = opened.team.invite(add, role, who=who, days=days)
        say(f"{add.strip()}, {role.value}, for {days:g} days:")
        typer.echo(f"{url.rstrip('/')}/?{urlencode({'person': token})}")
    if add is None and revoke is None:
        _show(opened)


def _show(opened: Study) -> None:
    from boxwise.cli.console import say, table

    members = opened.team.members().values()
    if not members:
        say(f"No one has a link of their own. Make one: boxwise team {opened.folder} --add NAME --role reviewer")
        return
    now = datetime.now(UTC)
    rows: list[tuple[str, str, str]] = []
    for member in members:
        until = datetime.fromtimestamp(member.until, UTC)
        rows.append((member.name, member.role.value, f"{until:%Y-%m-%d %H:%M} UTC" + ("" if until > now else ", expired")))
    table(f"{len(rows)} people", ("name", "role", "until"), rows, numbers=False)
