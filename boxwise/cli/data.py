"""The verbs of data outside a study: convert, doctor."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from boxwise.data.formats.base import Dataset

app = typer.Typer()


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(help="A labelled data set.")],
    target: Annotated[Path, typer.Argument(help="Folder to write (or FILE.json for COCO, FILE.xml for CVAT).")],
    to: Annotated[str, typer.Option(help="voc, coco, yolo or cvat.")],
    from_: Annotated[str | None, typer.Option("--from", help="voc, coco, yolo or cvat; guessed when not given.")] = None,
    images: Annotated[Path | None, typer.Option(help="Where the images are, if not beside the labels.")] = None,
    copy_images: Annotated[bool, typer.Option(help="Copy the images along.")] = True,
) -> None:
    """Convert between VOC, COCO, YOLO and CVAT. Faults are named, none is passed on."""
    from boxwise.cli.console import reading, say
    from boxwise.data.datasets import read_dataset
    from boxwise.data.formats.names import FORMATS
    from boxwise.errors import named

    writer = named("format", FORMATS, to)
    dataset = read_dataset(source, format_name=from_, images=images, progress=reading)
    writer.write(dataset, target, copy_images=copy_images)
    boxes = sum(map(len, dataset.labels.values()))
    say(f"{target}: {len(dataset.images)} images, {boxes} boxes, {len(dataset.classes)} classes.")
    _print_findings(dataset)


@app.command()
def doctor(
    path: Annotated[Path | None, typer.Argument(help="A data set or a study to look through.")] = None,
    format: Annotated[str | None, typer.Option("--format", help="voc, coco, yolo or cvat; guessed when not given.")] = None,
) -> None:
    """Check the machine, a data set or a study. With a path: every fault of its images and labels, and exit code 1 when there are any."""
    from boxwise.cli.console import reading, say, table
    from boxwise.data.datasets import read_dataset

    if path is None:
        from boxwise.detectors.decoding import jpeg_decoder
        from boxwise.runtime import environment

        for name, value in environment().items():
            say(f"{name}: {value}")
        say(f"jpeg_decoder: {jpeg_decoder()}")
        return
    if (path / "config.yaml").is_file() and not (path / "arms.json").exists():
        _doctor_study(path)
        return
    dataset = read_dataset(path, format_name=format, progress=reading)
    labeled = len(dataset.labels)
    say(f"{path}: {len(dataset.images)} usable images, {labeled} labelled, {sum(map(len, dataset.labels.values()))} boxes.")
    counts = dict.fromkeys(dataset.classes, 0)
    for boxes in dataset.labels.values():
        for label in boxes.labels:
            counts[dataset.classes[label]] += 1
    if counts:
        table("Boxes by class", ("class", "boxes"), list(counts.items()))
    _print_findings(dataset)
    if dataset.findings:
        raise typer.Exit(1)


def _doctor_study(path: Path) -> None:
    from boxwise.cli.console import say
    from boxwise.study import Study

    faults = Study.open(path).quarantined()
    for image_id, message in faults.items():
        say(f"{image_id}: {message}")
    say(f"{len(faults)} images are quarantined.")
    if faults:
        raise typer.Exit(1)


def _print_findings(dataset: Dataset) -> None:
    from boxwise.cli.console import say

    for finding in dataset.findings:
        mark = "quarantined" if finding.quarantined else "noted"
        say(f"{finding.kind.value} ({mark}): {finding.message}")
    quarantined = len({finding.image_id for finding in dataset.findings if finding.quarantined})
    if dataset.findings:
        say(f"{len(dataset.findings)} findings; {quarantined} images quarantined, {len(dataset.images)} usable.")
