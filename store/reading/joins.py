"""The as-of join of two datasets: each left row with the last right row at or before it, as `pandas.merge_asof`."""

from __future__ import annotations

from dataclasses import replace

from store import lazy_pyarrow as pa
from store.declarations import Dataset
from store.log_views.last_rows import last_rows_at
from store.log_views.log_view import LogView
from store.protocol import ALL_TIME


def joined_dataset(left: Dataset, right: Dataset) -> Dataset:
    """Return the declaration of joined rows: the left columns, then the right ones, which may be null."""
    names = _joined_names(left, right)
    right_columns = (replace(column, name=names[column.name], required=False) for column in right.columns)
    return Dataset(name=f"{left.name} joined with {right.name}", columns=(*left.columns, *right_columns))


def joined_rows(
    left: Dataset, rows: pa.Table, right: LogView, lag_ns: int, tolerance_ns: int | None
) -> pa.Table:
    """Return the left rows, each with the columns of its right row, null without one.

    lag_ns, tolerance_ns: a right row counts only if it is at least and at most this old; None for any age.
    """
    reach_ns = ALL_TIME.end_ns - ALL_TIME.start_ns if tolerance_ns is None else tolerance_ns - lag_ns
    found = last_rows_at(right, rows.column(0).to_numpy() - lag_ns, reach_ns=reach_ns)
    for name, joined in _joined_names(left, right.dataset).items():
        rows = rows.append_column(joined, found.values(name))
    return rows


def _joined_names(left: Dataset, right: Dataset) -> dict[str, str]:
    """Return the names of the right columns. A name that the left side has gets a prefix: `quote_timestamp`."""
    taken = {column.name for column in left.columns}
    return {
        column.name: f"{right.row_name}_{column.name}" if column.name in taken else column.name
        for column in right.columns
    }
