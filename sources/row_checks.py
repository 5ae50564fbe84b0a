"""Checks rows that a source gave, before they are stored."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from store.arrays import Floats, Integers
from store.declarations import Dataset
from store.timestamps import format_timestamp
from trades.batches.validation import TypedColumn, row_errors, validate_columns

FAR_PERCENT = 20
"""A price that differs by more than this from the prices beside a gap is worth a warning."""
_PRICES = {"trades": ("price",), "quotes": ("bid", "ask"), "bars": ("open", "high", "low", "close")}


class CheckedRows(NamedTuple):
    """Rows as they are to be stored.

    left_out: the times of those that break a rule of the dataset, 0 for a missing one. wrong: names the first, or "".
    """

    rows: pa.RecordBatch
    left_out: Integers
    wrong: str = ""


def rows_checked(rows: pa.RecordBatch, dataset: Dataset, *, allows_nonpositive: bool) -> CheckedRows:
    """Leave out the rows that break a rule of the dataset.

    allows_nonpositive: whether the instrument's prices may be zero or less.
    """
    columns = {name: TypedColumn(rows.column(name)) for name in dataset.schema.names}
    values, broken = validate_columns(dataset, columns, allows_nonpositive=lambda: allows_nonpositive)
    if not broken:
        checked = pa.record_batch([values[name] for name in dataset.schema.names], schema=dataset.schema)
        return CheckedRows(checked, np.zeros(0, np.int64))
    error = row_errors(broken, limit=1)[0]
    is_wrong = np.logical_or.reduce([each.rows for each in broken])
    rest = rows_checked(rows.filter(pa.array(~is_wrong)), dataset, allows_nonpositive=allows_nonpositive)
    left_out = pc.fill_null(rows.column(0), 0).to_numpy()[is_wrong]
    return CheckedRows(
        rest.rows, left_out, f"{_place(rows, error.row)} {error.column or 'the row'} {error.message}"
    )


def far_price(rows: pa.RecordBatch, dataset: Dataset, beside: Sequence[float]) -> str:
    """Return a sentence that names the first row with a price far from all prices beside the gap; "" if there is none.

    beside: the last price before the gap and the first one after it. With fewer than two above zero nothing is far.
    """
    sides = [price for price in beside if price > 0]
    if len(sides) < 2 or not rows.num_rows:
        return ""
    far = np.zeros(rows.num_rows, dtype=bool)
    for name in _PRICES.get(dataset.name, ()):
        prices: Floats = rows.column(name).to_numpy(zero_copy_only=False)
        # A missing price is NaN, which is not far from anything.
        far |= np.logical_and.reduce([np.abs(prices - side) > side * FAR_PERCENT / 100 for side in sides])
    text = f"differs by more than {FAR_PERCENT} % from the prices beside the gap"
    return f"{_place(rows, int(far.argmax()))} {text}" if far.any() else ""


def _place(rows: pa.RecordBatch, row: int) -> str:
    instant = pc.fill_null(rows.column(0), 0)[row].as_py()
    return f"row {row:,}, {format_timestamp(instant)},"
