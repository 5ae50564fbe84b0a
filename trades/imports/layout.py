"""The layout of a file: the options of a read, and which columns of the file they mean."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from store.arrays import Floats
from store.declarations import ColumnKind, Dataset
from trades.conditions.condition_map import ConditionMap
from trades.exceptions import ImportRefused
from trades.imports.blocks import SYMBOL
from trades.imports.csv_file import UNKNOWN_DIALECT, Dialect, Guess
from trades.imports.hints import look, missing_hint, option, paired
from trades.imports.symbols import SymbolSpelling, symbol_columns
from trades.imports.vendors.layout import Derived

AMBIGUOUS = ("infer", "earliest", "latest")

# No factor of prices or sizes is smaller, and none is larger than its inverse.
_SMALLEST_SCALE = Decimal("1e-30")


@dataclass(frozen=True, slots=True)
class Scale:
    """An exact factor. 0.0001 divides by 10,000, which rounds once; multiplying by 0.0001 would round twice."""

    numerator: int
    denominator: int

    @classmethod
    def of(cls, text: str) -> "Scale":
        """Return the factor of a decimal text. Raises `ImportRefused` unless it is above zero, or if it is absurd."""
        try:
            factor = Decimal(text)
        except InvalidOperation:
            factor = Decimal(0)
        if not (factor.is_finite() and _SMALLEST_SCALE <= factor <= 1 / _SMALLEST_SCALE):
            raise ImportRefused(f"a scale is a number above 0, not {text!r}")
        return cls(*factor.as_integer_ratio())

    def applied(self, values: Floats) -> Floats:
        """Return the values times the factor."""
        scaled = values * self.numerator if self.numerator != 1 else values
        return scaled / self.denominator if self.denominator != 1 else scaled


@dataclass(frozen=True)
class ReadOptions:
    """The options for reading a file.

    symbol: the symbol of all rows; None takes it from a column or the file's name. zone: the time zone of times
    without an offset. ambiguous: how to read a local time that occurred twice, if the order of rows does not tell which
    is meant: "infer" refuses it, "earliest" or "latest". columns: dataset column to file column; an empty file column
    means that the column is not read. scale: factors by dataset column. date: the local date, if times count
    milliseconds since midnight. time_format: how event times are written, as in `strptime`; empty for ISO 8601 and
    epoch integers. given: values of columns that the file lacks, for all rows. symbols: the symbols whose rows are
    read; empty reads all. conditions: the map of the file's condition codes. symbol_rule: how the vendor writes
    symbols. dialect: how a text file is written. times_end: whether the times of bars are those of their ends; of
    bars of days it changes nothing. absolute: columns of numbers whose signs are dropped. guessed: options that were not
    given. told: the names of those that were, and of columns whose value was. told_columns: our columns that were given by
    `columns`. rows: of columns of the file, the texts of the rows that are read.
    vendor: the name of the vendor's layout, or empty. derived, kept, prepared, nulls, prefix: see `VendorLayout`.
    """

    dataset: Dataset
    symbol: str | None = None
    zone: str = "UTC"
    ambiguous: str = "infer"
    columns: Mapping[str, str] = field(default_factory=dict)
    scale: Mapping[str, Scale] = field(default_factory=dict)
    date: np.datetime64 | None = None
    time_format: str = ""
    given: Mapping[str, str] = field(default_factory=dict)
    symbols: frozenset[str] = frozenset()
    conditions: ConditionMap | None = None
    symbol_rule: SymbolSpelling | None = None
    dialect: Dialect = UNKNOWN_DIALECT
    times_end: bool = False
    absolute: frozenset[str] = frozenset()
    guessed: tuple[Guess, ...] = ()
    told: frozenset[str] = frozenset()
    told_columns: frozenset[str] = frozenset()
    rows: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    vendor: str = ""
    derived: Mapping[str, Derived] = field(default_factory=dict)
    kept: Derived | None = None
    prepared: Mapping[str, Derived] = field(default_factory=dict)
    nulls: tuple[str, ...] = ()
    prefix: str = ""

    @property
    def computed(self) -> list[Derived]:
        """All computations: of columns, and of the rows that are read."""
        return [*self.prepared.values(), *self.derived.values(), *([self.kept] if self.kept else [])]

    def guessing(self, name: str, value: str, reason: str, **changes: Any) -> "ReadOptions":
        """Return the options with changes that nobody gave, by an option and its value. reason: why the file needs it."""
        guess = Guess(option(name, value), reason)
        return replace(self, guessed=(*self.guessed, guess), **changes)

    def __post_init__(self) -> None:
        self._check_given()
        parts = re.findall("%.", self.time_format)
        if self.time_format and (not parts or len({*parts}) < len(parts) or "%z" in self.time_format.lower()):
            raise ImportRefused("--time-format is of local times, such as %m/%d/%Y %H:%M:%S")
        kinds = {column.name: column.kind for column in self.dataset.columns}
        for name in self.columns:
            if name not in kinds and name != SYMBOL:
                raise ImportRefused(f"{self.dataset.name} has no column {name!r}; it has {', '.join(kinds)}")
        for name in (*self.scale, *self.absolute):
            if kinds.get(name) is not ColumnKind.NUMBER:
                raise ImportRefused(
                    f"{self.dataset.name} has no numbers {name!r} to scale, or to read without signs"
                )
        try:
            ZoneInfo(self.zone)
        except (KeyError, ValueError, OSError) as error:
            raise ImportRefused(
                f"there is no time zone {self.zone!r}; give a name such as America/New_York"
            ) from error

    def _check_given(self) -> None:
        for name in self.given:
            if name not in self.dataset.schema.names:
                raise ImportRefused(f"{self.dataset.name} have no {name}")
        if self.conditions is not None and self.dataset.name not in self.conditions.codes:
            raise ImportRefused(
                f"the condition map {self.conditions.name} has no codes of {self.dataset.name}"
            )


@dataclass(frozen=True, slots=True)
class FileLayout:
    """The columns of a file.

    names: all columns, in order. sources: dataset column to file column, for the columns that the file has.
    symbol: the file's symbol column, or None. joined: the columns of which a time's source such as `date+time` consists.
    summed: the columns whose numbers a number's source such as `up+down` adds. symbol_parts: the columns of which a symbol
    such as `root+suffix` consists; else empty.
    """

    names: tuple[str, ...]
    sources: Mapping[str, str]
    symbol: str | None
    unread_columns: tuple[str, ...]
    joined: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    summed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    symbol_parts: tuple[str, ...] = ()

    def parts_of(self, source: str) -> tuple[str, ...]:
        """Return the columns of the file that a source consists of."""
        if source == self.symbol and self.symbol_parts:
            return self.symbol_parts
        return self.joined.get(source) or self.summed.get(source) or (source,)

    def read_columns(self, options: ReadOptions) -> list[str]:
        """Return the columns of the file that a read needs."""
        sources = [part for each in self.sources.values() for part in self.parts_of(each)]
        sources += [name for each in options.computed for name in each.sources]
        if self.symbol:
            sources += self.parts_of(self.symbol)
        return [name for name in dict.fromkeys([*sources, *options.rows]) if name in self.names]

    def with_symbol(self, column: str) -> "FileLayout":
        """Return the layout with an unread column as the symbol's."""
        unread = tuple(name for name in self.unread_columns if name != column)
        return replace(self, symbol=column, unread_columns=unread)


