"""KITTI and VisDrone, read only: one text file an image, one line an object, in pixels, classes by name or by a fixed number.

Regions that the file marks as ignored give no boxes; one finding counts them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from boxwise.data.formats.base import UPRIGHT, Coordinates, Dataset, Finding, FindingKind, Progress
from boxwise.data.formats.checking import Reading, assemble, unlabelled
from boxwise.data.formats.layout import ImageIndex, bytes_of, existing, files_below, image_folder, strict_float
from boxwise.data.formats.listing import Listed, check_images, torn
from boxwise.data.formats.shapes import Corners
from boxwise.errors import BoxwiseError

VISDRONE = ("pedestrian", "people", "bicycle", "car", "van", "truck", "tricycle", "awning-tricycle", "bus", "motor")
_VISDRONE_OTHERS = 11

Line = tuple[str, Corners]  # class name, "" for an ignored region


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
        images: Path | None = None,
        *,
        classes: tuple[str, ...] | None = None,
        missing_is_empty: bool = True,
        verify: bool = True,
        coordinates: Coordinates = UPRIGHT,
        progress: Progress | None = None,
    ) -> Dataset:
        """As `Reader.read`. Every image has a file in these formats, so one without is unlabelled, also with `missing_is_empty`."""
        root = existing(labels, f"a {self.name} folder")
        pairs = [(root / below, root / beside) for below, beside in self.folders if (root / below).is_dir()]
        texts, folder = pairs[0] if pairs else (root, root)
        index = ImageIndex(images or image_folder((folder, root / "images", root)))
        readings: dict[str, Reading] = {}
        findings: list[Finding] = []
        ignored = 0
        for path in files_below(texts, ".txt"):
            stem = path.relative_to(texts).with_suffix("").as_posix()
            image_id = index.with_stem(stem) or index.with_stem(PurePosixPath(stem).name) or f"{stem}.jpg"
            if image_id in readings:
                findings.append(torn(path, image_id, readings[image_id].path))
                continue
            try:
                readings[image_id], regions = self._reading(path)
                ignored += regions
            except (BoxwiseError, UnicodeDecodeError) as error:
                findings.append(Finding(FindingKind.BAD_LABEL_FILE, path, str(error), image_id, quarantined=True))
        if not readings and not findings:
            raise BoxwiseError(f"{labels}: expected text files of {self.name}, found none.")
        out = {finding.image_id for finding in findings}
        listed = [Listed(image_id, index.path(image_id)) for image_id in sorted({*index.paths, *readings} - out)]
        checked = check_images(listed, verify=verify, coordinates=coordinates, progress=progress)
        findings += unlabelled(texts, checked.records, readings, expected="a text file")
        if ignored:
            message = f"{texts}: expected objects, found {ignored} regions marked as ignored. They are passed over."
            findings.append(Finding(FindingKind.OTHER_SHAPE, texts, message))
        names = classes or self.known or tuple(sorted({name for reading in readings.values() for name in reading.names}))
        return assemble(checked, readings, classes=names, findings=findings)

    def _reading(self, path: Path) -> tuple[Reading, int]:
        """The objects of one file, and how many regions are ignored. Raises BoxwiseError."""
        found: list[Line] = []
        for row, line in enumerate(bytes_of(path).decode("utf-8-sig").splitlines(), start=1):
            if line.strip():
                try:
                    found.append(self.line(line))
                except (ValueError, OverflowError, IndexError):
                    raise BoxwiseError(f"{path}: line {row} is {line.strip()[:60]!r}. Expected a line of {self.name}.") from None
        objects = [(name, corners) for name, corners in found if name]
        xyxy = np.array([corners for _, corners in objects], np.float64).reshape(-1, 4)
        return Reading(path, [name for name, _ in objects], xyxy), len(found) - len(objects)


def kitti_line(line: str) -> Line:
    """`type truncated occluded alpha x1 y1 x2 y2 ...` (Geiger et al., CVPR 2012)."""
    words = line.split()
    x1, y1, x2, y2 = map(strict_float, words[4:8])
    return "" if words[0] == "DontCare" else words[0], (x1, y1, x2, y2)


def visdrone_line(line: str) -> Line:
    """`x,y,width,height,score,category,truncation,occlusion`, categories 0 and 11 ignored (Zhu et al., TPAMI 2021)."""
    x, y, width, height, _, category = (int(strict_float(word)) for word in line.strip().rstrip(",").split(",")[:6])
    corners = (float(x), float(y), float(x + width), float(y + height))
    if not 0 <= category <= _VISDRONE_OTHERS:
        raise ValueError(f"category {category}")
    return "" if category in (0, _VISDRONE_OTHERS) else VISDRONE[category - 1], corners


KITTI = PlainTexts("kitti", (("label_2", "image_2"), ("training/label_2", "training/image_2")), kitti_line)
DRONES = PlainTexts("visdrone", (("annotations", "images"),), visdrone_line, VISDRONE)
