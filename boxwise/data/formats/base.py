"""What a data set is once it is read, and the findings of reading it.

Every format returns a `Dataset` and writes one; labels become 0-based indices into `classes` here.
Knows nothing of training, studies or stores.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from boxwise.boxes import Boxes
from boxwise.records import ImageRecord

Progress = Callable[[int, int], None]  # (images done, images in all)


class FindingKind(StrEnum):
    """The named faults that reading a data set can find."""

    CORRUPT_IMAGE = "corrupt image"
    MISSING_IMAGE = "missing image"
    DUPLICATE_IMAGE = "duplicate image"
    DUPLICATE_ID = "duplicate id"
    SIZE_MISMATCH = "size mismatch"
    BAD_BOX = "bad box"
    UNKNOWN_CLASS = "unknown class"
    BAD_LABEL_FILE = "bad label file"
    MISSING_LABEL_FILE = "missing label file"


@dataclass(frozen=True)
class Finding:
    """One fault: the file, what was expected and found, and whether its image was taken out.

    image_id: the image concerned, if one is. quarantined: the image is not in the data set's `images`.
    """

    kind: FindingKind
    path: Path
    message: str
    image_id: str | None = None
    quarantined: bool = False


@dataclass(frozen=True)
class Dataset:
    """A data set as read: images, and labels of those that have them.

    labels: image_id → Boxes with `difficult`, `crowd` and `ids` where the format has them. An image of `images` that is not in `labels`
    is unlabelled; one whose Boxes are empty is known to hold no object. class_ids: the source's own numbers of `classes` (COCO).
    """

    classes: tuple[str, ...]
    images: tuple[ImageRecord, ...]
    labels: Mapping[str, Boxes]
    findings: tuple[Finding, ...] = ()
    class_ids: tuple[int, ...] | None = None
    notes: Mapping[str, str] = field(default_factory=dict)


class Format(Protocol):
    """One label format on disk. Round trips are exact: read(write(read(x))) equals read(x)."""

    name: str

    def read(
        self,
        labels: Path,
        images: Path | None = None,
        *,
        classes: tuple[str, ...] | None = None,
        missing_is_empty: bool = True,
        verify: bool = True,
        progress: Progress | None = None,
    ) -> Dataset:
        """Read a folder or file of labels. `images` overrides where the images lie.

        classes: the known class names in order; None: taken from the data. missing_is_empty: for formats with one label file an
        image, whether an image without one has no objects (YOLO's convention) or is unlabelled (what a growing study needs). VOC
        states an empty image by an XML without objects, so there an image without one is unlabelled either way.
        verify: decode every image and look for duplicates; False trusts the headers. progress: called as images are checked.
        Raises BoxwiseError only when there is nothing to read; everything else becomes a finding.
        """
        ...

    def write(self, dataset: Dataset, target: Path, *, copy_images: bool = False) -> None:
        """Write labels (and images, when asked) below `target`; files are complete or absent, never half written."""
        ...
