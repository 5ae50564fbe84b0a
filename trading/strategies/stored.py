"""What strategies need of the store: a reader, and symbols that can be traded, with rows in a period."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from django.conf import settings

from store import open_store
from store.datasets import BARS, QUOTES, TRADES
from store.declarations import Dataset
from store.log_views.log_view import Coverage, LogView, last_row, log_coverage, view_of
from store.moving import moved_to
from store.protocol import CLOCKS_APART_NS, NO_COMMIT, Window
from store.reading import Reader
from store.rows.knowledge import event_ends_ns
from store.timestamps import DAY_NS, MINUTE_NS, SECOND_NS, format_timestamp
from trading.exceptions import NotTradable
from trading.market.market import LogKey, Market
from trading.strategies.past_bars import interval_start_ns

_PRICES = (TRADES, QUOTES, BARS)
Refusal = tuple[str, str]


def stored_rows() -> Reader:
    """Return a reader of this installation's rows. Raises the errors of the store."""
    return open_store(store_place())


def store_place() -> Path | str:
    """Return where `open_store` finds this installation's rows: a URL, or a folder."""
    return settings.MARKET_STORE or moved_to(settings.DATA_DIR)


def first_day_ns(market: Market, symbols: Sequence[str], as_of_ns: int | None = None) -> int | None:
    """Return midnight UTC of the first date with trades, quotes or bars of any of the symbols; None without any.

    as_of_ns: commits made later are ignored; None for all.
    """
    first = [
        each.first_ns
        for symbol in symbols
        for each in _coverages(market, symbol, as_of_ns)
        if each.first_ns is not None
    ]
    return min(first) // DAY_NS * DAY_NS if first else None


def stored_period(market: Market, symbols: Sequence[str], interval_ns: int, as_of_ns: int) -> Window | None:
    """Return the period of all trades, quotes and bars of the symbols that were stored up to an instant; None without any.

    It begins as `first_day_ns` says. It ends in the minute in which the bar of the newest row is shown; if that instant
    was still to come, in the second of `as_of_ns`, so that no bar is shown that was not over.
    as_of_ns: see `newest_change_ns`.
    """
    start_ns = first_day_ns(market, symbols, as_of_ns)
    if start_ns is None:
        return None
    lasts = [(symbol, _last_ns(view)) for symbol in symbols for view in _views(market, symbol, as_of_ns)]
    stored = [(symbol, last_ns) for symbol, last_ns in lasts if last_ns is not None]
    shown_ns = max(
        interval_start_ns(last_ns, interval_ns) + interval_ns + market.instrument(symbol).settle_ns
        for symbol, last_ns in stored
    )
    newest_ns = max(last_ns for _, last_ns in stored)
    if newest_ns - CLOCKS_APART_NS <= as_of_ns < shown_ns:
        return Window(start_ns, (max(newest_ns, as_of_ns) // SECOND_NS + 1) * SECOND_NS)
    return Window(start_ns, (shown_ns // MINUTE_NS + 1) * MINUTE_NS)


def newest_change_ns(
    market: Market, symbols: Iterable[str], currency: str, as_of_ns: int | None = None
) -> int:
    """Return the time of the newest commit or declaration that a backtest of the symbols reads; 0 without any.

    currency: the account's. as_of_ns: later changes are left out; None for all.
    """
    store, found = market.store, [0]
    logs = {log for symbol in symbols for log in _logs(market, store.canonical(symbol), currency)}
    for dataset, symbol in logs:
        number = _commit_as_of(market, dataset, symbol, as_of_ns)
        if number:
            found.append(store.log(dataset, symbol).committed_at(number))
    for symbol in {symbol for _, symbol in logs}:
        found += (declared_ns for declared_ns, _ in store.declarations(symbol, as_of_ns=as_of_ns))
    return max(found)


def _logs(market: Market, symbol: str, currency: str) -> list[LogKey]:
    """Return the logs that a backtest reads: for bars, for fills and for rates. They need not exist."""
    logs = [(dataset, symbol) for dataset in _PRICES]
    with suppress(NotTradable):
        logs += market.logs_of_orders(symbol, currency)
    return logs


def symbol_refusals(
    market: Market, symbols: Sequence[str], window: Window | None = None, as_of_ns: int | None = None
) -> list[Refusal]:
    """Return an error code and a message for each symbol or alias that a backtest of the window cannot have.

    Such a symbol is not stored, is not traded here, or has no trades, quotes and bars on the dates of the window.
    as_of_ns: rows that were stored later are ignored; None for all.
    """
    refusals = (_refusal(market, market.store.canonical(symbol), window, as_of_ns) for symbol in symbols)
    return [refusal for refusal in refusals if refusal is not None]


def _refusal(market: Market, symbol: str, window: Window | None, as_of_ns: int | None) -> Refusal | None:
    if not market.is_known(symbol):
        return "unknown_symbol", f"nothing is stored under the symbol {symbol}"
    try:
        market.terms(symbol)
    except NotTradable as error:
        return error.code, str(error)
    if window is not None and any(
        view.version(window) != NO_COMMIT for view in _views(market, symbol, as_of_ns)
    ):
        return None
    stored = [each for each in _coverages(market, symbol, as_of_ns) if each.first_ns is not None]
    if not stored:
        is_later = as_of_ns is not None and any(_views(market, symbol, None))
        then = f" that were stored up to {format_timestamp(as_of_ns or 0)}" if is_later else ""
        return "no_data", f"{symbol} has no trades, quotes or bars{then}"
    first, last = min(each.first_ns or 0 for each in stored), max(each.last_ns or 0 for each in stored)
    return "no_data", (
        f"{symbol} has no rows in this period; its first is of {format_timestamp(first)}, "
        f"its last of {format_timestamp(last)}"
    )


def row_bound(market: Market, symbols: Sequence[str], window: Window, as_of_ns: int) -> int:
    """Return an upper bound of the trades, quotes and bars of symbols in a window, as of an instant."""
    return sum(view.row_bound(window) for symbol in symbols for view in _views(market, symbol, as_of_ns))


def _coverages(market: Market, symbol: str, as_of_ns: int | None) -> Iterator[Coverage]:
    return map(log_coverage, _views(market, symbol, as_of_ns))


def _views(market: Market, symbol: str, as_of_ns: int | None) -> Iterator[LogView]:
    canonical = market.store.canonical(symbol)
    for dataset in _PRICES:
        number = _commit_as_of(market, dataset, canonical, as_of_ns)
        if number:
            yield view_of(market.store.log(dataset, canonical).at(number))


def _commit_as_of(market: Market, dataset: Dataset, symbol: str, as_of_ns: int | None) -> int:
    """Return the number of the newest commit, made by an instant if one is given; 0 if there is none."""
    return replace(market, as_of_ns=as_of_ns).head(dataset, symbol).number


def _last_ns(view: LogView) -> int | None:
    """Return the last instant that a log's newest row tells of, of a stored bar that before its end; None without rows."""
    rows = last_row(view)
    if rows is None:
        return None
    return int(event_ends_ns(view.dataset, rows)[0]) - (view.dataset is BARS)
