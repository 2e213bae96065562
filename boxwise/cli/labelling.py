"""The verb of labelling in the browser: label; and `run --label`, which trains between the batches.

The page is served by this process, which never imports torch; the steps run in processes of their own (training_process.py).
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from threading import Event
from time import sleep
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from boxwise.cli.looking import to_go_on
from boxwise.cli.training_process import advance
from boxwise.errors import plural, quoted

if TYPE_CHECKING:
    from boxwise.records import Phase
    from boxwise.study import Study

app = typer.Typer()
Result = TypeVar("Result")
Host = Annotated[str, typer.Option(help="Address to serve the page on; beyond this machine it asks for the token in the link.")]
Port = Annotated[int | None, typer.Option(min=0, max=65535, help="0: any free one.", show_default="8123, or the next free one")]
Browser = Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")]
Urls = Annotated[
    list[str] | None,
    typer.Option(
        "--url",
        envvar="BOXWISE_URL",
        metavar="URL",
        help="Address under which people open the page, where it has another name or a proxy before it; may be given several times. "
        "Links have the first.",
    ),
]
Token = Annotated[str | None, typer.Option(help="What the link must hold; made at random where one is needed.")]

LOOPBACK = "127.0.0.1"
_POLL_SECONDS = 1.0
_SECONDS_TO_READ = 5.0  # the page shows that the study is done before its server ends


@app.command()
def label(
    study: Annotated[Path, typer.Argument(metavar="STUDY", help="The study's folder.")],
    host: Host = LOOPBACK,
    port: Port = None,
    browser: Browser = True,
    token: Token = None,
    url: Urls = None,
) -> None:
    """Label in the browser what the study asks for. Ctrl-C ends it; every answer is stored as it is given."""
    from boxwise.cli.console import say
    from boxwise.study import Study

    opened = Study.open(study)
    page = serving(opened, host=host, port=port, browser=browser, token=token, urls=url or ())
    with suppress(KeyboardInterrupt), stopping_cleanly() as stop, page as wait:
        _reached(partial(_say_where_it_stands, opened), stop)
        wait(stop, _watch(opened))
    say(f"Stopped. Every answer is stored; go on with `boxwise label {quoted(study)}`, or train with `boxwise run {quoted(study)}`.")


def label_and_train(opened: Study, *, host: str, port: int | None, browser: bool, token: str | None, urls: Sequence[str] = ()) -> None:
    """Round after round: ask, wait until the batch is labelled in the browser, train in another process; until the study is done."""
    from boxwise.cli.console import say
    from boxwise.records import Phase
    from boxwise.web.progress import clear_trouble

    clear_trouble(opened.folder)
    with stopping_cleanly() as stop, serving(opened, host=host, port=port, browser=browser, token=token, urls=urls, trains=True):
        while True:
            position = _reached(lambda: opened.position, stop)
            if position[1] is Phase.ANNOTATE and (waiting := _reached(opened.unanswered, stop).items):
                say(f"Round {position[0]} waits for labels of {plural(len(waiting), 'image')}.")
                _wait(partial(_waits_for_labels, opened, position), stop)
            elif (fault := advance(opened.folder)) is not None:
                _report(opened, fault, stop)
            elif _reached(lambda: opened.position, stop)[1] is Phase.DONE:
                break
        say(f"The page ends in {_SECONDS_TO_READ:.0f} s.")
        sleep(_SECONDS_TO_READ)


@contextmanager
def serving(
    opened: Study, *, host: str, port: int | None, browser: bool, token: str | None, urls: Sequence[str] = (), trains: bool = False
) -> Iterator[Callable[[Event, Callable[[], None]], None]]:
    """Serve the study's page while the block runs and say where; gives `Server.wait`. trains: see `create_app`."""
    import webbrowser

    from boxwise.cli.console import note, say
    from boxwise.web.app import create_app
    from boxwise.web.assistant import check_assist
    from boxwise.web.queue import LabelQueue
    from boxwise.web.server import Server, listen

    check_assist(opened.config.labelling)
    opened.check_writable()
    address = listen(host, port, token=token, urls=urls)
    queue = LabelQueue(opened, opened.labelling)
    page = create_app(queue, hosts=address.hosts, token=address.token, origins=address.urls, trains=trains)
    with Server(page, address) as server:
        if not address.loopback and not address.link.startswith("https:"):
            note(f"Served on {host}: whoever has the link can label, and nothing on the way is encrypted. Use it in networks you trust.")
        say(f"Label here: {address.link}   (Ctrl-C ends it)")
        if browser:
            webbrowser.open(address.link)
        yield server.wait


