"""YOLO: one text file an image, beside or in place of its `images` folder; names and splits in data.yaml.

Reads a data.yaml, a root with images/ and labels/, a folder of labels, or a flat folder of both. A line is `class cx cy w h`, each
over the image's size; a sixth number is a score, a longer line a polygon, of which the extent is taken. Knows nothing of masks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import yaml

from boxwise.boxes import Boxes
from boxwise.data.formats.base import Dataset, Finding, FindingKind, Progress
from boxwise.data.formats.checking import Listed, Reading, assemble, check_images, unlabelled
from boxwise.data.formats.layout import (
    STRICTNESS,
    ImageIndex,
    existing,
    first_folder,
    listed_names,
    place_images,
    shared_stems,
    split_named,
    write_texts,
)
from boxwise.errors import BoxwiseError
from boxwise.records import ImageRecord, Split

_SPLIT_KEYS = {"train": Split.TRAIN, "val": Split.VAL, "valid": Split.VAL, "validation": Split.VAL, "test": Split.TEST}
_NOT_LABELS = {"classes.txt", "train.txt", "val.txt", "valid.txt", "test.txt", "notes.txt", "readme.txt", "labels.txt"}


class Yolo:
    """The text format of Darknet (Redmon et al., CVPR 2016) with the data.yaml that its successors added.

    Written with list files (train.txt, ...) instead of folders a split, so that image ids are the same in every format. `difficult`,
    `crowd` and ids have no place in it.
    """

    name = "yolo"

    def read(
        self,
        labels: Path,
        images: Path | None = None,
        *,
        classes: tuple[str, ...] | None = None,
        missing_is_empty: bool = True,
        verify: bool = True,
        progress: Progress | None = None,
    ) -> Dataset:
        """As `Format.read`. Without any label file at all every image is unlabelled, whatever `missing_is_empty` says."""
        sheet, findings = _sheet(existing(labels, "a YOLO data.yaml or folder"))
        index, folders = _locate(sheet, images)
        files = _label_files(folders, index)
        if not index.paths and not files:
            raise BoxwiseError(findings[0].message if findings else f"{labels}: expected images/ and labels/, found no images.")
        splits = _splits(sheet, index, findings)
        owners = _owners(files, index, folders, findings)
        out = {finding.image_id for finding in findings if finding.quarantined}
        listed = [Listed(i, path, splits.get(i)) for i, path in index.paths.items() if i not in out]
        records, image_findings = check_images(listed, verify=verify, progress=progress)
        findings += image_findings
        parsed = {record.image_id: _parse(owners[record.image_id]) for record in records if record.image_id in owners}
        records = _sound(records, parsed, findings)
        names = sheet.names or classes or _counted(parsed.values())
        readings = {r.image_id: _reading(parsed[r.image_id], names, r) for r in records if r.image_id in parsed}
        readings |= _without_file(records, readings, folders, findings, empty=missing_is_empty and bool(owners))
        return assemble(records, readings, classes=classes or names, findings=findings)

    def write(self, dataset: Dataset, target: Path, *, copy_images: bool = False) -> None:
        """As `Format.write`: data.yaml, a list a split, labels/<image_id>.txt, and images/<image_id> when copied."""
        shared = shared_stems(record.image_id for record in dataset.images)
        texts: dict[Path, str] = {}
        for record in dataset.images:
            if record.image_id in dataset.labels:
                name = _label_name(_swapped(PurePosixPath("images", record.image_id)), shared)
                texts[target / name] = _lines(dataset.labels[record.image_id], record)
        members = {split: [f"./images/{r.image_id}\n" for r in dataset.images if r.split == split] for split in Split}
        texts |= {target / f"{split}.txt": "".join(lines) for split, lines in members.items() if lines}
        lists = {str(split): f"{split}.txt" for split, lines in members.items() if lines}
        sheet = {**lists, "nc": len(dataset.classes), "names": dict(enumerate(dataset.classes))}
        texts[target / "data.yaml"] = yaml.safe_dump(sheet, sort_keys=False, allow_unicode=True)
        write_texts(texts)
        if copy_images:
            place_images(dataset, target / "images")


@dataclass(frozen=True)
class _Sheet:
    """What data.yaml says, or a folder without one implies. base: what its paths are relative to."""

    path: Path
    base: Path
    names: tuple[str, ...] = ()
    entries: Mapping[Split, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Folders:
    """base: the root. labels: what label paths are relative to, images/ swapped for labels/ or not."""

    base: Path
    labels: Path


@dataclass(frozen=True)
class _Parsed:
    """One label file: numbers of each line, or why it has none."""

    path: Path
    classes: list[int] = field(default_factory=list)
    extents: list[tuple[float, ...]] = field(default_factory=list)  # x1, y1, x2, y2 over the image's size
    scores: list[float | None] = field(default_factory=list)
    fault: str | None = None


def _sheet(labels: Path) -> tuple[_Sheet, list[Finding]]:
    folder = labels if labels.is_dir() else labels.parent
    choices = [labels] if labels.is_file() else [folder / name for name in ("data.yaml", "dataset.yaml", "data.yml")]
    path = next((choice for choice in choices if choice.is_file()), None)
    if path is None:
        return _Sheet(folder, folder, listed_names(folder / "classes.txt") or listed_names(folder / "labels" / "classes.txt")), []
    try:
        content = yaml.safe_load(path.read_bytes())
        if not isinstance(content, dict):
            raise ValueError(f"a {type(content).__name__}")
        names = _names(content.get("names"))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        message = f"{path}: expected YAML with names (a list or a mapping), found {' '.join(str(error).split())}."
        return _Sheet(path, folder), [Finding(FindingKind.BAD_LABEL_FILE, path, message)]
    base = folder / str(content.get("path") or "")
    entries = {split: _texts(content[key]) for key, split in _SPLIT_KEYS.items() if content.get(key)}
    return _Sheet(path, base if base.is_dir() else folder, names, entries), []


def _names(names: Any) -> tuple[str, ...]:
    """Class names in index order; a gap in a mapping is named by its number. Raises ValueError."""
    if names is None:
        return ()
    if isinstance(names, list):
        return tuple(map(str, names))
    if not isinstance(names, dict) or not all(isinstance(number, int) and 0 <= number < 100_000 for number in names):
        raise ValueError(f"names: {str(names)[:60]}")
    return tuple(str(names.get(number, number)) for number in range(max(names, default=-1) + 1))


def _texts(value: Any) -> list[str]:
    return [str(entry) for entry in value] if isinstance(value, list) else [str(value)]


def _locate(sheet: _Sheet, images: Path | None) -> tuple[ImageIndex, _Folders]:
    """Images in images/ below the base, or where labels/ has images/ as its twin, or in the base itself."""
    base = sheet.base
    twin = Path(_swapped(PurePosixPath(base.absolute().as_posix()), "labels", "images"))
    folder = images or (base / "images" if (base / "images").is_dir() else twin if twin.is_dir() else base)
    return ImageIndex(folder), _Folders(base, first_folder((base / "labels", base)))


def _swapped(path: PurePosixPath, old: str = "images", new: str = "labels") -> PurePosixPath:
    """`path` with its last folder called `old` called `new`: the rule by which YOLO finds a label file."""
    parts = list(path.parts)
    if old in parts:
        parts[len(parts) - 1 - parts[::-1].index(old)] = new
    return PurePosixPath(*parts)


def _label_files(folders: _Folders, index: ImageIndex) -> set[Path]:
    """All text files that may hold labels; below the base itself, lists and readme files lie among them."""
    roots = {folders.labels, folders.base} if index.folder == folders.base else {folders.labels}
    return {path for root in roots for path in root.rglob("*.txt") if path.name.lower() not in _NOT_LABELS}


def _owners(files: set[Path], index: ImageIndex, folders: _Folders, findings: list[Finding]) -> dict[str, Path]:
    """Image id → its label file. A file of two images stays with the first; one without an image becomes a finding."""
    owners: dict[str, Path] = {}
    taken: dict[Path, str] = {}
    for image_id in index.paths:
        path = next((path for path in _candidates(image_id, folders) if path in files), None)
        if path is None:
            continue
        if path in taken:
            message = f"{path}: expected labels of one image, found {taken[path]} and {image_id}."
            findings.append(Finding(FindingKind.DUPLICATE_ID, path, message, image_id, quarantined=True))
        else:
            owners[image_id], taken[path] = path, image_id
    for path in sorted(files - set(taken)):
        image_id = path.relative_to(folders.base).with_suffix("").as_posix()
        message = f"{path}: expected an image {path.stem}.* in {index.folder}, found none."
        findings.append(Finding(FindingKind.MISSING_IMAGE, path, message, image_id, quarantined=True))
    return owners


def _candidates(image_id: str, folders: _Folders) -> Iterable[Path]:
    for name in (PurePosixPath(image_id), _swapped(PurePosixPath("images", image_id)), _swapped(PurePosixPath(image_id))):
        for root in (folders.labels, folders.base):
            yield root / f"{name}.txt"
            yield root / name.with_suffix(".txt")


def _splits(sheet: _Sheet, index: ImageIndex, findings: list[Finding]) -> dict[str, Split]:
    """Image id → split: as data.yaml says, the strictest where it says two; else the image's first folder, if it is called so."""
    splits: dict[str, Split] = {}
    for split, entries in sheet.entries.items():
        for image_id in (image_id for entry in entries for image_id in _members(sheet, entry, index, findings)):
            before = splits.setdefault(image_id, split)
            if before != split:
                splits[image_id] = max(before, split, key=STRICTNESS.__getitem__)
                message = f"{sheet.path}: expected {image_id} in one split, found it in {before} and {split}; it serves {splits[image_id]}."
                findings.append(Finding(FindingKind.DUPLICATE_ID, sheet.path, message, image_id))
    for image_id in index.paths:
        folder, slash, _ = image_id.partition("/")
        said = split_named(folder) if slash else None
        if image_id not in splits and said is not None:
            splits[image_id] = said
    return splits


