"""The best bid and offer of several venues, row by row.

Each side has the highest bid or the lowest ask of all venues. Among equal prices the larger size has priority, then
the earlier quote: price, size, time, as for the national best bid and offer of the tapes. The size is that of the venue
with priority, not the sum of all venues at the price.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from store.arrays import EqualColumns, Floats, Integers, Mask

# Half as long as int64, and so faster.
_Numbers: TypeAlias = npt.NDArray[np.int32]
NO_VENUE = -1
_LATEST_NS = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class VenueQuotes(EqualColumns):
    """Quotes of several venues in order: equally long columns.

    time_ns: ascending, nanoseconds UTC. venue: a number from 0. until_ns: the quote takes part before this instant,
    unless its venue sends another; not later than `time_ns` for a quote that never does. bid, bid_size, ask, ask_size:
    NaN if absent. A quote replaces both sides of its venue.
    """

    time_ns: Integers
    venue: Integers
    until_ns: Integers
    bid: Floats
    bid_size: Floats
    ask: Floats
    ask_size: Floats


@dataclass(frozen=True, slots=True)
class BestSide(EqualColumns):
    """One side of the best: its price, its size and the number of its venue; NaN and `NO_VENUE` if there is none."""

    price: Floats
    size: Floats
    venue: Integers

    def changes(self) -> Mask:
        """Return which rows differ from the row before. The first row differs if it has a price."""
        is_other_venue: Mask = self.venue != np.append(NO_VENUE, self.venue[:-1])
        return is_other_venue | _differs(self.price) | _differs(self.size)


@dataclass(frozen=True, slots=True)
class BestQuotes(EqualColumns):
    """Changes of the best, in order. time_ns: nanoseconds UTC."""

    time_ns: Integers
    bid: BestSide
    ask: BestSide


def best_quotes_of(quotes: VenueQuotes, start_ns: int, end_ns: int) -> BestQuotes:
    """Return the changes of the best in `[start_ns, end_ns)`: one row for each, of either side.

    quotes: all quotes in the window, and before it at least the last quote of each venue. Quotes that end at an instant
    end before new ones come: the best changes once when several end, and not before the first new quote.
    """
    events = _events_of(quotes)
    bid = _best_side(events, quotes, quotes.bid, quotes.bid_size, quotes.bid)
    ask = _best_side(events, quotes, quotes.ask, quotes.ask_size, -quotes.ask)
    if not events.is_whole.all():
        events, bid, ask = events[events.is_whole], bid[events.is_whole], ask[events.is_whole]
    changed = np.flatnonzero(bid.changes() | ask.changes())
    times = events.time_ns[changed]
    changed = changed[slice(*times.searchsorted((start_ns, end_ns)).tolist())]
    return BestQuotes(events.time_ns[changed], bid[changed], ask[changed])


@dataclass(frozen=True, slots=True)
class _Events(EqualColumns):
    """Quotes, and ends of quotes that no earlier quote of the venue replaced. row: the quote; -1 for an end.

    is_whole: false for an end that is followed by another event at the same instant.
    """

    time_ns: Integers
    venue: Integers
    row: _Numbers
    is_whole: Mask


def _events_of(quotes: VenueQuotes) -> _Events:
    """Return the events in order. At one instant, ends come before quotes."""
    rows = np.arange(len(quotes), dtype=np.int32)
    ends = np.flatnonzero((quotes.until_ns > quotes.time_ns) & (quotes.until_ns <= _next_ns(quotes)))
    if not len(ends):
        return _Events(quotes.time_ns, quotes.venue, rows, np.ones(len(quotes), dtype=bool))
    ends = ends[np.argsort(quotes.until_ns[ends], kind="stable")]
    end_ns = quotes.until_ns[ends]
    places = quotes.time_ns.searchsorted(end_ns, side="left")
    is_last = np.append(end_ns[1:] != end_ns[:-1], True) & (
        quotes.time_ns.searchsorted(end_ns, "right") == places
    )
    return _Events(
        np.insert(quotes.time_ns, places, end_ns),
        np.insert(quotes.venue, places, quotes.venue[ends]),
        np.insert(rows, places, -1),
        np.insert(np.ones(len(quotes), dtype=bool), places, is_last),
    )


def _next_ns(quotes: VenueQuotes) -> Integers:
    """Return the time of each quote's successor at its venue; the largest integer if there is none."""
    order = np.argsort(quotes.venue, kind="stable")
    time_ns, venue = quotes.time_ns[order], quotes.venue[order]
    is_same = venue[1:] == venue[:-1]
    next_ns = np.full(len(quotes), _LATEST_NS)
    next_ns[order[:-1][is_same]] = time_ns[1:][is_same]
    return next_ns


def _best_side(
    events: _Events, quotes: VenueQuotes, price: Floats, size: Floats, goodness: Floats
) -> BestSide:
    """Return the best of a side after each event. goodness: the price, or its negative if low prices are better."""
    takes_part = np.flatnonzero((quotes.until_ns > quotes.time_ns) & _is_quoted(price, size))
    # Reversed, so that of equal prices and sizes the later quote comes first and has the lower rank.
    backwards = takes_part[::-1]
    by_rank = backwards[np.lexsort((np.nan_to_num(size[backwards]), goodness[backwards]))]
    # Ranks from 1; 0 for a quote without this side, and, with index -1, for an end.
    rank = np.zeros(len(quotes) + 1, np.int32)
    rank[by_rank] = np.arange(1, len(by_rank) + 1)
    best = _highest(rank[events.row], events.venue)
    row = np.append(-1, by_rank)[best]
    return BestSide(
        np.append(price, np.nan)[row], np.append(size, np.nan)[row], np.append(quotes.venue, NO_VENUE)[row]
    )


def _is_quoted(price: Floats, size: Floats) -> Mask:
    """Return which sides are quotes. A size of zero is no quote, nor is a price of zero without a size."""
    is_quoted: Mask = ~np.isnan(price) & (size != 0) & ((price != 0) | (size > 0))
    return is_quoted


def _highest(rank: _Numbers, venue: Integers) -> _Numbers:
    """Return the highest of the venues' newest ranks after each event."""
    best = np.zeros(len(rank), np.int32)
    order = np.argsort(venue, kind="stable")
    edges = np.flatnonzero(np.diff(venue[order])) + 1
    for places in np.split(order, edges) if len(order) else ():
        standing = np.repeat(rank[places], np.diff(places, append=len(rank)))
        np.maximum(best[places[0] :], standing, out=best[places[0] :])
    return best


def _differs(values: Floats) -> Mask:
    """Return which values differ from the value before them; before the first is NaN. NaN equals NaN."""
    earlier = np.append(np.nan, values[:-1])
    differs: Mask = (values != earlier) & ~(np.isnan(values) & np.isnan(earlier))
    return differs
