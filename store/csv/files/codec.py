"""Rows as CSV text and back, lossless. Plain CSV: pandas, a spreadsheet and awk read it as it is."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from store.arrow_later import compute as pc
from store.arrow_later import csv as pacsv
from store.declarations import Column, Dataset, Kind
from store.text_columns import Piece, are_plainly_whole, ended_numbers, escaped, joined_lines, quoted
from store.timestamps import fixed_width_text

_READ_TYPES = {
    Kind.TIME: pa.timestamp("ns", "UTC"),
    Kind.NUMBER: pa.float64(),
    Kind.INTEGER: pa.int64(),
    Kind.TEXT: pa.string(),
}


def header(dataset: Dataset) -> bytes:
    """The first line of every file: the event time, the symbol, then the dataset's other columns."""
    return (",".join(_column_names(dataset)) + "\n").encode()


def encode_rows(dataset: Dataset, symbol: str, rows: pa.RecordBatch) -> bytes:
    """One line per row, in order. Times in UTC at full precision, floats as their shortest exact text."""
    first, *others = dataset.columns
    ends = [","] * (len(others) - 1) + ["\n"]
    pieces = _cells(first, rows.column(first.name), f",{symbol},")
    for column, end in zip(others, ends, strict=True):
        pieces += _cells(column, rows.column(column.name), end)
    return joined_lines(pieces, rows.num_rows)


def decode_rows(dataset: Dataset, text: bytes) -> pa.Table:
    """The rows of lines that `encode_rows` made, in order, in the dataset's schema."""
    types = {column.name: _READ_TYPES[column.kind] for column in dataset.columns}
    table = pacsv.read_csv(
        pa.BufferReader(text),
        pacsv.ReadOptions(
            column_names=_column_names(dataset), use_threads=False, block_size=max(len(text), 1)
        ),
        pacsv.ParseOptions(newlines_in_values=b'"' in text),  # slower, and rarely needed
        pacsv.ConvertOptions(
            column_types=types,
            include_columns=list(types),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )
    columns = [_read_column(column, table.column(column.name)) for column in dataset.columns]
    return pa.table(columns, schema=dataset.schema)


def _column_names(dataset: Dataset) -> list[str]:
    first, *others = (column.name for column in dataset.columns)
    return [first, "symbol", *others]


def _cells(column: Column, values: pa.Array, end: str) -> list[Piece]:
    """A column's cells, null where they are empty, each followed by `end`."""
    if values.null_count == len(values):
        return [end]
    if column.kind is Kind.TIME:
        if values.null_count:
            text = fixed_width_text(values.fill_null(0).to_numpy())
            return [pc.if_else(values.is_valid(), text, None), end]
        return [fixed_width_text(values.to_numpy(), end)]
    if column.kind is Kind.TEXT:
        return [quoted(escaped(values)), end]
    return [values.cast(pa.string()), end] if values.null_count else [_numbers(values.to_numpy(), end)]


def _numbers(numbers: npt.NDArray[Any], end: str) -> pa.Array:
    """Each number's text with `end` behind it. Whole numbers without a point."""
    if numbers.dtype.kind == "f" and are_plainly_whole(numbers):
        numbers = numbers.astype(np.int64)
    return ended_numbers(numbers, end)


def _read_column(column: Column, cells: pa.ChunkedArray) -> pa.ChunkedArray:
    if column.kind is Kind.TIME:
        return cells.cast(pa.int64())
    if column.kind is Kind.TEXT and cells.null_count < len(cells):
        escaped = pc.starts_with(cells, "'")
        if pc.any(escaped).as_py():
            return pc.if_else(escaped, pc.utf8_slice_codeunits(cells, 1), cells)
    return cells
