"""What boxwise has written itself below a folder of data: pictures to look at or to label, and files that are no labels.

Returns paths. Knows them by the lists and settings that boxwise leaves beside them; a folder is never boxwise's for what else lies in it.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

from boxwise.data.addresses import IMAGE_SUFFIXES
from boxwise.errors import plural
from boxwise.files import walk_folders

QUERY_FILE = "query.csv"  # lies in every folder that a query has written
QUERY_COLUMNS = ("rank", "image_id", "path", "for", "asked", "utility")
PREDICTIONS = "predictions"  # what `predict` calls its list, as exports are called by their format
TO_CORRECT = ".written_to_correct.json"
FINDINGS = "findings.txt"  # in a study's folder, where reading labels found more than a screen shows
_COPIES = ("images", "JPEGImages")  # where the pictures of a folder to label in lie
_CONFIG, _STUDY, _SIMULATION = "config.yaml", {"study.sqlite", ".lock"}, "arms.json"
_OF_STUDY = {"rounds", ".pictures", FINDINGS}
_OF_SIMULATION = {"cells", "curves.png", _SIMULATION, "data.json", "results.json", "results.csv", "summary.csv"}


class Whose(Enum):
    """USER's own, BOXWISE's own, COPY of an image that boxwise gave to be labelled, HIDDEN."""

    USER = auto()
    BOXWISE = auto()
    COPY = auto()
    HIDDEN = auto()


@dataclass(frozen=True)
class FoundPictures:
    """The files below a folder that have the suffix of an image, each list sorted. hidden: empty where they were not asked for.

    dead: links of the user's that are so called and lead nowhere: images that are missing.
    """

    folder: Path
    of: dict[Whose, list[Path]]
    dead: Sequence[Path] = ()

    @property
    def all(self) -> list[Path]:
        """All but the hidden ones."""
        return sorted(path for whose, paths in self.of.items() if whose is not Whose.HIDDEN for path in paths)

    @property
    def undrawn(self) -> list[Path]:
        """Without what boxwise has drawn, unless there is nothing else: what labels may speak of."""
        return sorted([*self.of[Whose.USER], *self.of[Whose.COPY]]) or self.of[Whose.BOXWISE]

    @property
    def photos(self) -> list[Path]:
        """Without what boxwise has drawn or copied, unless there is nothing else: what an image is without labels."""
        return self.of[Whose.USER] or self.undrawn

    def left_out(self, known: Collection[str] = ()) -> list[str]:
        """Notes on those that are not among the photos, if there are any. known: paths of images that count all the same."""
        photos = set(self.photos)
        own = [path for path in self.all if path not in photos and str(path) not in known]
        kinds = {"that boxwise has drawn or copied there": own, "with a hidden name or folder": self.of[Whose.HIDDEN]}
        return [
            f"{plural(len(paths), 'image file', 'is')} left out below {self.folder} {what} (first: {paths[0]})."
            for what, paths in kinds.items()
            if paths
        ]


def list_of(name: str) -> str:
    """What the list of the files is called that an export or `predict` has written to a folder."""
    return f".written_{name}.txt"


def pictures_below(folder: Path, *, hidden: bool = False) -> FoundPictures:
    """All pictures below `folder`. hidden: with those of a hidden name or folder, but for the `._` files of macOS."""
    of: dict[Whose, list[Path]] = {whose: [] for whose in Whose}
    dead: list[Path] = []
    for path, whose in sorted_out(folder, hidden=hidden):
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith("._"):
            if path.is_file():
                of[whose].append(path)
            elif whose is Whose.USER and path.is_symlink() and not path.exists():
                dead.append(path)
    return FoundPictures(folder, {whose: sorted(paths) for whose, paths in of.items()}, sorted(dead))


def sorted_out(root: Path, *, hidden: bool = False) -> Iterator[tuple[Path, Whose]]:
    """What lies below `root` and is no folder, and whose it is; what is hidden only where asked for.

    Where `root` itself is a folder to label in, its copies are the user's: it was named.
    """
    owners: dict[Path, Whose] = {}
    for folder, hidden_folders, names in walk_folders(root):
        here = owners.setdefault(folder, owners.get(folder.parent, Whose.USER))
        owners |= {folder / name: Whose.BOXWISE for name in own_names(folder, names)}
        if folder != root and here is Whose.USER and _is_to_label(folder, names):
            owners |= {folder / name: Whose.COPY for name in _COPIES}
        for path in (folder / name for name in names):
            if not path.name.startswith("."):
                yield path, owners.get(path, here)
            elif hidden:
                yield path, Whose.HIDDEN
        unknown = [folder / name for name in hidden_folders if folder / name not in owners] if hidden and here is not Whose.BOXWISE else []
        yield from ((Path(inner, name), Whose.HIDDEN) for place in unknown for inner, _, files in os.walk(place) for name in files)


def own_names(folder: Path, names: Collection[str]) -> set[str]:
    """Of a folder with files of these names: paths below it of the files and folders that `predict`, a study or a simulation has there."""
    own = _listed(folder / list_of(PREDICTIONS)) if list_of(PREDICTIONS) in names else set()
    if _CONFIG in names:
        own |= _OF_STUDY if not _STUDY.isdisjoint(names) else set()
        own |= _OF_SIMULATION if _SIMULATION in names else set()
    return own


def predictions_in(folder: Path) -> Path | None:
    """What `predict` has written to this very folder as labels."""
    path = folder / f"{PREDICTIONS}.json"
    return path if path.name in _listed(folder / list_of(PREDICTIONS)) and path.is_file() else None


def _is_to_label(folder: Path, names: Collection[str]) -> bool:
    columns = ",".join(QUERY_COLUMNS)
    return TO_CORRECT in names or (QUERY_FILE in names and _text(folder / QUERY_FILE, len(columns)) == columns)


def _listed(record: Path) -> set[str]:
    return {line.rstrip("\r").partition(" ")[2] for line in _text(record).split("\n")} - {""}


def _text(path: Path, most: int = -1) -> str:
    """The text of a file, or its first characters; '' where there is none that can be read."""
    with suppress(OSError, UnicodeDecodeError):
        if path.is_file():  # no pipe, which would hang
            with path.open(encoding="utf-8") as file:
                return file.read(most)
    return ""
