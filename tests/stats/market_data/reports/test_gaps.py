"""`/gaps`: what is missing, with its figures, over every kind of calendar; and the same as `coverage=1` says."""

import itertools
import random
from typing import Any

import msgspec
import numpy as np
import pytest

from calendars.schedule import Hours
from calendars.trading_calendar import exchange_calendar
from stats.market_data.gaps import GapDocument, gaps_of
from stats.market_data.ohlcv.found_gaps import Gap
from store.instruments import CRYPTO, FUTURE, Instrument
from store.protocol import Window
from store.resolutions import Resolution
from store.timestamps import DAY_NS, MINUTE_NS, parse_timestamp
from tests.api_client import Api, answer, problem
from tests.stats.market_data.absence.quiet_market import (
    minutes_of,
    schedule_of,
    store_trades,
    text_of,
    trade_times,
)
from tests.store_settings import IS_OF_FILES
from trades.stores import market_store

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(not IS_OF_FILES, reason="months of trades are slow in the store in memory"),
    pytest.mark.system,
]
TREE = "/api/v1/market-data"
SCHEDULE = schedule_of(34)
MINUTES = minutes_of(SCHEDULE)
NOW_NS = parse_timestamp("2026-01-01")


def gaps(api: Api, path: str = "equities/GEN", **params: Any) -> list[dict[str, Any]]:
    response = api.get(f"{TREE}/{path}/gaps", params)
    assert response.status_code == 200, response.content
    found: list[dict[str, Any]] = answer(response)["gaps"]
    return found


def edges(found: list[dict[str, Any]]) -> list[tuple[str, str, int]]:
    """The edges of gaps, which must be as the schema says."""
    documents = msgspec.convert(found, list[GapDocument])
    return [(each.start, each.end, each.expected_bars) for each in documents]


def closes(date: int) -> str:
    return text_of(int(SCHEDULE.close_ns[date]))


def opens(date: int) -> str:
    return text_of(int(SCHEDULE.open_ns[date]))


def stored(*empty_dates: int, rate: float = 20.0) -> None:
    """Trades on all dates of the schedule but these; of the last one half an hour is missing from 10:20 on."""
    times = trade_times(np.random.default_rng(3), MINUTES, rate)
    for date in empty_dates:
        times = times[(times < SCHEDULE.start_ns[date]) | (times >= SCHEDULE.end_ns[date])]
    cut_ns = int(SCHEDULE.open_ns[-1]) + 50 * MINUTE_NS
    store_trades(times[(times < cut_ns) | (times >= cut_ns + 30 * MINUTE_NS)])


def test_gaps_at_the_start_inside_and_at_the_end_and_whole_dates_are_merged(api: Api):
    stored(10, 11, 12, 20)
    whole = [(opens(10), closes(12), 3), (opens(20), closes(20), 1)]
    assert edges(gaps(api, start="2024-01-02", end=closes(-1))) == whole
    minute = gaps(api, start="2024-01-02", end=closes(-1), resolution="1m")
    cut = (
        text_of(int(SCHEDULE.open_ns[-1]) + 50 * MINUTE_NS),
        text_of(int(SCHEDULE.open_ns[-1]) + 80 * MINUTE_NS),
    )
    assert edges(minute) == [(opens(10), closes(12), 3 * 390), (opens(20), closes(20), 390), (*cut, 30)]
    assert minute[0]["empty_dates"] == 3
    assert minute[2]["minutes"] == 30
    assert minute[2]["expected_trades"] > 14
    assert (minute[2]["longest_empty_minutes"], minute[2]["history_dates"]) == (0, 20)
    middle = text_of(int(SCHEDULE.open_ns[11]) + 60 * MINUTE_NS)
    assert edges(gaps(api, start=middle, end=closes(18), resolution="1m")) == [
        (middle, closes(12), 330 + 390)
    ]
    assert edges(gaps(api, start=opens(5), end=middle, resolution="1m")) == [(opens(10), middle, 390 + 60)]


