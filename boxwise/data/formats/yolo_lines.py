"""One label file of YOLO: a line an object, `class cx cy width height` and more, each over the image's size.

Returns the numbers of each line, or why there are none. Knows nothing of class names and images.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from boxwise.data.formats.base import Finding, FindingKind
from boxwise.data.formats.layout import bytes_of, strict_float
from boxwise.data.formats.reading import Reading
from boxwise.data.formats.shapes import Corners, around_points
from boxwise.errors import BoxwiseError, plural

MOST_CLASSES = 100_000


@dataclass(frozen=True)
class Parsed:
    """The objects of one file. extents: x1, y1, x2, y2 over the image's size. sixth: a sixth word of the line, where there is one.

    lengths: how many numbers the lines have that are read as polygons.
    """

    path: Path
    classes: list[int] = field(default_factory=list)
    extents: list[Corners] = field(default_factory=list)
    sixth: list[str | None] = field(default_factory=list)
    shapes: Counter[str] = field(default_factory=Counter)
    lengths: set[int] = field(default_factory=set)
    fault: str | None = None

    def reading(self, names: tuple[str, ...], *, scored: bool) -> Reading:
        """With the classes' names, a number without one by itself; with scores if the sixth words are some and no line lacks one."""
        named = [names[label] if 0 <= label < len(names) else str(label) for label in self.classes]
        scores = [float(word) for word in self.sixth if word is not None] if scored else []
        columns = {"scores": scores} if scores and len(scores) == len(named) else {}
        xyxy = np.array(self.extents, np.float64).reshape(-1, 4)
        return Reading(self.path, named, xyxy, columns, relative=True, shapes=self.shapes)


def parse(path: Path, *, keypoints: int = 0) -> Parsed:
    """The objects of the file at `path`. keypoints: how many numbers of key points a line of a pose file ends with."""
    try:
        lines = bytes_of(path).decode("utf-8-sig").splitlines()
    except (UnicodeDecodeError, BoxwiseError) as error:
        text = str(error) if isinstance(error, BoxwiseError) else f"{path}: expected UTF-8 text, found: {error}."
        return Parsed(path, fault=text)
    parsed = Parsed(path)
    for row, line in enumerate(lines, start=1):
        if line.strip():
            try:
                _add(parsed, line.split(), keypoints)
            except (ValueError, OverflowError) as error:
                expected = "class cx cy width height" + (f" and {keypoints} numbers of key points" if keypoints else "")
                return Parsed(path, fault=f"{path}: line {row} is {line.strip()[:60]!r}. Expected '{expected}'.{_hint(error)}")
    return parsed


def holds_boxes(path: Path) -> bool:
    """Whether the file can be read as labels, and holds one."""
    parsed = parse(path)
    return parsed.fault is None and bool(parsed.classes)


class _MaybePoseError(ValueError):
    """As many numbers as a line of a pose file may have."""


def _hint(error: Exception) -> str:
    return " Is it a pose file? Then say kpt_shape in data.yaml." if isinstance(error, _MaybePoseError) else ""


def _add(parsed: Parsed, words: list[str], keypoints: int) -> None:
    numbers = [strict_float(word) for word in words]
    label, rest = int(numbers[0]), numbers[1:]
    if label != numbers[0]:
        raise ValueError(f"class {numbers[0]}")
    if len(rest) in (4, 5, 4 + keypoints):
        cx, cy, width, height = rest[:4]
        extent: Corners = (cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2)
    elif not keypoints and len(rest) >= 6 and len(rest) % 2 == 0:
        extent = around_points(zip(rest[::2], rest[1::2], strict=True))
        parsed.shapes["polygon"] += 1
        parsed.lengths.add(len(numbers))
    else:
        raise _MaybePoseError if len(rest) > 6 and len(rest) % 3 == 1 and not keypoints else ValueError
    parsed.classes.append(label)
    parsed.extents.append(extent)
    parsed.sixth.append(words[5] if len(rest) == 5 else None)


def holds_scores(files: Iterable[Parsed]) -> bool:
    """Whether the sixth words are scores: all within 0 and 1, and not all of them whole numbers, as the ids of tracks are."""
    words = {word for file in files for word in file.sixth if word is not None}
    return bool(words) and all(0 <= float(word) <= 1 for word in words) and not all(word.isdigit() for word in words)


def column_findings(files: Iterable[Parsed], *, scored: bool, labels: Path) -> list[Finding]:
    """One finding for sixth numbers that are passed over, if any are: no scores, or scores that some lines of a file lack."""
    lost = [file for file in files if any(file.sixth) and not (scored and all(file.sixth))]
    if not lost:
        return []
    first = lost[0]
    word = next(word for word in first.sixth if word is not None)
    found = "scores on some lines of a file only" if scored else "sixth numbers that are no scores (ids of tracks?)"
    message = f"{labels}: expected five numbers a line or a score from 0 to 1 as the sixth, found {found} in {plural(len(lost), 'file')} "
    message += f"(first: {word} in {first.path.name}). They are passed over; the boxes stay."
    return [Finding(FindingKind.EXTRA_COLUMN, labels, message)]


def maybe_poses(files: Iterable[Parsed]) -> list[str]:
    """A note where all polygons have equally many corners, and not four as oriented boxes do: key points look the same."""
    lengths = set[int]().union(*(file.lengths for file in files))
    if len(lengths) != 1 or lengths <= {9}:
        return []
    (count,) = lengths
    return [f"every line that is no box has {count} numbers and is read as a polygon. If they are key points, say kpt_shape in data.yaml."]


def numbered_names(files: Iterable[Parsed]) -> tuple[str, ...]:
    """Names for classes that nothing names: their numbers, up to the largest."""
    return tuple(map(str, range(max((label for file in files for label in file.classes if label < MOST_CLASSES), default=-1) + 1)))
