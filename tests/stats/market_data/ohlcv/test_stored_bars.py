"""Imported bars: they fill what trades leave open, never hide what trades made, and make longer bars."""

from typing import Any

import numpy as np
import orjson
import pytest

from store.instruments import FUTURE, Instrument
from tests.api_client import Api, answer, problem, trade
from tests.stats.market_data.builders import complete_until_now
from trades.stores import market_store

TREE = "/api/v1/market-data"
OHLCV = f"{TREE}/equities/AAPL/ohlcv"
Row = dict[str, Any]
HOUR = {"start": "2024-11-27T15:00:00Z", "end": "2024-11-27T16:00:00Z", "resolution": "1m"}
NOTHING_KNOWN = {"vwap": None, "trade_count": None}


def stored(resolution: str, time: str, low: float, high: float, volume: float = 10) -> Row:
    """A bar that opens at its low and closes at its high."""
    return {
        "resolution": resolution,
        "timestamp": f"{time}Z" if "T" in time else time,
        "open": low,
        "high": high,
        "low": low,
        "close": high,
        "volume": volume,
    }


def put(api: Api, *bars: Row, symbol: str = "AAPL") -> None:
    body = orjson.dumps({"bars": [{"symbol": symbol, **bar} for bar in bars]})
    response = api.call("POST", "/api/v1/bars/ingest", body)
    assert response.status_code == 200, response.content


def trades(api: Api, *prints: tuple[str, float, float], symbol: str = "AAPL") -> None:
    rows = (
        trade(symbol=symbol, timestamp=f"{time}Z", price=price, volume=volume)
        for time, price, volume in prints
    )
    response = api.ingest(*rows, query=complete_until_now())
    assert response.status_code == 200, response.content


def get(api: Api, path: str = OHLCV, **params: Any) -> list[Row]:
    response = api.get(path, params)
    assert response.status_code == 200, response.content
    found: list[Row] = answer(response)["bars"]
    return found


def brief(bars: list[Row]) -> list[tuple[Any, ...]]:
    """Of each bar the time or the date, open, high, low, close, volume, trade_count."""
    names = ("open", "high", "low", "close", "volume", "trade_count")
    return [(bar.get("date", bar["timestamp"][11:16]), *(bar[name] for name in names)) for bar in bars]


@pytest.fixture
def listed(api: Api) -> Api:
    market_store().set_instrument(Instrument("AAPL", exchange="XNYS"))
    return api


def test_intervals_without_trades_have_the_imported_bar(api: Api):
    put(api, *(stored("1m", f"2024-11-27T15:{minute:02}:00", 1, 2) for minute in range(4)))
    trades(api, ("2024-11-27T15:01:10", 7, 3), ("2024-11-27T15:01:20", 9, 1))
    found = get(api, **HOUR)
    assert brief(found) == [
        ("15:00", 1, 2, 1, 2, 10, None),
        ("15:01", 7, 9, 7, 9, 4, 2),
        ("15:02", 1, 2, 1, 2, 10, None),
        ("15:03", 1, 2, 1, 2, 10, None),
    ]
    assert [bar["vwap"] for bar in found] == [None, 7.5, None, None]
    assert {bar["final"] for bar in found} == {True}


@pytest.mark.parametrize("resolution", ["1m", "1h", "1d", "1w", "1M"])
def test_an_imported_bar_never_hides_one_made_from_trades(listed, resolution):
    begins = {"1m": "T15:00:00", "1h": "T15:00:00"}.get(resolution, "")
    day = {"1w": "2024-11-25", "1M": "2024-11-01"}.get(resolution, "2024-11-27")
    put(listed, stored(resolution, f"{day}{begins}", 1, 2))
    trades(listed, ("2024-11-27T15:00:10", 7, 3))
    (bar,) = get(listed, start="2024-11-27", end="2024-11-28", resolution=resolution)
    assert (bar["close"], bar["volume"], bar["trade_count"], bar["vwap"]) == (7, 3, 1, 7)


