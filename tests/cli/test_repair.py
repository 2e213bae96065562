"""Damage to a study's files, through the command line: one message that names the file, and what `boxwise repair` makes of it."""

import gc
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace

import processes
import pytest

from boxwise.errors import StudyError, UnreachableError
from boxwise.files import replacing
from boxwise.records import Action, Phase, Split, Verdict
from boxwise.study import Study
from boxwise.study.upkeep import working_on

pytestmark = pytest.mark.slow


@pytest.fixture
def study(waiting_study):
    """A study that waits for labels in round 1; its folder."""
    made = waiting_study("trust")
    made.store.close()
    return made.folder


@pytest.fixture
def boxwise(boxwise):
    """The commands, which run in this process: what one has left open is closed before the next, as at the end of a process."""

    def run(*words):
        gc.collect()
        return boxwise(*words)

    return run


def flip(path, start, count=64):
    """Change bytes in the middle of a file."""
    content = bytearray(path.read_bytes())
    for place in range(start, min(start + count, len(content))):
        content[place] ^= 0xFF
    path.write_bytes(content)


def refused(boxwise, verb, folder, *said):
    code, _, err = boxwise(verb, folder)
    assert code == 2 and err.startswith("Error: ") and "Traceback" not in err, err
    for words in said:
        assert words in err
    return err


def test_a_whole_study_needs_no_repair(study, boxwise):
    before = {path: path.read_bytes() for path in study.rglob("*") if path.is_file() and path.suffix != ".lock"}
    code, out, _ = boxwise("repair", study)
    assert code == 0 and "nothing is damaged" in out
    assert all(path.read_bytes() == content for path, content in before.items() if ".sqlite" not in path.name)
    assert boxwise("repair", study / "none")[0] == 2


@pytest.mark.parametrize("content", ["", "\n\n", "train: {lr: [\n"])
def test_settings_are_written_again_from_the_store(study, boxwise, content):
    config = Study.open(study).config
    (study / "config.yaml").write_text(content)
    refused(boxwise, "status", study, "config.yaml")
    code, out, _ = boxwise("repair", study)
    assert code == 0 and "Written again from the store" in out
    assert Study.open(study).config == config and boxwise("status", study)[0] == 0


def test_a_database_that_is_gone_is_named_and_no_empty_one_takes_its_place(study, boxwise):
    (study / "study.sqlite").unlink()
    refused(boxwise, "status", study, "study.sqlite", "found no such file", "boxwise repair")
    assert not (study / "study.sqlite").exists()


def test_the_copy_from_before_an_update_takes_the_place_of_a_database_that_is_gone(study, boxwise):
    shutil.move(study / "study.sqlite", study / "study.schema_3.sqlite")
    code, out, _ = boxwise("repair", study)
    assert code == 0 and "Put back from study.schema_3.sqlite" in out and boxwise("status", study)[0] == 0


def test_a_database_of_garbage_is_one_message(study, boxwise):
    (study / "study.sqlite").write_bytes(b"garbage" * 1000)
    refused(boxwise, "status", study, "study.sqlite", "boxwise repair")


def test_rows_that_can_be_read_are_saved(study, boxwise):
    opened = Study.open(study)
    for image_id in opened.ask().image_ids:
        opened.tell(image_id, [], annotator="ann", seconds=1.0)
    before, position = opened.annotations(Split.TRAIN), opened.position
    opened.store.close()
    path = study / "study.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'ix_annotations_image_id'").fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    flip(path, (page - 1) * size, size)
    code, out, _ = boxwise("repair", study)
    assert code == 0 and "Rebuilt from what can be read" in out and (study / "study.sqlite.damaged").exists()
    again = Study.open(study)
    assert again.position == position and again.annotations(Split.TRAIN).keys() == before.keys()
    assert boxwise("status", study)[0] == 0


