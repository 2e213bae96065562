"""Open Images' CSV, to be read: one row a box, over the image's size, class codes named in a list beside it.

An image of the folder that no row speaks of is unlabelled: Open Images verifies image-level labels, not absence.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from boxwise.data.addresses import Images
from boxwise.data.formats.base import UPRIGHT, Coordinates, Dataset, Finding, FindingKind, Progress
from boxwise.data.formats.checking import assemble, unlabelled
from boxwise.data.formats.layout import (
    ImageIndex,
    bytes_of,
    existing,
    file_split,
    files_below,
    folder_split,
    image_folder,
    is_file,
    strictest,
)
from boxwise.data.formats.listing import Listed, check_images, not_read
from boxwise.data.formats.reading import Reading
from boxwise.data.formats.xml import number
from boxwise.errors import BoxwiseError
from boxwise.records import Split

_COLUMNS = ("ImageID", "LabelName", "XMin", "YMin", "XMax", "YMax")
_NAMES = "class-descriptions"
_LISTS = ("classes", "attributes")  # and what FiftyOne calls its lists of names


class OpenImages:
    """Open Images' boxes (Kuznetsova et al., IJCV 2020): `ImageID,...,LabelName,Confidence,XMin,XMax,YMin,YMax,...,IsGroupOf,...`.

    A box of a group is a crowd. Names come from *class-descriptions*.csv, or a classes.csv, where there is one. Tables
    without boxes are passed over. An image serves the strictest split that its folder, the table's folders or the table's name say.
    """

    name = "openimages"

    def read(
        self,
        labels: Path,
        images: Images | None = None,
        *,
        classes: tuple[str, ...] | None = None,
        missing_is_empty: bool = True,
        verify: bool = True,
        coordinates: Coordinates = UPRIGHT,
        progress: Progress | None = None,
    ) -> Dataset:
        """As `Reader.read`. Classes come from `classes`, else the names of the boxes, sorted. `missing_is_empty` says nothing here."""
        folder = existing(labels, "a CSV of Open Images or a folder with one")
        root = folder if folder.is_dir() else folder.parent
        beside = files_below(root, ".csv")
        lists = [path for path in beside if _is_names(path)]
        tables = [path for path in beside if path not in lists] if folder.is_dir() else [folder]
        other = [path for path in tables if folder.is_dir() and _has_no_boxes(path)]
        index = ImageIndex(images or image_folder((root / "images", root)))
        called = _names(lists)
        rows: dict[str, list[dict[str, str]]] = {}
        stated: dict[str, tuple[Path, Split | None]] = {}
        findings: list[Finding] = []
        for path in (path for path in tables if path not in other):
            split = file_split(path, root)
            for row in _rows(path, findings):
                image_id = _image_id(row["ImageID"], index, split)
                rows.setdefault(image_id, []).append(row)
                first, before = stated.get(image_id, (path, None))
                stated[image_id] = (path if strictest(before, split) != before else first, strictest(before, split))
        if not rows:
            raise BoxwiseError(findings[0].message if findings else f"{labels}: expected a CSV with {', '.join(_COLUMNS)}, found no row.")
        splits = {image_id: strictest(split, folder_split(image_id)) for image_id, (_, split) in stated.items() if split is not None}
        sources = {image_id: path for image_id, (path, _) in stated.items()}
        listed = [Listed(i, index.path(i), splits.get(i), source=sources.get(i)) for i in sorted({*index.paths, *rows})]
        checked = check_images(listed, verify=verify, coordinates=coordinates, progress=progress, index=index)
        readings = {image_id: _reading(stated[image_id][0], image_id, own, called) for image_id, own in rows.items()}
        findings += unlabelled(labels, checked.records, readings, expected="a row")
        names = classes or tuple(sorted({name for reading in readings.values() for name in reading.names}))
        read = list(dict.fromkeys(path for path, _ in stated.values()))
        return assemble(checked, readings, classes=names, findings=findings, notes=not_read(other, read))


def _has_no_boxes(path: Path) -> bool:
    """Whether it is a table of images, or of image and class, without any side of a box."""
    named = set(_head(path))
    return "ImageID" in named and not named & set(_COLUMNS[2:])


def _head(path: Path) -> list[str]:
    """The first row of a table, of which no more is read; [] where there is none."""
    if not is_file(path):
        return []
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            return next(csv.reader(file), [])
    except (csv.Error, OSError):
        return []


def _rows(path: Path, findings: list[Finding]) -> list[dict[str, str]]:
    try:
        table = csv.DictReader(io.StringIO(bytes_of(path).decode("utf-8-sig"), newline=""))
        missing = [name for name in _COLUMNS if name not in (table.fieldnames or ())]
        rows = [{key: value or "" for key, value in row.items() if key} for row in table]
    except (UnicodeDecodeError, csv.Error, BoxwiseError) as error:
        findings.append(Finding(FindingKind.BAD_LABEL_FILE, path, f"{path}: expected a CSV in UTF-8, found: {error}."))
        return []
    if missing:
        message = f"{path}: expected the columns {', '.join(_COLUMNS)}, found none called {', '.join(missing)}."
        findings.append(Finding(FindingKind.BAD_LABEL_FILE, path, message))
        return []
    return rows


def _image_id(stem: str, index: ImageIndex, split: Split | None) -> str:
    """split: the table's, by which one of several images of that name is chosen."""
    name = f"{stem}.jpg"
    return index.with_stem(stem) or index.below_with_stem(stem, split) or index.ending_in(name, split) or name


def _is_names(path: Path) -> bool:
    """Whether it is a list of class codes and names."""
    return _NAMES in path.name or (path.stem in _LISTS and len(head := _head(path)) > 1 and "ImageID" not in head)


def _names(lists: Iterable[Path]) -> dict[str, str]:
    """Class code → name."""
    texts = [bytes_of(path).decode("utf-8-sig", errors="replace") for path in lists]
    return {row[0]: row[1] for text in texts for row in csv.reader(io.StringIO(text)) if len(row) > 1}


def _reading(path: Path, image_id: str, rows: list[dict[str, str]], called: dict[str, str]) -> Reading:
    xyxy = np.array([[number(row[column]) for column in _COLUMNS[2:]] for row in rows], np.float64).reshape(-1, 4)
    names = [called.get(row["LabelName"], row["LabelName"]) for row in rows]
    return Reading(path, names, xyxy, {"crowd": [row.get("IsGroupOf") == "1" for row in rows]}, f"{image_id} ", relative=True)
