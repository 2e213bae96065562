"""The study's config as its folder holds it, for people to read and edit, and where that says its database is.

Returns configs as they are written; what is in force is the store's. Knows nothing of rounds.
"""

from __future__ import annotations

from pathlib import Path

from boxwise.config import StudyConfig, dump_config, load_config
from boxwise.errors import StudyError, quoted
from boxwise.files import replacing
from boxwise.store import URL, file_url, without_password
from boxwise.store.salvage import has_tables

CONFIG_FILE, DATABASE = "config.yaml", "study.sqlite"


def written(folder: Path) -> StudyConfig:
    """The config that the study's folder holds; StudyError for an empty file, which would pass for the defaults."""
    path = folder / CONFIG_FILE
    if not path.read_text(encoding="utf-8", errors="replace").strip():
        way = f"`boxwise repair {quoted(folder)}` writes them again."
        raise StudyError(f"{path}: expected the study's settings, found an empty file. {way}")
    return load_config(path)


def without_config(folder: Path) -> StudyError:
    """What to do where there is no config.yaml: a study that has lost it has a database, which a creation that was killed left empty."""
    lost, new = f"`boxwise repair {quoted(folder)}` writes it again", f"Make one with `boxwise init {quoted(folder)} --images DIR`"
    way = lost if has_tables(folder / DATABASE) else new
    return StudyError(f"{folder}: no boxwise study here (no {CONFIG_FILE}). {way}.")


def write_config(folder: Path, config: StudyConfig) -> None:
    """Leave the config in the study's folder."""
    with replacing(folder / CONFIG_FILE) as path:
        path.write_text(dump_config(config), encoding="utf-8")


def url_of(folder: Path, config: StudyConfig) -> str | URL:
    """Where the database of the study in `folder` is."""
    return config.store or file_url(folder / DATABASE)


def as_kept(config: StudyConfig) -> StudyConfig:
    """The config as files and the store hold it, so without the database's password."""
    return config.model_copy(update={"store": without_password(config.store)}) if config.store else config


def check_new_folder(folder: Path) -> None:
    """StudyError where no folder can be made, because a file lies there or on the way, or pages could not show its name."""
    try:
        str(folder.absolute()).encode()
    except UnicodeEncodeError as error:
        raise StudyError(f"{error.object!r}: expected a folder whose name is text in UTF-8.") from None
    above = next((path for path in (folder, *folder.parents) if path.exists()), folder)
    if not above.is_dir() and above.exists():
        way = "" if above == folder else f" on the way to {folder}"
        raise StudyError(f"{above}: expected a new folder for the study, found a file{way}.")
