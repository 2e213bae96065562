"""PostgreSQL that goes away and comes back: each request meanwhile is told so in one message, and nothing has to be started again."""

import pytest
import sqlalchemy as sa

from boxwise.errors import UnreachableError
from boxwise.store import Store


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
