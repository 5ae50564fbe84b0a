"""Bodies of CSV (RFC 4180) with a header line that names the columns; an empty cell is null."""

import csv
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from http_requests.exceptions import MalformedDocument
from store.declarations import Column
from trades.batches.row_batch import Expected, RowBatch
from trades.batches.validation import Typed
from trades.formats.columns import check_not_repeated, read_columns
from trades.formats.text_cells import typed_cells

COLUMNS_LIMIT = 1_000
_HEADER_BYTES_LIMIT = 64 * 2**10
_MESSAGE_LIMIT = 200
_PIECE_BYTES = 2**20
_STRAY_QUOTE = "a quotation mark stands inside of a cell, or has no second one"
_QUOTE = ord('"')
_BESIDE_A_QUOTE = np.zeros(256, dtype=bool)
_BESIDE_A_QUOTE[list(b',\r\n"')] = True


@dataclass(frozen=True)
class CsvColumns:
    """The columns of a file, all of them texts."""

    table: pa.Table

    @property
    def names(self) -> list[str]:
        """The header."""
        return self.table.column_names  # type: ignore[no-any-return]

    def __len__(self) -> int:
        return self.table.num_rows  # type: ignore[no-any-return]

    def typed(self, column: Column) -> Typed:
        return typed_cells(column, self.table.column(column.name).chunk(0))


def read_csv_body(body: bytes, expected: Expected) -> RowBatch:
    """The batch in a file. Raises `MalformedDocument`, `BatchRefused`."""
    names, start = _header(body)
    _check_quotes(body)
    return read_columns(CsvColumns(_cells(names, body, start)), expected)


def _header(body: bytes) -> tuple[list[str], int]:
    """The names in the first line, and where the second one begins."""
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
    """Refuse quotation marks that do not enclose a whole cell; the parser would pass over some of them."""
    if b'"' not in body:
        return
    text = np.frombuffer(b"\n" + body.removeprefix(b"\xef\xbb\xbf") + b"\n", dtype=np.uint8)
    seen = 0
    # In pieces: the place of a byte takes eight.
    for start in range(0, len(text), _PIECE_BYTES):
        places = np.flatnonzero(text[start : start + _PIECE_BYTES] == _QUOTE) + start
        opening, closing = places[seen % 2 :: 2], places[1 - seen % 2 :: 2]
        if not (_BESIDE_A_QUOTE[text[opening - 1]].all() and _BESIDE_A_QUOTE[text[closing + 1]].all()):
            raise _malformed(_STRAY_QUOTE)
        seen += len(places)
    if seen % 2:
        raise _malformed(_STRAY_QUOTE)


def _cells(names: list[str], body: bytes, start: int) -> pa.Table:
    """Every cell as a text, null where it is empty."""
    types = dict.fromkeys(names, pa.string())
    rest = body[start:]
    if not rest.strip(b"\r\n"):
        return pa.table({name: pa.array([], pa.string()) for name in names})
    try:
        table = pacsv.read_csv(
            pa.BufferReader(rest),
            pacsv.ReadOptions(column_names=names, use_threads=False, block_size=len(rest) + 1),
            pacsv.ParseOptions(newlines_in_values=True),
            pacsv.ConvertOptions(
                column_types=types,
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid as error:
        raise _malformed(f"the body is not CSV: {_short(error)}") from error
    return table.combine_chunks()


def _short(error: Exception) -> str:
    text = str(error).encode("ascii", "replace").decode()
    return text if len(text) <= _MESSAGE_LIMIT else f"{text[:_MESSAGE_LIMIT]}…"


def _malformed(message: str) -> MalformedDocument:
    return MalformedDocument("malformed_csv", message)
