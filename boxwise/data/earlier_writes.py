"""What an earlier export has left in the folder that a data set is written to again.

Only files that boxwise wrote itself, and that nobody has changed since, are ever removed: a list beside them says which. Others that would
speak of the same images are refused.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from boxwise.data.formats.base import Dataset
from boxwise.data.formats.beside import files_beside
from boxwise.data.formats.coco import file_of
from boxwise.data.formats.layout import bytes_of, files_below, is_file, leads_out, stem_of, text_of
from boxwise.data.own_files import TO_CORRECT, list_of
from boxwise.errors import BoxwiseError, listed, plural
from boxwise.files import replacing

ANY = "*"  # in place of a digest: of a file that is about to be written, whose content is not known yet
LABELS = {"yolo": ("labels", ".txt"), "voc": ("Annotations", ".xml")}  # where the formats of one file an image have these files


@dataclass(frozen=True)
class Earlier:
    """The files that the last export in a format wrote to a folder.

    record: the list of them, which lies in the folder. digests: path → that of its content; where a write was cut short, of what was there
    and of what was to come.
    """

    folder: Path
    record: Path
    digests: Mapping[Path, frozenset[str]]

    @staticmethod
    def of(target: Path, format_name: str) -> Earlier:
        """Empty for a first export, and for a target that is one file."""
        record = target / list_of(format_name)
        rows = [line.rstrip("\r").partition(" ") for line in text_of(record).split("\n")] if is_file(record) else []
        digests: dict[Path, frozenset[str]] = defaultdict(frozenset)
        for digest, _, name in rows:
            if name and not leads_out(name):
                digests[target / name] |= {digest}
        return Earlier(target, record, dict(digests))

    def wrote(self, path: Path) -> bool:
        """Whether the file is as that export left it."""
        left = self.digests.get(path)
        return left is not None and is_file(path) and (ANY in left or digest_of(path) in left)

    def changed(self) -> list[Path]:
        """The files that are there and no longer as that export left them."""
        return [path for path in self.digests if is_file(path) and not self.wrote(path)]

    def expecting(self, digests: Mapping[Path, str]) -> None:
        """Lists what is about to be written beside what is there, so that after a kill in between both may be written over."""
        there = [(path, digest) for path, left in self.digests.items() for digest in sorted(left)]
        self._list(dict.fromkeys([*there, *digests.items()]))

    def followed_by(self, written: Iterable[Path]) -> list[Path]:
        """Removes what is not written anew, and lists what is. Returns what was removed."""
        paths = list(written)
        if not self.folder.is_dir():
            return []
        stale = [path for path in sorted(self.digests.keys() - set(paths)) if is_file(path) and digest_of(path) in self.digests[path]]
        for path in stale:
            path.unlink()
        self._list((path, digest_of(path)) for path in paths)
        return stale

    def _list(self, files: Iterable[tuple[Path, str]]) -> None:
        with replacing(self.record) as aside:
            lines = "".join(f"{digest} {path.relative_to(self.folder).as_posix()}\n" for path, digest in files)
            aside.write_text(lines, encoding="utf-8", newline="\n")


def check_left_over(dataset: Dataset, target: Path, format_name: str, earlier: Earlier) -> None:
    """Raises BoxwiseError where files in the target would count as labels of this data set that are not written and not to be removed."""
    left = list(_left_over(dataset, target, format_name))
    if left and (format_name != "coco" or any(_speaks_of(path, dataset) for path in earlier.digests)):
        left = [path for path in left if not earlier.wrote(path)]
    if left:
        message = f"{target}: expected a new folder, or one that the last export wrote, found {plural(len(left), 'file')} that would stay "
        message += f"beside the labels written, and be read with them (first: {left[0]}). Remove it, or name another folder."
        raise BoxwiseError(message)


def check_unchanged(target: Path, earlier: Earlier) -> None:
    """Raises BoxwiseError where files that the last export wrote were changed since: they would be written over."""
    if changed := earlier.changed():
        message = f"{were_changed(changed)}. Nothing was written: name another folder than {target}, or remove what may go."
        raise BoxwiseError(message)


def _left_over(dataset: Dataset, target: Path, format_name: str) -> Iterator[Path]:
    """The label files in the target of images that have no labels, those beside the labels of others, and COCO's of a split that has no
    images."""
    if format_name == "coco" and target.is_dir():
        written = {file_of(record.split) for record in dataset.images}
        yield from (path for path in sorted(target.glob("instances*.json")) if path.name not in written)
    elif format_name in LABELS:
        folder, suffix = LABELS[format_name]
        bare = [record.image_id for record in dataset.images if record.image_id not in dataset.labels]
        names = {*bare, *map(stem_of, bare)} - dataset.labels.keys() - {stem_of(image_id) for image_id in dataset.labels}
        files = files_below(target / folder, suffix) if names else []
        yield from (path for path in files if str(PurePosixPath(path.relative_to(target / folder)).with_suffix("")) in names)
        ids = [record.image_id for record in dataset.images]
        yield from (path for paths in files_beside(target, target / folder, suffix, ids).values() for path in paths)


def _speaks_of(path: Path, dataset: Dataset) -> bool:
    """Whether a file of COCO lists an image of the data set: else it may be that of another study."""
    try:
        names = {entry["file_name"] for entry in json.loads(bytes_of(path))["images"]}
    except (ValueError, KeyError, TypeError, RecursionError, BoxwiseError):
        return False
    return not names.isdisjoint(record.image_id for record in dataset.images)


@dataclass(frozen=True)
class ToCorrect:
    """The record in a folder of what was written there to be corrected; empty where there is none that can be read.

    digests: path below the folder → digest of its content as it was last written. earlier: digests of what was written before.
    """

    format_name: str = ""
    digests: Mapping[str, str] = field(default_factory=dict)
    earlier: frozenset[str] = frozenset()

    @staticmethod
    def of(folder: Path) -> ToCorrect:
        with suppress(BoxwiseError, ValueError, KeyError, TypeError, AttributeError):
            kept = json.loads(bytes_of(folder / TO_CORRECT))
            digests = {path: digest for path, digest in kept["digests"].items() if not leads_out(path)}
            return ToCorrect(kept["format"], digests, frozenset(kept["earlier"]))
        return ToCorrect()


def as_written(folder: Path, format_name: str) -> Callable[[Path], bool]:
    """Whether a file below the folder is as boxwise wrote it there, by an export in the format or to be corrected: nobody's labels yet."""
    exported, to_correct = Earlier.of(folder, format_name), ToCorrect.of(folder)

    def is_so(path: Path) -> bool:
        given = to_correct.digests.get(path.relative_to(folder).as_posix()) if path.is_relative_to(folder) else None
        return exported.wrote(path) or (given is not None and is_file(path) and digest_of(path) in {given, *to_correct.earlier})

    return is_so


def were_changed(paths: Sequence[Path]) -> str:
    """That the files were changed since they were written, the first of them by name."""
    return f"{listed(paths, most=1)} {'were changed since they were' if len(paths) > 1 else 'was changed since it was'} written"


def digests_of(write: Callable[[Path], Iterable[Path]]) -> dict[str, str]:
    """Path below the folder that `write` is given → digest, of the files that it writes there: a folder that is gone afterwards."""
    with TemporaryDirectory() as aside:
        return {path.relative_to(aside).as_posix(): digest_of(path) for path in write(Path(aside))}


def digest_of(path: Path) -> str:
    """A digest of what the file holds."""
    return blake2b(path.read_bytes(), digest_size=8).hexdigest()
