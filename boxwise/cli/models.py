"""The verbs of a trained detector: predict, export-model."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from boxwise.errors import plural, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from boxwise.boxes import Boxes
    from boxwise.data.earlier_writes import Earlier
    from boxwise.detectors.base import ImageBatch
    from boxwise.inference import Model
    from boxwise.records import ImageRecord

app = typer.Typer()
StudyOrWeights = Annotated[Path, typer.Argument(metavar="STUDY", help="A study's folder, or the weights.pt of one of its rounds.")]
Round = Annotated[int | None, typer.Option("--round", min=0, help="Which round's detector; the one of highest AP on val when not given.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 ...")]
_CHECKED_IMAGES = 4
_PREDICTIONS = "predictions.json"
_AHEAD = 32  # remote images that are fetched while others are measured


@app.command()
def predict(
    study: StudyOrWeights,
    images: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[IMAGE|FOLDER]...",
            help="Images, or folders of images, by path or address (s3://bucket/a.jpg); the study's unlabelled ones when not given.",
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the drawn images and predictions.json (COCO).")] = Path("runs/predict"),
    conf: Annotated[
        float | None, typer.Option(min=0, max=1, help="Least score of a box; where F1 on val is best when not given, else 0.3.")
    ] = None,
    round_index: Round = None,
    device: Device = "auto",
) -> None:
    """Detect objects in images with a study's best detector. Draws the boxes and writes COCO JSON."""
    from boxwise.cli.console import note, say
    from boxwise.data.addresses import given
    from boxwise.data.earlier_writes import Earlier
    from boxwise.data.image_store import check
    from boxwise.data.own_files import PREDICTIONS
    from boxwise.errors import BoxwiseError
    from boxwise.inference import load

    addresses = [given(text) for text in images or []]
    for address in addresses:
        check(address)
    wanted = _named(addresses) if addresses else _pool(study)
    pictures = {image_id: out / name for image_id, name in _pictures(record.image_id for record in wanted).items()}
    earlier = Earlier.of(out, PREDICTIONS)
    _check_targets([out / _PREDICTIONS, *pictures.values()], wanted, earlier)
    model = load(study, round_index=round_index, device=device)
    records, faults = _measured(wanted)
    least = model.threshold if conf is None else conf
    found, more_faults = _drawn(model, records, least, pictures, earlier)
    for message in (*faults, *more_faults):
        note(message)
    if not found:
        raise BoxwiseError(f"{out}: nothing was written, since none of {plural(len(wanted), 'image')} could be read.")
    why = "as given" if conf is not None else "no best F1 is known" if model.point is None else f"F1 on val is best: {model.point.f1:.2f}"
    say(f"{model.origin}, boxes of score {least:.3g} or more ({why})")
    if model.remark:
        note(model.remark)
    say(f"{plural(sum(map(len, found.values())), 'box')} in {plural(len(found), 'image')}: {out}")


def _drawn(
    model: Model, records: Sequence[ImageRecord], least: float, pictures: Mapping[str, Path], earlier: Earlier
) -> tuple[dict[str, Boxes], list[str]]:
    """Detects, draws and writes predictions.json; (what was found, what went wrong). What an earlier call has left is removed.

    Where no image could be read nothing is written and all stays.
    """
    from boxwise.cli.console import detecting
    from boxwise.data.earlier_writes import ANY
    from boxwise.data.formats.base import Dataset
    from boxwise.data.formats.coco import Coco
    from boxwise.detectors.prediction import detections
    from boxwise.errors import BoxwiseError
    from boxwise.report.drawing import draw_boxes

    labels: dict[str, Boxes] = {}
    unreadable: dict[str, str] = {}
    drawn: list[Path] = []
    undrawn: list[str] = []
    try:
        for record, boxes in detections(model.detector, records, on_unreadable=unreadable.__setitem__, progress=detecting):
            if not labels:
                earlier.expecting(dict.fromkeys([earlier.folder / _PREDICTIONS, *pictures.values()], ANY))
            kept = replace(boxes.at_least(least), probabilities=None)  # of a large pool these would fill the memory
            labels[record.image_id] = kept
            try:
                draw_boxes(record.uri, kept, model.classes, pictures[record.image_id])
                drawn.append(pictures[record.image_id])
            except BoxwiseError as error:  # a full disk, or an image that has gone meanwhile: what was found on it is not lost
                undrawn.append(str(error))
    finally:
        if labels:
            seen = tuple(record for record in records if record.image_id in labels)
            written = Coco().write(Dataset(model.classes, seen, labels), earlier.folder / _PREDICTIONS)
            earlier.followed_by([*written, *drawn])
    return labels, [*unreadable.values(), *undrawn]


def _pool(study: Path) -> list[ImageRecord]:
    """The images of a study that are not labelled. BoxwiseError where there are none, or where there is no study but weights alone."""
    from boxwise.errors import BoxwiseError
    from boxwise.study import Study

    if study.is_file():
        raise BoxwiseError(f"{study}: weights hold no images. Give images, or folders of images: boxwise predict {quoted(study)} DIR")
    records = Study.open(study).pool()
    if not records:
        message = f"{study}: every image is labelled. Give other images, or folders of images: "
        raise BoxwiseError(f"{message}boxwise predict {quoted(study)} DIR")
    return records


