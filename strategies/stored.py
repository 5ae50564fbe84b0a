"""What strategies need of the store: a reader, and symbols that can be traded, with rows in a period."""

from collections.abc import Iterator, Sequence

from django.conf import settings

from live.tokens import head_of
from stats.market_data.intervals.regular_days import regular_days
from store import open_store
from store.datasets import BARS, QUOTES, TRADES
from store.log_views.log_view import Coverage, log_coverage, view_as_of
from store.protocol import NO_COMMIT, Window
from store.reading import Reader
from store.timestamps import DAY_NS, format_timestamp
from trading.exceptions import NotTradable
from trading.market.market import Market

_PRICES = (TRADES, QUOTES, BARS)
Refusal = tuple[str, str]


def stored_rows() -> Reader:
    """Return a reader of this installation's rows. Raises the errors of the store."""
    return open_store(settings.DATA_DIR, sessions=regular_days)


def first_day_ns(market: Market, symbols: Sequence[str]) -> int | None:
    """Return midnight UTC of the first date with trades, quotes or bars of any of the symbols; None without any."""
    first = [
        each.first_ns
        for symbol in symbols
        for each in _coverages(market, symbol)
        if each.first_ns is not None
    ]
    return min(first) // DAY_NS * DAY_NS if first else None


def symbol_refusals(market: Market, symbols: Sequence[str], window: Window | None = None) -> list[Refusal]:
    """Return an error code and a message for each symbol or alias that a backtest of the window cannot have.

    Such a symbol is not stored, is not traded here, or has no trades, quotes and bars on the dates of the window.
    """
    refusals = (_refusal(market, market.store.canonical(symbol), window) for symbol in symbols)
    return [refusal for refusal in refusals if refusal is not None]


def _refusal(market: Market, symbol: str, window: Window | None) -> Refusal | None:
    if not market.is_known(symbol):
        return "unknown_symbol", f"nothing is stored under the symbol {symbol}"
    try:
        market.terms(symbol)
    except NotTradable as error:
        return error.code, str(error)
    if window is not None and _has_rows(market, symbol, window):
        return None
    stored = [each for each in _coverages(market, symbol) if each.first_ns is not None]
    if not stored:
        return "no_data", f"{symbol} has no trades, quotes or bars"
    first, last = min(each.first_ns or 0 for each in stored), max(each.last_ns or 0 for each in stored)
    return "no_data", (
        f"{symbol} has no rows in this period; its first is of {format_timestamp(first)}, "
        f"its last of {format_timestamp(last)}"
    )


def _has_rows(market: Market, symbol: str, window: Window) -> bool:
    store = market.store
    return any(
        head_of(store, dataset, symbol) != NO_COMMIT and store.version(dataset, symbol, window) != NO_COMMIT
        for dataset in _PRICES
    )


def _coverages(market: Market, symbol: str) -> Iterator[Coverage]:
    canonical = market.store.canonical(symbol)
    for dataset in _PRICES:
        if head_of(market.store, dataset, canonical) != NO_COMMIT:
            yield log_coverage(view_as_of(market.store, dataset, canonical, None))
