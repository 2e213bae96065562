"""A study as one file to keep elsewhere, and a study made of it again: settings, labels with their history, files of the rounds.

Images are not in it: they stay where they are, and `boxwise relocate` says where they are later. A study may be at work meanwhile.
"""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from boxwise.errors import BoxwiseError, StudyError
from boxwise.files import replacing
from boxwise.store import SQLITE_DUMP, Store, dump, load
from boxwise.study.config_file import CONFIG_FILE, DATABASE, as_kept, check_new_folder, url_of, write_config, written
from boxwise.study.study import Study

_WITHIN = "study"  # the folder in the archive


def backup(folder: Path, archive: Path) -> int:
    """Write the study in `folder` to `archive`, a tar file, compressed where its name ends in gz; the number of files in it.

    The database is copied first, as of one moment; files of rounds that were finished since are simply written anew after a restore.
    """
    study = Study.open(folder)
    if archive.resolve().is_relative_to(folder.resolve()):
        raise BoxwiseError(f"{archive}: expected a place outside of the study's folder {folder}.")
    mode = "w:gz" if archive.suffix in (".gz", ".tgz") else "w"
    with TemporaryDirectory(prefix="boxwise-backup-") as made, replacing(archive) as aside:
        database = dump(url_of(folder, study.config), Path(made))
        with tarfile.open(aside, mode) as tar:  # type: ignore[call-overload]
            tar.add(database, f"{_WITHIN}/{database.name}")
            for path in _files(folder):
                try:
                    tar.add(path, f"{_WITHIN}/{path.relative_to(folder).as_posix()}")
                except FileNotFoundError:  # a checkpoint whose training has ended meanwhile
                    continue
            return len(tar.getnames())


def restore(archive: Path, folder: Path, *, store: str | None = None) -> Study:
    """The study of a backup, in the new folder `folder`; nothing is left there if it fails.

    store: URL of the empty PostgreSQL database to fill, where the study had one; by default the same as before. Raises BoxwiseError.
    """
    check_new_folder(folder)
    if folder.is_dir() and any(folder.iterdir()):
        raise StudyError(f"{folder}: expected a new or empty folder, found one with files in it.")
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        _unpack(archive, partial)
        within = partial / _WITHIN
        config = written(within)
        if not (within / SQLITE_DUMP).is_file():
            _fill(within, store or config.store, archive)
        elif store is not None:
            raise BoxwiseError(f"{archive}: this study keeps its labels in SQLite, so there is no --store to give.")
        elif config.store is not None:  # a file elsewhere, which is the first study's
            _keep(within, None)
        if folder.is_dir():
            folder.rmdir()
        within.replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Study.open(folder)


def _files(folder: Path) -> Iterator[Path]:
    """What the study's folder holds but its database, locks, pictures made for the page, and files that are being written."""
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.is_file() and not hidden and not path.name.startswith(DATABASE):
            yield path


def _unpack(archive: Path, folder: Path) -> None:
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
    except (tarfile.TarError, EOFError) as error:
        raise BoxwiseError(
            f"{archive}: expected a backup of a study, found no whole tar file ({str(error).splitlines()[0].rstrip(':')})."
        ) from None
    if not (folder / _WITHIN / CONFIG_FILE).is_file():
        raise BoxwiseError(f"{archive}: expected a backup of a study, found an archive of something else.")


def _fill(within: Path, store: str | None, archive: Path) -> None:
    """Fill PostgreSQL from the dump and write down where it is."""
    dumped = [path for path in within.iterdir() if path.suffix == ".pgdump"]
    if not dumped or store is None:
        raise BoxwiseError(f"{archive}: expected the study's database in it, found none.")
    load(dumped[0], store)
    dumped[0].unlink()
    _keep(within, store)


def _keep(within: Path, store: str | None) -> None:
    """Write down, in the database too, where it is. store: its URL; None: in the folder."""
    config = written(within).model_copy(update={"store": store})
    filled = Store.open(url_of(within, config))
    filled.put("config", as_kept(config).model_dump(mode="json"))
    filled.close()
    write_config(within, as_kept(config))
