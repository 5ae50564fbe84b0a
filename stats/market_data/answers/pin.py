"""Pins a query: makes the page that answers it, at fixed commits."""

import threading
from collections.abc import Hashable
from dataclasses import replace

from cachetools import LRUCache

from http_requests.exceptions import InvalidParameter
from listing.cursors import InvalidCursor
from stats.cursors import PageCursor
from stats.market_data.answers.pinned_page import PinnedPage
from stats.market_data.pinned_logs import ReadPoint
from stats.market_data.plan import MarketDataset, SymbolQuery, listed
from stats.market_data.query import MarketDataQuery
from trades.instruments.services import symbol_canonical

MAX_PAGES = 2_048
# The instant at which a page was pinned, and the page; by query, instruments and commits.
_pages: LRUCache[Hashable, tuple[int, PinnedPage]] = LRUCache(MAX_PAGES)
_lock = threading.Lock()


def page_pin(dataset: MarketDataset, query: MarketDataQuery, *, now_ns: int) -> PinnedPage:
    """Return the page that answers a query: at the newest commits or, with a cursor, at the cursor's commits.

    First pages are cached. They are reused until they expire or a log has a new commit. Raises
    `UnknownSymbol`, `WrongClass`, `ResyncRequired`, `InvalidCursor` and the errors of the dataset's plan.
    """
    symbols = _canonical(query.symbols)
    if symbols != query.symbols:
        query = replace(query, symbols=symbols)
    cursor = PageCursor.decode(query.cursor, query=query.subject) if query.cursor else None
    if cursor and len(cursor.commits) != len(symbols) * dataset.log_count:
        raise InvalidCursor("the cursor does not fit the query: start again at the first page")
    walk_now_ns = now_ns if cursor is None else cursor.walk_now_ns
    symbol_queries = [
        _symbol_query(dataset, query, index, cursor, walk_now_ns) for index in range(len(symbols))
    ]
    if query.streamed or cursor or not all(each.logs for each in symbol_queries):
        return _pinned(dataset, query, symbol_queries, cursor)
    key = query, tuple((each.instrument, each.logs) for each in symbol_queries)
    query_ns = symbol_queries[0].now_ns
    with _lock:
        pinned_ns, page = _pages.get(key, (None, None))
    if pinned_ns is None or page is None or not pinned_ns <= query_ns < (page.expires_ns or query_ns + 1):
        page = _pinned(dataset, query, symbol_queries, cursor)
        with _lock:
            _pages[key] = query_ns, page
    return page


def _symbol_query(
    dataset: MarketDataset,
    query: MarketDataQuery,
    symbol_index: int,
    cursor: PageCursor | None,
    walk_now_ns: int,
) -> SymbolQuery:
    """Return the query for one symbol, with its logs if the dataset declares them."""
    symbol, count = query.symbols[symbol_index], dataset.log_count
    read_point = ReadPoint(query.as_of_ns, None if cursor is None else cursor.commits[symbol_index * count :])
    declared = dataset.declared_logs(query) or ()
    logs = tuple(read_point.log(each, symbol, number) for number, each in enumerate(declared))
    as_known_ns = walk_now_ns if query.as_of_ns is None else min(walk_now_ns, query.as_of_ns)
    return SymbolQuery(query, listed(query, symbol), read_point, logs, as_known_ns)


def _pinned(
    dataset: MarketDataset,
    query: MarketDataQuery,
    symbol_queries: list[SymbolQuery],
    cursor: PageCursor | None,
) -> PinnedPage:
    plans = tuple(map(dataset.plan, symbol_queries))
    later = {name for plan in plans for log in plan.logs for name in log.dataset.later_names}
    columns = tuple(column.name for column in query.form.columns if column.name in later)
    page = PinnedPage(query, plans, cursor, columns or None)
    if cursor:
        cursor.check(page.range_hash, page.inputs_hash)
    return page


def _canonical(symbols: tuple[str, ...]) -> tuple[str, ...]:
    """Return the canonical names of symbols. Raises `InvalidParameter` if two symbols name the same instrument."""
    canonical = tuple(map(symbol_canonical, symbols))
    if len(set(canonical)) < len(canonical):
        raise InvalidParameter("repeated_symbol", "symbols: two of them name the same instrument")
    return canonical
