import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial

import pytest

from redis_calls.connection import breaker
from stats.caching.decorator import cached
from stats.caching.entry import Entry
from stats.caching.single_flight import FlightResult, ThreadFlights
from stats.caching.tiers import CachedEntry, CacheTiers, Outcome
from store.timestamps import DAY_NS, SECOND_NS
from tests.patience import PATIENCE_SECONDS
from tests.stats.caching.builders import client_of


@dataclass(frozen=True)
class Query:
    cache_end_ns: int | None = None
    cache_coarse: bool = False
    name: str = "ohlcv"

    @property
    def cache_key(self) -> str:
        return f"mktdata:AAPL:{self.name}"


@dataclass
class Subject:
    """A cached function that counts its computations, and a clock that stands still."""

    tiers: CacheTiers
    computed: list[str] = field(default_factory=list)
    now_ns: int = 1_750_000_000 * 10**9

    def __post_init__(self) -> None:
        self.call = self.keep(self.answer)

    def keep(self, answer: Callable[[Query, int], Entry]) -> Callable[..., CachedEntry]:
        return partial(cached(tiers=lambda: self.tiers)(answer), now_ns=self.now_ns)

    def answer(self, query: Query, now_ns: int) -> Entry:
        self.computed.append(query.name)
        body = f"AAPL {len(self.computed)}".encode()
        return Entry(body=body, content_type="text/plain", etag='"e"', computed_at=now_ns / SECOND_NS)

    def body(self, query: Query | None = None) -> bytes:
        return self.call(query or Query()).entry.body


@pytest.fixture
def subject(tiers: CacheTiers) -> Subject:
    return Subject(tiers)


def counted_since(tiers: CacheTiers, before: dict[str, int]) -> dict[str, int]:
    """What was counted since `before`; the totals are those of a service, which outlives a test."""
    return {name: total - before[name] for name, total in tiers.statistics.snapshot().items()}


def seen(found: CachedEntry) -> tuple[str, bytes]:
    return found.outcome.value, found.entry.body


def test_computes_then_takes_from_memory_then_from_redis(subject: Subject):
    before = subject.tiers.statistics.snapshot()
    assert seen(subject.call(Query())) == ("miss", b"AAPL 1")
    assert seen(subject.call(Query())) == ("hit", b"AAPL 1")
    subject.tiers.local.clear()
    stored = subject.call(Query())
    assert seen(stored) == ("hit", b"AAPL 1")
    assert counted_since(subject.tiers, before) == {
        "hits_local": 1,
        "hits_redis": 1,
        "misses": 1,
        "joined": 0,
        "bytes_stored": len(stored.entry.to_bytes(Query().cache_key)),
        "bytes_served": 12,
    }


def test_entries_differ_by_key(subject: Subject):
    assert [subject.body(Query(name=name)) for name in "aba"] == [b"AAPL 1", b"AAPL 2", b"AAPL 1"]


@pytest.mark.parametrize(("end_age_days", "seconds"), [(0, 30), (2, 3_600), (10, 604_800)])
def test_redis_keeps_an_entry_by_the_age_of_its_end(subject, redis_server, end_age_days: int, seconds: int):
    subject.call(Query(cache_end_ns=subject.now_ns - end_age_days * DAY_NS))
    with client_of(redis_server) as client:
        assert seconds - 20 < client.ttl(Query().cache_key) <= seconds


def test_bypass_neither_looks_nor_stores(subject: Subject, redis_server):
    subject.body()
    assert subject.call(Query(), bypass=True).outcome is Outcome.BYPASS
    assert subject.body() == b"AAPL 1"
    assert subject.call(Query(name="other"), bypass=True).entry.body == b"AAPL 3"
    with client_of(redis_server) as client:
        assert client.keys("*other*") == []


def test_an_end_in_the_future_is_not_kept(subject: Subject, redis_server):
    query = Query(cache_end_ns=subject.now_ns + 1)
    assert [seen(subject.call(query)) for _ in range(2)] == [("miss", b"AAPL 1"), ("miss", b"AAPL 2")]
    with client_of(redis_server) as client:
        assert client.dbsize() == 0


@pytest.mark.parametrize("end_offset_ns", [-1, 1], ids=["kept", "future"])
@pytest.mark.parametrize("redis_away", [False, True], ids=["redis", "no redis"])
def test_fifty_callers_at_once_compute_once(
    tiers: CacheTiers, redis_server, end_offset_ns: int, redis_away: bool
):
    if redis_away:
        redis_server.kill()
    subject, before = Subject(tiers), tiers.statistics.snapshot()
    query = Query(cache_end_ns=subject.now_ns + end_offset_ns)
    deadline = time.monotonic() + PATIENCE_SECONDS

    def answer(asked: Query, now_ns: int) -> Entry:
        while tiers.threads.waiting(query.cache_key) < 49 and time.monotonic() < deadline:
            time.sleep(0.001)
        return subject.answer(asked, now_ns)

    call = subject.keep(answer)
    with ThreadPoolExecutor(50) as pool:
        found = list(pool.map(lambda _: seen(call(query)), range(50)))
    assert sorted(found) == [("hit", b"AAPL 1")] * 49 + [("miss", b"AAPL 1")]
    assert counted_since(tiers, before)["joined"] == 49


