"""The verbs that look at a study: status and query. They answer from the store, at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from boxwise.cli.options import check_used
from boxwise.cli.settings import note_edits
from boxwise.cli.upkeep import check_files, note_files
from boxwise.errors import listed, plural, quoted

if TYPE_CHECKING:
    from boxwise.artifacts.facts import Round
    from boxwise.boxes import Boxes
    from boxwise.records import Query
    from boxwise.rounds.ending import End
    from boxwise.study import Study

app = typer.Typer()
StudyFolder = Annotated[Path, typer.Argument(metavar="STUDY", help="The study's folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON, for programs.")]
_TAKE_OUT = {
    **dict.fromkeys(("voc", "yolo"), "remove the label files of the images that you have not looked at"),
    "coco": "delete the entries in `images` and `annotations` of the images that you have not looked at",
    "cvat": "delete the `<image>` elements of the images that you have not looked at",
}


@app.command()
def status(study: StudyFolder, as_json: AsJson = False) -> None:
    """Show how far a study is, and what to do next.

    The next step, what is asked for, labour, and quality by round.
    """
    from boxwise.cli.console import rounds_table, say, say_json
    from boxwise.study import Study

    opened = Study.open(study)
    note_edits(opened)
    note_files(opened)
    state, outdated = _state(opened), opened.outdated()
    if as_json:
        state |= {"outdated": {"rounds": outdated.rounds, "images": outdated.images, "of_other_classes": outdated.before}}
        say_json(state | {"facts": {one.round: {phase.value: f.figures() for phase, f in one.steps.items()} for one in opened.rounds()}})
        return
    labeled, pool = state["labeled"], state["pool"]
    say(f"{study}: round {state['round']} of {state['rounds']}, next: {state['next']}.")
    say(
        f"{plural(pool, 'image')} in the pool, {labeled['images']} labelled "
        f"({plural(labeled['boxes'], 'box')}, {labeled['seconds']:,.0f} s), "
        f"{state['val']} val, {state['test']} test, {state['quarantined']} quarantined."
    )
    if state["spent"]["money"] is not None or state["spent"]["total"] is not None:
        say(_spent(state["spent"]))
    if waiting := state["waiting"]:
        say(f"Round {state['round']} waits for labels of {plural(len(waiting), 'image')}: {listed(waiting)}.")
    if back := state["sent_back"]:
        named = [f"{one['image_id']} (to {one['to']}{_for_all(one)}, since {one['since'][:16]})" for one in back]
        say(f"{plural(len(back), 'image', 'is')} sent back and unanswered: {listed(named)}.")
    rounds_table(opened.rounds(), opened.config.cost, outdated.sentences)
    if state["seconds_left"]:
        from boxwise.cli.console import span

        say(f"Computing left: about {span(state['seconds_left'])}, if the rounds to come take as long as those so far.")
    if state["ended"]:
        say(f"The study is done: {state['ended']}.")
    say(f"Next: {state['command']}")


@app.command()
def query(
    study: StudyFolder,
    out: Annotated[Path | None, typer.Option(help="Write FILE.txt (list), FILE.csv (utility, scores) or a folder to label in.")] = None,
    format: Annotated[
        str | None, typer.Option("--format", help="The boxes in the folder, to correct: voc, coco (unless given), yolo or cvat.")
    ] = None,
    before_class: Annotated[
        str | None, typer.Option(metavar="CLASS", help="Instead: the images labelled before the study had that class, to look at again.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show or write the images to label next, with what each was chosen by.

    The most valuable come first.
    """
    from boxwise.cli.console import note, say, say_json
    from boxwise.study import Study

    no_folder = out is None or (before_class is None and out.suffix in (".txt", ".csv"))
    check_used({"--format": format is not None and no_folder}, why="without a folder to label in. Give one: --out DIR.")
    format = format or "coco"
    opened = Study.open(study)
    note_edits(opened)
    remark = note if as_json else say  # beside JSON nothing else goes to stdout
    if before_class is not None:
        return _to_review(opened, before_class, out, format, as_json=as_json)
    asked = opened.ask()
    if out is None:
        note_files(opened)
    else:
        check_files(opened, needed=opened.records(asked.image_ids))
    if as_json:
        say_json(_questions(opened, asked))
    if not asked.items:
        if end := opened.end:
            remark(f"Nothing to label: the study is done: {end.why}. To go on: boxwise {to_go_on(opened, end)}.")
        else:
            remark(f"Nothing to label now; next: boxwise run {quoted(study)}")
    elif out is not None:
        _write_questions(opened, asked, out, format, remark)
    elif not as_json:
        _show_questions(asked)
    return None


