"""`…/trades?join=quotes`: by default with the best bid and offer, as `pandas.merge_asof` joins its rows."""

import random
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from django.conf import settings

from stats.market_data import quoted_trades
from store import open_store
from store.instruments import Instrument
from store.reading.exceptions import InvalidInterval, UnknownName
from store.timestamps import parse_timestamp
from tests.api_client import answer, problem
from tests.stats.market_data.builders import EQUITY_HOUR, HOUR_NS, Market, timestamp
from tests.stats.market_data.oracle import SECOND_NS
from tests.store_settings import IS_OF_FILES
from trades.stores import market_store

pytestmark = pytest.mark.django_db
TREE = "/api/v1/market-data/equities/ACME"
HOURS = {"start": timestamp(EQUITY_HOUR), "end": timestamp(EQUITY_HOUR + HOUR_NS)}
QUOTE = ("bid", "bid_size", "ask", "ask_size", "bid_exchange", "ask_exchange", "state")
VENUES = ("XNAS", "ARCX", "XNYS", "IEXG", None)
MINUTE_NS = 60 * SECOND_NS
OPTIONS: list[dict[str, str]] = [
    {},
    {"lag": "0"},
    {"lag": "1ns"},
    {"lag": "3s", "tolerance": "20s"},
    {"max_age": "30s"},
]


