"""How a YOLO data set lies on disk: data.yaml, Darknet's obj.data, folders a split, flat folders.

Returns where images and labels are, and the splits. Knows nothing of what label files hold.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path, PurePosixPath
from reprlib import Repr
from typing import Any

import yaml

from boxwise.data.addresses import Images, is_local, parent
from boxwise.data.formats.base import Finding, FindingKind
from boxwise.data.formats.layout import (
    STRICTNESS,
    ImageIndex,
    bytes_of,
    first_folder,
    folder_words,
    image_folder,
    is_file,
    is_folder,
    listed_names,
    text_of,
    whole,
)
from boxwise.data.formats.yolo_lines import MOST_CLASSES
from boxwise.data.image_store import below
from boxwise.errors import BoxwiseError, plural
from boxwise.records import Split

SHEETS = ("data.yaml", "dataset.yaml", "data.yml", "obj.data")
_SPLIT_KEYS = {"train": Split.TRAIN, "val": Split.VAL, "valid": Split.VAL, "validation": Split.VAL, "test": Split.TEST}
_brief = Repr()  # bounded in depth and length: aliases in YAML can make a short text of a value without end
_brief.maxstring = 60


@dataclass(frozen=True)
class Sheet:
    """What data.yaml or obj.data says, or a folder without one implies. base: what its paths are relative to.

    names: by the numbers of the classes. keypoints: how many numbers of key points each line of a pose file ends with. notes: what of it
    was not followed.
    """

    path: Path
    base: Path
    names: Mapping[int, str] = field(default_factory=dict)
    entries: Mapping[Split, Sequence[str]] = field(default_factory=dict)
    keypoints: int = 0
    notes: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """The folder that it is of."""
        return self.path if is_folder(self.path) else self.path.parent


@dataclass(frozen=True)
class Folders:
    """base: the root. labels: what label paths are relative to, images/ swapped for labels/ or not.

    texts: where alone label files are looked for, if that is not all of these.
    """

    base: Path
    labels: Path
    texts: tuple[Path, ...] = ()


class _Texts(yaml.SafeLoader):
    """YAML in which every word is text: a class called `no`, `007` or `1e3` keeps its name."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012


def read_sheet(labels: Path) -> tuple[Sheet, list[Finding]]:
    """The sheet at `labels` or in that folder; a finding where it cannot be used, and then only the folders count."""
    folder = labels if is_folder(labels) else labels.parent
    path = labels if is_file(labels) else next((path for name in SHEETS if is_file(path := folder / name)), None)
    if path is None:
        others = _other_sheets(folder)
        if len(others) != 1:
            return _of_several(folder, others), []
        path = next(iter(others))
    try:
        read = _darknet_sheet if path.suffix.lower() == ".data" else _yaml_sheet
        return read(path), []
    except (yaml.YAMLError, ValueError, RecursionError, BoxwiseError) as error:
        message = f"{path}: expected YAML with names (a list or a mapping), found {' '.join(str(error).split())[:200]}."
        return Sheet(path, folder), [Finding(FindingKind.BAD_LABEL_FILE, path, message)]


def _of_several(folder: Path, sheets: Mapping[Path, Mapping[int, str]]) -> Sheet:
    """The sheet of a folder with none, or with several: of those only names count, where all have the same. sheets: their names."""
    if not sheets:
        return Sheet(folder, folder)
    names, *others = sheets.values()
    same = all(other == names for other in others)
    found = ", ".join(path.name for path in sheets) + (", which name the same; nothing else of them" if same else "; none")
    message = f"{folder}: expected one YAML file with names of classes, found {found} is followed. Give the path of one of them."
    return Sheet(folder, folder, names if same else {}, notes=(message,))


def _other_sheets(folder: Path) -> dict[Path, dict[int, str]]:
    """The YAML files of the folder that name classes, whatever they are called, and the names."""
    paths = [path for path in sorted(folder.glob("*.[yY]*[mM][lL]")) if path.suffix.lower() in (".yaml", ".yml")]
    return {path: names for path in paths if (names := _names_in(path))}