def _named(addresses: list[str]) -> list[ImageRecord]:
    """The images named or found below the folders named, each once, with unique ids; their sizes are not known yet.

    An id is the path below the folder, or the name of an image that was named itself; where two would be alike, what sets all paths apart.
    """
    from boxwise.data.addresses import is_image_name, is_local, name_of
    from boxwise.data.image_store import below
    from boxwise.records import ImageRecord

    found: dict[str, tuple[str, str]] = {}  # from where it lies, however that was given
    for address in addresses:
        local = is_local(address)
        is_folder = Path(address).is_dir() if local else not is_image_name(name_of(address))
        folder = (Path(address) if is_folder else Path(address).parent).resolve() if local else None
        for image_id, file in (below(address, dead=True) if is_folder else {name_of(address): address}).items():
            found.setdefault(str(folder / image_id) if folder else file, (image_id, file))
    ids = [image_id for image_id, _ in found.values()]
    ids = ids if len(set(ids)) == len(ids) else _apart(list(found))
    return [ImageRecord(image_id, file, 0, 0) for image_id, (_, file) in zip(ids, found.values(), strict=True)]


def _apart(uris: Sequence[str]) -> list[str]:
    """Unique relative paths of files: what their addresses do not have in common."""
    from boxwise.data.addresses import in_shard, is_local, redacted, scheme_of

    def parts(uri: str) -> list[str]:
        if scheme_of(uri) == "tar":
            name, shard = in_shard(uri)
            return [*parts(shard), *name.split("/")]
        return list(Path(uri).absolute().parts[1:]) if is_local(uri) else redacted(uri).replace("://", "/").split("/")

    paths = [parts(uri) for uri in uris]
    shared = next((depth for depth, there in enumerate(zip(*paths, strict=False)) if len(set(there)) > 1), 0)
    names = ["/".join(path[shared:]) for path in paths]
    times = Counter(names)
    return [name if times[name] == 1 else f"{number:05d}/{name}" for number, name in enumerate(names)]


def _check_targets(targets: Sequence[Path], records: Sequence[ImageRecord], earlier: Earlier) -> None:
    """BoxwiseError where what is to be written would take the place of an image that is read, or of a file that no earlier call wrote."""
    from boxwise.data.addresses import is_local
    from boxwise.errors import BoxwiseError
    from boxwise.files import identity

    read = {identity(Path(record.uri)) for record in records if is_local(record.uri)} - {None}
    # resolved first: x/../out is out also while there is no x
    if lost := next((target for target in targets if identity(target.resolve()) in read), None):
        raise BoxwiseError(f"{lost}: expected a place for what was detected, found one of the images to look at. Give another --out DIR.")
    if others := [target for target in targets if target.resolve().is_file() and not earlier.wrote(target)]:
        found = "another. Remove it" if len(others) == 1 else f"{len(others)} others. Remove them"
        raise BoxwiseError(f"{others[0]}: expected no file, or one that `boxwise predict` wrote, found {found}, or give another --out.")


def _measured(records: Sequence[ImageRecord]) -> tuple[list[ImageRecord], list[str]]:
    """The images with their sizes, read where they are not known, and what is wrong with those that cannot be read."""
    from boxwise.data.image_store import prefetch
    from boxwise.data.images import image_size
    from boxwise.errors import ImageError

    measured, faults = [record for record in records if record.measured], []
    unopened = [record for record in records if not record.measured]
    for number, record in enumerate(unopened):
        if number % _AHEAD == 0:
            prefetch(each.uri for each in unopened[number : number + 2 * _AHEAD])
        try:
            width, height = image_size(record.uri)
            measured.append(replace(record, width=width, height=height))
        except ImageError as error:
            faults.append(str(error))
    return measured, faults


def _pictures(image_ids: Iterable[str]) -> dict[str, Path]:
    """The name of each image's picture: .jpg in place of its ending, or behind it where two images would have the same."""
    names = {image_id: Path(image_id).with_suffix(".jpg") for image_id in image_ids}
    times = Counter(names.values())
    return {image_id: name if times[name] == 1 else Path(f"{image_id}.jpg") for image_id, name in names.items()}


@app.command("export-model")
def export_model(
    study: StudyOrWeights,
    out: Annotated[Path, typer.Argument(help="File to write: .onnx, or .torchscript.")],
    conf: Annotated[
        float | None, typer.Option(min=0, max=1, help="Least score written into the file; as for predict when not given.")
    ] = None,
    round_index: Round = None,
) -> None:
    """Write a study's best detector as ONNX or TorchScript.

    The file runs without boxwise; what it gives is checked against the detector first.
    """
    from boxwise.cli.console import note, say
    from boxwise.detectors.names import check_exportable, check_suffix
    from boxwise.inference import load

    check_suffix(out)
    model = load(study, round_index=round_index, device="cpu")
    from boxwise.detectors.detector import TorchDetector
    from boxwise.detectors.exporting import export

    check_exportable(model.name, out)
    assert isinstance(model.detector, TorchDetector)  # of boxwise's own, as the check has seen
    least = model.threshold if conf is None else conf
    apart = export(model.detector, out, batch=_checked_batch(study, model), threshold=least, about={"origin": model.origin})
    say(f"{out}: {model.origin}, {out.stat().st_size / 2**20:.1f} MiB. Classes: {', '.join(model.classes)}.")
    if model.remark:
        note(model.remark)
    say(
        f"Checked against the detector: boxes differ by at most {apart['pixels']:.2g} pixels, probabilities by {apart['probability']:.2g}; "
        "the detections are the same."
    )


def _checked_batch(study: Path, model: Model) -> ImageBatch:
    """Some of the study's images, or noise where there are none to read."""
    from boxwise.detectors.exporting import noise
    from boxwise.detectors.loading import image_batches
    from boxwise.study import Study

    records = Study.open(study).images(most=_CHECKED_IMAGES) if study.is_dir() else []
    batch = next(image_batches(records, model.detector.input, batch=_CHECKED_IMAGES), None)
    return noise(model.detector.input, _CHECKED_IMAGES) if batch is None else batch
