"""The in-process reader and HTTP answer the same over one market: bars in every form, rows."""

import time
from typing import Any

import orjson
import pytest
import time_machine
from django.conf import settings

from stats.market_data.datasets import MARKET_DATASETS
from stats.universes import known_members
from store import open_store
from store.reading import Reader
from store.reading.exceptions import (
    InvalidInterval,
    InvalidSession,
    UnknownName,
)
from store.timestamps import format_timestamp, parse_timestamp
from tests.api_client import answer
from tests.chance import each_of
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
    ingest,
    midnight_ns,
    tell,
    timestamp,
)
from tests.store_settings import IS_OF_FILES

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.system,
    pytest.mark.skipif(not IS_OF_FILES, reason="the reader reads files"),
]
TREE = "/api/v1/market-data"
KINDS = {EQUITY: "equities", FUTURE: "futures", CRYPTO: "crypto", SPLIT: "equities"}
RANGE = {"start": FIRST.isoformat(), "end": BEHIND.isoformat(), "limit": "10000"}
PERIODS = ("1d", "3d", "1w", "3M")
VALUES = ("open", "high", "low", "close", "volume", "trade_count")
WORDS = [
    {},
    {"session": "utc"},
    {"session": "exchange"},
    {"hours": "all"},
    {"hours": "regular"},
    {"hours": "extended"},
    {"session": "utc", "hours": "regular"},
    {"anchor": "session"},
    {"anchor": "session", "hours": "regular"},
    {"knowledge": "then"},
    {"knowledge": "then", "hours": "regular"},
]
ADJUSTED: list[dict[str, str]] = [
    {"adjustment": adjustment, **words}
    for adjustment, words in [
        ("split", {}),
        ("all", {}),
        ("all", {"session": "utc"}),
        ("all", {"hours": "all"}),
        ("all", {"hours": "extended", "anchor": "session"}),
        ("all", {"knowledge": "then"}),
    ]
]
# During, at the end of and after sessions; in the middle of an hour; on a holiday; at a weekend.
NOWS = ["2024-12-23T20:59:30Z", "2024-12-23T21:00:00Z", "2024-12-24T18:30:00Z", "2024-12-25T15:00:00Z", "2024-12-28T12:00:00Z", "2025-01-01T00:00:00Z"]  # fmt: skip
# The parameters of bars over HTTP that the reader has under another name or as windows, and those that it lacks.
OTHERWISE = {
    *("start", "end", "last", "resolution", "as_of", "symbol_as_of", "knowledge"),
    *("fields", "sort", "limit", "cursor", "time"),
}
NOT_IN_READER = {"coverage", "rule"}


def reader() -> Reader:
    declared: Any = settings.MARKET_STORES["default"]
    return open_store(declared["OPTIONS"]["path"])


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


def asked_bars(market: Market, symbol: str, resolution: str, **query: str) -> list[tuple[Any, ...]]:
    bars = asked(market, symbol, "ohlcv", resolution=resolution, **query)
    return [(time_of(bar, resolution), *(bar[name] for name in VALUES)) for bar in bars]


def rows_of(bars: Any, names: tuple[str, ...] = VALUES) -> list[tuple[Any, ...]]:
    """The reader's bars as HTTP spells them: None for NaN."""
    columns = (map(or_none, getattr(bars, name).tolist()) for name in names)
    return list(zip(bars.time_ns.tolist(), *columns, strict=True))


def or_none(value: Any) -> Any:
    """None for NaN."""
    return None if value != value else value  # noqa: PLR0124


def name_of(words: dict[str, str]) -> str:
    return "-".join(words.values()) or "default"


def is_refused(words: dict[str, str], resolution: str) -> bool:
    """Whether bars are weeks or months of then that are to be adjusted."""
    return words.keys() >= {"adjustment", "knowledge"} and resolution in PERIODS[1:]


BARS_BY_RESOLUTION = [
    pytest.param(symbol, words, resolution, id=f"{symbol}-{name_of(words)}-{resolution}")
    for resolutions in (("7m", "4h"), PERIODS)
    for symbol, words, resolution in (
        *each_of((EQUITY, FUTURE, CRYPTO), WORDS, resolutions),
        *each_of([SPLIT], ADJUSTED, resolutions),
    )
    if not is_refused(words, resolution)
]


@pytest.mark.parametrize(("symbol", "words", "resolution"), BARS_BY_RESOLUTION)
def test_bars(market: Market, symbol: str, resolution: str, words: dict[str, str]):
    start, end = RANGE["start"], RANGE["end"]
    if resolution == "7m":
        start, end = "2024-12-24", "2024-12-28"
    wanted = asked_bars(market, symbol, resolution, start=start, end=end, **words)
    options: Any = words
    assert rows_of(reader().bars(symbol, start, end, resolution, **options)) == wanted
    assert wanted


@pytest.mark.parametrize(
    ("now", "words"),
    each_of(NOWS, [{}, {"hours": "regular"}, {"anchor": "session"}, {"adjustment": "all"}]),
    ids=str,
)
def test_bars_of_intervals_that_are_over(market: Market, words: Any, now: str):
    with time_machine.travel(now, tick=False):
        for symbol in (SPLIT, FUTURE):
            for resolution in ("1h", *PERIODS):
                found = reader().bars(symbol, FIRST, now, resolution, partial="exclude", **words)
                wanted = asked_bars(market, symbol, resolution, end=now, partial="exclude", **words)
                assert rows_of(found) == wanted, (symbol, resolution)


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