@pytest.mark.parametrize("adjustment", ["raw", "all"])
def test_an_imported_bar_changes_no_vwap_of_trades(api: Api, adjustment: str):
    """The number of 15 digits beside this quotient gives the same notional."""
    trades(api, ("2024-11-27T15:00:10", 97.27, 20), ("2024-11-27T15:00:20", 109.44, 20))
    before = get(api, **HOUR, adjustment=adjustment)
    assert before[0]["vwap"] == (97.27 * 20 + 109.44 * 20) / 40 != 103.355
    put(api, stored("1h", "2024-11-27T17:00:00", 1, 2))
    put(api, stored("1m", "2024-11-27T15:01:00", 1, 2, 40) | {"vwap": 103.355})
    found = get(api, **HOUR, adjustment=adjustment)
    assert found[:-1] == before
    assert found[-1]["vwap"] == 103.355


@pytest.mark.parametrize("policy", ["all", "us_equities"])
def test_an_imported_vwap_and_trade_count_come_out_as_they_went_in(api: Api, policy):
    market_store().set_instrument(Instrument("AAPL", bar_policy=policy))
    chance = np.random.default_rng(7)
    known: list[Row] = [
        {"vwap": round(chance.uniform(0.5, 500), 4), "trade_count": int(chance.integers(0, 10**6))}
        for _ in range(58)
    ]
    bars = [
        {**stored("1m", f"2024-11-27T15:{n:02}:00", 1, 2, float(chance.integers(1, 10**7))), **each}
        for n, each in enumerate([*known, {"vwap": 2.5}, {"trade_count": 7}])
    ]
    put(api, *bars)
    assert [(bar["vwap"], bar["trade_count"]) for bar in get(api, **HOUR)] == [
        (each.get("vwap"), each.get("trade_count")) for each in bars
    ]


def test_a_merged_bar_has_vwap_and_trade_count_if_all_its_parts_have(api: Api):
    known = {"vwap": 1.5, "trade_count": 4}
    put(
        api,
        stored("1m", "2024-11-27T15:00:00", 1, 2, 10) | known,
        stored("1m", "2024-11-27T15:01:00", 1, 2, 30) | {"vwap": 1.75, "trade_count": 6},
        stored("1m", "2024-11-27T15:05:00", 1, 2, 10) | known,
        stored("1m", "2024-11-27T15:06:00", 1, 2, 10) | {"vwap": 1.5},
        stored("1m", "2024-11-27T15:10:00", 1, 2, 10) | known,
        stored("1m", "2024-11-27T15:11:00", 1, 2, 10) | {"trade_count": 1},
        stored("1m", "2024-11-27T15:15:00", 1, 2, 10) | known,
        stored("1m", "2024-11-27T15:16:00", 1, 1, 0) | {"trade_count": 1},
    )
    found = [(bar["vwap"], bar["trade_count"]) for bar in get(api, **HOUR | {"resolution": "5m"})]
    assert found == [(1.6875, 10), (1.5, None), (None, 5), (1.5, 5)]


@pytest.mark.parametrize("order", ["trades first", "bars first"])
def test_which_of_them_came_first_makes_no_difference(api: Api, order):
    steps = [
        lambda: put(
            api, stored("1m", "2024-11-27T15:00:00", 1, 2), stored("1m", "2024-11-27T15:05:00", 3, 4)
        ),
        lambda: trades(api, ("2024-11-27T15:00:10", 7, 3)),
    ]
    for step in steps if order == "bars first" else steps[::-1]:
        step()
    assert brief(get(api, **HOUR)) == [("15:00", 7, 7, 7, 7, 3, 1), ("15:05", 3, 4, 3, 4, 10, None)]