@pytest.fixture
def venues(empty_market: Market) -> Market:
    """An hour of quotes of five venues, some of them without a side, ineligible or crossed, with a pause of 20 minutes."""
    rng = random.Random(11)
    market_store().set_instrument(Instrument("ACME", exchange="XNAS"))
    times = sorted(EQUITY_HOUR + rng.randrange(HOUR_NS // SECOND_NS) * SECOND_NS for _ in range(400))
    quotes = [
        {
            "time_ns": time_ns,
            "bid": rng.choice([None, *[9 + rng.randrange(10) / 10] * 6]),
            "ask": 9.5 + rng.randrange(10) / 10,
            "bid_size": rng.choice([0.0, 100.0, 200.0]),
            "ask_size": rng.choice([100.0, 300.0]),
            "exchange": rng.choice(VENUES),
            "conditions": rng.choice([None, None, None, ["non_firm"]]),
        }
        for time_ns in times
        if not 20 * MINUTE_NS < time_ns - EQUITY_HOUR < 40 * MINUTE_NS
    ]
    empty_market.add("quotes", "ACME", quotes)
    traded = sorted(EQUITY_HOUR + rng.randrange(HOUR_NS // SECOND_NS) * SECOND_NS for _ in range(150))
    trades = [{"time_ns": time, "price": 9 + rng.randrange(12) / 10, "volume": 1} for time in traded]
    empty_market.add("trades", "ACME", trades)
    return empty_market


def rows(market: Market, path: str = "trades", **query: str) -> list[dict[str, Any]]:
    response = market.api.get(f"{TREE}/{path}", {"limit": "10000", **HOURS, **query})
    assert response.status_code == 200, response.content
    found: list[dict[str, Any]] = answer(response)[path]
    return found


def test_a_page_reads_a_bounded_number_of_quotes(venues: Market, monkeypatch: pytest.MonkeyPatch):
    path, query = f"{TREE}/trades", {"join": "quotes", "max_age": "1s", **HOURS}
    monkeypatch.setattr(quoted_trades, "QUOTES_LIMIT", 300)
    assert venues.api.get(path, query).status_code == 200
    monkeypatch.setattr(quoted_trades, "QUOTES_LIMIT", 20)
    assert problem(venues.api.get(path, {**query, "fields": "mid"})) == (400, "range_too_large")
    assert venues.api.get(f"{path}/stream", query).status_code == 200
    few = {"join": "quotes", "max_age": "1s", "last": "2"}
    assert venues.api.get(path, few).status_code == 200


def test_best_is_the_default_of_a_join(venues: Market):
    query = {"join": "quotes", **HOURS}
    tags = {
        venues.api.get(f"{TREE}/trades", {**query, **words})["ETag"]
        for words in ({}, {"exchange": "best"}, {"max_age": "1h"}, {"exchange": "best", "max_age": "1h"})
    }
    assert len(tags) == 1


def frame(found: list[dict[str, Any]]) -> pd.DataFrame:
    table = pd.DataFrame(found)
    return table.assign(time_ns=[parse_timestamp(each) for each in table["timestamp"]])


def best_rows(market: Market, **query: str) -> pd.DataFrame:
    response = market.api.get(f"{TREE}/quotes", {"last": "10000", "exchange": "best", **query})
    return frame(answer(response)["quotes"])


@pytest.mark.parametrize(
    "options", [{}, {"lag": "1ns"}, {"lag": "3s", "tolerance": "20s"}, {"max_age": "30s"}]
)
def test_the_join_is_that_of_pandas_over_the_rows_of_the_best(venues: Market, options: dict[str, str]):
    max_age = {name: value for name, value in options.items() if name == "max_age"}
    best = best_rows(venues, end=HOURS["end"], **max_age)
    joined = rows(venues, join="quotes", **options)
    lag_ns = {"1ns": 1, "3s": 3 * SECOND_NS}.get(options.get("lag", ""), 0)
    trades = frame(joined)[["time_ns"]].assign(time_ns=lambda table: table["time_ns"] - lag_ns)
    tolerance = 20 * SECOND_NS - lag_ns if "tolerance" in options else None
    right = best[["time_ns", "timestamp", *QUOTE]].rename(columns={"timestamp": "quote_timestamp"})
    wanted = pd.merge_asof(trades, right, on="time_ns", tolerance=tolerance)
    for name in ("quote_timestamp", *QUOTE):
        expected = [None if pd.isna(each) else each for each in wanted[name]]
        assert [row[name] for row in joined] == expected, name
    assert {row["bid_exchange"] for row in joined} >= {"XNAS", "ARCX", "XNYS", "IEXG", None}


def test_the_spreads_are_those_of_the_best(venues: Market):
    venues.add("quotes", "ACME", [{"time_ns": EQUITY_HOUR + 2 * HOUR_NS, "bid": 1.0, "ask": 2.0}])
    best = best_rows(venues)
    times = best["time_ns"].to_numpy()
    mid = np.where(best["bid"] <= best["ask"], (best["bid"] + best["ask"]) / 2, np.nan)
    known = 0
    for row in rows(venues, join="quotes", horizon="1min"):
        at = parse_timestamp(row["timestamp"])
        now, later = (mid[times.searchsorted(each, side="right") - 1] for each in (at, at + MINUTE_NS))
        if row["quote_timestamp"] is None or np.isnan(now):
            assert row["mid"] is None
            continue
        known += 1
        assert row["mid"] == round(now, 9)
        side = {"buy": 1, "sell": -1, None: 0}[row["side"]]
        assert side == np.sign(round(row["price"] - now, 9))
        assert row["effective_spread"] == pytest.approx(2 * side * (row["price"] - now))
        if side and not np.isnan(later):
            assert row["realised_spread"] == pytest.approx(2 * side * (row["price"] - later))
    assert known > 30


@pytest.mark.skipif(not IS_OF_FILES, reason="the reader reads files")
@pytest.mark.parametrize("options", OPTIONS)
def test_the_spreads_of_the_reader_are_those_of_http(venues: Market, options: dict[str, str]):
    declared: Any = settings.MARKET_STORES["default"]
    reader = open_store(declared["OPTIONS"]["path"])
    window = EQUITY_HOUR, EQUITY_HOUR + HOUR_NS
    table = reader.spreads("ACME", *window, **cast("Any", options)).table
    found = rows(venues, join="quotes", **options)
    assert table.num_rows == len(found)
    for name in (*QUOTE, "price", "mid", "side", "effective_spread", "realised_spread"):
        cells = [None if cell != cell else cell for cell in table.column(name).to_pylist()]  # noqa: PLR0124 NaN
        assert cells == [row[name] for row in found], name
    times = table.column("quote_timestamp").to_pylist()
    assert times == [row["quote_timestamp"] and parse_timestamp(row["quote_timestamp"]) for row in found]
    with pytest.raises(InvalidInterval, match="give both or neither"):
        reader.spreads("ACME", exchange="all", max_age="1h")
    with pytest.raises(UnknownName, match="best"):
        reader.spreads("ACME", exchange="XNAS")


@pytest.mark.parametrize("is_maker", [None, True])
def test_a_spread_at_the_midpoint_is_zero_without_a_sign(empty_market: Market, is_maker: bool | None):
    quotes = [{"time_ns": EQUITY_HOUR + n * HOUR_NS, "bid": 99.98, "ask": 100.0} for n in (0, 1)]
    empty_market.add("quotes", "ACME", quotes)
    trade = {"time_ns": EQUITY_HOUR + SECOND_NS, "price": 99.99, "volume": 1, "buyer_is_maker": is_maker}
    empty_market.add("trades", "ACME", [trade])
    (row,) = rows(empty_market, join="quotes")
    assert row["mid"] == 99.99
    assert str(row["effective_spread"]) in {"0", "0.0"}
    assert str(row["realised_spread"]) in ({"None"} if is_maker is None else {"0", "0.0"})


def test_pages_and_streams_have_the_same_rows(venues: Market):
    whole, cursor = rows(venues, join="quotes"), ""
    found: list[Any] = []
    while not found or cursor:
        page = answer(
            venues.api.get(
                f"{TREE}/trades",
                {**HOURS, "join": "quotes", "limit": "17"} | ({"cursor": cursor} if cursor else {}),
            )
        )
        found, cursor = found + page["trades"], page["next_cursor"]
    assert found == whole
    stream = venues.api.get(f"{TREE}/trades/stream", {**HOURS, "join": "quotes", "format": "csv"})
    assert len(b"".join(stream.streaming_content).splitlines()) == len(whole) + 1


def test_all_takes_the_last_quote_of_any_venue(empty_market: Market):
    at = EQUITY_HOUR
    quotes = [(0, "XNAS", 10.0, 10.1), (1, "ARCX", 9.0, 11.0)]
    empty_market.add(
        "quotes", "ACME", [{"time_ns": at + n * SECOND_NS, "exchange": venue, "bid": bid, "ask": ask} for n, venue, bid, ask in quotes]
    )  # fmt: skip
    empty_market.add("trades", "ACME", [{"time_ns": at + 2 * SECOND_NS, "price": 10.1, "volume": 1}])
    (best,), (last,) = rows(empty_market, join="quotes"), rows(empty_market, join="quotes", exchange="all")
    assert (best["bid"], best["ask"], best["bid_exchange"]) == (10.0, 10.1, "XNAS")
    assert (last["bid"], last["ask"], last["quote_exchange"]) == (9.0, 11.0, "ARCX")
    assert rows(empty_market, join="quotes", exchange="best") == [best]
    tags = {
        empty_market.api.get(f"{TREE}/trades", {**HOURS, "join": "quotes", **query})["ETag"]
        for query in ({}, {"exchange": "all"}, {"max_age": "2h"})
    }
    assert len(tags) == 3


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"exchange": "best"}, "conflicting_parameters"),
        ({"max_age": "1h"}, "conflicting_parameters"),
        ({"join": "quotes", "exchange": "all", "max_age": "1h"}, "conflicting_parameters"),
        ({"join": "quotes", "exchange": "XNAS"}, "invalid_parameter"),
        ({"join": "quotes", "max_age": "2d"}, "invalid_duration"),
        ({"join": "quotes", "fields": "quote_exchange"}, "unknown_column"),
        ({"join": "quotes", "exchange": "all", "fields": "bid_exchange"}, "unknown_column"),
    ],
)
def test_what_is_wrong_is_refused(venues: Market, query: dict[str, str], code: str):
    assert problem(venues.api.get(f"{TREE}/trades", {**HOURS, **query})) == (400, code)
