"""`manage.py warm`: what was warmed is a hit, for any process that shares the Redis."""

import io

import pytest
from django.core.management import CommandError, call_command

from stats.caching.response_cache import RESPONSE_CACHE
from stats.rendering.formats import FORMATS
from store.instruments import CRYPTO, Instrument
from tests.api_client import Api, trade
from tests.stats.market_data.builders import complete_until_now
from trades.stores import market_store

RANGE = "start=2025-01-02T14:00:00Z&end=2025-01-02T15:00:00Z"
MINUTES = f"{RANGE}&resolution=1m"
TREE = "/api/v1/market-data"
PATH = f"{TREE}/equities/AAPL/ohlcv"


@pytest.fixture
def stored(project_redis, api: Api) -> Api:
    """Trades of AAPL, of MSFT, and of a coin, before an empty Redis."""
    market_store().set_instrument(Instrument("AAPL", aliases=("APL",)))
    market_store().set_instrument(Instrument("BTC-USD", instrument_class=CRYPTO))
    for symbol in ("AAPL", "MSFT", "BTC-USD"):
        api.ingest(
            *(trade(symbol=symbol, timestamp=f"2025-01-02T14:{minute}:00Z") for minute in range(10, 40)),
            query=complete_until_now(),
        )
    return api


def warm(*arguments: str) -> list[str]:
    """The lines of the command, and then a process that has nothing in its own memory."""
    out = io.StringIO()
    call_command("warm", *arguments, stdout=out)
    RESPONSE_CACHE.local.clear()
    return out.getvalue().splitlines()


def test_a_warmed_answer_is_a_hit(stored):
    assert warm("AAPL", "--query", MINUTES) == [f"AAPL ohlcv?{MINUTES}: miss"]
    response = stored.get(f"{PATH}?{MINUTES}")
    assert (response.status_code, response["X-Cache"]) == (200, "hit")
    assert response.content.count(b'"timestamp"') == 30


def test_other_answers_are_no_hit(stored):
    warm("AAPL", "--query", MINUTES)
    assert stored.get(f"{PATH}?{MINUTES}&limit=10")["X-Cache"] == "miss"
    assert stored.get(f"{TREE}/equities/MSFT/ohlcv?{MINUTES}")["X-Cache"] == "miss"


@pytest.mark.parametrize("encoding", ["identity", "gzip", "zstd", "gzip, deflate, br, zstd"])
def test_every_encoding_is_warmed(stored, encoding):
    warm("AAPL", "--query", MINUTES)
    assert stored.get(f"{PATH}?{MINUTES}", Accept_Encoding=encoding)["X-Cache"] == "hit"


@pytest.mark.parametrize("name", FORMATS)
def test_the_named_format_is_warmed(stored, name):
    warm("AAPL", "--query", MINUTES, "--format", name)
    assert stored.get(f"{PATH}.{name}?{MINUTES}")["X-Cache"] == "hit"
    assert {
        other: stored.get(f"{PATH}.{other}?{MINUTES}")["X-Cache"] for other in FORMATS if other != name
    } == {other: "miss" for other in FORMATS if other != name}


def test_several_symbols_and_queries_each_in_its_own_class(stored):
    days = "start=2025-01-01&end=2025-01-03"
    lines = warm("AAPL", "BTC-USD", "--query", MINUTES, "--query", days)
    assert lines == [
        f"{symbol} ohlcv?{query}: miss" for symbol in ("AAPL", "BTC-USD") for query in (MINUTES, days)
    ]
    for query in (MINUTES, days):
        assert stored.get(f"{TREE}/crypto/BTC-USD/ohlcv?{query}")["X-Cache"] == "hit"


def test_other_datasets_can_be_warmed(stored):
    warm("AAPL", "--dataset", "trades", "--query", RANGE)
    assert stored.get(f"{TREE}/equities/AAPL/trades?{RANGE}")["X-Cache"] == "hit"


def test_without_a_query_it_is_the_last_thousand_days(stored, time_machine):
    time_machine.move_to("2025-01-04T12:00:00Z", tick=False)
    assert warm("aapl") == ["AAPL ohlcv?last=1000: miss"]
    assert stored.get(f"{PATH}?last=1000")["X-Cache"] == "hit"


def test_an_alias_warms_its_symbol(stored):
    warm("APL", "--query", MINUTES)
    assert stored.get(f"{PATH}?{MINUTES}")["X-Cache"] == "hit"


def test_a_second_run_reports_hits(stored):
    warm("AAPL", "--query", MINUTES)
    assert warm("AAPL", "--query", MINUTES) == [f"AAPL ohlcv?{MINUTES}: hit"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["NOPE"], "NOPE"),
        (["A!"], "symbol"),
        (["AAPL", "--query", "start=soon"], "start"),
        (["AAPL", "--query", "last=5&colour=red"], "colour"),
        (["AAPL", "--query", f"{RANGE}&resolution=2w"], "resolution"),
        (["AAPL", "--dataset", "nope"], "nope"),
        (["AAPL", "--dataset", "open-interest"], "AAPL is in equities"),
        (["AAPL", "--format", "xml"], "xml"),
    ],
    ids=lambda one: "-".join(one) if isinstance(one, list) else None,
)
def test_an_error_fails_the_command(stored, arguments, message):
    with pytest.raises(CommandError, match=message):
        warm(*arguments)


def test_without_redis_the_command_reports_that_nothing_is_cached(api: Api):
    api.ingest(trade())
    with pytest.raises(CommandError, match="Redis is away"):
        warm("AAPL", "--query", MINUTES)
