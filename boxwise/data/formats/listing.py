"""The images that label files and folders list, checked on disk: they exist, open and have the size that is stated.

Returns their records, and a finding for each that cannot be used. Knows nothing of labels.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from boxwise.data import image_store
from boxwise.data.addresses import IMAGE_SUFFIXES, UNREAD_SUFFIXES, Address, is_local, name_of, parent
from boxwise.data.formats.base import UPRIGHT, Coordinates, Finding, FindingKind, Progress, printable
from boxwise.data.formats.layout import ImageIndex, folder_split, is_file, leads_out, name_fault
from boxwise.data.images import digest, image_size, orientation, verify_image
from boxwise.errors import ImageError, MissingImageError, listed, plural
from boxwise.files import walk
from boxwise.records import ImageRecord, Split

NO_SPLIT = "labels say no split of"  # what begins the note on splits that folders say
_WAITING = 32  # threads where images come over a network: the store says how many it downloads side by side


@dataclass(frozen=True)
class Listed:
    """An image as a label file or folder lists it, before it was opened.

    uri: its address. split: the one that labels say. size: (width, height) that `source`, the label file, states; None when it states none.
    """

    image_id: str
    uri: str
    split: Split | None = None
    source_id: int | str | None = None
    size: tuple[int, int] | None = None
    source: Path | None = None


@dataclass(frozen=True)
class Checked:
    """The images that can be used, and the findings of the others.

    digests: image id → fingerprint of the file's bytes, where files were verified. turns: image id → EXIF orientation (2 to 8) of the
    images whose labels were drawn before it was applied. by_folder: images whose split their folder alone says.
    """

    records: Sequence[ImageRecord]
    findings: Sequence[Finding] = ()
    digests: Mapping[str, str] = field(default_factory=dict)
    turns: Mapping[str, int] = field(default_factory=dict)
    by_folder: frozenset[str] = frozenset()


@dataclass(frozen=True)
class _Measured:
    """size: upright. turn: the EXIF orientation, 1 where labels are upright anyway."""

    size: tuple[int, int] | None = None
    digest: str | None = None
    stamp: str | None = None
    turn: int = 1
    fault: str | None = None

    @property
    def labelled_size(self) -> tuple[int, int] | None:
        """The size of the pixels that labels were drawn on."""
        return self.size[::-1] if self.size is not None and self.turn >= 5 else self.size


def check_images(
    listed: Sequence[Listed],
    *,
    verify: bool,
    coordinates: Coordinates = UPRIGHT,
    progress: Progress | None = None,
    folders_say: bool = True,
    index: ImageIndex | None = None,
) -> Checked:
    """The images that exist, open and have the stated size; a finding for each other one.

    verify: decode each image and take its digest; False reads headers only. folders_say: whether an image of which labels say no split
    serves the one after which its folder is called. index: where labels look for images by their names, too; what is missing there is
    a finding as well.
    """
    if index is not None and index.missing:
        ids = {image.image_id for image in listed}
        listed = [*listed, *(Listed(image_id, path) for image_id, path in index.missing.items() if image_id not in ids)]
    records: list[ImageRecord] = []
    findings: list[Finding] = []
    digests: dict[str, str] = {}
    turns: dict[str, int] = {}
    by_folder: set[str] = set()
    for done, (image, measured) in enumerate(zip(listed, _measure(listed, verify, coordinates), strict=True), start=1):
        fault = _image_fault(image, measured, index)
        if fault is not None:
            findings.append(fault)
        elif measured.size is not None:
            mark = (measured.digest, measured.stamp)
            split = image.split or (folder_split(image.image_id) if folders_say else None)
            records.append(ImageRecord(image.image_id, image.uri, *measured.size, split, image.source_id, *mark))
            by_folder |= {image.image_id} if split is not image.split else set()
            digests |= {image.image_id: measured.digest} if measured.digest else {}
            turns |= {image.image_id: measured.turn} if measured.turn > 1 else {}
        if progress is not None:
            progress(done, len(listed))
    return Checked(records, findings, digests, turns, frozenset(by_folder))


def expected_inside(index: ImageIndex, address: str) -> str:
    """What is expected in the place of a path that leads out of the folder of images."""
    several = _several(index, address)
    return f"Expected a path inside {index}{several and ', found '}{several or '.'}"


def torn(path: Path, image_id: str, first: Path) -> Finding:
    """The finding of a second label file for one image: neither can be trusted to be whole, so the image is taken out."""
    other = first.name if first.parent == path.parent else first
    message = f"{path}: expected one label file for {image_id}, found {other} too. Remove the one that is wrong."
    return Finding(FindingKind.DUPLICATE_ID, path, message, image_id, quarantined=True)


def not_read(candidates: Iterable[Path], read: Sequence[Path]) -> list[str]:
    """A note on the files that might hold labels, too, and were not read, if there are any."""
    left = sorted(set(candidates) - set(read))
    verb = "is" if len(left) == 1 else "are"
    return [f"{plural(len(left), 'more file')} beside {read[0].name} {verb} not read (first: {left[0]})."] if left else []


def matched_by_name(pairs: Mapping[str, str], source: Path) -> list[str]:
    """A note on images that were found by their name alone, if there are any. pairs: what `source` calls them → image id."""
    if not pairs:
        return []
    name, image_id = next(iter(pairs.items()))
    return [f"{source}: {plural(len(pairs), 'image', 'is')} found by file name (first: {name!r} is {image_id})."]


def split_by_folder(records: Iterable[ImageRecord]) -> list[str]:
    """A note on images whose split their folder alone says, if there are any."""
    folders = Counter((record.image_id.partition("/")[0], str(record.split)) for record in records)
    if not folders:
        return []
    counts = [f"{count} in {folder}/ {'serves' if count == 1 else 'serve'} {split}" for (folder, split), count in folders.most_common()]
    return [f"{NO_SPLIT} {plural(folders.total(), 'image')}; their folders do: {listed(counts, most=8)}."]


def pictures_not_read(folder: Path) -> list[Finding]:
    """One finding that counts the pictures below a folder of this machine whose kind cannot be read, if there are any; by names alone."""
    found = sorted(path for path in walk(folder) if path.name.lower().endswith(tuple(UNREAD_SUFFIXES)))
    if not found:
        return []
    kinds = ", ".join(f"{count} {suffix}" for suffix, count in Counter(path.suffix.lower() for path in found).most_common())
    message = f"{folder}: expected pictures in {', '.join(sorted(IMAGE_SUFFIXES))}, found {kinds} too (first: {found[0]}). "
    return [Finding(FindingKind.UNREAD_PICTURE, folder, f"{message}They are left out; convert them to JPEG or PNG.")]


def unlisted(index: ImageIndex, listed: Iterable[str | None], source: Path) -> list[str]:
    """A note on the images of the folder that `source`, a file that lists images, does not list, if there are any."""
    left = sorted(set(index.paths) - set(listed))
    count = len(index.paths)
    return [f"{plural(len(left), 'image', 'is')} not listed in {source}, of {count} in {index} (first: {left[0]})."] if left else []


def _measure(listed: Sequence[Listed], verify: bool, coordinates: Coordinates) -> Iterable[_Measured]:
    """Sizes and digests in order; threads, since decoding and hashing release the interpreter's lock."""
    threads = min(8, os.cpu_count() or 1) if all(is_local(image.uri) for image in listed) else _WAITING
    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(lambda image: _measure_one(image.uri, verify, coordinates), listed)


