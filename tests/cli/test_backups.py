"""A study is written to one file and made of it again, through the command line; it goes on where it was."""

import shutil
import tarfile

import pytest
import sqlalchemy as sa

from boxwise.errors import StudyError
from boxwise.records import Split
from boxwise.store import load
from boxwise.store.backups import _environment
from boxwise.study import Study


def test_a_restored_study_goes_on_where_it_was(boxwise, waiting_study, hidden, tmp_path):
    study = waiting_study("full")
    asked, archive = study.ask(), tmp_path / "kept" / "study.tar.gz"
    (study.folder / "rounds" / "round_00" / ".weights.1.aside.pt").write_bytes(b"half")
    code, out, err = boxwise("backup", study.folder, archive)
    assert code == 0 and "Images are not in it" in out, err
    with tarfile.open(archive) as tar:
        names = tar.getnames()
    assert not [name for name in names if "aside" in name or name.endswith((".lock", "-wal", "-shm"))]
    study.answer(hidden[0])  # since the backup
    shutil.rmtree(study.folder)

    code, out, err = boxwise("restore", archive, tmp_path / "again")
    assert code == 0 and "next: annotate of round 1" in out, err
    again = Study.open(tmp_path / "again")
    assert again.ask() == asked
    again.answer(hidden[0])
    again.store.close()
    code, out, err = boxwise("run", again.folder)
    assert code == 0 and "round 1 train" in out and "Round 2 waits for labels" in out, err


def test_what_is_no_backup_or_no_place_is_said_and_leaves_nothing(boxwise, waiting_study, tmp_path):
    folder = waiting_study("full").folder
    code, _, err = boxwise("backup", folder, folder / "study.tar")
    assert code == 2 and "outside of the study's folder" in err
    assert boxwise("backup", folder, tmp_path / "study.tar")[0] == 0
    code, _, err = boxwise("restore", tmp_path / "study.tar", folder)
    assert code == 2 and "expected a new or empty folder" in err
    for name, content in (("cut.tar", (tmp_path / "study.tar").read_bytes()[:5000]), ("text.tar", b"not an archive")):
        (tmp_path / name).write_bytes(content)
        code, _, err = boxwise("restore", tmp_path / name, tmp_path / "new")
        assert code == 2 and f"{name}: expected a backup of a study" in err and len(err.splitlines()) == 1
    assert not (tmp_path / "new").exists() and not list(tmp_path.glob(".new*"))
    code, _, err = boxwise("restore", tmp_path / "study.tar", tmp_path / "new", "--store", "postgresql://nowhere/x")
    assert code == 2 and "keeps its labels in SQLite" in err and not (tmp_path / "new").exists()
    for place in (tmp_path / "text.tar", tmp_path / "text.tar" / "new"):
        code, _, err = boxwise("restore", tmp_path / "study.tar", place)
        assert code == 2 and err.startswith(f"Error: {tmp_path / 'text.tar'}: expected a new folder for the study, found a file")


def test_a_study_with_its_database_elsewhere_is_restored_with_one_of_its_own(boxwise, digits_folder, digits, tmp_path):
    images = ("--images", digits_folder / "JPEGImages", "--classes", ",".join(digits.classes))
    elsewhere = ("detector.name=tiny_ssd", "detector.pretrained=none", f"store=sqlite:///{tmp_path / 'elsewhere.sqlite'}")
    assert boxwise("init", tmp_path / "s", *images, *elsewhere)[0] == 0
    code, out, err = boxwise("backup", tmp_path / "s", tmp_path / "s.tar")
    assert code == 0 and "--store" not in out, err
    code, _, err = boxwise("restore", tmp_path / "s.tar", tmp_path / "again")
    assert code == 0, err
    first, again = Study.open(tmp_path / "s"), Study.open(tmp_path / "again")
    again.store.put("seen", "here alone")
    assert again.config.store is None and again.edited() is None and first.store.get("seen") is None


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("/some/where.sqlite", "expected a URL such as postgresql"),
        ("sqlite:///where.sqlite", "sqlite:///where.sqlite: a study of PostgreSQL goes into PostgreSQL"),
        ("mysql://ann:hunter2@host/db", r"mysql://ann:\*\*\*@host/db: a study of PostgreSQL goes into PostgreSQL"),
    ],
)
def test_what_is_no_postgresql_gets_no_study_of_it(monkeypatch, tmp_path, url, said):
    monkeypatch.setattr("subprocess.run", lambda *_, **__: pytest.fail("a tool of PostgreSQL was begun"))
    with pytest.raises(StudyError, match=said):
        load(tmp_path / "study.pgdump", url)


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("postgresql://ann@host:5433/db", ("host", "5433")),
        ("postgresql+pg8000://ann@/db?host=there&port=5433", ("there", "5433")),
        ("postgresql+pg8000://ann@/db?unix_sock=/run/pg/.s.PGSQL.5433", ("/run/pg", "5433")),
        ("postgresql+pg8000://ann@/db?application_name=x", ("localhost", "5432")),
    ],
)
def test_the_tools_of_postgresql_go_where_the_study_s_connections_go(monkeypatch, url, where):
    monkeypatch.setenv("PGHOST", "elsewhere")
    monkeypatch.setenv("PGPORT", "1")
    found = _environment(sa.make_url(url))
    assert (found["PGHOST"], found["PGPORT"]) == where and (found["PGUSER"], found["PGDATABASE"]) == ("ann", "db")


@pytest.fixture
def second_database(empty_postgres):
    """The URL of a further empty database of the same server."""
    with sa.create_engine(empty_postgres, isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(sa.text("DROP DATABASE IF EXISTS restored"))
        connection.execute(sa.text("CREATE DATABASE restored"))
    yield sa.engine.make_url(empty_postgres).set(database="restored").render_as_string(hide_password=False)


@pytest.mark.skipif(shutil.which("pg_dump") is None, reason="no pg_dump on this machine")
@pytest.mark.slow
def test_a_study_in_postgresql_is_dumped_and_restored_to_another_database(
    boxwise, digits_folder, digits, empty_postgres, second_database, tmp_path
):
    begin = ("detector.name=tiny_ssd", "detector.pretrained=none", "budget.initial=4", f"store={empty_postgres}")
    code, _, err = boxwise("init", tmp_path / "s", "--images", digits_folder / "JPEGImages", "--classes", ",".join(digits.classes), *begin)
    assert code == 0, err
    assert boxwise("import", tmp_path / "s", digits_folder)[0] == 0
    before = Study.open(tmp_path / "s").annotations(Split.TRAIN)
    code, out, err = boxwise("backup", tmp_path / "s", tmp_path / "s.tar")
    assert code == 0 and "NEW_FOLDER --store URL" in out, err
    code, _, err = boxwise("restore", tmp_path / "s.tar", tmp_path / "again", "--store", second_database)
    assert code == 0, err
    again = Study.open(tmp_path / "again")
    assert again.annotations(Split.TRAIN).keys() == before.keys() and again.edited() is None
    assert again.config.store == second_database
    code, _, err = boxwise("restore", tmp_path / "s.tar", tmp_path / "third", "--store", second_database)
    assert code == 2 and "this database is not empty; give an empty one with --store URL" in err and not (tmp_path / "third").exists()
