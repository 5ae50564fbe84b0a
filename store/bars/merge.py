"""Aggregates made of aggregates: the same, bit by bit, as those made of all their prints at once."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from store.arrays import Integers
from store.bars.aggregate_columns import Aggregates, concatenated
from store.bars.exact_sums import merged_sums


def merge(parts: Sequence[Aggregates], interval_ns: int) -> Aggregates:
    """The aggregates of all the parts' prints in intervals of `interval_ns`.

    The parts come in any order, may overlap and may be of different intervals, each of which divides
    `interval_ns`. No print is in two of them. Raises `Unmergeable`.
    """
    joined = concatenated([part for part in parts if len(part)])
    return merged_by(joined, joined.time // interval_ns * interval_ns)


def merged_by(rows: Aggregates, time: Integers) -> Aggregates:
    """One row, at that time, for all the rows that are given one `time`, ascending; no print is in two rows.

    Raises `Unmergeable`.
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
    """One row for each run of rows of one time."""
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
    """The rows that hold each run's first and last print with a price; any row where there is none."""
    priced = np.flatnonzero(rows.price_count)
    ends = np.append(starts[1:], len(time))
    # Most often the prints of each row come before those of the next, and nothing needs sorting.
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
