import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest
import redis

from ops.redis.connection import breaker
from stats.caching.response_cache import ResponseCache, cache_statistics
from stats.caching.shared import Entry
from tests.patience import PATIENCE_SECONDS
from tests.stats.caching.builders import client_of, entry_of
from web.requests.after_answer import postponed_work

pytestmark = pytest.mark.system

KEY = "mktdata:AAPL:ohlcv"


@dataclass
class Subject:
    """A response cache, and an answer that counts its computations."""

    cache: ResponseCache
    computed: list[str] = field(default_factory=list)

    def seen(self, key: str = KEY, *, seconds: int = 30, compute: Callable[[], Entry] | None = None) -> Any:
        """The outcome and the body."""
        entry, outcome = self.cache.fetch(key, compute or (lambda: self.answer(key)), seconds=seconds)
        return outcome, entry.body

    def answer(self, key: str = KEY) -> Entry:
        self.computed.append(key)
        return entry_of(f"AAPL {len(self.computed)}".encode())

    def body(self, key: str = KEY) -> Any:
        return self.seen(key)[1]


@pytest.fixture
def subject(cache: ResponseCache) -> Subject:
    return Subject(cache)


def counted_since(before: dict[str, int]) -> dict[str, int]:
    """What was counted since `before`; the totals are those of a service, which outlives a test."""
    return {name: total - before[name] for name, total in cache_statistics().items()}


def test_computes_then_takes_from_memory_then_from_redis(subject: Subject):
    before = cache_statistics()
    assert subject.seen() == ("miss", b"AAPL 1")
    assert subject.seen() == ("hit", b"AAPL 1")
    subject.cache.local.clear()
    assert subject.seen() == ("hit", b"AAPL 1")
    assert counted_since(before) == {
        "hits_local": 1,
        "hits_redis": 1,
        "misses": 1,
        "joined": 0,
        "bytes_stored": len(entry_of(b"AAPL 1").to_bytes(KEY)),
        "bytes_served": 12,
    }


def test_redis_keeps_an_entry_for_its_seconds(subject: Subject, redis_server):
    subject.seen(seconds=3_600)
    with client_of(redis_server) as client:
        assert 3_580 < client.ttl(KEY) <= 3_600


def test_an_answer_without_seconds_is_not_cached(subject: Subject, redis_server):
    assert [subject.seen(seconds=0) for _ in range(2)] == [("miss", b"AAPL 1"), ("miss", b"AAPL 2")]
    with client_of(redis_server) as client:
        assert client.dbsize() == 0


@pytest.mark.parametrize("seconds", [30, 0], ids=["cached", "future"])
@pytest.mark.parametrize("redis_away", [False, True], ids=["redis", "no redis"])
def test_fifty_callers_at_once_compute_once(
    cache: ResponseCache, redis_server, seconds: int, redis_away: bool
):
    if redis_away:
        redis_server.kill()
    subject, before = Subject(cache), cache_statistics()
    deadline = time.monotonic() + PATIENCE_SECONDS

    def answer() -> Entry:
        while cache.waiting(KEY) < 49 and time.monotonic() < deadline:
            time.sleep(0.001)
        return subject.answer()

    with ThreadPoolExecutor(50) as pool:
        outcomes = list(pool.map(lambda _: subject.seen(seconds=seconds, compute=answer), range(50)))
    assert sorted(outcomes) == [("hit", b"AAPL 1")] * 49 + [("miss", b"AAPL 1")]
    assert counted_since(before)["joined"] == 49


def test_an_answer_cached_between_lookup_and_computation_is_used(subject: Subject, monkeypatch):
    join = subject.cache._join

    def join_later(key: str) -> Any:
        subject.cache.local.put(key, entry_of(b"cached"))
        return join(key)

    monkeypatch.setattr(subject.cache, "_join", join_later)
    assert subject.seen() == ("hit", b"cached")
    assert subject.computed == []


def test_an_exception_passes_and_nothing_is_cached(subject: Subject, redis_server):
    def fail() -> Entry:
        raise LookupError(KEY)

    for _ in range(2):
        with pytest.raises(LookupError, match="ohlcv"):
            subject.seen(compute=fail)
    with client_of(redis_server) as client:
        assert client.dbsize() == 0
    assert subject.body() == b"AAPL 1"