def test_actions_that_adjust_nothing_are_named(empty_market: Market):
    times = [midnight_ns("2024-12-24") + 15 * HOUR_NS, midnight_ns("2024-12-26") + 15 * HOUR_NS]
    tell(empty_market.api, SPLIT, **{"class": "equity", "exchange": "XNYS", "currency": "USD"})
    empty_market.add("trades", SPLIT, [{"time_ns": at, "price": 80.0, "volume": 1.0} for at in times])
    actions = [{"kind": "dividend", "amount": amount, "currency": name} for amount, name in ((1.0, "EUR"), (90.0, "USD"), (1.0, "USD"))]  # fmt: skip
    rows = [{"time_ns": midnight_ns("2024-12-26"), **action} for action in actions]
    rows.append({**rows[0], "time_ns": parse_timestamp("2024-12-26T13:35:00Z")})
    ingest(empty_market.api, "corporate_actions", SPLIT, rows)
    for start, interval, adjustment in (
        ("2024-12-23", "1d", "all"),
        ("2024-12-23", "1d", "split"),
        ("2024-12-26", "1d", "all"),
        *(("2024-12-26T13:40:00Z", interval, "all") for interval in ("1m", "1h", "1d", "1w")),
        ("2024-12-26T14:40:00Z", "1h", "all"),
    ):
        query = {"adjustment": adjustment, "start": start, "resolution": interval}
        page = answer(empty_market.api.get(f"{TREE}/equities/{SPLIT}/ohlcv", {**RANGE, **query}))
        found = [
            {"timestamp": format_timestamp(each.timestamp_ns), "kind": each.kind, "reason": each.reason.value}
            for each in reader().not_applied(SPLIT, start, interval=interval, adjustment=adjustment)
        ]
        assert found == page.get("not_applied", [])
    # 1 and 90 dollars of one date are not below the close of 80.
    assert len(reader().not_applied(SPLIT)) == 4


@pytest.mark.parametrize(
    ("symbol", "dataset", "start_ns"),
    [
        (EQUITY, "trades", EQUITY_HOUR),
        (FUTURE, "quotes", FUTURE_HOUR),
        (CRYPTO, "trades", EQUITY_HOUR),
    ],
)
def test_rows(market: Market, symbol: str, dataset: str, start_ns: int):
    hour = {"start": timestamp(start_ns), "end": timestamp(start_ns + HOUR_NS)}
    rows = asked(market, symbol, dataset, **hour)
    found = reader().rows(dataset, symbol, start_ns, start_ns + HOUR_NS).table
    for name in found.column_names:
        values = found.column(name).to_pylist()
        wanted = [row[name] for row in rows]
        if name == "timestamp":
            wanted = [parse_timestamp(text) for text in wanted]
        if name == "conditions":
            wanted = [words and ";".join(words) for words in wanted]
        assert values == wanted


def test_the_members_of_a_universe(market: Market):
    announced = {"timestamp": "2100-01-01", "member": SPLIT, "action": "add"}
    joined = [{"timestamp": "2024-12-01", "member": each, "action": "add"} for each in (EQUITY, "NOTHING")]
    rows = [{"symbol": "U", **each} for each in (*joined, announced)]
    body = orjson.dumps({"universe_changes": rows})
    assert market.api.call("POST", "/api/v1/universe-changes/ingest", body).status_code == 200
    for at in ({}, {"at": "2024-12-24"}, {"at": "2100-01-01"}, {"as_of": "2024-12-24"}):
        listed = answer(market.api.get("/api/v1/universes/U", at))
        assert reader().members("U", **at) == listed["members"]
    for start, end in (("2024-12-23", "2024-12-31"), ("2024-12-23", "2110-01-01")):
        panel = reader().panel("@U", start, end, "1M")
        bounds = {"start_ns": parse_timestamp(start), "end_ns": parse_timestamp(end)}
        assert panel.symbols == known_members("U", **bounds, as_of_ns=time.time_ns()) == (EQUITY,)


def test_the_last_trade(market: Market):
    latest = answer(market.api.get(f"{TREE}/equities/{EQUITY}/latest"))["trade"]
    assert (reader().latest(EQUITY).price, reader().latest(EQUITY).time_ns) == (
        latest["price"],
        parse_timestamp(latest["timestamp"]),
    )


def test_every_parameter_of_bars_is_classified():
    parameters = set(MARKET_DATASETS["ohlcv"].parameters(streamed=False, several=False))
    taken = {name for words in [*WORDS, *ADJUSTED, {"partial": ""}] for name in words}
    assert parameters - OTHERWISE - taken == NOT_IN_READER


def test_wrong_words_are_refused(market: Market):
    for words in ({"hours": "night"}, {"anchor": "open"}, {"session": "local"}):
        options: Any = words
        with pytest.raises(InvalidSession):
            reader().bars(EQUITY, interval="1d", **options)
    for options in ({"adjustment": "splits"}, {"partial": "1"}, {"knowledge": "later"}):
        with pytest.raises(UnknownName):
            reader().bars(EQUITY, interval="1d", **options)
    with pytest.raises(InvalidInterval, match="45s"):
        reader().bars(EQUITY, interval="36h", hours="regular")


def test_weeks_without_an_exchange_are_of_utc_days(empty_market: Market):
    tell(empty_market.api, EQUITY, **{"class": "equity"})
    empty_market.add("trades", EQUITY, [{"time_ns": EQUITY_HOUR, "price": 10.0, "volume": 1}])
    assert reader().bars(EQUITY, interval="1w").time_ns.tolist() == [midnight_ns("2024-12-23")]
