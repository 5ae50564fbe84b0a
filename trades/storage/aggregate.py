"""Bars from rows that are in order, and sums that do not depend on any order."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Floats = npt.NDArray[np.float64]
Instants = npt.NDArray[np.int64]

_LARGEST_EXACT = 2.0**53


@dataclass(frozen=True, slots=True)
class Bars:
    """Equally long columns in order of time, one row per interval that has trades.

    time_ns: start of the interval, UTC. volume: the exact sum of the sizes, rounded once. trade_count: int64.
    """

    time_ns: Instants
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    trade_count: Instants

    def __len__(self) -> int:
        return len(self.time_ns)

    def __getitem__(self, part: slice) -> "Bars":
        return Bars(*(getattr(self, name)[part] for name in self.__slots__))


def aggregate_bars(trades: pa.Table, interval_ns: int) -> Bars:
    """Bars of trades that are ordered by (event time, sequence, arrival)."""
    time, price, volume = (trades.column(name).to_numpy() for name in ("timestamp", "price", "volume"))
    interval = time // interval_ns
    starts = (
        np.flatnonzero(np.diff(interval, prepend=interval[0] - 1)) if len(time) else np.empty(0, np.int64)
    )
    ends = np.append(starts[1:], len(time)).astype(np.int64)
    if not len(starts):
        empty = np.empty(0)
        return Bars(starts, empty, empty, empty, empty, empty, starts)
    return Bars(
        time_ns=interval[starts] * interval_ns,
        open=price[starts],
        high=np.maximum.reduceat(price, starts),
        low=np.minimum.reduceat(price, starts),
        close=price[ends - 1],
        volume=exact_sums(volume, starts, ends),
        trade_count=ends - starts,
    )


def exact_sums(values: Floats, starts: Instants, ends: Instants) -> Floats:
    """The sum of each slice `[start, end)`, as if in unlimited precision and rounded once: any order gives the same.

    Whole numbers whose running sums stay below 2^53 add up exactly in any order; the rest goes through
    Shewchuk's algorithm (`math.fsum`).
    """
    if not np.all(values == np.floor(values)) or float(np.sum(values)) >= _LARGEST_EXACT:
        return np.array([math.fsum(values[a:b]) for a, b in zip(starts, ends, strict=True)], dtype=np.float64)
    return np.add.reduceat(values, starts)
