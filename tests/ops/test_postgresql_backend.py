"""A PostgreSQL that is stopped ends a query, a long query does not end."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import OperationalError
from django.db.utils import ConnectionHandler

from ops.postgresql import base
from tests.patience import allowed
from tests.system.postgresql import PostgresServer, postgres_server, stopped

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


@pytest.fixture
def database(
    server: PostgresServer, monkeypatch: pytest.MonkeyPatch, django_db_blocker: Any
) -> Iterator[Any]:
    monkeypatch.setattr(base, "SILENCE_SECONDS", 0.3)
    host = server.url.partition("host=")[2]
    settings = {"ENGINE": "ops.postgresql", "NAME": "postgres", "USER": "postgres", "HOST": host}
    database = ConnectionHandler({"default": settings})["default"]
    with django_db_blocker.unblock():
        yield database
    database.close()


def test_a_stopped_server_ends_a_query_and_the_next_one_connects_again(server, database):
    with database.cursor() as cursor:
        cursor.execute("SELECT 1")
    with stopped(server.pids()):
        began = time.monotonic()
        with pytest.raises(OperationalError), database.cursor() as cursor:
            cursor.execute("SELECT 1")
        assert time.monotonic() - began < allowed(0.3 + base.CONNECT_SECONDS)
    database.close_if_unusable_or_obsolete()
    with database.cursor() as cursor:
        cursor.execute("SELECT 1")
        assert cursor.fetchone() == (1,)


def test_a_long_query_goes_on(database):
    with database.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(1), 2")
        assert cursor.fetchone()[1] == 2
