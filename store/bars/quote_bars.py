"""Quote bars: open, high, low, close of bid and ask. The open is the last quote before the interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from store import lazy_pyarrow as pa
from store.arrays import EqualColumns, Floats, Integers


@dataclass(frozen=True, slots=True)
class QuoteBars(EqualColumns):
    """Equally long columns, ascending by time, one row per interval with a quote.

    time_ns: start of the interval, UTC. A side that was never quoted is NaN. bid_size, ask_size: the sizes
    at the close.
    """

    time_ns: Integers
    bid_open: Floats
    bid_high: Floats
    bid_low: Floats
    bid_close: Floats
    bid_size: Floats
    ask_open: Floats
    ask_high: Floats
    ask_low: Floats
    ask_close: Floats
    ask_size: Floats
    quote_count: Integers


def merged_quote_bars(bars: QuoteBars) -> QuoteBars:
    """Merge consecutive bars with the same label, such as the sessions of a week."""
    starts = np.flatnonzero(np.diff(bars.time_ns, prepend=bars.time_ns[:1] - 1))
    if len(starts) == len(bars):
        return bars
    ends = np.append(starts[1:], len(bars)) - 1
    sides = {
        f"{side}_{what}": merge(getattr(bars, f"{side}_{what}"))
        for side in ("bid", "ask")
        for what, merge in (
            ("open", lambda values: _first_known(values, starts)),
            ("high", lambda values: np.fmax.reduceat(values, starts)),
            ("low", lambda values: np.fmin.reduceat(values, starts)),
            ("close", lambda values: values[ends]),
            ("size", lambda values: values[ends]),
        )
    }
    return QuoteBars(
        time_ns=bars.time_ns[starts], quote_count=np.add.reduceat(bars.quote_count, starts), **sides
    )


def _first_known(values: Floats, starts: Integers) -> Floats:
    """Return the first value of each slice that is not NaN; NaN if there is none."""
    indices = np.where(np.isnan(values), len(values), np.arange(len(values)))
    return np.append(values, np.nan)[np.minimum.reduceat(indices, starts)]


@dataclass(frozen=True, slots=True)
class QuoteSide(EqualColumns):
    """One side's price and size at some instants or in some rows, NaN if unknown or absent."""

    price: Floats
    size: Floats


def quote_bars_of(
    rows: tuple[QuoteSide, QuoteSide],
    starts: Integers,
    time_ns: Integers,
    before: tuple[QuoteSide, QuoteSide],
) -> QuoteBars:
    """Return the bars of slices of one stream's ordered quotes. A row without a side does not change that side.

    rows: bid and ask of the quotes. starts: each slice's first row. time_ns: the bars' times. before: bid and ask known
    before each slice.
    """
    bid, ask = (_side_bars(side, known, starts) for side, known in zip(rows, before, strict=True))
    return QuoteBars(time_ns, *bid, *ask, np.diff(starts, append=len(rows[0])))


def sides_of(rows: pa.Table) -> tuple[QuoteSide, QuoteSide]:
    """Return bid and ask of stored quotes."""
    bid, bid_size, ask, ask_size = (
        rows.column(name).to_numpy().astype(np.float64, copy=False)
        for name in ("bid", "bid_size", "ask", "ask_size")
    )
    return QuoteSide(bid, bid_size), QuoteSide(ask, ask_size)


def _side_bars(
    side: QuoteSide, before: QuoteSide, starts: Integers
) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Return open, high, low, close and the closing size of each slice."""
    # The last row of each slice that quotes the side; -1 if none does.
    last = np.maximum.reduceat(np.where(np.isnan(side.price), -1, np.arange(len(side))), starts)
    # A side that was never quoted before opens at its first quote.
    open_ = np.where(np.isnan(before.price), _first_known(side.price, starts), before.price)
    high = np.fmax(np.fmax.reduceat(side.price, starts), open_)
    low = np.fmin(np.fmin.reduceat(side.price, starts), open_)
    close, size = (
        np.where(last >= 0, own[last], known)
        for own, known in ((side.price, before.price), (side.size, before.size))
    )
    return open_, high, low, close, size
