"""Label files beside the folder that a format has for them: in the data set's root and with the images, where labelling tools save theirs.

Returns paths. Knows nothing of what the files hold.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from boxwise.data.formats.layout import files_below, stem_of

_IMAGE_FOLDERS = ("JPEGImages", "images")


def places_beside(root: Path, labels: Path, suffix: str) -> tuple[dict[Path, list[Path]], list[Path]]:
    """The root and its folders of images → the files with `suffix` that lie in the one or below the others; and those further down.

    labels: the folder of the format, whose files are left out.
    """
    near: dict[Path, list[Path]] = defaultdict(list)
    far: list[Path] = []
    for path in files_below(root, suffix):
        folders = path.relative_to(root).parts[:-1]
        if not path.is_relative_to(labels):
            place = root if not folders else root / folders[0] if folders[0] in _IMAGE_FOLDERS else None
            (far if place is None else near[place]).append(path)
    return dict(near), far


def files_beside(root: Path, labels: Path, suffix: str, image_ids: Iterable[str]) -> dict[str, list[Path]]:
    """Image id → the files with `suffix` beside `labels` that are called as it is: those that a reader would take for its labels."""
    found: dict[str, list[Path]] = defaultdict(list)
    for place, paths in places_beside(root, labels, suffix)[0].items():
        for path in paths:
            found[path.relative_to(place).with_suffix("").as_posix()].append(path)
    named = {
        i: [*dict.fromkeys(path for name in (i, stem_of(i), stem_of(i).rpartition("/")[2]) for path in found.get(name, ()))]
        for i in image_ids
    }
    return {image_id: paths for image_id, paths in named.items() if paths}
