"""Bars of trades that were ingested, per exchange session: weeks across a change of clocks, early closes and holidays.

The sessions are those that the exchanges published (see `tests.calendars.published`); what their bars
are is computed here from the raw rows.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from typing import Any

import numpy as np
import pytest

from store.instruments import FUTURE, Instrument
from store.timestamps import format_timestamp
from tests.api_client import Api, answer, trade
from tests.calendars.published import WEEKS, Published, Week, day, ns
from tests.installation import shared_installation
from tests.stats.market_data.builders import complete_until_now, without_proofs
from trades.stores import market_store

pytestmark = pytest.mark.django_db
PRINTS = 400
HOURS = ("all", "regular", "extended")
INSTRUMENTS = {
    "XNYS": Instrument("GEN", exchange="XNYS"),
    "XCME": Instrument("GENZ4", instrument_class=FUTURE, exchange="XCME"),
}
PATHS = {"XNYS": "equities", "XCME": "futures"}

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Print:
    time_ns: int
    price: float
    volume: int


def edges(date: Published) -> list[int]:
    """The instants around which something changes, each with the nanosecond before it.

    None behind the date's end.
    """
    instants = [
        ns(text) for text in (date.start, date.label, date.pre, date.opens, date.closes, date.post, date.end)
    ]
    first, last = instants[0], instants[-1]
    return [at for edge in instants for at in (edge - 1, edge) if first <= at < last]


def prints_of(week: Week) -> list[Print]:
    """Generated prints: at every edge of the published hours, and at random instants, also of nights and weekends."""
    chance = random.Random(week.name)
    times = [edge for date in week.dates for edge in edges(date)]
    times += [chance.randrange(ns(week.dates[0].start), ns(week.dates[-1].end)) for _ in range(PRINTS)]
    return [
        Print(at, chance.randrange(9_000, 11_000) / 100, chance.randrange(1, 500))
        for at in without_proofs(set(times), week.exchange)
    ]


def window(date: Published, hours: str) -> tuple[int, int, int]:
    """Start, end and label of a date's prints."""
    texts = {
        "all": (date.start, date.end, date.label),
        "regular": (date.opens, date.closes, date.opens),
        "extended": (date.pre, date.post, date.pre),
    }
    start, end, label = (ns(text) for text in texts[hours])
    return start, end, label


def values(prints: list[Print]) -> Row:
    volume = sum(one.volume for one in prints)
    notional = sum(Fraction(one.price * one.volume) for one in prints)
    return {
        "open": prints[0].price,
        "high": max(one.price for one in prints),
        "low": min(one.price for one in prints),
        "close": prints[-1].price,
        "volume": volume,
        "vwap": pytest.approx(float(notional / volume), rel=1e-12),
        "trade_count": len(prints),
        "final": True,
    }


def within(prints: list[Print], date: Published, hours: str) -> list[Print]:
    start, end, _ = window(date, hours)
    return [one for one in prints if start <= one.time_ns < end]


def expected_days(week: Week, prints: list[Print], hours: str) -> list[Row]:
    return [
        {
            "timestamp": format_timestamp(window(date, hours)[2]),
            "date": date.date,
            **values(within(prints, date, hours)),
        }
        for date in week.dates
    ]


def monday(date: Published) -> str:
    return str(np.datetime64(day(date.date) - (day(date.date) + 3) % 7, "D"))


def expected_weeks(week: Week, prints: list[Print], hours: str) -> list[Row]:
    """Without labels: the first trading date of a week may lie before the published ones."""
    return [
        {"date": date, **values([one for each in dates for one in within(prints, each, hours)])}
        for date, dates in groupby(week.dates, key=monday)
    ]


@pytest.fixture(scope="module", params=WEEKS, ids=str)
def traded(
    request, django_db_setup, django_db_blocker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Api, Week, list[Print]]]:
    """An instrument of the exchange, with the generated prints stored."""
    week: Week = request.param
    instrument, prints = INSTRUMENTS[week.exchange], prints_of(week)
    rows = [
        trade(
            timestamp=format_timestamp(one.time_ns),
            symbol=instrument.symbol,
            price=one.price,
            volume=one.volume,
        )
        for one in prints
    ]
    with shared_installation(django_db_blocker, tmp_path_factory.mktemp("traded") / "store") as api:
        market_store().set_instrument(instrument)
        assert api.ingest(*rows, query=complete_until_now()).status_code == 200
        yield api, week, prints


def bars(api: Api, week: Week, **params: str) -> list[Row]:
    """Bars from the first published date on, to the day after the last."""
    path = f"/api/v1/market-data/{PATHS[week.exchange]}/{INSTRUMENTS[week.exchange].symbol}/ohlcv"
    behind = str(np.datetime64(day(week.dates[-1].date) + 1, "D"))
    response = api.get(path, {"start": week.dates[0].date, "end": behind, **params})
    assert response.status_code == 200, response.content
    found: list[Row] = answer(response)["bars"]
    return found


@pytest.mark.parametrize("hours", HOURS)
def test_daily_bars_are_those_of_the_published_sessions(traded, hours):
    api, week, prints = traded
    found = bars(api, week, resolution="1d", session="exchange", hours=hours)
    assert found == expected_days(week, prints, hours)


def test_days_of_stocks_are_regular_sessions_and_those_of_futures_whole_trading_dates(traded):
    api, week, prints = traded
    hours = {"XNYS": "regular", "XCME": "all"}[week.exchange]
    assert bars(api, week) == expected_days(week, prints, hours)
    weeks = bars(api, week, resolution="1w")
    assert weeks == bars(api, week, resolution="1w", session="exchange", hours=hours)


def test_days_of_utc_have_all_hours(traded):
    api, week, _ = traded
    assert bars(api, week, session="utc") == bars(api, week, session="utc", hours="all")


@pytest.mark.parametrize("hours", HOURS)
def test_weekly_bars_are_those_of_the_trading_dates_from_monday_on(traded, hours):
    api, week, prints = traded
    found = bars(api, week, resolution="1w", session="exchange", hours=hours)
    for bar in found:
        del bar["timestamp"]
    assert found == expected_weeks(week, prints, hours)


def test_minutes_of_regular_hours_have_nothing_from_outside_of_the_sessions(traded):
    api, week, prints = traded
    start = format_timestamp(ns(week.dates[0].start))
    end = format_timestamp(ns(week.dates[-1].end))
    found = bars(api, week, resolution="1h", hours="regular", start=start, end=end, limit="10000")
    inside = [one for date in week.dates for one in within(prints, date, "regular")]
    hour = 3_600_000_000_000
    assert [{name: bar[name] for name in bar if name != "date"} for bar in found] == [
        {"timestamp": format_timestamp(label * hour), **values(list(group))}
        for label, group in groupby(inside, key=lambda one: one.time_ns // hour)
    ]


@pytest.mark.parametrize("knowledge", ["now", "then"])
@pytest.mark.parametrize("hours", HOURS)
def test_ticks_of_hours_are_the_instants_of_the_prints_inside(traded, hours, knowledge):
    api, week, prints = traded
    date = week.dates[0]
    for edge in (ns(date.opens), ns(date.closes)):
        start, end = edge - 1_800_000_000_000, edge + 1_800_000_000_000
        around = {"start": format_timestamp(start), "end": format_timestamp(end)}
        found = bars(api, week, resolution="tick", hours=hours, knowledge=knowledge, **around)
        assert [(bar["timestamp"], bar["volume"]) for bar in found] == [
            (format_timestamp(one.time_ns), one.volume)
            for one in within(prints, date, hours)
            if start <= one.time_ns < end
        ]
