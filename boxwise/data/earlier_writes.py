"""What an earlier export has left in the folder that a data set is written to again.

Only files that boxwise wrote itself, and that nobody has changed since, are ever removed: a list beside them says which. Others that would
speak of the same images are refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path, PurePosixPath

from boxwise.data.formats.base import Dataset
from boxwise.data.formats.coco import file_of
from boxwise.data.formats.layout import bytes_of, files_below, is_file, leads_out, stem_of, text_of
from boxwise.errors import BoxwiseError, plural
from boxwise.files import replacing

_LABELS = {"yolo": ("labels", ".txt"), "voc": ("Annotations", ".xml")}


@dataclass(frozen=True)
class Earlier:
    """The files that the last export in a format wrote to a folder.

    record: the list of them, which lies in the folder. digests: path → that of its content.
    """

    folder: Path
    record: Path
    digests: dict[Path, str]

    @staticmethod
    def of(target: Path, format_name: str) -> Earlier:
        """Empty for a first export, and for a target that is one file."""
        record = target / f".written_{format_name}.txt"
        rows = [line.rstrip("\r").partition(" ") for line in text_of(record).split("\n")] if is_file(record) else []
        return Earlier(target, record, {target / name: digest for digest, _, name in rows if name and not leads_out(name)})

    def wrote(self, path: Path) -> bool:
        """Whether the file is as that export left it."""
        return path in self.digests and is_file(path) and digest_of(path) == self.digests[path]

    def changed(self) -> list[Path]:
        """The files that are there and no longer as that export left them."""
        return [path for path in self.digests if is_file(path) and not self.wrote(path)]

    def followed_by(self, written: Iterable[Path]) -> list[Path]:
        """Removes what is not written anew, and lists what is. Returns what was removed."""
        paths = list(written)
        if not self.folder.is_dir():
            return []
        stale = [path for path in sorted(self.digests.keys() - set(paths)) if self.wrote(path)]
        for path in stale:
            path.unlink()
        with replacing(self.record) as aside:
            lines = "".join(f"{digest_of(path)} {path.relative_to(self.folder).as_posix()}\n" for path in paths)
            aside.write_text(lines, encoding="utf-8", newline="\n")
        return stale


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
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        message = f"{changed[0]}{more} was changed since it was written. Nothing was written: name another folder than {target}, "
        raise BoxwiseError(message + "or remove what may go.")


def _left_over(dataset: Dataset, target: Path, format_name: str) -> Iterator[Path]:
    """The label files in the target of images that have no labels, and COCO's of a split that has no images."""
    if format_name == "coco" and target.is_dir():
        written = {file_of(record.split) for record in dataset.images}
        yield from (path for path in sorted(target.glob("instances*.json")) if path.name not in written)
    elif format_name in _LABELS:
        folder, suffix = _LABELS[format_name]
        bare = [record.image_id for record in dataset.images if record.image_id not in dataset.labels]
        names = {*bare, *map(stem_of, bare)} - dataset.labels.keys() - {stem_of(image_id) for image_id in dataset.labels}
        files = files_below(target / folder, suffix) if names else []
        yield from (path for path in files if str(PurePosixPath(path.relative_to(target / folder)).with_suffix("")) in names)


def _speaks_of(path: Path, dataset: Dataset) -> bool:
    """Whether a file of COCO lists an image of the data set: else it may be that of another study."""
    try:
        names = {entry["file_name"] for entry in json.loads(bytes_of(path))["images"]}
    except (ValueError, KeyError, TypeError, RecursionError, BoxwiseError):
        return False
    return not names.isdisjoint(record.image_id for record in dataset.images)


def digest_of(path: Path) -> str:
    """A digest of what the file holds."""
    return blake2b(path.read_bytes(), digest_size=8).hexdigest()
