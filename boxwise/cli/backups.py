"""The verbs that keep a study safe: backup and restore."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from boxwise.errors import plural, quoted

app = typer.Typer()


@app.command()
def backup(
    study: Annotated[Path, typer.Argument(metavar="STUDY", help="The study's folder.")],
    out: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write: .tar, or .tar.gz.")],
) -> None:
    """Write a study to one file; it may be at work meanwhile.

    The file has settings, labels with their history and the files of the rounds, not the images.
    """
    from boxwise.cli.console import say
    from boxwise.study.backup import backup as write
    from boxwise.study.config_file import written

    files = write(study, out)
    in_postgres = (written(study).store or "").startswith("postgresql")
    into = " --store URL, of an empty database (createdb NAME)" if in_postgres else ""
    say(
        f"{out}: {plural(files, 'file')}, {out.stat().st_size / 2**20:.1f} MiB. Images are not in it. "
        f"To get it back: boxwise restore {quoted(out)} NEW_FOLDER{into}"
    )


@app.command()
def restore(
    archive: Annotated[Path, typer.Argument(metavar="FILE", help="What `boxwise backup` wrote.")],
    study: Annotated[Path, typer.Argument(metavar="STUDY", help="The new study's folder.")],
    store: Annotated[str | None, typer.Option(help="URL of an empty PostgreSQL database, where the study had one.")] = None,
) -> None:
    """Make a study of a backup again. It goes on where it was; nothing that is there is written over."""
    from boxwise.cli.console import say
    from boxwise.cli.upkeep import note_files
    from boxwise.study.backup import restore as read

    opened = read(archive, study, store=store)
    number, phase = opened.position
    note_files(opened)
    say(f"{study}: {plural(opened.image_count(), 'image')}, next: {phase.value} of round {number}. Go on: boxwise run {quoted(study)}")
