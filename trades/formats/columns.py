"""Batches that come by columns, checked whole; only wrong rows are looked at one by one."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from http_requests.exceptions import MalformedDocument
from refusals.field_error import ERRORS_LIMIT, FieldError
from refusals.nearest_name import LONGEST_SHOWN, nearest_name
from store.arrays import Mask
from store.declarations import WORD_SEPARATOR, Column, Form, Kind
from store.timestamps import DAY_NS, EARLIEST_NS, LATEST_NS
from trades.batches.refusals import refused, rows_refusal
from trades.batches.row_batch import (
    ID_LENGTH,
    LARGEST_NUMBER,
    WORDS_LIMIT,
    Expected,
    RowBatch,
    assembled,
    broken_rows,
    check_size,
    is_below,
    is_plain,
    is_symbol,
)

SYMBOL = Column("symbol", Kind.TEXT, required=True)
_PLAIN = f"^[!-~]{{1,{ID_LENGTH}}}$"


@dataclass(frozen=True, slots=True)
class Typed:
    """A column in the type of its kind, and which rows have no value of it: anything stands there."""

    values: pa.Array
    wrong: Mask

    @classmethod
    def right(cls, values: pa.Array) -> "Typed":
        """Values that could all be had."""
        return cls(values, np.zeros(len(values), dtype=bool))


class Source(Protocol):
    """Columns as a format has them."""

    @property
    def unreadable(self) -> str:
        """The code of a body that is malformed."""
        ...

    @property
    def names(self) -> list[str]:
        """The columns' names."""
        ...

    def __len__(self) -> int: ...

    def typed(self, column: Column) -> Typed:
        """A column that is there. Raises `BatchRefused` if it cannot hold such values at all."""
        ...

    def said(self, column: Column, row: int) -> object:
        """A value as JSON would have it."""
        ...


def read_columns(source: Source, expected: Expected) -> RowBatch:
    """The batch in columns. Raises `BatchRefused`."""
    check_names(source.names, expected)
    check_size(len(source), expected.dataset.name)
    columns, wrong = _checked_columns(source, expected)
    symbols = [] if "symbol" not in source.names else columns["symbol"].unique().to_pylist()
    if wrong.any() and (bounded := expected.bounded_for(symbols)) is not expected:
        expected = bounded
        columns, wrong = _checked_columns(source, expected)
    if wrong.any():
        raise rows_refusal(expected, _rows(source, expected, wrong), unreadable=source.unreadable)
    return assembled(expected, columns, symbols)


def _checked_columns(source: Source, expected: Expected) -> tuple[dict[str, pa.Array], Mask]:
    """The columns by name, and which rows are wrong."""
    columns: dict[str, pa.Array] = {}
    wrong = np.zeros(len(source), dtype=bool)
    for column in (*expected.dataset.columns, SYMBOL):
        found = checked(column, _typed(source, expected, column))
        columns[column.name] = found.values
        wrong |= found.wrong
    return columns, wrong | broken_rows(expected.dataset, columns)


def check_not_repeated(names: list[str]) -> None:
    """Refuse a column that is named twice. Raises `MalformedDocument`."""
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise MalformedDocument("duplicate_key", f"the column {twice[:64]!r} is named twice")


def check_names(names: list[str], expected: Expected) -> None:
    """Refuse columns of which one is missing, or not known."""
    missing = [name for name in expected.required if name not in names]
    unknown = [] if expected.ignore_unknown else [name for name in names if name not in expected.names]
    errors = [FieldError(name, "required", "the column is missing") for name in missing]
    for name in unknown[:ERRORS_LIMIT]:
        message = f"is not a column of these rows{nearest_name(name, expected.names)}"
        errors.append(FieldError(name[:LONGEST_SHOWN], "unknown_field", message))
    if errors:
        raise refused(errors[:ERRORS_LIMIT])


