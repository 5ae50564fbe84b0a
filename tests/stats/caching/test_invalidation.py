from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from stats.caching.entry import Entry
from stats.caching.keys import CacheKey, symbol_prefix
from stats.caching.tiers import CachedEntry, CacheTiers, Dropped, Outcome, drop
from tests.stats.caching.builders import client_of

ENTRY = Entry(body=b"body", content_type="text/plain", etag='"e"', computed_at=1.0)


def fill(tiers: CacheTiers, *symbols: str, datasets: int = 3) -> None:
    for symbol in symbols:
        for number in range(datasets):
            key = CacheKey(symbol=symbol, dataset=str(number), version="1", representation="json")
            assert tiers.shared.store(str(key), "token", ENTRY, seconds=30)


@pytest.fixture
def of_process(tiers: CacheTiers, monkeypatch: pytest.MonkeyPatch) -> CacheTiers:
    monkeypatch.setattr("stats.caching.tiers._tiers_of_process", [tiers])
    return tiers


def test_only_the_symbol_is_dropped(tiers: CacheTiers, redis_server):
    fill(tiers, "A", "AB", "A:B", "A*", "*")
    assert drop("A", tiers=tiers) == Dropped(entries=3, redis_reached=True)
    assert drop("*", tiers=tiers) == Dropped(entries=3, redis_reached=True)
    assert drop("A", tiers=tiers) == Dropped(entries=0, redis_reached=True)
    with client_of(redis_server) as client:
        assert client.dbsize() == 9


def test_thousands_of_entries_are_counted(tiers: CacheTiers):
    fill(tiers, "A", datasets=2_500)
    assert drop("A", tiers=tiers).entries == 2_500


def test_entries_leave_the_memory_with_and_without_redis(tiers: CacheTiers, redis_server):
    for is_away in (False, True):
        for symbol in ("A", "AB"):
            cached = CachedEntry(ENTRY, Outcome.HIT)
            tiers.local.put(f"{symbol_prefix(symbol)}1", cached, size=4, seconds=5)
        if is_away:
            redis_server.kill()
        assert drop("A", tiers=tiers) == Dropped(entries=0, redis_reached=not is_away)
        assert tiers.local.get(f"{symbol_prefix('A')}1") is None
        assert tiers.local.get(f"{symbol_prefix('AB')}1") is not None


def test_command_says_what_it_dropped(of_process: CacheTiers):
    fill(of_process, "^GSPC")
    call_command("invalidate", "^GSPC", stdout=(out := StringIO()))
    assert out.getvalue() == "^GSPC: 3 entries dropped.\n"


def test_command_says_when_redis_is_away(of_process: CacheTiers, redis_server):
    redis_server.kill()
    call_command("invalidate", "A", stdout=(out := StringIO()))
    assert "Redis is away" in out.getvalue()


def test_command_wants_a_symbol():
    with pytest.raises(CommandError, match="symbol"):
        call_command("invalidate")