def _members(sheet: _Sheet, entry: str, index: ImageIndex, findings: list[Finding]) -> list[str]:
    """The image ids of one entry of data.yaml: a folder, or a list file with one path a line."""
    # data.yaml as hosting services export it says ../train/images for a folder beside itself.
    path = next((p for p in (sheet.base / entry, sheet.base / entry.removeprefix("../")) if p.exists()), sheet.base / entry)
    if path.suffix == ".txt" and path.is_file():
        return _listed_members(path, index, findings)
    prefix = _image_id(path, sheet.base, index)
    return list(index.paths) if prefix == "." else [image_id for image_id in index.paths if image_id.startswith(f"{prefix}/")]


def _listed_members(path: Path, index: ImageIndex, findings: list[Finding]) -> list[str]:
    members = []
    for line in path.read_text(encoding="utf-8-sig", errors="replace").splitlines():
        image_id = _image_id(path.parent / line.strip(), path.parent, index)
        if image_id in index.paths:
            members.append(image_id)
        elif line.strip():
            message = f"{path}: lists {line.strip()!r}. Expected an image in {index.folder}."
            findings.append(Finding(FindingKind.MISSING_IMAGE, path, message, image_id, quarantined=True))
    return members


def _image_id(path: Path, base: Path, index: ImageIndex) -> str:
    """What `path` is called below the image folder, or below images/ of a tree that lies elsewhere by now."""
    for root in (index.folder, base / "images"):
        if path.is_relative_to(root):
            return path.relative_to(root).as_posix()
        if path.resolve().is_relative_to(root.resolve()):
            return path.resolve().relative_to(root.resolve()).as_posix()
    parts = path.as_posix().split("/")
    return "/".join(parts[len(parts) - parts[::-1].index("images") :]) if "images" in parts else path.as_posix()