@pytest.mark.parametrize(
    ("resolution", "expected"),
    [
        ("5m", [("15:00", 1, 9, 1, 5, 10), ("15:05", 5, 7, 5, 7, 20), ("16:00", 3, 4, 3, 4, 40)]),
        ("1h", [("15:00", 1, 9, 1, 7, 30), ("16:00", 3, 4, 3, 4, 40)]),
        ("12h", [("12:00", 1, 9, 1, 4, 70)]),
        ("1d", [("2024-11-27", 1, 9, 1, 4, 70)]),
        ("1w", [("2024-11-25", 1, 9, 1, 4, 70)]),
        ("1M", [("2024-11-01", 1, 9, 1, 4, 70)]),
    ],
)
def test_shorter_bars_make_longer_ones(listed, resolution, expected):
    put(
        listed,
        {**stored("1m", "2024-11-27T15:00:00", 1, 9, 8), "close": 8},
        {**stored("1m", "2024-11-27T15:01:00", 5, 8, 2), "open": 8, "close": 5},
        stored("1m", "2024-11-27T15:07:00", 5, 7, 20),
        stored("1m", "2024-11-27T16:00:00", 3, 4, 40),
    )
    found = get(listed, start="2024-11-27", end="2024-11-28", resolution=resolution)
    assert [row[:-1] for row in brief(found)] == expected
    assert [{name: bar[name] for name in NOTHING_KNOWN} for bar in found] == [NOTHING_KNOWN] * len(found)


def test_a_bar_of_the_length_asked_for_goes_before_what_shorter_ones_make(listed):
    put(
        listed,
        stored("1m", "2024-11-27T15:00:00", 1, 2, 5),
        stored("1h", "2024-11-27T15:00:00", 3, 4, 50),
        stored("1d", "2024-11-27", 5, 6, 500),
        stored("1m", "2024-11-29T15:00:00", 7, 8, 9),
    )
    days = {"start": "2024-11-25", "end": "2024-11-30"}
    assert [bar[-2] for bar in brief(get(listed, **days, resolution="1m"))] == [5, 9]
    assert [bar[-2] for bar in brief(get(listed, **days, resolution="1h"))] == [50, 9]
    assert [bar[-2] for bar in brief(get(listed, **days, resolution="2h"))] == [50, 9]
    assert [bar[-2] for bar in brief(get(listed, **days, resolution="1d"))] == [500, 9]


@pytest.mark.parametrize(("resolution", "volume"), [("1w", 100), ("1M", 1_100)])
def test_a_week_is_merged_of_the_longest_bars_in_it(listed, resolution, volume):
    put(
        listed,
        stored("1d", "2024-11-18", 1, 3, 1_000),
        stored("1d", "2024-11-25", 5, 6, 100),
        stored("1h", "2024-11-26T15:00:00", 4, 7, 10),
    )
    found = get(listed, start="2024-11-25", end="2024-11-30", resolution=resolution)
    assert [(bar["volume"], bar["close"], bar["high"]) for bar in found] == [(volume, 6, 6)]


@pytest.mark.parametrize(
    ("resolution", "volumes"),
    [("1h", [10] * 5 + [3] + [10] * 18), ("2h", [20, 20, 3] + [20] * 9), ("1d", [3]), ("1w", [3]), ("1M", [3])],
)  # fmt: skip
def test_an_interval_with_a_trade_has_no_stored_part(api: Api, resolution, volumes):
    hours = (f"2025-06-02T{hour:02}:00:00" for hour in range(24) if hour != 5)
    put(api, *(stored("1h", hour, 1, 2, 10) for hour in hours))
    trades(api, ("2025-06-02T05:00:00", 7, 3))
    found = get(api, start="2025-06-02", end="2025-06-03", resolution=resolution)
    assert [bar["volume"] for bar in found] == volumes


def test_of_lengths_that_do_not_divide_each_other_the_longest_counts(api: Api):
    put(api, stored("6h", "2024-11-27T00:00:00", 1, 2, 5), stored("4h", "2024-11-27T08:00:00", 1, 2, 50))
    (bar,) = get(api, start="2024-11-27T00:00Z", end="2024-11-27T12:00Z", resolution="12h")
    assert bar["volume"] == 5


ROUND_TRIPS = {"XNYS": "equities", "XCME": "futures", "XJPX": "equities"}


