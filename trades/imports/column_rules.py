"""What rows may be, checked for whole columns at once by the rules of all formats; a sentence for each."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from store.arrays import Mask
from store.declarations import Column, Dataset, Form, Kind
from trades.batches.row_batch import ID_LENGTH, WORDS_LIMIT, rows_breaking
from trades.formats.columns import Typed, checked

_OUT_OF_RANGE = "must be a finite number of at most 2^53"
_MESSAGES = {
    Kind.TIME: "years from 1900 to 2200 can be stored",
    Kind.INTEGER: "must be between 0 and 2^53",
    Kind.TEXT: f"must be 1-{ID_LENGTH} visible ASCII characters without spaces",
}


@dataclass(frozen=True, slots=True)
class Broken:
    """A rule that rows break: the column, if it is of one, a sentence, and which rows, at least one."""

    column: str | None
    message: str
    rows: Mask


def checked_rows(
    dataset: Dataset, rows: pa.RecordBatch, any_price: Callable[[], Mask]
) -> tuple[pa.RecordBatch, list[Broken]]:
    """The rows as they are stored, and every rule that one breaks; columns are typed and may hold nulls.

    any_price: tells of which rows the prices may be zero or less; it is asked only if there are such.
    """
    columns = [(column, checked(column, Typed.right(rows.column(column.name)))) for column in dataset.columns]
    broken = [each for column, typed in columns for each in _broken(column, rows.column(column.name), typed)]
    if broken and (any_price_mask := any_price()).any():
        columns = [(column, _waived(column, typed, any_price_mask)) for column, typed in columns]
        broken = [
            each for column, typed in columns for each in _broken(column, rows.column(column.name), typed)
        ]
    values = {column.name: typed.values for column, typed in columns}
    if not broken:
        masks = ((rule, rows_breaking(rule, dataset, values)) for rule in dataset.rules)
        broken = [Broken(None, rule.message, mask) for rule, mask in masks if mask.any()]
    return pa.record_batch(list(values.values()), names=list(values)), broken


def _waived(column: Column, typed: Typed, any_price: Mask) -> Typed:
    """A column whose lower bound does not hold in some rows."""
    if column.above is None or not column.above.waivable:
        return typed
    unbounded = checked(replace(column, above=None), Typed.right(typed.values))
    return Typed(typed.values, np.where(any_price, unbounded.wrong, typed.wrong))


def _broken(column: Column, values: pa.Array, typed: Typed) -> Iterator[Broken]:
    if not typed.wrong.any():
        return
    absent = values.is_null().to_numpy(zero_copy_only=False)
    missing, wrong = typed.wrong & absent, typed.wrong & ~absent
    if missing.any():
        yield Broken(column.name, "is required", missing)
    if wrong.any():
        yield Broken(column.name, _message(column), wrong)


def _message(column: Column) -> str:
    if column.kind is Kind.NUMBER:
        return f"{column.above.message}, and {_OUT_OF_RANGE}" if column.above is not None else _OUT_OF_RANGE
    if column.choices:
        return f"must be one of {', '.join(column.choices)}"
    if column.form is Form.DATE:
        return "must be a date, or its midnight in UTC"
    if column.form is Form.WORDS:
        return (
            f"must be at most {WORDS_LIMIT} words separated by semicolons, each visible ASCII without spaces"
        )
    return _MESSAGES[column.kind]
