"""Bars, and how they are made of aggregates."""

from dataclasses import dataclass, replace

import numpy as np

from store.arrays import EqualColumns, Floats, Integers
from store.bars.aggregates import Aggregates
from store.bars.credit import DatesOf, owners
from store.bars.exact_sums import merged_sums


@dataclass(frozen=True, slots=True)
class Bars(EqualColumns):
    """Equally long columns, ascending by time, one row per interval with a price.

    time_ns: start of the interval, UTC. volume, notional: exact sums of the sizes and of price * size,
    rounded once; NaN if unknown. trade_count: number of prints that count in the volume.
    """

    time_ns: Integers
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    trade_count: Integers
    notional: Floats

    def between(self, start_ns: int, end_ns: int) -> "Bars":
        """Return the bars that begin in `[start_ns, end_ns)`."""
        first, behind = self.time_ns.searchsorted((start_ns, end_ns)).tolist()
        return self[first:behind]


def bars_of(aggregates: Aggregates, dates_of: DatesOf | None = None) -> Bars:
    """Return the bars of all intervals with a price.

    Volume, notional and count of an interval without a price are credited to the nearest bar before it of the
    same trading date; without such a bar, or if `dates_of` is None, they are dropped. Merge aggregates first and
    credit once: credited bars cannot be merged. If every interval has a price, the bars share the aggregates'
    columns.
    """
    if aggregates.price_count.all():
        return _bars(aggregates, aggregates.volume, aggregates.trade_count, aggregates.notional)
    has_price = aggregates.price_count > 0
    priced = aggregates[np.flatnonzero(has_price)]
    return credited_bars(priced, aggregates, owners(aggregates.time, has_price, dates_of))


def credited_bars(priced: Aggregates, rows: Aggregates, owner: Integers) -> Bars:
    """Return bars whose volume, notional and count are summed over the rows that they own.

    priced: the aggregates with a price. rows: all aggregates. owner: for each row a number that identifies its
    bar; -1 if the row is left out. Each bar owns rows that follow one another.
    """
    starts = np.flatnonzero(np.diff(owner, prepend=-2))
    is_owned = owner[starts] >= 0
    return _bars(
        priced,
        merged_sums(rows.volume_sums, starts).total[is_owned],
        np.add.reduceat(rows.trade_count, starts)[is_owned],
        merged_sums(rows.notional_sums, starts).total[is_owned],
    )


def _bars(priced: Aggregates, volume: Floats, trade_count: Integers, notional: Floats) -> Bars:
    return priced_bars(
        Bars(priced.time, priced.open, priced.high, priced.low, priced.close, volume, trade_count, notional)
    )


def priced_bars(bars: Bars) -> Bars:
    """Return the bars with the higher and lower of open and close where no print sets high and low (NaN)."""
    if not np.isnan(bars.high).any():
        return bars
    high, low = (_edge(name, getattr(bars, name), bars.open, bars.close) for name in ("high", "low"))
    return replace(bars, high=high, low=low)


def _edge(name: str, edge: Floats, open_: Floats, close: Floats) -> Floats:
    """Return the column `high` or `low`, from open and close where no print sets it (NaN)."""
    is_unset = np.isnan(edge)
    choose = np.maximum if name == "high" else np.minimum
    return np.where(is_unset, choose(open_, close), edge) if is_unset.any() else edge
