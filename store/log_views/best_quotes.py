"""The best bid and offer of all venues in a window of a log, with the venue of each side."""

from __future__ import annotations

import threading
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
from cachetools import LRUCache

from store import lazy_pyarrow as pa
from store.arrays import Mask
from store.bars.best_quotes import NO_VENUE, BestSide, VenueQuotes, best_quotes_of
from store.declarations import WORD_SEPARATOR, Column, ColumnKind, Dataset
from store.lazy_imports import compute as pc
from store.log_views.log_view import ROWS_AT_ONCE, LogView
from store.log_views.venue_hours import VenueHours
from store.protocol import ALL_TIME, Window
from store.quote_conditions import INELIGIBLE
from store.timestamps import DAY_NS, SECOND_NS

# The `exchange` that asks for the best bid and offer of all venues.
BEST = "best"
DEFAULT_MAX_AGE_NS = 3_600 * SECOND_NS
LONGEST_MAX_AGE_NS = DAY_NS
# The venues' newest quotes are kept at multiples of this time, so that the next page need not search them again.
_BOOK_STEP_NS = 60 * SECOND_NS
MAX_BOOKS = 512
_books: LRUCache[Hashable, pa.Table] = LRUCache(MAX_BOOKS)
_lock = threading.Lock()

# The changes of the best.
BEST_QUOTES = Dataset(
    name="best_quotes",
    row_name="quote",
    columns=(
        Column("timestamp", ColumnKind.TIME, required=True, help="When the best changed."),
        Column("bid", ColumnKind.NUMBER, help="The highest bid of all venues."),
        Column("bid_size", ColumnKind.NUMBER, help="Its size."),
        Column("ask", ColumnKind.NUMBER, help="The lowest ask of all venues."),
        Column("ask_size", ColumnKind.NUMBER, help="Its size."),
        Column("bid_exchange", ColumnKind.TEXT, help="The venue of the bid."),
        Column("ask_exchange", ColumnKind.TEXT, help="The venue of the ask."),
        Column(
            "state",
            ColumnKind.TEXT,
            required=True,
            help="How the sides stand to each other.",
            choices=("normal", "locked", "crossed", "one_sided", "empty"),
        ),
    ),
)


def window_of_changes(log: LogView, window: Window, max_age_ns: int) -> Window:
    """Return the part of a window in which the best may change; the last quotes end after the last rows."""
    dates = log.snapshot.extent(ALL_TIME)
    if dates is None:
        return Window(window.start_ns, window.start_ns)
    start_ns = max(window.start_ns, dates[0] * DAY_NS)
    end_ns = min(window.end_ns, (dates[1] + 1) * DAY_NS + max_age_ns, ALL_TIME.end_ns)
    return Window(start_ns, max(start_ns, end_ns))