@pytest.mark.parametrize(
    ("exchange", "month", "hours"),
    [("XNYS", "2024-12", "all"), ("XCME", "2025-06", "regular"), ("XJPX", "2024-12", "extended")],
)
def test_what_is_answered_can_be_stored_again(api: Api, exchange, month, hours):
    kind = FUTURE if exchange == "XCME" else "equity"
    for symbol in ("FROM", "TO"):
        market_store().set_instrument(Instrument(symbol, instrument_class=kind, exchange=exchange))
    noons = [f"{month}-{day:02}T{15 if exchange != 'XJPX' else '02'}:00:00" for day in range(2, 14)]
    trades(api, *((noon, 5 + place, 1 + place) for place, noon in enumerate(noons)), symbol="FROM")
    ends = {"start": f"{month}-01", "end": f"{month}-28", "hours": hours}
    path = f"{TREE}/{ROUND_TRIPS[exchange]}/%s/ohlcv"
    for resolution in ("1d", "1w", "1M"):
        told = get(api, path % "FROM", **ends, resolution=resolution)
        assert told
        names = ("timestamp", "open", "high", "low", "close", "volume")
        put(api, *({"resolution": resolution, **{n: bar[n] for n in names}} for bar in told), symbol="TO")
        again = get(api, path % "TO", **ends, resolution=resolution)
        assert again == [{**bar, **NOTHING_KNOWN} for bar in told], resolution


@pytest.mark.parametrize("hours", ["all", "regular", "extended"])
@pytest.mark.parametrize("session", ["utc", "exchange"])
def test_pages_of_days_have_what_was_stored_of_closed_dates(listed, session, hours):
    put(listed, *(stored("1d", f"2024-11-{day}", 1, 2, day) for day in (27, 28, 29, 30)))
    put(listed, stored("1d", "2024-12-01", 1, 2, 1))
    ends = {"start": "2024-11-25", "end": "2024-12-07", "session": session, "hours": hours}
    whole = get(listed, **ends)
    found: list[Row] = []
    page = answer(listed.get(OHLCV, {**ends, "limit": 1}))
    while page["next_cursor"] is not None:
        found += page["bars"]
        page = answer(listed.get(OHLCV, {**ends, "limit": 1, "cursor": page["next_cursor"]}))
    assert found + page["bars"] == whole
    assert [(bar["date"], bar["volume"]) for bar in whole] == [
        ("2024-11-27", 27),
        ("2024-11-28", 28),
        ("2024-11-29", 29),
        ("2024-11-30", 30),
        ("2024-12-01", 1),
    ]


def test_where_trades_hide_all_that_was_imported_sums_stay_exact(listed):
    """As if nothing had been imported: no average of averages."""
    prints = [
        (f"2024-11-27T15:0{minute}:0{second}", 0.1 + second, 0.3)
        for minute in range(3)
        for second in range(3)
    ]
    trades(listed, *prints)
    day = {"start": "2024-11-27", "end": "2024-11-28"}
    before = get(listed, **day)
    put(listed, *(stored("1m", f"2024-11-27T15:0{minute}:00", 1, 2) for minute in range(3)))
    assert get(listed, **day) == before


@pytest.mark.parametrize(
    ("imported", "asked", "is_available"),
    [
        ("1m", "1s", False), ("2m", "15m", False), ("1w", "1M", False), ("1d", "1w", True),
    ],
)  # fmt: skip
def test_only_bars_whose_edges_meet_make_others(api: Api, imported, asked, is_available):
    put(api, stored(imported, "2024-07-01T00:00:00", 1, 2))
    asked_for = {"start": "2024-07-01T00:00Z", "end": "2024-07-01T06:00Z", "resolution": asked}
    response = api.get(OHLCV, asked_for)
    if is_available:
        assert [bar["close"] for bar in answer(response)["bars"]] == [2]
    else:
        assert problem(response) == (404, "resolution_unavailable")
        assert f"of {imported}; {asked} cannot" in answer(response)["message"]


SESSION_DAYS = {
    "XNYS": ("equities/AAPL", Instrument("AAPL", exchange="XNYS"), "2024-11-29", "2024-11-29T14:30:00Z"),
    "XCME": (
        "futures/ESZ4",
        Instrument("ESZ4", instrument_class=FUTURE, exchange="XCME"),
        "2024-12-02",
        "2024-12-01T23:00:00Z",
    ),
    "XTKS": ("equities/7203", Instrument("7203", exchange="XTKS"), "2024-12-02", "2024-12-02T00:00:00Z"),
}


