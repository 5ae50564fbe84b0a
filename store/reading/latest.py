"""Each symbol's last trade, cached until its commit log changes."""

from dataclasses import dataclass
from typing import NamedTuple

import pyarrow as pa

from store.csv.files.disk import NO_FILE, FileSignature, file_signature
from store.csv.store import CsvStore
from store.datasets import TRADES
from store.log_views.log_view import last_row, log_as_of
from store.protocol import ALL_TIME, Window

_REMEMBERED = 1 << 16


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


@dataclass(frozen=True, slots=True)
class _KnownTrade:
    """The last trade at the time when the log's file had this signature."""

    commits_file: str
    signature: FileSignature
    trade: Trade


class LatestTrades:
    """The last trade of each requested symbol."""

    def __init__(self, store: CsvStore) -> None:
        self._store = store
        self._known: dict[str, _KnownTrade] = {}

    def of(self, symbol: str) -> Trade:
        """Return the last trade by (event time, sequence, arrival).

        Raises `UnknownSymbol`, `NoTrade`, `StoreUnavailable`.
        """
        known = self._known.get(symbol)
        if known is not None and file_signature(known.commits_file) == known.signature:
            return known.trade
        return self._read(symbol, known)

    def _read(self, symbol: str, known: _KnownTrade | None) -> Trade:
        file = known.commits_file if known else self._store.commits_file(TRADES, symbol)
        # Taken before the rows are read: if a commit is made meanwhile, the next call reads again.
        signature = file_signature(file)
        log = log_as_of(self._store, TRADES, symbol, None)
        rows = log.rows(Window(known.trade.time_ns, ALL_TIME.end_ns)) if known else None
        if not rows:  # the known last trade may have been cancelled
            rows = last_row(log)
        if rows is None:
            raise NoTrade(f"every trade of {symbol} has been cancelled")
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        trade = _last(rows)
        if signature != NO_FILE:
            self._known[symbol] = _KnownTrade(file, signature, trade)
        return trade


def _last(rows: pa.Table) -> Trade:
    (row,) = rows.slice(rows.num_rows - 1).to_pylist()
    return Trade(*(row[column.name] for column in TRADES.columns))
