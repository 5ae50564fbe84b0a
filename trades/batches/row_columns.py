"""The rows of a body as columns, and the one judge of such columns, whatever format they come from."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from store.declarations import Column
from trades.batches.row_batch import BatchOptions
from trades.batches.validation import SYMBOL, RowError, TypedColumn, row_errors, validate_columns
from web.requests.exceptions import ERRORS_LIMIT, MalformedDocument
from web.requests.work import WorkKind, count_work


@dataclass(frozen=True, slots=True)
class RowColumns:
    """The rows of a body, as columns.

    names: the columns that the body has. count: its rows. typed: converts one of these columns; raises `BatchRefused` if its
    type is wrong. row_errors: of rows as wholes, in any order. numbers: the number in the body of each row of the columns, if
    values that are no rows were left out. is_counted: whether decoding has counted the rows as work. symbols: the distinct
    symbols, if decoding has proved them valid; then there is no column of them.
    """

    names: Sequence[str]
    count: int
    typed: Callable[[Column], TypedColumn]
    row_errors: Sequence[RowError] = ()
    numbers: Sequence[int] | None = None
    is_counted: bool = False
    symbols: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class JudgedRows:
    """Rows as they are stored, by column, with the distinct symbols and the first errors, by row and column."""

    count: int
    columns: Mapping[str, pa.Array]
    symbols: Sequence[str]
    errors: Sequence[RowError]


def rows_judge(rows: RowColumns, options: BatchOptions) -> JudgedRows:
    """Return the rows, with at most `ERRORS_LIMIT` errors. Raises `BatchRefused` for a column of a wrong type."""
    if not rows.is_counted:
        count_work(WorkKind.ROWS, rows.count)
    typed = {column.name: _typed(rows, options, column) for column in options.dataset.columns}
    symbols: Sequence[Any] | None = rows.symbols
    if symbols is None:
        typed[SYMBOL.name] = _typed(rows, options, SYMBOL)
        symbols = typed[SYMBOL.name].values.unique().to_pylist()
    numbers = range(rows.count) if rows.numbers is None else rows.numbers
    wrong = {error.row for error in rows.row_errors}
    values, broken = validate_columns(
        options.dataset,
        typed,
        allows_nonpositive=lambda: options.allows_nonpositive(symbols),
        skipped=[index for index, number in enumerate(numbers) if number in wrong] if wrong else (),
    )
    if not broken and not wrong:
        return JudgedRows(rows.count, values, symbols, ())
    errors = [replace(error, row=numbers[error.row]) for error in row_errors(broken)]
    errors = sorted([*errors, *rows.row_errors], key=lambda error: error.row)
    return JudgedRows(rows.count, values, symbols, errors[:ERRORS_LIMIT])


def check_not_repeated(names: Sequence[str]) -> None:
    """Raise `MalformedDocument` for a column that is named twice."""
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise MalformedDocument("duplicate_key", f"the column {twice[:64]!r} is named twice")


def _typed(rows: RowColumns, options: BatchOptions, column: Column) -> TypedColumn:
    if column.name in rows.names:
        return rows.typed(column)
    return TypedColumn(options.absent_column(column, rows.count))
