"""The format of a data set's labels, detected from its files.

Returns names of readers; reads the first bytes of a few files at most. Does not read the labels themselves.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import islice, takewhile
from pathlib import Path

from boxwise.data.addresses import IMAGE_SUFFIXES
from boxwise.data.formats.base import Finding, FindingKind
from boxwise.data.formats.coco_files import LISTS, is_draft
from boxwise.data.formats.cvat import is_cvat
from boxwise.data.formats.layout import existing, is_about, is_file, is_folder, is_number, is_prose, split_named
from boxwise.data.formats.xml import root_tag
from boxwise.data.formats.yolo_layouts import SHEETS
from boxwise.data.formats.yolo_lines import parse
from boxwise.data.own_files import QUERY_FILE, TO_CORRECT, own_names, predictions_in
from boxwise.errors import BoxwiseError, plural

_DEPTH, _HEAD, _TRIED = 2, 1 << 16, 20
_LABELS = (".xml", ".json", ".jsonl", ".csv", ".txt")
_JSON_LISTS = ("createml", "via")  # of images and their boxes: files that tools write beside those of other formats
_OF_ALL = re.compile(r"(notes|classes|labels|train|val|valid|test)[^/]*\.txt", re.IGNORECASE)  # texts beside images, if none is called so
_OF_LABELS = re.compile(r"(label|annotation)", re.IGNORECASE)  # what begins the names of folders of labels
_MEANT = re.compile(r"(images?|labels?|annotations?|jpegimages|imagesets|(image|label)_2|obj_.*_data)", re.IGNORECASE)


@dataclass(frozen=True)
class _Folder:
    """One folder of the data set: how deep it lies below the root, and its visible files and folders."""

    path: Path
    depth: int
    files: list[str]
    folders: list[str]

    def first(self, suffix: str) -> Path | None:
        return next(self.some(suffix), None)

    def some(self, suffix: str) -> Iterator[Path]:
        """The files of that suffix: the first ones, by which a format is known."""
        return islice((self.path / name for name in self.files if name.lower().endswith(suffix)), _TRIED)

    @cached_property
    def image_stems(self) -> frozenset[str]:
        return frozenset(Path(name).stem for name in self.files if Path(name).suffix.lower() in IMAGE_SUFFIXES)


def detect_format(path: Path) -> str | None:
    """The format of the labels at `path` by what lies there; None for images alone.

    Raises BoxwiseError if there is nothing, or a layout that is known and not read.
    """
    if is_file(path):
        return _format_of_file(path)
    all_folders = list(_folders(existing(path, "a data set")))
    folders = [_without_fiftyones(folder) for folder in all_folders]
    near = [folder for folder in folders if folder.depth < _DEPTH]
    passes = ((near, _RULES), (folders, _RULES), (folders, _LAST_RULES), (folders, (_by_any_xml, _by_any_json)))
    name = next((name for searched, of_these in passes for rule in of_these if (name := rule(searched)) is not None), None)
    if name is None and predictions_in(path):
        return "coco"
    if name is None:
        _refuse_fiftyones(*(folder.path / "samples.json" for folder in all_folders if _is_fiftyones(folder)))
    return name


def detected(path: Path, name: str | None) -> tuple[str | None, list[str]]:
    """The format in which labels at `path` are read, which may be named, and others that files there have as well."""
    path = path if name else unwrapped(path)
    name = name or detect_format(path)
    if is_file(path):
        return name, []
    folders = [_without_fiftyones(folder) for folder in _folders(path)]
    found = dict.fromkeys(rule(folders) for rule in (*_RULES, *_LAST_RULES))
    return name, [other for other in found if other not in (None, name)]


def unwrapped(path: Path) -> Path:
    """The folder in which a data set lies that an archive has unpacked into a folder of its own: the only thing in `path`, if that is one.

    A folder called after a split, or as formats call theirs, is no wrapper.
    """
    inner = next(_folders(path, depth=0)) if is_folder(path) else None
    if inner is None or len(inner.folders) != 1 or not all(map(is_about, inner.files)):
        return path
    (name,) = inner.folders
    return path if _MEANT.fullmatch(name) or split_named(name) else unwrapped(path / name)


def unused_labels(path: Path) -> list[Finding]:
    """One finding for files below `path` that look like labels, if there are any: for a reader that takes images alone."""
    folders = list(_folders(path, depth=2 * _DEPTH))
    called = [(folder, name) for folder in folders for name in folder.files if name.lower().endswith(_LABELS)]
    files = [(folder, name) for folder, name in called if is_file(folder.path / name)]
    readable = [folder.path / name for folder, name in files if _looks_like_labels(folder, name)]
    looks = readable or [folder.path / name for folder, name in files if _looks_like_others(folder, name)]
    if not looks:
        return []
    message = (
        f"{path}: expected images alone or a known layout, found {plural(len(looks), 'file')} that could hold labels (first: {looks[0]}). "
    )
    message += f"They are not used: {'name their format or their place' if readable else 'no format that is read has files like these'}."
    return [Finding(FindingKind.UNUSED_FILE, path, message)]


def _folders(root: Path, depth: int = _DEPTH) -> Iterator[_Folder]:
    """The root and the folders below it, the nearest first, without what `predict`, a study or a simulation has there.

    Below the root also without boxes that are still to be corrected.
    """
    level = [root]
    for number in range(depth + 1):
        following: list[Path] = []
        for path in level:
            entries = _entries(path)
            names = {entry.name for entry in entries}
            own, to_correct = own_names(path, names), number and TO_CORRECT in names
            left = [entry for entry in entries if not (entry.name.startswith(".") or entry.name in own)]
            left = [entry for entry in left if not is_draft(path / entry.name)] if to_correct else left
            inner = [entry.name for entry in left if _is_folder(entry)]
            yield _Folder(path, number, [entry.name for entry in left if not _is_folder(entry)], inner)
            following += [path / name for name in inner]
        level = following


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return []


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _format_of_file(path: Path) -> str | None:
    suffix = path.suffix.lower()
    if suffix == ".json":
        _refuse_fiftyones(path)
        return _json_format(path) or "coco"
    if suffix == ".csv":
        return _csv_format(path)
    return "cvat" if is_cvat(path) else {".yaml": "yolo", ".yml": "yolo", ".data": "yolo"}.get(suffix)


def _by_annotations(folders: list[_Folder]) -> str | None:
    for folder in folders:
        if folder.depth <= 1 and folder.path.name == "Annotations":
            xml = folder.first(".xml")
            return "cvat" if xml and is_cvat(xml) else "voc" if xml or not folder.files else None
    return None


def _by_xml(folders: list[_Folder]) -> str | None:
    for folder in folders:
        tags = set(map(root_tag, folder.some(".xml")))
        if {"annotation", "annotations"} & tags:
            return "cvat" if "annotations" in tags else "voc"
    return None


def _by_any_xml(folders: list[_Folder]) -> str | None:
    """VOC, whose reader says what is wrong with a file, where XML lies in the root and nothing else is known."""
    return "voc" if folders[0].first(".xml") else None


def _by_yolo_layout(folders: list[_Folder]) -> str | None:
    root = folders[0]
    sheets = any(name in root.files for name in SHEETS) or any(folder.first(".names") for folder in folders if folder.depth <= 1)
    inner = any(name.startswith("obj_") and name.endswith("_data") for name in root.folders)
    holders = [folder for folder in folders if folder.depth >= 1 and folder.path.name == "labels"]
    return "yolo" if sheets or inner or any(folder.first(".txt") or not folder.files for folder in holders) else None


def _is_fiftyones(folder: _Folder) -> bool:
    """Whether its JSON files are those of FiftyOne's own layout, which would be taken for COCO's."""
    found = {name for name in folder.files if name.lower().endswith(".json")}
    return "samples.json" in found <= {"samples.json", "metadata.json", "frames.json"} and _holds_samples(folder.path / "samples.json")


def _holds_samples(path: Path) -> bool:
    return re.match(r'\{\s*"samples"\s*:\s*\[', _head(path)) is not None


def _without_fiftyones(folder: _Folder) -> _Folder:
    """The folder without the JSON files of FiftyOne's own layout, by which no other format is known."""
    files = [name for name in folder.files if not name.lower().endswith(".json")]
    return replace(folder, files=files) if _is_fiftyones(folder) else folder


