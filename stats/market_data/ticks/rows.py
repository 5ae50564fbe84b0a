"""Rows as they were stored: trades, quotes, open interest."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pyarrow as pa

from stats.caching.keys import Irrelevant
from stats.market_data.intervals.bar_grid import BarGrid
from stats.market_data.sources.rows import Rows
from stats.rendering.table import OutColumn, Role, Table
from store.arrays import Integers, Mask
from store.declarations import Column, Dataset, Form, Kind
from store.log_views.log_view import LogView
from store.protocol import Window
from store.timestamps import DAY_NS

_ROLES = {
    Kind.TIME: Role.TIME,
    Kind.NUMBER: Role.NUMBER,
    Kind.INTEGER: Role.INTEGER,
    Kind.TEXT: Role.TEXT,
    Kind.BOOLEAN: Role.FLAG,
}
_FORM_ROLES = {Form.DATE: Role.DATE, Form.WORDS: Role.WORDS}
# Numbers that an instrument has whole or in fractions.
_VOLUMES = frozenset({"volume", "bid_size", "ask_size", "open_interest"})


def out_column(column: Column, *, whole: bool) -> OutColumn:
    """How a dataset's column is answered."""
    if column.name in _VOLUMES:
        return OutColumn(column.name, Role.VOLUME, whole)
    return OutColumn(column.name, _FORM_ROLES.get(column.form, _ROLES[column.kind]))


def out_columns(dataset: Dataset, *, whole: bool) -> tuple[OutColumn, ...]:
    """How a dataset's columns are answered, all of them in order."""
    return tuple(out_column(column, whole=whole) for column in dataset.columns)


@dataclass(frozen=True, slots=True)
class AddedColumn:
    """A column that is made of a dataset's rows."""

    column: OutColumn
    of_rows: Callable[[pa.Table], object]

    @property
    def key(self) -> str:
        """In cache keys."""
        return self.column.name


@dataclass(frozen=True, slots=True)
class WithinHours:
    """Which instants, ascending, lie in the hours asked for."""

    grid: BarGrid

    def __call__(self, time_ns: Integers) -> Mask:
        """Of each instant whether it does."""
        if not len(time_ns):
            return np.zeros(0, dtype=bool)
        spans = self.grid.hours_in(Window(int(time_ns[0]), int(time_ns[-1]) + 1))
        if not len(spans.start_ns):
            return np.zeros(len(time_ns), dtype=bool)
        place = np.searchsorted(spans.start_ns, time_ns, side="right") - 1
        return (place >= 0) & (time_ns < spans.end_ns[place])


@dataclass(frozen=True, slots=True)
class TickReader:
    """The rows of a log. window: where the range has rows. within: the hours asked for; None for all."""

    log: LogView
    window: Annotated[Window, Irrelevant("the plan's range, and where the log has rows, say it")]
    whole: bool
    within: WithinHours | None = None
    added: tuple[AddedColumn, ...] = ()

    @property
    def columns(self) -> tuple[OutColumn, ...]:
        return (
            *out_columns(self.log.dataset, whole=self.whole),
            *(added.column for added in self.added),
        )

    def floor(self, time_ns: int) -> int:
        return time_ns

    def part(self, window: Window, count: int, *, from_end: bool) -> Window:
        return self.log.take_window(window, count, from_end=from_end)

    def rows(self, window: Window) -> Rows:
        stored = self.log.rows(window)
        time_ns = stored.column(0).to_numpy()
        if self.within is not None:
            inside = self.within(time_ns)
            stored, time_ns = stored.filter(pa.array(inside)), time_ns[inside]
        values = {name: stored.column(name) for name in stored.column_names}
        for column in self.columns:
            if column.role is Role.DATE:
                values[column.name] = np.floor_divide(stored.column(column.name).to_numpy(), DAY_NS)
        values |= {added.column.name: added.of_rows(stored) for added in self.added}
        return Rows.of(Table.of(self.columns, values), time_ns)

    def total_estimate(self) -> int:
        return self.log.row_bound(self.window)
