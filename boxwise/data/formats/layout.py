"""Where the images of a data set lie, and which split a name says.

Returns image ids: paths below the image folder in POSIX form. Knows nothing of what the label files hold.
"""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from pathlib import Path, PurePosixPath, PureWindowsPath
from unicodedata import normalize

from boxwise.data.addresses import IMAGE_SUFFIXES, Address, Images, address_in, is_local
from boxwise.data.formats.base import Dataset, is_unspeakable, printable
from boxwise.data.image_store import below
from boxwise.data.own_files import Whose, pictures_below, sorted_out
from boxwise.errors import BoxwiseError
from boxwise.files import walk
from boxwise.records import Split

_SPLIT_WORDS = {
    "train": Split.TRAIN,
    "training": Split.TRAIN,
    "trainval": Split.TRAIN,
    "val": Split.VAL,
    "valid": Split.VAL,
    "validation": Split.VAL,
    "test": Split.TEST,
    "testing": Split.TEST,
}
JSON, XML = "[jJ][sS][oO][nN]", "[xX][mM][lL]"  # suffixes in any case, for patterns
_DEEPEST = 32  # parts of a foreign path that are compared
_FOREIGN = re.compile(r"[a-z][a-z0-9+]+:/(?=[^/])")  # what a Path makes of s3://bucket; longer than a drive of Windows
_HASHED = re.compile(r"^[0-9a-f]{8}-(?=.)")
# No numbers, but after a dot: license_plate_0001.txt is a label.
_ABOUT = re.compile(
    r"readme(\..*)?|(licen[cs]es?|requirements)(\.[a-z]+)*"
    r"|(readme|licen[cs]e|requirements)[_-](?!plate)[a-z_-]+(\.md|\.rst|\.txt)?",
    re.IGNORECASE,
)
_LISTS = {"classes.txt", "train.txt", "val.txt", "valid.txt", "test.txt", "notes.txt", "labels.txt"}
# Folders whose names say nothing of what is in them.
_STRUCTURE = re.compile(r"(images?|labels?|annotations?|jpegimages|data|(image|label)_2|obj_.*data)", re.IGNORECASE)
# What folders of one split are called: its word, with the name of the data set, digits and what is in it.
_FILED = "images?|imgs?|labels?|annotations?|jpegimages|data|data_?set|set|split"
_SPLIT_FOLDER = re.compile(
    rf"(?:(?:{_FILED}|obj|[a-z]+\d{{4}}(?:[ _-]det)?)[ _-]?)?({'|'.join(_SPLIT_WORDS)})(?:[ _-]?(?:\d+|{_FILED}|dev|challenge))*"
    r"|.+[ _-](val|valid|validation)\d*",
    re.IGNORECASE,
)
STRICTNESS: dict[Split | None, int] = {None: -1, Split.TRAIN: 0, Split.VAL: 1, Split.TEST: 2}


def split_named(name: str) -> Split | None:
    """The split that a word of `name` says, as in 'instances_val2017' or 'train'; None if none or several do."""
    splits = {_SPLIT_WORDS[word] for word in re.split(r"[^a-z]+", name.lower()) if word in _SPLIT_WORDS}
    return splits.pop() if len(splits) == 1 else None


def split_of_folder(name: str) -> Split | None:
    """The split after which a folder is called, as in 'val2017' or 'train_images'; None of 'test_drive', which has its word in a phrase."""
    found = _SPLIT_FOLDER.fullmatch(name)
    return _SPLIT_WORDS[(found[1] or found[2]).lower()] if found and (found[1] or split_named(name)) else None


def folder_split(image_id: str) -> Split | None:
    """The split after which the image's first folder is called: what counts where labels say none. None where there is none."""
    folder, slash, _ = image_id.partition("/")
    return split_of_folder(folder) if slash else None


def strictest(*splits: Split | None) -> Split | None:
    """The split by which the least is trained on; None where all are."""
    return max(splits, key=STRICTNESS.__getitem__, default=None)


def file_split(path: Path, root: Path) -> Split | None:
    """The strictest split that the name of a file below `root` says, its own folder, or one around that below `root`; None if none does."""
    folders = {spelled_out(path.parent).name, *path.relative_to(root).parts[:-1]}
    return strictest(split_named(path.stem), *map(split_of_folder, folders))


def stem_of(image_id: str) -> str:
    """The image id without its suffix, folders kept."""
    return str(PurePosixPath(image_id).with_suffix(""))


