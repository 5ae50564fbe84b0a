from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from stats.caching.keys import symbol_prefix
from stats.caching.response_cache import RESPONSE_CACHE, ResponseCache
from tests.stats.caching.builders import client_of, entry_of

KEY = f"{symbol_prefix('A')}1"


def fill(cache: ResponseCache, *symbols: str, datasets: int = 3) -> None:
    for symbol in symbols:
        for number in range(datasets):
            assert cache.shared.store(f"{symbol_prefix(symbol)}{number}", entry_of(), seconds=30)


def test_only_the_symbol_is_dropped(cache: ResponseCache, redis_server):
    fill(cache, "A", "AB", "A:B", "A*", "*")
    assert cache.drop("A") == 3
    assert cache.drop("*") == 3
    assert cache.drop("A") == 0
    with client_of(redis_server) as client:
        assert client.dbsize() == 9


def test_thousands_of_entries_are_counted(cache: ResponseCache):
    fill(cache, "A", datasets=2_500)
    assert cache.drop("A") == 2_500


def test_entries_leave_the_memory_with_and_without_redis(cache: ResponseCache, redis_server):
    for is_away in (False, True):
        for symbol in ("A", "AB"):
            cache.local.put(f"{symbol_prefix(symbol)}1", entry_of())
        if is_away:
            redis_server.kill()
        assert cache.drop("A") == (None if is_away else 0)
        assert cache.local.get(f"{symbol_prefix('A')}1") is None
        assert cache.local.get(f"{symbol_prefix('AB')}1") is not None


def test_other_processes_empty_their_memory_within_a_second(cache: ResponseCache, settings, tmp_path):
    settings.RUN_DIR, now = tmp_path, [0.0]
    other = ResponseCache(clock=lambda: now[0])
    other.fetch(KEY, entry_of, seconds=30)
    now[0] += 3_600
    assert other.get(KEY) is not None
    cache.drop("A")
    now[0] += 1
    assert other.get(KEY) is None


def test_command_says_what_it_dropped(redis_server):
    fill(RESPONSE_CACHE, "^GSPC")
    call_command("invalidate", "^GSPC", stdout=(out := StringIO()))
    assert out.getvalue() == "^GSPC: 3 entries dropped.\n"


def test_command_says_when_redis_is_away(redis_server):
    redis_server.kill()
    call_command("invalidate", "A", stdout=(out := StringIO()))
    assert "Redis is away" in out.getvalue()


def test_command_wants_a_symbol():
    with pytest.raises(CommandError, match="symbol"):
        call_command("invalidate")
