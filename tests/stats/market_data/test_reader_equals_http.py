"""The in-process reader and HTTP answer the same over one market: bars in every form, quote bars, rows, the last trade."""

from typing import Any

import pytest
from django.conf import settings

from stats.market_data.datasets import MARKET_DATASETS
from stats.market_data.intervals.regular_days import regular_days
from store import open_store
from store.reading import Reader
from store.reading.exceptions import InvalidInterval, InvalidSession, NoSessions
from store.timestamps import parse_timestamp
from tests.api_client import answer
from tests.stats.market_data.builders import (
    BEHIND,
    CRYPTO,
    EQUITY,
    EQUITY_HOUR,
    FIRST,
    FUTURE,
    FUTURE_HOUR,
    HOUR_NS,
    SPLIT,
    Market,
    midnight_ns,
    tell,
    timestamp,
)
from tests.store_settings import IS_OF_FILES

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(not IS_OF_FILES, reason="the reader reads files"),
]
TREE = "/api/v1/market-data"
KINDS = {EQUITY: "equities", FUTURE: "futures", CRYPTO: "crypto"}
RANGE = {"start": FIRST.isoformat(), "end": BEHIND.isoformat(), "limit": "10000"}
PERIODS = ("1d", "1w", "1M")
VALUES = ("open", "high", "low", "close", "volume", "trade_count")
SIDES = tuple(f"{side}_{what}" for side in ("bid", "ask") for what in ("open", "high", "low", "close"))
QUOTE_VALUES = (*SIDES, "bid_size", "ask_size", "quote_count")
WORDS = [
    {},
    {"session": "utc"},
    {"hours": "all"},
    {"hours": "regular"},
    {"hours": "extended"},
    {"session": "utc", "hours": "regular"},
    {"anchor": "session"},
    {"anchor": "session", "hours": "regular"},
    {"knowledge": "then"},
    {"knowledge": "then", "hours": "regular"},
]
# The parameters of bars over HTTP that the reader has under another name or as windows, and those that it lacks.
OTHERWISE = {
    *("start", "end", "last", "resolution", "as_of", "symbol_as_of", "knowledge"),
    *("fields", "sort", "limit", "cursor", "time"),
}
NOT_IN_READER = {"adjustment", "partial", "coverage"}


def reader(**options: Any) -> Reader:
    declared: Any = settings.MARKET_STORES["default"]
    return open_store(declared["OPTIONS"]["path"], **{"sessions": regular_days, **options})


def asked(market: Market, symbol: str, dataset: str, **query: str) -> list[dict[str, Any]]:
    response = market.api.get(f"{TREE}/{KINDS[symbol]}/{symbol}/{dataset}", {**RANGE, **query})
    assert response.status_code == 200, response.content
    page = answer(response)
    assert page["next_cursor"] is None
    rows: list[dict[str, Any]] = page["bars" if dataset == "ohlcv" else dataset]
    return rows


def time_of(bar: dict[str, Any], resolution: str) -> int:
    """A period is called by its date."""
    return midnight_ns(bar["date"]) if resolution in PERIODS else parse_timestamp(bar["timestamp"])


@pytest.mark.system
@pytest.mark.parametrize("words", WORDS, ids=lambda words: "-".join(words.values()) or "default")
@pytest.mark.parametrize("resolution", ["5m", "4h", *PERIODS])
@pytest.mark.parametrize("symbol", [EQUITY, FUTURE, CRYPTO])
def test_bars(market: Market, symbol: str, resolution: str, words: dict[str, str]):
    start, end = RANGE["start"], RANGE["end"]
    if resolution == "5m":
        start, end = "2024-12-24", "2024-12-28"
    wanted = [
        (time_of(bar, resolution), *(bar[name] for name in VALUES))
        for bar in asked(market, symbol, "ohlcv", start=start, end=end, resolution=resolution, **words)
    ]
    options: Any = words
    bars: Any = reader().bars(symbol, start, end, resolution, **options)
    found = zip(bars.time_ns.tolist(), *(getattr(bars, name).tolist() for name in VALUES), strict=True)
    assert list(found) == wanted
    assert wanted


@pytest.mark.parametrize("words", [{"hours": "regular"}, {"anchor": "session"}], ids=["hours", "anchor"])
def test_without_bounds_all_bars_are_read(market: Market, words: Any):
    bars, whole = reader().bars(EQUITY, FIRST, BEHIND, "1h", **words), reader().bars(EQUITY, interval="1h", **words)  # fmt: skip
    assert whole.time_ns.tolist()[: len(bars)] == bars.time_ns.tolist()
    assert reader().bars(EQUITY, interval="1M", **words).time_ns.tolist()[0] == midnight_ns("2024-12-01")


