"""The verbs that keep a study in order beside its rounds: add, relocate, unlabel, exclude, include, history, repair."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import accumulate
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from boxwise.cli.reading import FormatName, Images, LabelsIn, Pixels, VocOrigin, coordinates
from boxwise.errors import plural, quoted

if TYPE_CHECKING:
    from boxwise.data.watching import Looked
    from boxwise.records import ImageRecord
    from boxwise.store import HistoryEntry, StoredEvent
    from boxwise.study import Study

app = typer.Typer()
StudyFolder = Annotated[Path, typer.Argument(metavar="STUDY", help="The study's folder.")]
ImageNames = Annotated[
    list[str] | None,
    typer.Argument(metavar="[IMAGE]...", help="Images by name, by the unique end of it, or by a pattern such as 'img_0*.jpg', in quotes."),
]
ImageList = Annotated[Path | None, typer.Option("--list", metavar="FILE", help="A file that names images, one a line.")]


def _person(name: str | None) -> str | None:
    if name is not None:
        from boxwise.store import check_person

        check_person(name)
    return name


Who = Annotated[
    str | None, typer.Option("--by", callback=_person, help="Who does it; kept with it.", show_default="the user of this machine")
]
_SHOWN = 3


@app.command()
def add(
    study: StudyFolder,
    images: Images = None,
    labels: Annotated[Path | None, typer.Option(help="Labels of them that exist already, in the study's classes.")] = None,
    format: FormatName = None,
    labels_in: LabelsIn = Pixels.UPRIGHT,
    voc_origin: VocOrigin = 0,
    by: Who = None,
) -> None:
    """Let new images join the study. Those that it has already stay as they are; copies and broken files are named."""
    from boxwise.cli.console import note, reading, say
    from boxwise.data.addresses import given
    from boxwise.data.datasets import read_pool
    from boxwise.study import Study

    opened = Study.open(study)
    meant, classes, other = coordinates(labels_in, voc_origin), opened.classes, opened.renumbered()
    dataset = read_pool(
        images and given(images), labels, format_name=format, classes=classes, renumbered=other, coordinates=meant, progress=reading
    )
    added = opened.add(dataset, who=by)
    for finding in added.findings:
        note(f"{finding.kind.value}: {finding.message}")
    for remark in dataset.notes:
        note(f"Note: {remark}")
    say(f"{plural(added.images, 'image')} joined, {added.labels} of them labelled; {added.known} were in the study already.")
    say(f"{plural(opened.pool_size(), 'image')} in the pool. Next: boxwise run {quoted(study)}")


@app.command()
def relocate(
    study: StudyFolder,
    images: Annotated[str, typer.Option(help="Where the images lie now: a folder, or an address such as s3://bucket/photos.")],
    changed: Annotated[bool, typer.Option("--changed", help="Take files of other content, too.")] = False,
    by: Who = None,
) -> None:
    """Say where the images lie after they were moved or renamed. Each is known by its name and its content."""
    from boxwise.cli.console import note, reading, say
    from boxwise.data.addresses import given
    from boxwise.study import Study

    opened = Study.open(study)
    done = opened.relocate(given(images), changed_too=changed, who=by, progress=reading)
    say(
        f"{plural(done.moved, 'image', 'is')} found in {images} now"
        + (f", {done.restored} of them are in use again." if done.restored else ".")
    )
    if done.renamed:
        pairs = ", ".join(f"{image_id} is {uri}" for image_id, uri in list(done.renamed.items())[:_SHOWN])
        say(f"{len(done.renamed)} found under another name: {pairs}{', ...' if len(done.renamed) > _SHOWN else '.'}")
    if done.changed:
        note(f"{_named(done.changed)}: other content than when the images joined, left where they were. --changed takes them.")
    if done.unfit:
        note(
            f"{_named(done.unfit)}: another size than when the images joined, and labels that would lie outside: left where they were. "
            f"Take the labels back first: boxwise unlabel {quoted(study)} {quoted(done.unfit[0])}"
        )
    if done.doubtful:
        otherwise = f"If not: boxwise unlabel {quoted(study)} IMAGE"
        note(f"{_named(done.doubtful)}: other content now, and labels from before. Do these fit? {otherwise}")
    if done.missing:
        note(f"{_named(done.missing)}: not in {images}.")
    note_outdated(opened)


@app.command()
def unlabel(study: StudyFolder, images: ImageNames = None, listed: ImageList = None, by: Who = None) -> None:
    """Take the labels of images back. They stay in the history; images of the pool may be asked about again."""
    from boxwise.cli.console import note, say
    from boxwise.records import Phase, Split
    from boxwise.study import Study
    from boxwise.study.matching import images_matching

    opened = Study.open(study)
    taken = opened.unlabel(images_matching(opened, images or (), listed), who=by)
    say(f"{plural(len(taken), 'image', 'is')} unlabelled now: {', '.join(taken) or 'none had labels'}.")
    asked = opened.unanswered().image_ids if opened.position[1] is Phase.ANNOTATE else ()
    aside = [i for i in taken if i not in asked and (record := opened.record(i)) and record.split is not Split.TRAIN]
    if aside:
        note(f"{_named(aside)}: of val or test, so never asked about; label them on the page or by `boxwise import`.")
    note_outdated(opened)


@app.command()
def exclude(
    study: StudyFolder,
    images: ImageNames = None,
    listed: ImageList = None,
    reason: Annotated[str, typer.Option(help="Why; shown wherever the image is.")] = "no reason given",
    by: Who = None,
) -> None:
    """Take images out of use, with their labels. `boxwise include` puts them back."""
    from boxwise.cli.console import say
    from boxwise.study import Study
    from boxwise.study.matching import images_matching

    opened = Study.open(study)
    taken = opened.exclude(images_matching(opened, images or (), listed), reason, who=by)
    say(f"{plural(len(taken), 'image', 'is')} out of use now: {', '.join(taken) or 'all were so already'}.")
    note_outdated(opened)


@app.command()
def include(study: StudyFolder, images: ImageNames = None, listed: ImageList = None, by: Who = None) -> None:
    """Put images to use again.

    Excluded ones, those flagged on the page, and those whose file was broken and is mended.
    """
    from boxwise.cli.console import say
    from boxwise.study import Study
    from boxwise.study.matching import images_matching

    opened = Study.open(study)
    back = opened.include(images_matching(opened, images or (), listed), who=by)
    say(f"{plural(len(back), 'image', 'is')} in use again: {', '.join(back) or 'none was out of use'}.")
    note_outdated(opened)


@app.command()
def history(study: StudyFolder, image: Annotated[str, typer.Argument(metavar="IMAGE")]) -> None:
    """Show all that has happened to an image.

    Who labelled it when and how, and what else was done with it.
    """
    from boxwise.cli.console import say
    from boxwise.study import Study

    opened = Study.open(study)
    (image_id,) = opened.images_named([image])
    record, current = opened.record(image_id), opened.annotation(image_id)
    assert record is not None and record.split is not None
    say(f"{image_id}: {record.split.value}, {record.width} x {record.height}, {record.uri}")
    if fault := opened.fault(image_id):
        say(f"out of use: {fault}")
    entries, events = opened.history(image_id), opened.events(image_id)
    changes = [event for event in opened.class_events() if any(entry.number <= event.body["newest"] for entry in entries)]
    converted = opened.converted(entries)
    lines = [(event.at, event.at, _event_line(event)) for event in changes]
    for moment, entry in zip(_moments(entries, changes), entries, strict=True):
        lines.append((moment, entry.at, _entry_line(entry, opened.classes_of(entry), converted=entry.number in converted)))
    lines += [(event.at, event.at, _event_line(event)) for event in events]
    for _, at, line in sorted(lines, key=itemgetter(0)):
        say(f"{at}  {line}")
    say("Now: no labels." if current is None else f"Now: {_boxes(current.boxes.labels.tolist(), opened.classes)}.")


@app.command()
def repair(study: StudyFolder) -> None:
    """Put right a study that a disk or a kill has damaged.

    Its settings, its database, the files of its rounds.
    """
    from boxwise.cli.console import say
    from boxwise.study.repair import repair as put_right

    damaged, sentences = False, put_right(study)
    try:
        for sentence in sentences:
            damaged = True
            say(sentence)
    except (BrokenPipeError, SystemExit):
        deque(sentences, maxlen=0)  # nobody reads on, as with `| head`; the study is put right all the same
        raise
    say(f"Next: boxwise run {quoted(study)}" if damaged else f"{study}: nothing is damaged.")


def note_outdated(opened: Study) -> None:
    """Say which rounds' figures speak of labels that have changed since, after a command by which some may have."""
    from boxwise.cli.console import note

    if remedy := opened.outdated().remedy:
        note(remedy)


