"""Rows decoded by their types in one pass. Says yes or no; reading the document again says why not."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Annotated, Any

import msgspec
import numpy as np
import pyarrow as pa
from msgspec import UNSET, Meta, UnsetType

from store.declarations import ARROW_TYPES, WORD_SEPARATOR, Column, ColumnForm, ColumnKind, Dataset
from store.timestamps import Instants, InvalidTimestamp, parse_timestamps
from trades.batches.row_batch import Expected, NotTyped, RowBatch, assembled, check_size, is_symbol
from trades.batches.validation import Typed, columns_of, validated
from trades.batches.value_rule import LARGEST_NUMBER

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
    """The type of a value as it stands in a body. What it must be beyond that is validated by columns.

    epoch: times may also be nanoseconds since the Unix epoch.
    """
    if epoch and column.kind is ColumnKind.TIME:
        return str | int
    return _FORMS.get(column.form, _TYPES[column.kind])


def row_type(
    dataset: Dataset, *, given: frozenset[str], lenient: bool, epoch: bool = False
) -> type[msgspec.Struct]:
    """A row as it stands in a body. Lenient: it may have further fields, which are passed over."""
    fields: list[Any] = []
    for column in columns_of(dataset):
        kind = value_type(column, epoch=epoch)
        if column.required and column.name not in given:
            fields.append((column.name, kind))
        elif column.required:
            fields.append((column.name, kind | UnsetType, UNSET))
        else:
            fields.append((column.name, kind | UnsetType | None, UNSET))
    return msgspec.defstruct(
        "Row", fields, gc=False, kw_only=True, forbid_unknown_fields=not lenient, module=__name__
    )


def row_values(rows: Sequence[Any], names: Iterable[str]) -> dict[str, list[Any]]:
    """The rows' values by field; a value that is not given is UNSET."""
    return {name: list(map(attrgetter(name), rows)) for name in names}


def required_values(rows: Sequence[Any], expected: Expected) -> dict[str, Iterable[Any]]:
    """The values of the fields that no row lacks, each to be read once; of symbols each only once."""
    values: dict[str, Iterable[Any]] = {name: map(attrgetter(name), rows) for name in expected.required}
    # What every row has is read fastest by its name.
    values["timestamp"] = [row.timestamp for row in rows]
    if "symbol" in values:
        values["symbol"] = {row.symbol for row in rows}
    return values


def batch_of(expected: Expected, values: Mapping[str, Iterable[Any]], count: int) -> RowBatch:
    """The batch of typed values; columns that are not there are null.

    Raises `NotTyped` if a value is wrong, `BatchRefused` if the rows are right one by one and not together.
    """
    dataset = expected.dataset
    check_size(count, dataset.name)
    symbols = set(values.get("symbol", ())) - {UNSET}
    if not all(map(is_symbol, symbols)):
        raise NotTyped("a symbol is none")
    columns = {
        column.name: typed_column(column, _filled(expected, column, values, count), count)
        for column in dataset.columns
    }
    stored, broken = validated(dataset, columns, any_price=lambda: expected.any_price(symbols))
    if broken:
        raise NotTyped(broken[0].fault.message)
    return assembled(expected, stored, symbols)


def typed_column(column: Column, values: Iterable[Any], count: int) -> Typed:
    """A column of typed values, null where they are UNSET. Raises `NotTyped` if one cannot be held."""
    try:
        return Typed(_column(column, values, count))
    except (InvalidTimestamp, OverflowError, UnicodeEncodeError) as error:
        raise NotTyped(str(error)) from error


def has_largest(dataset: Dataset, rows: pa.RecordBatch) -> bool:
    """Whether a number is 2^53: an integer that is larger comes down to it by becoming a float."""
    return any(
        is_at_largest(rows[column.name]) for column in dataset.columns if column.kind is ColumnKind.NUMBER
    )


def is_at_largest(numbers: pa.Array) -> bool:
    """Whether a number is 2^53, or its negative."""
    return numbers.null_count < len(numbers) and bool(np.equal(np.abs(numbers), LARGEST_NUMBER).any())


def check_not_rounded(dataset: Dataset, rows: Collection[Mapping[str, Any]]) -> None:
    """Refuse integers that came down to the largest number only by becoming floats."""
    names = [column.name for column in dataset.columns if column.kind is ColumnKind.NUMBER]
    for row in rows:
        if any(isinstance(row.get(name), int) and abs(row[name]) > LARGEST_NUMBER for name in names):
            raise NotTyped("a number is over 2^53")


def _filled(
    expected: Expected, column: Column, values: Mapping[str, Iterable[Any]], count: int
) -> Iterable[Any]:
    """A column's values, those that the query gives where a row has none; empty if no row has any."""
    found = values.get(column.name, ())
    given = expected.given.get(column.name)
    if given is None:
        return found
    return [given if value is UNSET else value for value in found] or [given] * count


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
    """What makes a column of values, or of nothing where they are None."""
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
    """A column of words joined by semicolons; null where there are none."""
    values = list(words_of)
    if any(WORD_SEPARATOR in word for words in values if words for word in words):
        raise NotTyped("a condition has a semicolon")
    return _texts(WORD_SEPARATOR.join(words) if words else None for words in values)


def _times(values: Sequence[str | int | None]) -> pa.Array:
    instants = iter(_instants([value for value in values if value is not None]).tolist())
    return pa.array([None if value is None else next(instants) for value in values], pa.int64())


def _instants(values: Sequence[str | int]) -> Instants:
    """Instants as they are; one that nanoseconds cannot count is raised as an `OverflowError`."""
    try:
        return parse_timestamps(values)  # type: ignore[arg-type]  # the next line
    except TypeError:  # there are integers among them
        texts = iter(parse_timestamps([value for value in values if isinstance(value, str)]).tolist())
        return np.array(
            [next(texts) if isinstance(value, str) else value for value in values], dtype=np.int64
        )
