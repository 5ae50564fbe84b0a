"""What each query parameter of the tree changes."""

import csv
import datetime as dt
import io
import json
from itertools import groupby
from typing import Any

import pytest
import time_machine

from tests.api_client import answer, problem
from tests.stats.market_data.builders import CALL, EQUITY, EQUITY_HOUR, HOUR_NS, PUT, SPLIT, Market, timestamp
from tests.stats.market_data.oracle import SECOND_NS, Cut, Row, bar, bars, midnight, ticks
from tests.stats.market_data.published_hours import XNYS
from tests.stats.market_data.queries.test_parameters import DAYS, MINUTES, OHLCV, TICKS, TREE, ask, get
from tests.stats.market_data.representations import nanoseconds, nested
from tests.stats.market_data.subjects import answered

pytestmark = pytest.mark.django_db


def equity_bars(market: Market, start_ns: int, end_ns: int, resolution: str = "1m") -> list[Row]:
    cut = Cut(resolution, XNYS, by_date=True, hours="regular" if resolution == "1d" else "all")
    return [answered(row, None) for row in bars(market.rows["trades", EQUITY], cut, start_ns, end_ns)]


@pytest.mark.parametrize("end", [..., "2024-12-23T10:00:00Z"], ids=["no end", "now as the end"])
def test_an_open_bar_counts_what_is_dated_after_now(empty_market: Market, end: Any):
    """Of ticks those after now are not there without an end; of bars those that have not begun."""
    monday_ns = midnight(dt.date(2024, 12, 23))
    now_ns = monday_ns + 10 * HOUR_NS
    times = [now_ns - HOUR_NS, now_ns + HOUR_NS // 2, now_ns + 30 * HOUR_NS]
    rows = [{"time_ns": at, "price": float(n + 1), "volume": 1.0} for n, at in enumerate(times)]
    empty_market.add("trades", "AHEAD", rows)
    query = {"start": "2024-12-23"} | ({} if end is ... else {"end": end})
    path = f"{TREE}/equities/AHEAD"
    with time_machine.travel(now_ns / SECOND_NS, tick=False):
        found = {
            resolution: [
                (one["close"], one["volume"], one["final"])
                for one in get(empty_market, f"{path}/ohlcv", query, resolution=resolution)["bars"]
            ]
            for resolution in ("1m", "1h", "1d", "1w")
        }
        prints = get(empty_market, f"{path}/trades", query | {"start": "2024-12-23T09:30:00Z"})["trades"]
        finished = get(empty_market, f"{path}/ohlcv", query, resolution="1w", partial="exclude")["bars"]
    assert found == {
        "1m": [(1.0, 1, True)], "1h": [(1.0, 1, True)], "1d": [(2.0, 2, False)], "1w": [(3.0, 3, False)],
    }  # fmt: skip
    assert (prints, finished) == ([], [])


def test_a_date_alone_is_a_trading_date_however_the_url_spells_it(market: Market):
    plain = "start=2024-12-24&end=2024-12-31"
    wanted, found = (
        answer(market.api.get(f"{OHLCV}?{query}&session=exchange&coverage=1"))
        for query in (plain, plain.replace("-", "%2D"))
    )
    assert wanted["bars"]
    assert (found["bars"], found["absences"]) == (wanted["bars"], wanted["absences"])


@pytest.mark.parametrize(("alias", "name"), [("1min", "1m"), ("1mo", "1M")])
def test_an_alias_is_answered_under_the_resolutions_own_name(market: Market, alias: str, name: str):
    found = get(market, OHLCV, DAYS, resolution=alias)
    assert found["resolution"] == name
    assert found["bars"] == get(market, OHLCV, DAYS, resolution=name)["bars"]


def test_the_default_is_daily_bars_by_trading_date(market: Market):
    found = get(market, OHLCV, DAYS)
    assert found["resolution"] == "1d"
    assert nested(found["bars"]) == equity_bars(market, midnight(dt.date(2024, 12, 23)), 2**62, "1d")
    assert (
        found["bars"]
        == get(market, OHLCV, DAYS, session="exchange", hours="regular", adjustment="raw", sort="asc")["bars"]
    )


@pytest.mark.parametrize("unit", [1, 10**3, 10**6, 10**9], ids=["ns", "us", "ms", "s"])
def test_a_range_may_be_given_in_epoch_units(market: Market, unit: int):
    found = get(market, start=str(EQUITY_HOUR // unit), end=str((EQUITY_HOUR + HOUR_NS) // unit))
    assert found == get(market)


def test_bars_are_whole_and_ticks_are_not_rounded(market: Market):
    edges = {"start": timestamp(EQUITY_HOUR + 1), "end": timestamp(EQUITY_HOUR + HOUR_NS - 1)}
    assert get(market, **edges)["bars"] == get(market)["bars"]
    (first, *_) = get(market, TICKS, {**edges, "start": MINUTES["start"]})["trades"]
    after = timestamp(nanoseconds(first["timestamp"]) + 1)
    assert first not in get(market, TICKS, edges, start=after)["trades"]


def test_without_an_end_the_range_ends_now(market: Market):
    now_ns = EQUITY_HOUR + HOUR_NS // 2
    with time_machine.travel(now_ns / SECOND_NS, tick=False):
        found = get(market, end=...)
    assert nested(found["bars"]) == equity_bars(market, EQUITY_HOUR, now_ns)


def test_a_bar_is_final_when_its_interval_is_over(market: Market):
    now_ns = EQUITY_HOUR + HOUR_NS // 2 + 20 * SECOND_NS
    with time_machine.travel(now_ns / SECOND_NS, tick=False):
        found = nested(get(market)["bars"])
        closed = nested(get(market, partial="exclude")["bars"])
    assert [bar["final"] for bar in found] == [bar["timestamp"] + 60 * SECOND_NS <= now_ns for bar in found]
    assert closed == [bar for bar in found if bar["final"]]
    assert 0 < len(closed) < len(found)


def test_a_tick_bar_has_the_prints_of_one_instant(market: Market):
    found = nested(get(market, resolution="tick")["bars"])
    rows = ticks(market.rows["trades", EQUITY], Cut("tick"), EQUITY_HOUR, EQUITY_HOUR + HOUR_NS)
    wanted = [(at, bar(list(prints))) for at, prints in groupby(rows, key=lambda row: row["time_ns"])]
    assert found == [{"timestamp": at, **of_instant} for at, of_instant in wanted]
    singles = [one for one in found if one["trade_count"] == 1 and one["volume"]]
    assert singles
    assert all(one["vwap"] == one["close"] for one in singles)


@pytest.mark.parametrize("count", [1, 3, 10_000])
@pytest.mark.parametrize("sort", ["asc", "desc"])
def test_the_last_rows_before_the_end(market: Market, count: int, sort: str):
    wanted = equity_bars(market, 0, EQUITY_HOUR + HOUR_NS)[-count:]
    found = get(market, start=..., last=str(count), sort=sort)
    assert nested(found["bars"]) == (wanted if sort == "asc" else wanted[::-1])
    assert (found["next_cursor"], found["total_estimate"]) == (None, len(wanted))


@pytest.mark.parametrize(
    ("dataset", "shape", "symbols"),
    [
        ("equities/trades", {}, [EQUITY, SPLIT]),
        ("equities/ohlcv", {"resolution": "1m"}, [SPLIT, EQUITY]),
        ("equities/quotes", {}, [EQUITY, SPLIT]),
        ("options/greeks", {"rate": "0.03"}, [CALL, PUT]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("sort", ["asc", "desc"])
@pytest.mark.parametrize("count", [1, 4])
def test_the_last_rows_of_several_symbols_are_the_last_of_each(
    market: Market, *, dataset: str, shape: dict[str, str], symbols: list[str], count: int, sort: str
):
    market_class, name = dataset.split("/")
    query = {"last": str(count), "sort": sort, **shape}
    rows_name = "bars" if name == "ohlcv" else name
    wanted = [
        {"symbol": symbol, **row}
        for symbol in symbols
        for row in get(market, f"{TREE}/{market_class}/{symbol}/{name}", query)[rows_name]
    ]
    found = get(market, f"{TREE}/{dataset}", query, symbols=",".join(symbols))
    assert found[rows_name] == wanted
    assert (found["next_cursor"], found["prev_cursor"], found["total_estimate"]) == (None, None, len(wanted))


def test_of_several_symbols_a_page_of_the_last_rows_has_as_many_as_any(empty_market: Market):
    symbols = ["MANYA", "MANYB"]
    for symbol in symbols:
        rows = [{"time_ns": EQUITY_HOUR + n, "price": float(n + 1), "volume": 1.0} for n in range(1_300)]
        empty_market.add("trades", symbol, rows)
    path, query = f"{TREE}/equities/trades", {"symbols": ",".join(symbols), "fields": "price"}
    for asked, sizes in (
        ({"last": "600"}, [1_000, 200]),
        ({"last": "1200"}, [1_200, 1_200]),
        ({"last": "600", "limit": "900"}, [900, 300]),
    ):
        page = get(empty_market, path, {**query, **asked})
        pages = [page["trades"]]
        assert page["total_estimate"] == 2 * int(asked["last"])
        while page["next_cursor"] is not None:
            page = get(empty_market, path, {**query, **asked, "cursor": page["next_cursor"]})
            pages.append(page["trades"])
        assert [len(one) for one in pages] == sizes
        newest = [float(n + 1) for n in range(1_300)][-int(asked["last"]) :]
        assert [row["price"] for one in pages for row in one] == newest * 2


@pytest.mark.parametrize("count", ["0", "10001", "x"])
def test_a_wrong_last_is_refused(market: Market, count: str):
    assert problem(ask(market, start=..., last=count)) == (400, "invalid_limit")


@pytest.mark.parametrize("other", [{}, {"start": ..., "limit": "5"}], ids=["start", "limit"])
def test_last_beside_start_or_limit_is_refused(market: Market, other: dict[str, Any]):
    assert problem(ask(market, last="3", **other)) == (400, "conflicting_parameters")


@pytest.mark.parametrize("limit", [1, 2, 10_000])
def test_a_page_has_at_most_its_limit(market: Market, limit: int):
    found = get(market, limit=str(limit))
    wanted = equity_bars(market, EQUITY_HOUR, EQUITY_HOUR + HOUR_NS)
    assert nested(found["bars"]) == wanted[:limit]
    assert (found["next_cursor"] is None) is (limit >= len(wanted))


def test_without_a_limit_a_page_has_a_thousand_rows(empty_market: Market):
    rows = [{"time_ns": EQUITY_HOUR + n, "price": 1.0, "volume": 1.0} for n in range(1_001)]
    empty_market.add("trades", "MANY", rows)
    found = get(
        empty_market, f"{TREE}/equities/MANY/trades", {"start": MINUTES["start"], "end": MINUTES["end"]}
    )
    assert (len(found["trades"]), found["next_cursor"] is None) == (1_000, False)
    assert found["total_estimate"] >= 1_001


@pytest.mark.parametrize("fields", ["close", "close,timestamp", "final,vwap,open,timestamp,trade_count"])
def test_fields_come_in_the_order_asked_for(market: Market, fields: str):
    names = fields.split(",")
    whole = get(market)["bars"]
    assert [list(bar.items()) for bar in get(market, fields=fields)["bars"]] == [
        [(name, bar[name]) for name in names] for bar in whole
    ]
    header = next(csv.reader(io.StringIO(ask(market, fields=fields, format="csv").content.decode())))
    assert header == names
    columnar = list(answer(ask(market, fields=fields, format="columnar")))
    wanted = ["timestamps" if name == "timestamp" else name for name in names]
    assert [name for name in columnar if name in wanted] == wanted


@pytest.mark.parametrize("name", ["json", "columnar", "ndjson"])
@pytest.mark.parametrize(("form", "unit"), [("rfc3339", None), ("ms", 10**6), ("ns", 1), (None, 10**6)])
@pytest.mark.parametrize("path", [OHLCV, TICKS], ids=["bars", "ticks"])
def test_times_are_written_as_asked(market: Market, path: str, name: str, form: str | None, unit: int | None):
    query = MINUTES if path == OHLCV else {"start": MINUTES["start"], "end": MINUTES["end"]}
    shape = {"format": name, "fields": "timestamp"} | ({} if form is None else {"time": form})
    if form is None:
        unit = {"columnar": 10**6 if path == OHLCV else 1}.get(name)
    rows = market.rows["trades", EQUITY]
    window = (EQUITY_HOUR, EQUITY_HOUR + HOUR_NS)
    wanted = (
        [row["timestamp"] for row in equity_bars(market, *window)]
        if path == OHLCV
        else [row["time_ns"] for row in ticks(rows, Cut("tick"), *window)]
    )
    found = times_in(ask(market, path, query, **shape), name)
    if unit is None:
        assert [nanoseconds(text) for text in found] == wanted
    else:
        assert found == [time_ns // unit for time_ns in wanted]


def times_in(response: Any, name: str) -> list[Any]:
    if name == "ndjson":
        return [json.loads(line)["timestamp"] for line in response.content.splitlines()]
    document = answer(response)
    if name == "columnar":
        return list(document["timestamps"])
    return [row["timestamp"] for row in document.get("bars", document.get("trades"))]
