"""Finished cells of a simulation in one file: all that curves and tables are made of, without the studies' weights, labels and images.

`finished.jsonl.gz` lies beside the cells, a line each. A cell that stands in it need not be run again, though its study is on another
machine or gone, so that many machines or sittings can share one comparison: the files of several are put one behind the other. Cells of
two data sets or configs are refused. Knows nothing of how cells are run.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property, lru_cache
from itertools import combinations
from pathlib import Path
from typing import Any

from boxwise import __version__
from boxwise.artifacts.facts import Round
from boxwise.config import StudyConfig, differences, differing, leaves, parse_config
from boxwise.data.splits import data_differences
from boxwise.errors import BoxwiseError, ConfigError, StudyError
from boxwise.files import locked, replacing
from boxwise.jsonable import plain
from boxwise.records import QueryItem, Split
from boxwise.registry import arm_keys, role_of
from boxwise.results.facts import Cell

FINISHED_FILE = "finished.jsonl.gz"


@dataclass(frozen=True)
class Finished:
    """A finished cell, without labels and images, and the `data_facts` of the data set that it was run on.

    boxwise: the version that it was run with; None where that was not written down.
    """

    cell: Cell
    data: Mapping[str, Any]
    boxwise: str | None = None

    @property
    def name(self) -> str:
        return f"{self.cell.arm}, seed {self.cell.seed}"

    @cached_property
    def config(self) -> StudyConfig:
        """What it was run with; of files of weights the names alone."""
        return parse_config(_portable(self.cell.config), str(self.cell.folder))

    def check(self, config: StudyConfig, data: Mapping[str, Any], *, but: Iterable[str] = ()) -> None:
        """StudyError with what differs where the cell was run with another config or on another data set. Of weights only names count.

        but: keys of the config that are not compared.
        """
        given = parse_config(_portable(config.model_dump(mode="json")), self.cell.arm)
        if other := differences(self.config, given, but=but) + data_differences(self.data, data):
            where = self.cell.folder.parent.parent / FINISHED_FILE
            raise StudyError(f"{where}: {self.name}, was run otherwise, so take another folder:\n  " + "\n  ".join(other))


def check_alike(cells: Iterable[Finished], path: Path) -> None:
    """StudyError that names two cells and what differs, unless all have one data set and one config.

    Their seeds may differ, and what their arms decide; of files of weights the names count. path: of the file, for the message.
    """
    kinds: dict[str, tuple[Finished, dict[str, Any], frozenset[str]]] = {}
    for one in cells:
        kind = json.dumps([one.cell.arm, plain(one.data), plain(dict(one.cell.config) | {"seed": 0})], sort_keys=True)
        if kind not in kinds:
            kinds[kind] = (one, dict(leaves(one.config.model_dump(mode="json"))), arm_keys(one.cell.arm) | {"seed"})
    for (one, values, keys), (other, its_values, its_keys) in combinations(kinds.values(), 2):
        found = data_differences(one.data, other.data, words="{} != {}") + differing(values, its_values, but=keys | its_keys)
        if found:
            raise StudyError(
                f"{path}: expected cells of one data set and one config, apart from what their arms set, found two that differ; "
                f"keep them in two folders ({one.name} != {other.name}):\n  " + "\n  ".join(found)
            )


def keep(folder: Path, cell: Cell, data: Mapping[str, Any], *, version: str | None = __version__) -> None:
    """Add a finished cell to the file in `folder`, the simulation's; nothing where it stands in it.

    data: `data_facts` of its data set. version: of boxwise, that it was run with; None: not known.
    """
    path = folder / FINISHED_FILE
    with locked(folder / f".{FINISHED_FILE}.lock", wait=True):
        if any(found.cell.arm == cell.arm and found.cell.seed == cell.seed for found in read_finished(folder)):
            return
        rounds = [
            {
                "round": one.round,
                "steps": {phase.value: facts.figures() for phase, facts in one.steps.items()},
                "items": [_item(item) for item in one.items],
            }
            for one in cell.rounds
        ]
        line = {
            "arm": cell.arm,
            "seed": cell.seed,
            **({"boxwise": version} if version else {}),
            "data": data,
            "classes": cell.classes,
            "config": _portable(cell.config),
            "self_labels": cell.self_labels,
            "rounds": rounds,
        }
        before = path.read_bytes() if path.exists() else b""
        with replacing(path) as aside:
            aside.write_bytes(before + gzip.compress(json.dumps(plain(line)).encode() + b"\n", mtime=0))


def read_finished(folder: Path) -> list[Finished]:
    """The cells of the file in `folder`; of cells that stand in it twice the first, none without the file.

    Raises BoxwiseError for a file that is none of ours or damaged, and StudyError for one of two data sets or configs (`check_alike`).
    """
    path = folder / FINISHED_FILE
    try:
        now = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return []
    return list(_read_file(path, (now.st_ino, now.st_mtime_ns, now.st_size)))


@lru_cache(maxsize=8)
def _read_file(path: Path, _state: tuple[int, ...]) -> tuple[Finished, ...]:
    """As `read_finished`; of a file in a state that was read before, what was read then: a hundred cells take half a second."""
    folder = path.parent
    try:
        lines = [_read(json.loads(line), folder) for line in gzip.decompress(path.read_bytes()).splitlines()]
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError) as error:
        raise BoxwiseError(
            f"{path}: expected lines of finished cells as boxwise writes them, found a file that is damaged or none ({error}). "
            "Remove it: cells whose studies lie beside it are written down again, others have to be run again."
        ) from None
    except ConfigError as error:
        raise BoxwiseError(f"{path}: {error}") from None
    check_alike(lines, path)
    found: dict[tuple[str, int], Finished] = {}
    for one in lines:
        found.setdefault((one.cell.arm, one.cell.seed), one)
    return tuple(found.values())


def without_study(folder: Path) -> list[Cell]:
    """The cells of the file whose studies are not in `folder`."""
    return [found.cell for found in read_finished(folder) if not found.cell.folder.exists()]


def _read(line: Mapping[str, Any], folder: Path) -> Finished:
    rounds = tuple(Round.from_json(one["round"], one["steps"], tuple(map(_read_item, one["items"]))) for one in line["rounds"])
    arm, seed = str(line["arm"]), int(line["seed"])
    cell = Cell(
        arm=arm,
        seed=seed,
        folder=folder / "cells" / cell_name(arm, seed),
        config=line["config"],
        classes=tuple(line["classes"]),
        rounds=rounds,
        role=role_of(arm, parse_config(line["config"], arm)),
        self_labels=line["self_labels"],
    )
    return Finished(cell, line["data"], line.get("boxwise"))


def cell_name(arm: str, seed: int) -> str:
    """The folder of a cell's study below `cells/`."""
    return "".join(char if char.isalnum() or char in "-_." else "_" for char in arm) + f"_seed{seed}"


def _item(item: QueryItem) -> dict[str, Any]:
    """The fields that say something."""
    usual = QueryItem(item.image_id, item.utility)
    named = {each.name: getattr(item, each.name) for each in fields(item)}
    return {name: value for name, value in named.items() if name in ("image_id", "utility") or value != getattr(usual, name)}


def _read_item(found: Mapping[str, Any]) -> QueryItem:
    entry = dict(found)
    if "split" in entry:
        entry["split"] = Split(entry["split"])
    if isinstance(entry.get("box_ids"), Sequence):
        entry["box_ids"] = tuple(entry["box_ids"])
    return QueryItem(**entry)


def _portable(values: Mapping[str, Any]) -> dict[str, Any]:
    """A config in which files of weights have their names alone: another machine has them elsewhere."""
    return {key: _named(key, value) for key, value in values.items()}


def _named(key: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return _portable(value)
    return Path(value).name if key.endswith("weights") and isinstance(value, str) and value else value
