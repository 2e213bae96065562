"""The verbs of data outside a study: convert, doctor."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from boxwise.cli.options import check_used
from boxwise.cli.reading import FormatName, LabelsIn, Pixels, VocOrigin, coordinates
from boxwise.cli.writing import Incomplete, KeepIds, Unlabeled, write_chosen
from boxwise.errors import plural, quoted

if TYPE_CHECKING:
    from boxwise.data.examination import Examination
    from boxwise.data.formats.base import Dataset

app = typer.Typer()
_SHOWN = 20


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(help="A labelled data set.")],
    target: Annotated[Path, typer.Argument(help="Folder to write (or FILE.json for COCO, FILE.xml for CVAT).")],
    to: Annotated[str, typer.Option(help="voc, coco, yolo or cvat.")],
    from_: Annotated[str | None, typer.Option("--from", "--format", help="The format of the source; guessed when not given.")] = None,
    labels_in: LabelsIn = Pixels.UPRIGHT,
    voc_origin: VocOrigin = 0,
    images: Annotated[str | None, typer.Option(help="Where the images are, if not beside the labels: a folder or an address.")] = None,
    copy_images: Annotated[bool, typer.Option(help="Copy the images along.")] = True,
    unlabeled: Unlabeled = False,
    incomplete: Incomplete = False,
    keep_ids: KeepIds = False,
) -> None:
    """Convert a data set to VOC, COCO, YOLO or CVAT.

    From these, and Label Studio, LabelMe, Open Images, KITTI, VisDrone, Create ML and VIA. Faults are named, none is passed on. Images are
    written whose labels are complete; the options add others.
    """
    from boxwise.cli.console import reading
    from boxwise.data.addresses import given
    from boxwise.data.datasets import read_dataset
    from boxwise.data.formats.names import FORMATS
    from boxwise.errors import BoxwiseError, named

    writer = named("format", FORMATS, to)
    meant = coordinates(labels_in, voc_origin)
    dataset = read_dataset(source, format_name=from_, images=images and given(images), coordinates=meant, progress=reading)
    options = {"copy_images": copy_images, "unlabeled": unlabeled, "incomplete": incomplete, "keep_ids": keep_ids}
    written = write_chosen(dataset, writer, target, **options)
    _print_findings(dataset)
    if not written:
        raise BoxwiseError(f"{source}: no image is left to write, so {target} was not written.")


@app.command()
def doctor(
    path: Annotated[
        str | None, typer.Argument(help="A data set or a study to look through; or images by address, such as s3://bucket/photos.")
    ] = None,
    format: FormatName = None,
    labels_in: LabelsIn = Pixels.UPRIGHT,
    voc_origin: VocOrigin = 0,
    fix: Annotated[Path | None, typer.Option(metavar="DIR", help="Write a cleaned copy to this new folder.")] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page with a picture of each finding.")] = None,
) -> None:
    """Check the machine, a data set or a study.

    Of the machine: versions, devices, and the methods that installed packages add. Of a data set: counts, every fault of images and labels,
    near-duplicates across splits, and labels that look wrong. Exit code 1 when there are faults.
    """
    from boxwise.cli.console import reading, say
    from boxwise.data.addresses import given, is_local
    from boxwise.data.cleaning import check_target, write_cleaned
    from boxwise.data.datasets import read_dataset, read_pool
    from boxwise.data.examination import examine
    from boxwise.report.doctor import write_doctor_page

    read = {"--format": format is not None, "--labels-in": labels_in is not Pixels.UPRIGHT, "--voc-origin": voc_origin != 0}
    written = {"--fix": fix is not None, "--html": html is not None}
    if path is None:
        check_used(read | written, why="on the machine. Give a data set: boxwise doctor DIR.")
        _doctor_machine()
        return
    address = given(path)
    folder = Path(address)
    if (folder / "config.yaml").is_file() and not (folder / "arms.json").exists():
        instead = f"Write its labels as a data set and look through that: boxwise export {quoted(folder)} DIR, then boxwise doctor DIR."
        check_used(read | written, why=f"on a study. {instead}")
        _doctor_study(folder)
        return
    if not is_local(address):
        check_used(read, why=f"on {address}, of which images alone are read.")
    if fix is not None:
        check_target(folder, fix)
    if is_local(address):
        dataset = read_dataset(folder, format_name=format, coordinates=coordinates(labels_in, voc_origin), progress=reading)
    else:
        dataset = read_pool(address, None, progress=reading)
    examined = examine(dataset)
    _print_counts(address, dataset, examined)
    _print_findings(dataset)
    _print_doubts(examined)
    if html is not None:
        say(f"Page with pictures: {write_doctor_page(dataset, examined, html, title=address)}")
    if fix is not None:
        say(f"Cleaned copy: {write_cleaned(dataset, folder, fix, format_name=format if is_local(address) else 'coco')}")
    if dataset.findings:
        raise typer.Exit(1)


def _doctor_machine() -> None:
    from boxwise.cli.console import say
    from boxwise.detectors.decoding import jpeg_decoder
    from boxwise.registry import KINDS
    from boxwise.runtime import environment

    for name, value in environment().items():
        say(f"{name}: {value}")
    say(f"jpeg_decoder: {jpeg_decoder()}")
    for kind, methods in KINDS.items():
        for name, package in methods.packages().items():
            say(f"{kind}: {name} of the package {package}")
    faults = [fault for methods in KINDS.values() for fault in methods.faults()]
    for fault in faults:
        say(f"fault: {fault}")
    if faults:
        raise typer.Exit(1)


def _print_counts(path: str, dataset: Dataset, examined: Examination) -> None:
    from boxwise.cli.console import say, table

    partly = f" ({examined.incomplete} in part)" if examined.incomplete else ""
    crowds = f", {examined.crowds} crowds" if examined.crowds else ""
    say(f"{path}: {len(dataset.images)} usable images, {examined.labelled} labelled{partly}, {plural(examined.boxes, 'box')}{crowds}.")
    splits = list(examined.images)
    if splits:
        counts = ", ".join(f"{split}: {plural(count, 'image')}" for split, count in examined.images.items())
        say(f"{counts}; {examined.empty} without objects.")
    for what, spread in (("sides of images", examined.sizes), ("sizes of boxes (√area)", examined.sides)):
        if spread:
            say(f"{what}: {spread[0]:.0f} to {spread[2]:.0f} pixels, median {spread[1]:.0f}.")
    rows = [(f.name, f.boxes, f.images, *(f.by_split.get(split, 0) for split in splits), f.median_side) for f in examined.classes]
    if rows:
        table("Boxes by class", ("class", "boxes", "images", *splits, "median size"), rows)


def _print_doubts(examined: Examination) -> None:
    """Near-duplicates, suspects and faint images: the first of each; the page shows more."""
    from boxwise.cli.console import say

    doubts = {
        "near-duplicates across splits": examined.leaks,
        "suspect labels": examined.suspects,
        "images of little contrast": examined.faint,
    }
    for name, findings in doubts.items():
        if findings:
            say(f"{len(findings)} {name}:")
        for finding in findings[:_SHOWN]:
            say(f"  {finding.message}")
        if len(findings) > _SHOWN:
            say(f"  ... and {len(findings) - _SHOWN} more; --html FILE shows them with pictures.")


def _doctor_study(path: Path) -> None:
    from boxwise.cli.console import reading, say
    from boxwise.study import Study

    opened = Study.open(path)
    faults, looked = opened.quarantined(), opened.look(thoroughly=True, progress=reading)
    for image_id, message in faults.items():
        say(f"{image_id}: {message}")
    for record in looked.missing:
        say(f"{record.image_id}: missing: expected the image {record.uri}, found no such file.")
    for record in looked.changed:
        say(f"{record.image_id}: changed: {record.uri} has other content than when it joined.")
    for file in looked.new[:_SHOWN]:
        say(f"{file}: new: not in the study.")
    if looked.closed:
        say(f"New files were not looked for: {looked.closed}")
    say(
        f"{plural(len(faults), 'image')} quarantined, {len(looked.missing)} missing, {len(looked.changed)} changed; "
        f"{plural(len(looked.new), 'new file')}."
    )
    if looked.missing:
        say(f"Where images were moved: boxwise relocate {quoted(path)} --images DIR")
    if faults or looked.missing or looked.changed:
        raise typer.Exit(1)


def _print_findings(dataset: Dataset) -> None:
    from boxwise.cli.console import say

    for remark in dataset.notes:
        say(f"note: {remark}")
    for finding in dataset.findings:
        mark = "quarantined" if finding.quarantined else "noted"
        say(f"{finding.kind.value} ({mark}): {finding.message}")
    quarantined = len({finding.image_id for finding in dataset.findings if finding.quarantined})
    if dataset.findings:
        say(f"{plural(len(dataset.findings), 'finding')}; {plural(quarantined, 'image')} quarantined, {len(dataset.images)} usable.")
