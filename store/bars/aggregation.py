"""Makes aggregates and bars of prints.

From rows to bars there are four steps: `prints.prints_of` (under a bar policy), `aggregate_prints`,
`aggregates.merge`, `bars.bars_of`. Volume of an interval without a price is credited to a bar
before it (see `store.bars.credit`). Aggregates keep it in its own interval, so that it is credited once, at the
requested resolution.
"""

from dataclasses import dataclass

import numpy as np

from store.arrays import Floats, Integers, Mask
from store.bars.aggregates import AFTER_ALL, BEFORE_ALL, NO_AGGREGATES, Aggregates
from store.bars.exact_sums import exact_sums
from store.bars.prints import Prints


def aggregate_prints(prints: Prints, interval_ns: int) -> Aggregates:
    """Aggregate ordered prints in intervals that start at multiples of `interval_ns` since 1970 UTC."""
    return aggregate_by(prints, prints.time // interval_ns * interval_ns)


def aggregate_by(prints: Prints, time: Integers) -> Aggregates:
    """Aggregate the prints with the same `time`, which must be ordered. time: in any order."""
    if not len(prints):
        return NO_AGGREGATES
    if (time[1:] < time[:-1]).any():
        order = np.argsort(time, kind="stable")
        prints, time = prints[order], time[order]
    is_start = np.append(True, time[1:] != time[:-1])
    return aggregate_slices(prints, time, np.flatnonzero(is_start))


def aggregate_slices(prints: Prints, time: Integers, starts: Integers) -> Aggregates:
    """Aggregate slices of prints, each of which is ordered and not empty. time: of each print's slice."""
    edges = _edges(prints.sets_open_close, starts)
    first, last = edges.first, edges.last
    prices, size = prints.price, prints.volume
    if not prints.sets_high_low.all():
        prices = np.where(prints.sets_high_low, prices, np.nan)
    if not prints.counts_volume.all():
        size = np.where(prints.counts_volume, size, 0.0)
    volume, notional = exact_sums(size, starts), exact_sums(prints.price * size, starts)
    return Aggregates(
        time=time[starts],
        first_time=edges.integers(prints.time[first], AFTER_ALL),
        first_sequence=edges.integers(prints.sequence[first], AFTER_ALL),
        first_arrival=edges.integers(prints.arrival[first], AFTER_ALL),
        open=edges.prices(prints.price[first]),
        last_time=edges.integers(prints.time[last], BEFORE_ALL),
        last_sequence=edges.integers(prints.sequence[last], BEFORE_ALL),
        last_arrival=edges.integers(prints.arrival[last], BEFORE_ALL),
        close=edges.prices(prints.price[last]),
        high=np.fmax.reduceat(prices, starts),
        low=np.fmin.reduceat(prices, starts),
        volume=volume.total,
        volume_mid=volume.middle,
        volume_low=volume.low,
        notional=notional.total,
        notional_mid=notional.middle,
        notional_low=notional.low,
        price_count=edges.count,
        trade_count=_counts(prints.counts_volume, starts),
        newest=np.maximum.reduceat(prints.newest, starts),
    )


@dataclass(frozen=True, slots=True)
class _Edges:
    """For each slice: how many rows the mask selects, and the first and last of their indices (arbitrary if none)."""

    count: Integers
    first: Integers
    last: Integers

    def integers(self, column: Integers, otherwise: int) -> Integers:
        return column if self.count.all() else np.where(self.count > 0, column, otherwise)

    def prices(self, column: Floats) -> Floats:
        return column if self.count.all() else np.where(self.count > 0, column, np.nan)


def _edges(mask: Mask, starts: Integers) -> _Edges:
    count = _counts(mask, starts)
    if mask.all():
        return _Edges(count, starts, starts + count - 1)
    rows = np.append(np.flatnonzero(mask), 0)
    behind = np.cumsum(count)
    return _Edges(count, rows[behind - count], rows[behind - 1])


def _counts(mask: Mask, starts: Integers) -> Integers:
    """Return how many rows of each slice the mask selects."""
    if mask.all():
        return np.diff(starts, append=len(mask))
    return np.add.reduceat(mask, starts, dtype=np.int64)
