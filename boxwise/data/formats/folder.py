"""A folder of images without labels, which is what a new study starts from.

Returns a Dataset in which every image is unlabelled and of no split. Knows nothing of label files.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from boxwise.data.addresses import Address, is_image_name, is_local
from boxwise.data.formats.base import Dataset, Finding, Progress
from boxwise.data.formats.checking import assemble
from boxwise.data.formats.layout import ImageIndex, existing
from boxwise.data.formats.listing import Listed, check_images, pictures_not_read
from boxwise.errors import BoxwiseError
from boxwise.files import walk


def read_folder(images: Address, *, verify: bool = True, progress: Progress | None = None) -> Dataset:
    """All images below `images`, checked; broken ones, copies and pictures of kinds that are not read become findings.

    Raises BoxwiseError when there is none.
    """
    index = ImageIndex(existing(Path(images), "a folder of images") if is_local(images) else images)
    unread = pictures_not_read(Path(images)) if is_local(images) else []
    if not index.paths:
        raise _no_image(images, unread)
    listed = [Listed(image_id, path) for image_id, path in index.paths.items()]
    return assemble(check_images(listed, verify=verify, progress=progress, folders_say=False), {}, classes=(), findings=unread)


def check_folder(images: Path) -> None:
    """Raises BoxwiseError where no image lies below a folder of this machine; the first one by its name is enough."""
    if not any(is_image_name(path.name) and path.is_file() for path in walk(images)):
        raise _no_image(images, pictures_not_read(images))


def _no_image(images: Address, unread: Sequence[Finding]) -> BoxwiseError:
    return BoxwiseError(unread[0].message if unread else f"{images}: expected a folder with images, found none.")
