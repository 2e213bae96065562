"""What can be put right in a damaged study: its settings from the store, the store from the rows that can be read, a round's files by doing
the step again that left them.

Yields what was found and done, a sentence each, once it is done: it is said also where a later part fails. Labels are never thrown
away: what is replaced is kept beside, and no other process works on the study meanwhile.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from boxwise.artifacts.damage import lost
from boxwise.artifacts.facts import Round
from boxwise.artifacts.round_folder import RoundFolder
from boxwise.config import load_config, parse_config
from boxwise.detectors.names import DETECTORS
from boxwise.errors import ConfigError, StudyError, plural
from boxwise.files import replacing, sweep
from boxwise.records import Phase
from boxwise.store import Store, file_url
from boxwise.store.salvage import fault_in_database, has_tables, move_logs, salvage
from boxwise.study.config_file import CONFIG_FILE, DATABASE, without_config, write_config, written
from boxwise.study.study import Study
from boxwise.study.upkeep import working_on

_STEPS = tuple(Phase)


def repair(folder: Path) -> Iterator[str]:
    """Put right what can be, while what this yields is read: a sentence for each thing found, none where all is whole.

    StudyError where there is no study to repair, another process works on it, or something cannot be put right.
    """
    if not folder.is_dir():
        raise StudyError(f"{folder}: no such folder.")
    return _repair(folder)


def _repair(folder: Path) -> Iterator[str]:
    with working_on(folder):
        for path in sweep(folder):
            yield f"{path}: left over by a process that was killed; removed."
        yield from _database(folder / DATABASE)
        yield from _settings(folder)
        yield from _whereabouts(folder)
        study = Study.open(folder)
        for image_id in study.set_aside_damaged():
            now = "It is history now; the one before it counts, or the image has no labels."
            yield f"{image_id}: an annotation is not what was stored. {now}"
        yield from _files(study)


def _database(path: Path) -> Iterator[str]:
    """SQLite's file, where the study has one."""
    saved = path.with_name(f"{path.name}.salvaged")
    if not has_tables(path) and (copy := _copy_of(path, saved)):
        was = "empty" if path.is_file() else "missing"
        move_logs(path, path.with_name(f"{path.name}.gone"))
        with replacing(path) as aside:
            shutil.copyfile(copy, aside)
        if copy == saved:
            saved.unlink()
        updated = ", so as the study was when boxwise was last updated" if ".schema_" in copy.name else ""
        yield f"{path}: {was}. Put back from {copy.name}{updated}."
    if has_tables(path) and (fault := fault_in_database(path)):
        damaged, counts = salvage(path)
        yield f"{path}: damaged ({fault}). Rebuilt from what can be read; the damaged file is kept as {damaged.name}."
        for table, (kept, lost) in counts.items():
            if lost:
                yield f"  {table}: {plural(kept, 'row')} kept, at least {lost} lost."
    if saved.is_file() and fault_in_database(saved):
        saved.unlink()
        yield f"{saved}: left over by an earlier repair; removed."


def _copy_of(path: Path, saved: Path) -> Path | None:
    """What a database that is gone is put back from: what a repair had saved, which was killed before that took its place, as earlier
    versions could be; else the file written last of those that repairs have put aside and the one from before the last update."""
    if saved.is_file() and fault_in_database(saved) is None:
        return saved
    updates = sorted(path.parent.glob(f"{path.stem}.schema_*{path.suffix}"), key=_schema_of)
    damaged = [copy for copy in path.parent.glob(f"{path.name}.damaged*") if not copy.name.endswith(("-wal", "-journal"))]
    return max(filter(has_tables, [*updates[-1:], *damaged]), key=lambda copy: copy.stat().st_mtime, default=None)


def _schema_of(copy: Path) -> int:
    number = copy.stem.rpartition("_")[2]
    return int(number) if number.isdigit() else -1


def _settings(folder: Path) -> Iterator[str]:
    path = folder / CONFIG_FILE
    try:
        if path.is_file() and path.read_text(encoding="utf-8").strip():
            load_config(path)
            return
        fault = "empty" if path.is_file() else "missing"
    except (ConfigError, OSError, ValueError) as error:
        fault = str(error).splitlines()[0]
    if not has_tables(folder / DATABASE):
        if fault == "missing" and (folder / DATABASE).is_file():
            raise without_config(folder)
        raise StudyError(
            f"{path}: {fault}, and there is no {DATABASE} to take the settings from. Write `store: URL` of its database into it."
        )
    store = Store.open(file_url(folder / DATABASE))
    settings = store.get("config")
    store.close()
    if settings is None:
        raise StudyError(f"{path}: {fault}, and the store has no settings any more.")
    write_config(folder, parse_config(settings, str(path)))
    yield f"{path}: {fault}. Written again from the store."


