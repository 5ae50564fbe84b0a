"""Quote bars: open, high, low, close of bid and ask. The open is the last quote before the interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan

import numpy as np

from store import lazy_pyarrow as pa
from store.arrays import Floats, Integers, Mask

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
class QuoteBars:
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

    def __len__(self) -> int:
        return len(self.time_ns)

    def __getitem__(self, part: slice | Mask) -> QuoteBars:
        return QuoteBars(*(getattr(self, name)[part] for name in self.__slots__))


def joined_quote_bars(parts: Sequence[QuoteBars]) -> QuoteBars:
    """Return the bars of the parts one after the other."""
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return QuoteBars(np.empty(0, np.int64), *(np.empty(0),) * 10, np.empty(0, np.int64))
    return QuoteBars(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in QuoteBars.__slots__)
    )


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
class QuoteSide:
    """One side's price and size at some instants or in some rows, NaN if unknown or absent."""

    price: Floats
    size: Floats

    def at(self, rows: Integers) -> QuoteSide:
        """Return the side at some of the instants."""
        return QuoteSide(self.price[rows], self.size[rows])


def quote_bars_of(rows: pa.Table, interval_ns: int, carried: KnownQuote = NO_QUOTE) -> QuoteBars:
    """Return bars of one venue's ordered quotes; intervals start at multiples of `interval_ns` since 1970.

    A row without a side does not change that side. carried: the quote known before the rows.
    """
    time = rows.column("timestamp").to_numpy()
    bucket = time // interval_ns
    starts = np.flatnonzero(np.diff(bucket, prepend=bucket[:1] - 1))
    bid, ask = sides_of(rows)
    before = (
        _before(bid, starts, carried.bid, carried.bid_size),
        _before(ask, starts, carried.ask, carried.ask_size),
    )
    return quote_bars_after(before, (bid, ask), starts, bucket[starts] * interval_ns)


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
    bid, ask = (_side_bars(*sides, starts) for sides in zip(rows, before, strict=True))
    return QuoteBars(time_ns, *bid, *ask, np.diff(starts, append=len(rows[0].price)))


def quote_after(rows: pa.Table, before: KnownQuote = NO_QUOTE) -> KnownQuote:
    """Return the quote known after ordered rows, given the one known before them."""
    bid, ask = sides_of(rows)
    end = np.array([len(bid.price)])
    bid = _before(bid, end, before.bid, before.bid_size)
    ask = _before(ask, end, before.ask, before.ask_size)
    return KnownQuote(*(float(each[0]) for each in (bid.price, bid.size, ask.price, ask.size)))


def sides_of(rows: pa.Table) -> tuple[QuoteSide, QuoteSide]:
    """Return bid and ask of stored quotes."""
    bid, bid_size, ask, ask_size = (
        rows.column(name).to_numpy().astype(np.float64, copy=False)
        for name in ("bid", "bid_size", "ask", "ask_size")
    )
    return QuoteSide(bid, bid_size), QuoteSide(ask, ask_size)


def _before(side: QuoteSide, starts: Integers, carried_price: float, carried_size: float) -> QuoteSide:
    """Return the side known before each of some rows. carried_*: what is known before the first row."""
    known = QuoteSide(np.append(carried_price, side.price), np.append(carried_size, side.size))
    return known.at(np.append(0, _last_quoted(side))[starts])


def _last_quoted(side: QuoteSide) -> Integers:
    """Return, for each row, one more than the index of the last row up to it that quotes the side; 0 for none."""
    last: Integers = np.maximum.accumulate(
        np.where(np.isnan(side.price), 0, np.arange(1, len(side.price) + 1))
    )
    return last


def _side_bars(
    side: QuoteSide, before: QuoteSide, starts: Integers
) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Return open, high, low, close and the closing size of each slice."""
    if not len(starts):
        return (np.empty(0),) * 5
    count = len(side.price)
    first = np.minimum.reduceat(np.where(np.isnan(side.price), count, np.arange(count)), starts)
    open_ = np.where(np.isnan(before.price), np.append(side.price, np.nan)[first], before.price)
    high = np.fmax(np.fmax.reduceat(side.price, starts), open_)
    low = np.fmin(np.fmin.reduceat(side.price, starts), open_)
    last = _last_quoted(side)[np.append(starts[1:], count) - 1] - 1
    close, size = (
        np.where(last >= starts, own[last], known)
        for own, known in ((side.price, before.price), (side.size, before.size))
    )
    return open_, high, low, close, size
