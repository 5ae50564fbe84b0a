"""Splits CSV (RFC 4180) into columns of texts: request bodies and files of every dialect."""

import csv
import re
from collections.abc import Sequence
from io import BytesIO, TextIOWrapper

import pyarrow as pa
import pyarrow.csv as pacsv

_FILLED = re.compile(rb"[^\r\n]")


def header_cells(text: str, delimiter: str = ",", *, quote: str = '"', strict: bool = False) -> list[str]:
    """Return the cells of a header line. Raises `csv.Error`. strict: also for quotation marks that are out of place."""
    lines = [text.strip("\r\n")]
    return next(csv.reader(lines, delimiter=delimiter, quotechar=quote, strict=strict), [])


def split_cells(
    text: bytes,
    names: Sequence[str],
    *,
    start: int = 0,
    delimiter: str = ",",
    quote: str = '"',
    read: Sequence[str] | None = None,
    nulls: Sequence[str] = (),
    torn: list[pacsv.InvalidRow] | None = None,
) -> pa.Table:
    """Return columns of the rows after `start`, as texts; null where a cell is empty. Empty lines are no rows.

    names: of all columns. read: the columns to return; None for all. nulls: further texts of nulls. torn: rows of another
    number of cells are left out, and added to it; the text must be UTF-8. None refuses them, and takes an empty cell in
    quotation marks for an empty text. Raises `pa.ArrowInvalid`. Accepts quotation marks inside of cells.
    """
    read = list(names if read is None else read)
    if not _FILLED.search(text, start):
        return pa.table({name: pa.array([], pa.string()) for name in read})

    if text.endswith(delimiter.encode()):
        # At the end of the text Arrow takes an empty cell after one in quotation marks for an empty text.
        text += b"\n"
    skipped = [] if torn is None else torn

    def skip(row: pacsv.InvalidRow) -> str:
        skipped.append(row)
        return "skip"

    return pacsv.read_csv(
        pa.py_buffer(text).slice(start),
        pacsv.ReadOptions(column_names=names, use_threads=False, block_size=len(text) - start + 1),
        pacsv.ParseOptions(
            delimiter=delimiter, quote_char=quote, invalid_row_handler=None if torn is None else skip
        ),
        pacsv.ConvertOptions(
            column_types=dict.fromkeys(read, pa.string()),
            include_columns=read,
            null_values=["", *nulls],
            strings_can_be_null=True,
            quoted_strings_can_be_null=torn is not None,
        ),
    )


def row_lines(text: bytes, count: int, *, is_quoted: bool = True) -> list[int]:
    """Return the first line, from 1, of each of the first `count` rows; fewer if the text has fewer. A header is a row.

    is_quoted: whether line ends between quotation marks end no row; then quotation marks must enclose whole cells.
    """
    lines: list[int] = []
    is_inside = False
    for number, line in enumerate(TextIOWrapper(BytesIO(text), "latin-1", newline=""), 1):
        if len(lines) >= count:
            break
        if not is_inside and line.strip("\r\n"):
            lines.append(number)
        is_inside ^= is_quoted and line.count('"') % 2 == 1
    return lines
