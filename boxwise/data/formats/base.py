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
from unicodedata import category

from boxwise.boxes import Boxes
from boxwise.data.addresses import Address, Images, redacted
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
    BAD_NAME = "bad file name"
    DUPLICATE_BOX = "duplicate box"
    CONFLICTING_LABELS = "conflicting labels"
    OTHER_SHAPE = "other shape"
    EXTRA_COLUMN = "extra column"
    UNUSED_FILE = "unused file"
    UNREAD_PICTURE = "picture of a kind that is not read"
    NEAR_DUPLICATE = "near-duplicate across splits"
    SUSPECT_LABEL = "suspect label"
    LITTLE_CONTRAST = "image of little contrast"
    OUT_OF_USE = "image out of use"


@dataclass(frozen=True)
class Finding:
    """One fault: the file, what was expected and found, and whether its image was taken out.

    path: the file, or the address of an image; kept as a string. message: shown without passwords and what signs a link. image_id: the
    image concerned, if one is. quarantined: the image is not in the data set's `images`.
    box: x1, y1, x2, y2 of the box concerned, in pixels of the image as it was read, if one is. picture: where the image lies, if known;
    twin: the image that it is compared with. unlabelled: the image lies in a folder, and no label file speaks of it.
    """

    kind: FindingKind
    path: Address
    message: str
    image_id: str | None = None
    quarantined: bool = False
    box: tuple[float, float, float, float] | None = None
    picture: str | None = None
    twin: str | None = None
    unlabelled: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", redacted(printable(self.message)))
        object.__setattr__(self, "path", printable(str(self.path)))
        object.__setattr__(self, "image_id", None if self.image_id is None else printable(self.image_id))


def printable(text: str) -> str:
    """`text` with what no terminal, JSON file or database takes escaped: bytes of a file name that are no UTF-8, control characters."""
    return "".join(ascii(character)[1:-1] if is_unspeakable(character) else character for character in text)


def is_unspeakable(character: str) -> bool:
    """Whether it is a control character, a line separator or half a surrogate pair (a byte of a file name that is no UTF-8)."""
    return category(character) in ("Cc", "Cs", "Zl", "Zp")


@dataclass(frozen=True)
class Coordinates:
    """What the numbers of labels mean where their files do not say it.

    raw: they were drawn on the pixels as they are stored, before EXIF turns the photo upright. voc_origin: what VOC's files call the first
    pixel: 1 in those of the VOC devkit, whose xmax and ymax then are the last pixel inside. sizes: address → (width, height) of images that
    need not be opened for them.
    """

    raw: bool = False
    voc_origin: int = 0
    sizes: Mapping[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Dataset:
    """A data set as read: images, and labels of those that have them.

    labels: image_id → Boxes with `difficult`, `crowd` and `ids` where the format has them. An image of `images` that is not in `labels`
    is unlabelled; one whose Boxes are empty is known to hold no object. class_ids: the source's own numbers of `classes` (COCO).
    incomplete: the labelled images in which objects are known to be missing from the labels, so that nothing there may count as background.
    listed: the images were named by a list, so what lies beside them does not matter, and none was opened.
    notes: what the reader took for granted, in a sentence each; no fault, but worth a look. by_number: the numbers in
    labels that nothing names, so that they were taken for those of the classes that were given.
    """

    classes: tuple[str, ...]
    images: tuple[ImageRecord, ...]
    labels: Mapping[str, Boxes]
    findings: tuple[Finding, ...] = ()
    class_ids: tuple[int, ...] | None = None
    notes: tuple[str, ...] = ()
    incomplete: frozenset[str] = frozenset()
    listed: bool = False
    by_number: frozenset[int] = frozenset()


UPRIGHT = Coordinates()


class Reader(Protocol):
    """One label format on disk, to be read."""

    @property
    def name(self) -> str:
        """What users call it."""
        ...

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
        """Read a folder or file of labels. `images` overrides where the images lie: their folder, or image id → address.

        classes: the known class names in order; None: taken from the data. missing_is_empty: for formats with one label file an
        image, whether an image without one has no objects (YOLO's convention) or is unlabelled (what a growing study needs). VOC
        states an empty image by an XML without objects, so there an image without one is unlabelled either way.
        verify: decode every image and look for duplicates; False trusts the headers. coordinates: how numbers are meant.
        progress: called as images are checked.
        Raises BoxwiseError only when there is nothing to read; everything else becomes a finding.
        """
        ...


class Format(Reader, Protocol):
    """One label format on disk, to be read and written. Round trips are exact: read(write(read(x))) equals read(x)."""

    @property
    def holds(self) -> frozenset[str]:
        """What it keeps beside boxes and classes, of `scores`, `difficult`, `crowd`, `ids` and `incomplete`."""
        ...

    def write(self, dataset: Dataset, target: Path, *, copy_images: bool = False) -> list[Path]:
        """Write labels (and images, when asked) below `target`; files are complete or absent, never half written.

        Returns the files of labels, and the lists beside them.
        """
        ...
