"""Rows with their positions, and the sources from which pages and streams read rows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import pyarrow as pa

from stats.cursors import RowPosition
from stats.rendering.table import ColumnRole, OutColumn, Table
from store.arrays import Integers
from store.protocol import Window

# While windows have too few rows, each further window is made for four times as many rows, up to this number.
# A larger window could have too many rows after a gap.
_MOST_AHEAD = 1 << 16


@dataclass(frozen=True, slots=True)
class Rows:
    """A table and the positions of its rows, ascending. symbol_index, time_ns, ordinal: see `RowPosition`."""

    table: Table
    symbol_index: Integers
    time_ns: Integers
    ordinal: Integers

    def __len__(self) -> int:
        return len(self.time_ns)

    def __getitem__(self, part: slice) -> "Rows":
        start, end, _ = part.indices(len(self))
        if (start, end) == (0, len(self)):
            return self
        return Rows(
            self.table.slice(start, end), self.symbol_index[part], self.time_ns[part], self.ordinal[part]
        )

    def position(self, row: int) -> RowPosition:
        """Return the position of a row; -1 is the last row."""
        return RowPosition(int(self.symbol_index[row]), int(self.time_ns[row]), int(self.ordinal[row]))

    def row_of(self, position: RowPosition) -> int:
        """Return the number of rows before a position. All rows must belong to one symbol."""
        first, end = np.searchsorted(self.time_ns, [position.time_ns, position.time_ns + 1]).tolist()
        return int(first) + int(np.searchsorted(self.ordinal[first:end], position.ordinal))

    @classmethod
    def of(cls, table: Table, time_ns: Integers) -> "Rows":
        """Return a table of one symbol with its rows' positions.

        The table must be ordered by time and have all rows of its first time.
        """
        zeros = np.zeros(len(time_ns), np.int64)
        changes = np.flatnonzero(time_ns[1:] != time_ns[:-1]) + 1
        if len(changes) >= len(time_ns) - 1:
            return cls(table, zeros, time_ns, zeros)
        starts = np.concatenate([[0], changes])
        ordinal = np.arange(len(time_ns)) - np.repeat(starts, np.diff(np.append(starts, len(time_ns))))
        return cls(table, zeros, time_ns, ordinal)


def joined(columns: Sequence[OutColumn], parts: Sequence[Rows]) -> Rows:
    """Concatenate the parts. columns: the columns of the result, also if no part has rows."""
    parts = [part for part in parts if len(part)]
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return Rows.of(Table.empty(columns), np.empty(0, np.int64))
    return Rows(
        Table(tuple(columns), pa.concat_tables([part.table.plain().data for part in parts])),
        symbol_index=np.concatenate([part.symbol_index for part in parts]),
        time_ns=np.concatenate([part.time_ns for part in parts]),
        ordinal=np.concatenate([part.ordinal for part in parts]),
    )


class RowSource(Protocol):
    """Rows ordered by position, at fixed commits."""

    @property
    def columns(self) -> tuple[OutColumn, ...]: ...

    def after(self, position: RowPosition | None, count: int) -> Rows:
        """Return the first `count` rows at or after a position; None for the start."""
        ...

    def before(self, position: RowPosition | None, count: int) -> Rows:
        """Return the last `count` rows before a position, ascending; None for the end."""
        ...

    def total_estimate(self) -> int:
        """Return an upper bound of the number of rows."""
        ...


class WindowReader(Protocol):
    """Reads the rows of any window of one symbol.

    A unit is an interval of a grid, or an instant for ticks. Windows start and end at the start of a unit.
    """

    @property
    def columns(self) -> tuple[OutColumn, ...]: ...

    @property
    def window(self) -> Window:
        """The window of the query."""
        ...

    def floor(self, time_ns: int) -> int:
        """Return the start of the unit of a row with this time."""
        ...

    def part(self, window: Window, count: int, *, from_end: bool) -> Window:
        """Return a part of the window with about `count` rows, at its start or its end."""
        ...

    def rows(self, window: Window) -> Rows:
        """Return the rows in a window."""
        ...

    def total_estimate(self) -> int:
        """Return an upper bound of the number of rows."""
        ...


@dataclass(frozen=True, slots=True)
class WindowedSource:
    """Reads rows window by window until there are enough. If one window has too few rows, the next is larger."""

    reader: WindowReader

    @property
    def columns(self) -> tuple[OutColumn, ...]:
        return self.reader.columns

    def total_estimate(self) -> int:
        return self.reader.total_estimate()

    def after(self, position: RowPosition | None, count: int) -> Rows:
        parts: list[Rows] = []
        window, missing = self.reader.window, count
        start = window.start_ns if position is None else self.reader.floor(position.time_ns)
        ahead = count if position is None else count + position.ordinal
        while start < window.end_ns and missing > 0:
            part = self.reader.part(Window(start, window.end_ns), ahead, from_end=False)
            rows = self.reader.rows(part)
            first = 0 if position is None else rows.row_of(position)
            parts.append(rows[first : first + missing])
            missing -= len(parts[-1])
            start, ahead = part.end_ns, max(count, min(ahead * 4, _MOST_AHEAD))
        return joined(self.columns, parts)

    def before(self, position: RowPosition | None, count: int) -> Rows:
        parts: list[Rows] = []
        window, missing = self.reader.window, count
        end = window.end_ns if position is None else self._end_of(position)
        ahead = count
        while end > window.start_ns and missing > 0:
            part = self.reader.part(Window(window.start_ns, end), ahead, from_end=True)
            rows = self.reader.rows(part)
            row_end = len(rows) if position is None else rows.row_of(position)
            parts.insert(0, rows[max(row_end - missing, 0) : row_end])
            missing -= len(parts[0])
            end, ahead = part.start_ns, max(count, min(ahead * 4, _MOST_AHEAD))
        return joined(self.columns, parts)

    def _end_of(self, position: RowPosition) -> int:
        """Return the end of a window that contains all rows before a position.

        The window may also contain later rows of the position's unit.
        """
        floor = self.reader.floor(position.time_ns)
        if not position.ordinal and floor == position.time_ns:
            return floor
        unit = self.reader.part(Window(floor, self.reader.window.end_ns), 1, from_end=False)
        return unit.end_ns


@dataclass(frozen=True, slots=True)
class ChainedSource:
    """The rows of several symbols, one symbol after the other in the query's order, with a column `symbol`."""

    symbols: tuple[str, ...]
    sources: tuple[RowSource, ...]

    @property
    def columns(self) -> tuple[OutColumn, ...]:
        # A column has integers only if it has integers for every symbol.
        shared = (
            replace(columns[0], is_integer=all(column.is_integer for column in columns))
            for columns in zip(*(source.columns for source in self.sources), strict=True)
        )
        return (OutColumn("symbol", ColumnRole.TEXT), *shared)

    def total_estimate(self) -> int:
        return sum(source.total_estimate() for source in self.sources)

    def after(self, position: RowPosition | None, count: int) -> Rows:
        parts, columns = list[Rows](), self.columns
        first = 0 if position is None else position.symbol_index
        for index in range(first, len(self.sources)):
            start = position if index == first else None
            parts.append(self._with_symbol(index, self.sources[index].after(start, count), columns))
            count -= len(parts[-1])
            if count <= 0:
                break
        return joined(columns, parts)

    def before(self, position: RowPosition | None, count: int) -> Rows:
        parts, columns = list[Rows](), self.columns
        last = len(self.sources) - 1 if position is None else position.symbol_index
        for index in range(last, -1, -1):
            end = position if index == last else None
            parts.insert(0, self._with_symbol(index, self.sources[index].before(end, count), columns))
            count -= len(parts[0])
            if count <= 0:
                break
        return joined(columns, parts)

    def _with_symbol(self, symbol_index: int, rows: Rows, columns: tuple[OutColumn, ...]) -> Rows:
        symbol = pa.repeat(self.symbols[symbol_index], len(rows))
        table = Table(columns, rows.table.data.add_column(0, "symbol", symbol))
        return Rows(table, np.full(len(rows), symbol_index, np.int64), rows.time_ns, rows.ordinal)