def test_what_landed_between_the_look_and_the_flight_is_taken(tiers: CacheTiers):
    class Late(ThreadFlights):
        def run(self, key: str, work: Callable[[], FlightResult]) -> FlightResult:
            landed = Entry(body=b"landed", content_type="", etag="", computed_at=1.0)
            ready = CachedEntry(landed, Outcome.HIT)
            tiers.local.put(Query().cache_key, ready, size=6, seconds=5)
            return super().run(key, work)

    subject = Subject(replace(tiers, threads=Late()))
    assert seen(subject.call(Query())) == ("hit", b"landed")
    assert subject.computed == []


def test_an_exception_passes_and_nothing_is_kept(subject: Subject, redis_server):
    def fail(query: Query, now_ns: int) -> Entry:
        raise LookupError(query.name)

    call = subject.keep(fail)
    for _ in range(2):
        with pytest.raises(LookupError, match="ohlcv"):
            call(Query())
    with client_of(redis_server) as client:
        assert client.dbsize() == 0
    assert subject.body() == b"AAPL 1"


def test_redis_killed_and_back(subject: Subject, redis_server, monkeypatch, caplog):
    clock = [0.0]
    monkeypatch.setattr(breaker, "_clock", lambda: clock[0])
    subject.body()
    redis_server.kill()
    subject.tiers.local.clear()
    with caplog.at_level(logging.INFO, logger="stats"):
        assert seen(subject.call(Query())) == ("miss", b"AAPL 2")
        assert seen(subject.call(Query())) == ("hit", b"AAPL 2")
        redis_server.start()
        clock[0] += 2
        subject.tiers.local.clear()
        assert subject.body() == b"AAPL 3"
    subject.tiers.local.clear()
    assert seen(subject.call(Query())) == ("hit", b"AAPL 3")
    assert [message.split(",")[0] for message in caplog.messages] == ["Redis is away", "Redis is back"]


@pytest.mark.parametrize("redis_timeout", [2.0])
def test_redis_frozen_costs_one_timeout_for_all_callers(subject: Subject, redis_server, monkeypatch):
    subject.body()
    subject.tiers.local.clear()
    timeouts, failed = [], breaker.failed

    def counted(who: object) -> None:
        timeouts.append(who)
        failed(who)

    monkeypatch.setattr(breaker, "failed", counted)
    monkeypatch.setattr(breaker, "_clock", lambda: 0.0)
    redis_server.freeze()
    try:
        bodies = [subject.body(Query(name=str(number))) for number in range(20)]
    finally:
        redis_server.thaw()
    assert bodies == [f"AAPL {number}".encode() for number in range(2, 22)]
    assert len(timeouts) == 1


def test_the_cache_is_back_as_soon_as_redis_has_answered_anybody(subject: Subject, redis_server):
    redis_server.kill()
    subject.body()
    redis_server.start()
    breaker.close()
    subject.body(Query(name="other"))
    subject.tiers.local.clear()
    assert seen(subject.call(Query(name="other"))) == ("hit", b"AAPL 2")


def test_flushed_redis_is_only_a_miss(subject: Subject, redis_server):
    subject.body()
    with client_of(redis_server) as client:
        client.flushall()
        client.script_flush()
    assert seen(subject.call(Query())) == ("hit", b"AAPL 1")
    subject.tiers.local.clear()
    assert seen(subject.call(Query())) == ("miss", b"AAPL 2")


@pytest.mark.parametrize(
    "garbage",
    [b"", b"7", b"9" * 5_000, b"garbage", b"\x00" * 60_000, "list", "another's", "cut"],
    # Of a test's name, which all programs that it starts inherit, the kernel takes 128 KiB.
    ids=["nothing", "a digit", "digits", "text", "zeros", "list", "another's", "cut"],
)
def test_garbage_under_the_key_is_replaced_by_the_right_answer(subject, redis_server, garbage):
    subject.body()
    subject.body(Query(name="other"))
    key = Query().cache_key
    with client_of(redis_server) as client:
        if garbage == "list":
            client.delete(key)
            client.rpush(key, "x")
        elif garbage == "another's":
            client.set(key, client.get(Query(name="other").cache_key))
        else:
            client.set(key, client.get(key)[:-1] if garbage == "cut" else garbage)
    subject.tiers.local.clear()
    assert seen(subject.call(Query())) == ("miss", b"AAPL 3")
    subject.tiers.local.clear()
    assert seen(subject.call(Query())) == ("hit", b"AAPL 3")
