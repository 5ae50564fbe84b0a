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

# The maximum `count` when the search for rows crosses a gap. Larger windows could hold too many rows after it.
_MOST_AHEAD = 1 << 16


@dataclass(frozen=True, slots=True)
class Rows:
    """A table, and the position of each row, ascending. place, time_ns, ordinal: see `RowPosition`."""

    table: Table
    place: Integers
    time_ns: Integers
    ordinal: Integers

    def __len__(self) -> int:
        return len(self.time_ns)

    def __getitem__(self, part: slice) -> "Rows":
        start, end, _ = part.indices(len(self))
        if (start, end) == (0, len(self)):
            return self
        return Rows(self.table.slice(start, end), self.place[part], self.time_ns[part], self.ordinal[part])

    def position(self, row: int) -> RowPosition:
        """The position of a row; -1 is the last row."""
        return RowPosition(int(self.place[row]), int(self.time_ns[row]), int(self.ordinal[row]))

    def row_of(self, position: RowPosition) -> int:
        """The number of rows before a position. All rows must belong to one symbol."""
        first, end = np.searchsorted(self.time_ns, [position.time_ns, position.time_ns + 1]).tolist()
        return int(first) + int(np.searchsorted(self.ordinal[first:end], position.ordinal))

    @classmethod
    def of(cls, table: Table, time_ns: Integers) -> "Rows":
        """Number the rows of a table that is ordered by time. It must hold all rows of its first time."""
        changes = np.flatnonzero(time_ns[1:] != time_ns[:-1]) + 1
        if len(changes) >= len(time_ns) - 1:
            nothing = np.zeros(len(time_ns), np.int64)
            return cls(table, nothing, time_ns, nothing)
        starts = np.concatenate([[0], changes])
        ordinal = np.arange(len(time_ns)) - np.repeat(starts, np.diff(np.append(starts, len(time_ns))))
        return cls(table, np.zeros(len(time_ns), np.int64), time_ns, ordinal)


def joined(columns: Sequence[OutColumn], parts: Sequence[Rows]) -> Rows:
    """Concatenate the parts."""
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return Rows.of(Table.empty(columns), np.empty(0, np.int64))
    table = Table(tuple(columns), pa.concat_tables([part.table.data for part in parts]))
    return Rows(
        table,
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("place", "time_ns", "ordinal")
        ),
    )


class RowSource(Protocol):
    """Rows ordered by position, at fixed commits."""

    @property
    def columns(self) -> tuple[OutColumn, ...]: ...

    def after(self, position: RowPosition | None, count: int) -> Rows:
        """The first `count` rows at or after a position; None for the start."""
        ...

    def before(self, position: RowPosition | None, count: int) -> Rows:
        """The last `count` rows before a position, ascending; None for the end."""
        ...

    def total_estimate(self) -> int:
        """An upper bound of the number of rows."""
        ...


class WindowReader(Protocol):
    """Reads the rows of any window of one symbol.

    A unit is an interval of a grid, or an instant for ticks. Windows start and end at the start of a unit.
    """

    @property
    def columns(self) -> tuple[OutColumn, ...]: ...

    @property
    def window(self) -> Window:
        """The whole window of the query."""
        ...

    def floor(self, time_ns: int) -> int:
        """The start of the unit of a row with this time."""
        ...

    def part(self, window: Window, count: int, *, from_end: bool) -> Window:
        """A part of the window with about `count` rows, at its start or its end."""
        ...

    def rows(self, window: Window) -> Rows:
        """The rows in a window."""
        ...

    def total_estimate(self) -> int:
        """An upper bound of the number of rows."""
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
        found: list[Rows] = []
        window, wanted = self.reader.window, count
        start = window.start_ns if position is None else self.reader.floor(position.time_ns)
        ahead = count if position is None else count + position.ordinal
        while start < window.end_ns and wanted > 0:
            part = self.reader.part(Window(start, window.end_ns), ahead, from_end=False)
            rows = _from(self.reader.rows(part), position)
            found.append(rows[:wanted])
            wanted -= len(found[-1])
            start, ahead = part.end_ns, max(count, min(ahead * 4, _MOST_AHEAD))
        return joined(self.columns, [rows for rows in found if len(rows)])

    def before(self, position: RowPosition | None, count: int) -> Rows:
        found: list[Rows] = []
        window, wanted = self.reader.window, count
        end = window.end_ns if position is None else self._end_of(position)
        ahead = count
        while end > window.start_ns and wanted > 0:
            part = self.reader.part(Window(window.start_ns, end), ahead, from_end=True)
            rows = _until(self.reader.rows(part), position)
            found.insert(0, rows[max(len(rows) - wanted, 0) :])
            wanted -= len(found[0])
            end, ahead = part.start_ns, max(count, min(ahead * 4, _MOST_AHEAD))
        return joined(self.columns, [rows for rows in found if len(rows)])

    def _end_of(self, position: RowPosition) -> int:
        """The end of a window that holds all rows before a position.

        It also holds later rows if they share the position's unit.
        """
        floor = self.reader.floor(position.time_ns)
        if not position.ordinal and floor == position.time_ns:
            return floor
        unit = self.reader.part(Window(floor, self.reader.window.end_ns), 1, from_end=False)
        return unit.end_ns


@dataclass(frozen=True, slots=True)
class ChainedSource:
    """The rows of several symbols, in the query's order, with a column `symbol`."""

    symbols: tuple[str, ...]
    sources: tuple[RowSource, ...]

    @property
    def columns(self) -> tuple[OutColumn, ...]:
        of_sources = zip(*(source.columns for source in self.sources), strict=True)
        return (OutColumn("symbol", ColumnRole.TEXT), *(_of_all(columns) for columns in of_sources))

    def total_estimate(self) -> int:
        return sum(source.total_estimate() for source in self.sources)

    def after(self, position: RowPosition | None, count: int) -> Rows:
        found: list[Rows] = []
        for place in range(position.symbol_index if position else 0, len(self.sources)):
            at = position if position is not None and position.symbol_index == place else None
            found.append(self._named(place, self.sources[place].after(at, count)))
            count -= len(found[-1])
            if count <= 0:
                break
        return joined(self.columns, [rows for rows in found if len(rows)])

    def before(self, position: RowPosition | None, count: int) -> Rows:
        found: list[Rows] = []
        for place in range(position.symbol_index if position else len(self.sources) - 1, -1, -1):
            at = position if position is not None and position.symbol_index == place else None
            found.insert(0, self._named(place, self.sources[place].before(at, count)))
            count -= len(found[0])
            if count <= 0:
                break
        return joined(self.columns, [rows for rows in found if len(rows)])

    def _named(self, place: int, rows: Rows) -> Rows:
        symbol = pa.repeat(self.symbols[place], len(rows))
        data = rows.table.data.add_column(0, "symbol", symbol)
        return Rows(
            Table(self.columns, data), np.full(len(rows), place, np.int64), rows.time_ns, rows.ordinal
        )


def _of_all(columns: Sequence[OutColumn]) -> OutColumn:
    """One column for the values of all symbols. It has integers only if every symbol's column has."""
    return replace(columns[0], is_integer=all(column.is_integer for column in columns))


def _from(rows: Rows, position: RowPosition | None) -> Rows:
    return rows if position is None else rows[rows.row_of(position) :]


def _until(rows: Rows, position: RowPosition | None) -> Rows:
    return rows if position is None else rows[: rows.row_of(position)]


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
