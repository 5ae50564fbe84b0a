"""The newest quote and the last price of a symbol at an instant, and where the store has them."""

import threading
from collections.abc import Callable, Hashable, Mapping
from decimal import Decimal
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from cachetools import LRUCache

from live.tokens import head_of
from store.arrays import Mask
from store.bars.prints import standing
from store.datasets import BARS, QUOTES, TRADES
from store.declarations import Dataset
from store.instruments import Instrument
from store.protocol import ALL_TIME, NO_COMMIT, CommitId, Window
from store.queries import QueryableStore
from store.resolutions import Resolution
from store.rows.knowledge import event_ends_ns
from store.walk import ALL_ROWS, LogPosition
from trading.core.amounts import price_of
from trading.core.events import RowRef
from trading.core.rows import Quote
from trading.market.rows import firm_quotes, ordinary_prints, quoted

# So many rows are searched at a time, the last ones first. Few are read at first, because right after many small
# commits that takes a fraction of the time.
_ROWS_SEARCHED = (8, 128, 2_048, 32_768, 65_536)
MAX_LOGS = 2_048

_Found = tuple[Mapping[str, Any], RowRef] | None
# By log: the commit and the declaration at which a row was found.
_newest: LRUCache[Hashable, tuple[CommitId, Instrument, _Found]] = LRUCache(MAX_LOGS)
_lock = threading.Lock()


class RowPrice(NamedTuple):
    """A price, the row that it comes from, and its time: of a stored bar its end."""

    ref: RowRef
    price: Decimal
    at_ns: int


def newest_quote(
    store: QueryableStore, instrument: Instrument, now_ns: int, place: LogPosition | None = None
) -> Quote | None:
    """Return the last firm quote that is dated up to an instant; None if there is none. Raises `StorageError`s.

    place: rows after it are not read, nor is what is corrected after it; None for all.
    """
    found = _newest_row(store, QUOTES, instrument, now_ns, is_wanted=firm_quotes, place=place)
    if found is None:
        return None
    row, ref = found
    bid, ask = (quoted(instrument, row[side]) for side in ("bid", "ask"))
    return Quote(ref=ref, bid=bid, ask=ask, known_ns=now_ns)


def last_price(
    store: QueryableStore, instrument: Instrument, now_ns: int, place: LogPosition | None = None
) -> RowPrice | None:
    """Return the price of the last ordinary print that is dated up to an instant.

    Without trades it is the close of the last stored bar that has ended; None without bars. place: in the log of
    trades, see `newest_quote`. Raises `StorageError`s.
    """
    is_wanted = partial(ordinary_prints, instrument=instrument)
    found = _newest_row(store, TRADES, instrument, now_ns, is_wanted=is_wanted, place=place)
    if found is not None:
        return RowPrice(found[1], price_of(found[0]["price"]), found[1].timestamp_ns)
    if head_of(store, TRADES, instrument.symbol) != NO_COMMIT:
        return None
    return _last_close(store, instrument.symbol, now_ns)


def _last_close(store: QueryableStore, symbol: str, now_ns: int) -> RowPrice | None:
    if head_of(store, BARS, symbol) == NO_COMMIT:
        return None
    found = _searched_row(
        store, BARS, symbol, now_ns, is_wanted=lambda rows: event_ends_ns(BARS, rows) <= now_ns
    )
    if found is None:
        return None
    row, ref = found
    end_ns = ref.timestamp_ns + Resolution(row["resolution"]).length_ns
    return RowPrice(ref, price_of(row["close"]), end_ns)


def _newest_row(
    store: QueryableStore,
    dataset: Dataset,
    instrument: Instrument,
    now_ns: int,
    *,
    is_wanted: Callable[[pa.Table], Mask],
    place: LogPosition | None,
) -> _Found:
    """Return the last wanted row that is dated up to an instant, and where it is stored; None if there is none.

    It is kept until the next commit, unless the log has later rows.
    """
    symbol = instrument.symbol
    head = head_of(store, dataset, symbol)
    if NO_COMMIT in (head, place and place.commit):
        return None
    if place is not None or store.completeness(dataset, symbol).newest_ns > now_ns:
        return _searched_row(store, dataset, symbol, now_ns, is_wanted=is_wanted, place=place)
    key = (store, dataset.name, symbol)
    with _lock:
        kept = _newest.get(key)
    if kept is not None and kept[:2] == (head, instrument):
        return kept[2]
    found = _searched_row(store, dataset, symbol, now_ns, is_wanted=is_wanted)
    with _lock:
        _newest[key] = head, instrument, found
    return found


def _searched_row(
    store: QueryableStore,
    dataset: Dataset,
    symbol: str,
    now_ns: int,
    *,
    is_wanted: Callable[[pa.Table], Mask],
    place: LogPosition | None = None,
) -> _Found:
    window = Window(ALL_TIME.start_ns, now_ns + 1)
    commit = None if place is None else place.commit.number
    for count in _ROWS_SEARCHED:
        part = store.take_window(dataset, symbol, window, count, from_end=True, commit=commit)
        rows = store.versions(dataset, symbol, part, commit=commit)
        is_read = standing(rows, None) & _is_before(store, place, dataset, symbol, rows)
        found = np.flatnonzero(is_read & is_wanted(rows))
        if len(found):
            (row,) = rows.slice(int(found[-1]), 1).to_pylist()
            return row, _ref_of(store, dataset, symbol, row)
        if part.start_ns <= window.start_ns:
            break
        window = Window(window.start_ns, part.start_ns)
    return None


def _is_before(
    store: QueryableStore, place: LogPosition | None, dataset: Dataset, symbol: str, versions: pa.Table
) -> Mask:
    """Return which versions are before a place.

    versions: up to its commit. Corrections of its commit count as before it.
    """
    is_before = np.ones(versions.num_rows, np.bool_)
    if place is None or place.ordinal == ALL_ROWS:
        return is_before
    time_ns, arrival, commit = (
        versions.column(name).to_numpy() for name in ("timestamp", "arrival", "commit")
    )
    own = np.flatnonzero(commit == place.commit.number)
    if len(own):
        timestamp_ns, number = int(time_ns[own[0]]), int(arrival[own[0]])
        stored_by, ordinal = store.row_origin(dataset, symbol, timestamp_ns=timestamp_ns, arrival=number)
        if stored_by == place.commit:
            is_before[own] = arrival[own] - number + ordinal < place.ordinal
    return is_before


def _ref_of(store: QueryableStore, dataset: Dataset, symbol: str, version: Mapping[str, Any]) -> RowRef:
    time_ns = version["timestamp"]
    commit, ordinal = store.row_origin(dataset, symbol, timestamp_ns=time_ns, arrival=version["arrival"])
    return RowRef(
        dataset=dataset.name, symbol=symbol, commit=commit.token, ordinal=ordinal, timestamp_ns=time_ns
    )
