from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from stats.caching.entry import Entry
from stats.caching.keys import CacheKey
from stats.caching.tiers import Dropped, Tiers, drop
from tests.stats.caching.builders import client_of

ENTRY = Entry(body=b"body", content_type="text/plain", etag='"e"', computed_at=1.0)


def fill(tiers: Tiers, *symbols: str, datasets: int = 3) -> None:
    for symbol in symbols:
        for number in range(datasets):
            key = CacheKey(symbol=symbol, dataset=str(number), version="1", representation="json")
            assert tiers.shared.land(str(key), "token", ENTRY, seconds=30)


@pytest.fixture
def of_process(tiers: Tiers, monkeypatch: pytest.MonkeyPatch) -> Tiers:
    monkeypatch.setattr("stats.caching.tiers._assembled", [tiers])
    return tiers


def test_only_the_symbol_is_dropped(tiers: Tiers, redis_server):
    fill(tiers, "A", "AB", "A:B", "A*", "*")
    assert drop("A", tiers=tiers) == Dropped(entries=3, redis_reached=True)
    assert drop("*", tiers=tiers) == Dropped(entries=3, redis_reached=True)
    assert drop("A", tiers=tiers) == Dropped(entries=0, redis_reached=True)
    with client_of(redis_server) as client:
        assert client.dbsize() == 9


def test_thousands_of_entries_are_counted(tiers: Tiers):
    fill(tiers, "A", datasets=2_500)
    assert drop("A", tiers=tiers).entries == 2_500


def test_the_epoch_advances_with_and_without_redis(tiers: Tiers, redis_server):
    before = tiers.epochs.current("A")
    drop("A", tiers=tiers)
    between = tiers.epochs.current("A")
    redis_server.kill()
    assert drop("A", tiers=tiers) == Dropped(entries=0, redis_reached=False)
    assert before < between < tiers.epochs.current("A")


def test_the_epoch_advances_before_and_after_redis_is_emptied(tiers: Tiers, monkeypatch):
    before, meanwhile = tiers.epochs.current("A"), []
    monkeypatch.setattr(tiers.shared, "drop", lambda symbol: meanwhile.append(tiers.epochs.current(symbol)))
    drop("A", tiers=tiers)
    assert before < meanwhile[0] < tiers.epochs.current("A")


def test_command_says_what_it_dropped(of_process: Tiers):
    fill(of_process, "^GSPC")
    call_command("invalidate", "^GSPC", stdout=(out := StringIO()))
    assert out.getvalue() == "^GSPC: 3 entries dropped.\n"


def test_command_works_and_says_so_when_redis_is_away(of_process: Tiers, redis_server):
    redis_server.kill()
    before = of_process.epochs.current("A")
    call_command("invalidate", "A", stdout=(out := StringIO()))
    assert "Redis is away" in out.getvalue()
    assert of_process.epochs.current("A") > before


def test_command_wants_a_symbol():
    with pytest.raises(CommandError, match="symbol"):
        call_command("invalidate")
