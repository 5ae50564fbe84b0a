"""A batch of rows as the store takes it, and what must hold of them together, whatever their format."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa

from store.arrays import Integers
from store.datasets import TRADES
from store.declarations import Column, Dataset
from store.symbols import InvalidSymbol, parse_symbol
from store.timestamps import DAY_NS
from trades.batches.validation import columns_of
from trades.exceptions import BatchRefused

ROWS_LIMIT = 100_000
DATES_LIMIT = 366


class NotTyped(ValueError):
    """The body is not a batch of rows of its dataset; only reading it again can say why."""


@dataclass(frozen=True, slots=True)
class RowBatch:
    """Checked rows of one symbol, in the body's order, in the dataset's columns."""

    symbol: str
    rows: pa.RecordBatch


@dataclass(frozen=True, slots=True)
class Expected:
    """What a body is read as.

    `given`: values that the query gives for every row, by column, the symbol among them. canonical: the
    symbol that a symbol stands for. takes_any_price: whether a (canonical) symbol's prices may be zero or
    less.
    """

    dataset: Dataset = TRADES
    ignore_unknown: bool = False
    given: Mapping[str, str] = field(default_factory=dict)
    canonical: Callable[[str], str] = str
    takes_any_price: Callable[[str], bool] = lambda _: False

    @property
    def names(self) -> tuple[str, ...]:
        """The fields of a row."""
        return tuple(column.name for column in self.columns)

    @property
    def required(self) -> tuple[str, ...]:
        """The fields that no row may lack."""
        return tuple(c.name for c in self.columns if c.required and c.name not in self.given)

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns of a row, the event time first and the symbol second."""
        return columns_of(self.dataset)

    def any_price(self, spellings: Iterable[Any]) -> bool:
        """Whether prices may be zero or less: if all spellings mean one symbol, whose instrument says so."""
        said = {text for text in chain(spellings, [self.given.get("symbol")]) if isinstance(text, str)}
        symbols = {self.canonical(parse_symbol(text)) for text in said if is_symbol(text)}
        return len(symbols) == 1 and self.takes_any_price(symbols.pop())


def assembled(expected: Expected, columns: Mapping[str, pa.Array], symbols: Iterable[str]) -> RowBatch:
    """The batch of rows that are right one by one.

    symbols: each that a row names. Raises `BatchRefused` if rows do not go together.
    """
    dataset = expected.dataset
    given = expected.given.get("symbol")
    symbol = check_symbols(symbols if given is None else {*symbols, given}, expected.canonical)
    check_query_column(expected, columns)
    check_dates(columns[dataset.columns[0].name].to_numpy())
    arrays = [columns[name] for name in dataset.schema.names]
    return RowBatch(symbol, pa.record_batch(arrays, schema=dataset.schema))


def check_size(rows: int, name: str = "trades") -> None:
    """Refuse a batch without rows, or with too many."""
    if not rows:
        raise BatchRefused("empty_batch", f"the list of {name} is empty")
    if rows > ROWS_LIMIT:
        raise BatchRefused("too_many_rows", f"a batch has at most {ROWS_LIMIT:,} rows; this one has {rows:,}")


def check_symbols(spellings: Iterable[str], canonical: Callable[[str], str] = str) -> str:
    """The one symbol that all spellings mean.

    Raises `InvalidSymbol`, and `BatchRefused` if there are several.
    """
    symbols = sorted({canonical(parse_symbol(spelling)) for spelling in spellings})
    if len(symbols) > 1:
        named = ", ".join(symbols[:5]) + (", …" if len(symbols) > 5 else "")
        raise BatchRefused("mixed_symbols", f"a batch is of one symbol; this one has {named}")
    return symbols[0]


def check_dates(times: Integers) -> None:
    """Refuse a batch whose event times (int64 ns) lie on too many UTC dates."""
    dates = (
        len(np.unique(times // DAY_NS)) if times.max() // DAY_NS - times.min() // DAY_NS >= DATES_LIMIT else 1
    )
    if dates > DATES_LIMIT:
        raise BatchRefused(
            "too_many_dates", f"a batch touches at most {DATES_LIMIT} dates; this one has {dates}"
        )


def check_query_column(expected: Expected, columns: Mapping[str, pa.Array]) -> None:
    """Refuse rows that say otherwise than the query."""
    name = expected.dataset.query_column
    given = expected.given.get(name or "")
    if name is None or given is None:
        return
    said = set(columns[name].unique().to_pylist())
    if said - {given}:
        raise BatchRefused(
            "mixed_resolutions", f"the query says {name}={given}; a row says {min(said - {given})}"
        )


def is_symbol(text: str) -> bool:
    """Whether a text can name an instrument."""
    try:
        parse_symbol(text)
    except InvalidSymbol:
        return False
    return True
