"""The newest quote and the last price of a symbol at an instant, and where the store has them."""

import threading
from collections.abc import Callable, Hashable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from cachetools import LRUCache

from store.arrays import Mask
from store.bars.prints import standing
from store.datasets import QUOTES, TRADES
from store.declarations import Dataset
from store.exceptions import UnknownSymbol
from store.instruments import Instrument
from store.protocol import ALL_TIME, Window
from trades.stores import market_store
from trading.core.amounts import price_of
from trading.core.events import RowRef
from trading.core.rows import Quote
from trading.market_rows import firm_quotes, ordinary_prints, quoted

# So many rows are searched at a time, the last ones first. Few are read at first, because right after many small
# commits that takes a fraction of the time.
_ROWS_SEARCHED = (8, 128, 2_048, 32_768, 65_536)
_CACHED_ROWS = 4_096

_Found = tuple[Mapping[str, Any], RowRef] | None
_found: LRUCache[Hashable, _Found] = LRUCache(_CACHED_ROWS)
_lock = threading.Lock()


class RowPrice(NamedTuple):
    """A price and the row that it comes from."""

    ref: RowRef
    price: Decimal


def newest_quote(instrument: Instrument, now_ns: int) -> Quote | None:
    """Return the last firm quote that is dated up to an instant; None if there is none. Raises `StorageError`s."""
    found = _newest_row(QUOTES, instrument, now_ns, firm_quotes)
    if found is None:
        return None
    row, ref = found
    bid, ask = (quoted(instrument, row[side]) for side in ("bid", "ask"))
    return Quote(ref=ref, bid=bid, ask=ask, known_ns=now_ns)


def last_price(instrument: Instrument, now_ns: int) -> RowPrice | None:
    """Return the price of the last ordinary print that is dated up to an instant; None if there is none.

    Raises `StorageError`s.
    """
    found = _newest_row(TRADES, instrument, now_ns, lambda rows: ordinary_prints(rows, instrument))
    return None if found is None else RowPrice(found[1], price_of(found[0]["price"]))


def _newest_row(
    dataset: Dataset, instrument: Instrument, now_ns: int, is_wanted: Callable[[pa.Table], Mask]
) -> _Found:
    """Return the last wanted row that is dated up to an instant, and where it is stored; None if there is none.

    It is kept until the next commit, unless the log has later rows.
    """
    store, symbol = market_store(), instrument.symbol
    try:
        head = store.head(dataset, symbol)
        has_later = store.completeness(dataset, symbol).newest_ns > now_ns
    except UnknownSymbol:
        return None
    key = (store, dataset.name, instrument, head)
    with _lock:
        if not has_later and key in _found:
            return _found[key]
    found = _searched_row(dataset, symbol, now_ns, is_wanted)
    if not has_later:
        with _lock:
            _found[key] = found
    return found


def _searched_row(
    dataset: Dataset, symbol: str, now_ns: int, is_wanted: Callable[[pa.Table], Mask]
) -> _Found:
    store, window = market_store(), Window(ALL_TIME.start_ns, now_ns + 1)
    for count in _ROWS_SEARCHED:
        part = store.take_window(dataset, symbol, window, count, from_end=True)
        rows = store.versions(dataset, symbol, part)
        found = np.flatnonzero(standing(rows, None) & is_wanted(rows))
        if len(found):
            (row,) = rows.slice(int(found[-1]), 1).to_pylist()
            return row, _ref_of(dataset, symbol, row)
        if part.start_ns <= window.start_ns:
            break
        window = Window(window.start_ns, part.start_ns)
    return None


def _ref_of(dataset: Dataset, symbol: str, version: Mapping[str, Any]) -> RowRef:
    time_ns = version["timestamp"]
    commit, ordinal = market_store().row_origin(
        dataset, symbol, timestamp_ns=time_ns, arrival=version["arrival"]
    )
    return RowRef(
        dataset=dataset.name, symbol=symbol, commit=commit.token, ordinal=ordinal, timestamp_ns=time_ns
    )
