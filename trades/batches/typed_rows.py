"""Rows decoded and checked typed in one pass. Says yes or no; the declared serializers say why not."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cache
from operator import attrgetter
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
import pyarrow as pa
from msgspec import UNSET, Meta, UnsetType

from store.declarations import ARROW_TYPES, WORD_SEPARATOR, Column, Dataset, Form, Kind
from store.symbols import InvalidSymbol
from store.timestamps import DAY_NS, EARLIEST_NS, LATEST_NS, Instants, InvalidTimestamp, parse_timestamps
from trades.batches.row_batch import (
    ID_LENGTH,
    LARGEST_NUMBER,
    WORDS_LIMIT,
    Expected,
    NotTyped,
    RowBatch,
    assembled,
    check_size,
)

Integer = Annotated[int, Meta(ge=0, le=LARGEST_NUMBER)]
Word = Annotated[str, Meta(min_length=1, max_length=ID_LENGTH)]
Words = Annotated[list[Word], Meta(max_length=WORDS_LIMIT)]
_PLAIN_TYPES: dict[Kind, Any] = {Kind.INTEGER: Integer, Kind.BOOLEAN: bool}


def value_type(column: Column, *, epoch: bool = False) -> Any:
    """The type of a value as it stands in a body. Texts are checked for their characters later, all at once.

    epoch: times may also be nanoseconds since the Unix epoch.
    """
    if column.kind is Kind.TIME:
        return str | int if epoch else str
    if column.kind in _PLAIN_TYPES:
        return _PLAIN_TYPES[column.kind]
    if column.kind is Kind.NUMBER:
        above = column.above
        if above is None:
            return Annotated[float, Meta(ge=-LARGEST_NUMBER, le=LARGEST_NUMBER)]
        least = Meta(ge=0, le=LARGEST_NUMBER) if above.zero_allowed else Meta(gt=0, le=LARGEST_NUMBER)
        return Annotated[float, least]
    if column.choices:
        return Literal[(*column.choices, *(alias for alias, _ in column.aliases))]
    return {Form.ID: Word | Integer, Form.WORDS: Words}.get(column.form, Word)


@cache
def row_type(
    dataset: Dataset, *, given: frozenset[str] = frozenset(), lenient: bool = False, epoch: bool = False
) -> type[msgspec.Struct]:
    """A row as it stands in a body. Lenient: it may have further fields, which are passed over.

    Readers take rows of the dataset `with_any_price`, until they know of which instrument they are.
    """
    fields: list[Any] = []
    for column in (dataset.columns[0], Column("symbol", Kind.TEXT, required=True), *dataset.columns[1:]):
        kind = str if column.name == "symbol" else value_type(column, epoch=epoch)
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

    Raises `NotTyped` if a text is wrong, `BatchRefused` if the rows are right one by one and not together.
    """
    dataset = expected.dataset
    check_size(count, dataset.name)
    try:
        columns = {
            column.name: _column(column, _filled(expected, column, values, count), count)
            for column in dataset.columns
        }
        return assembled(expected, columns, set(values.get("symbol", ())) - {UNSET})
    except (InvalidSymbol, InvalidTimestamp) as error:
        raise NotTyped(str(error)) from error


def has_largest(dataset: Dataset, rows: pa.RecordBatch) -> bool:
    """Whether a number is 2^53: an integer that is larger comes down to it by becoming a float."""
    return any(
        np.equal(np.abs(rows[column.name]), LARGEST_NUMBER).any()
        for column in dataset.columns
        if column.kind is Kind.NUMBER and rows[column.name].null_count < rows.num_rows
    )


def check_not_rounded(dataset: Dataset, rows: Collection[Mapping[str, Any]]) -> None:
    """Refuse integers that came down to the largest number only by becoming floats."""
    names = [column.name for column in dataset.columns if column.kind is Kind.NUMBER]
    for row in rows:
        if any(isinstance(row.get(name), int) and abs(row[name]) > LARGEST_NUMBER for name in names):
            raise NotTyped("a number is over 2^53")


def checked_instants(column: Column, instants: Instants) -> Instants:
    """Instants of a column as they are. Raises `NotTyped` for one that it cannot hold."""
    if len(instants) and (instants.min() < EARLIEST_NS or instants.max() > LATEST_NS):
        raise NotTyped("a time is out of range")
    if column.form is Form.DATE and (instants % DAY_NS).any():
        raise NotTyped("a date has a time of day")
    return instants


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
    elif column.kind is Kind.NUMBER:
        return pa.array(np.fromiter(values, np.float64, count) + 0.0)  # minus zero is zero
    elif column.kind is Kind.TIME:
        return pa.array(_instants(column, values if isinstance(values, list) else list(values)))
    return _build_of(column)(values)


def _build_of(column: Column) -> Callable[[Iterable[Any]], pa.Array]:
    """What makes a column of values, or of nothing where they are None."""
    if column.kind is Kind.TIME:
        return lambda values: _times(column, list(values))
    if column.kind is Kind.NUMBER:
        return _numbers
    if column.kind is Kind.INTEGER:
        return lambda values: pa.array(list(values), pa.int64())
    if column.kind is Kind.BOOLEAN:
        return lambda values: pa.array(list(values), pa.bool_())
    if column.choices:
        aliases = dict(column.aliases)
        return lambda values: pa.array([aliases.get(value, value) for value in values], pa.string())
    return _words if column.form is Form.WORDS else _texts


def _numbers(values: Iterable[float | None]) -> pa.Array:
    return pa.array([None if value is None else value + 0.0 for value in values], pa.float64())


def _texts(values: Iterable[str | int | None]) -> pa.Array:
    """A string column. Raises `NotTyped` for what is not visible ASCII."""
    try:
        column = pa.array([str(value) if isinstance(value, int) else value for value in values], pa.string())
    except UnicodeEncodeError as error:
        raise NotTyped("a text has half of a surrogate pair") from error
    characters = np.frombuffer(column.buffers()[2], dtype=np.uint8)
    if characters.size and (characters.min() <= ord(" ") or characters.max() > ord("~")):
        raise NotTyped("a text is not visible ASCII")
    return column


def _words(words_of: Iterable[list[str] | None]) -> pa.Array:
    """A column of words joined by semicolons; null where there are none."""
    values = list(words_of)
    if any(WORD_SEPARATOR in word for words in values if words for word in words):
        raise NotTyped("a condition has a semicolon")
    return _texts([WORD_SEPARATOR.join(words) if words else None for words in values])


def _times(column: Column, values: Sequence[str | int | None]) -> pa.Array:
    instants = iter(_instants(column, [value for value in values if value is not None]).tolist())
    return pa.array([None if value is None else next(instants) for value in values], pa.int64())


def _instants(column: Column, values: Sequence[str | int]) -> Instants:
    try:
        instants = parse_timestamps(values)  # type: ignore[arg-type]  # the next line
    except TypeError:  # there are integers among them
        return _epoch_instants(column, values)
    return checked_instants(column, instants)


def _epoch_instants(column: Column, values: Sequence[str | int]) -> Instants:
    texts = iter(parse_timestamps([value for value in values if isinstance(value, str)]).tolist())
    instants = [next(texts) if isinstance(value, str) else value for value in values]
    try:
        return checked_instants(column, np.array(instants, dtype=np.int64))
    except OverflowError as error:
        raise NotTyped("a time is out of range") from error
