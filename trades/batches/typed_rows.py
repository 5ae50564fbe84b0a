"""The fast way to columns: rows whose values were decoded by their types."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from operator import attrgetter
from typing import Annotated, Any

import msgspec
import numpy as np
import pyarrow as pa
from msgspec import UNSET, Meta, UnsetType

from store.arrays import Mask
from store.declarations import ARROW_TYPES, WORD_SEPARATOR, Column, ColumnForm, ColumnKind, Dataset
from store.symbols import is_symbol
from store.timestamps import Instants, InvalidTimestamp, parse_timestamps
from trades.batches.json_columns import json_column
from trades.batches.row_batch import BatchOptions, RowColumns
from trades.batches.validation import SYMBOL, TypedColumn, columns_of
from trades.batches.value_rules import LARGEST_NUMBER, Fault

Integer = Annotated[int, Meta(ge=0, le=LARGEST_NUMBER)]
_TYPES: dict[ColumnKind, Any] = {
    ColumnKind.TIME: str,
    ColumnKind.NUMBER: float,
    ColumnKind.INTEGER: Integer,
    ColumnKind.TEXT: str,
    ColumnKind.BOOLEAN: bool,
}
_FORMS: dict[ColumnForm, Any] = {
    ColumnForm.ID: str | Integer,
    ColumnForm.MEMBER: str | Integer,
    ColumnForm.WORDS: list[str],
}


class _NoWord(ValueError):
    """A word has the separator of words."""


def value_type(column: Column, *, epoch: bool = False) -> Any:
    """Return the type of a column's values in a body. epoch: times may also be nanoseconds since the Unix epoch."""
    if epoch and column.kind is ColumnKind.TIME:
        return str | int
    return _FORMS.get(column.form, _TYPES[column.kind])


def row_struct(dataset: Dataset, *, given: frozenset[str], epoch: bool = False) -> type[msgspec.Struct]:
    """Return the struct of a row in a body."""
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
        "Row", fields, gc=False, kw_only=True, forbid_unknown_fields=True, module=__name__
    )


@dataclass(frozen=True, slots=True)
class TypedRows:
    """Some rows of a body: the columns that they have, and the distinct symbols."""

    count: int
    columns: Mapping[str, TypedColumn]
    symbols: frozenset[str]


def typed_rows(rows: Sequence[Any], options: BatchOptions, keys: int) -> TypedRows | None:
    """Convert rows of `row_struct`, which have at most so many keys in the body.

    Return None if they must be decoded without types: a text is no symbol, a key may be repeated, or a number may have been
    rounded to 2^53.
    """
    values = _required_values(rows, options)
    surplus = keys - len(options.required) * len(rows)
    if surplus:
        optional = {name: list(map(attrgetter(name), rows)) for name in options.names if name not in values}
        present = {name: len(rows) - column.count(UNSET) for name, column in optional.items()}
        surplus -= sum(present.values())
        values |= {name: column for name, column in optional.items() if present[name]}
    symbols = frozenset(values.pop(SYMBOL.name, ())) - {UNSET}
    if surplus or not all(map(is_symbol, symbols)):
        return None
    columns = {}
    for column in options.dataset.columns:
        if column.name not in values:
            continue
        typed = typed_column(column, _filled(options, column, values[column.name]), len(rows))
        if column.kind is ColumnKind.NUMBER and is_at_largest_number(typed.values):
            return None
        columns[column.name] = typed
    return TypedRows(len(rows), columns, symbols)


def joined_rows(pieces: Sequence[TypedRows], options: BatchOptions) -> RowColumns:
    """Return the pieces' rows, in order."""
    columns = {
        column.name: _joined(column, pieces, options)
        for column in options.dataset.columns
        if any(column.name in piece.columns for piece in pieces)
    }
    symbols = frozenset[str]().union(*(piece.symbols for piece in pieces))
    given = options.given.get(SYMBOL.name)
    return RowColumns(
        [SYMBOL.name, *columns],
        sum(piece.count for piece in pieces),
        lambda column: columns[column.name],
        symbols=[*symbols] if given is None else [*symbols, given],
    )


def typed_column(column: Column, values: Iterable[Any], count: int) -> TypedColumn:
    """Return a column of values of its type, null where they are UNSET; times may be nanoseconds."""
    try:
        return TypedColumn(_column(column, values, count))
    except (InvalidTimestamp, OverflowError, _NoWord):
        return json_column(column, values, count, epoch=True)


def is_at_largest_number(numbers: pa.Array) -> bool:
    """Return whether any number is 2^53 or -2^53: it may be a larger integer that was rounded."""
    return numbers.null_count < len(numbers) and bool(np.equal(np.abs(numbers), LARGEST_NUMBER).any())


def _required_values(rows: Sequence[Any], options: BatchOptions) -> dict[str, Iterable[Any]]:
    """Return the values of the required fields; for the symbol only the distinct values."""
    values: dict[str, Iterable[Any]] = {}
    for column in options.columns:
        if not column.required or column.name in options.given:
            continue
        if column.name not in {"timestamp", SYMBOL.name}:
            of_rows = map(attrgetter(column.name), rows)
            values[column.name] = of_rows if column.kind is ColumnKind.NUMBER else list(of_rows)
    # An attribute in a comprehension is faster than attrgetter.
    values["timestamp"] = [row.timestamp for row in rows]
    if SYMBOL.name not in options.given:
        values[SYMBOL.name] = {row.symbol for row in rows}
    return values


def _filled(options: BatchOptions, column: Column, values: Iterable[Any]) -> Iterable[Any]:
    """Return a column's values; rows without a value get the query's."""
    given = options.given.get(column.name)
    return values if given is None else [given if value is UNSET else value for value in values]


def _joined(column: Column, pieces: Sequence[TypedRows], options: BatchOptions) -> TypedColumn:
    parts = [
        piece.columns.get(column.name) or TypedColumn(options.absent_column(column, piece.count))
        for piece in pieces
    ]
    if len(parts) == 1:
        return parts[0]
    values = pa.concat_arrays([part.values for part in parts])
    masks: dict[Fault, Mask] = {}
    start = 0
    for part in parts:
        for fault, mask in part.faults:
            masks.setdefault(fault, np.zeros(len(values), dtype=bool))[start : start + len(mask)] = mask
        start += len(part.values)
    return TypedColumn(values, list(masks.items()))


def _column(column: Column, values: Iterable[Any], count: int) -> pa.Array:
    if not column.required:
        return _optional_column(column, list(values))
    if column.kind is ColumnKind.NUMBER:
        return pa.array(np.fromiter(values, np.float64, count) + 0.0)  # minus zero is zero
    if column.kind is ColumnKind.TIME:
        return pa.array(_instants(values if isinstance(values, list) else list(values)))
    return _build_of(column)(values)


def _optional_column(column: Column, values: Sequence[Any]) -> pa.Array:
    """Return a column in which None and UNSET are null."""
    if column.kind is ColumnKind.NUMBER:
        with suppress(TypeError):  # UNSET is no number, and None becomes NaN
            numbers = np.fromiter(values, np.float64, len(values)) + 0.0
            if not np.isnan(numbers).any():
                return pa.array(numbers)
    present = [None if value is UNSET else value for value in values]
    if not any(value is not None for value in present):
        return pa.nulls(len(values), ARROW_TYPES[column.kind])
    return _build_of(column)(present)


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
    return _ids if column.form.takes_integers else _texts


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
        raise _NoWord
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
