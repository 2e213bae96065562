"""Which label file of a YOLO data set belongs to which image.

By the path, as the format has it; else by the name, where it is unique and no folder says otherwise. Knows nothing of boxes.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from boxwise.data.earlier_writes import as_written
from boxwise.data.formats.base import Finding, FindingKind
from boxwise.data.formats.beside import places_beside
from boxwise.data.formats.layout import (
    ImageIndex,
    at_odds,
    files_below,
    folded,
    is_file,
    is_folder,
    is_number,
    is_prose,
    shared_folder_words,
    text_of,
    unhashed,
    whole,
)
from boxwise.data.formats.listing import torn
from boxwise.data.formats.yolo_layouts import Folders, Sheet, places_of, swapped
from boxwise.data.formats.yolo_lines import holds_boxes
from boxwise.errors import listed


@dataclass(frozen=True)
class Owners:
    """files: image id → its label file. by_name: what label files are called → image id, where the names alone agree.

    doubtful: images without labels whose name, its folders and case aside, is that of a label file without an image. left: label files
    that lie elsewhere and are not read.
    """

    files: Mapping[str, Path]
    by_name: Mapping[str, str]
    doubtful: frozenset[str]
    left: Collection[Path] = ()


def owners(sheet: Sheet, index: ImageIndex, folders: Folders, findings: list[Finding]) -> Owners:
    """The label file of each image. A file of two images stays with the first; one without an image becomes a finding."""
    texts = _texts_below(index, folders)
    places, lists = _places(texts), set(_places(_lists(sheet)).values())
    files = {name: paths[0] for name, paths in texts.items() if places[name] not in lists}
    owner: dict[str, Path] = {}
    taken: dict[Path, str] = {}
    for image_id in index.paths:
        path = next((path for path in _candidates(image_id, folders, index) if path in files), None)
        if path is None:
            continue
        if places[path] in taken:
            message = f"{files[path]}: expected labels of one image, found {taken[places[path]]} and {image_id}."
            findings.append(Finding(FindingKind.DUPLICATE_ID, files[path], message, image_id, quarantined=True))
        else:
            owner[image_id], taken[places[path]] = files[path], image_id
            findings += [torn(other, image_id, files[path]) for other in texts[path][1:]]
    left = sorted({places[path]: path for path in reversed(files) if places[path] not in taken}.values())
    labels = [_called(path, *_roots(folders, index)) for path in files if not is_prose(path.name)] if left else []
    named = _by_name(left, index, folders, owner, shared_folder_words(labels, index.paths))
    by_name: dict[str, str] = {}
    lost: list[Path] = []
    for path in left:
        only = _without_prefix(path, index, folders) or named.get(path)
        if only is not None and only not in owner:
            owner[only] = files[path]
            by_name[_called(path, *_roots(folders, index))] = only
        elif not is_prose(path.name) or holds_boxes(files[path]):
            lost.append(path)
    alike = _alike(lost, index, {})
    findings += [_ownerless(files[path], folders, index, alike.get(folded(path.stem), [])) for path in lost]
    left = _add_those_beside(owner, {*texts, *map(_lowered, _lists(sheet))}, index, folders, findings)
    doubtful = frozenset(image_id for images in alike.values() for image_id in images if image_id not in owner)
    return Owners(owner, by_name, doubtful, left)


def _add_those_beside(
    owner: dict[str, Path], known: Collection[Path], index: ImageIndex, folders: Folders, findings: list[Finding]
) -> list[Path]:
    """Gives images the label files that labelling tools have saved beside labels/; a finding where two say different things of one image,
    unless one is as boxwise wrote it. Returns the label files that are not read. known: the texts that were looked at, by `_lowered`."""
    base, labels = folders.base, folders.base / "labels"
    alone = whole(base).name == "labels"  # labels/ itself was named, and so it alone is meant
    if folders.texts or not (alone or is_folder(labels)):
        return []
    root, own = (whole(base).parent, whole(base)) if alone else (base, labels)
    near, far = places_beside(root, own, ".txt")
    is_as_written = as_written(base, "yolo")
    left = [path for path in far if _lowered(path) not in known and holds_boxes(path)]
    for place, path in ((place, path) for place, paths in near.items() for path in paths if _lowered(path) not in known):
        image_id = _image_of(path.relative_to(place).with_suffix("").as_posix(), index)
        before = None if image_id is None else owner.get(image_id)
        if not (holds_boxes(path) if image_id is None else _has_numbers_at_most(path)):
            continue
        if alone:
            left.append(path)
        elif image_id is None:
            findings.append(_ownerless(path, folders, index, []))
        elif before is None or is_as_written(before):
            owner[image_id] = path
        elif text_of(path).split() != text_of(before).split():
            findings.append(torn(path, image_id, before))
    return left


def _lowered(path: Path) -> Path:
    return path.with_suffix(".txt")


def _image_of(called: str, index: ImageIndex) -> str | None:
    """The image of a text that lies beside the images or in the root: by its path there, else by its name, where no folder is at odds."""
    own = called if called in index.paths else index.with_stem(called) or index.below_with_stem(PurePosixPath(called).name)
    return None if own is None or at_odds(called, own) else own


def _has_numbers_at_most(path: Path) -> bool:
    """Whether a text that is called after an image is a label file, though maybe a faulty one: no caption."""
    words = text_of(path).split() if is_file(path) else []
    return not words or is_number(words[0])


def _texts_below(index: ImageIndex, folders: Folders) -> dict[Path, list[Path]]:
    """Path with .txt in small letters → the text files so called, of all that may hold labels."""
    roots = [*folders.texts] or [folders.labels, *_inner(index, folders)]
    if not folders.texts and (whole(folders.base) in map(whole, index.folders) or not is_folder(folders.base / "labels")):
        roots = [folders.labels, folders.base, *filter(is_folder, index.folders)]
    texts: dict[Path, list[Path]] = {}
    for path in dict.fromkeys(path for root in roots for path in files_below(root, ".txt")):
        texts.setdefault(_lowered(path), []).append(path)
    return texts


def _inner(index: ImageIndex, folders: Folders) -> list[Path]:
    """The label folders of images that lie in a folder called images within images/: images/train/labels for images/train/images."""
    inner = {str(PurePosixPath(image_id).parent) for image_id in index.paths if "/images/" in f"/{image_id}"}
    return [folders.base / swapped(PurePosixPath("images", folder)) for folder in sorted(inner)]


def _lists(sheet: Sheet) -> list[Path]:
    """The lists of images that the sheet names: texts, but no labels."""
    return [path for path in places_of(sheet).values() if is_file(path)]


def _places(paths: Collection[Path]) -> dict[Path, Path]:
    """Path → where it lies, links of its folders followed: a text that is found by a relative path and by a whole one is one text."""
    real = {folder: Path(os.path.realpath(folder)) for folder in {path.parent for path in paths}}
    return {path: real[path.parent] / path.name for path in paths}


def _without_prefix(path: Path, index: ImageIndex, folders: Folders) -> str | None:
    """The image of a label file to whose name Label Studio has put a prefix."""
    plain = unhashed(_called(path, *_roots(folders, index)))
    return None if plain is None else index.with_stem(plain)


def _by_name(left: Collection[Path], index: ImageIndex, folders: Folders, owner: Mapping[str, Path], shared: Set[str]) -> dict[Path, str]:
    """Files whose path is that of one image without labels but for its spelling; else whose name alone is, where no folder is at odds.

    shared: what the folders of all label files say without meaning it.
    """
    alike = _alike(left, index, owner)
    spelled = _spelled({image_id for images in alike.values() for image_id in images}, index, folders)
    paths, names = Counter(folded(str(path)) for path in left), Counter(folded(path.stem) for path in left)
    found: dict[Path, str] = {}
    for path in left:
        images = alike.get(folded(path.stem), [])
        folded_path = folded(str(path))
        here = spelled.get(folded_path, set())
        called = _called(path, *_roots(folders, index))
        if len(here) == 1 and paths[folded_path] == 1:
            found[path] = next(iter(here))
        elif names[folded(path.stem)] == 1 == len(images) and (not at_odds(called, images[0], shared) or _linked(path, images[0], index)):
            found[path] = images[0]
    return found


def _spelled(image_ids: Iterable[str], index: ImageIndex, folders: Folders) -> dict[str, set[str]]:
    """The path of a label file in small letters → the images whose it may be."""
    found: dict[str, set[str]] = defaultdict(set)
    for image_id in image_ids:
        for path in _candidates(image_id, folders, index):
            found[folded(str(path))].add(image_id)
    return found


def _linked(path: Path, image_id: str, index: ImageIndex) -> bool:
    """Whether the folder of images that belongs to a label file is the image's own under another name, by a link."""
    twin = Path(swapped(PurePosixPath(whole(path).as_posix()), "labels", "images"))
    return os.path.realpath(twin.parent) == os.path.realpath(Path(index.path(image_id)).parent)


