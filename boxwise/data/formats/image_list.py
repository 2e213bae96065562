"""A list of images in a file: one address a line, or a column of a CSV or Parquet table. No image is opened, or even looked for.

Returns a Dataset whose images have no size yet; it is read when an image is asked about first. Knows nothing of labels.
"""

from __future__ import annotations

import csv
import os
import posixpath
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from boxwise.data import image_store
from boxwise.data.addresses import IMAGE_SUFFIXES, Address, given, in_shard, is_local, member_of, redacted, scheme_of
from boxwise.data.formats.base import Dataset, Finding, FindingKind, printable
from boxwise.data.formats.layout import is_file, name_fault
from boxwise.errors import BoxwiseError, plural
from boxwise.records import ImageRecord

LISTS = (".txt", ".csv", ".parquet")
_ADDRESS, _ID = ("path", "uri", "url", "file_name", "image"), "image_id"  # names of columns; of addresses the first that is there
_WEB = ("http", "https")
_USER = re.compile(r"(?<=://)[^/?#]*@")  # of a link: its user and password
_Entry = tuple[str, str | None]  # the address as the list has it, and the image's id where the list gives one


def is_image_list(path: Address) -> bool:
    """Whether it is a file that can be read as a list of images."""
    return is_local(path) and Path(path).suffix.lower() in LISTS and is_file(Path(path))


def read_image_list(path: Path) -> Dataset:
    """The images that the file lists: addresses of this machine, from the file's folder where they are relative, or others such as s3://.

    An id is the list's own column `image_id`, else a relative address as it is written, else the address below the folder that all share,
    from the bucket or host on where they are of several schemes; of a link of the web its path alone, without what signs it, unless the
    query names the file.
    What is listed twice, however it is written, counts once, with a note. A name that cannot be used, an id of two images, an image of
    two ids are findings. Raises BoxwiseError for a file that lists nothing, or a kind of address that cannot be read here.
    """
    folder = str(path.parent.absolute())
    root, mixed = _root(path, folder)
    records: dict[str, ImageRecord] = {}
    called: dict[str, str] = {}  # address → image id
    findings: list[Finding] = []
    repeated, schemes = 0, set[str | None]({None})
    for written, own_id in _entries(path):  # read again, rather than held in memory
        address = _address(written, folder)
        if (scheme := scheme_of(address)) not in schemes:
            image_store.check(address)
            schemes.add(scheme)
        before = called.get(address)
        image_id = own_id or before or _id_of(address, written, root, mixed)
        there = records.get(image_id)
        if before == image_id:
            repeated += 1
        elif before is not None:
            both = f"{_shown_id(before, address)} and {_shown_id(image_id, address)}"
            message = f"{path}: expected one name for {redacted(address)}, found {both}. The first is taken."
            findings.append(Finding(FindingKind.DUPLICATE_ID, path, message, image_id, quarantined=True))
        elif there is not None:
            both = f"{redacted(there.uri)} and {redacted(address)}"
            message = f"{path}: expected one image called {_shown_id(image_id, address)}, found {both}. The first is taken."
            findings.append(Finding(FindingKind.DUPLICATE_ID, path, message, image_id))
        elif fault := _fault(address, image_id, own_id):
            message = f"{path}: lists {redacted(printable(written))}. {fault}"
            findings.append(Finding(FindingKind.BAD_NAME, path, message, image_id, quarantined=True))
        else:
            records[image_id] = ImageRecord(image_id, address, 0, 0)
            called[address] = image_id
    notes = [
        f"{plural(len(records), 'image', 'is')} listed; none was opened. Each is checked, and its size read, when it is asked about first."
    ]
    notes += [f"{repeated} lines of {path} list an image again; it is taken once."] if repeated else []
    return Dataset((), tuple(records.values()), {}, tuple(findings), notes=tuple(notes), listed=True)


def _entries(path: Path) -> Iterator[_Entry]:
    readers = {".csv": _of_csv, ".parquet": _of_parquet}
    rows = readers.get(path.suffix.lower(), _of_lines)(path)
    return ((address, image_id) for address, image_id in rows if address)


def _of_lines(path: Path) -> Iterator[_Entry]:
    for line in _lines(path):
        yield line.strip(), None


def _of_csv(path: Path) -> Iterator[_Entry]:
    rows = csv.DictReader(_lines(path))
    column = _column(rows.fieldnames or (), path)
    for row in rows:
        yield (row[column] or "").strip(), _text(row.get(_ID))


def _of_parquet(path: Path) -> Iterator[_Entry]:
    import pyarrow as pa  # takes its time to import
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as table:
            names = table.schema_arrow.names
            column = _column(names, path)
            columns = [column, _ID] if _ID in names else [column]
            for batch in table.iter_batches(columns=columns):
                values = [batch[name].to_pylist() for name in columns]
                yield from ((str(row[0] or ""), _text(row[1]) if len(row) > 1 else None) for row in zip(*values, strict=True))
    except (OSError, pa.ArrowInvalid) as error:
        raise BoxwiseError(f"{path}: expected a Parquet table, found something else ({str(error).splitlines()[0]}).") from None


