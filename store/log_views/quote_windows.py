"""Quote bars of a window; the first bar opens at the last quote before the window.

A *stream* is a series of quotes that makes bars of its own: the quotes of one exchange, or all quotes of a
log.
"""

from collections.abc import Callable, Collection, Iterator
from typing import TypeAlias

import numpy as np
import pyarrow as pa

from store.bars.quote_bars import (
    NO_QUOTE,
    KnownQuote,
    QuoteBars,
    joined_quote_bars,
    known_after,
    quote_bars_of,
)
from store.lazy_imports import compute as pc
from store.log_views.log_view import ROWS_AT_ONCE, LogView, rows_backwards
from store.protocol import Window
from store.timestamps import DAY_NS

# Quotes are looked up on this many earlier dates with quotes; a side without one counts as never quoted.
DATES_LOOKED_BACK = 10

# The exchange of a stream; None for quotes without one, or for all quotes as one stream.
Exchange: TypeAlias = str | None
# Splits rows into streams, none of them empty.
Split: TypeAlias = Callable[[pa.Table], dict[Exchange, pa.Table]]

_COLUMNS = ["timestamp", "bid", "bid_size", "ask", "ask_size", "exchange"]


def windowed_quote_bars(log: LogView, window: Window, interval_ns: int, exchange: Exchange) -> QuoteBars:
    """Return quote bars in an aligned window. exchange: None means all quotes as one stream."""
    split = _as_one if exchange is None else _of_exchange(exchange)
    known: KnownQuote | None = None
    made: list[QuoteBars] = []
    for rows in _by_whole_intervals(log, window, interval_ns):
        quotes = split(rows).get(exchange)
        if quotes is None:
            continue
        if known is None:
            known = _carried_in(log, window.start_ns, [exchange], split)[exchange]
        made.append(quote_bars_of(quotes, interval_ns, known))
        known = known_after(quotes, known)
    return joined_quote_bars(made)


def carried_quotes(
    log: LogView, start_ns: int, exchanges: Collection[Exchange]
) -> dict[Exchange, KnownQuote]:
    """Return each exchange's bid and ask just before an instant; None stands for quotes without an exchange."""
    return _carried_in(log, start_ns, exchanges, _by_exchange)


def _by_whole_intervals(log: LogView, window: Window, interval_ns: int) -> Iterator[pa.Table]:
    """Yield the rows of an aligned window, split at interval edges, about `ROWS_AT_ONCE` at a time."""
    while window.start_ns < window.end_ns:
        end_ns = log.take_window(window, ROWS_AT_ONCE).end_ns
        end_ns = min(end_ns + -end_ns % interval_ns, window.end_ns)
        yield log.rows(Window(window.start_ns, end_ns)).select(_COLUMNS)
        window = Window(end_ns, window.end_ns)


def _carried_in(
    log: LogView, start_ns: int, exchanges: Collection[Exchange], split: Split
) -> dict[Exchange, KnownQuote]:
    """Return the quotes of some streams just before an instant."""
    known = dict.fromkeys(exchanges, NO_QUOTE)
    open_ = set(exchanges)
    for rows in _looked_back(log, start_ns) if open_ else ():
        streams = split(rows)
        for exchange in open_ & streams.keys():
            known[exchange] = known[exchange].or_else(known_after(streams[exchange]))
        open_ = {exchange for exchange in open_ if not known[exchange].is_two_sided}
        if not open_:
            break
    return known


def _looked_back(log: LogView, start_ns: int) -> Iterator[pa.Table]:
    """Yield the rows of the last `DATES_LOOKED_BACK` dates with rows before an instant, last rows first."""
    seen: set[int] = set()
    for rows in rows_backwards(log, start_ns):
        dates = rows.column("timestamp").to_numpy() // DAY_NS
        seen.update(np.unique(dates).tolist())
        if len(seen) > DATES_LOOKED_BACK:
            oldest = sorted(seen)[-DATES_LOOKED_BACK]
            yield rows.select(_COLUMNS).slice(int(dates.searchsorted(oldest)))
            return
        yield rows.select(_COLUMNS)


def _as_one(rows: pa.Table) -> dict[Exchange, pa.Table]:
    return {None: rows} if rows.num_rows else {}


def _of_exchange(exchange: str) -> Split:
    def split(rows: pa.Table) -> dict[Exchange, pa.Table]:
        found = rows.filter(pc.equal(rows.column("exchange"), exchange))
        return {exchange: found} if found.num_rows else {}

    return split


def _by_exchange(rows: pa.Table) -> dict[Exchange, pa.Table]:
    column = rows.column("exchange")
    names: list[Exchange] = column.unique().to_pylist()
    return {
        name: rows.filter(pc.is_null(column) if name is None else pc.equal(column, name)) for name in names
    }