def test_a_label_of_which_a_byte_has_changed_is_no_label(study, boxwise):
    opened = Study.open(study)
    first, second, *_ = opened.ask().image_ids
    verdict = Verdict(Action.ADD, xyxy=(11.3125, 2, 29, 28), label=1)
    for image_id in (first, second):
        opened.tell(image_id, [verdict], annotator="ann", seconds=1.0, complete=True)
    opened.tell(second, [replace(verdict, label=2)], annotator="bo", seconds=1.0, complete=True)
    opened.store.close()
    with closing(sqlite3.connect(study / "study.sqlite")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    path = study / "study.sqlite"
    content = path.read_bytes()
    assert content.count(b"11.3125") == 6  # three annotations and their verdicts
    path.write_bytes(content.replace(b"11.3125", b"19.3125"))
    refused(boxwise, "report", study, "are not what was stored", "boxwise repair")
    code, out, _ = boxwise("repair", study)
    assert code == 0 and out.count("an annotation is not what was stored") == 3
    again = Study.open(study)
    assert again.annotation(first) is None and first in again.unanswered().image_ids
    assert "a damaged annotation was set aside" in boxwise("history", study, first)[1] and boxwise("report", study)[0] == 0


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("config", "the settings were lost. Taken from config.yaml"),
        ("position", "the next step was lost. By what is recorded it is annotate of round 1"),
        ("schema_version", "it does not say of which schema it is"),
    ],
)
def test_what_the_store_must_say_is_put_back(study, boxwise, key, said):
    before = Study.open(study)
    config, position, labels = before.config, before.position, before.annotations(Split.TRAIN)
    before.store.close()
    with closing(sqlite3.connect(study / "study.sqlite")) as connection, connection:
        assert connection.execute("DELETE FROM study WHERE key = ?", (key,)).rowcount == 1
    refused(boxwise, "status", study, "boxwise repair")
    code, out, err = boxwise("repair", study)
    assert code == 0 and said in out, err
    again = Study.open(study)
    assert (again.config, again.position) == (config, position) and again.annotations(Split.TRAIN).keys() == labels.keys()
    assert boxwise("status", study)[0] == 0 and "nothing is damaged" in boxwise("repair", study)[1]


def test_lost_names_of_classes_cannot_be_put_back_and_are_said(study, boxwise):
    with closing(sqlite3.connect(study / "study.sqlite")) as connection, connection:
        connection.execute("DELETE FROM study WHERE key = 'classes'")
    refused(boxwise, "status", study, "has lost its 'classes'", "boxwise repair")
    code, _, err = boxwise("repair", study)
    assert code == 2 and "the names of the classes are lost" in err and "Traceback" not in err


