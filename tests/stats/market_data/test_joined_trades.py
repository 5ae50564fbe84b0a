"""`…/trades?join=quotes&exchange=all`: the same rows as the reader's spreads, in pages, streams and snapshots of both logs."""

from math import isnan
from typing import Any, cast

import orjson
import pytest
from django.conf import settings

from store import open_store
from store.timestamps import parse_timestamp
from tests.api_client import answer, problem
from tests.stats.market_data.builders import (
    CRYPTO,
    EQUITY,
    EQUITY_HOUR,
    FUTURE,
    FUTURE_HOUR,
    HOUR_NS,
    Market,
    timestamp,
)
from tests.stats.market_data.oracle import SECOND_NS
from tests.store_settings import IS_OF_FILES

pytestmark = pytest.mark.django_db
TREE = "/api/v1/market-data"
PATH = f"{TREE}/equities/{EQUITY}/trades"
HOUR = {"start": timestamp(EQUITY_HOUR), "end": timestamp(EQUITY_HOUR + HOUR_NS)}
VALUES = ("price", "bid", "ask", "quote_exchange", "mid", "side", "effective_spread", "realised_spread")
OPTIONS = [
    {},
    {"lag": "1ns"},
    {"lag": "5s", "tolerance": "1min"},
    {"tolerance": "30s", "horizon": "1s"},
    {"horizon": "1d"},
]


def joined(market: Market, path: str = PATH, **query: str) -> Any:
    response = market.api.get(path, {**HOUR, "join": "quotes", "exchange": "all", "limit": "10000", **query})
    assert response.status_code == 200, response.content
    return answer(response)


def by_reader(symbol: str, start_ns: int, **options: str) -> list[tuple[Any, ...]]:
    declared: Any = settings.MARKET_STORES["default"]
    reader = open_store(declared["OPTIONS"]["path"])
    options = {"exchange": "all", **options}
    table = reader.spreads(symbol, start_ns, start_ns + HOUR_NS, **cast("Any", options)).table
    columns = [table.column(name).to_pylist() for name in ("timestamp", "quote_timestamp", *VALUES)]
    return [
        tuple(None if isinstance(cell, float) and isnan(cell) else cell for cell in row)
        for row in zip(*columns, strict=True)
    ]


def of_rows(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    times = [[row[name] and parse_timestamp(row[name]) for name in ("timestamp", "quote_timestamp")] for row in rows]  # fmt: skip
    return [(*at, *(row[name] for name in VALUES)) for at, row in zip(times, rows, strict=True)]


@pytest.mark.skipif(not IS_OF_FILES, reason="the reader reads files")
@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(options) or "plain")
@pytest.mark.parametrize(
    ("kind", "symbol", "start_ns"),
    [
        ("equities", EQUITY, EQUITY_HOUR),
        ("futures", FUTURE, FUTURE_HOUR),
        ("crypto", CRYPTO, EQUITY_HOUR),
    ],
)
def test_rows_are_those_of_the_reader(
    market: Market, kind: str, symbol: str, start_ns: int, options: dict[str, str]
):
    hour = {"start": timestamp(start_ns), "end": timestamp(start_ns + HOUR_NS)}
    rows = joined(market, f"{TREE}/{kind}/{symbol}/trades", **hour, **options)["trades"]
    assert of_rows(rows) == by_reader(symbol, start_ns, **options)
    assert any(row["effective_spread"] is not None for row in rows)
    assert any(row["realised_spread"] is not None for row in rows) or options.get("horizon") == "1d"


@pytest.mark.parametrize("sort", ["asc", "desc"])
def test_pages_streams_and_several_symbols_have_the_same_rows(market: Market, sort: str):
    whole = joined(market, sort=sort)["trades"]
    found: list[Any] = []
    cursor = None
    while cursor is None or cursor:
        page = joined(market, sort=sort, limit="7", **({"cursor": cursor} if cursor else {}))
        found, cursor = found + page["trades"], page["next_cursor"] or ""
    assert found == whole
    stream = market.api.get(
        f"{PATH}/stream", {**HOUR, "join": "quotes", "exchange": "all", "sort": sort, "format": "ndjson"}
    )
    lines = b"".join(stream.streaming_content).splitlines()
    assert [orjson.loads(line) for line in lines] == whole
    several = joined(market, f"{TREE}/equities/trades", sort=sort, symbols=EQUITY)["trades"]
    assert several == [{"symbol": EQUITY, **row} for row in whole]


@pytest.mark.parametrize("form", ["csv", "arrow", "msgpack", "columnar"])
def test_every_format_has_the_columns(market: Market, form: str):
    response = market.api.get(PATH, {**HOUR, "join": "quotes", "exchange": "all", "format": form})
    assert response.status_code == 200
    assert b"realised_spread" in response.content


