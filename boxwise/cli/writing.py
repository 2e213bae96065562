"""Options of the verbs that write data sets, and what they say of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from boxwise.errors import plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from boxwise.data.formats.base import Dataset, Format
    from boxwise.records import ImageRecord

Unlabeled = Annotated[bool, typer.Option("--unlabeled", help="Also write images that are not labelled.")]
Incomplete = Annotated[bool, typer.Option("--incomplete", help="Also write images labelled in part, with what is known of them.")]
KeepIds = Annotated[
    bool, typer.Option("--keep-ids", help="COCO: the source's numbers of images, classes and boxes; else they count from 1.")
]


def write_chosen(
    dataset: Dataset,
    writer: Format,
    target: Path,
    *,
    copy_images: bool,
    unlabeled: bool,
    incomplete: bool,
    keep_ids: bool,
    left_out: int | None = None,
) -> Sequence[ImageRecord]:
    """Write the part of a data set that was asked for; say how much it is, what is left out, and what the format cannot hold.

    left_out: how many images without labels were left out, where the data set does not have them. Returns the images that were written:
    nothing is where none is left.
    """
    from boxwise.cli.console import note, say
    from boxwise.data.writing import chosen, partly_held, write

    part = chosen(dataset, writer, unlabeled=unlabeled, incomplete=incomplete, keep_ids=keep_ids)
    remarks = write(part, writer, target, copy_images=copy_images) if part.images else []
    if part.images:
        boxes = sum(map(len, part.labels.values()))
        say(f"{target}: {plural(len(part.images), 'image')}, {plural(boxes, 'box')}, {plural(len(part.classes), 'class')}.")
    open_ones = len(dataset.images) - len(dataset.labels) if left_out is None else left_out
    partly = len(partly_held(dataset, writer))
    if open_ones and not unlabeled:
        note(f"{plural(open_ones, 'image', 'is')} not labelled and left out; --unlabeled writes them, too.")
    if partly and not incomplete:
        note(
            f"{plural(partly, 'image', 'is')} labelled in part and left out: objects in them that have no box would pass for background. "
            "--incomplete writes them, too."
        )
    for remark in remarks:
        note(remark)
    return part.images
