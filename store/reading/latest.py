"""Each symbol's last trade, cached until its commit log changes."""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

from store.datasets import TRADES
from store.log_views.log_view import last_row, view_of
from store.market_store import MarketStore
from store.protocol import ALL_TIME, Window

_CACHE_SIZE = 1 << 16


class Trade(NamedTuple):
    """One trade. Instants are nanoseconds UTC, `conditions` are joined by `;`, absent values are None."""

    time_ns: int
    price: float
    volume: float
    trade_id: str | None
    sequence: int | None
    exchange: str | None
    conditions: str | None
    received_at_ns: int | None
    buyer_is_maker: bool | None = None


class NoTrade(LookupError):
    """Every trade of the symbol has been cancelled.

    Ask again after new trades.
    """


class LatestTrades:
    """The last trade of each requested symbol."""

    def __init__(self, store: MarketStore) -> None:
        self._store = store
        # A trade is current as long as the log has its token; see `MarketStore.heads`.
        self._cached: dict[str, tuple[Hashable, Trade]] = {}

    def of(self, symbol: str) -> Trade:
        """Return the last trade by (event time, sequence, arrival).

        Raises `UnknownSymbol`, `NoTrade`, `StoreUnavailable`.
        """
        cached = self._cached.get(symbol)
        # The token is taken before the rows are read: if a commit is made meanwhile, the next call reads them again.
        token = self._store.heads(TRADES, (symbol,)).get(symbol)
        if cached is not None and cached[0] == token:
            return cached[1]
        view = view_of(self._store.log(TRADES, symbol).at())
        rows = None if cached is None else view.rows(Window(cached[1].time_ns, ALL_TIME.end_ns))
        if not rows:  # the cached last trade may have been cancelled
            rows = last_row(view)
        if rows is None:
            raise NoTrade(f"every trade of {symbol} has been cancelled")
        if len(self._cached) >= _CACHE_SIZE:
            self._cached.clear()
        (values,) = rows.slice(rows.num_rows - 1).to_pylist()
        trade = Trade(*(values[column.name] for column in TRADES.columns))
        self._cached[symbol] = token, trade
        return trade
