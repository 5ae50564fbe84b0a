"""Reads bars by the terms of the instrument that were declared at their end."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from calendars.exceptions import NoExchange, UnknownExchange
from stats.market_data.intervals.windows import grid_of
from stats.market_data.plan import SymbolQuery
from stats.market_data.rows import Rows, WindowReader, joined
from stats.rendering.table import OutColumn, Table
from store.arrays import Integers, Mask
from store.instruments import Instrument
from store.log_views.bar_grid import BarGrid
from store.protocol import Window

# Returns the reader by other terms.
ReaderOf = Callable[[Instrument, BarGrid], WindowReader]


@dataclass(frozen=True, slots=True)
class TermsPiece:
    """A reader by the terms of a period: of bars of the grid that end in `[from_ns, until_ns)`."""

    reader: WindowReader
    grid: BarGrid
    from_ns: int
    until_ns: int

    def rows(self, window: Window) -> Rows | None:
        """Return the period's bars with a time in the window; None if it ended before, or begins after the window."""
        own = self.grid.aligned(window.start_ns, window.end_ns)
        if self.until_ns <= own.start_ns or self.from_ns > own.end_ns:
            return None
        rows = self.reader.rows(own)
        ends_ns, _ = self.grid.ends_and_dates(rows.time_ns, own)
        inside = (rows.time_ns >= window.start_ns) & (rows.time_ns < window.end_ns)
        return _filtered(rows, inside & (ends_ns >= self.from_ns) & (ends_ns < self.until_ns))


@dataclass(frozen=True, slots=True)
class TermsReader:
    """Reads each bar by the terms of its end. newest: the reader by the last terms."""

    newest: WindowReader
    pieces: tuple[TermsPiece, ...]

    @property
    def columns(self) -> tuple[OutColumn, ...]:
        return self.newest.columns

    @property
    def window(self) -> Window:
        return self.newest.window

    def floor(self, time_ns: int) -> int:
        return self.newest.floor(time_ns)

    def part(self, window: Window, count: int, *, from_end: bool) -> Window:
        return self.newest.part(window, count, from_end=from_end)

    def rows(self, window: Window) -> Rows:
        """Return the rows by time. If the hours changed, two bars may have one time; the older terms' stays."""
        parts: list[Rows] = []
        times: Integers = np.empty(0, np.int64)
        for piece in self.pieces:
            rows = piece.rows(window)
            if rows is not None:
                parts.append(_filtered(rows, ~np.isin(rows.time_ns, times)))
                times = np.append(times, rows.time_ns)
        rows = joined(self.columns, parts)
        return (
            rows
            if (np.diff(rows.time_ns) >= 0).all()
            else _taken(rows, np.argsort(rows.time_ns, kind="stable"))
        )

    def total_estimate(self) -> int:
        return self.newest.total_estimate()


def bars_by_terms(symbol_query: SymbolQuery, newest: WindowReader, reader_of: ReaderOf) -> WindowReader:
    """Return a reader of each bar by the terms of its end. newest: that by the last terms."""
    terms = symbol_query.terms
    if len(terms) == 1:
        return newest
    pieces = []
    for period in terms:
        grid = _grid_then(symbol_query, period.instrument)
        reader = reader_of(period.instrument, grid)
        pieces.append(TermsPiece(reader, grid, period.from_ns, period.until_ns))
    return TermsReader(newest, tuple(pieces))


def _grid_then(symbol_query: SymbolQuery, instrument: Instrument) -> BarGrid:
    """Return the grid by an instrument's terms; by the last hours if its own do not allow the query."""
    try:
        return grid_of(replace(symbol_query, instrument=instrument))
    except (NoExchange, UnknownExchange):
        return grid_of(symbol_query)


def _filtered(rows: Rows, mask: Mask) -> Rows:
    return rows if mask.all() else _taken(rows, np.flatnonzero(mask))


def _taken(rows: Rows, index: Integers) -> Rows:
    table = Table(rows.table.columns, rows.table.data.take(pa.array(index)))
    return Rows(table, rows.symbol_index[index], rows.time_ns[index], rows.ordinal[index])