def test_gaps_and_coverage_say_the_same(api: Api):
    stored(10, 25, rate=1.5)
    chance = random.Random(5)
    for resolution, hours, rule in itertools.product(
        ("1m", "5m", "1h", "1d"), ("regular", "all"), ("evidence", "calendar")
    ):
        first = chance.randrange(20, 30)
        params = {
            "start": opens(first),
            "end": closes(first + 3),
            "resolution": resolution,
            "hours": hours,
            "rule": rule,
        }
        page = answer(api.get(f"{TREE}/equities/GEN/ohlcv", {**params, "coverage": 1, "limit": 10_000}))
        absent = [each for each in page["absences"] if each["reason"] == "gap"]
        covered = [(parse_timestamp(each["start"]), parse_timestamp(each["end"])) for each in absent]
        found = gaps(api, **params)
        for start, end in covered:
            assert any(
                parse_timestamp(g["start"]) <= start and end <= parse_timestamp(g["end"]) for g in found
            )
        assert {g["start"] for g in found} <= {each["start"] for each in absent}
        assert {g["end"] for g in found} <= {each["end"] for each in absent}


def test_quiet_runs_are_listed_with_their_figures_if_asked_for(api: Api):
    stored(rate=0.3)
    (gap,) = [
        each
        for each in gaps(api, start=opens(-1), end=closes(-1), resolution="1m", quiet=1)
        if each["start"] <= text_of(int(SCHEDULE.open_ns[-1]) + 60 * MINUTE_NS) < each["end"]
    ]
    assert gap["reason"] == "no_trades"
    assert gap["history_dates"] == 20
    assert gap["longest_empty_minutes"] > 0
    young = gaps(api, start=opens(3), end=closes(3), resolution="1m", quiet=1)
    assert {each["history_dates"] for each in young} == {2}


