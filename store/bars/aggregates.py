"""Mergeable aggregates of prints per interval. Rollups store them, and bars are made from them."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt

from store.arrays import EqualColumns, Floats, Integers
from store.bars.exact_sums import ExactSums, merged_sums
from store.protocol import Window

AFTER_ALL = 2**63 - 1
BEFORE_ALL = -(2**63)


@dataclass(frozen=True, slots=True)
class Aggregates(EqualColumns):
    """Equally long columns, one row per interval that has stored rows, ascending by time.

    time: start of the interval, nanoseconds UTC. first_*: the time, sequence and arrival of the print that sets
    the open; `AFTER_ALL` if none does. last_*: those of the print that sets the close; `BEFORE_ALL` if none does.
    open, high, low, close: NaN if no print sets them. volume, notional: exact sums rounded once; the columns
    `…_mid` and `…_low` hold the rounding error. price_count: number of prints that set open and close.
    trade_count: number of prints that count in the volume. newest: the newest commit that stored, cancelled or
    replaced a row of the interval.

    An interval whose rows are all cancelled stays as a row with counts of 0. The volume of an interval without a
    price is still in the interval's own row; `bars_of` credits it to a bar before it.
    """

    time: Integers
    first_time: Integers
    first_sequence: Integers
    first_arrival: Integers
    open: Floats
    last_time: Integers
    last_sequence: Integers
    last_arrival: Integers
    close: Floats
    high: Floats
    low: Floats
    volume: Floats
    volume_mid: Floats
    volume_low: Floats
    notional: Floats
    notional_mid: Floats
    notional_low: Floats
    price_count: Integers
    trade_count: Integers
    newest: Integers

    @property
    def volume_sums(self) -> ExactSums:
        """The exact volumes."""
        return ExactSums(self.volume, self.volume_mid, self.volume_low)

    @property
    def notional_sums(self) -> ExactSums:
        """The exact notionals."""
        return ExactSums(self.notional, self.notional_mid, self.notional_low)


COLUMNS: dict[str, npt.DTypeLike] = {
    field.name: np.int64 if field.type is Integers else np.float64 for field in fields(Aggregates)
}


NO_AGGREGATES = Aggregates.joined([])


def within(aggregates: Aggregates, window: Window) -> Aggregates:
    """Return the aggregates of the intervals that start in a window."""
    start, end = aggregates.time.searchsorted((window.start_ns, window.end_ns)).tolist()
    return aggregates if end - start == len(aggregates) else aggregates[start:end]


def frozen(aggregates: Aggregates) -> Aggregates:
    """Return the aggregates with read-only columns, so that they can be cached and shared."""
    for name in COLUMNS:
        getattr(aggregates, name).flags.writeable = False
    return aggregates


def merge(parts: Sequence[Aggregates], interval_ns: int) -> Aggregates:
    """Return the aggregates of all the parts' prints in intervals of `interval_ns`.

    The result equals, bit by bit, the aggregates made of all prints at once. Parts may overlap, come in any
    order, and have different interval lengths, which must divide `interval_ns`. No print may be in two parts.
    """
    joined = Aggregates.joined([part for part in parts if len(part)])
    return merged_by(joined, joined.time // interval_ns * interval_ns)


def merged_by(rows: Aggregates, time: Integers) -> Aggregates:
    """Return one row for all rows with the same `time`.

    time: the new time of each row. No print may be in two rows.
    """
    if (time[1:] < time[:-1]).any():
        order = np.argsort(time, kind="stable")
        rows, time = rows[order], time[order]
    changes = time[1:] != time[:-1]
    if changes.all():
        return rows if np.array_equal(time, rows.time) else replace(rows, time=time)
    starts = np.concatenate([[0], np.flatnonzero(changes) + 1])
    return _reduced(rows, time, starts)


def _reduced(rows: Aggregates, time: Integers, starts: Integers) -> Aggregates:
    """Return one row for each slice of rows."""
    first, last = _first_and_last(rows, time, starts)
    volume, notional = merged_sums(rows.volume_sums, starts), merged_sums(rows.notional_sums, starts)
    return Aggregates(
        time=time[starts],
        first_time=rows.first_time[first],
        first_sequence=rows.first_sequence[first],
        first_arrival=rows.first_arrival[first],
        open=rows.open[first],
        last_time=rows.last_time[last],
        last_sequence=rows.last_sequence[last],
        last_arrival=rows.last_arrival[last],
        close=rows.close[last],
        high=np.fmax.reduceat(rows.high, starts),
        low=np.fmin.reduceat(rows.low, starts),
        volume=volume.total,
        volume_mid=volume.middle,
        volume_low=volume.low,
        notional=notional.total,
        notional_mid=notional.middle,
        notional_low=notional.low,
        price_count=np.add.reduceat(rows.price_count, starts),
        trade_count=np.add.reduceat(rows.trade_count, starts),
        newest=np.maximum.reduceat(rows.newest, starts),
    )


def _first_and_last(rows: Aggregates, time: Integers, starts: Integers) -> tuple[Integers, Integers]:
    """Return the row indices of each slice's first and last print with a price; arbitrary rows if it has none."""
    priced = np.flatnonzero(rows.price_count)
    ends = np.append(starts[1:], len(time))
    # Usually each row's prints come before those of the next row: no sort is needed.
    if (rows.last_time[priced[:-1]] < rows.first_time[priced[1:]]).all():
        if len(priced) == len(rows):
            return starts, ends - 1
        first, behind = priced.searchsorted(starts), priced.searchsorted(ends)
        has_price = first < behind
        priced = np.append(priced, 0)
        return np.where(has_price, priced[first], starts), np.where(has_price, priced[behind - 1], starts)
    by_first = np.lexsort((rows.first_arrival, rows.first_sequence, rows.first_time, time))
    by_last = np.lexsort((rows.last_arrival, rows.last_sequence, rows.last_time, time))
    return by_first[starts], by_last[ends - 1]
