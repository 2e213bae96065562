"""Several COCO files as one data set: which of them counts for an image that more than one lists, and which classes they have.

Returns images, their readings and findings. Knows nothing of folders.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from boxwise.data.formats.base import Finding, FindingKind
from boxwise.data.formats.coco_parser import Parsed
from boxwise.data.formats.layout import STRICTNESS
from boxwise.data.formats.listing import Listed
from boxwise.data.formats.reading import Reading

_SAME_PIXELS = 0.5
_Entry = tuple[Listed, Reading | None]


def merged(parsed: Sequence[Parsed]) -> tuple[list[Listed], dict[str, Reading], list[Finding]]:
    """The images of all files and what is said of each; one that files say different things of is taken out.

    An image of several files serves the strictest split, so that nothing of the test is trained on. What counts is a label over COCO's
    convention that there is no object, a box without a score, which a person has drawn, over a model's, then the strictest split.
    """
    by_id: dict[str, list[_Entry]] = {}
    for file in parsed:
        for image in file.images:
            by_id.setdefault(image.image_id, []).append((image, file.readings.get(image.image_id)))
    listed: list[Listed] = []
    readings: dict[str, Reading] = {}
    findings: list[Finding] = []
    for image_id, entries in by_id.items():
        best = max(entries, key=_weight)
        rival = next((one for one in entries if _weight(one) == _weight(best) and not _agree(one[1], best[1])), None)
        if rival is not None:
            findings.append(_torn(best[0], rival[0]))
            continue
        image, reading = best
        listed.append(replace(image, split=max((one.split for one, _ in entries), key=lambda split: STRICTNESS[split])))
        readings |= {} if reading is None else {image_id: reading}
        findings += [_repeated(one, entries[0][0], image) for one, _ in entries[1:]]
    return listed, readings, findings


def _weight(entry: _Entry) -> tuple[int, int]:
    image, reading = entry
    if reading is None or reading.implied:
        return int(reading is not None), STRICTNESS[image.split]
    return 2 if "scores" in reading.columns else 3, STRICTNESS[image.split]


def _agree(one: Reading | None, other: Reading | None) -> bool:
    """Whether both have the same boxes, rounding aside, in any order."""
    if one is None or other is None or one is other:
        return one is other
    (names, corners), (other_names, other_corners) = _sorted(one), _sorted(other)
    return names == other_names and one.partly == other.partly and np.allclose(corners, other_corners, atol=_SAME_PIXELS, equal_nan=True)


def _sorted(reading: Reading) -> tuple[list[str], Any]:
    order = np.lexsort((*reading.xyxy.T[::-1], np.array(reading.names, str)))
    return [reading.names[row] for row in order], reading.xyxy[order]


def _repeated(image: Listed, first: Listed, counts: Listed) -> Finding:
    message = f"{image.source}: expected {image.image_id} in one file, found it in {first.source} too; {counts.source} counts."
    return Finding(FindingKind.DUPLICATE_ID, image.source or image.uri, message, image.image_id)


def _torn(image: Listed, rival: Listed) -> Finding:
    message = f"{rival.source}: expected the labels that {image.source} has for {image.image_id}, found others. "
    message += "Neither counts: keep one of the two files, or name it."
    return Finding(FindingKind.CONFLICTING_LABELS, rival.source or rival.uri, message, image.image_id, quarantined=True)


def classes_of(parsed: Iterable[Parsed], given: tuple[str, ...] | None) -> tuple[tuple[str, ...], tuple[int, ...] | None, list[str]]:
    """Class names in the order of the files, their category ids if they are distinct integers, and notes.

    A category without a box whose name is the supercategory of one that has boxes, but not its own, is a heading: no class, unless it is
    `given`.
    """
    numbers: dict[str, Any] = {}
    below: defaultdict[str, set[str]] = defaultdict(set)
    used: set[str] = set()
    for file in parsed:
        for number, name in file.categories.items():
            numbers.setdefault(name, number)
        for name, above in file.above.items():
            below[above].add(name)
        used |= {name for reading in file.readings.values() for name in reading.names}
    headings = [] if given else [name for name in numbers if name not in used and name not in below[name] and below[name] & used]
    names = given or tuple(name for name in numbers if name not in headings)
    ids = tuple(numbers.get(name) for name in names)
    integers = tuple(number for number in ids if isinstance(number, int))
    return names, integers if len(set(integers)) == len(names) else None, _heading_notes(headings)


def _heading_notes(headings: Sequence[str]) -> list[str]:
    if not headings:
        return []
    named = ", ".join(map(repr, headings[:8])) + (", ..." if len(headings) > 8 else "")
    return [f"supercategories without a box of their own are no classes: {named}. To have them as such, name all classes."]
