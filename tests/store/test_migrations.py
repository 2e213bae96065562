"""Studies of earlier schemas open in today's, on real SQLite and PostgreSQL: what they held is there, and a kill leaves them whole."""

import json
import shutil
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import processes
import pytest
import sqlalchemy as sa
from store.reading import answers_of

from boxwise.errors import StudyError
from boxwise.store import Store
from boxwise.store.connecting import engine as engine_of
from boxwise.store.migrations import MIGRATIONS, NEWEST, OLDEST
from boxwise.store.schema import META, STUDY

FIXTURES = Path(__file__).parent / "fixtures"
PAST = range(OLDEST, NEWEST)


@pytest.fixture
def past(tmp_path, monkeypatch):
    """A function from a schema to the folder of a study of it, with its images, where the process then is."""

    def folder_of(version):
        folder = shutil.copytree(FIXTURES / f"schema_{version}", tmp_path / "past")
        monkeypatch.chdir(folder)
        return folder

    return folder_of


@pytest.fixture(params=["sqlite", "postgresql"])
def past_url(request, past):
    """A function from a schema to the URL of a database of it."""

    def url_of(version):
        folder = past(version)
        if request.param == "sqlite":
            return f"sqlite:///{folder / 'study/study.sqlite'}"
        url = request.getfixturevalue("empty_postgres")
        engine = engine_of(url)
        with engine.begin() as connection:
            connection.exec_driver_sql((folder / "postgres.sql").read_text())
        engine.dispose()
        return url

    return url_of


def columns_of(url):
    """table → column → (type, nullable), and the tables' keys and indices."""
    engine = engine_of(url)
    inspector = sa.inspect(engine)
    found = {
        table: (
            {column["name"]: (str(column["type"]), column["nullable"]) for column in inspector.get_columns(table)},
            inspector.get_pk_constraint(table)["constrained_columns"],
            sorted((tuple(key["constrained_columns"]), key["referred_table"]) for key in inspector.get_foreign_keys(table)),
            sorted((tuple(index["column_names"]), index["unique"]) for index in inspector.get_indexes(table)),
        )
        for table in inspector.get_table_names()
    }
    engine.dispose()
    return found


@pytest.mark.parametrize("version", PAST)
def test_everything_in_a_study_of_an_earlier_schema_is_there_in_todays(version, past_url):
    store = Store.open(past_url(version))
    assert answers_of(store) == json.loads((FIXTURES / f"schema_{version}" / "expected.json").read_text())
    assert store.get("schema_version") == NEWEST


@pytest.mark.parametrize("version", PAST)
def test_a_migrated_database_has_the_columns_of_a_new_one(version, past_url, request):
    url = past_url(version)
    Store.open(url).close()
    migrated = columns_of(url)
    engine = engine_of(url)
    META.drop_all(engine)
    engine.dispose()
    Store.create(url, {}).close()
    assert migrated == columns_of(url)


@pytest.mark.parametrize("version", PAST)
def test_sqlite_is_backed_up_before_it_changes(version, past):
    folder = past(version) / "study"
    opened = Store.open(f"sqlite:///{folder / 'study.sqlite'}")
    assert opened.backup == folder / f"study.schema_{version}.sqlite"
    with sa.create_engine(f"sqlite:///{opened.backup}").connect() as before:
        assert before.execute(sa.select(STUDY.c.value).where(STUDY.c.key == "schema_version")).scalar() == version
    opened.close()
    assert Store.open(f"sqlite:///{folder / 'study.sqlite'}").backup is None


def test_a_step_that_fails_leaves_the_old_schema_whole(past_url, monkeypatch):
    def fails(connection):
        connection.execute(sa.text("ALTER TABLE images ADD COLUMN half INTEGER"))
        raise RuntimeError("half way")

    url = past_url(OLDEST)
    before = columns_of(url)
    monkeypatch.setattr("boxwise.store.upgrading.MIGRATIONS", (*MIGRATIONS, fails))
    monkeypatch.setattr("boxwise.store.upgrading.NEWEST", NEWEST + 1)
    with pytest.raises(RuntimeError, match="half way"):
        Store.open(url)
    assert columns_of(url) == before
    monkeypatch.undo()
    assert Store.open(url).get("schema_version") == NEWEST


@pytest.mark.parametrize("version", PAST)
def test_the_command_line_opens_it_and_says_where_the_backup_is(version, past, boxwise, caplog):
    past(version)
    code, shown, _ = boxwise("status", "study")
    assert code == 0 and "round 1 of 2, next: annotate" in shown
    assert f"study.schema_{version}.sqlite" in caplog.text
    assert boxwise("query", "study")[0] == 0


