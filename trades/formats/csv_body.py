"""Bodies of CSV (RFC 4180) with a header line; an empty cell is null.

Cells are converted strictly: a number is decimal, with an optional exponent; nan and inf are refused.
"""

import csv
import math
import re
from collections.abc import Callable, Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from store.declarations import ARROW_TYPES, Column, ColumnKind
from store.text_columns import ESCAPED_FIRST
from trades.batches.json_columns import parse_time_column
from trades.batches.row_batch import ROWS_LIMIT, BatchOptions
from trades.batches.row_columns import RowColumns, check_not_repeated
from trades.batches.validation import TypedColumn, column_rule, fault_masks, number_column
from trades.batches.value_rules import LARGEST_NUMBER, Fault, FaultMasks
from trades.formats.csv_lines import Bytes, line_numbers
from web.requests.exceptions import ERRORS_LIMIT, MalformedDocument

COLUMNS_LIMIT = 1_000
LINES_LIMIT = 10 * ROWS_LIMIT
_HEADER_BYTES_LIMIT = 64 * 2**10
_ERROR_CHARS_LIMIT = 200
_PIECE_BYTES = 64 * 2**10
_QUOTE, _LF, _CR = b'"\n\r'
_FILLED = re.compile(rb"[^\r\n]")
_BESIDE_A_QUOTE = np.zeros(256, dtype=bool)
_BESIDE_A_QUOTE[list(b',\r\n"')] = True
_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_IS_NUMBER = re.compile(_NUMBER.replace("$", r"\Z"))
_IS_NONZERO = re.compile(r"[+-]?[0.]*[1-9]")
_LEAST = math.ulp(0.0)
_IS_INTEGER = re.compile(r"-?[0-9]+")
_DIGITS_LIMIT = 18
_ARROW_ROW = re.compile(r"Row #(\d+):")
_SHORT_INTEGER = rf"^-?[0-9]{{1,{_DIGITS_LIMIT}}}$"
# Exports write an apostrophe before these characters, so that a spreadsheet does not run a cell as a formula.
_ESCAPED = "^'[" + ESCAPED_FIRST.replace("-", r"\-") + "]"


def csv_columns(body: bytes, _options: BatchOptions) -> RowColumns:
    """Return the columns of a CSV body. Raises `MalformedDocument`."""
    table = read_csv_texts(body)
    return RowColumns(
        table.column_names,
        table.num_rows,
        lambda column: typed_cells(column, table.column(column.name).chunk(0)),
    )


def read_csv_texts(body: bytes) -> pa.Table:
    """Return all cells of a CSV body as texts, null where empty. Raises `MalformedDocument`."""
    if body.count(b"\n") > LINES_LIMIT:
        raise _malformed(f"the body has more than {LINES_LIMIT:,} lines")
    names, start = _header(body)
    _check_quotes(body)
    return _cells(names, body, start)


def _header(body: bytes) -> tuple[list[str], int]:
    """Return the names in the first line, and the offset of the second."""
    line = body[:_HEADER_BYTES_LIMIT].splitlines(keepends=True)[:1]
    if not line or not line[0].strip():
        raise _malformed("the first line must name the columns")
    if len(line[0]) == _HEADER_BYTES_LIMIT:
        raise _malformed(f"the first line has more than {_HEADER_BYTES_LIMIT:,} bytes")
    try:
        text = line[0].removeprefix(b"\xef\xbb\xbf").decode().rstrip("\r\n")
        (names,) = csv.reader([text], strict=True)
    except (UnicodeDecodeError, csv.Error, ValueError) as error:
        raise _malformed(f"the first line cannot be read: {error}") from error
    if len(names) > COLUMNS_LIMIT:
        raise _malformed(f"there are more than {COLUMNS_LIMIT:,} columns")
    check_not_repeated(names)
    return names, len(line[0])


def _check_quotes(body: bytes) -> None:
    """Refuse quotation marks that do not enclose a whole cell; Arrow's parser accepts some of them."""
    if b'"' not in body:
        return
    text = np.frombuffer(b"\n%b\n" % body.removeprefix(b"\xef\xbb\xbf"), dtype=np.uint8)
    seen = 0
    # Checks piece by piece, because the index of each quotation mark takes eight bytes, and each is copied.
    for start in range(0, len(text), _PIECE_BYTES):
        indexes = np.flatnonzero(text[start : start + _PIECE_BYTES] == _QUOTE) + start
        opening, closing = indexes[seen % 2 :: 2], indexes[1 - seen % 2 :: 2]
        stray = [
            *opening[~_BESIDE_A_QUOTE[text[opening - 1]]][:1],
            *closing[~_BESIDE_A_QUOTE[text[closing + 1]]][:1],
        ]
        if stray:
            raise _stray_quote(text[1 : min(stray)])
        seen += len(indexes)
    if seen % 2:
        raise _stray_quote(text[1 : np.flatnonzero(text == _QUOTE)[-1]])


def _stray_quote(before: Bytes) -> MalformedDocument:
    """Return the error of the quotation mark after these bytes of a body. Lines are counted as in `lines_named`."""
    line = 1 + np.count_nonzero(before == _LF) + np.count_nonzero(before == _CR)
    line -= np.count_nonzero((before[:-1] == _CR) & (before[1:] == _LF))
    return _malformed(f"line {line}: a quotation mark is inside of a cell, or is not closed")


def _cells(names: list[str], body: bytes, start: int) -> pa.Table:
    """Return all cells as texts, null where empty."""
    types = dict.fromkeys(names, pa.string())
    if not _FILLED.search(body, start):
        return pa.table({name: pa.array([], pa.string()) for name in names})
    try:
        table = pacsv.read_csv(
            pa.BufferReader(pa.py_buffer(body).slice(start)),
            pacsv.ReadOptions(column_names=names, use_threads=False, block_size=len(body) - start + 1),
            pacsv.ParseOptions(newlines_in_values=True),
            pacsv.ConvertOptions(
                column_types=types,
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid as error:
        raise _malformed(f"the body is not CSV: {_with_line(_short(error), body)}") from error
    return table.combine_chunks()


def _with_line(text: str, body: bytes) -> str:
    """Return Arrow's message with the number of the line in place of that of the row, which counts from 1."""
    match = _ARROW_ROW.search(text)
    if match is None:
        return text
    row = int(match[1])
    lines = line_numbers(body, row)
    return text if len(lines) < row else text.replace(match[0], f"line {lines[-1]}:", 1)


def _short(error: Exception) -> str:
    text = str(error).encode("ascii", "replace").decode()
    return text if len(text) <= _ERROR_CHARS_LIMIT else f"{text[:_ERROR_CHARS_LIMIT]}…"


def _malformed(message: str) -> MalformedDocument:
    return MalformedDocument("malformed_csv", message)


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