def _names_in(path: Path) -> dict[int, str]:
    try:
        content = yaml.load(bytes_of(path), Loader=_Texts)
        return _names(content.get("names")) if isinstance(content, dict) else {}
    except (yaml.YAMLError, ValueError, RecursionError, BoxwiseError):
        return {}


def _yaml_sheet(path: Path) -> Sheet:
    content = yaml.load(bytes_of(path), Loader=_Texts)
    if not isinstance(content, dict):
        raise ValueError(f"a {type(content).__name__}")
    content = {key: value for key, value in content.items() if not _is_null(value)}
    stated = content.get("path")
    base = path.parent / _with_slashes(path.parent, stated) if isinstance(stated, str) else path.parent
    followed = is_folder(base) and whole(base) != whole(base).parent  # the root of a disk is no data set
    root = base if followed else path.parent
    notes = () if followed else (f"{path}: its path {_brief.repr(stated)} is no folder here; paths are taken from {path.parent}.",)
    texts_of = {split: texts for key, split in _SPLIT_KEYS.items() if (texts := _texts(content.get(key), key))}
    entries = {split: [_with_slashes(root, text) for text in texts] for split, texts in texts_of.items()}
    return Sheet(path, root, _names(content.get("names")), entries, _keypoints(content.get("kpt_shape")), notes)


def _darknet_sheet(path: Path) -> Sheet:
    """Darknet's `key = value` lines; paths that lead nowhere are looked for beside the file, where exports put them."""
    lines = (line.partition("=") for line in text_of(path).splitlines())
    content = {key.strip(): value.strip() for key, equals, value in lines if equals}
    entries = {split: [_beside(path.parent, content[key])] for key, split in _SPLIT_KEYS.items() if content.get(key)}
    named = listed_names(path.parent / _beside(path.parent, content["names"])) if content.get("names") else ()
    return Sheet(path, path.parent, dict(enumerate(named)), entries)


def _beside(folder: Path, text: str) -> str:
    text = _with_slashes(folder, text)
    return text if is_file(folder / text) else PurePosixPath(text).name


def _with_slashes(folder: Path, text: str) -> str:
    """A path as another system may write it; as it is where something is called so."""
    return text if "\\" not in text or _is_there(folder / text) else text.replace("\\", "/")


def _names(names: Any) -> dict[int, str]:
    """Class names by their numbers. Raises ValueError."""
    if not names:
        return {}
    if isinstance(names, list) and all(isinstance(name, str) for name in names):
        return dict(enumerate(names))
    if not isinstance(names, dict) or not all(_is_number(key) and isinstance(name, str) for key, name in names.items()):
        raise ValueError(f"names: {_brief.repr(names)}")
    return {int(key): name for key, name in names.items()}


def _is_number(key: Any) -> bool:
    return isinstance(key, str) and key.isascii() and key.isdigit() and int(key[:9]) < MOST_CLASSES and len(key) < 9


def _is_null(value: Any) -> bool:
    return value is None or (isinstance(value, str) and value.lower() in ("", "~", "null"))


def _texts(value: Any, key: str) -> list[str]:
    entries = [entry for entry in (value if isinstance(value, list) else [value]) if not _is_null(entry)]
    if not all(isinstance(entry, str) for entry in entries):
        raise ValueError(f"{key}: {_brief.repr(value)}")
    return [entry for entry in entries if isinstance(entry, str)]


def _keypoints(shape: Any) -> int:
    """How many numbers key points of that shape take: [17, 3] are 51."""
    if shape is None:
        return 0
    if not isinstance(shape, list) or len(shape) != 2 or not all(_is_number(side) for side in shape):
        raise ValueError(f"kpt_shape: {_brief.repr(shape)}")
    return int(shape[0]) * int(shape[1])


