"""Pins queries: makes the page that answers a query at fixed commits."""

import threading
from collections.abc import Hashable
from dataclasses import replace

from cachetools import LRUCache

from stats.cursors import PageCursor
from stats.market_data.answers.pinned_page import PageSnapshot
from stats.market_data.pinned_logs import ReadPoint
from stats.market_data.plan import SymbolQuery, queried_instrument
from stats.market_data.query import MarketDataQuery
from stats.market_data.universes import UniverseQuery, UniverseSnapshot, universe_snapshot
from web.lists.cursors import InvalidCursor
from web.requests.exceptions import InvalidParameter

MAX_PLANS = 2_048
# First pages, each with the "now" that it was made for. The keys are query, universe, instruments and logs.
# They are as many as have `MAX_PLANS` plans together: a page has one for each symbol.
_pages: LRUCache[Hashable, tuple[int, PageSnapshot]] = LRUCache(
    MAX_PLANS, getsizeof=lambda kept: len(kept[1].plans)
)
_lock = threading.Lock()


def page_snapshot(query: MarketDataQuery, *, now_ns: int) -> PageSnapshot:
    """Return the page that answers a query: at the newest commits or, with a cursor, at the cursor's commits.

    First pages are cached until they expire or a log has a new commit. Streams, and pages whose plans choose
    their own logs, are not cached. Raises `UnknownSymbol`, `WrongClass`, `ResyncRequired`, `InvalidCursor` and
    the errors of the dataset's plan.
    """
    universe = _universe(query, now_ns)
    symbols = universe.symbols if universe else _canonical(query)
    if symbols != query.symbols or query.symbol_as_of_ns is not None:
        query = replace(query, symbols=symbols, symbol_as_of_ns=None)
    cursor = PageCursor.decode(query.cursor, query=query.subject) if query.cursor else None
    symbol_queries = _symbol_queries(query, cursor, now_ns)
    if query.streamed or cursor or not all(each.logs for each in symbol_queries):
        return _pinned(query, symbol_queries, cursor, universe)
    key = query, universe, tuple((each.instrument, each.logs) for each in symbol_queries)
    query_now_ns = symbol_queries[0].now_ns
    with _lock:
        pinned_ns, page = _pages.get(key, (None, None))
    if (
        page is None
        or pinned_ns is None
        or not pinned_ns <= query_now_ns < (page.expires_ns or query_now_ns + 1)
    ):
        page = _pinned(query, symbol_queries, cursor, universe)
        with _lock:
            _pages[key] = query_now_ns, page
    return page


def _symbol_queries(query: MarketDataQuery, cursor: PageCursor | None, now_ns: int) -> list[SymbolQuery]:
    """Return the query for each symbol, with the symbol's logs unless the plan chooses its logs itself."""
    stored_datasets = query.dataset.logs_of(query)
    log_count = len(stored_datasets) or query.dataset.log_count
    if cursor and len(cursor.commits) != len(query.symbols) * log_count:
        raise InvalidCursor("the cursor does not fit the query: start again at the first page")
    walk_now_ns = now_ns if cursor is None else cursor.walk_now_ns
    query_now_ns = walk_now_ns if query.as_of_ns is None else min(walk_now_ns, query.as_of_ns)
    symbol_queries = []
    for index, symbol in enumerate(query.symbols):
        seen = None if cursor is None else cursor.commits[index * log_count :]
        read_point = ReadPoint(query.as_of_ns, seen)
        logs = tuple(
            read_point.log(each, symbol, log_index) for log_index, each in enumerate(stored_datasets)
        )
        instrument = queried_instrument(query, symbol)
        final_until_ns = cursor.final_until_ns[index] if cursor and cursor.final_until_ns else None
        symbol_queries.append(SymbolQuery(query, instrument, read_point, logs, query_now_ns, final_until_ns))
    return symbol_queries


def _pinned(
    query: MarketDataQuery,
    symbol_queries: list[SymbolQuery],
    cursor: PageCursor | None,
    universe: UniverseSnapshot | None,
) -> PageSnapshot:
    plans = tuple(map(query.dataset.plan, symbol_queries))
    later_names = {name for plan in plans for log in plan.logs for name in log.dataset.later_names}
    columns = tuple(column.name for column in query.dataset.columns if column.name in later_names)
    page = PageSnapshot(query, plans, cursor, columns or None, universe)
    if cursor:
        cursor.check(page.range_hash, page.inputs_hash)
    return page


def _universe(query: MarketDataQuery, now_ns: int) -> UniverseSnapshot | None:
    """Return the universe whose members the query asks for; None if it has symbols. See `universe_snapshot`."""
    if query.universe is None or query.symbols:
        return None
    universe_query = UniverseQuery(
        query.universe,
        start_ns=query.start_ns,
        end_ns=query.end_ns,
        as_of_ns=query.as_of_ns,
        symbol_as_of_ns=query.symbol_as_of_ns,
        is_then=query.knowledge is not None,
    )
    return universe_snapshot(universe_query, now_ns=now_ns)


def _canonical(query: MarketDataQuery) -> tuple[str, ...]:
    """Return the symbols' canonical names, now or at `symbol_as_of`.

    Raises `InvalidParameter` if two of them name the same instrument.
    """
    canonical = tuple(query.market_class.canonical(symbol, query.symbol_as_of_ns) for symbol in query.symbols)
    if len(set(canonical)) < len(canonical):
        raise InvalidParameter("repeated_symbol", "symbols: two of them name the same instrument")
    return canonical
