"""The `boxwise` command: one verb a function, which parses, calls and prints.

Nothing heavy is imported before a verb runs, so that `--help` is instant. A user's mistake is one message and exit code 2.
"""

from __future__ import annotations

import sys
from errno import ENOSPC
from io import TextIOWrapper

import typer

from boxwise.cli.backups import app as backup_verbs
from boxwise.cli.benchmarks import app as benchmark_verbs
from boxwise.cli.classes import app as class_verbs
from boxwise.cli.cvat import app as cvat_verbs
from boxwise.cli.data import app as data_verbs
from boxwise.cli.keys import Command
from boxwise.cli.labelling import app as labelling_verbs
from boxwise.cli.labelstudio import app as labelstudio_verbs
from boxwise.cli.looking import app as looking_verbs
from boxwise.cli.methods import app as method_verbs
from boxwise.cli.models import app as model_verbs
from boxwise.cli.settings import app as setting_verbs
from boxwise.cli.simulations import app as simulation_verbs
from boxwise.cli.steps import app as step_verbs
from boxwise.cli.studies import app as study_verbs
from boxwise.cli.team import app as team_verbs
from boxwise.cli.upkeep import app as upkeep_verbs
from boxwise.runtime import prepare_environment

_STORE_FAULTS = ("OperationalError", "InterfaceError", "DatabaseError", "ProgrammingError")
_INTERRUPTED = 130  # what typer makes of Ctrl-C

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help starts twice as fast
    help="Active learning for object detection: label the images that pay, and see how much labour that saved.",
)
for verbs in (
    study_verbs,
    step_verbs,
    labelling_verbs,
    looking_verbs,
    setting_verbs,
    upkeep_verbs,
    class_verbs,
    team_verbs,
    backup_verbs,
    data_verbs,
    model_verbs,
    method_verbs,
    simulation_verbs,
    benchmark_verbs,
):
    app.registered_commands.extend(verbs.registered_commands)
for command in app.registered_commands:
    command.cls = Command
app.add_typer(labelstudio_verbs, name="labelstudio")
app.add_typer(cvat_verbs, name="cvat")


@app.callback(invoke_without_command=True)
def version(
    show: bool = typer.Option(False, "--version", help="Print the version and leave."),
) -> None:
    if show:
        from boxwise import __version__

        typer.echo(__version__)
        raise typer.Exit


def main() -> None:
    """Entry point: runs the command, turns a user's mistake into one message on stderr and exit code 2."""
    try:
        prepare_environment()
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper):  # a name that the terminal's encoding has no letters for is no reason to fail
                stream.reconfigure(errors="backslashreplace")
        app()
    except (KeyboardInterrupt, SystemExit) as ended:  # the former before typer hears it
        code = _INTERRUPTED if isinstance(ended, KeyboardInterrupt) else ended.code
        if code == _INTERRUPTED:
            typer.echo("Stopped. Nothing is lost: run the same command again to go on.", err=True)
        sys.exit(code)
    except Exception as error:
        message = _explained(error)
        if message is None:
            raise
        typer.echo(f"Error: {message}", err=True)
        sys.exit(2)


def _explained(error: Exception) -> str | None:
    """One message for what a user or their machine did; None for what is our own fault."""
    from boxwise.errors import NO_SPACE, BoxwiseError

    if isinstance(error, BoxwiseError):
        return str(error)
    if isinstance(error, OSError) and error.errno == ENOSPC:
        return f"{error.filename or 'the disk'}: {NO_SPACE}"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}."
    if isinstance(error, UnicodeEncodeError) and error.reason == "surrogates not allowed":
        return f"{error.object!r}: expected a name that is text in UTF-8, found bytes that are none. Rename it."
    of_the_store = type(error).__module__.startswith("sqlalchemy") and type(error).__name__ in _STORE_FAULTS
    if of_the_store or isinstance(error, ConnectionError):
        from boxwise.store import fault_of

        return f"the study's store: {fault_of(error)}"
    if type(error).__name__ == "OutOfMemoryError":
        return "the GPU is out of memory. Lower train.batch, score_batch or detector.imgsz."
    return None
