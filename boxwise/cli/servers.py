"""What the verbs of all labelling servers share: the study's folder as an argument, and what is said of a push and of a pull."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from boxwise.errors import plural, quoted

if TYPE_CHECKING:
    from boxwise.study.exchange import Pulled, Pushed

StudyFolder = Annotated[Path, typer.Argument(metavar="STUDY", help="The study's folder.")]


def say_pushed(pushed: Pushed, study: Path, *, sent: str, then: str) -> None:
    """sent: what a push sends, such as 'task'. then: how people label it, and the command that follows."""
    from boxwise.cli.console import note, say

    for message in pushed.findings:
        note(message)
    withdrawn = f", {pushed.withdrawn} withdrawn" if pushed.withdrawn else ""
    say(f"Round {pushed.round}: {plural(pushed.made, sent)} sent, {pushed.there} there already{withdrawn}: {pushed.url}")
    say(then if pushed.made or pushed.there else f"Nothing to label now; next: boxwise run {quoted(study)}")


def say_pulled(pulled: Pulled, study: Path, *, server: str) -> None:
    """server: its name."""
    from boxwise.cli.console import note, say

    for message in pulled.findings:
        note(message)
    if pulled.skipped:
        note(f"Skipped in {server}, so still waiting: {', '.join(pulled.skipped)}")
    if pulled.unfinished:
        note(f"In jobs that are not completed in {server}, so still waiting: {plural(pulled.unfinished, 'image')}.")
    if pulled.late:
        note(f"Came after another person's answer, so kept in the history and not counted: {', '.join(pulled.late)}")
    for message in pulled.sent_back:
        note(message)
    late = f"{len(pulled.late)} too late, " if pulled.late else ""
    say(f"{plural(pulled.taken, 'answer')} taken in, {pulled.known} known already, {late}{len(pulled.findings)} not taken.")
    say(f"{plural(pulled.waiting, 'image', 'still waits')} for labels." if pulled.waiting else f"Next: boxwise run {quoted(study)}")
