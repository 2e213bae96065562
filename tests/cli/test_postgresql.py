"""A study in PostgreSQL when things go wrong, through the command line: one message each, no password anywhere, nothing half made."""

import os
import shutil
import signal

import processes
import pytest
import sqlalchemy as sa

from boxwise.data.digits import make_digits
from boxwise.store.connecting import engine, fault_of, redacted, without_password
from boxwise.study import Study

PASSWORD = "s3cr:t/pa ss"
SMALL = ("--classes", "cat,dog", "budget.initial=2", "budget.validation=0", "detector.name=tiny_ssd", "detector.pretrained=false")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    make_digits(folder, seed=3, images=6, imgsz=48)
    return folder / "JPEGImages"


@pytest.fixture
def guarded_url(empty_postgres, monkeypatch):
    """The URL, without its password, of a user of the tests' own server whom it asks for one."""
    if os.environ.get("BOXWISE_POSTGRES_URL"):
        pytest.skip("the server that BOXWISE_POSTGRES_URL names is not to be reconfigured")
    monkeypatch.delenv("PGPASSWORD", raising=False)
    monkeypatch.setenv("PGPASSFILE", "/nowhere")
    server = sa.create_engine(empty_postgres, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        (file,) = connection.execute(sa.text("SHOW hba_file")).one()
        connection.execute(sa.text("DROP ROLE IF EXISTS ann"))
        connection.exec_driver_sql(f"CREATE ROLE ann LOGIN SUPERUSER PASSWORD '{PASSWORD}'")
        rules = "SELECT 'local all ann scram-sha-256' UNION ALL SELECT 'local all all trust' ORDER BY 1 DESC"
        connection.exec_driver_sql(f"COPY ({rules}) TO '{file}'")
        connection.execute(sa.text("SELECT pg_reload_conf()"))
    yield sa.make_url(empty_postgres).set(username="ann").render_as_string()
    with server.connect() as connection:
        connection.exec_driver_sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public; DROP OWNED BY ann; DROP ROLE ann")
        connection.exec_driver_sql(f"COPY (SELECT 'local all all trust') TO '{file}'")
        connection.execute(sa.text("SELECT pg_reload_conf()"))
    server.dispose()


def in_files(folder, text):
    return [path.name for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


class TestPasswords:
    def test_it_is_asked_of_the_environment_or_the_password_file_and_kept_nowhere(
        self, guarded_url, images, boxwise, tmp_path, monkeypatch
    ):
        study = tmp_path / "study"
        open_url = sa.make_url(guarded_url).set(password=PASSWORD).render_as_string(hide_password=False)
        code, out, err = boxwise("init", study, "--images", images, *SMALL, f"store={open_url}")
        assert code == 0 and "The password is not kept" in err and PASSWORD not in out + err
        assert not in_files(study, PASSWORD) and not in_files(study, "s3cr")

        code, out, err = boxwise("status", study)
        assert code == 2 and "PGPASSWORD" in err and "Traceback" not in err and err.count("\n") == 1
        monkeypatch.setenv("PGPASSWORD", "wrong")
        code, _, err = boxwise("status", study)
        assert code == 2 and "refused the user or password" in err and err.count("\n") == 1

        monkeypatch.setenv("PGPASSWORD", PASSWORD)
        assert boxwise("run", study)[0] == 0
        assert PASSWORD not in boxwise("set", study)[1]
        monkeypatch.delenv("PGPASSWORD")
        escaped = PASSWORD.replace("\\", "\\\\").replace(":", "\\:")
        (tmp_path / "pass").write_text(f"# mine\nelsewhere:*:*:ann:no\n*:*:postgres:ann:{escaped}\n")
        monkeypatch.setenv("PGPASSFILE", str(tmp_path / "pass"))
        assert boxwise("status", study)[0] == 0
        assert boxwise("report", study)[0] == 0 and not in_files(study, "s3cr")

    def test_an_older_study_that_kept_one_shows_it_to_nobody(self, guarded_url, images, boxwise, tmp_path, monkeypatch):
        monkeypatch.setenv("PGPASSWORD", PASSWORD)
        study = tmp_path / "study"
        boxwise("init", study, "--images", images, *SMALL, f"store={guarded_url}")
        monkeypatch.delenv("PGPASSWORD")
        open_url = sa.make_url(guarded_url).set(password=PASSWORD).render_as_string(hide_password=False)
        config = (study / "config.yaml").read_text()
        (study / "config.yaml").write_text(config.replace(guarded_url, open_url))
        code, out, err = boxwise("status", study)
        assert code == 0 and "edited" not in err and "s3cr" not in out + err
        assert boxwise("set", study, "train.lr=0.005")[0] == 0 and not in_files(study, "s3cr")


CREATE = """
import os, signal, sys
from pathlib import Path
from boxwise.study import study
from boxwise.store import store
{patch}
from boxwise.config import load_config
from boxwise.data.datasets import read_pool
dataset = read_pool(Path(sys.argv[2]), None, classes=("cat", "dog"))
study.Study.create(sys.argv[1], dataset, config=load_config(None, [f"store={{sys.argv[3]}}"]))
"""
KILL = "lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)"


@pytest.mark.parametrize(
    "patch", [f"store.insert_images = {KILL}", f"study.write_config = {KILL}"], ids=["in the transaction", "before the folder is whole"]
)
def test_a_creation_that_was_killed_is_repeated(patch, empty_postgres, images, boxwise, tmp_path):
    study = tmp_path / "study"
    assert processes.run("-c", CREATE.format(patch=patch), study, images, empty_postgres).returncode == -signal.SIGKILL
    assert "no boxwise study here" in boxwise("status", study)[2]
    code, _, err = boxwise("init", study, "--images", images, *SMALL, f"store={empty_postgres}")
    assert code == 0, err
    assert boxwise("status", study)[0] == 0


def test_another_study_in_the_database_is_left_alone(empty_postgres, images, boxwise, tmp_path):
    boxwise("init", tmp_path / "one", "--images", images, *SMALL, f"store={empty_postgres}")
    code, _, err = boxwise("init", tmp_path / "two", "--images", images, *SMALL, f"store={empty_postgres}")
    assert code == 2 and f"there is a study already. Go on in its folder, {tmp_path / 'one'}," in err
    shutil.rmtree(tmp_path / "one")
    assert boxwise("init", tmp_path / "two", "--images", images, *SMALL, f"store={empty_postgres}")[0] == 2


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql+pg8000://ann@127.0.0.1:1/none", "no server answers there"),
        ("postgresql://ann@127.0.0.1:1/none", "no server answers there"),
        ("mysql://ann@127.0.0.1/none", "expected sqlite or postgresql"),
        ("not a url", "expected a URL such as postgresql"),
        ("postgresql+pg8000://ann:s3cret@host:port/none", "expected a URL such as postgresql"),
    ],
)
def test_a_store_that_cannot_be_reached_is_one_message(url, said, images, boxwise, tmp_path):
    code, _, err = boxwise("init", tmp_path / "study", "--images", images, *SMALL, f"store={url}")
    assert code == 2 and said in err and "Traceback" not in err and "s3cret" not in err and err.count("\n") == 1


