"""Addresses of images as strings: which are paths of this machine, what lies in what, and how to show one.

An address is a path of this machine, `scheme://place/name` of a remote store, or `tar://member::shard`, where the shard is either of the
two. Returns strings, and what is known of a file. Opens no image.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

Address = str | Path
Images = Address | Mapping[str, str]  # the folder of images, or image id → address where they have no folder in common
TAR, _IN = "tar://", "::"
IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp", ".avif", ".jp2", ".tif", ".tiff", ".gif", ".ppm", ".pgm"}
)
_PHONES, _CAMERAS = {".heic", ".heif", ".hif", ".jxl"}, {".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2"}
UNREAD_SUFFIXES = frozenset({*_PHONES, *_CAMERAS, ".psd", ".tga"})  # of pictures that have to be converted first
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_SECRETS = re.compile(r"(?<=://)[^/@\s]*@|\?[^\s'\")]*")  # user:password@ and what signs a link


@dataclass(frozen=True)
class Stat:
    """What is known of a file without its content.

    size: bytes. version: changes when the content does: the time of the last change in ns, or what a remote store says (its etag).
    """

    size: int
    version: str

    @property
    def stamp(self) -> str:
        """Both in a few bytes, to be kept and compared."""
        return f"{self.size}:{self.version}"


def scheme_of(uri: Address) -> str | None:
    """'s3', 'https', 'tar' ...; None of a path of this machine."""
    found = None if isinstance(uri, Path) else _SCHEME.match(uri)
    return found and found[1].lower()


def is_local(uri: Address) -> bool:
    """Whether it is a path of this machine."""
    return isinstance(uri, Path) or "://" not in uri or scheme_of(uri) is None


def given(text: str) -> str:
    """An address as a person writes it: `file://` is a path of this machine, and a tar file is the folder of what is in it."""
    if scheme_of(text) == "file":
        return unquote(urlsplit(text).path)
    is_shard = text.lower().endswith(".tar") and scheme_of(text) != "tar" and not (is_local(text) and Path(text).is_dir())
    return member_of(text, "") if is_shard else text


def member_of(shard: str, name: str) -> str:
    """The address of what is called `name` in a tar shard."""
    return f"{TAR}{name}{_IN}{shard}"


def in_shard(uri: str) -> tuple[str, str]:
    """(name, shard) of `tar://name::shard`; a shard without a name, as `tar://shard.tar` would say, is all of it."""
    name, found, shard = uri[len(TAR) :].partition(_IN)
    return (name, shard) if found else ("", name)


def absolute(uri: str) -> str:
    """The same from anywhere: paths of this machine from the root on."""
    if scheme_of(uri) == "tar":
        name, shard = in_shard(uri)
        return member_of(absolute(shard), name)
    return str(Path(uri).absolute()) if is_local(uri) else uri


def address_in(folder: Address, image_id: str) -> str:
    """Where the image called `image_id` lies, or would lie, in a folder."""
    if scheme_of(folder) == "tar":
        name, shard = in_shard(str(folder))
        return member_of(shard, f"{name.rstrip('/')}/{image_id}" if name else image_id)
    return str(Path(folder) / image_id) if is_local(folder) else f"{str(folder).rstrip('/')}/{image_id}"


def folder_of(uri: str, image_id: str) -> str | None:
    """The folder below which the image's id is its path; None where the two differ."""
    if is_local(uri):
        parts, path = PurePosixPath(image_id).parts, Path(uri)
        return str(Path(*path.parts[: -len(parts)])) if path.parts[-len(parts) :] == parts else None
    if scheme_of(uri) == "tar":
        name, shard = in_shard(uri)
        return member_of(shard, name.removesuffix(image_id)) if f"/{name}".endswith(f"/{image_id}") else None
    return uri.removesuffix(f"/{image_id}") if uri.endswith(f"/{image_id}") else None


def parent(uri: str) -> str:
    """The folder that it lies in."""
    return str(Path(uri).parent) if is_local(uri) else uri.rpartition("/")[0]


def place_of(uri: str) -> str:
    """What can be reached as a whole or not at all: a folder of this machine, a tar file; with its scheme a bucket, container or host."""
    if is_local(uri):
        return parent(uri)
    parts = urlsplit(uri)
    return in_shard(uri)[1] if parts.scheme == "tar" else f"{parts.scheme}://{parts.netloc}"


def name_of(uri: str) -> str:
    """What the image is called where it lies, its folders left out."""
    if is_local(uri):
        return Path(uri).name
    path = in_shard(uri)[0] if scheme_of(uri) == "tar" else urlsplit(uri).path
    return PurePosixPath(path).name


def is_image_name(name: str) -> bool:
    """Whether a path has an image suffix in any case and no hidden part."""
    path = PurePosixPath(name)
    return path.suffix.lower() in IMAGE_SUFFIXES and not any(part.startswith(".") for part in path.parts)


def redacted(text: str) -> str:
    """An address, or words with one, for messages: without passwords, and without what signs a link."""
    return _SECRETS.sub("", text) if "://" in text else text
