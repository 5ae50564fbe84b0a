"""The best bid and offer of all venues, as rows of `/quotes?exchange=best`."""

import threading
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pyarrow as pa
from cachetools import LRUCache

from stats.caching.keys import Irrelevant
from stats.market_data.intervals.bar_grid import BarGrid
from stats.market_data.intervals.knowledge_counts import RowKnowledge
from stats.market_data.intervals.windows import NOTHING, extent_of, grid_of, tick_range
from stats.market_data.plan import Plan, Range, SymbolQuery, reason_for_none
from stats.market_data.rows import Rows, WindowedSource
from stats.rendering.table import ColumnRole, OutColumn, Table
from stats.sessions.schedule import Hours
from stats.sessions.venue_hours import VenueHours, venue_hours_of
from store.arrays import Integers, Mask
from store.bars.best_quotes import NO_VENUE, BestQuotes, BestSide, VenueQuotes, best_quotes_of
from store.declarations import WORD_SEPARATOR
from store.lazy_imports import compute as pc
from store.log_views.log_view import ROWS_AT_ONCE, LogView
from store.protocol import ALL_TIME, Window
from store.quote_conditions import INELIGIBLE
from store.timestamps import SECOND_NS

BEST = "best"
DEFAULT_MAX_AGE_NS = 3_600 * SECOND_NS
# Windows have at least this many quotes, because many of them do not change the best.
_FEWEST_QUOTES = 1 << 14
# The venues' newest quotes are kept at multiples of this time, so that the next page need not search them again.
_BOOK_STEP_NS = 60 * SECOND_NS
MAX_BOOKS = 512
_books: LRUCache[Hashable, pa.Table] = LRUCache(MAX_BOOKS)
_lock = threading.Lock()


def best_columns(*, has_integer_volume: bool) -> tuple[OutColumn, ...]:
    """Return the columns of the best. has_integer_volume: whether sizes are integers."""
    return (
        OutColumn("timestamp", ColumnRole.TIME, is_integer=True),
        OutColumn("bid", ColumnRole.NUMBER),
        OutColumn("bid_size", ColumnRole.VOLUME, has_integer_volume),
        OutColumn("ask", ColumnRole.NUMBER),
        OutColumn("ask_size", ColumnRole.VOLUME, has_integer_volume),
        OutColumn("bid_exchange", ColumnRole.TEXT),
        OutColumn("ask_exchange", ColumnRole.TEXT),
        OutColumn("state", ColumnRole.TEXT),
    )


