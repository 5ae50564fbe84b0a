"""A body's rows as columns, the one judge of such columns, and the batch for the store, whatever the format."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa

from store.arrays import Integers
from store.datasets import TRADES
from store.declarations import ARROW_TYPES, Column, Dataset
from store.symbols import is_symbol, parse_symbol
from store.timestamps import DAY_NS
from trades.batches.validation import SYMBOL, RowError, TypedColumn, columns_of, row_errors, validate_columns
from trades.exceptions import BatchRefused
from web.requests.exceptions import ERRORS_LIMIT, MalformedDocument
from web.requests.work import WorkKind, count_work

ROWS_LIMIT = 100_000
DATES_LIMIT = 366


@dataclass(frozen=True, slots=True)
class RowBatch:
    """Valid rows of one symbol in the dataset's schema, in the body's order."""

    symbol: str
    rows: pa.RecordBatch

    @property
    def nbytes(self) -> int:
        """The bytes of the rows in memory."""
        return self.rows.nbytes  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """The options for reading a body.

    given: the query's values by column (or "symbol"), for rows without one. canonical: resolves an alias.
    allows_nonpositive_price: returns whether a canonical symbol's prices may be zero or less.
    """

    dataset: Dataset = TRADES
    ignore_unknown: bool = False
    given: Mapping[str, str] = field(default_factory=dict)
    canonical: Callable[[str], str] = str
    allows_nonpositive_price: Callable[[str], bool] = lambda _: False

    @property
    def names(self) -> tuple[str, ...]:
        """Return the fields of a row."""
        return tuple(column.name for column in self.columns)

    @property
    def required(self) -> tuple[str, ...]:
        """Return the fields that every row must have."""
        return tuple(c.name for c in self.columns if c.required and c.name not in self.given)

    @property
    def columns(self) -> tuple[Column, ...]:
        """Return the columns of a row, the event time first and the symbol second."""
        return columns_of(self.dataset)

    def absent_column(self, column: Column, count: int) -> pa.Array:
        """Return a column that a body lacks: the query's value in each of `count` rows, or nulls."""
        given = self.given.get(column.name)
        return pa.nulls(count, ARROW_TYPES[column.kind]) if given is None else pa.repeat(given, count)

    def allows_nonpositive(self, spellings: Iterable[Any]) -> bool:
        """Return whether prices may be zero or less: all spellings must mean one symbol that allows it."""
        texts = {text for text in chain(spellings, [self.given.get("symbol")]) if isinstance(text, str)}
        symbols = _canonical(
            (parse_symbol(text) for text in texts if is_symbol(text)), self.canonical, most=2
        )
        return len(symbols) == 1 and self.allows_nonpositive_price(symbols.pop())


def assemble_batch(
    options: BatchOptions, columns: Mapping[str, pa.Array], symbols: Iterable[str]
) -> RowBatch:
    """Return the batch of valid rows. `symbols`: the distinct symbols in the rows.

    Raises `BatchRefused` for several symbols, too many dates, or rows with another value than the query's.
    """
    dataset = options.dataset
    given = options.given.get("symbol")
    symbol = check_symbols(symbols if given is None else {*symbols, given}, options.canonical)
    check_query_column(options, columns)
    check_dates(columns[dataset.columns[0].name].to_numpy())
    arrays = [columns[name] for name in dataset.schema.names]
    return RowBatch(symbol, pa.record_batch(arrays, schema=dataset.schema))


def check_size(rows: int, name: str = "trades") -> None:
    """Raise `BatchRefused` for a batch without rows or with too many."""
    if not rows:
        raise BatchRefused("empty_batch", f"the list of {name} is empty")
    if rows > ROWS_LIMIT:
        raise BatchRefused("too_many_rows", f"a batch has at most {ROWS_LIMIT:,} rows; this one has {rows:,}")


def check_symbols(spellings: Iterable[str], canonical: Callable[[str], str] = str) -> str:
    """Return the one symbol that all spellings mean. Raises `InvalidSymbol`; `BatchRefused` for several."""
    names = sorted({parse_symbol(spelling) for spelling in spellings})
    symbols = sorted(_canonical(names, canonical, most=6))
    if len(symbols) > 1:
        named = ", ".join(symbols[:5]) + (", …" if len(symbols) > 5 else "")
        raise BatchRefused("mixed_symbols", f"a batch has one symbol; this one has {named}")
    return symbols[0]


def _canonical(names: Iterable[str], canonical: Callable[[str], str], *, most: int) -> set[str]:
    """Return the symbols that names mean; not more than `most`, because to look a name up takes long."""
    symbols: set[str] = set()
    for name in names:
        symbols.add(canonical(name))
        if len(symbols) == most:
            break
    return symbols


def check_dates(times: Integers) -> None:
    """Raise `BatchRefused` if event times (int64 ns) fall on too many UTC dates."""
    if times.max() // DAY_NS - times.min() // DAY_NS < DATES_LIMIT:
        return
    dates = len(np.unique(times // DAY_NS))
    if dates > DATES_LIMIT:
        raise BatchRefused(
            "too_many_dates", f"a batch touches at most {DATES_LIMIT} dates; this one has {dates}"
        )


def check_query_column(options: BatchOptions, columns: Mapping[str, pa.Array]) -> None:
    """Raise `BatchRefused` if a row and the query have different values of the query's column."""
    name = options.dataset.query_column
    given = options.given.get(name or "")
    if name is None or given is None:
        return
    others = set(columns[name].unique().to_pylist()) - {given}
    if others:
        raise BatchRefused("mixed_resolutions", f"the query has {name}={given}; a row has {min(others)}")


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
