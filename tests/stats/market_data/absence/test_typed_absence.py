"""`coverage=1`: why there is no bar, of every interval, held against published hours and the raw trades."""

import random
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import orjson
import pytest

from store.instruments import CRYPTO, FUTURE, Instrument
from store.timestamps import format_timestamp
from tests.api_client import Api, answer, problem, trade
from tests.calendars.published import WEEKS, Week, day
from tests.chance import SOAK
from tests.installation import shared_installation
from tests.stats.market_data.absence.absent_week import Run, Traded, runs
from trades.stores import market_store

pytestmark = [pytest.mark.django_db, pytest.mark.system]
MINUTE = 60 * 10**9
HOUR = 60 * MINUTE
LENGTHS = {"5m": 5 * MINUTE, "1h": HOUR, "6h": 6 * HOUR}
HOURS = ("all", "regular", "extended")
INSTRUMENTS = {
    "XNYS": Instrument("GEN", exchange="XNYS"),
    "XCME": Instrument("GENZ4", instrument_class=FUTURE, exchange="XCME"),
}
PATHS = {"XNYS": "equities/GEN", "XCME": "futures/GENZ4"}
STOCKS = "/api/v1/market-data/equities/GEN/ohlcv"
DAY_BAR = {"symbol": "GEN", "open": 1, "high": 1, "low": 1, "close": 1, "volume": 1, "resolution": "1d"}


def run(start: str, end: str, reason: str) -> Run:
    return {"start": f"{start}Z", "end": f"{end}Z", "reason": reason}


def ingest(api: Api, *times: str | int, symbol: str = "GEN") -> None:
    texts = (time if isinstance(time, str) else format_timestamp(time) for time in times)
    response = api.ingest(*(trade(symbol=symbol, timestamp=text) for text in texts))
    assert response.status_code == 200, response.content


def absences(api: Api, path: str = STOCKS, **params: Any) -> list[Run]:
    """Of all hours unless others are asked for."""
    response = api.get(path, {"coverage": 1, "hours": "all", **params})
    assert response.status_code == 200, response.content
    found: list[Run] = answer(response)["absences"]
    return found


@pytest.fixture(scope="module", params=WEEKS if SOAK else WEEKS[::2], ids=str)
def traded(
    request, django_db_setup, django_db_blocker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Api, Traded]]:
    week: Week = request.param
    instrument = INSTRUMENTS[week.exchange]
    found = Traded(week, random.Random(week.name))
    path = tmp_path_factory.mktemp("traded") / "store"
    with shared_installation(django_db_blocker, path) as api:
        market_store().set_instrument(instrument)
        ingest(api, *found.times, symbol=instrument.symbol)
        yield api, found


def path_of(week: Week) -> str:
    return f"/api/v1/market-data/{PATHS[week.exchange]}/ohlcv"


def test_every_interval_without_a_bar_has_its_reason(traded):
    api, week = traded
    for resolution, hours in product(LENGTHS, HOURS):
        expected = week.intraday(LENGTHS[resolution], hours)
        edges = {
            "start": format_timestamp(expected[0].start_ns),
            "end": format_timestamp(expected[-1].end_ns),
        }
        found = absences(api, path_of(week.week), resolution=resolution, hours=hours, **edges)
        assert found == runs(expected), (resolution, hours)


def test_every_day_without_a_bar_has_its_reason(traded):
    api, week = traded
    for hours in HOURS:
        found = absences(api, path_of(week.week), hours=hours, **range_of(week.week))
        assert found == runs(week.daily(hours)), hours


def pages(api: Api, path: str, **params: Any) -> list[list[Run]]:
    """The absences of each page of a walk, in the order of the pages."""
    found: list[list[Run]] = []
    cursor: dict[str, str] = {}
    while True:
        page = answer(api.get(path, {"coverage": 1, "hours": "all", **params, **cursor}))
        found.append(page["absences"])
        if page["next_cursor"] is None:
            return found
        cursor = {"cursor": page["next_cursor"]}


@pytest.mark.parametrize("sort", ["asc", "desc"])
def test_the_pages_of_a_range_together_tell_of_each_absence_once(traded, sort):
    api, week = traded
    for resolution, limit in (("1h", 3), ("1d", 1)):
        params = {"resolution": resolution, **range_of(week.week)}
        whole = absences(api, path_of(week.week), **params)
        each = pages(api, path_of(week.week), **params, limit=limit, sort=sort)
        assert len(each) > (resolution == "1h")
        assert [one for page in (each if sort == "asc" else each[::-1]) for one in page] == whole