def check_files(opened: Study, *, needed: Sequence[ImageRecord] = ()) -> None:
    """As `note_files`, of all files or, with some that are `needed`, of these; StudyError where one of them or a whole folder is gone."""
    from boxwise.cli.console import looking
    from boxwise.errors import StudyError

    looked, lost = opened.glance() if needed else opened.look(progress=looking), opened.look_at(needed).missing
    if looked.folders_gone or lost:
        first = (lost or looked.missing)[0]
        raise StudyError(
            f"{first.uri}: expected the image {first.image_id}, found no such file. "
            f"{plural(len(lost or looked.missing), 'image', 'is')} missing. "
            f"If they were moved: boxwise relocate {quoted(opened.folder)} --images DIR"
        )
    _note(opened, looked)


def note_files(opened: Study, *, among: Sequence[ImageRecord] | None = None) -> None:
    """Say which image files are gone, have other content than when they joined, or lie beside them and are not in the study.

    Of very many images only some are looked at, and it is said that it were some. among: look at the files of these, and at no others.
    """
    _note(opened, opened.glance() if among is None else opened.look_at(among))


def _note(opened: Study, looked: Looked) -> None:
    from boxwise.cli.console import note

    new, typed = looked.new, quoted(opened.folder)
    if looked.seen is not None:
        seen, count = looked.seen
        note(f"{seen:,} of {count:,} image files were looked at, drawn at random. All of them: boxwise doctor {typed}")
    if looked.missing:
        note(f"Missing: {_files(looked.missing)}. If moved: boxwise relocate {typed} --images DIR")
    if looked.changed:
        note(f"Of other content than when it joined: {_files(looked.changed)}. Do the labels still fit? Look: boxwise doctor {typed}")
    if looked.closed:
        note(f"New files were not looked for: {looked.closed}")
    if new:
        note(f"{plural(len(new), 'image file', 'is')} not in the study (first: {new[0]}). To add them: boxwise add {typed} --images DIR")


