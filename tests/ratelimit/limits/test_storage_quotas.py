"""Counts of what callers stored: by threads and processes, over failures, against the database."""

import contextlib
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import DatabaseError, OperationalError, connection

from ratelimit.callers import Caller
from ratelimit.exceptions import StorageQuotaExceeded, SymbolQuotaExceeded
from ratelimit.limits import storage_quotas
from ratelimit.limits.storage_quotas import REFRESH_SECONDS, CallerAllowance, StorageAmount, StorageCounter
from ratelimit.models import StorageUse

pytestmark = pytest.mark.django_db

KEY = "key:1"


class Seconds:
    """A clock that stands until it is moved."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


def process(seconds: Seconds) -> StorageCounter:
    """What one process has counted."""
    return StorageCounter(clock=seconds)


def store(counter: StorageCounter, symbols: int = 0, stored_bytes: int = 0, identity: str = KEY) -> None:
    counter.used(identity)
    counter.add(identity, StorageAmount(symbols, stored_bytes))


def in_database(identity: str = KEY) -> tuple[int, int]:
    return StorageUse.objects.values_list("symbols", "stored_bytes").get(identity=identity)


def test_what_a_process_stored_counts_at_once_and_is_written_with_one_statement(
    seconds, django_assert_num_queries
):
    counter = process(seconds)
    store(counter, 1, 100)
    counter.flush()
    with django_assert_num_queries(0):
        store(counter, 1, 10)
        store(counter, 0, 5)
        assert counter.used(KEY) == (2, 115)
    with django_assert_num_queries(1):
        counter.flush()
    assert in_database() == (2, 115)
    with django_assert_num_queries(0):
        counter.flush()
        assert counter.used(KEY) == (2, 115)


def test_a_process_knows_what_others_have_written_after_a_second(seconds):
    here, there = process(seconds), process(seconds)
    store(here, 1, 100)
    store(there, 2, 50)
    here.flush()
    there.flush()
    assert (here.used(KEY), there.used(KEY)) == ((1, 100), (2, 50))
    seconds.now += REFRESH_SECONDS
    assert here.used(KEY) == there.used(KEY) == in_database() == (3, 150)


def test_callers_are_counted_apart(seconds):
    counter = process(seconds)
    store(counter, 1, 100)
    store(counter, 0, 7, identity="user:1")
    counter.flush()
    assert (in_database(), in_database("user:1")) == ((1, 100), (0, 7))


def test_a_failed_write_is_repeated_and_nothing_is_counted_twice(seconds, monkeypatch):
    counter = process(seconds)
    store(counter, 1, 100)

    def locked(*_: object) -> None:
        raise DatabaseError("locked")

    with monkeypatch.context() as patch:
        patch.setattr(storage_quotas, "_write", locked)
        with pytest.raises(DatabaseError):
            counter.flush()
    seconds.now += REFRESH_SECONDS
    assert counter.used(KEY) == (1, 100)
    counter.flush()
    assert counter.used(KEY) == in_database() == (1, 100)


def test_what_is_being_written_counts_once(seconds, monkeypatch):
    """Neither is the database read between the write and its note, nor is lost what is stored meanwhile."""
    counter, write = process(seconds), storage_quotas._write

    def slow(identity: str, stored: StorageAmount) -> None:
        write(identity, stored)
        seconds.now += 2 * REFRESH_SECONDS
        assert counter.used(KEY) == (1, 100)
        counter.add(KEY, StorageAmount(0, 5))

    store(counter, 1, 100)
    monkeypatch.setattr(storage_quotas, "_write", slow)
    counter.flush()
    assert (counter.used(KEY), in_database()) == ((1, 105), (1, 100))
    seconds.now += REFRESH_SECONDS
    assert counter.used(KEY) == (1, 105)


def patiently(call: Callable[[], object]) -> None:
    """Call until it succeeds: the tests' database, in memory, refuses at once where a file would wait."""
    while True:
        with contextlib.suppress(OperationalError):
            call()
            return


@pytest.mark.system
@pytest.mark.django_db(transaction=True)
def test_threads_of_two_processes_lose_nothing(seconds):
    counters = [process(seconds), process(seconds)]

    def work(counter: StorageCounter) -> None:
        try:
            for _ in range(50):
                patiently(lambda: counter.used(KEY))
                counter.add(KEY, StorageAmount(1, 10))
                patiently(counter.flush)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(counter,)) for counter in counters * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert in_database() == (200, 2000)
    seconds.now += REFRESH_SECONDS
    assert [counter.used(KEY) for counter in counters] == [(200, 2000)] * 2


def allowance(**quotas: Any) -> CallerAllowance:
    return CallerAllowance.of(Caller(KEY, "feed", "default", 10, frozenset(), **quotas))


@pytest.fixture
def counter(seconds, monkeypatch) -> StorageCounter:
    counter = process(seconds)
    monkeypatch.setattr(storage_quotas, "storage_counter", counter)
    return counter


@pytest.mark.parametrize(
    ("used", "creates_symbol", "refusal"),
    [
        ((1, 99), True, None),
        ((2, 99), False, None),
        ((2, 99), True, SymbolQuotaExceeded),
        ((0, 100), False, StorageQuotaExceeded),
        ((2, 100), True, StorageQuotaExceeded),
    ],
)
def test_a_quota_refuses_when_it_is_used_up(counter, used, creates_symbol, refusal):
    of_key = allowance(symbol_quota=2, storage_quota=100)
    store(counter, *used)
    if refusal is None:
        of_key.check(lambda: creates_symbol)
        return
    with pytest.raises(refusal):
        of_key.check(lambda: creates_symbol)


def test_of_two_quotas_one_may_be_unlimited(counter):
    store(counter, 10, 1000)
    allowance(symbol_quota=20).check(lambda: True)
    allowance(storage_quota=2000).check(lambda: True)
    assert allowance(storage_quota=2000).documents() == [
        {"name": "bytes", "limit": 2000, "used": 1000, "remaining": 1000}
    ]
    assert allowance(symbol_quota=7).documents() == [
        {"name": "symbols", "limit": 7, "used": 10, "remaining": 0}
    ]


def test_a_caller_without_quotas_is_neither_counted_nor_looked_up(counter, django_assert_num_queries):
    of_key = allowance()
    with django_assert_num_queries(0):
        of_key.check(lambda: True)
        of_key.count(symbols=1, stored_bytes=100)
        assert of_key.documents() == []
        counter.flush()