def _lines(path: Path) -> Iterator[str]:
    """UTF-8, or UTF-16 as Windows writes it, with its mark."""
    try:
        with path.open("rb") as file:
            wide = file.read(2) in (b"\xff\xfe", b"\xfe\xff")
        with path.open(encoding="utf-16" if wide else "utf-8-sig", errors="replace", newline="") as file:
            yield from file
    except OSError as error:
        raise BoxwiseError(f"{path}: expected a readable file, found: {error.strerror or error}.") from error


def _column(names: Iterable[str], path: Path) -> str:
    found = next((name for name in _ADDRESS if name in names), None)
    if found is None:
        raise BoxwiseError(
            f"{path}: expected a column named {', '.join(_ADDRESS[:-1])} or {_ADDRESS[-1]}, found {', '.join(names) or 'none'}."
        )
    return found


def _text(value: Any) -> str | None:
    return None if value is None or value == "" else str(value)


def _address(written: str, folder: str) -> str:
    if scheme_of(written) == "tar":
        name, shard = in_shard(written)
        return member_of(_address(shard, folder), name)
    written = given(written) if scheme_of(written) == "file" else written
    return written if not is_local(written) else os.path.normpath(os.path.join(folder, written))  # noqa: PTH118 - a Path each takes a minute a million


def _root(path: Path, folder: str) -> tuple[str, bool]:
    """(the folder that all addresses share, False); (what they share without their schemes, True) where that is nothing with them.

    Where it is a line that names no image which shares nothing with the others, they alone count. Raises BoxwiseError for an empty list.
    """
    root = _common_folder(_path(_address(written, folder)) for written, _ in _entries(path))
    if root is None:
        raise BoxwiseError(f"{path}: expected a list of images, found none. Give one address a line, or a column named path.")
    if root:
        return root, False
    images = [_path(address) for written, _ in _entries(path) if _is_image(_name(address := _address(written, folder)))]
    root = _common_folder(images)
    return (root, False) if root else (_common_folder(_bare(address, True) for address in images) or "", True)


def _bare(address: str, mixed: bool) -> str:
    """The address, without its scheme, or its drive and first slash, where it is one of several kinds."""
    if not mixed:
        return address
    return os.path.splitdrive(address)[1].lstrip("/" + os.sep) if is_local(address) else address.partition("://")[2]


def _path(address: str) -> str:
    """The address without what signs a link of the web, chooses a part of it or logs in; a tar file is a folder of what is in it."""
    if scheme_of(address) == "tar":
        name, shard = in_shard(address)
        return f"{_path(shard)}/{name}"
    return re.split(r"[?#]", _USER.sub("", address, count=1), maxsplit=1)[0] if scheme_of(address) in _WEB else address


def _name(address: str) -> str:
    """The address up to what it calls the image: of a link of the web its path, with the query where that ends as an image's name does."""
    path, asked = _path(address), _USER.sub("", address, count=1).partition("#")[0]
    return asked if scheme_of(address) in _WEB and not _is_image(path) and _is_image(asked) else path


def _is_image(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES  # noqa: PTH122


def _shown_id(image_id: str, address: str) -> str:
    """An image id for messages: a query may sign its link."""
    return _path(address).rpartition("/")[2] if "?" in image_id and scheme_of(address) in _WEB else image_id


def _common_folder(addresses: Iterable[str]) -> str | None:
    """With a slash at its end; the first and the last of all in order show it. None without any."""
    rest = iter(addresses)
    least = most = next(rest, None)
    if least is None or most is None:
        return None
    for address in rest:
        least, most = min(least, address), max(most, address)
    length = next((place for place, (one, other) in enumerate(zip(least, most, strict=False)) if one != other), len(least))
    return least[: least.replace(os.sep, "/").rfind("/", 0, length) + 1]


def _id_of(address: str, written: str, root: str, mixed: bool) -> str:
    if is_local(written) and not os.path.isabs(written):  # noqa: PTH117
        plain = posixpath.normpath(written.replace(os.sep, "/"))
        if not plain.startswith("../"):
            return plain
    return _bare(_name(address), mixed).removeprefix(root).replace(os.sep, "/")


def _fault(address: str, image_id: str, own_id: str | None) -> str:
    """Why this can be no image of a study, by its name alone, or by the one given beside it; or ''."""
    if not _is_image(_name(address)) and not _is_image(own_id or ""):
        return f"Expected an image, whose name or {_ID} ends in one of {', '.join(sorted(IMAGE_SUFFIXES))}."
    return name_fault(image_id)
