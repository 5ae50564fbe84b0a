"""Quotes with valid defaults, and logs of them."""

from typing import Any

import pyarrow as pa

from store.datasets import QUOTES
from store.log_views.log_view import LogView, view_as_of
from store.protocol import Append
from store.queries import QueryableStore
from tests.store.builders import NOON, SYMBOL


def quote(
    at: int, bid: float | None = None, ask: float | None = None, exchange: str | None = None
) -> dict[str, Any]:
    """A quote so many nanoseconds after noon."""
    sizes = {"bid_size": None if bid is None else 1.0, "ask_size": None if ask is None else 2.0}
    row = dict.fromkeys(QUOTES.schema.names)
    return row | {"timestamp": NOON + at, "bid": bid, "ask": ask, "exchange": exchange, **sizes}


def quote_log(store: QueryableStore, *rows: dict[str, Any]) -> LogView:
    """The log of quotes after these have been added."""
    store.append(
        Append(QUOTES, SYMBOL, pa.RecordBatch.from_pylist(list(rows), schema=QUOTES.schema), "key:1")
    )
    return view_as_of(store, QUOTES, SYMBOL, None)
