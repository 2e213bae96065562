"""The verb that changes what a study looks for: classes are added, renamed, merged, removed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from boxwise.cli.upkeep import Who
from boxwise.errors import plural, quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from boxwise.study import Study
    from boxwise.study.classes import ChangedClasses

app = typer.Typer()


@app.command()
def classes(
    study: Annotated[Path, typer.Argument(metavar="STUDY", help="The study's folder.")],
    add: Annotated[list[str] | None, typer.Option(metavar="A,B", help="New classes, comma separated.")] = None,
    rename: Annotated[list[str] | None, typer.Option(metavar="OLD=NEW", help="Another name for a class.")] = None,
    merge: Annotated[list[str] | None, typer.Option(metavar="A,B=C", help="Make one class of several.")] = None,
    remove: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Look for it no more; its boxes become history.")] = None,
    by: Who = None,
) -> None:
    """Show the study's classes, or change them. Labels follow, and the next training keeps what the detector knows of those that stay."""
    from boxwise.annotation.class_change import class_change
    from boxwise.cli.console import say
    from boxwise.cli.wizard import class_names
    from boxwise.data.formats.class_names import names_text
    from boxwise.study import Study

    opened = Study.open(study)
    if not (add or rename or merge or remove):
        return _show(opened)
    change = class_change(
        opened.classes,
        add=[name for text in add or () for name in class_names(text)],
        rename=dict(_pair("--rename", text) for text in rename or ()),
        merge={old: new for text in merge or () for olds, new in (_pair("--merge", text),) for old in _class_names(olds, opened.classes)},
        remove=remove or (),
    )
    changed = opened.change_classes(change, who=by)
    say(f"{names_text(change.before)} became {names_text(change.after)}.")
    _say_changed(opened, changed)
    _say_to_review(opened)
    return None


def _pair(option: str, text: str) -> tuple[str, str]:
    from boxwise.errors import ConfigError

    old, equals, new = text.partition("=")
    if not (old and equals and new):
        raise ConfigError(f"{option} {text!r}: expected {'A,B=C' if option == '--merge' else 'OLD=NEW'}.")
    return old, new


def _class_names(text: str, classes: Sequence[str]) -> list[str]:
    """The classes of a text in which commas stand between them; a name of the study's may hold one itself."""
    if text in classes or "," not in text:
        return [text]
    whole = [name for name in classes if text.startswith(f"{name},")]
    first = max(whole, key=len, default=text.partition(",")[0])
    return [first, *_class_names(text[len(first) + 1 :], classes)]


def _show(opened: Study) -> None:
    """Each class with the boxes that it has among the labels."""
    from boxwise.cli.console import table
    from boxwise.records import Split

    labels = [int(label) for split in Split for a in opened.annotations(split).values() for label in a.boxes.labels]
    rows = [(name, labels.count(label)) for label, name in enumerate(opened.classes)]
    table(plural(len(rows), "class"), ("class", "boxes"), rows)
    _say_to_review(opened)


def _say_changed(opened: Study, changed: ChangedClasses) -> None:
    from boxwise.cli.console import note, say

    if changed.images:
        before = f"`boxwise history {quoted(opened.folder)} IMAGE`"
        say(f"The labels of {plural(changed.images, 'image')} follow; as they were, they are in {before}.")
    for name, count in changed.removed.items():
        note(f"{plural(count, 'box', 'is')} no longer counted: {name} is removed.")
    for who, images in changed.unfinished.items():
        note(f"{who} had begun {', '.join(images)} and not handed it in: that question is withdrawn, and what was drawn for it is gone.")
    if changed.back_to is not None:
        say(f"Round {changed.back_to[0]} is done again from its {changed.back_to[1].value} step. Next: boxwise run {quoted(opened.folder)}")
    for remark in opened.outdated().sentences:
        note(remark)


def _say_to_review(opened: Study) -> None:
    from boxwise.cli.console import note

    for name, images in opened.to_review().items():
        typed = quoted(opened.folder)
        note(
            f"{plural(len(images), 'image', 'was')} labelled before there was a class {name}, so no {name} is labelled there yet: "
            f"boxwise query {typed} --before-class {quoted(name)} --out DIR, then boxwise import {typed} DIR"
        )
