"""Quote bars of a window; the first bar opens at the last quote before the window.

A *stream* is a series of quotes that makes bars of its own: the quotes of one exchange, or all quotes of a
log.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import TypeAlias

import numpy as np

from store import lazy_pyarrow as pa
from store.bars.quote_bars import (
    NO_QUOTE,
    KnownQuote,
    QuoteBars,
    joined_quote_bars,
    quote_after,
    quote_bars_of,
)
from store.lazy_imports import compute as pc
from store.log_views.log_view import ROWS_AT_ONCE, LogView, rows_backwards
from store.protocol import Window
from store.timestamps import DAY_NS

# The last quote before a window is searched on this many dates that have quotes. A side without a quote on them counts
# as never quoted.
DATES_LOOKED_BACK = 10

# The exchange of a stream. None means the quotes without an exchange; in `windowed_quote_bars` it means all
# quotes.
Exchange: TypeAlias = str | None
# Returns those of the rows that belong to a stream.
StreamRows: TypeAlias = "Callable[[pa.Table, Exchange], pa.Table]"

_COLUMNS = ["timestamp", "bid", "bid_size", "ask", "ask_size", "exchange"]


def windowed_quote_bars(view: LogView, window: Window, interval_ns: int, exchange: Exchange) -> QuoteBars:
    """Return quote bars in an aligned window. exchange: None means all quotes as one stream."""
    stream_rows = _all_rows if exchange is None else _rows_of_exchange
    known: KnownQuote | None = None
    parts: list[QuoteBars] = []
    for rows in _by_whole_intervals(view, window, interval_ns):
        quotes = stream_rows(rows, exchange)
        if not quotes.num_rows:
            continue
        if known is None:
            known = _carried_in(view, window.start_ns, [exchange], stream_rows)[exchange]
        parts.append(quote_bars_of(quotes, interval_ns, known))
        known = quote_after(quotes, known)
    return joined_quote_bars(parts)


def carried_quotes(
    view: LogView, start_ns: int, exchanges: Collection[Exchange]
) -> dict[Exchange, KnownQuote]:
    """Return each exchange's bid and ask just before an instant; None stands for quotes without an exchange."""
    return _carried_in(view, start_ns, exchanges, _rows_of_exchange)


def _by_whole_intervals(view: LogView, window: Window, interval_ns: int) -> Iterator[pa.Table]:
    """Yield the rows of an aligned window, split at interval edges, about `ROWS_AT_ONCE` at a time."""
    while window.start_ns < window.end_ns:
        end_ns = view.take_window(window, ROWS_AT_ONCE).end_ns
        end_ns = min(end_ns + -end_ns % interval_ns, window.end_ns)
        yield view.rows(Window(window.start_ns, end_ns)).select(_COLUMNS)
        window = Window(end_ns, window.end_ns)


def _carried_in(
    view: LogView, start_ns: int, exchanges: Collection[Exchange], stream_rows: StreamRows
) -> dict[Exchange, KnownQuote]:
    """Return each stream's last known quote before an instant."""
    known = dict.fromkeys(exchanges, NO_QUOTE)
    incomplete = set(exchanges)
    for rows in _looked_back(view, start_ns) if incomplete else ():
        for exchange in incomplete:
            known[exchange] = known[exchange].or_else(quote_after(stream_rows(rows, exchange)))
        incomplete = {exchange for exchange in incomplete if not known[exchange].is_two_sided}
        if not incomplete:
            break
    return known


def _looked_back(view: LogView, start_ns: int) -> Iterator[pa.Table]:
    """Yield the rows of the last `DATES_LOOKED_BACK` dates with rows before an instant, last rows first."""
    seen: set[int] = set()
    for rows in rows_backwards(view, start_ns):
        dates = rows.column("timestamp").to_numpy() // DAY_NS
        seen.update(np.unique(dates).tolist())
        if len(seen) > DATES_LOOKED_BACK:
            oldest = sorted(seen)[-DATES_LOOKED_BACK]
            yield rows.select(_COLUMNS).slice(int(dates.searchsorted(oldest)))
            return
        yield rows.select(_COLUMNS)


def _all_rows(rows: pa.Table, _: Exchange) -> pa.Table:
    return rows


def _rows_of_exchange(rows: pa.Table, exchange: Exchange) -> pa.Table:
    column = rows.column("exchange")
    return rows.filter(pc.is_null(column) if exchange is None else pc.equal(column, exchange))