def _files(records: Sequence[ImageRecord]) -> str:
    paths = ", ".join(record.uri for record in records[:_SHOWN])
    return f"{plural(len(records), 'image file')} ({paths}{', ...' if len(records) > _SHOWN else ''})"


def _named(image_ids: Sequence[str]) -> str:
    return f"{plural(len(image_ids), 'image')} ({', '.join(image_ids[:_SHOWN])}{', ...' if len(image_ids) > _SHOWN else ''})"


def _moments(entries: Sequence[HistoryEntry], changes: Sequence[StoredEvent]) -> Iterator[str]:
    """From when each of the labels is there: in the order of their numbers, by which the last one counts, also where a clock was set back
    between them, and converted ones from the change of the classes."""
    there = (max([entry.at, *(change.at for change in changes if change.body["newest"] < entry.number)]) for entry in entries)
    return accumulate(there, max)


def _entry_line(entry: HistoryEntry, classes: Sequence[str], *, converted: bool) -> str:
    given = entry.annotation
    whole = "complete" if given.complete else "incomplete"
    past = ", converted when the classes changed" if converted else ", not counted: taken back or too late" if entry.late else ""
    return f"labelled by {entry.annotator}, round {given.round}: {_boxes(given.boxes.labels.tolist(), classes)}, {whole}{past}"


def _event_line(event: StoredEvent) -> str:
    words, seconds = event.body.get("remark", event.body.get("reason")), event.body.get("seconds")
    took = f", {seconds:.0f} s" if seconds else ""
    what = event.body.get("why", f"{event.kind} by {event.who}").removesuffix(".")
    return f"{what}{f': {words}' if words else ''}, round {event.round}{took}"


def _boxes(labels: Sequence[int], classes: Sequence[str]) -> str:
    counts = {name: sum(label == number for label in labels) for number, name in enumerate(classes)}
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "no objects"
