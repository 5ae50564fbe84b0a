"""What strategies need of the store: a reader, and symbols that can be traded, with rows in a period."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from django.conf import settings

from store import open_store
from store.datasets import BARS, QUOTES, TRADES
from store.log_views.log_view import LogView, last_row, log_coverage, view_of
from store.protocol import NO_COMMIT, Window
from store.reading import Reader
from store.rows.knowledge import event_ends_ns
from store.timestamps import DAY_NS, format_timestamp
from trading.exceptions import NotTradable
from trading.market.market import Market
from trading.strategies.past_bars import interval_start_ns

_PRICES = (TRADES, QUOTES, BARS)
Refusal = tuple[str, str]


def stored_rows() -> Reader:
    """Return a reader of this installation's rows. Raises the errors of the store."""
    return open_store(store_place())


def store_place() -> Path | str:
    """Return where `open_store` finds this installation's rows: a URL, or a folder."""
    return settings.MARKET_STORE or settings.DATA_DIR


def first_day_ns(market: Market, symbols: Sequence[str], as_of_ns: int | None = None) -> int | None:
    """Return midnight UTC of the first date with trades, quotes or bars of any of the symbols; None without any.

    Dates of which rows of any of the symbols have expired are left out. as_of_ns: commits made later are ignored; None for
    all.
    """
    coverages = (log_coverage(view) for view in _views(market, symbols, as_of_ns))
    first = [each.first_ns for each in coverages if each.first_ns is not None]
    expired = (market.expired_before_ns(market.store.canonical(symbol)) for symbol in symbols)
    return max([min(first) // DAY_NS * DAY_NS, *expired]) if first else None


def stored_period(market: Market, symbols: Sequence[str], interval_ns: int, as_of_ns: int) -> Window | None:
    """Return the period of all trades, quotes and bars of the symbols that were stored up to an instant; None without any.

    It begins as `first_day_ns` says, and ends with the bar of the newest row; if this bar was not over at `as_of_ns`, there.
    """
    start_ns = first_day_ns(market, symbols, as_of_ns)
    if start_ns is None:
        return None
    lasts = (_last_ns(view) for view in _views(market, symbols, as_of_ns))
    last_ns = max(each for each in lasts if each is not None)
    end_ns = interval_start_ns(last_ns, interval_ns) + interval_ns
    return Window(start_ns, as_of_ns if last_ns < as_of_ns < end_ns else end_ns)


def symbol_refusals(
    market: Market, symbols: Sequence[str], as_of_ns: int, window: Window | None = None
) -> list[Refusal]:
    """Return an error code and a message for each symbol or alias that a backtest of the window cannot have.

    Such a symbol is not stored, is not traded here, or has no trades, quotes and bars on the dates of the window.
    as_of_ns: rows that were stored later are ignored.
    """
    refusals = (_refusal(market, market.store.canonical(symbol), window, as_of_ns) for symbol in symbols)
    return [refusal for refusal in refusals if refusal is not None]


def _refusal(market: Market, symbol: str, window: Window | None, as_of_ns: int) -> Refusal | None:
    if not market.is_known(symbol):
        return "unknown_symbol", f"nothing is stored under the symbol {symbol}"
    try:
        market.terms(symbol)
    except NotTradable as error:
        return error.code, str(error)
    views = list(_views(market, [symbol], as_of_ns))
    if window is not None and any(view.version(window) != NO_COMMIT for view in views):
        return None
    stored = [each for each in map(log_coverage, views) if each.first_ns is not None]
    if not stored:
        until = format_timestamp(as_of_ns)
        return "no_data", f"{symbol} has no trades, quotes or bars that were stored up to {until}"
    first, last = min(each.first_ns or 0 for each in stored), max(each.last_ns or 0 for each in stored)
    return "no_data", (
        f"{symbol} has no rows in this period; its first is of {format_timestamp(first)}, "
        f"its last of {format_timestamp(last)}"
    )


def row_bound(market: Market, symbols: Sequence[str], window: Window, as_of_ns: int) -> int:
    """Return an upper bound of the trades, quotes and bars of symbols in a window, as of an instant."""
    return sum(view.row_bound(window) for view in _views(market, symbols, as_of_ns))


def _views(market: Market, symbols: Sequence[str], as_of_ns: int | None) -> Iterator[LogView]:
    then = replace(market, as_of_ns=as_of_ns)
    for symbol in map(market.store.canonical, symbols):
        for dataset in _PRICES:
            number = then.head(dataset, symbol).number
            if number:
                yield view_of(market.store.log(dataset, symbol).at(number))


def _last_ns(view: LogView) -> int | None:
    """Return the last instant that a log's newest row tells of, of a stored bar that before its end; None without rows."""
    rows = last_row(view)
    if rows is None:
        return None
    return int(event_ends_ns(view.dataset, rows)[0]) - (view.dataset is BARS)
