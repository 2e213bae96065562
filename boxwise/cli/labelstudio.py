"""The verbs of Label Studio: push what the study asks for, pull what people answered."""

from __future__ import annotations

from typing import Annotated

import typer

from boxwise.cli.servers import StudyFolder, say_pulled, say_pushed
from boxwise.cli.upkeep import note_outdated
from boxwise.errors import quoted

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Label in Label Studio: push the query, pull the answers.")
Url = Annotated[str, typer.Option(envvar="LABEL_STUDIO_URL", help="The server, such as http://localhost:8080.")]
Token = Annotated[str, typer.Option(envvar="LABEL_STUDIO_API_KEY", help="An access token of yours; better given by the environment.")]


@app.command()
def push(study: StudyFolder, url: Url, token: Token) -> None:
    """Send the open query: images, classes, the model's boxes, in the study's order. Again changes nothing."""
    from boxwise.cli.console import sending
    from boxwise.labelstudio.client import Client
    from boxwise.labelstudio.sync import push as push_query
    from boxwise.study import Study

    opened = Study.open(study)
    with Client(url, token) as client:
        client.version()
        pushed = push_query(opened, client, progress=sending)
    say_pushed(pushed, study, sent="task", then=f"Label them there, then: boxwise labelstudio pull {quoted(study)}")


@app.command()
def pull(study: StudyFolder, url: Url, token: Token) -> None:
    """Take in what people submitted. It is on the disk when this returns; again changes nothing."""
    from boxwise.labelstudio.client import Client
    from boxwise.labelstudio.sync import pull as pull_answers
    from boxwise.study import Study

    opened = Study.open(study)
    with Client(url, token) as client:
        client.version()
        pulled = pull_answers(opened, client)
    say_pulled(pulled, study, server="Label Studio")
    note_outdated(opened)


@app.command()
def serve(
    study: StudyFolder,
    host: Annotated[str, typer.Option(help="Address to listen on; beyond this machine a password is asked for.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")] = 9090,
    password: Annotated[str | None, typer.Option(envvar="BOXWISE_PASSWORD", help="Made at random where one is needed.")] = None,
) -> None:
    """Be a machine-learning backend of Label Studio: boxes and order for its tasks, its annotations as labels. Ctrl-C ends it."""
    from contextlib import suppress

    from boxwise.cli.console import say
    from boxwise.cli.labelling import stopping_cleanly
    from boxwise.labelstudio.backend import create_backend
    from boxwise.study import Study
    from boxwise.web.security import OwnSite
    from boxwise.web.server import Server, listen

    opened = Study.open(study)
    address = listen(host, port, token=password)
    backend = create_backend(opened, password=address.token)
    if not address.token:
        backend.add_middleware(OwnSite, hosts=address.hosts)
    with suppress(KeyboardInterrupt), stopping_cleanly() as stop, Server(backend, address) as server:
        say(f"In Label Studio: Settings, Model, Connect Model: http://{host}:{address.port}   (Ctrl-C ends it)")
        if address.token:
            say(f"With basic authentication: any user name, password {address.token}")
        server.wait(stop)
    say("Stopped. Every annotation that came in is stored.")
