"""PostgreSQL that goes away, is full or refuses to write, and comes back: each request meanwhile is told so in one message, and nothing has
to be started again."""

import signal
import threading

import pytest
import sqlalchemy as sa

from boxwise.errors import UnreachableError
from boxwise.store import Store
from boxwise.store.connecting import engine


@pytest.fixture
def reached(empty_postgres, tmp_path):
    """A store whose server is reached by a link, and the link."""
    url = sa.engine.make_url(empty_postgres)
    socket, link = url.query["unix_sock"], tmp_path / "socket"
    link.symlink_to(socket)
    store = Store.create(url.set(query={"unix_sock": str(link)}), {"classes": ["cat"]})
    yield store, link, socket
    store.close()


def end_connections(url):
    """As a server that is stopped does."""
    admin = sa.create_engine(url)
    with admin.begin() as connection:
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        connection.execute(sa.text(others))
    admin.dispose()


def test_requests_are_told_that_no_server_answers_and_go_on_when_it_is_back(reached, empty_postgres):
    store, link, socket = reached
    assert store.get("classes") == ["cat"]
    link.unlink()
    end_connections(empty_postgres)
    for ask in (lambda: store.position, lambda: store.put("key", 1)):
        with pytest.raises(UnreachableError, match=r"postgresql\+pg8000://boxwise@/postgres.*: no server answers there"):
            ask()
    link.symlink_to(socket)
    store.put("key", 2)
    assert store.get("key") == 2


def test_a_connection_that_is_lost_in_the_middle_is_one_message(reached, empty_postgres):
    store, *_ = reached
    with pytest.raises(UnreachableError, match="the connection to the server was lost"), store.engine.begin() as connection:
        connection.execute(sa.text("SELECT 1"))
        end_connections(empty_postgres)
        connection.execute(sa.text("SELECT 1"))
    assert store.get("classes") == ["cat"]


@pytest.fixture
def store(empty_postgres):
    made = Store.create(empty_postgres, {"classes": ["cat"], "first": 1, "second": 2})
    yield made
    made.close()


FULL = "DO $$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$"


@pytest.mark.parametrize(
    ("statements", "said"),
    [
        ([FULL], "the server has no space left. What was committed is safe: free some space and run again"),
        (["SET TRANSACTION READ ONLY", "UPDATE study SET key = key"], "cannot be written: the server has it read-only"),
        (["SET LOCAL statement_timeout = 10", "SELECT pg_sleep(5)"], "the server ended what took longer than it allows"),
        (["SET LOCAL lock_timeout = 10", "UPDATE study SET key = key"], "another process holds what is to be changed"),
    ],
    ids=["full", "read-only", "a statement's time", "a lock's time"],
)
def test_what_the_server_refuses_for_now_is_one_message_and_goes_well_later(store, empty_postgres, statements, said):
    other = sa.create_engine(empty_postgres)
    with other.begin() as holding:
        holding.execute(sa.text("LOCK TABLE study IN ROW EXCLUSIVE MODE"))
        holding.execute(sa.text("SELECT * FROM study FOR UPDATE"))
        says = rf"^postgresql\+pg8000://boxwise@/postgres[^{{]*: {said}[^{{]*$"
        with pytest.raises(UnreachableError, match=says), store.engine.begin() as connection:
            for statement in statements:
                connection.execute(sa.text(statement))
    other.dispose()
    store.put("key", 2)
    assert store.get("key") == 2


def test_of_two_changes_that_wait_for_each_other_one_is_told_to_try_again(store):
    both, faults = threading.Barrier(2), []

    def change(keys):
        try:
            with store.engine.begin() as connection:
                for key in keys:
                    connection.execute(sa.text("UPDATE study SET value = '3' WHERE key = :key"), {"key": key})
                    if key == keys[0]:
                        both.wait(timeout=60)
        except UnreachableError as error:
            faults.append(str(error))

    threads = [threading.Thread(target=change, args=(keys,)) for keys in (("first", "second"), ("second", "first"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (fault,) = faults
    assert "the server ended this one. Nothing of it was stored: try again." in fault and store.get("first") == 3


def test_ctrl_c_while_the_server_is_asked_stays_one(store):
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), store.engine.connect() as connection:
            signal.alarm(1)
            connection.execute(sa.text("SELECT pg_sleep(20)"))
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    assert store.get("classes") == ["cat"]


@pytest.mark.parametrize(
    ("place", "why"), [("127.0.0.1:1/none", "Connection refused"), ("/none?unix_sock=/nowhere/socket", "No such file or directory")]
)
def test_that_no_server_answers_is_said_in_the_systems_words(place, why):
    nowhere = engine(f"postgresql+pg8000://ann@{place}")
    with pytest.raises(UnreachableError, match=rf"no server answers there \({why}\)\. Is PostgreSQL running"):
        nowhere.connect()