def test_a_panel_takes_the_same_words(market: Market):
    panel = reader().panel([EQUITY, FUTURE], FIRST, BEHIND, "1d", "volume", hours="regular")
    for column, symbol in enumerate(panel.symbols):
        bars = asked(market, symbol, "ohlcv", resolution="1d", hours="regular")
        values = dict(zip(panel.time_ns.tolist(), panel.values[:, column].tolist(), strict=True))
        assert {at: value for at, value in values.items() if value == value} == {  # noqa: PLR0124 not NaN
            midnight_ns(bar["date"]): bar["volume"] for bar in bars
        }


@pytest.mark.parametrize("resolution", ["1m", "1h", "1d"])
@pytest.mark.parametrize("symbol", [EQUITY, FUTURE, CRYPTO])
@pytest.mark.parametrize("knowledge", ["now", "then"])
def test_quote_bars_in_utc(market: Market, symbol: str, resolution: str, knowledge: str):
    words = {"resolution": resolution, "session": "utc", "knowledge": knowledge}
    rows = asked(market, symbol, "quotes", start="2024-12-23", end="2024-12-27", **words)
    for exchange in {row["exchange"] for row in rows}:
        wanted = [row for row in rows if row["exchange"] == exchange]
        bars: Any = reader().quote_bars(
            symbol, "2024-12-23", "2024-12-27", resolution, exchange, knowledge=knowledge
        )
        assert bars.time_ns.tolist() == [parse_timestamp(row["timestamp"]) for row in wanted]
        for name in QUOTE_VALUES:
            values = [None if value != value else value for value in getattr(bars, name).tolist()]  # noqa: PLR0124
            assert values == [row[name] for row in wanted]


@pytest.mark.parametrize(
    ("symbol", "dataset", "start_ns"),
    [
        (EQUITY, "trades", EQUITY_HOUR),
        (FUTURE, "quotes", FUTURE_HOUR),
        (CRYPTO, "trades", EQUITY_HOUR),
    ],
)
@pytest.mark.parametrize("knowledge", ["now", "then"])
def test_rows(market: Market, symbol: str, dataset: str, start_ns: int, knowledge: str):
    hour = {"start": timestamp(start_ns), "end": timestamp(start_ns + HOUR_NS), "knowledge": knowledge}
    rows = asked(market, symbol, dataset, **hour)
    found = reader().rows(dataset, symbol, start_ns, start_ns + HOUR_NS, knowledge=knowledge).table
    for name in found.column_names:
        values = found.column(name).to_pylist()
        wanted = [row[name] for row in rows]
        if name == "timestamp":
            wanted = [parse_timestamp(text) for text in wanted]
        if name == "conditions":
            wanted = [words and ";".join(words) for words in wanted]
        assert values == wanted


def test_the_last_trade_and_those_before_an_instant(market: Market):
    latest = answer(market.api.get(f"{TREE}/equities/{EQUITY}/latest"))["trade"]
    assert (reader().latest(EQUITY).price, reader().latest(EQUITY).time_ns) == (
        latest["price"],
        parse_timestamp(latest["timestamp"]),
    )
    query = {"symbols": f"{EQUITY},{SPLIT}", "last": "1", "end": timestamp(EQUITY_HOUR)}
    rows = answer(market.api.get(f"{TREE}/equities/trades", query))["trades"]
    section = reader().cross_section(EQUITY_HOUR - 1, [EQUITY, SPLIT])
    assert section.price.tolist() == [row["price"] for row in rows]
    assert section.time_ns.tolist() == [parse_timestamp(row["timestamp"]) for row in rows]


def test_every_parameter_of_bars_is_classified():
    parameters = set(MARKET_DATASETS["ohlcv"].form.parameters(streamed=False, several=False))
    taken = {name for words in WORDS for name in words}
    assert parameters - OTHERWISE - taken == NOT_IN_READER


def test_wrong_words_are_refused(market: Market):
    for words in ({"hours": "night"}, {"anchor": "open"}, {"session": "exchange"}):
        options: Any = words
        with pytest.raises(InvalidSession):
            reader().bars(EQUITY, interval="1d", **options)
    with pytest.raises(InvalidInterval, match="1h"):
        reader().bars(EQUITY, interval="7min", hours="regular")
    with pytest.raises(NoSessions, match="regular_days"):
        reader(sessions=None).bars(EQUITY, interval="1w")


def test_weeks_without_an_exchange_are_of_utc_days(empty_market: Market):
    tell(empty_market.api, EQUITY, **{"class": "equity"})
    empty_market.add("trades", EQUITY, [{"time_ns": EQUITY_HOUR, "price": 10.0, "volume": 1}])
    assert reader().bars(EQUITY, interval="1w").time_ns.tolist() == [midnight_ns("2024-12-23")]
