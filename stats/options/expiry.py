"""An option's last-trade instant, and the time to it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

import numpy as np

from store.arrays import Floats, Integers
from store.timestamps import SECOND_NS

YEAR_NS = 365 * 86_400 * SECOND_NS

_NEW_YORK = ZoneInfo("America/New_York")
_CLOSE = time(16)


class Settlement(StrEnum):
    """The price that settles an option: the opening (am) or the close (pm) of its expiry date."""

    AM = "am"
    PM = "pm"


@dataclass(frozen=True, slots=True)
class TradingDates:
    """An exchange's trading dates.

    close_of: the close (or early close) of a date's regular session, nanoseconds UTC; None if the date has no
    session. previous: the last date with a session before a date.
    """

    close_of: Callable[[date], int | None]
    previous: Callable[[date], date]


def last_trade_ns(
    expiry: date, settlement: Settlement = Settlement.PM, dates: TradingDates | None = None
) -> int:
    """Return the last-trade instant, nanoseconds UTC.

    PM-settled options trade until the close of the expiry date. AM-settled options settle at that date's opening, so
    they trade until the previous trading date's close. If the expiry date has no session (a Saturday, a holiday),
    the trading date before it is used. Without `dates` every weekday is a trading date that closes at 16:00 in New
    York.
    """
    dates = dates or WEEKDAYS
    last = expiry if dates.close_of(expiry) is not None else dates.previous(expiry)
    if settlement is Settlement.AM:
        last = dates.previous(last)
    close = dates.close_of(last)
    if close is None:
        raise ValueError(f"{last} was given as a trading date and has no close")
    return close


def years_until(last_trade: Integers, instants: Integers) -> Floats:
    """Return years (of 365 days of 86,400 seconds) from each instant to the last trade; 0 from the last trade on."""
    years: Floats = np.maximum(last_trade - instants, 0) / np.float64(YEAR_NS)
    return years


def _weekday_close(day: date) -> int | None:
    if day.weekday() >= 5:
        return None
    return int(datetime.combine(day, _CLOSE, _NEW_YORK).timestamp()) * SECOND_NS


def _weekday_before(day: date) -> date:
    # The weekday before a Monday is three days earlier, the one before a Sunday two days.
    return day - timedelta(days={0: 3, 6: 2}.get(day.weekday(), 1))


WEEKDAYS = TradingDates(_weekday_close, _weekday_before)
