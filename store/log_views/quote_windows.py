"""Quote bars of a window; the first bar opens at the last quote before the window.

A *stream* is a series of quotes that makes bars of its own: the quotes of one exchange, or all quotes of a
log.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import TypeAlias

import numpy as np

from store import lazy_pyarrow as pa
from store.arrays import Integers, Mask
from store.bars.quote_bars import (
    NO_QUOTE,
    KnownQuote,
    QuoteBars,
    merged_quote_bars,
    quote_after,
    quote_bars_of,
)
from store.lazy_imports import compute as pc
from store.log_views.bar_grid import BarGrid
from store.log_views.log_view import ROWS_AT_ONCE, LogView, rows_backwards
from store.log_views.session_spans import OUTSIDE
from store.protocol import Window
from store.timestamps import DAY_NS

# The last quote before a window is searched on this many dates that have quotes. A side without a quote on them counts
# as never quoted.
DATES_LOOKED_BACK = 10

# The exchange of a stream. None means the quotes without an exchange; in `windowed_quote_bars` it means all
# quotes.
Exchange: TypeAlias = str | None
# Returns those of the rows that belong to a stream.
_StreamRows: TypeAlias = "Callable[[pa.Table, Exchange], pa.Table]"

_COLUMNS = ["timestamp", "bid", "bid_size", "ask", "ask_size", "exchange"]


def windowed_quote_bars(view: LogView, window: Window, grid: BarGrid, exchange: Exchange) -> QuoteBars:
    """Return a grid's quote bars in an aligned window. exchange: None means all quotes as one stream."""
    stream_rows = _all_rows if exchange is None else _rows_of_exchange
    known: KnownQuote | None = None
    parts: list[QuoteBars] = []
    for part in whole_intervals(view, window, grid):
        quotes = stream_rows(view.rows(part).select(_COLUMNS), exchange)
        if not quotes.num_rows:
            continue
        if known is None:
            known = _carried_in(view, window.start_ns, [exchange], stream_rows)[exchange]
        parts.append(_bars_on_grid(quotes, grid, part, known))
        known = quote_after(quotes, known)
    return QuoteBars.joined(parts)


def quote_bars_by_exchange(
    view: LogView, window: Window, grid: BarGrid
) -> Iterator[tuple[Exchange, QuoteBars]]:
    """Yield each exchange's name and bars in an aligned window, ordered by name. The whole window is in memory."""
    quotes = view.rows(window).select(_COLUMNS)
    names = exchanges_of(quotes)
    carried = carried_quotes(view, window.start_ns, names)
    for name in names:
        yield name, _bars_on_grid(_rows_of_exchange(quotes, name), grid, window, carried[name])


def _bars_on_grid(quotes: pa.Table, grid: BarGrid, window: Window, known: KnownQuote) -> QuoteBars:
    """Return the bars of ordered quotes in an aligned window; known: the quote before it.

    Quotes outside the grid's hours make no bar, but the next bar opens at the last of them.
    """
    if grid.is_plain:
        return quote_bars_of(quotes, grid.resolution.length_ns, known)
    labels = grid.labels_of(quotes.column("timestamp").to_numpy(), window)
    bars = quote_bars_of(quotes.set_column(0, "timestamp", pa.array(labels)), 1, known)
    return merged_quote_bars(bars[bars.time_ns != OUTSIDE])


def carried_quotes(
    view: LogView, start_ns: int, exchanges: Collection[Exchange]
) -> dict[Exchange, KnownQuote]:
    """Return each exchange's bid and ask just before an instant; None stands for quotes without an exchange."""
    return _carried_in(view, start_ns, exchanges, _rows_of_exchange)


def whole_intervals(view: LogView, window: Window, grid: BarGrid) -> Iterator[Window]:
    """Yield an aligned window in parts of whole intervals with about `ROWS_AT_ONCE` rows each."""
    while window.start_ns < window.end_ns:
        end_ns = view.take_window(window, ROWS_AT_ONCE).end_ns
        end_ns = min(grid.aligned(end_ns - 1, end_ns).end_ns, window.end_ns)
        yield Window(window.start_ns, end_ns)
        window = Window(end_ns, window.end_ns)


def _carried_in(
    view: LogView, start_ns: int, exchanges: Collection[Exchange], stream_rows: _StreamRows
) -> dict[Exchange, KnownQuote]:
    """Return each stream's last known quote before an instant."""
    known = dict.fromkeys(exchanges, NO_QUOTE)
    incomplete = set(exchanges)
    for rows in looked_back(view, start_ns, view.rows) if incomplete else ():
        for exchange in incomplete:
            known[exchange] = known[exchange].or_else(quote_after(stream_rows(rows, exchange)))
        incomplete = {exchange for exchange in incomplete if not known[exchange].is_two_sided}
        if not incomplete:
            break
    return known


def looked_back(view: LogView, start_ns: int, read: Callable[[Window], pa.Table]) -> Iterator[pa.Table]:
    """Yield the rows of the last `DATES_LOOKED_BACK` dates with rows before an instant, last rows first.

    read: `view.rows` or `view.versions`.
    """
    seen: set[int] = set()
    for rows in rows_backwards(view, start_ns, read=read):
        dates = rows.column("timestamp").to_numpy() // DAY_NS
        seen.update(np.unique(dates).tolist())
        if len(seen) > DATES_LOOKED_BACK:
            oldest = sorted(seen)[-DATES_LOOKED_BACK]
            yield rows.slice(int(dates.searchsorted(oldest)))
            return
        yield rows


def exchanges_of(quotes: pa.Table) -> list[Exchange]:
    """Return the exchanges of quotes, ordered; None for quotes without one is first."""
    return sorted(pc.unique(quotes.column("exchange")).to_pylist(), key=lambda each: each or "")


def rows_by_exchange(quotes: pa.Table) -> dict[Exchange, Integers]:
    """Return the indices of each exchange's quotes, ascending, by exchange, ordered as in `exchanges_of`."""
    coded = pc.dictionary_encode(quotes.column("exchange"), null_encoding="encode").combine_chunks()
    codes, names = coded.indices.to_numpy(), coded.dictionary.to_pylist()
    ends = np.cumsum(np.bincount(codes, minlength=len(names)))[:-1]
    rows = np.split(np.argsort(codes, kind="stable"), ends) if names else []
    return dict(sorted(zip(names, rows, strict=True), key=lambda each: each[0] or ""))


def _all_rows(rows: pa.Table, _: Exchange) -> pa.Table:
    """The stream of all quotes."""
    return rows


def _rows_of_exchange(rows: pa.Table, exchange: Exchange) -> pa.Table:
    """The stream of an exchange's quotes."""
    return rows.filter(pa.array(is_of_exchange(rows, exchange)))


def is_of_exchange(rows: pa.Table, exchange: Exchange) -> Mask:
    """Return whether each quote is of the exchange."""
    column = rows.column("exchange")
    found = pc.is_null(column) if exchange is None else pc.equal(column, exchange).fill_null(False)
    mask: Mask = found.to_numpy()
    return mask
