"""Options are traded until an instant that follows from expiry, settlement and calendar."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from stats.options.expiry import YEAR_NS, Settlement, TradingDates, last_trade_ns, years_until

NEW_YORK = ZoneInfo("America/New_York")
AM, PM = Settlement.AM, Settlement.PM

# An exchange that is closed on Good Friday 2014-04-18 and closes early after Thanksgiving 2013.
HOLIDAYS = {date(2014, 4, 18)}
EARLY = {date(2013, 11, 29): 13}


def close_of(day: date) -> int | None:
    if day.weekday() >= 5 or day in HOLIDAYS:
        return None
    return nanoseconds(datetime(day.year, day.month, day.day, EARLY.get(day, 16), tzinfo=NEW_YORK))


def previous(day: date) -> date:
    day -= timedelta(days=1)
    return day if close_of(day) is not None else previous(day)


def nanoseconds(instant: datetime) -> int:
    return int(instant.timestamp()) * 10**9


EXCHANGE = TradingDates(close_of, previous)

CASES = {
    "a Saturday is Friday's close": (date(2014, 6, 21), PM, None, "2014-06-20T16:00-04:00"),
    "a Friday is its own": (date(2014, 6, 20), PM, None, "2014-06-20T16:00-04:00"),
    "in winter an hour later in UTC": (date(2015, 1, 17), PM, None, "2015-01-16T16:00-05:00"),
    "AM-settled on a Friday: Thursday's close": (date(2014, 6, 20), AM, None, "2014-06-19T16:00-04:00"),
    "AM-settled on a Saturday: Thursday's close": (date(2014, 6, 21), AM, None, "2014-06-19T16:00-04:00"),
    "a Saturday after a holiday": (date(2014, 4, 19), PM, EXCHANGE, "2014-04-17T16:00-04:00"),
    "a holiday": (date(2014, 4, 18), PM, EXCHANGE, "2014-04-17T16:00-04:00"),
    "AM-settled after a holiday": (date(2014, 4, 21), AM, EXCHANGE, "2014-04-17T16:00-04:00"),
    "AM-settled on a holiday": (date(2014, 4, 18), AM, EXCHANGE, "2014-04-16T16:00-04:00"),
    "an early close": (date(2013, 11, 29), PM, EXCHANGE, "2013-11-29T13:00-05:00"),
    "a Saturday after an early close": (date(2013, 11, 30), PM, EXCHANGE, "2013-11-29T13:00-05:00"),
}


@pytest.mark.parametrize(("expiry", "settlement", "dates", "last"), CASES.values(), ids=CASES)
def test_the_last_trade_is_at(expiry, settlement, dates, last):
    assert last_trade_ns(expiry, settlement, dates) == nanoseconds(datetime.fromisoformat(last))


def test_time_to_expiry_counts_seconds_and_ends_at_zero():
    last = nanoseconds(datetime(2014, 6, 20, 20, tzinfo=UTC))
    instants = np.array([last - YEAR_NS, last - 10**9, last, last + 10**9])
    years = years_until(np.full(4, last), instants)
    assert years.tolist() == pytest.approx([1.0, 1 / 31_536_000, 0.0, 0.0], rel=1e-15)


def test_a_clock_change_does_not_change_the_time_to_expiry():
    # Between two four-o'clocks over a change to summer time lie 24 h less one.
    before, after = (last_trade_ns(date(2014, 3, day)) for day in (7, 10))
    assert after - before == (3 * 24 - 1) * 3600 * 10**9
