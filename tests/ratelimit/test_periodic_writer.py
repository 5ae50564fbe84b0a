"""The thread that writes what a process collected."""

import pytest
from django.db import DatabaseError

from ratelimit import periodic_writer
from ratelimit.periodic_writer import PeriodicWriter


@pytest.fixture(autouse=True)
def no_connections(monkeypatch):
    monkeypatch.setattr(periodic_writer, "close_old_connections", lambda: None)


def test_the_thread_writes_now_and_then_and_once_more_at_the_end():
    written: list[int] = []
    writer = PeriodicWriter("uses", lambda: written.append(len(written)), seconds=0.001).start()
    while len(written) < 2:
        pass
    before = len(written)
    writer.stop(patience=10)
    assert not writer._thread.is_alive()
    assert len(written) > before


def test_a_database_that_is_away_ends_neither_the_thread_nor_the_process(caplog):
    def away() -> None:
        raise DatabaseError("away")

    writer = PeriodicWriter("uses", away, seconds=3600).start()
    writer.stop(patience=10)
    assert not writer._thread.is_alive()
    assert "uses could not be written" in caplog.text
