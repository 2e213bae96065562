"""Copies of an image: one of the files with the same bytes stays, that which says most.

Returns records and findings. Knows nothing of any label format.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set

from boxwise.data.formats.base import Finding, FindingKind
from boxwise.data.formats.layout import STRICTNESS
from boxwise.data.formats.listing import Checked
from boxwise.data.formats.reading import Reading, clipped
from boxwise.records import ImageRecord


def without_copies(checked: Checked, readings: Mapping[str, Reading], faulty: Set[str]) -> tuple[list[ImageRecord], list[Finding]]:
    """The records without all but one of those with the same bytes, and a finding for each that is taken out.

    One with boxes stays before one that is said to hold no object, that before one of which nothing is said: absence is no evidence. Of
    those with boxes a sound one, then one of the strictest split, then the first. faulty: image ids whose labels are at fault.
    """
    groups: dict[str, list[ImageRecord]] = {}
    for record in checked.records:
        groups.setdefault(checked.digests.get(record.image_id, f"/{record.image_id}"), []).append(record)
    findings = [finding for group in groups.values() if len(group) > 1 for finding in _copy_findings(group, readings, faulty)]
    out = {finding.image_id for finding in findings if finding.quarantined}
    return [record for record in checked.records if record.image_id not in out], findings


def _copy_findings(group: Sequence[ImageRecord], readings: Mapping[str, Reading], faulty: Set[str]) -> Iterable[Finding]:
    """Which of the copies are taken out, and whether their labels disagree."""
    kept = max(group, key=lambda r: (_weight(readings.get(r.image_id)), r.image_id not in faulty, STRICTNESS[r.split]))
    for record in (record for record in group if record is not kept):
        message = f"{record.uri}: expected an image of its own, found a byte-for-byte copy of {kept.image_id}."
        yield Finding(
            FindingKind.DUPLICATE_IMAGE, record.uri, message, record.image_id, quarantined=True, picture=record.uri, twin=kept.uri
        )
    labelled = [record for record in group if _weight(readings.get(record.image_id)) > 1]
    if len({_content(readings[record.image_id], record) for record in labelled}) > 1:
        others = ", ".join(record.image_id for record in labelled if record is not kept)
        message = f"{kept.uri}: expected equal labels for copies of one image, found others for {others}. "
        message += f"Those of {kept.image_id} are kept."
        yield Finding(FindingKind.CONFLICTING_LABELS, kept.uri, message, kept.image_id, picture=kept.uri)


def _weight(reading: Reading | None) -> int:
    """How much a reading says: 3 with boxes, 2 without objects by somebody's word, 1 by convention, 0 nothing."""
    if reading is None or reading.unlabelled:
        return 0
    return 3 if len(reading.names) else 1 if reading.implied else 2


def _content(reading: Reading, record: ImageRecord) -> frozenset[tuple[str, bytes]]:
    """What a reading says, whatever the order of its boxes."""
    corners = clipped(reading.xyxy, record)
    return frozenset((name, row.tobytes()) for name, row in zip(reading.names, corners, strict=True))