def test_an_answer_is_stored_in_redis_after_it_went_out(subject: Subject, redis_server):
    with client_of(redis_server) as client:
        with postponed_work() as works:
            assert subject.seen() == ("miss", b"AAPL 1")
            assert subject.seen() == ("hit", b"AAPL 1")
            assert client.dbsize() == 0
        for work in works:
            work()
        assert client.dbsize() == 1
    subject.cache.local.clear()
    assert subject.seen() == ("hit", b"AAPL 1")


def test_redis_killed_and_back(subject: Subject, redis_server, monkeypatch, caplog):
    clock = [0.0]
    monkeypatch.setattr(breaker, "_clock", lambda: clock[0])
    subject.body()
    redis_server.kill()
    subject.cache.local.clear()
    with caplog.at_level(logging.INFO, logger="stats"):
        assert subject.seen() == ("miss", b"AAPL 2")
        assert subject.seen() == ("hit", b"AAPL 2")
        redis_server.start()
        clock[0] += 2
        subject.cache.local.clear()
        assert subject.body() == b"AAPL 3"
    subject.cache.local.clear()
    assert subject.seen() == ("hit", b"AAPL 3")
    assert [message.split(",")[0] for message in caplog.messages] == ["Redis is away", "Redis is back"]


def test_a_full_redis_is_logged_once_and_answers_come_from_memory(subject: Subject, redis_server, caplog):
    with redis.Redis(unix_socket_path=str(redis_server.socket)) as client:
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", 1)
    with caplog.at_level(logging.INFO, logger="stats"):
        for number in range(3):
            assert subject.seen(str(number))[0] == "miss"
            assert subject.seen(str(number))[0] == "hit"
            subject.cache.local.clear()
            assert subject.seen(str(number))[0] == "miss"
    assert [message.split(":")[0] for message in caplog.messages] == ["Redis refuses to store answers"]


@pytest.mark.parametrize("redis_timeout", [2.0])
def test_redis_frozen_costs_one_timeout_for_all_callers(subject: Subject, redis_server, monkeypatch):
    subject.body()
    subject.cache.local.clear()
    timeouts, failed = [], breaker.failed

    def counted(who: object) -> None:
        timeouts.append(who)
        failed(who)

    monkeypatch.setattr(breaker, "failed", counted)
    monkeypatch.setattr(breaker, "_clock", lambda: 0.0)
    redis_server.freeze()
    try:
        bodies = [subject.body(str(number)) for number in range(20)]
    finally:
        redis_server.thaw()
    assert bodies == [f"AAPL {number}".encode() for number in range(2, 22)]
    assert len(timeouts) == 1


def test_the_cache_is_back_as_soon_as_redis_has_answered_anybody(subject: Subject, redis_server):
    redis_server.kill()
    subject.body()
    redis_server.start()
    breaker.close()
    subject.body("other")
    subject.cache.local.clear()
    assert subject.seen("other") == ("hit", b"AAPL 2")


def test_flushed_redis_is_only_a_miss(subject: Subject, redis_server):
    subject.body()
    with client_of(redis_server) as client:
        client.flushall()
        client.script_flush()
    assert subject.seen() == ("hit", b"AAPL 1")
    subject.cache.local.clear()
    assert subject.seen() == ("miss", b"AAPL 2")


@pytest.mark.parametrize(
    "garbage",
    [b"7", b"9" * 5_000, b"garbage", "list", "another's", "cut"],
    # Of a test's name, which all programs that it starts inherit, the kernel takes 128 KiB.
    ids=["a digit", "digits", "text", "list", "another's", "cut"],
)
def test_garbage_under_the_key_is_replaced_by_the_right_answer(subject, redis_server, garbage):
    subject.body()
    subject.body("other")
    with client_of(redis_server) as client:
        if garbage == "list":
            client.delete(KEY)
            client.rpush(KEY, "x")
        elif garbage == "another's":
            client.set(KEY, client.get("other"))
        else:
            client.set(KEY, client.get(KEY)[:-1] if garbage == "cut" else garbage)
    subject.cache.local.clear()
    assert subject.seen() == ("miss", b"AAPL 3")
    subject.cache.local.clear()
    assert subject.seen() == ("hit", b"AAPL 3")