@dataclass(frozen=True, slots=True)
class BestQuoteReader:
    """Reads the changes of the best from the quotes of all venues.

    window: the part of the range that may have changes. max_age_ns: after this time a quote takes part no longer.
    venue_hours: when venues are open. hours_grid: a grid whose hours are the query's; None for all hours.
    """

    log: LogView
    window: Annotated[Window, Irrelevant("the plan's range, and where the log has rows, say it")]
    has_integer_volume: bool
    max_age_ns: int
    venue_hours: VenueHours
    hours_grid: BarGrid | None

    @property
    def columns(self) -> tuple[OutColumn, ...]:
        return best_columns(has_integer_volume=self.has_integer_volume)

    def floor(self, time_ns: int) -> int:
        return time_ns

    def part(self, window: Window, count: int, *, from_end: bool) -> Window:
        return self.log.take_window(window, max(count, _FEWEST_QUOTES), from_end=from_end)

    def rows(self, window: Window) -> Rows:
        best, venues = self._best(window)
        if self.hours_grid is not None:
            inside = np.flatnonzero(self.hours_grid.within_hours(best.time_ns))
            best = BestQuotes(best.time_ns[inside], best.bid[inside], best.ask[inside])
        values = {
            "timestamp": best.time_ns,
            "bid": best.bid.price,
            "bid_size": best.bid.size,
            "ask": best.ask.price,
            "ask_size": best.ask.size,
            "bid_exchange": _names(best.bid, venues),
            "ask_exchange": _names(best.ask, venues),
            "state": pa.array(_states(best.bid, best.ask)),
        }
        return Rows.of(Table.of(self.columns, values), best.time_ns)

    def total_estimate(self) -> int:
        # A quote changes the best at most twice: when it comes and when it ends.
        return 2 * self.log.row_bound(
            Window(max(self.window.start_ns - self.max_age_ns, ALL_TIME.start_ns), self.window.end_ns)
        )

    def _best(self, window: Window) -> tuple[BestQuotes, pa.Array]:
        """Return the changes of the best in a window, and the venues' names by number."""
        book_ns = max(window.start_ns // _BOOK_STEP_NS * _BOOK_STEP_NS, ALL_TIME.start_ns)
        book = _book_at(self.log, book_ns, self.max_age_ns)
        quotes = pa.concat_tables([book, _quotes(self.log, Window(book_ns, window.end_ns))])
        encoded = quotes.column("exchange").combine_chunks().dictionary_encode(null_encoding="encode")
        venue = encoded.indices.to_numpy()
        time_ns = quotes.column("timestamp").to_numpy()
        until_ns = np.minimum(
            time_ns + self.max_age_ns,
            self.venue_hours.closes_ns(encoded.dictionary.to_pylist(), venue, time_ns),
        )
        until_ns[~_is_eligible(quotes)] = ALL_TIME.start_ns
        sides = (quotes.column(name).to_numpy() for name in ("bid", "bid_size", "ask", "ask_size"))
        best = best_quotes_of(VenueQuotes(time_ns, venue, until_ns, *sides), window.start_ns, window.end_ns)
        return best, encoded.dictionary


def best_quotes_plan(symbol_query: SymbolQuery) -> Plan:
    """Make the plan of the best bid and offer.

    Raises `UnknownSymbol`, `NoExchange`, `UnknownExchange`, `RangeTooLarge`.
    """
    query, log = symbol_query.query, symbol_query.as_known(symbol_query.logs[0])
    if log.is_empty:
        symbol_query.check_known()
    grid, query_range = grid_of(symbol_query), tick_range(symbol_query)
    max_age_ns = query.max_age_ns or DEFAULT_MAX_AGE_NS
    window = _window(query_range, log, max_age_ns)
    needed = Window(max(window.start_ns - max_age_ns, ALL_TIME.start_ns), window.end_ns)
    log = symbol_query.read_point.limited_to(log, needed)
    window = _window(query_range, log, max_age_ns)
    hours_grid = None if query.hours is None or grid.hours is Hours.ALL else grid
    # All ranges that end after the last quote's end have the same answer, so their plans have the same end.
    end_ns = query_range.end_ns if window is NOTHING else window.end_ns
    next_second_ns = (symbol_query.now_ns // SECOND_NS + 1) * SECOND_NS
    is_open = query.end_ns is None and end_ns == query_range.end_ns < ALL_TIME.end_ns
    instrument = symbol_query.instrument
    return Plan(
        source=WindowedSource(
            BestQuoteReader(
                log, window, instrument.has_integer_volume, max_age_ns, venue_hours_of(instrument), hours_grid
            )
        ),
        range=Range(query_range.start_ns, end_ns),
        reason=reason_for_none(symbol_query),
        logs=(log,),
        validity=symbol_query.validity(next_second_ns if is_open else None, end_ns),
        knowledge=None if log.settle_ns is None else RowKnowledge(log),
    )


def _window(query_range: Range, log: LogView, max_age_ns: int) -> Window:
    """Return the part of a range in which the best may change; the last quotes end after the last rows."""
    extent = extent_of((log,))
    if extent is None:
        return NOTHING
    start_ns = max(extent.start_ns, query_range.start_ns or extent.start_ns)
    end_ns = min(query_range.end_ns, extent.end_ns + max_age_ns, ALL_TIME.end_ns)
    return Window(start_ns, end_ns) if start_ns < end_ns else NOTHING


def _book_at(log: LogView, time_ns: int, max_age_ns: int) -> pa.Table:
    """Return the newest quote of each venue before an instant, in order, if it is at most `max_age_ns` old.

    Older quotes may be there, too. The result is kept for the pages that follow.
    """
    key = (log, max_age_ns)
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


def _states(bid: BestSide, ask: BestSide) -> Integers:
    has_bid, has_ask = bid.venue != NO_VENUE, ask.venue != NO_VENUE
    return np.select(
        [~has_bid & ~has_ask, ~has_bid | ~has_ask, bid.price == ask.price, bid.price > ask.price],
        ["empty", "one_sided", "locked", "crossed"],
        "normal",
    )
