"""How the training of a round's reconstruction model went, as CSV: step, reconstruction, kl."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path

from boxwise.files import write_csv

_COLUMNS = ("step", "reconstruction", "kl")


def write_vae_history(path: Path, history: Iterable[Mapping[str, float]]) -> None:
    """One row an entry."""
    write_csv(path, _COLUMNS, history)


def read_vae_history(path: Path) -> list[dict[str, float]]:
    """What `write_vae_history` wrote."""
    with path.open(encoding="utf-8", newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
