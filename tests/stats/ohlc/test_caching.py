"""ETags, caching headers and cache statistics, as a client sees them."""

import pytest
from django_redis import get_redis_connection
from msgspec.structs import replace

from stats.caching.response_cache import RESPONSE_CACHE, cache_statistics
from stats.caching.shared import Entry
from tests.api_client import OHLC, answer, trade
from trades.batches.sample_rows import SEED_TRADES

MINUTES = {"symbol": "AAPL", "start": "2025-01-02T09:00:00Z", "end": "2025-01-02T10:00:00Z"}


@pytest.fixture
def seeded(api):
    api.ingest(*SEED_TRADES, trade(timestamp="2025-01-02T09:15:00Z"))
    return api


def clear_process_memory() -> None:
    RESPONSE_CACHE.local.clear()


def test_who_writes_to_redis_without_the_secret_forges_no_answer(project_redis, seeded, settings):
    first = seeded.ohlc(MINUTES)
    client = get_redis_connection("default")
    (key,) = client.keys("mktdata:AAPL:*")
    right, secret = client.get(key), settings.SECRET_KEY
    entry = Entry.from_bytes(right, key.decode())
    assert entry is not None
    bar = b'{"data":[{"close":777}]}'
    forgeries = [
        replace(entry, body=bar),
        replace(entry, content_type="text/html"),
        replace(entry, headers=(("Set-Cookie", "a=b"),)),
    ]
    settings.SECRET_KEY = "an attacker's"
    stored = [forged.to_bytes(key.decode()) for forged in forgeries]
    settings.SECRET_KEY = secret
    for forged in [*stored, right.replace(b"189.98", b"777.77"), bytes(16) + right[16:]]:
        assert forged != right
        client.set(key, forged)
        clear_process_memory()
        answered = seeded.ohlc(MINUTES)
        assert (answered["X-Cache"], answered.content) == ("miss", first.content)
        assert (answered["Content-Type"], "Set-Cookie" in answered) == (first["Content-Type"], False)


def test_a_304_computes_nothing(seeded):
    tag = seeded.ohlc(MINUTES)["ETag"]
    clear_process_memory()
    before = cache_statistics()
    assert seeded.get(OHLC, MINUTES, **{"If-None-Match": tag}).status_code == 304
    assert cache_statistics() == before


def test_errors_are_not_cached(api):
    assert api.ohlc(symbol="AAPL").status_code == 404
    api.ingest(*SEED_TRADES)
    assert api.ohlc(symbol="AAPL", start="2025-01-02T20:00:00Z").status_code == 404
    api.ingest(trade(timestamp="2025-01-02T20:00:00Z"))
    assert api.ohlc(symbol="AAPL", start="2025-01-02T20:00:00Z").status_code == 200


def test_cached_answer_needs_no_database_query(seeded, django_assert_num_queries):
    seeded.ohlc(MINUTES)
    with django_assert_num_queries(0):
        assert seeded.ohlc(MINUTES)["X-Cache"] == "hit"
        assert seeded.ingest(trade()).status_code == 200


def test_invalidation_drops_the_answers_about_a_symbol(project_redis, seeded):
    first = seeded.ohlc(MINUTES)
    response = seeded.call("POST", "/api/v1/cache/invalidate", b'{"symbol":"aapl"}')
    assert answer(response) == {"symbol": "AAPL", "entries": 1, "redis_reached": True}
    again = seeded.ohlc(MINUTES)
    assert (again["X-Cache"], again.content) == ("miss", first.content)


def test_cache_statistics_count_hits_and_misses(seeded):
    before = answer(seeded.get("/api/v1/cache/stats"))
    seeded.ohlc(MINUTES)
    body = seeded.ohlc(MINUTES).content
    after = answer(seeded.get("/api/v1/cache/stats/"))
    change = {name: after[name] - before[name] for name in after}
    assert (change["misses"], change["hits_local"], change["bytes_served"]) == (1, 1, len(body))
