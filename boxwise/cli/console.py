"""What long work shows in a terminal: one bar with figures, or plain lines where there is no terminal.

Knows events and facts, nothing of how they come about.
"""

from __future__ import annotations

import codecs
import json
import os
import sys
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from boxwise.errors import ConfigError, plural

if TYPE_CHECKING:
    from boxwise.artifacts.facts import AnnotateFacts, AuditFacts, ComposeFacts, Round, SelectFacts, TrainFacts
    from boxwise.config import CostConfig
    from boxwise.records import Phase
    from boxwise.results.tables import ArmResult
    from boxwise.rounds import Event
    from boxwise.study import Study

console = Console(highlight=False)
_SECONDS_BETWEEN_LINES = 15.0
_SECONDS_OF_PACE = 120.0
_WORTH_A_WORD = 5_000  # images, to say how many of them were looked for


class Watch:
    """Shows events: a bar a running step on a terminal, a line now and then elsewhere. Use as a context manager."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"), TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}"), console=console, transient=True,
        )  # fmt: skip
        self._tasks: dict[str, TaskID] = {}
        self._last_line = monotonic()
        self._pace = Pace()

    def __enter__(self) -> Watch:
        if console.is_terminal:
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def event(self, event: Event, who: str = "") -> None:
        name = f"{who}round {event.round} {event.phase.value}"
        if event.message:
            say(f"{name}: {event.message}")
            return
        figures = " ".join(f"{key} {value:.4g}" for key, value in event.figures.items() if value is not None)
        if event.finished:
            if figures:
                say(f"{name} {figures}")
            return
        if console.is_terminal:
            self._bar(name, event, figures)
            return
        left = self._pace.left(event, who)
        if monotonic() - self._last_line > _SECONDS_BETWEEN_LINES:
            self._last_line = monotonic()
            say(f"{name} {event.step}/{event.steps} {figures}{left}")

    def _bar(self, name: str, event: Event, figures: str) -> None:
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=event.steps, figures="")
        self._progress.update(self._tasks[name], completed=event.step, total=event.steps, figures=figures)
        if event.step >= event.steps:
            self._progress.remove_task(self._tasks.pop(name))


class Pace:
    """How fast each running step goes, of each cell by itself, by its last two minutes: a machine's sleep is soon forgotten."""

    def __init__(self) -> None:
        self._marks: dict[tuple[str, int, str], deque[tuple[float, int]]] = {}  # whose step → when it had come how far

    def left(self, event: Event, who: str = "") -> str:
        """The time that the rest takes at the pace so far, as a clause; empty before there is a pace."""
        now, marks = monotonic(), self._marks.setdefault((who, event.round, event.phase.value), deque())
        if marks and event.step < marks[-1][1]:  # it began anew, or another part of it did
            marks.clear()
        marks.append((now, event.step))
        while len(marks) > 2 and now - marks[0][0] > _SECONDS_OF_PACE:
            marks.popleft()
        began, first = marks[0]
        if event.step <= first:
            return ""
        return f", {span((event.steps - event.step) * (now - began) / (event.step - first))} left"


class RunLog:
    """A study's run.log: what `run` says, and every quarter of a minute how far a step is and what is left. Use as a context manager.

    as_json: a JSON object a line, with round, step and figures by name, for programs that collect logs.
    """

    def __init__(self, path: Path, *, as_json: bool = False) -> None:
        self._path, self._as_json, self._last, self._pace = path, as_json, monotonic(), Pace()

    def __enter__(self) -> RunLog:
        self._file = self._path.open("a", encoding="utf-8")
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def event(self, event: Event) -> None:
        step = {"round": event.round, "step": event.phase.value}
        if event.message:
            self.line(f"round {event.round} {event.phase.value}: {event.message}", **step)
            return
        left = self._pace.left(event)
        if not event.finished and monotonic() - self._last > _SECONDS_BETWEEN_LINES:
            self._last = monotonic()
            given = {key: value for key, value in event.figures.items() if value is not None}
            figures = "".join(f" {key} {value:.4g}" for key, value in given.items())
            text = f"round {event.round} {event.phase.value} {event.step}/{event.steps}{figures}{left}"
            self.line(text, **step, done=event.step, of=event.steps, figures=given)

    def line(self, text: str, **facts: Any) -> None:
        """One line with the time, on the disk at once; in JSON with the facts."""
        at = datetime.now().astimezone().isoformat(timespec="seconds")
        as_json = json.dumps({"at": at, "message": text} | facts, ensure_ascii=False)
        self._file.write(f"{as_json}\n" if self._as_json else f"{at} {text}\n")
        self._file.flush()