@pytest.mark.parametrize(("path", "instrument", "date", "label"), SESSION_DAYS.values(), ids=SESSION_DAYS)
def test_a_daily_bar_is_that_of_the_trading_date(api: Api, path, instrument, date, label):
    market_store().set_instrument(instrument)
    put(api, stored("1d", date, 1, 2), symbol=instrument.symbol)
    ohlcv = f"{TREE}/{path}/ohlcv"
    behind = str(np.datetime64(date) + np.timedelta64(1, "D"))
    (bar,) = get(api, ohlcv, start=date, end=behind)
    assert (bar["timestamp"], bar["date"], bar["final"]) == (label, date, True)
    assert get(api, ohlcv, start="2024-11-25", end="2024-12-07") == [bar]
    (week,) = get(api, ohlcv, start=date, end=behind, resolution="1w")
    assert week["date"] == {"2024-11-29": "2024-11-25"}.get(date, "2024-12-02")


def test_a_daily_bar_of_a_closed_date_is_one_of_its_own(listed):
    put(listed, *(stored("1d", f"2024-11-{day}", 1, 2, day) for day in (27, 28, 29, 30)))
    found = get(listed, start="2024-11-25", end="2024-12-07")
    assert [(bar["date"], bar["volume"]) for bar in found] == [
        ("2024-11-27", 27),
        ("2024-11-28", 28),
        ("2024-11-29", 29),
        ("2024-11-30", 30),
    ]


def test_regular_hours_take_minutes_that_begin_in_the_session(listed):
    put(
        listed,
        *(stored("1m", f"2024-11-29T{time}:00", 1, 2, 1) for time in ("14:29", "14:30", "17:59", "18:00")),
    )
    (day,) = get(listed, start="2024-11-29", end="2024-11-30", hours="regular")
    assert day["volume"] == 2
    hours = get(listed, start="2024-11-29T14:00Z", end="2024-11-29T21:00Z", hours="regular", resolution="1h")
    assert [(bar["timestamp"][11:16], bar["volume"]) for bar in hours] == [("14:00", 1), ("17:00", 1)]


def test_pages_and_the_whole_are_the_same(listed):
    put(listed, *(stored("1m", f"2024-11-27T15:{minute:02}:00", 1, 2, minute) for minute in range(0, 60, 3)))
    trades(listed, *((f"2024-11-27T15:{minute:02}:30", 5, 100) for minute in range(0, 60, 7)))
    for resolution in ("1m", "5m"):
        query = {**HOUR, "resolution": resolution}
        found: list[Row] = []
        page = answer(listed.get(OHLCV, {**query, "limit": 4}))
        while page["next_cursor"] is not None:
            found += page["bars"]
            page = answer(listed.get(OHLCV, {**query, "limit": 4, "cursor": page["next_cursor"]}))
        found += page["bars"]
        whole = get(listed, **query)
        assert found == whole


def test_an_import_is_seen_at_once_and_told_in_the_header(api: Api):
    trades(api, ("2024-11-27T15:00:10", 7, 3))
    assert api.get(OHLCV, HOUR)["X-Commit"].startswith("trades=1-")
    put(api, stored("1m", "2024-11-27T15:05:00", 1, 2))
    response = api.get(OHLCV, HOUR)
    assert len(answer(response)["bars"]) == 2
    assert [commit.split("-")[0] for commit in response["X-Commit"].split(", ")] == ["trades=1", "bars=1"]


def test_as_of_before_the_import_its_bars_are_not_there(api: Api, time_machine):
    time_machine.move_to("2025-01-08T10:00:00Z", tick=False)
    trades(api, ("2024-11-27T15:00:10", 7, 3))
    time_machine.move_to("2025-01-08T12:00:00Z", tick=False)
    put(api, stored("1m", "2024-11-27T15:05:00", 1, 2))
    assert len(get(api, **HOUR)) == 2
    assert len(get(api, **HOUR, as_of="2025-01-08T11:00:00Z")) == 1
