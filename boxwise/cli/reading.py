"""Options of the verbs that read label files, and what those files have to say for themselves."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from boxwise.data.formats.base import Coordinates

FormatName = Annotated[
    str | None,
    typer.Option(
        "--format",
        help="voc, coco, yolo, cvat, labelstudio, labelme, openimages, kitti or visdrone; guessed from the files when not given.",
    ),
]


class Pixels(StrEnum):
    """Which pixels labels were drawn on."""

    UPRIGHT = "upright"
    RAW = "raw"


LabelsIn = Annotated[Pixels, typer.Option(help="raw: labels were drawn before EXIF turned the photo upright; they turn with it.")]
VocOrigin = Annotated[int, typer.Option(min=0, max=1, help="What VOC files call the first pixel; 1 in those of the VOC devkit.")]


def coordinates(labels_in: Pixels, voc_origin: int) -> Coordinates:
    """What the numbers of label files mean."""
    from boxwise.data.formats.base import Coordinates

    return Coordinates(raw=labels_in is Pixels.RAW, voc_origin=voc_origin)
