"""Small data sets on disk for the tests of readers: images of 100 x 80 pixels, and label files word for word."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from boxwise.data.datasets import read_dataset
from boxwise.data.formats.base import Dataset, FindingKind
from boxwise.data.images import write_image

WIDTH, HEIGHT = 100, 80
LINE = "1 0.5 0.5 0.2 0.25\n"  # 40, 30, 60, 50
PLACE = [[40.0, 30.0, 60.0, 50.0]]


def make(root: Path, files: Mapping[str, str | bytes | int]) -> Path:
    """Write the files below `root`: text, bytes, or an image of one grey where a number is given."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, int):
            write_image(np.full((HEIGHT, WIDTH, 3), content, np.uint8), path)
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def voc(*objects: str, name: str = "a.png") -> str:
    size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height></size>"
    return f"<annotation><filename>{name}</filename>{size}{''.join(objects)}</annotation>"


def voc_object(name: str = "cat", inside: str = "", corners: tuple[float, ...] = (40, 30, 60, 50)) -> str:
    x1, y1, x2, y2 = corners
    box = f"<bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox>"
    return f"<object><name>{name}</name>{inside}{box}</object>"


def found(dataset: Dataset) -> dict[str, list[tuple[str, list[float]]]]:
    """Image id → (class name, corners) of each box."""
    return {
        image_id: [(dataset.classes[label], row) for label, row in zip(boxes.labels, boxes.xyxy.tolist(), strict=True)]
        for image_id, boxes in dataset.labels.items()
    }


def kinds(dataset: Dataset) -> list[tuple[FindingKind, str | None, bool]]:
    return [(finding.kind, finding.image_id, finding.quarantined) for finding in dataset.findings]


def read(root: Path, files: Mapping[str, str | bytes | int], **options) -> Dataset:
    """The data set that the files make, in the format that they show."""
    return read_dataset(make(root, files), **options)