@contextmanager
def stopping_cleanly() -> Iterator[Event]:
    """Within the block SIGTERM and a closed terminal end the work as Ctrl-C does; nohup is respected.

    SIGINT is set too: a shell's background job starts with it ignored, and so would the training that it starts. Gives what a long wait is
    to look at: an exception alone can get lost, since Python only prints those that come up in the callback of a weak reference.
    """
    stop = Event()

    def ask_to_stop(*_: object) -> None:
        stop.set()
        raise KeyboardInterrupt

    names = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP
    before = {number: signal.getsignal(number) for name in names if (number := getattr(signal, name, None)) is not None}
    for number, handler in before.items():
        if number.name != "SIGHUP" or handler is not signal.SIG_IGN:
            signal.signal(number, ask_to_stop)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _report(opened: Study, fault: str, stop: Event) -> None:
    """Say what went wrong, here and on the page, and wait until the study has moved on."""
    from boxwise.cli.console import note
    from boxwise.web.progress import write_trouble

    position = _reached(lambda: opened.position, stop)
    note(
        f"Round {position[0]} stopped at {position[1].value}: {fault}\n"
        f"Labels are safe and the page stays. Go on with `boxwise run {quoted(opened.folder)}` in another terminal, "
        "or end this and start it again."
    )
    write_trouble(opened.folder, fault)
    _wait(lambda: opened.position == position, stop)


def _waits_for_labels(opened: Study, position: tuple[int, Phase]) -> bool:
    return opened.position == position and bool(opened.unanswered().items)


def _wait(still: Callable[[], bool], stop: Event) -> None:
    while _reached(still, stop):
        _pause(stop)


def _reached(ask: Callable[[], Result], stop: Event) -> Result:
    """What the study answers; while its database cannot be used it is asked again and again, which is said once."""
    from boxwise.cli.console import note
    from boxwise.errors import UnreachableError

    warned = False
    while True:
        try:
            return ask()
        except UnreachableError as error:
            if not warned:
                note(f"{error}\nThe page stays, and this goes on by itself once the database can be used.")
            warned = True
        _pause(stop)


def _pause(stop: Event) -> None:
    if stop.wait(_POLL_SECONDS):
        raise KeyboardInterrupt


def _watch(opened: Study) -> Callable[[], None]:
    """What to call now and then: says where the study stands as soon as a batch is answered, since nothing goes on by itself then."""
    from boxwise.errors import UnreachableError
    from boxwise.records import Phase

    waits = False

    def look() -> None:
        nonlocal waits
        with suppress(UnreachableError):
            number, phase = opened.position
            if phase is Phase.ANNOTATE:
                waited, waits = waits, opened.waiting_count(number) > 0
                if waited and not waits:
                    _say_where_it_stands(opened)

    return look


def _say_where_it_stands(opened: Study) -> None:
    """What there is to label; selects first if it is time to, which takes no training."""
    from boxwise.cli.console import say
    from boxwise.errors import StudyError
    from boxwise.records import Phase

    folder = opened.folder
    with suppress(StudyError):  # another process is at it; the page shows what it selects
        opened.ask()
    number, phase = opened.position
    waiting = opened.unanswered().items if phase is Phase.ANNOTATE else ()
    if waiting:
        say(f"Round {number} waits for labels of {plural(len(waiting), 'image')}.")
    elif end := opened.end:
        say(f"The study is done: {end.why}. To go on: boxwise {to_go_on(opened, end)}.")
    else:
        answered = {Phase.DONE: "the study can go on", Phase.ANNOTATE: f"all of round {number} is answered"}
        following = answered.get(phase, f"next comes {phase.value} of round {number}")
        say(f"Nothing waits for labels: {following}. Run it in another terminal: boxwise run {quoted(folder)}")
