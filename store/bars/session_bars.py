"""Daily bars of the regular session, by a policy's daily table.

Condition words, not times, decide which prints belong to the session: auction prints, and prints that count
and are not marked as outside regular hours.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from store import lazy_pyarrow as pa
from store.arrays import Floats, Integers, Mask
from store.bar_policies import AUCTION_WORDS, BarPolicy, DailyTable
from store.bars.aggregates import Aggregates
from store.bars.aggregation import aggregate_prints
from store.bars.bars import Bars, bars_of
from store.bars.prints import (
    Prints,
    has_condition,
    present_rows,
    prints_of,
    standing,
    with_encoded_conditions,
)
from store.timestamps import DAY_NS


def aggregate_rows(
    rows: pa.Table, interval_ns: int, policy: BarPolicy, *, commit: int | None = None
) -> Aggregates:
    """Return the aggregates of stored rows. rows, commit: as in `prints_of`.

    policy: if it is of sessions, `interval_ns` is a day, and the rows are all those of their event dates.
    """
    if policy.is_session:
        return _session_aggregates(rows, policy, commit)
    if policy.is_auction:
        rows = rows.filter(pa.array(has_condition(rows, *AUCTION_WORDS)))
    return aggregate_prints(prints_of(rows, policy, commit=commit), interval_ns)


def session_bars_of(rows: pa.Table, policy: BarPolicy) -> Bars:
    """Return one bar per UTC event date on which the regular session has a price. rows: as in `prints_of`."""
    return bars_of(aggregate_rows(rows, DAY_NS, policy.session))


def _session_aggregates(rows: pa.Table, policy: BarPolicy, commit: int | None) -> Aggregates:
    """Return one aggregate per UTC event date, with the prices of its bar. It cannot be merged with others of its date.

    Open: the largest opening print, else the session's first price. Close: the largest closing print, else the
    largest official close, else the last price. If several are equally large, the first counts. High and low cover the
    session's prices, open and close. Volume, notional and count cover the session's prints, each once.
    """
    assert policy.daily is not None  # noqa: S101 a policy of sessions has a daily table
    rows = with_encoded_conditions(present_rows(rows, commit))
    prints = prints_of(rows, policy, commit=commit)
    session = session_prints_of(rows, prints, policy.daily, commit=commit)
    days = aggregate_prints(session.prints, DAY_NS)
    open_ = _replaced(days.time, days.open, prints, session.opening)
    official = _replaced(days.time, days.close, prints, session.official_close)
    close = _replaced(days.time, official, prints, session.closing)
    high = np.where(np.isnan(days.high), np.fmax(days.open, days.close), days.high)
    low = np.where(np.isnan(days.low), np.fmin(days.open, days.close), days.low)
    return replace(
        days,
        open=open_,
        close=close,
        high=np.fmax.reduce([high, open_, close]),
        low=np.fmin.reduce([low, open_, close]),
    )


@dataclass(frozen=True, slots=True)
class SessionPrints:
    """The prints of regular sessions, and which of them are of the auctions or official closes."""

    prints: Prints
    opening: Mask
    closing: Mask
    official_close: Mask


def session_prints_of(
    rows: pa.Table, prints: Prints, daily: DailyTable, *, commit: int | None = None
) -> SessionPrints:
    """Return the prints of rows as the regular session counts them. rows, commit: as in `prints_of`."""
    trusted = standing(rows, commit) & ~has_condition(rows, daily.distrusted)
    opening, closing, official_close, outside = (
        has_condition(rows, word) & trusted
        for word in (daily.opening, daily.closing, daily.official_close, daily.outside)
    )
    auction = opening | closing
    counted = replace(
        prints,
        sets_open_close=auction | (prints.sets_open_close & ~outside),
        sets_high_low=auction | (prints.sets_high_low & ~outside),
        counts_volume=auction | (prints.counts_volume & ~outside),
    )
    return SessionPrints(counted, opening, closing, official_close)


def _replaced(days: Integers, prices: Floats, prints: Prints, chosen: Mask) -> Floats:
    """Return the days' prices; a day with chosen prints gets the price of the largest one."""
    rows = np.flatnonzero(chosen)
    date = prints.time[rows] // DAY_NS * DAY_NS
    order = np.lexsort((rows, -prints.volume[rows], date))
    dates, first = np.unique(date[order], return_index=True)
    index = np.searchsorted(dates, days)
    is_replaced = np.isin(days, dates)
    prices = prices.copy()
    prices[is_replaced] = prints.price[rows[order[first[index[is_replaced]]]]]
    return prices
