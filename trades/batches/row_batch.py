"""A batch of rows as the store takes it, and what must hold of them together, whatever their format."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa

from store.arrays import Floats, Integers, Mask
from store.datasets import TRADES
from store.declarations import Column, Dataset, Kind
from store.number_bounds import Above
from store.row_rules import Rule
from store.symbols import InvalidSymbol, parse_symbol
from store.timestamps import DAY_NS
from trades.exceptions import BatchRefused

ROWS_LIMIT = 100_000
DATES_LIMIT = 366
LARGEST_NUMBER = 2**53
ID_LENGTH = 64
WORDS_LIMIT = 32


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
        """The fields of a row, the event time first and the symbol second."""
        first, *others = self.dataset.schema.names
        return (first, "symbol", *others)

    @property
    def required(self) -> tuple[str, ...]:
        """The fields that no row may lack."""
        columns = {column.name for column in self.dataset.columns if column.required} | {"symbol"}
        return tuple(name for name in self.names if name in columns and name not in self.given)

    def bounded_for(self, spellings: Iterable[Any]) -> "Expected":
        """The same, with the bounds of prices that hold for the instrument, if all spellings mean one."""
        said = {text for text in chain(spellings, [self.given.get("symbol")]) if isinstance(text, str)}
        symbols = {self.canonical(parse_symbol(text)) for text in said if is_symbol(text)}
        if len(symbols) == 1 and self.takes_any_price(symbols.pop()):
            return replace(self, dataset=self.dataset.with_any_price)
        return self


def assembled(expected: Expected, columns: Mapping[str, pa.Array], symbols: Iterable[str]) -> RowBatch:
    """The batch of columns whose values are right one by one.

    symbols: each that a row names. Raises `InvalidSymbol`; `NotTyped` if a row contradicts itself, or a price
    is none of the instrument's; `BatchRefused` if rows do not go together.
    """
    dataset = expected.dataset
    symbol = one_symbol(expected, symbols)
    if has_price_below(dataset, columns) and not expected.takes_any_price(symbol):
        raise NotTyped("a price is not above its bound")
    check_query_column(expected, columns)
    check_dates(columns[dataset.columns[0].name].to_numpy())
    if broken_rows(dataset, columns).any():
        raise NotTyped("a row contradicts itself")
    arrays = [columns[name] for name in dataset.schema.names]
    return RowBatch(symbol, pa.record_batch(arrays, schema=dataset.schema))


def one_symbol(expected: Expected, symbols: Iterable[str]) -> str:
    """The symbol of the rows and the query.

    Raises `InvalidSymbol`, and `BatchRefused` if there are several.
    """
    given = expected.given.get("symbol")
    return check_symbols(symbols if given is None else {*symbols, given}, expected.canonical)


def has_price_below(dataset: Dataset, columns: Mapping[str, pa.Array]) -> bool:
    """Whether a price is below the bound of a dataset's prices."""
    return any(
        bool(is_below(column.above, columns[column.name].to_numpy(zero_copy_only=False)).any())
        for column in dataset.columns
        if column.above is not None and column.above.waivable
    )


def is_below(above: Above, values: Floats) -> Mask:
    """Which numbers break a bound; NaN, which stands for none, does not."""
    return values < 0 if above.zero_allowed else values <= 0


def broken_rows(dataset: Dataset, columns: Mapping[str, pa.Array]) -> Mask:
    """A mask of the rows that break a rule of their dataset."""
    broken = np.zeros(len(columns[dataset.columns[0].name]), dtype=bool)
    for rule in dataset.rules:
        broken |= rows_breaking(rule, dataset, columns)
    return broken


def rows_breaking(rule: Rule, dataset: Dataset, columns: Mapping[str, pa.Array]) -> Mask:
    """A mask of the rows that break one rule."""
    mask: Mask = rule.is_broken(*(_values(dataset.column(name), columns[name]) for name in rule.columns))
    return mask


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


def check_query_column(expected: Expected, columns: Mapping[str, pa.Array | Sequence[str]]) -> None:
    """Refuse rows that say otherwise than the query."""
    name = expected.dataset.query_column
    given = expected.given.get(name or "")
    if name is None or given is None:
        return
    column = columns[name]
    said = set(column.unique().to_pylist() if isinstance(column, pa.Array) else column)
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


def is_plain(text: str) -> bool:
    """Whether a text may name an id, an exchange or a condition: visible ASCII, no spaces."""
    return text.isascii() and text.isprintable() and " " not in text


def _values(column: Column, values: pa.Array) -> Any:
    if column.kind is Kind.TEXT:
        return np.asarray(values.to_pylist(), dtype=object)
    if column.kind is Kind.TIME:
        return values.to_numpy(zero_copy_only=False)
    return values.cast(pa.float64()).to_numpy(zero_copy_only=False)
