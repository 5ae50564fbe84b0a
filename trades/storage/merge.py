"""Aggregates made of aggregates: the same, bit by bit, as those made of all their prints at once."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from trades.arrays import Integers
from trades.storage.aggregates import Aggregates, concatenated
from trades.storage.exact_sums import merged_sums


def merge(parts: Sequence[Aggregates], interval_ns: int) -> Aggregates:
    """The aggregates of all the parts' prints in intervals of `interval_ns`.

    The parts come in any order, may overlap and may be of different intervals, each of which divides `interval_ns`. No print
    is in two of them. Raises `Unmergeable`.
    """
    joined = concatenated([part for part in parts if len(part)])
    bucket = joined.time // interval_ns
    if (bucket[1:] < bucket[:-1]).any():
        order = np.argsort(bucket, kind="stable")
        joined, bucket = joined[order], bucket[order]
    changes = bucket[1:] != bucket[:-1]
    if changes.all():
        time = bucket * interval_ns
        return joined if np.array_equal(time, joined.time) else replace(joined, time=time)
    starts = np.concatenate([[0], np.flatnonzero(changes) + 1])
    return _reduced(joined, bucket, starts, interval_ns)


def _reduced(rows: Aggregates, bucket: Integers, starts: Integers, interval_ns: int) -> Aggregates:
    """One row for each run of rows of one bucket."""
    first, last = _first_and_last(rows, bucket, starts)
    volume, notional = merged_sums(rows.volume_sums, starts), merged_sums(rows.notional_sums, starts)
    return Aggregates(
        time=bucket[starts] * interval_ns,
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


def _first_and_last(rows: Aggregates, bucket: Integers, starts: Integers) -> tuple[Integers, Integers]:
    """The row of each bucket that holds the first print with a price, and the last; any row where there is none."""
    ends = np.append(starts[1:], len(bucket))
    if _one_after_another(rows):
        return starts, ends - 1
    by_first = np.lexsort((rows.first_arrival, rows.first_sequence, rows.first_time, bucket))
    by_last = np.lexsort((rows.last_arrival, rows.last_sequence, rows.last_time, bucket))
    return by_first[starts], by_last[ends - 1]


def _one_after_another(rows: Aggregates) -> bool:
    """Whether every row has a price and its prints come before those of the next row, so that nothing needs sorting."""
    return bool(rows.price_count.all() and (rows.last_time[:-1] < rows.first_time[1:]).all())