def _refuse_fiftyones(*paths: Path) -> None:
    for path in paths:
        if _holds_samples(path):
            raise BoxwiseError(
                f"{path}: FiftyOne's own layout (FiftyOneDataset), which is not read. "
                "Export it as COCO instead: dataset.export(..., dataset_type=fiftyone.types.COCODetectionDataset)."
            )


def _by_json(folders: list[_Folder], wanted: Collection[str] = ("coco", "labelme", "labelstudio")) -> str | None:
    for folder in folders:
        paths = sorted(folder.some(".json"), key=is_draft)
        found = next((name for path in paths if (name := _json_format(path)) in wanted), None)
        if found:
            return found
    return None


def _by_any_json(folders: list[_Folder]) -> str | None:
    """COCO, whose reader says what is wrong with a file, where JSON lies and nothing else is known."""
    places = [folder for folder in folders if folder.depth == 0 or folder.path.name == "annotations"]
    return "coco" if any(folder.first(".json") for folder in places) else None


def _json_format(path: Path) -> str | None:
    """The format of a JSON file by its first bytes; None where nothing tells."""
    head = _head(path)
    if head.startswith("["):
        if '"category_id"' in head:
            return "coco"
        boxes = re.search(r'"coordinates"\s*:\s*\{\s*"(x|y|width|height)"', head)
        if path.name.endswith(".createml.json") or (boxes and not re.search(r'"(data|annotation_id)"\s*:', head)):
            return "createml"
        return "labelstudio" if re.search(r'"(annotations|annotation_id|data|predictions)"', head) else None
    if '"_via_img_metadata"' in head:
        return "via"
    if re.search(r'"shapes"\s*:', head) and '"categories"' not in head:
        return "labelme"
    if LISTS.search(head):
        return "coco"
    if all(re.search(rf'"{key}"\s*:', head) for key in ("filename", "regions")):
        return "via"
    return "coco" if re.search(r'"(images|categories|annotations|info)"', head) else None