def is_about(name: str) -> bool:
    """Whether a file is called as those are that say something of a whole data set."""
    return _ABOUT.fullmatch(name) is not None


def is_prose(name: str) -> bool:
    """Whether a text is called as those are that lie beside labels and are none, unless they hold boxes: lists, and what is said of all."""
    return is_about(name) or name.lower() in _LISTS


def folder_words(path: str) -> frozenset[str]:
    """What the folders of a path say of its file: their names, splits by whatever word, without those that every data set has."""
    named = PurePosixPath(path).parts[:-1]
    return frozenset(split_named(name) or folded(name) for name in named if name != ".." and not _STRUCTURE.fullmatch(name))


def at_odds(label: str, image_id: str, shared: Set[str] = frozenset()) -> bool:
    """Whether the folders of two paths say different things, as in train/1.txt and val/1.jpg: neither can be meant by the other.

    shared: what the label's folders say without meaning it, by `shared_folder_words`.
    """
    first, second = folder_words(label) - shared, folder_words(image_id)
    return not (first <= second or second <= first)


def shared_folder_words(labels: Collection[str], image_ids: Collection[str]) -> Set[str]:
    """What the folders of all labels say: a program put its files there, so that it tells none of them apart.

    It does where images of that folder and of others have the same name, and where it is one split and that of all images another.
    """
    shared = frozenset.intersection(*_folder_words_of_each(labels)) if labels else frozenset()
    if not shared or not image_ids:
        return shared
    held = frozenset[str]().union(*_folder_words_of_each(image_ids))
    if shared & held and len({PurePosixPath(image_id).stem for image_id in image_ids}) < len(image_ids):
        shared -= held
    splits = frozenset(Split)
    return shared - splits if held & splits and not held & splits & shared else shared


def _folder_words_of_each(paths: Iterable[str]) -> list[frozenset[str]]:
    return [folder_words(f"{folder}/_") for folder in {path.rpartition("/")[0] for path in paths}]


def folded(name: str) -> str:
    """The name without what systems and programs change on the way: case, and whether an accent is a character of its own."""
    return normalize("NFC", normalize("NFC", name).casefold())


def first_folder(candidates: Iterable[Path]) -> Path:
    """The first candidate that is a folder; the last one when none is."""
    folders = list(candidates)
    return next((folder for folder in folders if is_folder(folder)), folders[-1])


def image_folder(candidates: Iterable[Path]) -> Path:
    """The first candidate that is a folder with an image in or below it; without one the first folder."""
    folders = list(candidates)
    return next((folder for folder in folders if has_images(folder)), first_folder(folders))


def has_images(folder: Path) -> bool:
    """Whether an image lies in or below the folder."""
    return any(path.suffix.lower() in IMAGE_SUFFIXES for path in walk(folder))


def whole(path: Path) -> Path:
    """The path from the root on, `.` and `..` resolved in words alone: links stay."""
    return Path(os.path.normpath(path.absolute()))


def spelled_out(path: Path) -> Path:
    """`path`, or all of it where `.` or `..` leaves out what it is called and where it lies."""
    return whole(path) if path.name in ("", "..") else path


def existing(path: Path, kind: str) -> Path:
    """`path`, or a BoxwiseError that says what was expected there."""
    if is_file(path) or is_folder(path):
        return path
    if _FOREIGN.match(str(path)):
        raise BoxwiseError(f"{path}: expected {kind} on this machine: labels are read here alone. Copy them first.")
    raise BoxwiseError(f"{path}: expected {kind}, found no such file or folder.")


def is_file(path: Path) -> bool:
    """Whether `path` is a regular file, or a link to one: no pipe or device, which would hang a reader. False for a name no disk takes."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def is_folder(path: Path) -> bool:
    """Whether `path` is a folder; False for a name that no disk takes."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def files_below(folder: Path, suffix: str) -> list[Path]:
    """All files below `folder` with `suffix` in any case, sorted; also what has the name but is no regular file.

    Left out are hidden ones, and what `predict`, a study or a simulation has written there.
    """
    return sorted(path for path, whose in sorted_out(folder) if path.name.lower().endswith(suffix) and whose is not Whose.BOXWISE)


def bytes_of(path: Path) -> bytes:
    """What the file holds. Raises BoxwiseError where it is no regular file or cannot be read."""
    if not is_file(path):
        raise BoxwiseError(f"{path}: expected a regular file, found something else of that name.")
    try:
        return path.read_bytes()
    except OSError as error:
        raise BoxwiseError(f"{path}: expected a readable file, found: {error.strerror or error}.") from error


