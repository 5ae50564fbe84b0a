"""Converts columns of texts to the types of a dataset's columns, strictly.

A number is decimal, with an optional exponent; nan and inf are refused.
"""

import math
import re
from collections.abc import Callable, Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from store.declarations import ARROW_TYPES, Column, ColumnKind
from store.text_columns import ESCAPED_FIRST
from trades.batches.json_columns import parse_time_column
from trades.batches.validation import TypedColumn, column_rule, fault_masks, number_column
from trades.batches.value_rules import LARGEST_NUMBER, Fault, FaultMasks
from web.requests.exceptions import ERRORS_LIMIT

_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_IS_NUMBER = re.compile(_NUMBER.replace("$", r"\Z"))
_IS_NONZERO = re.compile(r"[+-]?[0.]*[1-9]")
_LEAST = math.ulp(0.0)
_IS_INTEGER = re.compile(r"-?[0-9]+")
_DIGITS_LIMIT = 18
_SHORT_INTEGER = rf"^-?[0-9]{{1,{_DIGITS_LIMIT}}}$"
# Exports write an apostrophe before these characters, so that a spreadsheet does not run a cell as a formula.
_ESCAPED = "^'[" + ESCAPED_FIRST.replace("-", r"\-") + "]"


def typed_cells(column: Column, cells: pa.Array) -> TypedColumn:
    """Convert a column of texts to the type of its kind; nulls stay nulls."""
    if cells.null_count == len(cells):
        return TypedColumn(pa.nulls(len(cells), ARROW_TYPES[column.kind]))
    return _READERS[column.kind](column, cells)


def unescaped(cells: pa.Array) -> pa.Array:
    """Return texts without the apostrophe that protects formulas."""
    if not pc.any(pc.starts_with(cells, "'")).as_py():
        return cells
    escaped = pc.match_substring_regex(cells, _ESCAPED)
    return pc.if_else(escaped, pc.utf8_slice_codeunits(cells, 1), cells)


def cell_value(cell: str) -> object:
    """Return a cell as the number that JSON would have, else the text. What is not 0 does not become 0."""
    if _IS_INTEGER.fullmatch(cell):
        return int(cell) if len(cell) <= _DIGITS_LIMIT else math.inf
    if not _IS_NUMBER.match(cell):
        return cell
    return float(cell) or (_LEAST if _IS_NONZERO.match(cell) else 0.0)


def _numbers(column: Column, cells: pa.Array) -> TypedColumn:
    try:
        numbers = cells.cast(pa.float64())
    except pa.ArrowInvalid:
        fits = pc.match_substring_regex(cells, _NUMBER)
        numbers = pc.if_else(fits, cells, None).cast(pa.float64())
    # The cast accepts texts such as nan and inf, and rounds 2^53 + 1 to 2^53. NaN fails the comparison, so it is
    # suspect, too.
    suspect = ~(np.abs(numbers.to_numpy(zero_copy_only=False)) < LARGEST_NUMBER)
    if cells.null_count:
        suspect &= cells.is_valid().to_numpy(zero_copy_only=False)
    return TypedColumn(number_column(numbers), _faults(column, cells, np.flatnonzero(suspect)))


def _integers(column: Column, cells: pa.Array) -> TypedColumn:
    fits = pc.match_substring_regex(cells, _SHORT_INTEGER)
    values = pc.if_else(fits, cells, None).cast(pa.int64())
    wrong = pc.invert(fits).fill_null(False)
    return TypedColumn(values, _faults(column, cells, np.flatnonzero(wrong)))


def _booleans(column: Column, cells: pa.Array) -> TypedColumn:
    words = pc.ascii_lower(cells)
    is_true = pc.equal(words, "true")
    fits = pc.or_(is_true, pc.equal(words, "false"))
    wrong = pc.invert(fits).fill_null(False)
    return TypedColumn(pc.if_else(fits, is_true, None), _faults(column, cells, np.flatnonzero(wrong)))


def _texts(_column: Column, cells: pa.Array) -> TypedColumn:
    return TypedColumn(unescaped(cells))


def _faults(column: Column, cells: pa.Array, indexes: Iterable[int]) -> FaultMasks:
    """Return the faults of the cells at these indexes. Nulls have none."""
    rule, faults = column_rule(column), {}
    for index in map(int, indexes):
        cell = cells[index].as_py()
        value = None if cell is None else rule.convert(cell_value(cell))
        if isinstance(value, Fault):
            faults[index] = value
            if len(faults) == ERRORS_LIMIT:  # an answer has no more
                break
    return fault_masks(len(cells), faults)


_READERS: dict[ColumnKind, Callable[[Column, pa.Array], TypedColumn]] = {
    ColumnKind.TIME: parse_time_column,
    ColumnKind.NUMBER: _numbers,
    ColumnKind.INTEGER: _integers,
    ColumnKind.TEXT: _texts,
    ColumnKind.BOOLEAN: _booleans,
}
