"""Quotes with valid defaults, and logs of them."""

from typing import Any

import pyarrow as pa

from store.datasets import QUOTES
from store.log_views.log_view import LogView, view_of
from store.market_store import MarketStore
from store.protocol import Append
from tests.store.builders import NOON, SYMBOL


def quote(
    at: int, bid: float | None = None, ask: float | None = None, exchange: str | None = None
) -> dict[str, Any]:
    """A quote so many nanoseconds after noon."""
    sizes = {"bid_size": None if bid is None else 1.0, "ask_size": None if ask is None else 2.0}
    row = dict.fromkeys(QUOTES.schema.names)
    return row | {"timestamp": NOON + at, "bid": bid, "ask": ask, "exchange": exchange, **sizes}


def quote_log(store: MarketStore, *rows: dict[str, Any]) -> LogView:
    """The log of quotes after these have been added."""
    store.append(
        Append(QUOTES, SYMBOL, pa.RecordBatch.from_pylist(list(rows), schema=QUOTES.schema), "key:1")
    )
    return view_of(store.log(QUOTES, SYMBOL).at())