@dataclass(frozen=True, slots=True)
class NewestSource:
    """The last `count` rows of a source."""

    source: RowSource
    count: int

    @property
    def columns(self) -> tuple[OutColumn, ...]:
        return self.source.columns

    def after(self, position: RowPosition | None, count: int) -> Rows:
        if position is None:
            return self.source.before(None, self.count)[:count]
        return self.source.after(position, count)

    def before(self, position: RowPosition | None, count: int) -> Rows:
        if position is None:
            return self.source.before(None, min(count, self.count))
        newest = self.source.before(None, self.count)
        if not len(newest):
            return newest
        rows = newest[: newest.row_of(position)]
        return rows[max(len(rows) - count, 0) :]

    def total_estimate(self) -> int:
        return min(self.source.total_estimate(), self.count)


@dataclass(frozen=True, slots=True)
class PageRows:
    """The rows of a page, ascending.

    earlier: the page before it in time has the last rows before this position. later: the page after it has the rows from
    this position on. None if there is no such page.
    """

    rows: Rows
    earlier: RowPosition | None
    later: RowPosition | None


def read_page(source: RowSource, position: RowPosition | None, limit: int, *, backwards: bool) -> PageRows:
    """Read the rows from a position on, with `backwards` the last rows before it; None for the start or the end."""
    if backwards:
        rows = source.before(position, limit + 1)
        has_more, rows = len(rows) > limit, rows[max(len(rows) - limit, 0) :]
        return PageRows(rows, rows.position(0) if has_more else None, position)
    rows = source.after(position, limit + 1)
    return PageRows(rows[:limit], position, rows.position(limit) if len(rows) > limit else None)