def _whereabouts(folder: Path) -> Iterator[str]:
    """What the store must say for a study to open, where a damaged database does not say it any more."""
    path = folder / DATABASE
    if not has_tables(path):
        if written(folder).store:
            return
        found = "an empty file" if path.is_file() else "no such file"
        raise StudyError(
            f"{path}: expected the study's database, found {found} and no copy to put back. Put the file back where it is, or make "
            "the study again from a backup: boxwise restore FILE NEW_FOLDER"
        )
    store = Store.open(file_url(path))
    if store.get("classes") is None:
        raise StudyError(f"{path}: the names of the classes are lost. Put a copy of the study's folder back, or make a new study.")
    if store.get("config") is None:
        store.put("config", written(folder).model_dump(mode="json"))
        yield f"{path}: the settings were lost. Taken from {CONFIG_FILE}."
    if store.get("position") is None:
        number, phase = _after(store)
        store.put("position", [number, phase.value])
        yield f"{path}: the next step was lost. By what is recorded it is {phase.value} of round {number}."
    store.close()


def _after(store: Store) -> tuple[int, Phase]:
    """The step after the last one that has left facts."""
    facts = store.facts()
    done = [(number, Phase(name)) for number, steps in facts.items() for name in steps]
    if not done:
        return 0, Phase.SELECT
    number, phase = max(done, key=lambda step: (step[0], _STEPS.index(step[1])))
    if (facts[number][phase.value] or {}).get("ended"):
        return number, Phase.DONE
    if phase is Phase.SCORE:
        return number + 1, Phase.SELECT
    return number, Phase.COMPOSE if (number, phase) == (0, Phase.ANNOTATE) else _STEPS[_STEPS.index(phase) + 1]


def _files(study: Study) -> list[str]:
    """The files of rounds; those that the next step needs are made again."""
    said: list[str] = []
    redo: tuple[int, Phase] | None = None
    own = study.config.detector.name in DETECTORS
    for one in study.rounds():
        files = study.files(one.round)
        for path, phase in _left_by(files, one):
            why = lost(path, own=own or path != files.weights)
            if why is None or not (path.exists() or path in _always_left(files, one)):
                continue
            if phase is None:
                path.unlink()
                said.append(f"{path}: {why}. Removed: the training starts over.")
            elif _may_be_made_again(study, one.round, phase):
                redo = min(redo or (one.round, phase), (one.round, phase), key=lambda step: _STEPS.index(step[1]))
                said.append(f"{path}: {why}. It is made again: {phase.value} of round {one.round} is done anew.")
            else:
                said.append(f"{path}: {why}. Later steps rest on it, so it is not made again; labels and results are not touched.")
    if redo is not None:
        study.store.reopen(*redo)
    return said


def _left_by(files: RoundFolder, one: Round) -> list[tuple[Path, Phase | None]]:
    """The files of a round whose damage can be detected, and the step that leaves each; None: whoever needs it makes it."""
    remade = {*files.checkpoints(), *(path for path in files.of_training() if path.suffix == files.checkpoint.suffix)}
    return [
        *((path, None) for path in sorted(remade)),
        (files.proposals, Phase.SELECT),
        (files.self_labels, Phase.COMPOSE),
        (files.weights, Phase.TRAIN),
        (files.val_detections, Phase.TRAIN if one.train.folds else Phase.EVALUATE),
        *((path, Phase.SCORE) for path in (files.detections, files.scores, files.embeddings, files.boxes, files.consistency, files.vae)),
    ]


def _always_left(files: RoundFolder, one: Round) -> set[Path]:
    """What the round's finished steps have left whatever the settings."""
    scored = one.done(Phase.SCORE) and not one.score.ended
    return {
        *([files.weights] if one.done(Phase.TRAIN) else []),
        *([files.val_detections] if one.done(Phase.EVALUATE) else []),
        *([files.detections, files.scores, files.embeddings] if scored else []),
    }


def _may_be_made_again(study: Study, round_index: int, phase: Phase) -> bool:
    """Whether no question was asked since: the step belongs to the present round's own work, or to a round that has just been scored."""
    number, now = study.position
    if phase in (Phase.SELECT, Phase.COMPOSE):
        return False
    return (number == round_index and now is not Phase.ANNOTATE) or (number == round_index + 1 and now is Phase.SELECT)