def locate(sheet: Sheet, images: Images | None) -> tuple[ImageIndex, Folders]:
    """Images in images/ below the base, or where labels/ has images/ as its twin, or in the base itself; and in the folders that the sheet
    names elsewhere, with which the base is the folder that all of them share. Where `images` are given, those of theirs alone."""
    base, here = sheet.base, whole(sheet.base)
    twin = Path(swapped(PurePosixPath(here.as_posix()), "labels", "images"))
    twins = [twin] if twin != here and is_folder(twin) else []  # else the base itself, which would be read under two names
    folder = image_folder((base / "images", *twins, base))
    given = ImageIndex(images) if images else None
    if (outside := _outside(sheet, folder, given)) is None:
        return given or ImageIndex(folder), Folders(base, first_folder((base / "labels", base)))
    root, places = outside
    texts = [first_folder((Path(swapped(PurePosixPath(place.as_posix()))), place)) for place in places]
    found = {whole(Path(uri)).relative_to(root).as_posix(): uri for place in places for uri in below(place).values()}
    return given or ImageIndex(found, folder=root), Folders(root, root, tuple(texts))


def _outside(sheet: Sheet, folder: Path, given: ImageIndex | None) -> tuple[Path, list[Path]] | None:
    """What the base and the folders share that the sheet names outside of it, and all folders of images; None where it names none.

    Links are followed, so that a data set is not outside of itself. given: images of which a folder must hold one.
    """
    base, own = whole(sheet.base), (sheet.base, folder)
    named = [place for path in places_of(sheet).values() if is_folder(path) and (place := whole(path)).anchor == base.anchor]
    places = {_real(place): place for place in named if not any(_related(place, one) for one in own)}
    if places:
        linked = _folders_of(below(folder))
        places = {real: place for real, place in places.items() if not any(real.is_relative_to(one) for one in linked)}
    if places and given is not None:
        held = _folders_of(given.paths)
        places = {real: place for real, place in places.items() if any(one.is_relative_to(real) for one in held)}
    outside = list(places.values())
    return (Path(os.path.commonpath([base, *outside])), [whole(folder), *outside]) if outside else None


def _folders_of(paths: Mapping[str, str]) -> set[Path]:
    """The folders of this machine in which images lie, links followed."""
    return {_real(Path(folder)) for folder in {parent(uri) for uri in paths.values() if is_local(uri)}}


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _related(one: Path, other: Path) -> bool:
    """Whether one of the two is the other, or lies in it, by its path or by where links lead."""
    pairs = ((whole(one), whole(other)), (_real(one), _real(other)))
    return any(first.is_relative_to(second) or second.is_relative_to(first) for first, second in pairs)


def places_of(sheet: Sheet) -> dict[str, Path]:
    """Entry of the sheet → the file or folder that it names.

    data.yaml of hosting services says ../train/images of a folder beside itself. Where none of the entries leads into the data set, but the
    ends of whole paths do, it was copied with its sheet.
    """
    entries = {entry: sheet.base / entry for entries in sheet.entries.values() for entry in entries}
    if any(entry.startswith("../") and _is_there(sheet.base / entry.removeprefix("../")) for entry in entries):
        return {entry: sheet.base / entry.removeprefix("../") for entry in entries}
    if any(_is_there(path) and _real(path).is_relative_to(_real(sheet.base)) for path in entries.values()):
        return entries
    return {entry: _copied(sheet.base, path) or path for entry, path in entries.items()}


def _copied(base: Path, path: Path) -> Path | None:
    """What lies in the data set by the end of a whole path, by more than the name of a folder that any data set has."""
    parts = path.parts if path.is_absolute() and not path.is_relative_to(base) else ()
    ends = (PurePosixPath(*parts[count:]) for count in range(1, len(parts)))
    return next((base / end for end in ends if folder_words(f"{end}/_") and _is_there(base / end)), None)


def _is_there(path: Path) -> bool:
    return is_file(path) or is_folder(path)


def swapped(path: PurePosixPath, old: str = "images", new: str = "labels") -> PurePosixPath:
    """`path` with its last folder called `old` called `new`: the rule by which YOLO finds a label file."""
    parts = list(path.parts)
    if old in parts:
        parts[len(parts) - 1 - parts[::-1].index(old)] = new
    return PurePosixPath(*parts)


