"""Columns of texts as numbers, times and words, strictly: what JSON would not take for a number is none."""

import math
import re
from collections.abc import Callable, Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from store.declarations import ARROW_TYPES, Column, ColumnKind
from store.text_columns import ESCAPED_FIRST
from trades.batches.json_columns import text_times
from trades.batches.validation import Typed, faults_at, rule_of
from trades.batches.value_rule import LARGEST_NUMBER, Fault, Found

_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_IS_NUMBER = re.compile(_NUMBER.replace("$", r"\Z"))
_IS_INTEGER = re.compile(r"-?[0-9]+")
_DIGITS_LIMIT = 18
_SHORT_INTEGER = rf"^-?[0-9]{{1,{_DIGITS_LIMIT}}}$"
# What our own files put an apostrophe in front of, lest a spreadsheet takes it for a formula.
_ESCAPED = "^'[" + ESCAPED_FIRST.replace("-", r"\-") + "]"


def typed_cells(column: Column, cells: pa.Array) -> Typed:
    """A column of texts in the type of its kind; nulls stay nulls."""
    if cells.null_count == len(cells):
        return Typed(pa.nulls(len(cells), ARROW_TYPES[column.kind]))
    return _READERS[column.kind](column, cells)


def unescaped(cells: pa.Array) -> pa.Array:
    """Texts without the apostrophe that keeps a spreadsheet from taking them for formulas."""
    if not pc.any(pc.starts_with(cells, "'")).as_py():
        return cells
    escaped = pc.match_substring_regex(cells, _ESCAPED)
    return pc.if_else(escaped, pc.utf8_slice_codeunits(cells, 1), cells)


def _said(cell: str) -> object:
    """The number that JSON would have; the text where it is none."""
    if _IS_INTEGER.fullmatch(cell):
        return int(cell) if len(cell) <= _DIGITS_LIMIT else math.inf
    return float(cell) if _IS_NUMBER.match(cell) else cell


def _numbers(column: Column, cells: pa.Array) -> Typed:
    try:
        numbers = cells.cast(pa.float64())
    except pa.ArrowInvalid:
        fits = pc.match_substring_regex(cells, _NUMBER)
        numbers = pc.if_else(fits, cells, None).cast(pa.float64())
    values = numbers.to_numpy(zero_copy_only=False) + 0.0  # minus zero is zero
    # Also what the cast took for a number and JSON would not, and integers that it rounded to the largest.
    looked_at = ~(np.abs(values) < LARGEST_NUMBER)
    if cells.null_count:
        looked_at &= cells.is_valid().to_numpy(zero_copy_only=False)
    mask = numbers.is_null().to_numpy(zero_copy_only=False) if numbers.null_count else None
    return Typed(pa.array(values, mask=mask), _faults(column, cells, np.flatnonzero(looked_at)))


def _integers(column: Column, cells: pa.Array) -> Typed:
    fits = pc.match_substring_regex(cells, _SHORT_INTEGER)
    values = pc.if_else(fits, cells, None).cast(pa.int64())
    wrong = pc.invert(fits).fill_null(False)
    return Typed(values, _faults(column, cells, np.flatnonzero(wrong)))


def _booleans(column: Column, cells: pa.Array) -> Typed:
    words = pc.ascii_lower(cells)
    is_true = pc.equal(words, "true")
    fits = pc.or_(is_true, pc.equal(words, "false"))
    wrong = pc.invert(fits).fill_null(False)
    return Typed(pc.if_else(fits, is_true, None), _faults(column, cells, np.flatnonzero(wrong)))


def _texts(_column: Column, cells: pa.Array) -> Typed:
    return Typed(unescaped(cells))


def _faults(column: Column, cells: pa.Array, places: Iterable[int]) -> Found:
    """What is wrong with the cells at some places; nothing with nulls."""
    rule, faults = rule_of(column), {}
    for place in places:
        cell = cells[int(place)].as_py()
        found = None if cell is None else rule.stored(_said(cell))
        if isinstance(found, Fault):
            faults[int(place)] = found
    return faults_at(len(cells), faults)


_READERS: dict[ColumnKind, Callable[[Column, pa.Array], Typed]] = {
    ColumnKind.TIME: text_times,
    ColumnKind.NUMBER: _numbers,
    ColumnKind.INTEGER: _integers,
    ColumnKind.TEXT: _texts,
    ColumnKind.BOOLEAN: _booleans,
}
