"""A folder of images without labels, which is what a new study starts from.

Returns a Dataset in which every image is unlabelled and of no split. Knows nothing of label files.
"""

from __future__ import annotations

from pathlib import Path

from boxwise.data.addresses import Address, is_local
from boxwise.data.formats.base import Dataset, Progress
from boxwise.data.formats.checking import assemble
from boxwise.data.formats.layout import ImageIndex, existing
from boxwise.data.formats.listing import Listed, check_images, pictures_not_read
from boxwise.errors import BoxwiseError


def read_folder(images: Address, *, verify: bool = True, progress: Progress | None = None) -> Dataset:
    """All images below `images`, checked; broken ones, copies and pictures of kinds that are not read become findings.

    Raises BoxwiseError when there is none.
    """
    index = ImageIndex(existing(Path(images), "a folder of images") if is_local(images) else images)
    unread = pictures_not_read(Path(images)) if is_local(images) else []
    if not index.paths:
        raise BoxwiseError(unread[0].message if unread else f"{images}: expected a folder with images, found none.")
    listed = [Listed(image_id, path) for image_id, path in index.paths.items()]
    return assemble(check_images(listed, verify=verify, progress=progress, folders_say=False), {}, classes=(), findings=unread)
