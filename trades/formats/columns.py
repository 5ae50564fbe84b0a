"""Reads a batch from columns, as CSV, Arrow and columnar MessagePack have them."""

from typing import Protocol

import pyarrow as pa

from store.declarations import ARROW_TYPES, Column
from trades.batches.refusals import refusal_of, rows_refusal
from trades.batches.row_batch import BatchOptions, RowBatch, assemble_batch, check_size
from trades.batches.validation import TypedColumn, row_errors, validate_columns
from web.requests.exceptions import ERRORS_LIMIT, FieldError, MalformedDocument
from web.requests.nearest_name import LONGEST_SHOWN, nearest_name
from web.requests.work import WorkKind, count_work


class ColumnSource(Protocol):
    """The columns of a body."""

    @property
    def names(self) -> list[str]:
        """Return the columns' names."""
        ...

    def __len__(self) -> int: ...

    def typed(self, column: Column) -> TypedColumn:
        """Return a present column. Raises `BatchRefused` if its type is wrong."""
        ...


def read_columns(source: ColumnSource, options: BatchOptions) -> RowBatch:
    """Return the batch of these columns. Raises `BatchRefused`."""
    check_names(source.names, options)
    check_size(len(source), options.dataset.name)
    count_work(WorkKind.ROWS, len(source))
    typed = {column.name: _typed(source, options, column) for column in options.columns}
    symbols = typed["symbol"].values.unique().to_pylist()
    columns, broken = validate_columns(
        options.dataset, typed, allows_nonpositive=lambda: options.allows_nonpositive(symbols)
    )
    if broken:
        raise rows_refusal(options.dataset, row_errors(broken))
    return assemble_batch(options, columns, symbols)


def check_not_repeated(names: list[str]) -> None:
    """Raise `MalformedDocument` for a column that is named twice."""
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise MalformedDocument("duplicate_key", f"the column {twice[:64]!r} is named twice")


def check_names(names: list[str], options: BatchOptions) -> None:
    """Raise `BatchRefused` for missing or unknown columns."""
    missing = [name for name in options.required if name not in names]
    unknown = [] if options.ignore_unknown else [name for name in names if name not in options.names]
    errors = [FieldError(name, "required", "the column is missing") for name in missing]
    for name in unknown[:ERRORS_LIMIT]:
        message = f"is not a column of these rows{nearest_name(name, options.names)}"
        errors.append(FieldError(name[:LONGEST_SHOWN], "unknown_field", message))
    if errors:
        raise refusal_of(errors[:ERRORS_LIMIT])


def _typed(source: ColumnSource, options: BatchOptions, column: Column) -> TypedColumn:
    """Return a column of the body. A column that the body lacks has the query's value in all rows, or nulls."""
    if column.name in source.names:
        return source.typed(column)
    given = options.given.get(column.name)
    if given is not None:
        return TypedColumn(pa.repeat(given, len(source)))
    return TypedColumn(pa.nulls(len(source), ARROW_TYPES[column.kind]))
