"""Whether an image that cannot be read is at fault itself, or is away with the others: its folder was moved, its disk is not mounted.

Raises where the place is away, so that no image goes out of use for it. Looks at files of this machine alone: remote stores and tar files
say of themselves when they cannot be reached. Changes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from boxwise.data.addresses import folder_of, is_local, parent
from boxwise.errors import ImageStoreError, plural
from boxwise.records import ImageRecord

_PROBES = 100  # other images that are tried, spread over all of them, until one can be read
_WAY_OUT = (
    "Nothing was taken out of use. If a disk is away, go on when it is back; if the images were moved: "
    "boxwise relocate STUDY --images DIR; if they are gone for good: boxwise exclude STUDY IMAGE..."
)


def check_place(record: ImageRecord, others: Sequence[ImageRecord]) -> None:
    """Of an image that could not be read: ImageStoreError where its folder cannot be looked into, or no file of its kind can be opened.

    others: images that are read along with it. Where one of them, or the file itself, can be opened, the image alone is at fault.
    """
    if not is_local(record.uri):
        return
    folder = folder_of(record.uri, record.image_id) or parent(record.uri)
    try:
        os.scandir(folder).close()
    except OSError as error:
        why = f"{folder}: expected the folder of the image {record.image_id}, found: {error.strerror or error}."
        raise ImageStoreError(f"{why} {_WAY_OUT}") from error
    if _opens(record.uri):
        return
    some = others[:: max(1, len(others) // _PROBES)]
    tried = [other.uri for other in some if other.image_id != record.image_id and is_local(other.uri)]
    if tried and not any(map(_opens, tried)):
        why = f"{record.uri}: expected an image, found that neither it nor {plural(len(tried), 'other image')} tried can be opened."
        raise ImageStoreError(f"{why} {_WAY_OUT}")


def _opens(uri: str) -> bool:
    try:
        with Path(uri).open("rb") as file:
            file.read(1)
    except OSError:
        return False
    return True