def _measure_one(uri: str, verify: bool, coordinates: Coordinates) -> _Measured:
    if not verify and not coordinates.raw and uri in coordinates.sizes:
        return _Measured(coordinates.sizes[uri])
    if is_local(uri) and not is_file(Path(uri)):
        return _Measured()
    try:
        stamp = image_store.stat(uri).stamp  # before the bytes are read, so that a change on the way is noticed later
        size, fingerprint = (verify_image(uri), digest(uri)) if verify else (image_size(uri), None)
        return _Measured(size, fingerprint, stamp, orientation(uri) if coordinates.raw else 1)
    except MissingImageError:
        return _Measured()
    except ImageError as error:
        return _Measured(fault=str(error))


def _image_fault(image: Listed, measured: _Measured, index: ImageIndex | None) -> Finding | None:
    def fault(kind: FindingKind, path: Address, message: str) -> Finding:
        alone = image.source is None
        return Finding(kind, path, message, image.image_id, quarantined=True, picture=image.uri, unlabelled=alone)

    words = name_fault(image.image_id)
    if words and (measured.size is not None or not leads_out(image.image_id)):  # else it is the path of another machine, and missing here
        holder = image.source or parent(image.uri)
        return fault(FindingKind.BAD_NAME, holder, f"{holder}: an image is called '{printable(image.image_id)}'. {words}")
    if measured.fault is not None:
        return fault(FindingKind.CORRUPT_IMAGE, image.uri, measured.fault)
    if measured.size is None:
        where = f"{image.source}: " if image.source else ""
        link = is_local(image.uri) and os.path.islink(image.uri)  # noqa: PTH114 - a Path raises for a name that no disk takes
        found = "a link that leads nowhere." if link else _several(index, image.image_id) or "no such file."
        return fault(FindingKind.MISSING_IMAGE, image.source or image.uri, f"{where}expected the image {image.uri}, found {found}")
    if image.size is not None and image.size != measured.labelled_size:
        return fault(FindingKind.SIZE_MISMATCH, image.source or image.uri, _size_message(image, measured.labelled_size or (0, 0)))
    return None


def _several(index: ImageIndex | None, name: str) -> str:
    """What is found where a name alone fits several images, and what to do; '' where it does not."""
    ids = index.several(name) if index else []
    return f"{len(ids)} images of that name: {listed(ids)}. Give its folder, too, in the labels or by --images." if ids else ""


def _size_message(image: Listed, size: tuple[int, int]) -> str:
    width, height = image.size or (0, 0)
    turned = ""
    if (height, width) == size:
        turned = " The two are swapped: if the labels were drawn without the photo's EXIF orientation, read them with --labels-in raw."
    return f"{image.source}: says {width} x {height} pixels. Expected {size[0]} x {size[1]} as in {name_of(image.uri)}.{turned}"