def _typed(source: Source, expected: Expected, column: Column) -> Typed:
    """A column of the source, of the query, or of nulls."""
    if column.name in source.names:
        return source.typed(column)
    given = expected.given.get(column.name)
    kind = pa.string() if column is SYMBOL else expected.dataset.schema.field(column.name).type
    return Typed.right(pa.nulls(len(source), kind) if given is None else pa.repeat(given, len(source)))


def checked(column: Column, typed: Typed) -> Typed:
    """The column as it is stored, with all that is not right of it marked."""
    values, wrong = typed.values, typed.wrong
    nulls = values.is_null().to_numpy(zero_copy_only=False) if values.null_count else None
    if values.null_count == len(values):
        return Typed(values, wrong | column.required)
    if column.kind is Kind.BOOLEAN:
        return typed
    if column is SYMBOL:
        values, found = _symbols(values)
    elif column.kind is Kind.TEXT:
        values, found = _texts(column, values)
    else:
        found = _out_of_bounds(column, values)
    if nulls is not None:
        found = found & ~nulls | (nulls if column.required else False)
    return Typed(values, wrong | found)


def _out_of_bounds(column: Column, values: pa.Array) -> Mask:
    numbers = (values.fill_null(0) if values.null_count else values).to_numpy()
    if column.kind is Kind.TIME:
        found: Mask = (numbers < EARLIEST_NS) | (numbers > LATEST_NS)
        if column.form is Form.DATE:
            found |= numbers % DAY_NS != 0
        return found
    found = ~(np.abs(numbers) <= LARGEST_NUMBER)  # also what is not a number
    if column.above is not None:
        found |= is_below(column.above, numbers)
    elif column.kind is Kind.INTEGER:
        found |= numbers < 0
    return found


def _symbols(values: pa.Array) -> tuple[pa.Array, Mask]:
    invalid = [text for text in values.unique().to_pylist() if text is not None and not is_symbol(text)]
    return values, _is_in(values, invalid)


def _texts(column: Column, values: pa.Array) -> tuple[pa.Array, Mask]:
    if column.choices:
        values = _in_first_spelling(column, values)
        return values, ~_is_in(values, list(column.choices))
    if column.form is Form.WORDS:
        distinct = values.unique().to_pylist()
        return values, _is_in(
            values, [text for text in distinct if text is not None and not _are_words(text)]
        )
    lengths = pc.min_max(pc.binary_length(values)).as_py()
    characters = np.frombuffer(values.buffers()[2] or b"", dtype=np.uint8)
    all_plain = characters.min(initial=255) > ord(" ") and characters.max(initial=0) <= ord("~")
    if all_plain and lengths["min"] >= 1 and lengths["max"] <= ID_LENGTH:
        return values, np.zeros(len(values), dtype=bool)
    plain = pc.match_substring_regex(values, _PLAIN).fill_null(False)
    return values, ~plain.to_numpy(zero_copy_only=False)


def _in_first_spelling(column: Column, values: pa.Array) -> pa.Array:
    for alias, word in column.aliases:
        values = pc.if_else(pc.equal(values, alias), word, values)
    return values


def _are_words(text: str) -> bool:
    words = text.split(WORD_SEPARATOR)
    return len(words) <= WORDS_LIMIT and all(1 <= len(word) <= ID_LENGTH and is_plain(word) for word in words)


def _is_in(values: pa.Array, texts: list[str]) -> Mask:
    if not texts:
        return np.zeros(len(values), dtype=bool)
    return np.asarray(pc.is_in(values, pa.array(texts, pa.string())), dtype=bool)


def _rows(source: Source, expected: Expected, wrong: Mask) -> Iterator[tuple[int, dict[str, Any]]]:
    """The wrong rows with their places, as JSON has them; optional fields without a value are left out."""
    known = [c for c in (*expected.dataset.columns, SYMBOL) if c.name in source.names]
    for place in np.flatnonzero(wrong).tolist():
        said = {column.name: source.said(column, place) for column in known}
        needed = {column.name for column in known if column.required}
        yield place, {name: value for name, value in said.items() if value is not None or name in needed}
