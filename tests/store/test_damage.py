"""Single bits changed in SQLite's file: a message or the same answers, never another answer; and what can be saved of such a file."""

import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from store.reading import answers_of

from boxwise import store
from boxwise.errors import BoxwiseError, StudyError
from boxwise.store import Store, file_url
from boxwise.store.checked import dumps, loads
from boxwise.store.migrations import NEWEST
from boxwise.store.salvage import DAMAGED, fault_in_database, salvage

OLD = Path(__file__).parent / "fixtures" / "schema_5" / "study" / "study.sqlite"
CHECKED = ("facts_of_study", "facts", "labels", "images", "drafts")  # answers of which every value has a check


@pytest.fixture
def path(tmp_path):
    """A whole database of today's schema, in one file."""
    path = Path(shutil.copy(OLD, tmp_path / "study.sqlite"))
    Store.open(file_url(path)).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


def answers(path):
    opened = Store.open(file_url(path))
    try:
        return answers_of(opened)
    finally:
        opened.close()


def replaced(path, old, new):
    """Another value of the same length in the file, everywhere."""
    content = path.read_bytes()
    assert old in content and len(old) == len(new)
    path.write_bytes(content.replace(old, new))


@pytest.mark.parametrize("value", [None, 3, 2.5, "", "a \t", [1, None], {"a": {"ü": [0.1]}}, True])
def test_a_value_comes_back_and_no_changed_byte_passes(value):
    text = dumps(value)
    assert loads(text) == value
    for place in range(len(text)):
        for bit in range(7):
            changed = text[:place] + chr(ord(text[place]) ^ 1 << bit) + text[place + 1 :]
            with pytest.raises(BoxwiseError, match="not what was stored"):
                loads(changed)


def test_a_value_from_before_the_checks_is_read():
    assert loads('{"a": [1, 2]}') == {"a": [1, 2]} and loads("null") is None and loads(3) == 3


@pytest.mark.slow
def test_changed_bits_are_a_message_or_change_no_answer(path):
    whole, content, chance = answers(path), path.read_bytes(), random.Random(0)
    outcomes = {"message": 0, "same": 0}
    for place in chance.sample([place for place, byte in enumerate(content) if byte], 24):
        changed = bytearray(content)
        changed[place] ^= 1 << chance.randrange(7)
        path.write_bytes(changed)
        try:
            found = answers(path)
        except (BoxwiseError, sa.exc.DBAPIError):
            outcomes["message"] += 1
        else:
            outcomes["same"] += 1
            assert all(found[name] == whole[name] for name in CHECKED), (place, content[place - 20 : place + 20])
    assert outcomes["message"] > outcomes["same"]


def test_values_that_are_not_what_was_stored_are_found_and_left_out(path):
    before = answers(path)
    replaced(path, b'"seconds"', b'"sekonds"')
    assert fault_in_database(path)
    kept, counts = salvage(path)
    assert any(lost for _, lost in counts.values()) and kept == path.with_name("study.sqlite.damaged") and kept.exists()
    assert fault_in_database(path) is None and answers(path)["labels"] == before["labels"]


def test_a_text_that_is_no_unicode_is_a_fault_of_the_file(path):
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE images SET path = CAST(x'2fff2e706e67' AS TEXT)")
    assert "UTF-8" in fault_in_database(path)


def test_an_image_of_which_a_byte_has_changed_goes_out_of_use_and_keeps_its_labels(path):
    image_id, old = next(iter(answers(path)["history"].items()))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE images SET split = 'tesu' WHERE image_id = ?", (image_id,))
    with pytest.raises(BoxwiseError, match=f"{image_id}.*not what was stored.*boxwise repair"):
        answers(path)
    assert fault_in_database(path) == "values of images are not what was stored"
    salvage(path)
    after = answers(path)
    assert after["quarantined"][image_id] == DAMAGED and after["history"][image_id] == old


def test_a_label_without_its_image_goes_and_no_other(path):
    before = answers(path)
    image_id = next(name for name, entries in before["history"].items() if entries)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM images WHERE image_id = ?", (image_id,))
    assert fault_in_database(path).endswith("belongs to none of images")
    kept, lost = salvage(path)[1]["annotations"]
    assert lost == len(before["history"][image_id]) and kept > 0 and fault_in_database(path) is None
    assert answers(path)["history"] == {name: entries for name, entries in before["history"].items() if name != image_id}


def test_a_file_of_an_earlier_schema_is_saved_as_such_and_opens_in_todays(path):
    before = answers(path)
    shutil.copy(OLD, path)
    salvage(path)
    opened = Store.open(file_url(path))
    assert opened.get("schema_version") == NEWEST
    opened.close()
    assert answers(path) == before


def test_what_a_newer_boxwise_has_stored_is_not_left_out(path):
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE study SET value = ? WHERE key = 'schema_version'", (NEWEST + 1,))
        connection.execute("CREATE TABLE newer (labels JSON)")
    for act in (fault_in_database, salvage):
        with pytest.raises(StudyError, match="made by a newer boxwise"):
            act(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("SELECT * FROM newer")
    assert {left.name for left in path.parent.iterdir()} == {path.name, "study.schema_5.sqlite"}


def test_a_database_is_there_whenever_a_repair_is_killed_and_no_file_of_an_earlier_one_is_lost(path, monkeypatch):
    path.with_name("study.sqlite.damaged").write_text("of an earlier repair")
    before, damaged, replace = answers(path)["labels"], path.with_name("study.sqlite.damaged2"), Path.replace
    replaced(path, b'"seconds"', b'"sekonds"')

    def killed(file, target):
        if path in (file, target):
            raise KeyboardInterrupt
        return replace(file, target)

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        salvage(path)
    monkeypatch.undo()
    content = path.read_bytes()
    assert salvage(path)[0] == damaged and damaged.read_bytes() == content and not damaged.samefile(path)
    assert answers(path)["labels"] == before and path.with_name("study.sqlite.damaged").read_text() == "of an earlier repair"
    assert not list(path.parent.glob("*.damaged3"))


@pytest.mark.parametrize("links", [True, False])
def test_a_log_that_cannot_be_merged_stays_beside_the_damaged_file(tmp_path, monkeypatch, links):
    path, log = tmp_path / "study.sqlite", tmp_path / "study.sqlite-wal"
    with closing(sqlite3.connect(tmp_path / "whole")) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE a AS SELECT zeroblob(200000)")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with connection:
            connection.execute("INSERT INTO a VALUES ('z')")  # on a page far beyond the end of what is left of the file
        shutil.copy(tmp_path / "whole-wal", log)
    path.write_bytes(b"garbage" * 1000)
    logged = log.read_bytes()
    if not links:
        monkeypatch.setattr("os.link", lambda *_, **__: (_ for _ in ()).throw(OSError("no links here")))
    kept, _ = salvage(path)
    assert kept.read_bytes() == b"garbage" * 1000 and kept.with_name(f"{kept.name}-wal").read_bytes() == logged
    assert not log.exists() and fault_in_database(path) is None


def test_what_has_a_check_is_changed_where_the_check_is_made_anew():
    sources = {path.name: path.read_text() for path in (Path(store.__file__).parent).glob("*.py") if path.name != "rows.py"}
    assert {name for name, text in sources.items() if ".values(late=" in text or ".values(split=" in text} == set()