def splits_of(sheet: Sheet, index: ImageIndex, findings: list[Finding]) -> dict[str, Split]:
    """Image id → split, of the images of which the sheet says one; the strictest where it says two."""
    places = places_of(sheet)
    members = {
        split: [image_id for entry in entries for image_id in _members(sheet, entry, places[entry], index, findings)]
        for split, entries in sheet.entries.items()
    }
    void = _same(sheet, members, findings)
    members = {split: ids for split, ids in members.items() if split not in void}
    splits: dict[str, Split] = {}
    for split, image_id in ((split, image_id) for split, ids in members.items() for image_id in ids):
        before = splits.setdefault(image_id, split)
        if before != split:
            splits[image_id] = max(before, split, key=STRICTNESS.__getitem__)
            message = f"{sheet.path}: expected {image_id} in one split, found it in {before} and {split}; it serves {splits[image_id]}."
            findings.append(Finding(FindingKind.DUPLICATE_ID, sheet.path, message, image_id))
    return splits


def _same(sheet: Sheet, members: Mapping[Split, Sequence[str]], findings: list[Finding]) -> set[Split]:
    """The splits that name the very same images, which is no split at all; a finding for each pair."""
    pairs = [(a, b) for a, b in combinations(members, 2) if members[a] and set(members[a]) == set(members[b])]
    for first, second in pairs:
        message = (
            f"{sheet.path}: expected {first} and {second} to differ, found the same {plural(len(set(members[first])), 'image')} in both; "
        )
        findings.append(Finding(FindingKind.DUPLICATE_ID, sheet.path, message + "neither counts."))
    return {split for pair in pairs for split in pair}


def _members(sheet: Sheet, entry: str, path: Path, index: ImageIndex, findings: list[Finding]) -> list[str]:
    """The image ids of one entry of the sheet: a folder, or a list file with one path a line."""
    if path.suffix == ".txt" and is_file(path):
        return _listed_members(path, index, findings)
    above = any(whole(folder).is_relative_to(whole(path)) for folder in index.folders)
    prefix = "." if above else _image_id(path, sheet.base, index)
    members = list(index.paths) if prefix == "." else [image_id for image_id in index.paths if image_id.startswith(f"{prefix}/")]
    members = members or (_by_links(path, index) if is_folder(path) else [])
    if not members:
        message = f"{sheet.path}: names {entry[:200]!r}. Expected a folder with images or a list of them, found none there."
        findings.append(Finding(FindingKind.MISSING_IMAGE, sheet.path, message))
    return members


def _by_links(folder: Path, index: ImageIndex) -> list[str]:
    """The images that lie in or below the folder, links followed."""
    real, places = _real(folder), {parent(uri) for uri in index.paths.values() if is_local(uri)}
    inside = {place for place in places if _real(Path(place)).is_relative_to(real)}
    return [image_id for image_id, uri in index.paths.items() if is_local(uri) and parent(uri) in inside]


def _listed_members(path: Path, index: ImageIndex, findings: list[Finding]) -> list[str]:
    members = []
    for line in text_of(path).splitlines():
        named = (_image_id(path.parent / text, path.parent, index) for text in (line, line.strip(), line.strip().replace("\\", "/")))
        image_id = next((name for name in named if name in index.paths), None)
        if image_id is not None:
            members.append(image_id)
        elif line.strip():
            message = f"{path}: lists {line.strip()[:200]!r}. Expected an image in {index}."
            findings.append(Finding(FindingKind.MISSING_IMAGE, path, message, _image_id(Path(line.strip()), path.parent, index), True))
    return members


def _image_id(path: Path, base: Path, index: ImageIndex) -> str:
    """What `path` is called below the image folder, or below images/ of a tree that lies elsewhere by now."""
    plain = whole(path)
    roots = [whole(root) for root in (*index.folders, base / "images")]
    inside = [plain.relative_to(root).as_posix() for root in roots if plain.is_relative_to(root)]
    parts = path.as_posix().split("/")
    below = ["/".join(parts[len(parts) - parts[::-1].index("images") :])] if "images" in parts else []
    tails = ("/".join(parts[count:]) for count in range(len(parts)))
    found = next((name for name in (*inside, *below, *tails) if name in index.paths), None)
    return found or next(iter([*inside, *below]), path.as_posix())