def test_a_database_that_is_not_there_and_a_study_that_is_gone(postgres_url, empty_postgres, images, boxwise, tmp_path):
    nowhere = sa.make_url(postgres_url).set(database="nowhere").render_as_string(hide_password=False)
    code, _, err = boxwise("init", tmp_path / "study", "--images", images, *SMALL, f"store={nowhere}")
    assert code == 2 and "no such database" in err and "createdb" in err
    boxwise("init", tmp_path / "study", "--images", images, *SMALL, f"store={empty_postgres}")
    made = sa.create_engine(empty_postgres)
    with made.begin() as connection:
        connection.execute(sa.text("DROP SCHEMA public CASCADE; CREATE SCHEMA public"))
    made.dispose()
    code, _, err = boxwise("status", tmp_path / "study")
    assert code == 2 and "not a boxwise study" in err


def test_a_connection_that_was_cut_is_made_anew(empty_postgres, images, boxwise, tmp_path):
    boxwise("init", tmp_path / "study", "--images", images, *SMALL, f"store={empty_postgres}")
    opened = Study.open(tmp_path / "study")
    assert len(opened.images()) == 6
    made = sa.create_engine(empty_postgres)
    with made.connect() as connection:
        connection.execute(sa.text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"))
    made.dispose()
    assert len(opened.images()) == 6


@pytest.mark.parametrize(("code", "said"), [("57P03", "starting or shutting down"), ("57P01", "was lost"), ("28P01", "PGPASSWORD")])
def test_what_the_server_says_is_understood_by_its_code(code, said):
    pg8000 = pytest.importorskip("pg8000")
    assert said in fault_of(pg8000.exceptions.DatabaseError({"S": "FATAL", "C": code, "M": "it says so in some language"}))


def test_urls_are_shown_and_kept_without_their_password():
    url = "postgresql+pg8000://ann:s3cret@host:5433/db"
    assert redacted(url) == "postgresql+pg8000://ann:***@host:5433/db"
    assert without_password(url) == "postgresql+pg8000://ann@host:5433/db" == without_password(without_password(url))
    assert engine("postgresql://ann@host/db").url.drivername == "postgresql+pg8000"


def test_through_a_socket_of_a_file_no_certificates_are_read(empty_postgres, monkeypatch):
    """Reading those of the machine took most of the time of a connection, and PostgreSQL encrypts no such socket."""
    if "unix_sock" not in empty_postgres:
        pytest.skip("the server in BOXWISE_POSTGRES_URL is reached through the network")
    monkeypatch.setattr("ssl.create_default_context", lambda *_, **__: pytest.fail("certificates were read"))
    with engine(empty_postgres).connect() as connection:
        assert connection.scalar(sa.text("SELECT 1")) == 1


@pytest.mark.parametrize(("there", "here"), [("off", "on"), ("local", "local"), ("remote_apply", "remote_apply")])
def test_a_server_that_does_not_wait_for_its_disk_is_told_to(empty_postgres, there, here):
    """Otherwise what was acknowledged before the server died may be gone. What waits for copies of the server is left as it is."""
    admin = sa.create_engine(empty_postgres, isolation_level="AUTOCOMMIT")
    name = admin.url.database
    with admin.connect() as connection:
        connection.execute(sa.text(f'ALTER DATABASE "{name}" SET synchronous_commit = {there}'))
        try:
            made = engine(empty_postgres)
            for _ in range(2):  # the second time in the same session, after a transaction that was rolled back
                with made.connect() as reached:
                    assert reached.scalar(sa.text("SHOW synchronous_commit")) == here
            made.dispose()
        finally:
            connection.execute(sa.text(f'ALTER DATABASE "{name}" RESET synchronous_commit'))
    admin.dispose()
