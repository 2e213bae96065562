"""A cleaned copy of a data set: what reading left out is gone, doubled boxes are single, and a list says what and why.

Returns the folder written. Knows nothing of what is merely suspect: a person decides that.
"""

from __future__ import annotations

import csv
from pathlib import Path

from boxwise.data.formats.base import Dataset
from boxwise.data.formats.detect import detect_format, unwrapped
from boxwise.data.formats.names import FORMATS
from boxwise.errors import BoxwiseError
from boxwise.files import replacing

FINDINGS = "findings.csv"


def check_target(source: Path, target: Path) -> None:
    """Raises BoxwiseError unless `target` is a new or empty folder outside of `source`."""
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise BoxwiseError(f"{target}: expected a new or an empty folder for the cleaned copy, found something there.")
    if target.resolve().is_relative_to(source.resolve()):
        raise BoxwiseError(f"{target}: expected a folder outside of {source}, which stays as it is.")


def write_cleaned(dataset: Dataset, source: Path, target: Path, *, format_name: str | None = None) -> Path:
    """Write images and labels in the source's format, or as COCO where that cannot be written, with the findings as a table beside them.

    Images and labels that have no finding are the same as before; unlabelled images stay, unlabelled. Raises BoxwiseError.
    """
    check_target(source, target)
    name = format_name or detect_format(unwrapped(source))
    FORMATS.get(name or "coco", FORMATS["coco"]).write(dataset, target, copy_images=True)
    with replacing(target / FINDINGS) as aside, aside.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(("kind", "image", "left out", "message"))
        table.writerows((f.kind.value, f.image_id or "", f.quarantined, f.message) for f in dataset.findings)
    return target
