"""As-of joins: each row of a log with the last row of another log, or of rows made from one, at or before it.

The rule is that of `pandas.merge_asof` with `direction="backward"` and `allow_exact_matches=True`. Of several
right rows of one instant the last by (sequence, arrival) is taken.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from store.arrays import Integers
from store.declarations import Dataset
from store.log_views.last_rows import LastRows, RowView, last_rows_at
from store.protocol import ALL_TIME


@dataclass(frozen=True, slots=True)
class AsOfJoin:
    """Finds rows of the right side.

    lag_ns: a row counts only if it is at least this old. tolerance_ns: and at most this old, at least `lag_ns`; None
    for any age. With a lag of one nanosecond rows of the same instant do not count.
    """

    right: RowView
    lag_ns: int
    tolerance_ns: int | None

    def rows_at(self, instants: Integers) -> LastRows:
        """Return the last row at each of the ascending instants, nanoseconds UTC."""
        oldest_ns = ALL_TIME.end_ns - ALL_TIME.start_ns if self.tolerance_ns is None else self.tolerance_ns
        return last_rows_at(self.right, instants - self.lag_ns, reach_ns=oldest_ns - self.lag_ns)

    def columns_of(
        self, found: LastRows, left: Dataset, names: Collection[str] | None = None
    ) -> dict[str, Any]:
        """Return the columns of the rows that were found as Arrow arrays, null without a row, by their joined name.

        names: only these joined names; None for all.
        """
        return {
            joined: found.values(column)
            for column, joined in joined_names(left, self.right.dataset).items()
            if names is None or joined in names
        }


def joined_names(left: Dataset, right: Dataset) -> dict[str, str]:
    """Return the names of the right columns in a join. A name that the left side has gets a prefix: `quote_timestamp`."""
    taken = {column.name for column in left.columns}
    return {
        column.name: f"{right.row_name}_{column.name}" if column.name in taken else column.name
        for column in right.columns
    }


def joined_dataset(left: Dataset, right: Dataset) -> Dataset:
    """Return the declaration of joined rows: the left columns, then the right ones, which may be null."""
    names = joined_names(left, right)
    right_columns = (replace(column, name=names[column.name], required=False) for column in right.columns)
    return Dataset(name=f"{left.name} joined with {right.name}", columns=(*left.columns, *right_columns))