def strict_float(text: str) -> float:
    """float(text), but no underscores and foreign digits, which Python takes and no label file means. Raises ValueError."""
    if "_" in text or not text.isascii():
        raise ValueError(f"{text!r} as a number")
    return float(text)


def is_number(text: str) -> bool:
    """Whether `strict_float` takes it."""
    try:
        strict_float(text)
    except ValueError:
        return False
    return True


def text_of(path: Path) -> str:
    """The text of a list: UTF-8, or UTF-16 as Windows writes it, with its mark. Raises BoxwiseError where it cannot be read."""
    content = bytes_of(path)
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    return content.decode(encoding, errors="replace")


def lines_of(path: Path) -> list[str]:
    """The lines of a list, stripped; [] when there is no such file."""
    text = text_of(path) if is_file(path) else ""
    return [line.strip() for line in text.rstrip().splitlines()]


def listed_names(path: Path) -> tuple[str, ...]:
    """The class names of a text file, one a line; () when there is no such file."""
    return tuple(lines_of(path))


def name_fault(image_id: str) -> str:
    """What keeps a name out of lists and label files, or ''."""
    if not image_id.isprintable() and any(map(is_unspeakable, image_id)):
        return "Expected a name in UTF-8 without line breaks and other control characters; rename the file."
    if leads_out(image_id):
        return "Expected a path that stays below the folder of images, from its first part to its last; rename the file."
    return ""


def leads_out(image_id: str) -> bool:
    """Whether a folder joined with the name would be another place: object stores take any name."""
    plain = PurePosixPath(image_id.replace("\\", "/"))
    return ".." in plain.parts or plain.is_absolute() or bool(PureWindowsPath(image_id).drive) or "//" in image_id


def check_names(dataset: Dataset) -> None:
    """Raises BoxwiseError for an image whose name a list of one name a line cannot hold."""
    for record in dataset.images:
        if fault := name_fault(record.image_id):
            raise BoxwiseError(f"{printable(record.uri)}: {fault}")


def unhashed(name: str) -> str | None:
    """The path `name` as it was before Label Studio put eight hex digits in front of its last part; None if it has none."""
    folder, slash, last = name.rpartition("/")
    plain = _HASHED.sub("", last)
    return f"{folder}{slash}{plain}" if plain != last else None


def shared_stems(image_ids: Iterable[str]) -> set[str]:
    """Stems that several images have, such as 'a' of a.jpg and a.png: their label files need the suffix in the name.

    So does that of a.jpg.png beside a.jpg, since a.jpg.txt could be either's.
    """
    ids = set(image_ids)
    times = Counter(map(stem_of, ids))
    return {stem for stem, count in times.items() if count > 1 or stem in ids}


