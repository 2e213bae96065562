"""Labels that come back from where a study wrote images to be corrected: which nobody touched, and which files were taken.

What was written is kept in the study, by round, so that it is known wherever the labels come back from.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from boxwise.annotation.comparison import same_labels
from boxwise.artifacts.written_out import WrittenOut, add_written_out, boxes_of, marks, read_written_out, rows_of
from boxwise.boxes import Boxes
from boxwise.data.earlier_writes import digest_of
from boxwise.data.formats.base import Dataset, Finding
from boxwise.data.formats.layout import is_file
from boxwise.data.own_files import QUERY_FILE
from boxwise.report.to_correct import FILE_AN_IMAGE, Written, files_read, write_to_correct
from boxwise.study import Study

_ROUNDED = 1.0  # pixels: where a tool rounds the start and the length of a box, its end goes by both


def write_known(study: Study, dataset: Dataset, out: Path, name: str, format_name: str) -> None:
    """As `write_to_correct`, of a study's images: what they are written with is kept in it."""
    taken = frozenset[str]().union(*(kept.taken for kept in _of_all_rounds(study)))
    rows = {image_id: rows_of(boxes, dataset.classes) for image_id, boxes in dataset.labels.items()}
    write_to_correct(dataset, out, name, format_name, taken=taken, keep=lambda: add_written_out(_path(study), boxes=rows))


def untouched(study: Study, labels: Dataset, image_ids: Collection[str]) -> set[str]:
    """Those of the images whose labels are what a round wrote them with: the same boxes to within a pixel, marked alike, none missing."""
    whole, rounds = set(image_ids) - labels.incomplete, _of_all_rounds(study)
    return {i for i in whole if any(i in kept.boxes and _same(labels.labels[i], boxes_of(kept.boxes[i], study.classes)) for kept in rounds)}


def take_in(study: Study, labels: Path, format_name: str | None, findings: Sequence[Finding], *, left: Collection[str] = ()) -> list[Path]:
    """Labels that a query wrote were imported from there: as their files are now they may be written over.

    Not so those of which findings speak, themselves or by an image of theirs, since not all of them was taken; these are returned. Nor
    those of images that were `left` as they are, with nothing wrong about their labels. Of other labels nothing is kept.
    """
    written, faulty = Written.beside(labels), {str(finding.path) for finding in findings}
    if not (written.digests or is_file(written.folder / QUERY_FILE)):
        return []
    asked = {image_id for kept in _of_all_rounds(study) for image_id in kept.boxes}
    digests = {path: digest_of(path) for path in files_read(labels, format_name) if is_file(path)}
    changed = [path for path, digest in digests.items() if digest not in written.known]

    def of(image_ids: Iterable[str]) -> set[Path]:
        stems = {PurePosixPath(image_id).stem for image_id in image_ids if image_id in asked}
        return {path for path in changed if path.stem in stems or (stems and format_name not in FILE_AN_IMAGE)}

    with_findings = of(finding.image_id for finding in findings if finding.image_id)
    not_taken = [path for path in changed if str(path) in faulty or path in with_findings]
    kept = {*not_taken, *of(left)}
    add_written_out(_path(study), taken=[digest for path, digest in digests.items() if path not in kept])
    return not_taken


def _of_all_rounds(study: Study) -> list[WrittenOut]:
    return [read_written_out(study.files(number).written_out) for number in range(study.position[0] + 1)]


def _path(study: Study) -> Path:
    """The file of the open round."""
    return study.files(study.position[0]).written_out


def _same(labels: Boxes, written: Boxes) -> bool:
    """Whether the labels are what was written; marks that their format has no place for are as they were."""
    columns = labels.difficult is not None, labels.crowd is not None
    return same_labels(_marks_as_classes(labels, columns), _marks_as_classes(written, columns), within=_ROUNDED)


def _marks_as_classes(boxes: Boxes, columns: tuple[bool, bool]) -> Boxes:
    """The boxes with a class of their own for each of the marks that count."""
    difficult, crowd = (mark & counts for mark, counts in zip(marks(boxes), columns, strict=True))
    return replace(boxes, labels=4 * boxes.labels + 2 * difficult + crowd)
