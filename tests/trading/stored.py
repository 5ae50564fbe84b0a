"""Rows of a market, with valid defaults, and how tests store them."""

from typing import Any

import pyarrow as pa

from store.datasets import TRADES
from store.declarations import Dataset
from store.market_store import MarketStore
from store.protocol import Action, Amendment, Append, Correction, Dedupe, Fill, Receipt
from store.timestamps import SECOND_NS
from tests.calendars.published import ns
from tests.store.builders import Row
from trading.core.events import RowRef

SYMBOL = "AAPL"
# A Wednesday, in the regular session of New York.
NOON = ns("2024-03-13T16:00")


def trade(seconds: float = 0, price: float = 100.0, **others: Any) -> Row:
    """A trade so many seconds after noon."""
    return {"timestamp": NOON + int(seconds * SECOND_NS), "price": price, "volume": 100.0} | others


def quote(seconds: float = 0, bid: float | None = 99.0, ask: float | None = 101.0, **others: Any) -> Row:
    """A quote so many seconds after noon."""
    return {"timestamp": NOON + int(seconds * SECOND_NS), "bid": bid, "ask": ask} | others


def batch_of(dataset: Dataset, *rows: Row) -> pa.RecordBatch:
    filled = [dict.fromkeys(dataset.schema.names) | row for row in rows]
    return pa.RecordBatch.from_pylist(filled, schema=dataset.schema)


def append(
    store: MarketStore, dataset: Dataset, *rows: Row, symbol: str = SYMBOL, fill: Fill | None = None
) -> Receipt:
    return store.append(Append(dataset, symbol, batch_of(dataset, *rows), "key:1", Dedupe.NONE, fill=fill))


def correct(store: MarketStore, row: Row, *, symbol: str = SYMBOL, **new: Any) -> Receipt:
    """Correct a trade, or cancel it without new values."""
    action = Action.CORRECT if new else Action.CANCEL
    correction = Correction(action, row["timestamp"], {name: row[name] for name in ("price", "volume")}, new)
    return store.correct(Amendment(TRADES, symbol, (correction,), "key:1"))


def ref(receipt: Receipt, ordinal: int, row: Row, dataset: Dataset = TRADES, symbol: str = SYMBOL) -> RowRef:
    return RowRef(
        dataset=dataset.name,
        symbol=symbol,
        commit=receipt.commit.token,
        ordinal=ordinal,
        timestamp_ns=row["timestamp"],
    )