def _alike(files: Iterable[Path], index: ImageIndex, owner: Mapping[str, Path]) -> dict[str, list[str]]:
    """Name of a file, its folders, case and suffix aside → the images without labels that are called so, with or without their suffix."""
    wanted = {folded(path.stem) for path in files}
    found: dict[str, list[str]] = defaultdict(list)
    for image_id in index.paths if wanted else ():
        if image_id not in owner:
            name = PurePosixPath(image_id)
            for called in {folded(name.stem), folded(name.name)} & wanted:
                found[called].append(image_id)
    return found


def _ownerless(path: Path, folders: Folders, index: ImageIndex, alike: Sequence[str]) -> Finding:
    """alike: the images that are called so, whatever folder they lie in."""
    message = f"{path}: expected an image {path.stem}.* in {index}, found "
    if not alike:
        message += "none."
    elif len(alike) > 1:
        message += f"{listed(alike, most=1)}."
    else:
        elsewhere = at_odds(_called(path, *_roots(folders, index)), alike[0])
        message += f"{alike[0]}{', in another folder' if elsewhere else ' for several files'}."
    return Finding(FindingKind.MISSING_IMAGE, path, message, _called(path, folders.base, *index.folders), quarantined=True)


def _roots(folders: Folders, index: ImageIndex) -> tuple[Path, ...]:
    """What label paths are relative to, one after the other."""
    return (folders.labels, folders.base, *index.folders)


def _called(path: Path, *folders: Path) -> str:
    """The path of a text below the first of the folders that holds it, without its suffix."""
    plain = whole(path)
    root = next(root for root in map(whole, folders) if plain.is_relative_to(root))
    return plain.relative_to(root).with_suffix("").as_posix()


def _candidates(image_id: str, folders: Folders, index: ImageIndex) -> Iterable[Path]:
    for name in (PurePosixPath(image_id), swapped(PurePosixPath("images", image_id)), swapped(PurePosixPath(image_id))):
        for root in (folders.labels, folders.base):
            yield root / f"{name}.txt"
            yield root / name.with_suffix(".txt")
    for folder in index.folders:
        yield folder / PurePosixPath(image_id).with_suffix(".txt")
