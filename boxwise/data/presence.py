"""Whether an image that cannot be read is at fault itself, or is away with the others: its folder was moved, its disk is not mounted.

Raises where the place is away, so that no image goes out of use for it. Looks at files of this machine alone: remote stores and tar files
say of themselves when they cannot be reached. Changes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

from boxwise.data.addresses import is_image_name, is_local, parent
from boxwise.errors import ImageStoreError
from boxwise.records import ImageRecord

_MOST = 100  # images that are tried
_WAY_OUT = (
    "Nothing was taken out of use. If a disk is away, go on when it is back; if the images were moved: "
    "boxwise relocate STUDY --images DIR; if they are gone for good: boxwise exclude STUDY IMAGE..."
)


def check_place(record: ImageRecord) -> None:
    """Of an image that could not be read: ImageStoreError where no other in its folder can be opened, so that it is not at fault itself."""
    if not is_local(record.uri) or _opens(record.uri):
        return
    folder = parent(record.uri)
    try:
        os.scandir(folder).close()
    except OSError as error:
        why = f"{folder}: expected the folder of the image {record.image_id}, found: {error.strerror or error}."
        raise ImageStoreError(f"{why} {_WAY_OUT}") from error
    if not any(map(_opens, islice(_images_below(folder), _MOST))):
        raise ImageStoreError(f"{record.uri}: expected an image, found that no image in {folder} can be opened. {_WAY_OUT}")


def _images_below(folder: str) -> Iterator[str]:
    """As they come, without the names of a whole folder in memory; links to folders are not followed."""
    folders = [folder]
    while folders:
        with suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif is_image_name(entry.name):
                    yield entry.path


def _opens(uri: str) -> bool:
    try:
        with Path(uri).open("rb") as file:
            file.read(1)
    except OSError:
        return False
    return True
