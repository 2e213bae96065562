"""The page of `boxwise doctor`: counts of a data set, and each finding with its picture.

Returns the path written; one file that needs nothing beside it. Knows nothing of how findings are made.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from boxwise.boxes import Boxes
from boxwise.data.examination import Examination
from boxwise.data.formats.base import Dataset, Finding
from boxwise.data.images import image_size
from boxwise.errors import ImageError
from boxwise.report.html import write_page
from boxwise.report.sheets import Outline, Thumbnail, picture
from boxwise.results.colors import class_colors

WIDEST = 300  # pixels a side of a picture
MOST_OF_A_KIND, MOST = 24, 240  # pictures; a page stays below about 6 MB
_MARK = "#d00000"


@dataclass(frozen=True)
class _Case:
    """One finding: what is said, whether its image is left out, its picture with the boxes, and the one it is compared with."""

    message: str
    mark: str
    shots: tuple[Thumbnail, ...]


@dataclass(frozen=True)
class _Kind:
    """All findings of one kind; hidden: how many are not shown."""

    name: str
    count: int
    cases: tuple[_Case, ...]
    hidden: int


def write_doctor_page(dataset: Dataset, examined: Examination, target: Path, *, title: str) -> Path:
    """Write the page to `target` and return it. Raises BoxwiseError when the file cannot be written."""
    findings = [*dataset.findings, *examined.leaks, *examined.suspects, *examined.faint]
    page = {
        "title": title,
        "examined": examined,
        "notes": dataset.notes,
        "splits": list(examined.images),
        "largest": max((facts.boxes for facts in examined.classes), default=0) or 1,
        "kinds": _kinds(findings, dataset),
        "left_out": len({finding.image_id for finding in dataset.findings if finding.quarantined}),
    }
    return write_page("doctor.html.j2", page, target)


def _kinds(findings: Sequence[Finding], dataset: Dataset) -> list[_Kind]:
    names = list(dict.fromkeys(finding.kind for finding in findings))
    share = min(MOST_OF_A_KIND, MOST // max(1, len(names)))
    kinds = []
    for name in names:
        of_kind = [finding for finding in findings if finding.kind is name]
        cases = tuple(_case(finding, dataset) for finding in of_kind[:share])
        kinds.append(_Kind(name.value, len(of_kind), cases, len(of_kind) - len(cases)))
    return kinds


def _case(finding: Finding, dataset: Dataset) -> _Case:
    mark = "left out" if finding.quarantined else "kept"
    shot = picture(finding.picture, widest=WIDEST) if finding.picture else None
    twin = picture(finding.twin, widest=WIDEST) if finding.twin else None
    drawn = shot and replace(shot, outlines=tuple(_outlines(finding, dataset, shot)))
    return _Case(finding.message, mark, tuple(one for one in (drawn, twin) if one))


def _outlines(finding: Finding, dataset: Dataset, shot: Thumbnail) -> Iterable[Outline]:
    """The image's labels in their colours, and the box that the finding is about in red."""
    record = next((record for record in dataset.images if record.image_id == finding.image_id), None)
    size = (record.width, record.height) if record else _size_of(finding)
    if size is None:
        return
    scale, colors = shot.width / size[0], class_colors(len(dataset.classes))
    boxes = dataset.labels.get(finding.image_id or "", Boxes.empty())
    for (x1, y1, x2, y2), label in zip((boxes.xyxy * scale).tolist(), boxes.labels.tolist(), strict=True):
        yield Outline(x1, y1, x2 - x1, y2 - y1, colors[label], dataset.classes[label])
    if finding.box is not None:
        sides = (shot.width, shot.height) * 2
        left, top, right, bottom = (min(max(value * scale, 0.0), side) for value, side in zip(finding.box, sides, strict=True))
        yield Outline(left, top, max(right - left, 2.0), max(bottom - top, 2.0), _MARK, "the box in question", dashed=True)


def _size_of(finding: Finding) -> tuple[int, int] | None:
    try:
        return image_size(finding.picture) if finding.picture else None
    except ImageError:
        return None
