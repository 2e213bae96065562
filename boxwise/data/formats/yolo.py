"""YOLO: one text file an image, beside or in place of its `images` folder; names and splits in data.yaml.

Reads a data.yaml, Darknet's obj.data, a root with images/ and labels/, a folder of labels, or a flat folder of both. A line is
`class cx cy w h`, each over the image's size; a sixth number may be a score, a longer line is a polygon, of which the extent is taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np
import yaml

from boxwise.boxes import Boxes
from boxwise.data.addresses import Images
from boxwise.data.formats.base import UPRIGHT, Coordinates, Dataset, Finding, FindingKind, Progress
from boxwise.data.formats.checking import assemble, unlabelled
from boxwise.data.formats.layout import check_names, existing, shared_stems, stem_of
from boxwise.data.formats.listing import Listed, check_images, matched_by_name, not_read
from boxwise.data.formats.placing import place_images, write_texts
from boxwise.data.formats.reading import empty_by_convention
from boxwise.data.formats.yolo_layouts import locate, read_sheet, splits_of, swapped
from boxwise.data.formats.yolo_lines import Parsed, column_findings, holds_scores, maybe_poses, numbered_names, parse
from boxwise.data.formats.yolo_names import check_beside, name_lists, named_twice, naming, unread
from boxwise.data.formats.yolo_owners import owners
from boxwise.errors import BoxwiseError
from boxwise.records import ImageRecord, Split

_NO_NAMES = "no names of classes were found (data.yaml, classes.txt, obj.names)"


class Yolo:
    """The text format of Darknet (Redmon et al., CVPR 2016) with the data.yaml that its successors added.

    Written with list files (train.txt, ...) instead of folders a split, so that image ids are the same in every format. It cannot hold
    `difficult`, ids and crowds; crowds are left out. A sixth number is a score where all of them are fractions from 0 to 1 (else the id of
    a track, which is passed over); key points are passed over where data.yaml gives their shape.
    """

    name = "yolo"
    holds = frozenset({"scores"})

    def read(
        self,
        labels: Path,
        images: Images | None = None,
        *,
        classes: tuple[str, ...] | None = None,
        missing_is_empty: bool = True,
        verify: bool = True,
        coordinates: Coordinates = UPRIGHT,
        progress: Progress | None = None,
    ) -> Dataset:
        """As `Reader.read`. Without any label file at all every image is unlabelled, also with `missing_is_empty`.

        BoxwiseError also where lists of names contradict each other, or numbers are to be those of `classes` though names are there that
        cannot be read.
        """
        sheet, findings = read_sheet(existing(labels, "a YOLO data.yaml or folder"))
        index, folders = locate(sheet, images)
        named, findings = naming(sheet, findings)
        without_names = unread(named, findings)
        owned = owners(sheet, index, folders, findings)
        files = owned.files
        if not index.paths and not files:
            raise BoxwiseError(findings[0].message if findings else f"{labels}: expected images/ and labels/, found no images.")
        splits = splits_of(sheet, index, findings)
        parsed = {image_id: parse(path, keypoints=sheet.keypoints) for image_id, path in files.items()}
        findings += _faults(parsed)
        out = {finding.image_id for finding in findings if finding.quarantined}
        listed = [Listed(i, path, splits.get(i), source=files.get(i)) for i, path in index.paths.items() if i not in out]
        checked = check_images(listed, verify=verify, coordinates=coordinates, progress=progress, index=index)
        lists = name_lists(named, folders.labels, files.values())
        findings += named_twice(lists.values())
        bare = [file for file in parsed.values() if lists[file.path.parent] is None]
        numbers = {label for file in bare for label in file.classes} if classes else set[int]()
        if numbers and without_names:
            raise BoxwiseError(f"{without_names} What the numbers of the label files mean cannot be known without the names there.")
        unnamed = classes or numbered_names(bare)
        names = {folder: unnamed if one is None else one.names for folder, one in lists.items()}
        scored = holds_scores(parsed.values())
        findings += column_findings(parsed.values(), scored=scored, labels=folders.labels)
        readings = {image_id: file.reading(names[file.path.parent], scored=scored) for image_id, file in parsed.items()}
        if missing_is_empty and files:
            unsaid = [r.image_id for r in checked.records if r.image_id not in readings and r.image_id not in owned.doubtful]
            readings |= {image_id: empty_by_convention(folders.labels) for image_id in unsaid}
        findings += unlabelled(folders.labels, checked.records, readings, expected="a label file")
        class_names = classes or tuple(dict.fromkeys(name for of_folder in names.values() for name in of_folder))
        of_several = named.notes if named.folder == named.path else ()
        notes = [*dict.fromkeys((*sheet.notes, *of_several)), *_notes(sheet.keypoints, classes, unnamed, numbers)]
        notes += [*maybe_poses(parsed.values()), *matched_by_name(owned.by_name, folders.labels), *not_read(owned.left, [folders.labels])]
        read = assemble(checked, readings, classes=class_names, findings=findings, notes=notes)
        return replace(read, by_number=frozenset(numbers))

    def write(self, dataset: Dataset, target: Path, *, copy_images: bool = False) -> list[Path]:
        """As `Format.write`: data.yaml, a list a split, labels/<image_id>.txt, and images/<image_id> when copied.

        BoxwiseError also where a list of names lies there that says otherwise.
        """
        check_names(dataset)
        check_beside(target, dataset.classes)
        shared = shared_stems(record.image_id for record in dataset.images)
        texts: dict[Path, str] = {}
        for record in dataset.images:
            if record.image_id in dataset.labels:
                path = target / _label_name(record.image_id, shared)
                if path in texts:
                    raise BoxwiseError(f"{record.uri}: YOLO has one place for its labels and those of another image, {path}. Rename it.")
                texts[path] = _lines(dataset.labels[record.image_id], record)
        members = {split: [f"./images/{r.image_id}\n" for r in dataset.images if r.split == split] for split in Split}
        texts |= {target / f"{split}.txt": "".join(lines) for split, lines in members.items() if lines}
        lists = {str(split): f"{split}.txt" for split, lines in members.items() if lines}
        sheet = {**lists, "nc": len(dataset.classes), "names": dict(enumerate(dataset.classes))}
        texts[target / "data.yaml"] = yaml.safe_dump(sheet, sort_keys=False, allow_unicode=True)
        write_texts(texts)
        if copy_images:
            place_images(dataset, target / "images")
        return list(texts)


def _faults(parsed: Mapping[str, Parsed]) -> list[Finding]:
    return [
        Finding(FindingKind.BAD_LABEL_FILE, file.path, file.fault, image_id, quarantined=True)
        for image_id, file in parsed.items()
        if file.fault is not None
    ]


def _notes(keypoints: int, classes: Sequence[str] | None, unnamed: Sequence[str], numbers: Set[int]) -> list[str]:
    """unnamed: what classes are called where no list of names is. numbers: those that were taken for numbers of `classes`."""
    notes = ["the key points of a pose file are passed over; its boxes are read."] if keypoints else []
    if numbers:
        taken = ", ".join(f"{n} = {unnamed[n]}" for n in sorted(numbers) if 0 <= n < len(unnamed))
        notes.append(f"{_NO_NAMES}: numbers are taken for those of the study's classes ({taken or 'none of them is one'}).")
    elif unnamed and not classes:
        notes.append(f"{_NO_NAMES}: classes are called by their numbers.")
    return notes


def _label_name(image_id: str, shared: set[str]) -> str:
    """labels/a.txt for a.jpg; labels/a.jpg.txt where a.png wants a label file too."""
    label = swapped(PurePosixPath("images", image_id))
    return f"{label}.txt" if stem_of(image_id) in shared else str(label.with_suffix(".txt"))


def _lines(boxes: Boxes, record: ImageRecord) -> str:
    boxes = boxes if boxes.crowd is None else boxes[~boxes.crowd]
    rows = []
    for row in range(len(boxes)):
        x1, y1, x2, y2 = boxes.xyxy[row].tolist()
        (cx, width), (cy, height) = _centre(x1, x2, record.width), _centre(y1, y2, record.height)
        score = "" if boxes.scores is None else f" {boxes.scores[row]}"
        rows.append(f"{boxes.labels[row]} {cx} {cy} {width} {height}{score}\n")
    return "".join(rows)


def _centre(start: float, end: float, size: int) -> tuple[str, str]:
    """Centre and length over `size`, in the fewest digits that read back as the same float32."""
    centre, length = (start + end) / 2 / size, (end - start) / size
    texts = ((_text(centre, digits), _text(length, digits)) for digits in (6, 9, 12))
    return next((text for text in texts if _exact(text, start, end, size)), (repr(centre), repr(length)))


def _text(value: float, digits: int) -> str:
    return f"{value:.{digits}f}".rstrip("0").rstrip(".")


def _exact(text: tuple[str, str], start: float, end: float, size: int) -> bool:
    centre, length = map(float, text)

    def read(value: float) -> np.float32:
        return np.float32(min(max(value * size, 0.0), size))

    return bool(read(centre - length / 2) == start and read(centre + length / 2) == end)