def _by_csv(folders: list[_Folder]) -> str | None:
    tables = (folder.path / name for folder in folders for name in folder.files if name.lower().endswith(".csv"))
    return next((name for path in tables if (name := _csv_format(path))), None)


def _csv_format(path: Path) -> str | None:
    names = {word.strip() for word in _head(path).partition("\n")[0].split(",")}
    return "openimages" if {"ImageID", "LabelName", "XMin", "XMax", "YMin", "YMax"} <= names else None


def _by_text(folders: list[_Folder]) -> str | None:
    """By the lines of the first texts; by their names where all are empty and lie beside an image of that name."""
    for folder in folders:
        texts = (name for name in folder.files if name.lower().endswith(".txt"))
        labels = (name for name in texts if _has_image(folder, name) or not (is_prose(name) or _OF_ALL.fullmatch(name)))
        paths = [folder.path / name for name in islice(labels, _TRIED)]
        found = next((name for path in paths if (name := _text_format(path))), None)
        empty = [path for path in paths if is_file(path) and not path.stat().st_size]
        if found or (empty and len(empty) == len(paths)):
            return found or "yolo"
    return None


def _text_format(path: Path) -> str | None:
    """The format of a text by its first line; None where it holds nothing or something else."""
    line = _first_line(path)
    if re.fullmatch(r"-?\d+(,-?\d+){7},?", line):
        return "visdrone"
    words = line.split()
    numbers = len(list(takewhile(is_number, reversed(words))))
    if numbers in (14, 15) and not is_number(words[0]):
        x1, y1, x2, y2 = map(float, words[-numbers:][3:7])
        return "kitti" if x1 <= x2 and y1 <= y2 else None
    parsed = parse(path) if words and numbers == len(words) else None
    return "yolo" if parsed is not None and parsed.fault is None else None


_RULES = (_by_annotations, _by_xml, _by_yolo_layout, _by_json, _by_csv, _by_text)
_LAST_RULES = (partial(_by_json, wanted=_JSON_LISTS),)


def _looks_like_labels(folder: _Folder, name: str) -> bool:
    suffix = Path(name).suffix.lower()
    if suffix == ".csv":
        return QUERY_FILE not in folder.files
    if suffix != ".txt" or _has_image(folder, name):
        return suffix != ".jsonl"
    return _text_format(folder.path / name) is not None


def _looks_like_others(folder: _Folder, name: str) -> bool:
    """Whether a file may hold labels of a layout that no reader reads."""
    if name.lower().endswith(".txt") and _OF_LABELS.match(folder.path.name):
        return not is_prose(name) and _has_box(folder.path / name)
    return name.lower().endswith(".jsonl")


def _has_box(path: Path) -> bool:
    """Whether the first line of a text holds four numbers, such as those of KITTI's tracks and VisDrone's videos."""
    words = re.split(r"[\s,;]+", _first_line(path))
    return sum(map(is_number, words)) >= 4


def _has_image(folder: _Folder, name: str) -> bool:
    return Path(name).stem in folder.image_stems


def _first_line(path: Path) -> str:
    """The first line that says anything; '' where none does."""
    return next((line for line in _head(path).splitlines() if line.strip()), "").strip()


def _head(path: Path) -> str:
    """The first characters of a file, without a mark at its start; '' where it cannot be read."""
    if not is_file(path):
        return ""
    try:
        with path.open("rb") as file:
            return file.read(_HEAD).decode("utf-8-sig", errors="replace").lstrip()
    except OSError:
        return ""