@pytest.mark.parametrize("past_url", ["postgresql"], indirect=True)
def test_the_command_line_opens_it_in_postgresql(past_url, boxwise):
    url, config = past_url(PAST[-1]), Path("study/config.yaml")
    Path("study/study.sqlite").unlink()
    config.write_text(config.read_text().replace("store: null", f"store: {url}"))
    code, shown, err = boxwise("status", "study")
    assert code == 0 and "round 1 of 2, next: annotate" in shown, err


@pytest.mark.parametrize("version", PAST)
def test_a_repair_as_the_first_command_finds_nothing_damaged_and_brings_it_to_todays(version, past, boxwise):
    path = past(version) / "study" / "study.sqlite"
    code, shown, err = boxwise("repair", "study")
    assert code == 0 and "study.sqlite" not in shown and not path.with_name("study.sqlite.damaged").exists(), (shown, err)
    assert past_version(path) == NEWEST
    assert answers_of(Store.open(f"sqlite:///{path}")) == json.loads((FIXTURES / f"schema_{version}" / "expected.json").read_text())


def test_a_study_of_a_newer_boxwise_is_not_repaired_and_what_was_done_before_is_said(past, boxwise):
    folder = past(OLDEST) / "study"
    Store.open(f"sqlite:///{folder / 'study.sqlite'}").close()
    with closing(sqlite3.connect(folder / "study.sqlite")) as connection, connection:
        connection.execute("UPDATE study SET value = ? WHERE key = 'schema_version'", (NEWEST + 1,))
        connection.execute("CREATE TABLE newer (labels JSON)")
        connection.execute("INSERT INTO newer VALUES ('[1]')")
        connection.execute("ALTER TABLE annotations ADD COLUMN newer JSON")
    left, before = folder / ".scores.999999999.aside.parquet", {path.name: path.read_bytes() for path in folder.glob("study.sqlite*")}
    left.write_bytes(b"half")
    code, shown, err = boxwise("repair", "study")
    assert code == 2 and "study.sqlite: made by a newer boxwise" in err and f"(schema {NEWEST + 1}, " in err
    assert ".scores.999999999.aside.parquet: left over" in shown and not left.exists()
    assert {path.name: path.read_bytes() for path in folder.glob("study.sqlite*")} == before


KILLED = """
import os, signal, sys
from boxwise.store import upgrading
put = upgrading.put
upgrading.put = lambda *arguments: os.kill(os.getpid(), signal.SIGKILL)  # after the steps, before the commit
from boxwise.store import Store
from boxwise.store.connecting import engine as engine_of
Store.open(sys.argv[1])
"""


def test_a_process_killed_in_the_middle_is_made_good_by_the_next(past_url):
    url = past_url(OLDEST)
    before = columns_of(url)
    assert processes.run("-c", KILLED, url).returncode == -signal.SIGKILL
    assert columns_of(url) == before
    assert answers_of(Store.open(url)) == json.loads((FIXTURES / f"schema_{OLDEST}" / "expected.json").read_text())


def test_processes_that_open_at_once_migrate_once(past):
    url = f"sqlite:///{past(OLDEST) / 'study/study.sqlite'}"
    code = "import sys; from boxwise.store import Store; Store.open(sys.argv[1])"
    started = [processes.start("-c", code, url, err=f"said {number}") for number in range(4)]
    for process in started:
        process.join()
    said = [Path(f"said {number}").read_text() for number in range(4)]
    assert [process.exitcode for process in started] == [0] * 4 and sum("is kept in" in text for text in said) == 1
    backup = past_version(Path("study") / f"study.schema_{OLDEST}.sqlite")
    assert backup == OLDEST and past_version(Path("study/study.sqlite")) == NEWEST


def past_version(path):
    with sa.create_engine(f"sqlite:///{path}").connect() as connection:
        return connection.execute(sa.select(STUDY.c.value).where(STUDY.c.key == "schema_version")).scalar()


@pytest.mark.parametrize(
    ("version", "said"), [(NEWEST + 1, "made by a newer boxwise"), (OLDEST - 1, "too old"), (None, "no schema version")]
)
def test_a_schema_that_is_not_known_is_refused_and_left_alone(version, said, tmp_path):
    url = f"sqlite:///{tmp_path / 'study.sqlite'}"
    made = Store.create(url, {})
    made.put("schema_version", version)
    made.close()
    with pytest.raises(StudyError, match=said):
        Store.open(url)
    assert past_version(tmp_path / "study.sqlite") == version and not list(tmp_path.glob("*.schema_*"))
