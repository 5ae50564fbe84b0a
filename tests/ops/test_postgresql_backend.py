"""Threads share connections to PostgreSQL; one that is stopped ends a query, a long query does not end."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from django.db import OperationalError
from django.db.utils import ConnectionHandler

from store import connections
from tests.system.postgresql import PostgresServer, postgres_server, stopped

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


@pytest.fixture
def connect(
    server: PostgresServer, monkeypatch: pytest.MonkeyPatch, django_db_blocker: Any
) -> Iterator[Callable[[], Any]]:
    """Make connections of Django, as threads of one process have them."""
    monkeypatch.setattr(connections, "SILENCE_SECONDS", 0.3)
    host = server.url.partition("host=")[2]
    settings = {"ENGINE": "ops.postgresql", "NAME": "postgres", "USER": "postgres", "HOST": host}
    handler = ConnectionHandler({"default": settings})
    with django_db_blocker.unblock(), ExitStack() as stack:

        def connect() -> Any:
            database = handler.create_connection("default")
            stack.callback(database.close)
            return database

        yield connect


@pytest.fixture
def database(connect: Callable[[], Any]) -> Any:
    return connect()


def session(database: Any) -> int:
    with database.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def test_threads_share_idle_connections(connect):
    first, second, third = connect(), connect(), connect()
    sessions = [session(first), session(second)]
    assert sessions[0] != sessions[1]
    first.close()
    assert session(third) == sessions[0]
    third.set_autocommit(False)
    assert session(third) == sessions[0]
    third.close()
    assert session(first) not in sessions, "one within a transaction is no other thread's"


def test_a_session_that_the_server_ended_is_not_used(connect):
    used, other = connect(), connect()
    ended = session(used)
    with other.cursor() as cursor:
        used.close()
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [ended])
    assert session(used) != ended


def test_a_stopped_server_ends_a_query_and_the_next_one_connects_again(server, database):
    with database.cursor() as cursor:
        cursor.execute("SELECT 1")
    with stopped(server.pids()):
        with pytest.raises(OperationalError), database.cursor() as cursor:
            cursor.execute("SELECT 1")
    database.close_if_unusable_or_obsolete()
    with database.cursor() as cursor:
        cursor.execute("SELECT 1")
        assert cursor.fetchone() == (1,)


def test_a_long_query_goes_on(database):
    with database.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(1), 2")
        assert cursor.fetchone()[1] == 2