def _parse(path: Path) -> _Parsed:
    parsed = _Parsed(path)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (UnicodeDecodeError, OSError) as error:
        return _Parsed(path, fault=f"{path}: expected UTF-8 text, found: {error}.")
    for row, line in enumerate(lines, start=1):
        if line.strip():
            try:
                label, extent, score = _row([float(word) for word in line.split()])
            except (ValueError, OverflowError):
                return _Parsed(path, fault=f"{path}: line {row} is {line.strip()[:60]!r}. Expected 'class cx cy width height'.")
            parsed.classes.append(label)
            parsed.extents.append(extent)
            parsed.scores.append(score)
    return parsed


def _row(numbers: list[float]) -> tuple[int, tuple[float, ...], float | None]:
    """(class index, x1 y1 x2 y2, score or None) of a line; ValueError when the count of numbers fits nothing."""
    label, rest = int(numbers[0]), numbers[1:]
    if label != numbers[0]:
        raise ValueError(f"class {numbers[0]}")
    if len(rest) in (4, 5):
        cx, cy, width, height = rest[:4]
        return label, (cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2), rest[4] if len(rest) == 5 else None
    if len(rest) >= 6 and len(rest) % 2 == 0:
        return label, (min(rest[::2]), min(rest[1::2]), max(rest[::2]), max(rest[1::2])), None
    raise ValueError(f"{len(numbers)} numbers")


def _sound(records: list[ImageRecord], parsed: Mapping[str, _Parsed], findings: list[Finding]) -> list[ImageRecord]:
    """The records whose label file could be read, or that have none."""
    sound = []
    for record in records:
        file = parsed.get(record.image_id)
        if file is None or file.fault is None:
            sound.append(record)
        else:
            findings.append(Finding(FindingKind.BAD_LABEL_FILE, file.path, file.fault, record.image_id, quarantined=True))
    return sound


def _counted(files: Iterable[_Parsed]) -> tuple[str, ...]:
    return tuple(map(str, range(max((label for file in files for label in file.classes if label < 100_000), default=-1) + 1)))


def _reading(file: _Parsed, names: tuple[str, ...], record: ImageRecord) -> Reading:
    size = np.array([record.width, record.height, record.width, record.height], np.float64)
    xyxy = np.array(file.extents, np.float64).reshape(-1, 4) * size
    named = [names[label] if 0 <= label < len(names) else str(label) for label in file.classes]
    return Reading(file.path, named, xyxy, {"scores": file.scores} if file.scores and None not in file.scores else {})


def _without_file(
    records: Sequence[ImageRecord], readings: Mapping[str, Reading], folders: _Folders, findings: list[Finding], *, empty: bool
) -> dict[str, Reading]:
    """Readings without boxes for the images that have no label file, or one finding that says how many are unlabelled."""
    if not empty:
        findings += unlabelled(folders.labels, records, readings, expected="a label file")
        return {}
    without = [record.image_id for record in records if record.image_id not in readings]
    return {image_id: Reading(folders.labels, [], np.zeros((0, 4))) for image_id in without}


def _label_name(label: PurePosixPath, shared: set[str]) -> str:
    """labels/a.txt for a.jpg; labels/a.jpg.txt where a.png wants a label file too."""
    stem = str(PurePosixPath(*label.parts[1:]).with_suffix(""))
    return f"{label}.txt" if stem in shared else str(label.with_suffix(".txt"))


def _lines(boxes: Boxes, record: ImageRecord) -> str:
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
