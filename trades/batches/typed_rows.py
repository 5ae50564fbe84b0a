"""The fast path: decodes rows by their types in one pass. Refuses a wrong batch without saying why."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Annotated, Any

import msgspec
import numpy as np
import pyarrow as pa
from msgspec import UNSET, Meta, UnsetType

from store.declarations import ARROW_TYPES, WORD_SEPARATOR, Column, ColumnForm, ColumnKind, Dataset
from store.symbols import is_symbol
from store.timestamps import Instants, InvalidTimestamp, parse_timestamps
from trades.batches.row_batch import (
    BatchOptions,
    RowBatch,
    TypedDecodeFailed,
    assemble_batch,
    check_size,
)
from trades.batches.validation import TypedColumn, columns_of, validate_columns
from trades.batches.value_rules import LARGEST_NUMBER
from web.requests.work import WorkKind, count_work

Integer = Annotated[int, Meta(ge=0, le=LARGEST_NUMBER)]
_TYPES: dict[ColumnKind, Any] = {
    ColumnKind.TIME: str,
    ColumnKind.NUMBER: float,
    ColumnKind.INTEGER: Integer,
    ColumnKind.TEXT: str,
    ColumnKind.BOOLEAN: bool,
}
_FORMS: dict[ColumnForm, Any] = {ColumnForm.ID: str | Integer, ColumnForm.WORDS: list[str]}


def value_type(column: Column, *, epoch: bool = False) -> Any:
    """Return the type of a column's values in a body. epoch: times may also be nanoseconds since the Unix epoch."""
    if epoch and column.kind is ColumnKind.TIME:
        return str | int
    return _FORMS.get(column.form, _TYPES[column.kind])


def row_struct(
    dataset: Dataset, *, given: frozenset[str], lenient: bool, epoch: bool = False
) -> type[msgspec.Struct]:
    """Return the struct of a row in a body. lenient: ignore unknown fields."""
    fields: list[Any] = []
    for column in columns_of(dataset):
        type_ = value_type(column, epoch=epoch)
        if column.required and column.name not in given:
            fields.append((column.name, type_))
        elif column.required:
            fields.append((column.name, type_ | UnsetType, UNSET))
        else:
            fields.append((column.name, type_ | UnsetType | None, UNSET))
    return msgspec.defstruct(
        "Row", fields, gc=False, kw_only=True, forbid_unknown_fields=not lenient, module=__name__
    )


def row_values(rows: Sequence[Any], names: Iterable[str]) -> dict[str, list[Any]]:
    """Return the rows' values by field; a missing value is UNSET."""
    return {name: list(map(attrgetter(name), rows)) for name in names}


def required_values(rows: Sequence[Any], options: BatchOptions) -> dict[str, Iterable[Any]]:
    """Return the values of the required fields; for the symbol only the distinct values."""
    values: dict[str, Iterable[Any]] = {name: map(attrgetter(name), rows) for name in options.required}
    # An attribute in a comprehension is faster than attrgetter.
    values["timestamp"] = [row.timestamp for row in rows]
    if "symbol" in values:
        values["symbol"] = {row.symbol for row in rows}
    return values


@dataclass(frozen=True, slots=True)
class TypedRows:
    """Some rows of a body: the columns that they have, in Arrow types, and the distinct symbols."""

    count: int
    columns: Mapping[str, pa.Array]
    symbols: frozenset[str]


def typed_rows(options: BatchOptions, values: Mapping[str, Iterable[Any]], count: int) -> TypedRows:
    """Convert typed values to columns. Raises `TypedDecodeFailed` for a wrong value."""
    present = values.keys() | options.given.keys()
    columns = {
        column.name: typed_column(column, _filled(options, column, values, count), count).values
        for column in options.dataset.columns
        if column.name in present
    }
    return TypedRows(count, columns, frozenset(values.get("symbol", ())) - {UNSET})


def typed_batch(options: BatchOptions, pieces: Sequence[TypedRows]) -> RowBatch:
    """Return the batch of the pieces' rows, in order; missing columns are null.

    Raises `TypedDecodeFailed` for a wrong value, `BatchRefused` for valid rows that do not form a batch.
    """
    dataset = options.dataset
    count = sum(piece.count for piece in pieces)
    check_size(count, dataset.name)
    count_work(WorkKind.ROWS, count)
    symbols = frozenset[str]().union(*(piece.symbols for piece in pieces))
    if not all(map(is_symbol, symbols)):
        raise TypedDecodeFailed("a text is not a symbol")
    columns = {column.name: TypedColumn(_joined(column, pieces)) for column in dataset.columns}
    stored, broken = validate_columns(
        dataset, columns, allows_nonpositive=lambda: options.allows_nonpositive(symbols)
    )
    if broken:
        raise TypedDecodeFailed(broken[0].fault.message)
    return assemble_batch(options, stored, symbols)