def best_quote_rows(log: LogView, window: Window, max_age_ns: int, venue_hours: VenueHours) -> pa.Table:
    """Return the changes of the best in a window, as rows of `BEST_QUOTES`; an absent side is NaN or null.

    max_age_ns: after this time a quote takes part no longer.
    """
    book_ns = max(window.start_ns // _BOOK_STEP_NS * _BOOK_STEP_NS, ALL_TIME.start_ns)
    book = _book_at(log, book_ns, max_age_ns)
    quotes = pa.concat_tables([book, _quotes(log, Window(book_ns, window.end_ns))])
    encoded = quotes.column("exchange").combine_chunks().dictionary_encode(null_encoding="encode")
    venue, venues = encoded.indices.to_numpy(), encoded.dictionary
    time_ns = quotes.column("timestamp").to_numpy()
    closes_ns = venue_hours.closes_ns(venues.to_pylist(), venue, time_ns)
    until_ns = np.minimum(time_ns + max_age_ns, closes_ns)
    until_ns[~_is_eligible(quotes)] = ALL_TIME.start_ns
    sides = (quotes.column(name).to_numpy() for name in ("bid", "bid_size", "ask", "ask_size"))
    best = best_quotes_of(VenueQuotes(time_ns, venue, until_ns, *sides), window.start_ns, window.end_ns)
    bid, ask = best.bid, best.ask
    values = (best.time_ns, bid.price, bid.size, ask.price, ask.size)
    names = (_names(bid, venues), _names(ask, venues), pa.array(_states(bid, ask)))
    return pa.Table.from_arrays([*map(pa.array, values), *names], schema=BEST_QUOTES.schema)


@dataclass(frozen=True, slots=True)
class BestQuoteView:
    """The changes of the best of a log of quotes, read as the rows of a log. max_age_ns: see `best_quote_rows`."""

    log: LogView
    max_age_ns: int
    venue_hours: VenueHours

    @property
    def dataset(self) -> Dataset:
        """The declaration of the rows."""
        return BEST_QUOTES

    @property
    def is_empty(self) -> bool:
        """Whether there are no quotes."""
        return self.log.is_empty

    def rows(self, window: Window) -> pa.Table:
        """Return the changes in a window."""
        if window.start_ns >= window.end_ns:
            return BEST_QUOTES.schema.empty_table()
        return best_quote_rows(self.log, window, self.max_age_ns, self.venue_hours)

    def take_window(self, window: Window, rows: int, *, from_end: bool = False) -> Window:
        """Return a part of the window with about so many quotes, at its start or its end."""
        return self.log.take_window(window, rows, from_end=from_end)

    def row_bound(self, window: Window) -> int:
        """Return an upper bound of the number of quotes in a window."""
        return self.log.row_bound(window)


def _book_at(log: LogView, time_ns: int, max_age_ns: int) -> pa.Table:
    """Return the newest quote of each venue before an instant, in order, if it is at most `max_age_ns` old.

    Older quotes may be there, too. The result is kept for the pages that follow.
    """
    # Not the log's head: a commit that does not change these quotes must not lose their books.
    key = (log.store, log.dataset, log.symbol, log.key, max_age_ns)
    with _lock:
        book = _books.get((key, time_ns))
    if book is not None:
        return book
    from_ns, book = _earlier_book(key, time_ns, max(time_ns - max_age_ns, ALL_TIME.start_ns))
    window = Window(from_ns, time_ns)
    while window.start_ns < window.end_ns:
        part = log.take_window(window, ROWS_AT_ONCE)
        quotes = _quotes(log, part)
        book = _newest(quotes if book is None else pa.concat_tables([book, quotes]))
        window = Window(part.end_ns, time_ns)
    book = _quotes(log, window) if book is None else book
    with _lock:
        _books[key, time_ns] = book
    return book


def _earlier_book(key: Hashable, time_ns: int, oldest_ns: int) -> tuple[int, pa.Table | None]:
    """Return a kept book not older than `oldest_ns` and its instant; `oldest_ns` without a book if there is none."""
    with _lock:
        for earlier_ns in range(time_ns - _BOOK_STEP_NS, oldest_ns, -_BOOK_STEP_NS):
            book = _books.get((key, earlier_ns))
            if book is not None:
                return earlier_ns, book
    return oldest_ns, None


def _newest(quotes: pa.Table) -> pa.Table:
    """Return the last quote of each venue, in order."""
    venue = quotes.column("exchange").combine_chunks().dictionary_encode(null_encoding="encode").indices
    backwards = venue.to_numpy()[::-1]
    _, first = np.unique(backwards, return_index=True)
    return quotes.take(np.sort(len(backwards) - 1 - first)).combine_chunks()


def _quotes(log: LogView, window: Window) -> pa.Table:
    names = ["timestamp", "bid", "bid_size", "ask", "ask_size", "exchange", "conditions"]
    return log.rows(window).select(names)


def _is_eligible(quotes: pa.Table) -> Mask:
    """Return which quotes have no condition that keeps them out."""
    conditions = quotes.column("conditions")
    if conditions.null_count == len(conditions):
        return np.ones(len(conditions), dtype=bool)
    encoded = conditions.combine_chunks().dictionary_encode()
    texts = encoded.dictionary.to_pylist()
    is_eligible = np.array([INELIGIBLE.isdisjoint(text.split(WORD_SEPARATOR)) for text in texts] + [True])
    mask: Mask = is_eligible[pc.fill_null(encoded.indices, len(texts)).to_numpy()]
    return mask


def _names(side: BestSide, venues: pa.Array) -> pa.Array:
    return venues.take(pa.array(side.venue, mask=side.venue == NO_VENUE))


def _states(bid: BestSide, ask: BestSide) -> Any:
    has_bid, has_ask = bid.venue != NO_VENUE, ask.venue != NO_VENUE
    return np.select(
        [~has_bid & ~has_ask, ~has_bid | ~has_ask, bid.price == ask.price, bid.price > ask.price],
        ["empty", "one_sided", "locked", "crossed"],
        "normal",
    )