def logs_json() -> bool:
    """Whether BOXWISE_LOG asks for JSON. ConfigError for anything else that it says."""
    asked = os.environ.get("BOXWISE_LOG", "")
    if asked not in ("", "json"):
        raise ConfigError(f"BOXWISE_LOG={asked!r}: expected json, for a run.log of JSON objects, or nothing, for one of plain lines.")
    return asked == "json"


def span(seconds: float) -> str:
    """A time span as people say it: '40 s', '12 min', '3 h 05 min'."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def say(text: str) -> None:
    """A result on stdout, as it is: paths stay whole for copying, and brackets in names are no markup."""
    console.print(text, markup=False, soft_wrap=True)


def reading(done: int, total: int) -> None:
    """Progress of reading a data set, image by image."""
    if done % 50 == 0 or done == total:
        _count("reading images", done, total)


def looking(done: int, total: int) -> None:
    """Progress of looking where images are, which takes no time worth a word where they are few."""
    if total >= _WORTH_A_WORD and (done % 500 == 0 or done == total):
        _count("looking at images", done, total)


def sending(done: int, total: int) -> None:
    """Progress of sending images to a server."""
    _count("sending images", done, total)


def detecting(done: int, total: int) -> None:
    """Progress of detecting objects, batch by batch."""
    _count("detecting: images", done, total)


def _count(what: str, done: int, total: int) -> None:
    """On one line of a terminal; nothing elsewhere."""
    if console.is_terminal:
        console.print(f"{what} {done}/{total}", end="\n" if done == total else "\r")


def step_line(study: Study, number: int, phase: Phase) -> str:
    """What is said of a finished step."""
    one = study.round(number)
    lines: dict[str, Callable[[], str]] = {
        "select": lambda: one.select.ended or _asked(one.select),
        "annotate": lambda: _labour(one.annotate) + _price(one.annotate, study.config.cost),
        "audit": lambda: "fidelity " + (", ".join(f"{k} {_figure(v)}" for k, v in one.audit.fidelity.items()) or _unknown(one.audit)),
        "compose": lambda: _composed(one.compose),
        "train": lambda: _trained(one.train),
        "evaluate": lambda: _qualities(one) or "no val or test images",
        "score": lambda: one.score.ended or f"{plural(one.score.pool, 'image')} looked at, {one.score.images_per_second:.1f} images/s",
    }  # fmt: skip
    return f"round {number} {phase.value}: {lines[phase.value]()}"


def _qualities(one: Round) -> str:
    from boxwise.evaluation.in_words import ap_in_words

    names = {"val": one.judged_on, "test": "test"}
    return "; ".join(f"{name} {ap_in_words(metrics)}" for split, name in names.items() if (metrics := one.metrics(split)))


def _trained(facts: TrainFacts) -> str:
    before = f"{plural(len(facts.folds), 'detector')} to judge by, then one on all labels: " if facts.folds else ""
    return f"{before}{plural(facts.steps, 'step')}, {facts.images_per_second:.1f} images/s"


def _asked(facts: SelectFacts) -> str:
    alone = f", {facts.self_labeled} more leave no question to a person" if facts.self_labeled else ""
    clipped = f"; budget.initial is {facts.wanted}, the pool has no more" if facts.wanted else ""
    clipped = "; budget.per_round would pay for more than the pool has" if facts.wanted and facts.requeued is not None else clipped
    return f"asked for {plural(facts.asked, 'image')} ({facts.strategy}){alone}{clipped}{_known_classes(facts)}"


def _labour(facts: AnnotateFacts) -> str:
    """What is labelled so far: by people, by the model."""
    by_model = f" by people, {facts.model_boxes} by the model" if facts.model_boxes else ""
    boxes = plural(facts.boxes, "box") + by_model
    return f"{plural(facts.images, 'image')}, {boxes} labelled, {facts.seconds:,.0f} s of labour"


def _price(facts: AnnotateFacts, cost: CostConfig) -> str:
    """What the labour cost, as a clause; empty where no rate is known."""
    from boxwise.evaluation.cost import price

    return f", {price(facts.seconds or 0, cost):,.2f} at {cost.per_hour:g} an hour" if cost.per_hour else ""


def _composed(facts: ComposeFacts) -> str:
    """What the policy made of it; counts of nothing are left out."""
    parts = [f"{facts.policy} trains on {plural(facts.trained, 'image')}"]
    parts += [f"{facts.self_images} of the pool by their self-labels"] if facts.self_images else []
    moved = {"joined": facts.joined, "requeued": facts.requeued, "released": facts.released}
    return ", ".join(parts + [f"{len(images)} {name}" for name, images in moved.items() if images])


def say_json(value: Any) -> None:
    """A result for programs, on stdout; where that is not UTF-8, other letters than ASCII's as JSON's own escapes."""
    unicode = codecs.lookup(sys.stdout.encoding or "utf-8").name == "utf-8"
    print(json.dumps(value, indent=2, ensure_ascii=not unicode, default=str))


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[Any]], *, numbers: bool = True) -> None:
    """A table; the columns after the first to the right, unless they hold no numbers."""
    grid = Table(title=title, title_justify="left")
    for name in head:
        grid.add_column(name, justify="right" if numbers and name != head[0] else "left", overflow="fold")
    for row in rows:
        grid.add_row(*[escape(value) if isinstance(value, str) else _figure(value) for value in row])
    (console if console.is_terminal else Console(width=160, highlight=False)).print(grid)


def rounds_table(rounds: Sequence[Round], cost: CostConfig | None = None, remarks: Sequence[str] = ()) -> None:
    """What each labelled round cost and reached; in money too where there is a rate; of the boxes also how many are the model's own.

    remarks: what is to be known of the figures, said below them.
    """
    from boxwise.evaluation.cost import price
    from boxwise.evaluation.in_words import few, with_interval
    from boxwise.records import Phase

    labelled = [one for one in rounds if one.done(Phase.ANNOTATE)]
    shared = any(one.annotate.model_boxes for one in labelled)
    paid = ["cost"] if cost is not None and cost.per_hour else []
    head = (
        "round",
        "images",
        "boxes",
        *(["by the model"] if shared else []),
        "seconds",
        *paid,
        "val images",
        "val AP",
        "val AP50",
        "test AP50",
    )
    rows = [
        (
            *(str(one.round), one.annotate.images, one.annotate.boxes),
            *([one.annotate.model_boxes] if shared else []),
            one.annotate.seconds,
            *([f"{price(one.annotate.seconds or 0, cost):,.2f}"] if cost is not None and paid else []),
            val.get("images"),
            *(with_interval(*each) for each in ((val, "ap"), (val, "ap50"), (test, "ap50"))),
        )
        for one in labelled
        for val, test in [(one.evaluate.val or {}, one.evaluate.test or {})]
    ]
    if rows:
        table("Rounds", head, rows)
    last = next((metrics for one in reversed(labelled) if (metrics := one.evaluate.val)), None)
    if last and last.get("intervals"):
        say(f"In brackets: 95% intervals over the images{few(last['images'])}.")
    for remark in remarks:
        say(remark)


def results_table(results: Sequence[ArmResult]) -> None:
    """The comparison of a simulation's arms, on test: the same figures as the report's."""
    from boxwise.results.set_aside import ended_early

    rows = []
    for result in results:
        time_saved = result.quantity("saving", "seconds")
        quantities = [*map(result.quantity, ("ap", "ap50", "area", "difference", "saving")), time_saved, result.quantity("test")]
        rows.append((result.label, str(result.seeds), *("\n".join(filter(None, (q.text, q.remark))) for q in quantities)))
    head = ("arm", "seeds", "AP", "AP50", "area", "area − baseline", "images saved", "time saved", "Wilcoxon")
    table("Results on test", head, rows)
    for text in ended_early(results):
        say(text)


def _unknown(facts: AuditFacts) -> str:
    return f"not known, as a file of the round before is lost: {facts.lost}" if facts.lost else "not known"


def _known_classes(facts: SelectFacts) -> str:
    """Which classes the detector's first weights know, where that was asked."""
    known = facts.known_classes
    if known is None:
        return ""
    return (
        f"; the detector knows {', '.join(known)} and suggests {plural(facts.proposed, 'box')}"
        if known
        else "; the detector knows no class yet"
    )


def _figure(value: Any) -> str:
    if value is None or value != value:  # NaN
        return "-"
    if isinstance(value, float) and 0 < abs(value) < 0.001:
        return f"{value:.2g}"
    return f"{value:.3f}" if isinstance(value, float) and abs(value) < 10 else f"{value:,.0f}"


def note(text: str) -> None:
    """A remark that is not the command's result: to stderr, so that results can be piped."""
    print(text, file=sys.stderr)
