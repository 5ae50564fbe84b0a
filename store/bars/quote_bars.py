"""Quote bars: open, high, low, close of bid and ask. The open is the last quote before the interval."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan

import numpy as np

from store import lazy_pyarrow as pa
from store.arrays import EqualColumns, Floats, Integers

NAN = float("nan")


@dataclass(frozen=True, slots=True)
class KnownQuote:
    """The last known bid and ask with their sizes; NaN if unknown."""

    bid: float = NAN
    bid_size: float = NAN
    ask: float = NAN
    ask_size: float = NAN

    @property
    def is_two_sided(self) -> bool:
        """Whether both sides are known."""
        return not (isnan(self.bid) or isnan(self.ask))

    def or_else(self, older: KnownQuote) -> KnownQuote:
        """Return this quote; a side that is unknown is taken from the older quote."""
        bid, ask = (older if isnan(self.bid) else self), (older if isnan(self.ask) else self)
        return KnownQuote(bid.bid, bid.bid_size, ask.ask, ask.ask_size)


NO_QUOTE = KnownQuote()


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


def quote_bars_of(rows: pa.Table, interval_ns: int, carried: KnownQuote = NO_QUOTE) -> QuoteBars:
    """Return bars of one venue's ordered quotes; intervals start at multiples of `interval_ns` since 1970.

    A row without a side does not change that side. carried: the quote known before the rows.
    """
    time = rows.column("timestamp").to_numpy()
    bucket = time // interval_ns
    starts = np.flatnonzero(np.diff(bucket, prepend=bucket[:1] - 1))
    sides = sides_of(rows)
    lasts = [_last_quoted(side, starts) for side in sides]
    before = [
        _before(side, last, price, size)
        for side, last, price, size in zip(
            sides, lasts, (carried.bid, carried.ask), (carried.bid_size, carried.ask_size), strict=True
        )
    ]
    bid, ask = map(_side_bars, sides, before, (starts, starts), lasts)
    return QuoteBars(bucket[starts] * interval_ns, *bid, *ask, np.diff(starts, append=len(time)))


def quote_bars_after(
    before: tuple[QuoteSide, QuoteSide],
    rows: tuple[QuoteSide, QuoteSide],
    starts: Integers,
    time_ns: Integers,
) -> QuoteBars:
    """Return the bars of slices of one venue's ordered quotes.

    before: bid and ask known before each slice. rows: bid and ask of the quotes. starts: each slice's first row.
    time_ns: the bars' times.
    """
    bid, ask = (
        _side_bars(side, known, starts, _last_quoted(side, starts))
        for side, known in zip(rows, before, strict=True)
    )
    return QuoteBars(time_ns, *bid, *ask, np.diff(starts, append=len(rows[0].price)))


def quote_after(rows: pa.Table, before: KnownQuote = NO_QUOTE) -> KnownQuote:
    """Return the quote known after ordered rows, given the one known before them."""
    values: list[float] = []
    for side, carried in zip(
        sides_of(rows), ((before.bid, before.bid_size), (before.ask, before.ask_size)), strict=True
    ):
        quoted = np.flatnonzero(~np.isnan(side.price))
        values += (float(side.price[quoted[-1]]), float(side.size[quoted[-1]])) if len(quoted) else carried
    return KnownQuote(*values)


def sides_of(rows: pa.Table) -> tuple[QuoteSide, QuoteSide]:
    """Return bid and ask of stored quotes."""
    bid, bid_size, ask, ask_size = (
        rows.column(name).to_numpy().astype(np.float64, copy=False)
        for name in ("bid", "bid_size", "ask", "ask_size")
    )
    return QuoteSide(bid, bid_size), QuoteSide(ask, ask_size)


def _last_quoted(side: QuoteSide, starts: Integers) -> Integers:
    """Return the index of the last row of each slice that quotes the side; -1 if none does."""
    if not len(starts):
        return starts
    rows = np.where(np.isnan(side.price), -1, np.arange(len(side.price)))
    last: Integers = np.maximum.reduceat(rows, starts)
    return last


def _before(side: QuoteSide, last: Integers, carried_price: float, carried_size: float) -> QuoteSide:
    """Return the side known before each slice. last: see `_last_quoted`. carried_*: known before the first slice."""
    earlier = np.maximum.accumulate(np.append(-1, last[:-1])) if len(last) else last
    return QuoteSide(
        np.where(earlier >= 0, side.price[earlier], carried_price),
        np.where(earlier >= 0, side.size[earlier], carried_size),
    )


def _side_bars(
    side: QuoteSide, before: QuoteSide, starts: Integers, last: Integers
) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Return open, high, low, close and the closing size of each slice. last: see `_last_quoted`."""
    if not len(starts):
        return (np.empty(0),) * 5
    open_ = before.price.copy()
    for index in np.flatnonzero(np.isnan(open_) & (last >= 0)).tolist():
        # The side was never quoted before.
        prices = side.price[starts[index] : last[index] + 1]
        open_[index] = prices[np.argmin(np.isnan(prices))]
    high = np.fmax(np.fmax.reduceat(side.price, starts), open_)
    low = np.fmin(np.fmin.reduceat(side.price, starts), open_)
    close, size = (
        np.where(last >= 0, own[last], known)
        for own, known in ((side.price, before.price), (side.size, before.size))
    )
    return open_, high, low, close, size
