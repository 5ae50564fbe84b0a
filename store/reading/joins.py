"""The reader's as-of joins of two datasets, and the last trades of many symbols."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from store import lazy_pyarrow as pa
from store.datasets import TRADES
from store.declarations import Dataset
from store.log_views.asof_join import AsOfJoin, joined_dataset
from store.log_views.last_rows import RowView
from store.protocol import Window
from store.reading.arguments import (
    InstantArgument,
    IntervalArgument,
    age_ns,
    exact_window,
    instant_ns,
)
from store.reading.columns import Columns, select
from store.reading.exceptions import InvalidInterval
from store.reading.panel import CrossSection, cross_section_of
from store.reading.rows import RowReader, Rows, dataset_named


class JoinReader(RowReader):
    """A reader of rows by dataset, and of joins of two datasets."""

    def asof_join(
        self,
        left: str,
        right: str,
        symbol: str,
        start: InstantArgument | None = None,
        end: InstantArgument | None = None,
        *,
        lag: IntervalArgument = 0,
        tolerance: IntervalArgument | None = None,
        right_symbol: str | None = None,
        columns: Sequence[str] | None = None,
        as_of: InstantArgument | None = None,
        knowledge: str = "now",
        frame: bool = False,
    ) -> Rows:
        """Return the left dataset's rows in `[start, end)`, each with the last right row at or before it.

        The rule is that of `pandas.merge_asof`, backward and with exact matches. The right row may be from before
        `start`. Right columns whose names the left side has are prefixed: `quote_timestamp`. They are null without
        a right row. lag, tolerance: a right row counts only if it is at least and at most this old; `lag="1ns"`
        excludes rows of the same instant. right_symbol: by default `symbol`. columns: those to return besides event
        time, by their names in the answer. knowledge: with `then` each left row, and the right row at its time less
        the lag, are as they were known at that time plus `settle`.
        """
        left_set, right_set = dataset_named(left), dataset_named(right)
        dataset = joined_dataset(left_set, right_set)
        names = [column.name for column in dataset.columns] if columns is None else select(dataset, columns)
        rows = self._view(left_set, symbol, as_of, knowledge).rows(exact_window(start, end))
        join = self._join(
            self._view_or_empty(right_set, right_symbol or symbol, as_of, knowledge), lag, tolerance
        )
        found = join.columns_of(join.rows_at(rows.column(0).to_numpy()), left_set, names)
        return joined_rows(dataset, rows, found, names, frame=frame)

    def cross_section(
        self,
        at: InstantArgument,
        symbols: Sequence[str] | str | None = None,
        *,
        tolerance: IntervalArgument | None = None,
        as_of: InstantArgument | None = None,
        knowledge: str = "now",
        frame: bool = False,
    ) -> CrossSection | Any:
        """Return each symbol's last trade at or before an instant.

        symbols: None means all symbols, `"@NAME"` the members of a universe at the instant. tolerance: a trade counts
        only if it is at most this old; None for any age. Without such a trade price and volume are NaN, also for a symbol
        without trades. knowledge: `then` for trades, and members, as they were known at the instant plus `settle`.
        """
        at_ns = instant_ns(at)
        universe = self._universe(symbols, Window(at_ns, at_ns + 1), as_of, knowledge)
        instants = np.array([at_ns])
        found = [
            self._join(self._view_or_empty(TRADES, symbol, as_of, knowledge), 0, tolerance).rows_at(instants)
            for symbol in universe
        ]
        section = cross_section_of(universe, found)
        return section.frame() if frame else section

    def _join(self, right: RowView, lag: IntervalArgument, tolerance: IntervalArgument | None) -> AsOfJoin:
        lag_ns, tolerance_ns = age_ns(lag), None if tolerance is None else age_ns(tolerance)
        if tolerance_ns is not None and tolerance_ns < lag_ns:
            raise InvalidInterval("tolerance must not be shorter than lag")
        return AsOfJoin(right, lag_ns, tolerance_ns)


def joined_rows(
    dataset: Dataset, rows: pa.Table, added: dict[str, object], names: list[str], *, frame: bool
) -> Rows:
    """Return the named columns of rows and of what was joined to them. dataset: the declaration of all of them."""
    arrays = [added[name] if name in added else rows.column(name) for name in names]
    columns = Columns(dataset, pa.table(arrays, names=names))
    return columns.frame() if frame else columns
