"""KITTI and VisDrone, read only: one text file an image, one line an object, in pixels, classes by name or by a fixed number.

Regions that the file marks as ignored become crowds of every class.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path, PurePosixPath

import numpy as np

from boxwise.data.addresses import Images
from boxwise.data.formats.base import UPRIGHT, Coordinates, Dataset, Finding, FindingKind, Progress
from boxwise.data.formats.checking import assemble, unlabelled
from boxwise.data.formats.layout import ImageIndex, bytes_of, existing, files_below, image_folder, is_about, is_number, strict_float
from boxwise.data.formats.listing import Listed, check_images, torn
from boxwise.data.formats.reading import Reading
from boxwise.data.formats.shapes import Corners
from boxwise.errors import BoxwiseError

VISDRONE = ("pedestrian", "people", "bicycle", "car", "van", "truck", "tricycle", "awning-tricycle", "bus", "motor")
_VISDRONE_OTHERS = 11
_SHORT, _FULL = 7, 14  # numbers in a line of KITTI, without a score

Line = tuple[str, Corners, float | None]  # class name, "" for an ignored region; corners; the score, where the line has one


@dataclass(frozen=True)
class PlainTexts:
    """One such format. folders: (labels, images) below the root. line: reads one line, ValueError for another. known: its classes."""

    name: str
    folders: tuple[tuple[str, str], ...]
    line: Callable[[str], Line]
    known: tuple[str, ...] = ()

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
        """As `Reader.read`. Every image has a file in these formats, so one without is unlabelled, also with `missing_is_empty`."""
        root = existing(labels, f"a {self.name} folder")
        texts, folder = self._places(root)
        index = ImageIndex(images or image_folder((folder, root / "images", root)))
        readings: dict[str, Reading] = {}
        findings: list[Finding] = []
        for path in self._texts(texts):
            image_id = self._image_id(path, texts, index)
            if is_about(path.name) and image_id not in index.paths and not self._holds_objects(path):
                continue
            if image_id in readings:
                findings.append(torn(path, image_id, readings[image_id].path))
                continue
            try:
                readings[image_id] = self._reading(path)
            except (BoxwiseError, UnicodeDecodeError) as error:
                findings.append(Finding(FindingKind.BAD_LABEL_FILE, path, str(error), image_id, quarantined=True))
        if not readings and not findings:
            raise BoxwiseError(f"{labels}: expected text files of {self.name}, found none.")
        out = {finding.image_id for finding in findings}
        sources = {image_id: reading.path for image_id, reading in readings.items()}
        listed = [Listed(i, index.path(i), source=sources.get(i)) for i in sorted({*index.paths, *readings} - out)]
        checked = check_images(listed, verify=verify, coordinates=coordinates, progress=progress, index=index)
        findings += unlabelled(texts, checked.records, readings, expected="a text file")
        names = classes or self.known or tuple(sorted({name for reading in readings.values() for name in reading.names}))
        return assemble(checked, readings, classes=names, findings=findings)

    def _places(self, root: Path) -> tuple[Path, Path]:
        """Where the texts and the images lie: in the folders of the format; else both anywhere below the root."""
        pairs = [(root / below, root / beside) for below, beside in self.folders if (root / below).is_dir()]
        return pairs[0] if pairs else (root, root)

    def _texts(self, folder: Path) -> list[Path]:
        """The label files below `folder`: those in folders called as the format calls them, such as one a split, if there are any."""
        found = files_below(folder, ".txt")
        called = {PurePosixPath(below).name for below, _ in self.folders}
        return [path for path in found if path.parent.name in called] or found

    def _image_id(self, path: Path, texts: Path, index: ImageIndex) -> str:
        stem = path.relative_to(texts).with_suffix("").as_posix()
        twins = (f"/{stem}".replace(f"/{below}/", f"/{beside}/").removeprefix("/") for below, beside in self.folders)
        names = (stem, *twins, PurePosixPath(stem).name)
        return next((found for name in names if (found := index.with_stem(name))), f"{stem}.jpg")

    def _holds_objects(self, path: Path) -> bool:
        try:
            return bool(self._reading(path).names)
        except (BoxwiseError, UnicodeDecodeError):
            return False

    def _reading(self, path: Path) -> Reading:
        """The objects of one file, and the ignored regions. Raises BoxwiseError."""
        found: list[Line] = []
        for row, line in enumerate(bytes_of(path).decode("utf-8-sig").splitlines(), start=1):
            if line.strip():
                try:
                    found.append(self.line(line))
                except (ValueError, OverflowError, IndexError):
                    raise BoxwiseError(f"{path}: line {row} is {line.strip()[:60]!r}. Expected a line of {self.name}.") from None
        objects = [one for one in found if one[0]]
        scores = [score for _, _, score in objects]
        columns = {"scores": scores} if any(score is not None for score in scores) else {}
        xyxy, ignored = (
            np.array([one[1] for one in part], np.float64).reshape(-1, 4) for part in (objects, [o for o in found if not o[0]])
        )
        return Reading(path, [name for name, _, _ in objects], xyxy, columns, ignored=ignored)


def kitti_line(line: str) -> Line:
    """`type truncated occluded alpha x1 y1 x2 y2 ...` (Geiger et al., CVPR 2012), or no more than these.

    14 numbers follow the type, which may hold blanks, a 15th is a score, and the short form has 7; a score from 0 to 1 may follow it
    where the type is one word. Raises ValueError for any other line, such as one of KITTI's tracks, which begins with two numbers.
    """
    words = line.split()
    count = len(list(takewhile(is_number, reversed(words[1:]))))
    first, *more = words[: len(words) - count]
    numbers = [float(word) for word in words[len(words) - count :]]
    short_with_score = count == _SHORT + 1 and not more and not is_number(first) and 0 <= numbers[-1] <= 1
    if not (short_with_score or count in (_SHORT, _FULL, _FULL + 1)) or (more and is_number(first)):
        raise ValueError(f"{count} numbers after a type")
    kind = " ".join((first, *more))
    x1, y1, x2, y2 = numbers[3:7]
    ignored = "".join(filter(str.isalnum, kind.casefold())) == "dontcare"
    return "" if ignored else kind, (x1, y1, x2, y2), None if count in (_SHORT, _FULL) else numbers[-1]


def visdrone_line(line: str) -> Line:
    """`x,y,width,height,score,category,truncation,occlusion` (Zhu et al., TPAMI 2021).

    Ignored: category 0, category 11 (others), and what has the score 0. Truth has the score 1; any other is a result's.
    """
    words = line.strip().rstrip(",").split(",")[:6]
    x, y, width, height, score, category = (strict_float(word) for word in words)
    if category not in range(_VISDRONE_OTHERS + 1):
        raise ValueError(f"category {category}")
    ignored = category in (0, _VISDRONE_OTHERS) or score == 0
    name = "" if ignored else VISDRONE[int(category) - 1]
    return name, (x, y, x + width, y + height), None if score == 1 else score


KITTI = PlainTexts("kitti", (("label_2", "image_2"), ("training/label_2", "training/image_2")), kitti_line)
DRONES = PlainTexts("visdrone", (("annotations", "images"),), visdrone_line, VISDRONE)
