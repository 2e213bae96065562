"""The verb of a study's settings: set; and edits of config.yaml, which the verbs that advance a study take in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from boxwise.errors import quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from boxwise.rounds.settings import Change
    from boxwise.study import Study

app = typer.Typer()


@app.command("set")
def set_(
    study: Annotated[Path, typer.Argument(metavar="STUDY", help="The study's folder.")],
    settings: Annotated[list[str] | None, typer.Argument(metavar="[key=value]...", help="Such as train.lr=0.005; none: show all.")] = None,
) -> None:
    """Change or show the settings of a study.

    A change holds from the next step that goes by it; without one: what is in force, and what differs from the defaults.

    Editing config.yaml in the study's folder does the same. What cannot change any more is refused with the reason.
    """
    from boxwise.config import apply_overrides, parse_config
    from boxwise.study import Study

    opened = Study.open(study)
    if not settings:
        _show(opened)
        return
    values = (opened.edited() or opened.config).model_dump(mode="json")
    apply_overrides(values, settings)
    _say_changes(opened, opened.change(parse_config(values, "config")), "no setting changes by this: it is so already.")
    note_idle(opened, settings)


def take_edits(opened: Study) -> None:
    """Let an edit of config.yaml take effect, and say so; StudyError for one that cannot."""
    edited = opened.edited()
    if edited is not None:
        changed = opened.change(edited)
        _say_changes(opened, changed, "config.yaml was written anew; no setting changes.")
        note_idle(opened, [f"{change.key}={change.after}" for change in changed])


def note_edits(opened: Study) -> None:
    """Say that config.yaml was edited, where nothing has taken it in yet."""
    from boxwise.cli.console import note
    from boxwise.rounds.settings import changes

    edited = opened.edited()
    if edited is not None:
        keys = ", ".join(change.key for change in changes(opened.config, edited))
        note(f"config.yaml was edited ({keys}): it takes effect with the next `boxwise run {quoted(opened.folder)}`.")


def note_ahead(opened: Study) -> None:
    """What to know before the rounds to come, if there are any: that each trains several detectors, or that the device is not here."""
    from boxwise.cli.console import note
    from boxwise.records import Phase

    if opened.position[1] is Phase.DONE:
        return
    folds = opened.config.train.folds
    if folds:
        note(f"train.folds={folds}: every round trains {folds + 1} detectors, {folds} to judge by and one on all labels.")
    _note_device(opened)


def note_idle(opened: Study, settings: Sequence[str]) -> None:
    """Those of the settings, key=value, that nothing reads, and a device among them that is not on this machine."""
    from boxwise.cli.console import note
    from boxwise.records import Split
    from boxwise.registry import without_effect

    for idle in without_effect(opened.config, settings, val_images=opened.image_count(Split.VAL)):
        note(f"Note: {idle}")
    if any(setting.startswith("device=") for setting in settings):
        _note_device(opened)


def _note_device(opened: Study) -> None:
    """That the study's device is not on this machine; another may train it."""
    from boxwise.cli.console import note
    from boxwise.runtime import is_missing

    if is_missing(device := opened.config.device):
        note(f"Note: device={device} is not available on this machine, which will refuse to train with it; auto takes what there is.")


def _say_changes(opened: Study, changed: Sequence[Change], otherwise: str) -> None:
    from boxwise.cli.console import say
    from boxwise.rounds.settings import holds

    for change in changed:
        say(f"{change.key}: {change.before} → {change.after}, {holds(change.key, *opened.changes_from)}")
    if not changed:
        say(otherwise)


def _show(opened: Study) -> None:
    """Each setting on a line, with the default where it is another, then what was changed since the study was made."""
    from boxwise.cli.console import say
    from boxwise.config import StudyConfig, leaves
    from boxwise.records import Phase

    defaults = dict(leaves(StudyConfig().model_dump(mode="json")))
    for key, value in leaves(opened.config.model_dump(mode="json")):
        differs = key not in defaults or defaults[key] != value
        say(f"{key}={_written(value)}" + (f"    # default: {_written(defaults.get(key))}" if differs else ""))
    for entry in opened.changed_settings():
        done = entry["step"] == Phase.DONE.value
        when = f"when done, after round {entry['round']}" if done else f"before {entry['step']} of round {entry['round']}"
        for key, before, after in entry["changes"]:
            say(f"# {when}: {key} {_written(before)} → {_written(after)}")
    note_edits(opened)


def _written(value: object) -> str:
    """A value as it is written in an override."""
    import yaml

    return yaml.safe_dump(value, default_flow_style=True, width=1000).removesuffix("\n...\n").strip()