class ImageIndex:
    """The images below one folder, or those given with their addresses, to be found by id, by stem or by the end of their path.

    paths: image id → address. folders: that one folder, or none, to compare paths with; nothing of a remote store is opened by it.
    missing: image id → place, of links in that folder that lead nowhere; no label is looked for by their names.
    """

    def __init__(self, images: Images, folder: Path | None = None) -> None:
        """folder: the one below which the ids of images with their addresses are paths, where there is one."""
        self._address: Address | None = folder
        self.folders: tuple[Path, ...] = () if folder is None else (folder,)
        self.paths: dict[str, str] = {}
        self.missing: dict[str, str] = {}
        if isinstance(images, Mapping):
            self.paths = dict(images)
        else:
            self._address, self.folders = images, (Path(images),)
            if not is_local(images):
                self.paths = below(images)
            elif is_folder(Path(images)):
                found = pictures_below(Path(images))
                self.paths, self.missing = (
                    {path.relative_to(images).as_posix(): str(path) for path in paths} for paths in (found.undrawn, found.dead)
                )
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        self._by_last_stem: dict[str, list[str]] = defaultdict(list)
        self._by_name: dict[str, list[str]] = defaultdict(list)
        self._by_folded: dict[str, list[str]] | None = None  # made when first asked for
        self._by_place: dict[str, str] | None = None  # likewise
        self._backslashed = {part for image_id in self.paths if "\\" in image_id for part in image_id.split("/") if "\\" in part}
        for image_id in self.paths:
            self._by_stem[stem_of(image_id)].append(image_id)
            self._by_last_stem[PurePosixPath(image_id).stem].append(image_id)
            self._by_name[PurePosixPath(image_id).name].append(image_id)

    def __str__(self) -> str:
        return "the images' folders" if self._address is None else str(self._address)

    def path(self, image_id: str) -> str:
        """Where the image lies, or would lie."""
        return self.paths.get(image_id) or (image_id if self._address is None else address_in(self._address, image_id))

    def at(self, place: Path) -> str | None:
        """The image whose file lies at `place`, a path from the root on, as words say it."""
        if self._by_place is None:
            self._by_place = {os.path.abspath(path): image_id for image_id, path in self.paths.items() if is_local(path)}  # noqa: PTH100
        return self._by_place.get(str(place))

    def with_slashes(self, name: str) -> str:
        """What a label file calls an image, as ids are written: `/` between the parts; a backslash in an image's own name stays."""
        return "/".join(part if part in self._backslashed else part.replace("\\", "/") for part in name.split("/"))

    def with_stem(self, stem: str, file_name: str = "") -> str | None:
        """The image called `stem` apart from its suffix; of several the one that `file_name` names."""
        found = self._by_stem.get(stem, [])
        return found[0] if len(found) == 1 else next((i for i in found if PurePosixPath(i).name == file_name), None)

    def respelled(self, name: str) -> str | None:
        """The only image whose id is `name`, with or without a suffix, but for case and the way accents are written."""
        if self._by_folded is None:
            self._by_folded = defaultdict(list)
            for image_id in self.paths:
                for called in {folded(image_id), folded(stem_of(image_id))}:
                    self._by_folded[called].append(image_id)
        found = self._by_folded.get(folded(name), [])
        return found[0] if len(found) == 1 else None

    def below_with_stem(self, stem: str, split: Split | None = None) -> str | None:
        """The only image of that stem, whatever folder it lies in; of several the one in a folder named after `split`."""
        return _chosen(self._by_last_stem.get(stem, []), split)

    def ending_in(self, tail: str, split: Split | None = None) -> str | None:
        """The image that a label file calls `tail`: its id, with or without this folder's own name, or the end of one path alone.

        Of several the one in a folder named after `split`. A name that Label Studio put a prefix to serves without it, too.
        """
        found = self._exact(tail) or self._only(tail, split)
        plain = unhashed(tail)
        return found if found or plain is None else self.ending_in(plain, split)

    def by_name(self, address: str, shared: Set[str] = frozenset()) -> str | None:
        """The image whose path ends as `address` does, a path or URL elsewhere: by as many parts as agree, at last by its name alone.

        Where none does, letters in another case will do. A path within a data set, such as cam1/1.jpg, is that of no image elsewhere, but
        for what `shared` holds (`shared_folder_words`).
        """
        elsewhere, address = not is_local(address) or leads_out(address), self.with_slashes(address)
        parts = [part for part in address.split("/") if part not in ("", ".", "..")][-_DEEPEST:]
        tails = ["/".join(parts[count:]) for count in range(len(parts))]
        found = next((found for look in (self.ending_in, self.respelled) for tail in tails if (found := look(tail))), None)
        return None if found is not None and not elsewhere and at_odds(address, found, shared) else found

    def several(self, address: str) -> list[str]:
        """The images that a label file may mean by `address`, of which the name alone agrees, where they are more than one."""
        path, elsewhere = self.with_slashes(address), not is_local(address) or leads_out(address)
        alike = self._by_name.get(path.rpartition("/")[2], [])
        meant = [image_id for image_id in alike if elsewhere or not at_odds(path, image_id)]
        return meant if len(meant) > 1 else []

    def _exact(self, name: str) -> str | None:
        if name in self.paths:
            return name
        parts, places = PurePosixPath(name).parts, [whole(folder).parts for folder in self.folders]
        rests = ("/".join(parts[count:]) for here in places for count in range(1, len(parts)) if parts[:count] == here[-count:])
        return next((rest for rest in rests if rest in self.paths), None)

    def _only(self, tail: str, split: Split | None) -> str | None:
        return _chosen([i for i in self._by_name.get(PurePosixPath(tail).name, []) if i.endswith("/" + tail)], split)


def _chosen(image_ids: Sequence[str], split: Split | None) -> str | None:
    """The only image; of several the only one in a folder named after `split`."""
    if len(image_ids) > 1 and split is not None:
        image_ids = [image_id for image_id in image_ids if split_named(str(PurePosixPath(image_id).parent)) == split]
    return image_ids[0] if len(image_ids) == 1 else None