def file_layout(names: tuple[str, ...], options: ReadOptions) -> FileLayout:
    """Return the layout of a file with these columns. Raises `ImportRefused` for a missing or repeated column."""
    text = ",".join(names)
    if len(set(names)) < len(names):
        raise ImportRefused(
            f"a column is named twice: {text}; give --skip-lines with the number of lines before the rows, and --columns"
            " with positions, such as timestamp=1,price=2"
        )
    columns = options.dataset.columns
    joined = _parts((*names, *options.prepared), options, ColumnKind.TIME)
    summed = _parts(names, options, ColumnKind.NUMBER)
    symbol_parts = _symbol_parts(names, options)
    known = {*names, *options.prepared, *joined, *summed, *(["+".join(symbol_parts)] if symbol_parts else [])}
    all_sources = {name: options.columns.get(name, name) for name in [*(c.name for c in columns), SYMBOL]}
    for name, source in all_sources.items():
        if source not in known and options.columns.get(name):
            raise ImportRefused(
                f"there is no column {source!r}; the columns, by name or position, are {text}"
            )
    sources = {
        name: source
        for name, source in all_sources.items()
        if source in known and name not in options.derived
    }
    supplied = {*sources, *options.given, *options.derived}
    missing = [c.name for c in columns if c.required and c.name not in supplied]
    if missing:
        # A bar may be without a volume, but a file that has one is not read without it.
        wanted = [
            c.name for c in columns if c.name not in supplied and (c.name in missing or c.name == "volume")
        ]
        hint = missing_hint(
            names,
            wanted,
            has_names=names != tuple(map(str, range(1, len(names) + 1))),
            is_text=bool(options.dialect.delimiter),
        )
        raise ImportRefused(f"the columns {', '.join(missing)} are missing; the columns are {text}{hint}")
    symbol = sources.pop(SYMBOL, None)
    if SYMBOL not in options.columns and symbol is None:
        symbol = _named_symbol([name for name in names if name not in sources.values()])
    used = {*sources.values(), symbol, *(source for each in options.computed for source in each.sources)}
    used |= {"", *(part for parts in (*joined.values(), *summed.values()) for part in parts)}
    used |= {*symbol_parts, *options.rows}
    unread = tuple(name for name in names if name not in used)
    return FileLayout(names, sources, symbol, unread, joined, summed, symbol_parts)


def _symbol_parts(names: tuple[str, ...], options: ReadOptions) -> tuple[str, ...]:
    """Return the columns that are joined to symbols; none if one column has these. Raises `ImportRefused`."""
    for name in options.rows:
        if name not in names:
            raise ImportRefused(f"there is no column {name!r}; the columns are {','.join(names)}")
    source = options.columns.get(SYMBOL, "")
    parts = tuple(source.split("+")) if "+" in source and source not in names else ()
    return parts if {*parts} <= {*names} else ()


def _parts(names: tuple[str, ...], options: ReadOptions, kind: ColumnKind) -> dict[str, tuple[str, ...]]:
    """Return the columns of the file that sources such as `date+time` or `up+down` name, of our columns of a kind."""
    ours = [column.name for column in options.dataset.columns if column.kind is kind]
    sources = [source for name in ours if (source := options.columns.get(name, "")) not in names]
    parts = {source: tuple(source.split("+")) for source in sources if "+" in source}
    return {source: each for source, each in parts.items() if {*each} <= {*names}}


def _named_symbol(names: Sequence[str]) -> str | None:
    """Return the column that is a symbol by its name, if any. Raises `ImportRefused` for several."""
    found = symbol_columns(names)
    if len(found) > 1:
        choice = look("--columns", paired({SYMBOL: found[0]}))
        raise ImportRefused(f"the symbol may be in {' or '.join(found)}{choice}")
    return found[0] if found else None