@pytest.mark.parametrize(
    ("instrument", "path", "first", "cut"),
    [
        (Instrument("BTC-USD", instrument_class=CRYPTO), "crypto/BTC-USD", "2024-01-01", "2024-02-10T03:00:00Z"),
        # An evening session, an early close, and the hour before a break.
        (Instrument("ESH24", instrument_class=FUTURE, exchange="XCME"), "futures/ESH24", "2024-01-02", "2024-02-11T23:30:00Z"),
        (Instrument("ESH24", instrument_class=FUTURE, exchange="XCME"), "futures/ESH24", "2024-01-02", "2024-02-19T17:15:00Z"),
        (Instrument("7203", exchange="XTKS"), "equities/7203", "2024-01-04", "2024-02-13T02:05:00Z"),
    ],
    ids=["crypto", "evening", "early close", "lunch"],
)  # fmt: skip
def test_a_cut_is_found_over_every_calendar(
    api: Api, instrument: Instrument, path: str, first: str, cut: str
):
    first_ns, cut_ns = parse_timestamp(first), parse_timestamp(cut)
    if instrument.instrument_class == CRYPTO:
        minutes = np.arange(first_ns, cut_ns + DAY_NS, MINUTE_NS)
    else:
        calendar = exchange_calendar(instrument.exchange or "")
        segments = calendar.on_dates(first_ns // DAY_NS, cut_ns // DAY_NS + 1).segments(Hours.REGULAR)
        spans = zip(segments.start_ns.tolist(), segments.end_ns.tolist(), strict=True)
        minutes = np.concatenate([np.arange(start, end, MINUTE_NS) for start, end in spans])
    assert cut_ns in minutes
    times = trade_times(np.random.default_rng(2), minutes, 4.0)
    store_trades(times[(times < cut_ns) | (times >= cut_ns + 10 * MINUTE_NS)], symbol=instrument.symbol)
    market_store().set_instrument(instrument)
    found = gaps(
        api, path, start=text_of(cut_ns - 7 * DAY_NS), end=text_of(cut_ns + DAY_NS // 4), resolution="1m"
    )
    assert edges(found) == [(cut, text_of(cut_ns + 10 * MINUTE_NS), 10)]


def test_it_is_held_and_revalidated_and_changed_by_a_commit(api: Api):
    stored()
    query = {"start": "2024-02-01", "end": closes(-1), "resolution": "1m"}
    first, again = (api.get(f"{TREE}/equities/GEN/gaps", query) for _ in range(2))
    assert (first["ETag"], first["X-Commit"].split("-")[0]) == (again["ETag"], "trades=1")
    unchanged = api.get(f"{TREE}/equities/GEN/gaps", query, if_none_match=first["ETag"])
    assert unchanged.status_code == 304
    # A date of the history that it was judged by.
    store_trades(np.array([int(SCHEDULE.open_ns[5]) + 1]))
    assert api.get(f"{TREE}/equities/GEN/gaps", query)["ETag"] != first["ETag"]


def test_the_gaps_of_several_symbols_of_any_class(api: Api):
    stored(20)
    store_trades(MINUTES[:390] + 1, symbol="CALM", gap_rule="calendar")
    query = {"start": opens(20), "end": closes(20)}
    found = answer(api.get("/api/v1/gaps", {**query, "symbols": "GEN,CALM"}))
    assert found["symbols"] == ["GEN", "CALM"]
    assert [(each["symbol"], each["rule"], len(each["gaps"])) for each in found["gaps"]] == [
        ("GEN", "evidence", 1),
        ("CALM", "calendar", 1),
    ]
    (alone,) = found["gaps"][:1]
    assert alone == answer(api.get(f"{TREE}/equities/GEN/gaps", query))
    market_store().set_instrument(Instrument("OPT", instrument_class="option", underlying="GEN"))
    assert problem(api.get("/api/v1/gaps", {**query, "symbols": "OPT"})) == (404, "wrong_class")


@pytest.mark.parametrize(
    ("path", "params", "wanted"),
    [
        (f"{TREE}/equities/GEN/gaps", {"start": "2022-01-01", "resolution": "1m"}, (400, "range_too_large")),
        (f"{TREE}/equities/GEN/gaps", {"resolution": "1s"}, (400, "range_too_large")),
        (f"{TREE}/equities/GEN/gaps", {"rule": "guess"}, (400, "invalid_parameter")),
        (f"{TREE}/equities/GEN/gaps", {"resolution": "tick"}, (404, "resolution_unavailable")),
        (f"{TREE}/crypto/GEN/gaps", {}, (404, "wrong_class")),
        (f"{TREE}/equities/NONE/gaps", {}, (404, "unknown_symbol")),
        (f"{TREE}/equities/PLAIN/gaps", {"hours": "regular"}, (400, "no_exchange")),
        ("/api/v1/gaps", {}, (400, "missing_parameter")),
    ],
)
def test_wrong_queries_are_refused(api: Api, path: str, params: dict[str, str], wanted: tuple[int, str]):
    store_trades(MINUTES[:3])
    store_trades(MINUTES[:3], symbol="PLAIN", exchange=None)
    assert problem(api.get(path, params)) == wanted


@pytest.mark.parametrize(
    ("start", "end", "resolution"), [("2023-02-20", "2024-02-21", "23h"), ("2024-02-01", "2024-03-01", "29s")]
)
def test_the_longest_range_may_begin_within_an_interval(api: Api, start: str, end: str, resolution: str):
    store_trades(MINUTES[:3])
    found = api.get(f"{TREE}/equities/GEN/gaps", {"start": start, "end": end, "resolution": resolution})
    assert found.status_code == 200, found.content


def test_other_rooms_ask_without_http(api: Api):
    stored(20)
    window = Window(int(SCHEDULE.start_ns[0]), int(SCHEDULE.end_ns[-1]))
    found = gaps_of("GEN", window, Resolution.DAY, now_ns=NOW_NS)
    assert found == [Gap(int(SCHEDULE.open_ns[20]), int(SCHEDULE.close_ns[20]), 1, "gap", {"empty_dates": 1})]
    long = gaps_of(
        "GEN", Window(parse_timestamp("2010-01-01"), window.end_ns), Resolution.MINUTE, now_ns=NOW_NS
    )
    assert [each.expected_bars for each in long] == [390, 30]


def test_a_closed_day_with_trades_has_no_gaps(api: Api):
    saturday_ns = parse_timestamp("2024-01-06T15:00:00Z")
    store_trades(np.append(MINUTES[:390], saturday_ns + np.arange(3) * MINUTE_NS))
    assert gaps(api, start="2024-01-06", end="2024-01-07", resolution="1m", rule="evidence") == []
