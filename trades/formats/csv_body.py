"""Bodies of CSV (RFC 4180) with a header line; an empty cell is null. Errors of rows name the line."""

import csv
import re
from codecs import BOM_UTF8
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from trades.batches.row_batch import ROWS_LIMIT, BatchOptions, RowColumns, check_not_repeated
from trades.exceptions import BatchRefused
from trades.formats.arrow_values import one_array
from trades.formats.csv_cells import header_cells, row_lines, split_cells
from trades.formats.text_values import typed_cells
from web.requests.exceptions import FieldError, MalformedDocument

COLUMNS_LIMIT = 1_000
LINES_LIMIT = 10 * ROWS_LIMIT
_HEADER_BYTES_LIMIT = 64 * 2**10
_ERROR_CHARS_LIMIT = 200
_ARROW_ROW = re.compile(r"Row #(\d+):")
_ROW = re.compile(r"\w+\[(\d+)\]")
# The text up to the first quotation mark that does not enclose a whole cell. Arrow accepts some of these.
_WELL_QUOTED = re.compile(rb'(?:[^"]*+(?<![^,\r\n])"[^"]*+(?:""[^"]*+)*+"(?![^,\r\n]))*+[^"]*+')


def csv_columns(body: bytes, _options: BatchOptions) -> RowColumns:
    """Return the columns of a CSV body. Raises `MalformedDocument`."""
    if _line_ends(body) > LINES_LIMIT:
        raise _malformed(f"the body has more than {LINES_LIMIT:,} lines")
    names, start = _header(body)
    table = _cells(names, body, start)
    return RowColumns(
        names, table.num_rows, lambda column: typed_cells(column, one_array(table.column(column.name)))
    )


def _line_ends(text: bytes) -> int:
    return text.count(b"\n") + text.count(b"\r") - text.count(b"\r\n")


def _header(body: bytes) -> tuple[list[str], int]:
    """Return the names in the first line, and the offset of the second."""
    line = body[:_HEADER_BYTES_LIMIT].splitlines(keepends=True)[:1]
    if not line or not line[0].strip():
        raise _malformed("the first line must name the columns")
    if len(line[0]) == _HEADER_BYTES_LIMIT:
        raise _malformed(f"the first line has more than {_HEADER_BYTES_LIMIT:,} bytes")
    try:
        names = header_cells(line[0].decode("utf-8-sig"), strict=True)
    except (UnicodeDecodeError, csv.Error) as error:
        raise _malformed(f"the first line cannot be read: {error}") from error
    if len(names) > COLUMNS_LIMIT:
        raise _malformed(f"there are more than {COLUMNS_LIMIT:,} columns")
    check_not_repeated(names)
    _check_quotes(line[0].removeprefix(BOM_UTF8), 0)
    return names, len(line[0])


def _check_quotes(text: bytes, start: int) -> None:
    found = _WELL_QUOTED.match(text, start)
    if found is not None and found.end() < len(text):
        line = 1 + _line_ends(text[: found.end()])
        raise _malformed(f"line {line}: a quotation mark is inside of a cell, or is not closed")


def _cells(names: list[str], body: bytes, start: int) -> pa.Table:
    """Return all cells after the header as texts, null where empty."""
    _check_quotes(body, start)
    try:
        return split_cells(body, names, start=start)
    except pa.ArrowInvalid as error:
        text = str(error).encode("ascii", "replace").decode()[:_ERROR_CHARS_LIMIT]
        if match := _ARROW_ROW.search(text):  # counted from 1, without empty lines
            text = text.replace(match[0], f"line {row_lines(body, int(match[1]) + 1)[-1]}:", 1)
        raise _malformed(f"the body is not CSV: {text}") from error


def _malformed(message: str) -> MalformedDocument:
    return MalformedDocument("malformed_csv", message)


@contextmanager
def lines_named(body: bytes) -> Iterator[None]:
    """Add the line to each row's error in a `BatchRefused`.

    Lines are counted as in an editor: the header is line 1, and empty lines and line ends in quoted cells count. A row
    of several lines has the first one's number.
    """
    try:
        yield
    except BatchRefused as error:
        rows = [_row_of(each) for each in error.errors]
        last = max((row for row in rows if row is not None), default=-1)
        _, *lines = row_lines(body, last + 2)
        if not 0 <= last < len(lines):
            raise
        named = [
            each if row is None else FieldError(each.path, each.code, f"line {lines[row]}: {each.message}")
            for row, each in zip(rows, error.errors, strict=True)
        ]
        first = "" if rows[0] is None else f"line {lines[rows[0]]}: "
        raise BatchRefused(error.code, f"{first}{error}", named) from error


def _row_of(error: FieldError) -> int | None:
    match = _ROW.match(error.path)
    return None if match is None else int(match[1])
