"""Daily bars of the regular session, by a policy's daily table.

Condition words, not times, decide which prints belong to the session: auction prints, and prints that count
and are not marked as outside regular hours.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from store import lazy_pyarrow as pa
from store.arrays import Floats, Integers, Mask
from store.bar_policies import BarPolicy, DailyTable
from store.bars.aggregation import aggregate_prints, bars_of_prints
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


def session_bars_of(rows: pa.Table, policy: BarPolicy, *, commit: int | None = None) -> Bars:
    """Return one bar per UTC event date on which the regular session has a price.

    rows, commit: as in `prints_of`. Open: the largest opening print, else the session's first price. Close: the
    largest closing print, else the largest official close, else the last price. If several are equally large,
    the first counts. High and low cover the session's prices, open and close. Volume, notional and count cover
    the session's prints, each once. If the policy has no daily table, these are ordinary bars of UTC dates.
    """
    rows = with_encoded_conditions(present_rows(rows, commit))
    prints = prints_of(rows, policy, commit=commit)
    if policy.daily is None:
        return bars_of_prints(prints, DAY_NS)
    session = session_prints_of(rows, prints, policy.daily, commit=commit)
    bars = _bars_of_days(session.prints)
    open_ = _replaced(bars.time_ns, bars.open, prints, session.opening)
    close = _replaced(
        bars.time_ns,
        _replaced(bars.time_ns, bars.close, prints, session.official_close),
        prints,
        session.closing,
    )
    high, low = np.maximum.reduce([bars.high, open_, close]), np.minimum.reduce([bars.low, open_, close])
    return replace(bars, open=open_, high=high, low=low, close=close)


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


def _bars_of_days(prints: Prints) -> Bars:
    """Return bars of UTC dates. A date without a price is dropped with its volume."""
    days = aggregate_prints(prints, DAY_NS)
    return bars_of(days[days.price_count > 0])


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
