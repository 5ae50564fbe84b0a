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


@dataclass(frozen=True, slots=True)
class _Side:
    """One side's price and size in each row, NaN if absent. carried_*: price and size known before the first row."""

    price: Floats
    size: Floats
    carried_price: float
    carried_size: float


def quote_bars_of(rows: pa.Table, interval_ns: int, carried: KnownQuote = NO_QUOTE) -> QuoteBars:
    """Return bars of one venue's ordered quotes; intervals start at multiples of `interval_ns` since 1970.

    A row without a side does not change that side. carried: the quote known before the rows.
    """
    time = rows.column("timestamp").to_numpy()
    bucket = time // interval_ns
    starts = np.flatnonzero(np.diff(bucket, prepend=bucket[:1] - 1))
    bid, ask = _sides(rows, carried)
    return QuoteBars(
        bucket[starts] * interval_ns,
        *_side_bars(bid, starts),
        *_side_bars(ask, starts),
        np.diff(starts, append=len(time)),
    )


def quote_after(rows: pa.Table, before: KnownQuote = NO_QUOTE) -> KnownQuote:
    """Return the quote known after ordered rows, given the one known before them."""
    values: list[float] = []
    for side in _sides(rows, before):
        quoted = np.flatnonzero(~np.isnan(side.price))
        last = quoted[-1] if len(quoted) else None
        values += (
            (side.carried_price, side.carried_size)
            if last is None
            else (float(side.price[last]), float(side.size[last]))
        )
    return KnownQuote(*values)


def _sides(rows: pa.Table, carried: KnownQuote) -> tuple[_Side, _Side]:
    bid, bid_size, ask, ask_size = (
        rows.column(name).to_numpy().astype(np.float64, copy=False)
        for name in ("bid", "bid_size", "ask", "ask_size")
    )
    return _Side(bid, bid_size, carried.bid, carried.bid_size), _Side(
        ask, ask_size, carried.ask, carried.ask_size
    )


def _side_bars(side: _Side, starts: Integers) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Return open, high, low, close and the closing size of each slice."""
    if not len(starts):
        return (np.empty(0),) * 5
    quoted = ~np.isnan(side.price)
    # For each row, the index of the last row up to it that quotes this side; 0 is the carried quote, n + 1 is row n.
    last_quoted = np.maximum.accumulate(np.where(quoted, np.arange(1, len(quoted) + 1), 0))
    price, size = np.append(side.carried_price, side.price), np.append(side.carried_size, side.size)
    last = last_quoted[np.append(starts[1:], len(quoted)) - 1]
    open_ = price[np.append(0, last_quoted)[starts]]
    first_ever = int(np.argmax(quoted))
    if np.isnan(side.carried_price) and quoted[first_ever]:
        open_[np.searchsorted(starts, first_ever, side="right") - 1] = side.price[first_ever]
    high = np.fmax(np.fmax.reduceat(side.price, starts), open_)
    low = np.fmin(np.fmin.reduceat(side.price, starts), open_)
    return open_, high, low, price[last], size[last]