def _write_questions(opened: Study, asked: Query, out: Path, format_name: str, remark: Callable[[str], None]) -> None:
    from boxwise.report.queries import write_query

    drawn = write_query(opened, asked, out, format_name=format_name)
    remark(f"{plural(len(asked.items), 'image')}: {out}")
    if out.is_dir():
        remark(f"Label them there with any tool, then: boxwise import {quoted(opened.folder)} {quoted(out)}")
    for sentence in _what_files_mean(opened, drawn, format_name):
        remark(sentence)


def _what_files_mean(opened: Study, drawn: Mapping[str, Boxes], format_name: str) -> Iterator[str]:
    """What an import will make of the images that were written with labels, and of the boxes that the model drew."""
    if drawn:
        yield (
            "On import, images exactly as they are now count as not looked at and wait. Where what you left as it was is right, or holds "
            f"no object: {_TAKE_OUT[format_name]}, and import with --untouched accept."
        )
    if drawn and opened.proposals():
        yield "An image that you changed is your answer to every box in it."
    elif any(map(len, drawn.values())):
        yield "The boxes are a hint of the model's: what you leave of them is charged as drawn, as is all you draw."


def _show_questions(asked: Query) -> None:
    """The images, each with what it was chosen by."""
    from boxwise.cli.console import table
    from boxwise.report.queries import asked_of

    terms = list(dict.fromkeys(name for item in asked.items for name in item.terms))
    ranked = ["utility"] if any(item.ranked for item in asked.items) else []
    rows = []
    for item in asked.items:
        values = [item.utility if item.ranked else None for _ in ranked] + [item.terms.get(name) for name in terms]
        rows.append([item.image_id, item.split.value, asked_of(item), *values])
    table(f"Round {asked.round}: {plural(len(rows), 'image')} to label", ("image", "for", "asked", *ranked, *terms), rows)


def _to_review(opened: Study, name: str, out: Path | None, format_name: str, *, as_json: bool) -> None:
    """The images whose labels are older than a class; with `out`, a folder with these labels, to add what is missing."""
    from boxwise.cli.console import note, say, say_json
    from boxwise.errors import ConfigError, unknown
    from boxwise.report.queries import write_labels

    if name not in opened.classes:
        raise ConfigError(unknown("class", name, opened.classes))
    images, remark = opened.to_review().get(name, []), note if as_json else say
    if as_json:
        say_json({"class": name, "images": images})
    if not images:
        remark(f"No image was labelled before there was a class {name}, or all have been looked at since.")
    if out is None and not as_json and images:
        say("\n".join(images))
    if out is None or not images:
        return
    check_files(opened, needed=opened.records(images))
    write_labels(opened, images, out, format_name=format_name)
    remark(f"{plural(len(images), 'image')} with their labels: {out}")
    remark(f"Add the {name}, then: boxwise import {quoted(opened.folder)} {quoted(out)}")
    remark(
        f"Images exactly as they are now count as not looked at and are not taken. Where you have seen that they have no {name}: "
        f"{_TAKE_OUT[format_name]}, and import with --untouched accept."
    )


def _state(opened: Study) -> dict[str, Any]:
    """What `status` says, by name."""
    from boxwise.records import Phase, Split

    number, phase = opened.position
    train, waiting = opened.labour(Split.TRAIN), list(opened.unanswered().image_ids)
    return {
        "study": str(opened.folder),
        "round": number,
        "rounds": opened.config.budget.rounds,
        "next": phase.value,
        "pool": opened.pool_size(),
        "labeled": {"images": train.images, "boxes": train.boxes, "seconds": train.seconds},
        "spent": _labour(opened),
        "val": opened.image_count(Split.VAL),
        "test": opened.image_count(Split.TEST),
        "quarantined": len(opened.quarantined()),
        "waiting": waiting,
        "sent_back": _sent_back(opened),
        "ended": (end := opened.end) and end.why,
        "seconds_left": None if phase is Phase.DONE else _seconds_left(opened.rounds(), number, opened.config.budget.rounds),
        "command": next_command(opened, bool(waiting)),
    }


