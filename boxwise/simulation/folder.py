"""A simulation's folder: the config and the facts of the data that its cells are made with, and which folder is which cell.

Returns what lies there, or says in what it differs from what was given. Runs nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from boxwise.config import StudyConfig, differences, dump_config, load_config
from boxwise.data.splits import data_differences
from boxwise.errors import BoxwiseError, StudyError
from boxwise.files import replacing
from boxwise.registry import EACH_CELL
from boxwise.results.finished import FINISHED_FILE, read_finished
from boxwise.study import Study

ARMS_FILE, CONFIG_FILE, DATA_FILE = "arms.json", "config.yaml", "data.json"
_NAMED_BY_ARMS = {"scorer": "none", "strategy": "random"}  # each arm names its own; a pair that needs nothing


def holds_simulation(folder: Path) -> bool:
    """Whether cells lie there, or stand in a file."""
    return any((folder / name).is_file() for name in (ARMS_FILE, FINISHED_FILE))


def cells_there(folder: Path) -> dict[str, list[str]]:
    """Arm → names of its cells' folders, for all arms and seeds of the calls so far; empty where there is no simulation."""
    path = folder / ARMS_FILE
    found: dict[str, list[str]] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found


def begun_arms(folder: Path) -> list[str]:
    """The arms of the calls so far, those with cells that are finished elsewhere among them."""
    return list(dict.fromkeys([*cells_there(folder), *(found.cell.arm for found in read_finished(folder))]))


def without_arms(config: StudyConfig) -> StudyConfig:
    """`config` with a strategy and scorer that need nothing, where no arm has named others: of a first round."""
    return _named(config, _NAMED_BY_ARMS)


def as_begun(folder: Path, config: StudyConfig) -> StudyConfig:
    """`config` with the strategy and scorer that the folder's own names, if it has one.

    They decide nothing, since every arm names both; so a folder that was begun under another default goes on.
    """
    if not (folder / CONFIG_FILE).exists():
        return config
    there = load_config(folder / CONFIG_FILE)
    names = {key: getattr(there, key).name for key in _NAMED_BY_ARMS}
    return _named(config, names)


def _named(config: StudyConfig, names: Mapping[str, str]) -> StudyConfig:
    return config.model_copy(update={key: getattr(config, key).model_copy(update={"name": name}) for key, name in names.items()})


def check_same(folder: Path, config: StudyConfig, data: Mapping[str, Any]) -> None:
    """StudyError that names each difference of a config, or of a data set's facts, from those that the folder was begun with."""
    path = folder / CONFIG_FILE
    if path.exists() and (found := differences(load_config(path), config, but=EACH_CELL)):
        raise StudyError(
            f"{folder}: holds a simulation of another config (there != given); give its settings or another folder:\n  "
            + "\n  ".join(found)
        )
    if other := data_differences(data_there(folder), data):
        raise StudyError(f"{folder}: holds a simulation of another data set, so take another folder:\n  " + "\n  ".join(other))


def write_plan(folder: Path, config: StudyConfig, data: Mapping[str, Any], cells: Mapping[str, Sequence[str]]) -> None:
    """What the next call is held against, and arm → cells; arms and seeds of earlier calls stay."""
    there = cells_there(folder)
    listed = there | {arm: sorted({*there.get(arm, ()), *names}) for arm, names in cells.items()}
    files = {CONFIG_FILE: dump_config(config), DATA_FILE: json.dumps(data, indent=1), ARMS_FILE: json.dumps(listed, indent=1)}
    for name, text in files.items():
        with replacing(folder / name) as aside:
            aside.write_text(text, encoding="utf-8")


def data_there(folder: Path) -> dict[str, Any]:
    """The facts of the data that the cells of a folder were made with; without the file, those that the first cell's study can tell."""
    path = folder / DATA_FILE
    if path.exists():
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found
    for cell in sorted((folder / "cells").glob("*/config.yaml")):
        with suppress(BoxwiseError):
            store = Study.open(cell.parent).store
            found = {"images": len(store.images()) + len(store.quarantined()), "classes": store.get("classes")}
            store.close()
            return found
    return {}