@pytest.mark.parametrize("name", ["detections", "scores", "embeddings"])
def test_a_damaged_pool_pass_is_done_again(study, boxwise, name):
    opened = Study.open(study)
    opened.store.reopen(0, Phase.SCORE)  # as it was before round 1 asked
    with opened.store.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM queries WHERE round = 1")
    opened.step()
    assert opened.position == (1, Phase.SELECT)
    path = getattr(opened.files(0), name)
    opened.store.close()
    flip(path, path.stat().st_size // 3)
    refused(boxwise, "run", study, path.name)
    code, out, _ = boxwise("repair", study)
    assert code == 0 and f"{path}: damaged" in out and "score of round 0 is done anew" in out
    assert Study.open(study).position == (0, Phase.SCORE)
    assert boxwise("run", study)[0] == 0 and Study.open(study).position == (1, Phase.ANNOTATE)


def test_a_damaged_checkpoint_goes_and_what_is_past_stays(study, boxwise):
    files = Study.open(study).files(0)
    files.checkpoint.write_bytes(files.weights.read_bytes()[:5000])
    flip(files.detections, files.detections.stat().st_size // 3)
    code, out, _ = boxwise("repair", study)
    assert code == 0 and "the training starts over" in out and not files.checkpoint.exists()
    assert "so it is not made again" in out and Study.open(study).position == (1, Phase.ANNOTATE)


def test_what_a_killed_process_left_aside_is_removed(study, boxwise):
    left = study / "rounds" / "round_00" / ".scores.999999999.aside.parquet"
    left.write_bytes(b"half")
    with replacing(study / "mine.txt") as aside:
        aside.write_text("in the making")
        code, out, _ = boxwise("repair", study)
    assert code == 0 and str(left) in out and not left.exists() and (study / "mine.txt").exists()


def damaged_value(path):
    """Another value in SQLite's file, of which nothing is seen before it is read."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE facts SET facts = replace(facts, '\"', '''')")


def test_no_database_is_rebuilt_while_the_page_has_it_open_and_its_answers_count(study, boxwise):
    served = Study.open(study)
    first, second, *_ = served.ask().image_ids
    served.tell(first, [], annotator="ann", seconds=1.0)
    damaged_value(study / "study.sqlite")
    refusal = processes.run("-m", "boxwise", "repair", study)
    said = " ".join(refusal.stderr.split())
    assert refusal.returncode == 2, said
    assert "in use by another process, such as the labelling page or a run" in said and "End it, then repair again" in said
    served.tell(second, [], annotator="bo", seconds=1.0)
    served.store.close()
    code, out, _ = boxwise("repair", study)
    assert code == 0 and "Rebuilt from what can be read" in out
    again = Study.open(study)
    assert again.annotation(first) is not None and again.annotation(second) is not None


def test_a_repair_waits_for_no_step_of_another_process(study, boxwise):
    with working_on(study):
        refused(boxwise, "repair", study, "another boxwise process is working on this study")


def test_who_has_a_study_open_goes_on_with_the_database_that_took_the_place_of_its_own(study):
    served, path = Study.open(study), study / "study.sqlite"
    first, *_ = served.ask().image_ids
    shutil.copy(path, study / "copy")
    path.rename(study / "aside")
    with pytest.raises(StudyError, match="expected the study's database, found no such file"):
        served.tell(first, [], annotator="ann", seconds=1.0)
    with pytest.raises(UnreachableError):  # also by a connection that is made anew
        served.tell(first, [], annotator="ann", seconds=1.0)
    assert not path.exists()
    (study / "copy").rename(path)
    served.tell(first, [], annotator="ann", seconds=1.0)
    assert Study.open(study).annotation(first) is not None


def test_of_the_copies_from_before_updates_the_latest_is_put_back(study, boxwise):
    for version in (3, 10, 9):
        shutil.copy(study / "study.sqlite", study / f"study.schema_{version}.sqlite")
    (study / "study.sqlite").unlink()
    assert "Put back from study.schema_10.sqlite" in boxwise("repair", study)[1]


@pytest.mark.parametrize("left", ["study.sqlite.salvaged", "study.sqlite.damaged"])
def test_what_a_killed_repair_had_saved_or_put_aside_comes_before_the_copy_from_before_an_update(study, boxwise, left):
    opened = Study.open(study)
    first, *_ = opened.ask().image_ids
    opened.store.close()
    shutil.copy(study / "study.sqlite", study / "study.schema_3.sqlite")
    opened = Study.open(study)
    opened.tell(first, [], annotator="ann", seconds=1.0)
    opened.store.close()
    (study / "study.sqlite.salvaged").write_bytes(b"half")
    (study / "study.sqlite").rename(study / left)
    code, out, err = boxwise("repair", study)
    assert code == 0 and f"missing. Put back from {left}." in out, err
    assert Study.open(study).annotation(first) is not None and not (study / "study.sqlite.salvaged").exists()


def test_a_database_without_a_table_is_put_back_from_a_copy_that_has_some(study, boxwise):
    (study / "study.sqlite").rename(study / "study.schema_3.sqlite")
    for name in ("study.sqlite", "study.sqlite.damaged"):  # the latter written last
        (study / name).touch()
    code, out, err = boxwise("repair", study)
    assert code == 0 and "study.sqlite: empty. Put back from study.schema_3.sqlite" in out, err
    (study / "study.schema_3.sqlite").unlink()
    (study / "study.sqlite").write_bytes(b"")
    refused(boxwise, "repair", study, "found an empty file and no copy to put back")
    assert not (study / "study.sqlite.damaged2").exists()


def test_a_database_that_is_gone_and_a_repair_has_no_copy_of_is_no_circle(study, boxwise):
    (study / "study.sqlite").unlink()
    said = refused(boxwise, "repair", study, "study.sqlite", "found no such file and no copy", "boxwise restore")
    assert "boxwise repair" not in said