def _sent_back(opened: Study) -> list[dict[str, Any]]:
    """What was sent back and not answered since. link_ended, imported: then it is for all at once."""
    from boxwise.web.keeping import Keeping

    gone, back = opened.team.gone(), opened.reviews.sent_back()
    imported = Keeping(opened).imported(back)
    return [
        {"image_id": i, "to": sent.to, "since": sent.at, "link_ended": sent.to in gone, "imported": i in imported}
        for i, sent in back.items()
    ]


def _for_all(back: Mapping[str, Any]) -> str:
    """Why what was sent back is not kept for whoever answered it, where it is not."""
    return ", whose link has ended" if back["link_ended"] else ", whose labels were imported" if back["imported"] else ""


def _labour(opened: Study) -> dict[str, Any]:
    """What labelling took on train and val, in seconds, money (None without a rate) and the budget's unit, and what it may take in all."""
    from boxwise.evaluation.cost import price
    from boxwise.records import Split

    seconds = sum(opened.seconds(split) for split in (Split.TRAIN, Split.VAL))
    cost, budget = opened.config.cost, opened.config.budget
    money = round(price(seconds, cost), 2) if cost.per_hour else None
    return {"seconds": seconds, "money": money, "unit": budget.unit, "amount": opened.spent(), "total": budget.total}


def _spent(labour: Mapping[str, Any]) -> str:
    from boxwise.evaluation.cost import in_digits

    money = "" if labour["money"] is None else f", which cost {labour['money']:,.2f}"
    of_total = f"; {in_digits(labour['amount'])} of budget.total {labour['total'] or 0:,} {labour['unit']} are spent"
    total = "" if labour["total"] is None else of_total
    return f"Labelling took {labour['seconds']:,.0f} s on train and val{money}{total}."


def _seconds_left(begun: Sequence[Round], number: int, rounds: int) -> float | None:
    """Machine time of the rounds to come, taken as that of the finished ones; None before any is finished."""
    from boxwise.records import Phase

    finished = [[s for s in (one.train.seconds, one.score.seconds) if s is not None] for one in begun]
    seconds = [sum(steps) for steps in finished if steps]
    trained = any(one.round == number and one.done(Phase.TRAIN) for one in begun)
    left = rounds - number + (not trained)
    return sum(seconds) / len(seconds) * left if seconds and left > 0 else None


def why_done(opened: Study) -> str:
    """Why a study that is done is over: by its settings and labels of now, or of when it ended."""
    return end.why if (end := opened.end) else str(opened.round(opened.position[0]).ended)


def to_go_on(opened: Study, end: End) -> str:
    """The command by which a study that is done goes on, by what has ended it."""
    typed = quoted(opened.folder)
    if not opened.pool_size():
        return f"add {typed} --images DIR, since no image is left to label"
    ways = {
        "budget.rounds": f"run {typed} --rounds N for more rounds",
        "budget.total": f"set {typed} budget.total=N to spend more",
        "stop.ap_shift": f"set {typed} stop.ap_shift=0 to go on without the stopping rule",
    }
    return ways.get(end.by or "", f"set {typed} KEY=VALUE, to be asked about more")


def next_command(opened: Study, waiting: bool) -> str:
    """What brings a study on; waiting: whether images wait for labels."""
    typed = quoted(opened.folder)
    if end := opened.end:
        return f"boxwise {to_go_on(opened, end)}, or boxwise export {typed} DIR for the labels"
    return f"boxwise label {typed}, or boxwise query {typed} and boxwise import {typed} LABELS" if waiting else f"boxwise run {typed}"


def _questions(opened: Study, asked: Query) -> dict[str, Any]:
    """What `query` says, by name."""
    from boxwise.report.queries import asked_of

    paths = {record.image_id: record.uri for record in opened.records(asked.image_ids)}
    images = [
        {
            "image": item.image_id,
            "path": paths[item.image_id],
            "for": item.split.value,
            "asked": asked_of(item),
            "boxes": item.box_ids,
            "utility": item.utility,
            "terms": item.terms,
        }
        for item in asked.items
    ]
    return {"round": asked.round, "images": images}
