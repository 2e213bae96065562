"""A folder of images without labels, which is what a new study starts from.

Returns a Dataset in which every image is unlabelled and of no split. Knows nothing of label files.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from boxwise.data.addresses import Address, is_image_name, is_local
from boxwise.data.formats.base import Dataset, Finding, Progress
from boxwise.data.formats.checking import assemble
from boxwise.data.formats.layout import existing
from boxwise.data.formats.listing import Listed, check_images, pictures_not_read
from boxwise.data.image_store import below
from boxwise.data.own_files import pictures_below
from boxwise.errors import BoxwiseError
from boxwise.files import walk


def read_folder(images: Address, *, verify: bool = True, known: Collection[str] = (), progress: Progress | None = None) -> Dataset:
    """All images below `images`, checked; broken ones, copies and pictures of kinds that are not read become findings.

    What boxwise has drawn or copied there itself is left out with a note, and what is hidden. known: addresses of images that have labels
    and need no such note. Raises BoxwiseError when there is none.
    """
    if is_local(images):
        found = pictures_below(existing(Path(images), "a folder of images"), hidden=True)
        paths = {path.relative_to(images).as_posix(): str(path) for path in sorted([*found.photos, *found.dead])}
        unread, notes = pictures_not_read(Path(images)), found.left_out(known)
    else:
        paths, unread, notes = below(images), [], []
    if not paths:
        raise _no_image(images, unread)
    listed = [Listed(image_id, path) for image_id, path in paths.items()]
    checked = check_images(listed, verify=verify, progress=progress, folders_say=False)
    return assemble(checked, {}, classes=(), findings=unread, notes=notes)


def check_folder(images: Path) -> None:
    """Raises BoxwiseError where no image lies below a folder of this machine; the first one by its name is enough."""
    if not any(is_image_name(path.name) and path.is_file() for path in walk(images)):
        raise _no_image(images, pictures_not_read(images))


def _no_image(images: Address, unread: Sequence[Finding]) -> BoxwiseError:
    return BoxwiseError(unread[0].message if unread else f"{images}: expected a folder with images, found none.")
