"""How a file's text is to be understood: which of its columns is which, units, time zone, symbol."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from zoneinfo import ZoneInfo

import numpy as np

from store.arrays import Floats
from store.declarations import ColumnKind, Dataset
from trades.imports.exceptions import ImportRefused

SYMBOL = "symbol"
AMBIGUOUS = ("raise", "earliest", "latest")


@dataclass(frozen=True, slots=True)
class Scale:
    """A factor, exact: ten-thousandths are divided by 10,000, which rounds once, not times 0.0001."""

    numerator: int
    denominator: int

    @classmethod
    def of(cls, text: str) -> "Scale":
        """The factor that a decimal text says. Raises `ImportRefused` unless it is a number above zero."""
        try:
            factor = Decimal(text)
        except InvalidOperation:
            factor = Decimal(0)
        if not factor.is_finite() or factor <= 0:
            raise ImportRefused(f"a scale is a number above 0, not {text!r}")
        return cls(*factor.as_integer_ratio())

    def applied(self, values: Floats) -> Floats:
        """The values times the factor."""
        scaled = values * self.numerator if self.numerator != 1 else values
        return scaled / self.denominator if self.denominator != 1 else scaled


@dataclass(frozen=True)
class Reading:
    """What the caller says of a file.

    symbol: of all rows, or None where a column or the file's name says it. zone: of times without an offset.
    ambiguous: what a time means that a clock showed twice: "raise", "earliest", "latest". columns: names in
    the file by names in the dataset; an empty name leaves a column out. scale: factors by names in the
    dataset. date: the local date of times that count milliseconds since midnight. given: texts of columns
    that the file has not, the same in every row.
    """

    dataset: Dataset
    symbol: str | None = None
    zone: str = "UTC"
    ambiguous: str = "raise"
    columns: Mapping[str, str] = field(default_factory=dict)
    scale: Mapping[str, Scale] = field(default_factory=dict)
    date: np.datetime64 | None = None
    given: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known = {column.name: column.kind for column in self.dataset.columns}
        for name in self.columns:
            if name not in known and name != SYMBOL:
                raise ImportRefused(f"{self.dataset.name} has no column {name!r}; it has {', '.join(known)}")
        for name in self.scale:
            if known.get(name) is not ColumnKind.NUMBER:
                raise ImportRefused(f"{self.dataset.name} has no numbers {name!r} to scale")
        try:
            ZoneInfo(self.zone)
        except (KeyError, ValueError, OSError) as error:
            raise ImportRefused(f"there is no time zone {self.zone!r}") from error


@dataclass(frozen=True, slots=True)
class Layout:
    """A file's columns.

    names: all of them, in order. sources: the file's column of each column of the dataset that it has.
    symbol: the column that names the symbol, or None. passed_over: columns that are not read.
    """

    names: tuple[str, ...]
    sources: Mapping[str, str]
    symbol: str | None
    passed_over: tuple[str, ...]


def layout_of(header: bytes, reading: Reading) -> Layout:
    """The layout that a file's first line gives.

    Raises `ImportRefused` where a column is missing or given twice.
    """
    try:
        text = header.decode("utf-8-sig").strip("\r\n")
    except UnicodeDecodeError as error:
        raise ImportRefused("the first line is not UTF-8 text") from error
    try:
        names = tuple(name.strip() for name in next(csv.reader([text]), []))
    except csv.Error as error:
        raise ImportRefused("the first line is not CSV, or lines do not end in a line feed") from error
    if len(set(names)) < len(names):
        raise ImportRefused(f"the first line names a column twice: {text}")
    wanted = [column.name for column in reading.dataset.columns]
    sources = {name: reading.columns.get(name, name) for name in [*wanted, SYMBOL]}
    for name, source in sources.items():
        if source not in names and reading.columns.get(name):
            raise ImportRefused(f"there is no column {source!r}; the first line is {text}")
    found = {name: source for name, source in sources.items() if source in names}
    missing = [
        c.name for c in reading.dataset.columns if c.required and c.name not in {*found, *reading.given}
    ]
    if missing:
        raise ImportRefused(f"the columns {', '.join(missing)} are missing; the first line is {text}")
    symbol = found.pop(SYMBOL, None)
    used = {*found.values(), symbol}
    return Layout(names, found, symbol, tuple(name for name in names if name not in used))