def test_columns_of_quotes_are_there_only_with_join(market: Market):
    plain = answer(market.api.get(PATH, HOUR))["trades"][0]
    row = joined(market)["trades"][0]
    assert {name: row[name] for name in plain} == plain
    assert "bid" not in plain
    assert {"quote_timestamp", "quote_sequence", "quote_conditions", "bid_size", "ask_size"} <= set(row)


@pytest.fixture
def written(empty_market: Market) -> Market:
    """Trades at seconds 10, 20 and 30, each after a quote, and a quote long after."""
    market, at = empty_market, EQUITY_HOUR
    times = [at + place * SECOND_NS for place in (10, 20, 30)]
    market.add("trades", EQUITY, [{"time_ns": time, "price": 10.5, "volume": 1} for time in times])
    quotes = [quote(time - SECOND_NS, number) for number, time in enumerate(times)]
    market.add("quotes", EQUITY, [*quotes, quote(at + HOUR_NS, 5)])
    return market


def quote(time_ns: int, bid: float) -> dict[str, Any]:
    return {"time_ns": time_ns, "bid": float(bid), "ask": float(bid) + 1}


def bids(page: Any) -> list[float | None]:
    return [row["bid"] for row in page["trades"]]


def test_a_walk_is_one_snapshot_of_both_logs(written: Market, clock: Any):
    first = joined(written, limit="1")
    moment = clock()
    realised = [row["realised_spread"] for row in joined(written)["trades"]]
    written.add("quotes", EQUITY, [quote(EQUITY_HOUR + (place + 1) * SECOND_NS, 9) for place in (18, 28, 40)])
    rest = joined(written, limit="10", cursor=first["next_cursor"])
    assert bids(first) + bids(rest) == [0, 1, 2]
    assert [row["realised_spread"] for row in first["trades"] + rest["trades"]] == realised
    assert bids(joined(written)) == [0, 9, 9]
    assert bids(joined(written, as_of=moment)) == [0, 1, 2]


def test_a_quote_of_the_window_changes_the_answer_and_a_later_one_does_not(written: Market):
    query = {**HOUR, "join": "quotes", "exchange": "all"}
    first = written.api.get(PATH, query)
    assert {part.split("=")[0] for part in first["X-Commit"].split(", ")} == {"trades", "quotes"}
    written.add("quotes", EQUITY, [quote(EQUITY_HOUR + 24 * HOUR_NS, 7)])
    assert written.api.get(PATH, query)["ETag"] == first["ETag"]
    written.add("quotes", EQUITY, [quote(EQUITY_HOUR + 5 * SECOND_NS, 7)])
    assert written.api.get(PATH, query)["ETag"] != first["ETag"]


def test_a_realised_spread_waits_for_the_quotes_of_its_horizon(empty_market: Market):
    market = empty_market
    market.add("trades", EQUITY, [{"time_ns": EQUITY_HOUR, "price": 10.5, "volume": 1}])

    def stored(seconds: int, bid: float) -> float | None:
        text = timestamp(EQUITY_HOUR + seconds * SECOND_NS)
        body = {"quotes": [{"symbol": EQUITY, "timestamp": text, "bid": bid, "ask": bid + 1}]}
        market.api.ingest(orjson.dumps(body), path="/api/v1/quotes/ingest", query="")
        (row,) = joined(market, horizon="1min")["trades"]
        found: float | None = row["realised_spread"]
        return found

    assert stored(-1, 9) is None
    assert stored(50, 8) is None
    assert stored(61, 7) is None  # it may still be followed by one of the 60th second: `settle`
    assert stored(63, 7) == 4.0


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"join": "bars"}, "invalid_parameter"),
        ({"join": "quotes", "lag": "fast"}, "invalid_duration"),
        ({"join": "quotes", "lag": "-1s"}, "invalid_duration"),
        ({"join": "quotes", "horizon": "0"}, "invalid_duration"),
        ({"join": "quotes", "tolerance": "2000000h"}, "invalid_duration"),
        ({"join": "quotes", "lag": "2s", "tolerance": "1s"}, "conflicting_parameters"),
        ({"lag": "2s"}, "conflicting_parameters"),
        ({"join": "quotes", "fields": "quote_price"}, "unknown_column"),
        ({"fields": "bid"}, "unknown_column"),
    ],
)
def test_what_is_wrong_is_refused(market: Market, query: dict[str, str], code: str):
    assert problem(market.api.get(PATH, {**HOUR, **query})) == (400, code)


@pytest.mark.parametrize(
    ("name", "allowed"), [("lag", "must be 0 or a whole number"), ("horizon", "must be a whole number")]
)
def test_the_message_says_which_durations_are_allowed(market: Market, name: str, allowed: str):
    response = market.api.get(PATH, {**HOUR, "join": "quotes", name: "0s"})
    assert answer(response)["message"] == (
        f"{name}: {allowed} above zero with a unit (ns, us, ms, s, m, min, h, d), such as 250ms, at most a century"
    )
