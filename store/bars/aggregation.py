"""Makes aggregates and bars of prints.

`prints.prints_of` reads rows under a bar policy, `aggregate_prints` aggregates them, `aggregates.merge`
merges aggregates, `bars.bars_of` makes the bars. Volume of an interval without a price is credited to the
bar before it. Aggregates keep it in its own interval, so that it is credited once, at the requested
resolution.
"""

from dataclasses import dataclass, replace

import numpy as np

from store.arrays import Floats, Integers, Mask
from store.bars.aggregates import AFTER_ALL, BEFORE_ALL, Aggregates, concatenated
from store.bars.bars import Bars, bars_of
from store.bars.exact_sums import ExactSums, Unmergeable, exact_sums, rounded_sums
from store.bars.prints import Prints


def bars_of_prints(prints: Prints, interval_ns: int) -> Bars:
    """Return the bars of ordered prints. Sums are exact however large and small the sizes are."""
    try:
        return bars_of(aggregate_prints(prints, interval_ns))
    except Unmergeable:
        return _bars_of_any_range(prints, interval_ns)


def aggregate_prints(prints: Prints, interval_ns: int, *, mergeable: bool = True) -> Aggregates:
    """Aggregate ordered prints in intervals that start at multiples of `interval_ns` since 1970 UTC.

    Raises `Unmergeable` if three doubles cannot hold a sum. With `mergeable=False` sums are rounded once
    instead, and the result must not be merged.
    """
    return aggregate_by(prints, prints.time // interval_ns * interval_ns, mergeable=mergeable)


def aggregate_by(prints: Prints, time: Integers, *, mergeable: bool = True) -> Aggregates:
    """Aggregate ordered prints, one row for all prints with the same `time`. See `aggregate_prints`."""
    if not len(prints):
        return concatenated([])
    starts = np.concatenate([[0], np.flatnonzero(time[1:] != time[:-1]) + 1])
    sums = exact_sums if mergeable else rounded_sums
    size, notional = counted(prints)
    return _aggregates(prints, time[starts], starts, sums(size, starts), sums(notional, starts))


def counted(prints: Prints) -> tuple[Floats, Floats]:
    """Return size and price * size of each print; 0 for prints that do not count in the volume."""
    size = prints.volume
    if not prints.counts_volume.all():
        size = np.where(prints.counts_volume, size, 0.0)
    return size, prints.price * size


def _aggregates(
    prints: Prints, time: Integers, starts: Integers, volume: ExactSums, notional: ExactSums
) -> Aggregates:
    edges = _edges(prints.sets_open_close, starts)
    first, last = edges.first, edges.last
    prices = prints.price
    if not prints.sets_high_low.all():
        prices = np.where(prints.sets_high_low, prices, np.nan)
    return Aggregates(
        time=time,
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
    """Per slice: how many rows the mask selects, and the first and last of their indices (0 if none)."""

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


def _bars_of_any_range(prints: Prints, interval_ns: int) -> Bars:
    """Return the same as `bars_of_prints` if sums do not fit into three doubles.

    Each sum is taken over all rows that are credited to the bar, and rounded once.
    """
    aggregates = aggregate_prints(prints, interval_ns, mergeable=False)
    nothing = np.zeros(len(aggregates))
    bars = bars_of(replace(aggregates, volume=nothing, notional=nothing))
    starts = np.searchsorted(prints.time, bars.time_ns)
    if not len(starts):
        return bars
    volume, notional = (
        rounded_sums(column[starts[0] :], starts - starts[0]).total for column in counted(prints)
    )
    return replace(bars, volume=volume, notional=notional)
