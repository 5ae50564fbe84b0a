"""Which bar gets the volume of an interval without a price: the nearest bar before it of the same trading date.

An interval belongs to the trading date of its start. If no interval before it on that date has a price, its
volume is dropped.
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from store.arrays import Integers, Mask
from store.bar_policies import BarPolicy
from store.timestamps import DAY_NS, LATEST_NS, MINUTE_NS

# Returns the trading date of each instant, in days since 1970. Later instants never have earlier dates, and
# dates begin on whole minutes.
DatesOf: TypeAlias = Callable[[Integers], Integers]

_DAYS = np.arange(1, 17) * DAY_NS
_MINUTES_AHEAD = np.arange(1, DAY_NS // MINUTE_NS + 1) * MINUTE_NS


def utc_dates(time_ns: Integers) -> Integers:
    """Return the UTC date of each instant: the trading dates of an instrument without an exchange."""
    return time_ns // DAY_NS


def credit_dates(policy: BarPolicy, interval_ns: int, dates_of: DatesOf) -> DatesOf | None:
    """Return the dates that credited volume must not cross; None if no volume is credited.

    None if every print sets a price, and for intervals of a day or longer: each has a date of its own.
    """
    return None if policy.counts_every_print or interval_ns >= DAY_NS else dates_of


def owners(start_ns: Integers, is_priced: Mask, dates_of: DatesOf | None) -> Integers:
    """For each interval, return the index of the interval whose bar gets its volume; -1 if it is dropped.

    start_ns: starts of the intervals, ascending. An interval with a price keeps its volume. dates_of: see
    `credit_dates`. Indices ascend except for -1.
    """
    owner = np.where(is_priced, np.arange(len(is_priced)), -1)
    if dates_of is None or not len(owner):
        return owner
    nearest = np.maximum.accumulate(owner)
    dates = dates_of(start_ns)
    return np.where((nearest >= 0) & (dates == dates[nearest]), nearest, -1)


def credit_end_ns(end_ns: int, interval_ns: int, dates_of: DatesOf | None) -> int:
    """Return the end of the intervals whose volume may be credited to bars before `end_ns`.

    end_ns: the end of an interval.
    """
    if dates_of is None or end_ns > LATEST_NS:
        return end_ns
    date_end_ns = _date_end_ns(end_ns - interval_ns, dates_of)
    return max(end_ns, -(-date_end_ns // interval_ns) * interval_ns)


def _date_end_ns(instant_ns: int, dates_of: DatesOf) -> int:
    """Return the end of an instant's trading date."""
    date, start_ns = dates_of(np.array([instant_ns]))[0], instant_ns // MINUTE_NS * MINUTE_NS
    while start_ns <= LATEST_NS:
        days_ns = start_ns + _DAYS
        later = np.flatnonzero(dates_of(days_ns) > date)
        if len(later):
            minutes_ns = days_ns[later[0]] - DAY_NS + _MINUTES_AHEAD
            return int(minutes_ns[np.argmax(dates_of(minutes_ns) > date)])
        start_ns = int(days_ns[-1])
    return start_ns
