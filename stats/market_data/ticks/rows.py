"""Rows as they were stored: trades, quotes, open interest."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from stats.market_data.pinning.logs import PinnedLog
from stats.market_data.sources.rows import Rows
from stats.rendering.table import OutColumn, Role, Table
from store.arrays import Integers, Mask
from store.declarations import Column, Dataset, Form, Kind
from store.protocol import Window
from store.timestamps import DAY_NS
from trades.stores import market_store

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


@dataclass(frozen=True, slots=True)
class TickReader:
    """The rows of a log. within: which instants are asked for; None for all."""

    log: PinnedLog
    window: Window
    whole: bool
    within: Callable[[Integers], Mask] | None = None
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
        if self.log.is_empty:
            return window
        return market_store().take_window(
            self.log.dataset, self.log.symbol, window, count, from_end=from_end, at=self.log.at.number
        )

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