def _joined(column: Column, pieces: Sequence[TypedRows]) -> pa.Array:
    """Return the pieces' values of a column, null where a piece lacks it."""
    type_ = ARROW_TYPES[column.kind]
    if not any(column.name in piece.columns for piece in pieces):
        return pa.nulls(sum(piece.count for piece in pieces), type_)
    arrays = [
        piece.columns[column.name] if column.name in piece.columns else pa.nulls(piece.count, type_)
        for piece in pieces
    ]
    return arrays[0] if len(arrays) == 1 else pa.concat_arrays(arrays)


def typed_column(column: Column, values: Iterable[Any], count: int) -> TypedColumn:
    """Return a column of typed values, null where they are UNSET. Raises `TypedDecodeFailed`."""
    try:
        return TypedColumn(_column(column, values, count))
    except (InvalidTimestamp, OverflowError, UnicodeEncodeError) as error:
        raise TypedDecodeFailed(str(error)) from error


def holds_largest_number(dataset: Dataset, rows: pa.RecordBatch) -> bool:
    """Return whether any number is 2^53 or -2^53: it may be a larger integer that was rounded."""
    return any(
        is_at_largest_number(rows[column.name])
        for column in dataset.columns
        if column.kind is ColumnKind.NUMBER
    )


def is_at_largest_number(numbers: pa.Array) -> bool:
    """Return whether any number is 2^53 or -2^53."""
    return numbers.null_count < len(numbers) and bool(np.equal(np.abs(numbers), LARGEST_NUMBER).any())


def check_not_rounded(dataset: Dataset, rows: Collection[Mapping[str, Any]]) -> None:
    """Raise `TypedDecodeFailed` for integers beyond 2^53, which the typed decoder rounds to 2^53."""
    names = [column.name for column in dataset.columns if column.kind is ColumnKind.NUMBER]
    for row in rows:
        if any(isinstance(row.get(name), int) and abs(row[name]) > LARGEST_NUMBER for name in names):
            raise TypedDecodeFailed("a number is over 2^53")


def _filled(
    options: BatchOptions, column: Column, values: Mapping[str, Iterable[Any]], count: int
) -> Iterable[Any]:
    """Return a column's values; rows without a value get the query's. Empty if there is no value at all."""
    column_values = values.get(column.name, ())
    given = options.given.get(column.name)
    if given is None:
        return column_values
    return [given if value is UNSET else value for value in column_values] or [given] * count


def _column(column: Column, values: Iterable[Any], count: int) -> pa.Array:
    if not column.required:
        values = [None if value is UNSET else value for value in values]
        if not any(value is not None for value in values):
            return pa.nulls(count, ARROW_TYPES[column.kind])
    elif column.kind is ColumnKind.NUMBER:
        return pa.array(np.fromiter(values, np.float64, count) + 0.0)  # minus zero is zero
    elif column.kind is ColumnKind.TIME:
        return pa.array(_instants(values if isinstance(values, list) else list(values)))
    return _build_of(column)(values)


def _build_of(column: Column) -> Callable[[Iterable[Any]], pa.Array]:
    """Return the function that builds an Arrow column from values; None becomes null."""
    if column.kind is ColumnKind.TIME:
        return lambda values: _times(list(values))
    if column.kind is ColumnKind.NUMBER:
        return _numbers
    if column.kind is not ColumnKind.TEXT:
        return lambda values: pa.array(list(values), ARROW_TYPES[column.kind])
    if column.form is ColumnForm.WORDS:
        return _words
    return _ids if column.form is ColumnForm.ID else _texts


def _numbers(values: Iterable[float | None]) -> pa.Array:
    return pa.array([None if value is None else value + 0.0 for value in values], pa.float64())


def _texts(values: Iterable[str | None]) -> pa.Array:
    return pa.array(list(values), pa.string())


def _ids(values: Iterable[str | int | None]) -> pa.Array:
    return _texts(str(value) if isinstance(value, int) else value for value in values)


def _words(words_of: Iterable[list[str] | None]) -> pa.Array:
    """Return a column of words joined by semicolons; null for an empty list."""
    values = list(words_of)
    if any(WORD_SEPARATOR in word for words in values if words for word in words):
        raise TypedDecodeFailed("a condition has a semicolon")
    return _texts(WORD_SEPARATOR.join(words) if words else None for words in values)


def _times(values: Sequence[str | int | None]) -> pa.Array:
    instants = iter(_instants([value for value in values if value is not None]).tolist())
    return pa.array([None if value is None else next(instants) for value in values], pa.int64())


def _instants(values: Sequence[str | int]) -> Instants:
    """Return texts and integers as instants. Raises `OverflowError` beyond 64 bits, `InvalidTimestamp`."""
    try:
        return parse_timestamps(values)  # type: ignore[arg-type]  # integers raise TypeError
    except TypeError:
        texts = iter(parse_timestamps([value for value in values if isinstance(value, str)]).tolist())
        return np.array(
            [next(texts) if isinstance(value, str) else value for value in values], dtype=np.int64
        )
