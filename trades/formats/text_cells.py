"""Columns of texts as numbers, times and words, strictly: what JSON would not take for a number is none."""

import math
import re
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from refusals.field_error import ERRORS_LIMIT
from store.declarations import ARROW_TYPES, WORD_SEPARATOR, Column, Form, Kind
from store.text_columns import ESCAPED_FIRST, unescaped_text
from store.timestamps import InvalidTimestamp, invalid_timestamps, parse_timestamps
from trades.batches.row_batch import LARGEST_NUMBER
from trades.formats.columns import Typed

_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_IS_NUMBER = re.compile(_NUMBER.replace("$", r"\Z"))
_IS_INTEGER = re.compile(r"-?[0-9]+")
_DIGITS_LIMIT = 18
_FLAGS = {"true": True, "false": False}
# What our own files put an apostrophe in front of, lest a spreadsheet takes it for a formula.
_ESCAPED = "^'[" + ESCAPED_FIRST.replace("-", r"\-") + "]"


def typed_cells(column: Column, cells: pa.Array) -> Typed:
    """A column of texts in the type of its kind; nulls stay nulls."""
    if cells.null_count == len(cells):
        return Typed.right(pa.nulls(len(cells), ARROW_TYPES[column.kind]))
    return _READERS[column.kind](cells)


def said_by(column: Column, cell: str | None) -> object:
    """The value that a cell has in JSON; a text where it is not what the column holds."""
    if cell is None or column.kind is Kind.TIME:
        return cell
    if column.kind is Kind.BOOLEAN:
        return _FLAGS.get(cell, cell)
    if column.kind is not Kind.TEXT:
        return _number(cell)
    text = unescaped_text(cell)
    return text.split(WORD_SEPARATOR) if column.form is Form.WORDS else text


def unescaped(cells: pa.Array) -> pa.Array:
    """Texts without the apostrophe that keeps a spreadsheet from taking them for formulas."""
    if not pc.any(pc.starts_with(cells, "'")).as_py():
        return cells
    escaped = pc.match_substring_regex(cells, _ESCAPED)
    return pc.if_else(escaped, pc.utf8_slice_codeunits(cells, 1), cells)


def _number(cell: str) -> object:
    if _IS_INTEGER.fullmatch(cell):
        return int(cell) if len(cell) <= _DIGITS_LIMIT else math.inf
    return float(cell) if _IS_NUMBER.match(cell) else cell


def _times(cells: pa.Array) -> Typed:
    present = cells.is_valid().to_numpy(zero_copy_only=False)
    texts = cells.drop_null() if cells.null_count else cells
    wrong = np.zeros(len(cells), dtype=bool)
    instants = np.zeros(len(cells), dtype=np.int64)
    try:
        instants[present] = parse_timestamps(texts)
    except InvalidTimestamp:
        wrong[np.flatnonzero(present)[invalid_timestamps(texts, limit=ERRORS_LIMIT)]] = True
    return Typed(pa.array(instants, mask=None if present.all() else ~present), wrong)


def _numbers(cells: pa.Array) -> Typed:
    try:
        numbers = cells.cast(pa.float64())
        wrong = np.zeros(len(cells), dtype=bool)
    except pa.ArrowInvalid:
        fits = pc.match_substring_regex(cells, _NUMBER)
        numbers = pc.if_else(fits, cells, None).cast(pa.float64())
        wrong = ~fits.fill_null(True).to_numpy(zero_copy_only=False)
        numbers = numbers.fill_null(1.0)
    values = numbers.to_numpy(zero_copy_only=False) + 0.0  # minus zero is zero
    for place in np.flatnonzero(np.abs(values) == LARGEST_NUMBER).tolist():
        cell = cells[place].as_py() or ""
        wrong[place] |= bool(_IS_INTEGER.fullmatch(cell)) and abs(_number(cell)) > LARGEST_NUMBER  # type: ignore[arg-type]
    mask = cells.is_null().to_numpy(zero_copy_only=False) if cells.null_count else None
    return Typed(pa.array(values, mask=mask), wrong)


def _integers(cells: pa.Array) -> Typed:
    fits = pc.and_(pc.ascii_is_decimal(cells), pc.less_equal(pc.binary_length(cells), _DIGITS_LIMIT))
    wrong = ~fits.fill_null(True).to_numpy(zero_copy_only=False)
    return Typed(pc.if_else(fits, cells, None).cast(pa.int64()), wrong)


def _flags(cells: pa.Array) -> Typed:
    fits = pc.is_in(cells, pa.array(list(_FLAGS)))
    wrong = cells.is_valid().to_numpy(zero_copy_only=False) & ~fits.to_numpy(zero_copy_only=False)
    return Typed(pc.if_else(fits, pc.equal(cells, "true"), None), wrong)


def _texts(cells: pa.Array) -> Typed:
    return Typed.right(unescaped(cells))


_READERS: dict[Kind, Callable[[pa.Array], Typed]] = {
    Kind.TIME: _times,
    Kind.NUMBER: _numbers,
    Kind.INTEGER: _integers,
    Kind.TEXT: _texts,
    Kind.BOOLEAN: _flags,
}
