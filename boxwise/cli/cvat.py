"""The verbs of CVAT: push what the study asks for, pull what people drew."""

from __future__ import annotations

from typing import Annotated

import typer

from boxwise.cli.servers import StudyFolder, say_pulled, say_pushed
from boxwise.cli.upkeep import note_outdated
from boxwise.errors import quoted

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Label in CVAT: push the query, pull the answers.")
Url = Annotated[str, typer.Option(envvar="CVAT_URL", help="The server, such as http://localhost:8080.")]
Token = Annotated[str, typer.Option(envvar="CVAT_TOKEN", help="An access token of yours; better given by the environment.")]


@app.command()
def push(study: StudyFolder, url: Url, token: Token) -> None:
    """Send the open query as a task: images, classes, the model's boxes, in the study's order. Again changes nothing."""
    from boxwise.cvat.client import Client
    from boxwise.cvat.push import push as push_query
    from boxwise.study import Study

    opened = Study.open(study)
    with Client(url, token) as client:
        client.version()
        pushed = push_query(opened, client)
    then = f"Label them there, set each job's state to completed, then: boxwise cvat pull {quoted(study)}"
    say_pushed(pushed, study, sent="image", then=then)


@app.command()
def pull(study: StudyFolder, url: Url, token: Token) -> None:
    """Take in what is on the images of completed jobs. It is on the disk when this returns; again changes nothing."""
    from boxwise.cvat.client import Client
    from boxwise.cvat.pull import pull as pull_answers
    from boxwise.study import Study

    opened = Study.open(study)
    with Client(url, token) as client:
        client.version()
        pulled = pull_answers(opened, client)
    say_pulled(pulled, study, server="CVAT")
    note_outdated(opened)