def test_the_page_before_another_tells_the_same_again(traded):
    api, week = traded
    params = {**range_of(week.week), "resolution": "1h", "limit": 2, "coverage": 1}
    first = answer(api.get(path_of(week.week), params))
    second = answer(api.get(path_of(week.week), {**params, "cursor": first["next_cursor"]}))
    again = answer(api.get(path_of(week.week), {**params, "cursor": second["prev_cursor"]}))
    assert again["absences"] == first["absences"]
    assert again["bars"] == first["bars"]


def range_of(week: Week) -> dict[str, str]:
    behind = str(np.datetime64(day(week.dates[-1].date) + 1, "D"))
    return {"start": week.dates[0].date, "end": behind}


@pytest.fixture
def stocks(api: Api) -> Api:
    """Trades of the Wednesday before Thanksgiving, of the short Friday, and of the Monday behind it."""
    market_store().set_instrument(INSTRUMENTS["XNYS"])
    ingest(
        api, "2024-11-27T15:00:00Z", "2024-11-27T15:02:00Z", "2024-11-29T15:00:00Z", "2024-12-02T15:00:00Z"
    )
    return api


RANGES = {
    "a holiday and a weekend": (
        {"start": "2024-11-27", "end": "2024-12-03"},
        [run("2024-11-28T05:00:00", "2024-11-29T05:00:00", "closed"),
         run("2024-11-30T05:00:00", "2024-12-02T05:00:00", "closed")],
    ),
    "a range that begins on a closed day": (
        {"start": "2024-11-30", "end": "2024-12-03"},
        [run("2024-11-30T05:00:00", "2024-12-02T05:00:00", "closed")],
    ),
    "a range that ends on a closed day": (
        {"start": "2024-11-29", "end": "2024-12-01"},
        [run("2024-11-30T05:00:00", "2024-12-01T05:00:00", "closed")],
    ),
    "a range of closed days alone": (
        {"start": "2024-11-30", "end": "2024-12-02"},
        [run("2024-11-30T05:00:00", "2024-12-02T05:00:00", "closed")],
    ),
    "before the first row": (
        {"start": "2024-11-26", "end": "2024-11-28"},
        [run("2024-11-26T05:00:00", "2024-11-27T05:00:00", "unlisted")],
    ),
    "days behind all rows": (
        {"start": "2024-12-02", "end": "2024-12-05"},
        [run("2024-12-03T05:00:00", "2024-12-05T05:00:00", "gap")],
    ),
    "a range that lies in the midst of closed days": (
        {"start": "2024-12-01", "end": "2024-12-02"},
        [run("2024-12-01T05:00:00", "2024-12-02T05:00:00", "closed")],
    ),
    "regular hours": (
        {"start": "2024-11-27", "end": "2024-12-05", "hours": "regular"},
        [run("2024-11-27T21:00:00", "2024-11-29T14:30:00", "closed"),
         run("2024-11-29T18:00:00", "2024-12-02T14:30:00", "closed"),
         run("2024-12-03T14:30:00", "2024-12-04T21:00:00", "gap")],
    ),
    "UTC days": (
        {"start": "2024-11-29", "end": "2024-12-03", "session": "utc"},
        [run("2024-11-30T00:00:00", "2024-12-02T00:00:00", "closed")],
    ),
    "an early close": (
        {"start": "2024-11-29T17:00Z", "end": "2024-11-30T00:00Z", "resolution": "1h", "hours": "regular"},
        [run("2024-11-29T17:00:00", "2024-11-29T18:00:00", "no_trades"),
         run("2024-11-29T18:00:00", "2024-11-30T00:00:00", "closed")],
    ),
    "an early close and what trades behind it": (
        {"start": "2024-11-29T17:00Z", "end": "2024-11-30T00:00Z", "resolution": "1h"},
        [run("2024-11-29T17:00:00", "2024-11-29T22:00:00", "no_trades"),
         run("2024-11-29T22:00:00", "2024-11-30T00:00:00", "closed")],
    ),
    "an evening that belongs to the date before the first row": (
        {"start": "2024-11-26T23:00Z", "end": "2024-11-27T11:00Z", "resolution": "1h"},
        [run("2024-11-26T23:00:00", "2024-11-27T01:00:00", "unlisted"),
         run("2024-11-27T01:00:00", "2024-11-27T09:00:00", "closed"),
         run("2024-11-27T09:00:00", "2024-11-27T11:00:00", "no_trades")],
    ),
    "hours behind all rows": (
        {"start": "2024-12-20T20:00Z", "end": "2024-12-20T22:00Z", "resolution": "1h"},
        [run("2024-12-20T20:00:00", "2024-12-20T22:00:00", "gap")],
    ),
    "minutes between trades": (
        {"start": "2024-11-27T15:00Z", "end": "2024-11-27T15:04Z", "resolution": "1m"},
        [run("2024-11-27T15:01:00", "2024-11-27T15:02:00", "no_trades"),
         run("2024-11-27T15:03:00", "2024-11-27T15:04:00", "no_trades")],
    ),
    "the newest rows": (
        {"last": 2, "end": "2024-11-29T22:00Z", "resolution": "1h"},
        [run("2024-11-27T16:00:00", "2024-11-28T01:00:00", "no_trades"),
         run("2024-11-28T01:00:00", "2024-11-29T09:00:00", "closed"),
         run("2024-11-29T09:00:00", "2024-11-29T15:00:00", "no_trades"),
         run("2024-11-29T16:00:00", "2024-11-29T22:00:00", "no_trades")],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("params", "expected"), RANGES.values(), ids=RANGES)
def test_a_range_tells_why_it_has_no_bars(stocks, params, expected):
    found = absences(stocks, **params)
    if "last" in params:
        found = found[-len(expected) :]
    assert found == expected


def test_days_are_of_regular_hours_unless_others_are_asked_for(stocks):
    query = {"start": "2024-11-27", "end": "2024-12-05", "coverage": 1}
    explicit = answer(stocks.get(STOCKS, {**query, "hours": "regular"}))
    assert answer(stocks.get(STOCKS, query)) == explicit


def test_what_is_still_to_come_is_not_yet(stocks, time_machine):
    time_machine.move_to("2024-12-02T15:30:00Z", tick=False)
    found = absences(stocks, start="2024-12-02T14:00Z", end="2024-12-02T18:00Z", resolution="30m")
    assert found == [
        run("2024-12-02T14:00:00", "2024-12-02T15:00:00", "no_trades"),
        run("2024-12-02T15:30:00", "2024-12-02T18:00:00", "not_yet"),
    ]
    days = absences(stocks, start="2024-12-02", end="2024-12-09")
    assert days == [run("2024-12-03T05:00:00", "2024-12-09T05:00:00", "not_yet")]


def test_without_an_exchange_nothing_is_ever_closed(api: Api):
    market_store().set_instrument(Instrument("BTC-USD", instrument_class=CRYPTO))
    ingest(api, "2024-11-30T15:00:00Z", "2024-12-02T15:00:00Z", symbol="BTC-USD")
    path = "/api/v1/market-data/crypto/BTC-USD/ohlcv"
    assert absences(api, path, start="2024-11-29", end="2024-12-03") == [
        run("2024-11-29T00:00:00", "2024-11-30T00:00:00", "unlisted"),
        run("2024-12-01T00:00:00", "2024-12-02T00:00:00", "gap"),
    ]
    hours = absences(api, path, start="2024-12-01T22:00Z", end="2024-12-02T02:00Z", resolution="1h")
    assert hours == [
        run("2024-12-01T22:00:00", "2024-12-02T00:00:00", "gap"),
        run("2024-12-02T00:00:00", "2024-12-02T02:00:00", "no_trades"),
    ]


def test_behind_its_expiry_a_future_is_unlisted(api: Api):
    future = Instrument("GENZ4", instrument_class=FUTURE, exchange="XCME", expiry="2024-12-20")
    market_store().set_instrument(future)
    ingest(api, "2024-12-19T15:00:00Z", symbol="GENZ4")
    path = "/api/v1/market-data/futures/GENZ4/ohlcv"
    assert absences(api, path, start="2024-12-19", end="2024-12-25") == [
        run("2024-12-19T23:00:00", "2024-12-20T23:00:00", "gap"),
        run("2024-12-20T23:00:00", "2024-12-22T23:00:00", "closed"),
        run("2024-12-22T23:00:00", "2024-12-24T23:00:00", "unlisted"),
    ]


def test_what_changes_a_reason_is_never_hidden_by_the_cache(stocks):
    hours = {"start": "2024-11-26T15:00Z", "end": "2024-11-26T17:00Z", "resolution": "1h"}
    days = {"start": "2024-12-03", "end": "2024-12-04"}
    assert [one["reason"] for one in absences(stocks, **hours)] == ["unlisted"]
    assert [one["reason"] for one in absences(stocks, **days)] == ["gap"]
    ingest(stocks, "2024-11-25T15:00:00Z")
    assert [one["reason"] for one in absences(stocks, **hours)] == ["gap"]
    # An evening in New York is the next day in UTC, and belongs to the same date.
    ingest(stocks, "2024-11-27T00:30:00Z", "2024-12-03T12:00:00Z")
    assert [one["reason"] for one in absences(stocks, **hours)] == ["no_trades"]
    assert absences(stocks, **days) == []


@pytest.mark.parametrize(("exchange", "start"), [("XNYS", "2024-10-28"), ("XCME", "2024-12-16")])
@pytest.mark.parametrize("days", [1, 2, 3])
def test_runs_of_days_follow_one_another(api: Api, exchange, start, days):
    """Over a change of the clocks, and over Christmas.

    There is nothing between the runs of ranges that follow one another, either.
    """
    market_store().set_instrument(INSTRUMENTS[exchange])
    symbol = INSTRUMENTS[exchange].symbol
    ingest(api, "2024-10-01T15:00:00Z", symbol=symbol)
    first = np.datetime64(start, "D")
    found = []
    for number in range(0, 18, days):
        edges = {"start": str(first + number), "end": str(first + number + days)}
        found += absences(api, f"/api/v1/market-data/{PATHS[exchange]}/ohlcv", **edges)
    assert {one["reason"] for one in found} == {"gap", "closed"}
    assert [one["end"] for one in found[:-1]] == [one["start"] for one in found[1:]]


def put(api: Api, *bars: dict[str, Any]) -> None:
    body = {"bars": [{**DAY_BAR, "high": 9, "volume": 50, **bar} for bar in bars]}
    assert api.call("POST", "/api/v1/bars/ingest", orjson.dumps(body)).status_code == 200


# What is stored beside trades of the day, and why there are no minutes at 15:01 and no half hours at 16:00.
COARSER = {
    "an hour": ([("1h", "2024-11-27T15:00Z", 250)], ("gap", "no_trades")),
    "an hour without volume": ([("1h", "2024-11-27T15:00Z", 0)], ("no_trades", "no_trades")),
    "an hour of which trades have all": ([("1h", "2024-11-27T15:00Z", 200)], ("no_trades", "no_trades")),
    "an hour with a minute of less volume": (
        [("1h", "2024-11-27T15:00Z", 250), ("1m", "2024-11-27T15:04Z", 49)], ("gap", "no_trades"),
    ),
    "an hour with a minute of the rest": (
        [("1h", "2024-11-27T15:00Z", 250), ("1m", "2024-11-27T15:04Z", 50)], ("no_trades", "no_trades"),
    ),
    "a day": ([("1d", "2024-11-27", 1_000)], ("gap", "gap")),
    "a day by its label": ([("1d", "2024-11-27T05:00Z", 1_000)], ("gap", "gap")),
    "the day before": ([("1d", "2024-11-26", 1_000)], ("no_trades", "no_trades")),
}  # fmt: skip


@pytest.mark.parametrize(("bars", "reasons"), COARSER.values(), ids=COARSER)
def test_what_a_coarser_bar_has_more_of_is_a_gap(stocks, bars, reasons):
    rows = [{"resolution": name, "timestamp": time, "volume": volume} for name, time, volume in bars]
    put(stocks, *rows)
    minutes = {"start": "2024-11-27T15:01Z", "end": "2024-11-27T15:02Z", "resolution": "1m"}
    halves = {"start": "2024-11-27T16:00Z", "end": "2024-11-27T16:30Z", "resolution": "30m"}
    found = tuple(absences(stocks, **params)[0]["reason"] for params in (minutes, halves))
    assert found == reasons


# Minutes of Thanksgiving's eve from 15:30 on: trades at 15:30 and 15:33; one bar of 3 minutes from others; reasons
# of the bars of 2 minutes that are missing, which 3 minutes do not nest in.
OVERLAPPING = {
    "more than the trade in it": ("15:33", 150, {"15:34": "gap", "15:36": "no_trades"}),
    "as much as the trade in it": ("15:33", 100, {"15:34": "no_trades", "15:36": "no_trades"}),
    "of an interval without a trade": ("15:36", 50, {"15:34": "no_trades", "15:36": "gap", "15:38": "gap"}),
}


@pytest.mark.parametrize(("start", "volume", "expected"), OVERLAPPING.values(), ids=OVERLAPPING)
def test_a_bar_that_overlaps_two_intervals_is_held_against_its_own_time(api: Api, start, volume, expected):
    market_store().set_instrument(INSTRUMENTS["XNYS"])
    symbol = INSTRUMENTS["XNYS"].symbol
    ingest(api, "2024-11-25T15:00:00Z", "2024-11-27T15:30:30Z", "2024-11-27T15:33:30Z", symbol=symbol)
    bar = {"symbol": symbol, "timestamp": f"2024-11-27T{start}Z", "resolution": "3m", "volume": volume}
    put(api, bar)
    path = f"/api/v1/market-data/{PATHS['XNYS']}/ohlcv"
    found = absences(api, path, start="2024-11-27T15:30Z", end="2024-11-27T15:40Z", resolution="2m")
    by_minute = {
        str(minute)[11:16]: one["reason"]
        for one in found
        for minute in np.arange(one["start"][:16], one["end"][:16], 2, dtype="datetime64[m]")
    }
    assert {minute: by_minute[minute] for minute in expected} == expected


def test_imported_bars_are_no_absence(stocks):
    body = {"bars": [{**DAY_BAR, "timestamp": f"2024-12-{date:02}"} for date in (4, 5)]}
    response = stocks.call("POST", "/api/v1/bars/ingest", orjson.dumps(body))
    assert response.status_code == 200, response.content
    assert absences(stocks, start="2024-12-02", end="2024-12-07") == [
        run("2024-12-03T05:00:00", "2024-12-04T05:00:00", "gap"),
        run("2024-12-06T05:00:00", "2024-12-07T05:00:00", "gap"),
    ]
    assert absences(stocks, start="2024-11-01", end="2024-11-02")[0]["reason"] == "unlisted"


def test_a_symbol_that_has_only_imported_days_is_listed_from_the_first_one_on(api: Api):
    market_store().set_instrument(INSTRUMENTS["XNYS"])
    api.call("POST", "/api/v1/bars/ingest", orjson.dumps({"bars": [{**DAY_BAR, "timestamp": "2024-12-04"}]}))
    assert absences(api, start="2024-12-02", end="2024-12-06") == [
        run("2024-12-02T05:00:00", "2024-12-04T05:00:00", "unlisted"),
        run("2024-12-05T05:00:00", "2024-12-06T05:00:00", "gap"),
    ]


def test_a_symbol_that_was_only_told_of_is_unlisted(api: Api):
    market_store().set_instrument(INSTRUMENTS["XNYS"])
    found = answer(api.get(STOCKS, {"coverage": 1, "start": "2024-12-02", "end": "2024-12-04"}))
    assert (found["bars"], found["reason"]) == ([], "no_data")
    assert found["absences"] == [run("2024-12-02T14:30:00", "2024-12-03T21:00:00", "unlisted")]


def test_as_of_before_everything_all_is_unlisted(stocks):
    found = absences(stocks, start="2024-11-27", end="2024-11-28", as_of="2024-12-31")
    # Nor was its exchange known by then: days were those of UTC.
    assert found == [run("2024-11-27T00:00:00", "2024-11-28T00:00:00", "unlisted")]


def test_without_being_asked_nothing_is_told_of(stocks):
    for query in ({}, {"coverage": 0}):
        found = answer(stocks.get(STOCKS, {"start": "2024-11-27", "end": "2024-11-28", **query}))
        assert "absences" not in found


def test_a_walk_keeps_its_snapshot_of_what_is_absent(stocks):
    params = {"start": "2024-11-27", "end": "2024-12-06", "limit": 1, "coverage": 1}
    first = answer(stocks.get(STOCKS, params))
    ingest(stocks, "2024-12-03T15:00:00Z", "2024-11-25T15:00:00Z")
    second = answer(stocks.get(STOCKS, {**params, "limit": 10, "cursor": first["next_cursor"]}))
    assert second["absences"][-1] == run("2024-12-03T14:30:00", "2024-12-05T21:00:00", "gap")


def test_the_newest_rows_may_lie_too_far_apart_to_tell_of_each_second(api: Api):
    ingest(api, "2019-12-02T15:00:00Z", "2024-12-02T15:00:00Z")
    response = api.get(STOCKS, {"last": 5, "resolution": "1s", "coverage": 1, "end": "2024-12-03"})
    assert problem(response) == (400, "range_too_large")
    assert len(absences(api, last=1, resolution="1s", end="2024-12-02T15:00:05Z")) == 1
