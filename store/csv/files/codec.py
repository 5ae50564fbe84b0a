"""Rows as CSV text and back, lossless. Plain CSV: pandas, a spreadsheet and awk read it as it is."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from store.arrow_later import compute as pc
from store.arrow_later import csv as pacsv
from store.csv.files.headers import Header, header_of
from store.declarations import ARROW_TYPES, Column, Dataset, Kind
from store.text_columns import Piece, are_plainly_whole, ended_numbers, escaped, joined_lines, quoted
from store.timestamps import fixed_width_text

_READ_TYPES = {
    Kind.TIME: pa.timestamp("ns", "UTC"),
    Kind.NUMBER: pa.float64(),
    Kind.INTEGER: pa.int64(),
    Kind.TEXT: pa.string(),
    Kind.BOOLEAN: pa.bool_(),
}


def encode_rows(dataset: Dataset, symbol: str, rows: pa.RecordBatch, header: Header | None = None) -> bytes:
    """One line per row, in order. Times in UTC at full precision, floats as their shortest exact text.

    header: of the file that gets the lines; by default one with all of the dataset's columns. The cells of a
    column that is not the dataset's are empty.
    """
    columns = {column.name: column for column in dataset.columns}
    first, _, *others = header or header_of(dataset, dataset.later_names)
    ends = [","] * (len(others) - 1) + ["\n"]
    pieces = _cells(columns[first], rows.column(first), f",{symbol},")
    for name, end in zip(others, ends, strict=True):
        column = columns.get(name)
        pieces += [end] if column is None else _cells(column, rows.column(name), end)
    return joined_lines(pieces, rows.num_rows)


def decode_rows(dataset: Dataset, text: bytes, header: Header | None = None) -> pa.Table:
    """The rows of lines that `encode_rows` made for a header, in order, in the dataset's schema.

    A column that the header lacks is null; one that is not the dataset's is passed over. Raises
    `pa.ArrowInvalid` if the lines are none of such a file.
    """
    names = header or header_of(dataset, dataset.later_names)
    types = {column.name: _READ_TYPES[column.kind] for column in dataset.columns if column.name in names}
    table = pacsv.read_csv(
        pa.BufferReader(text),
        pacsv.ReadOptions(column_names=list(names), use_threads=False, block_size=max(len(text), 1)),
        pacsv.ParseOptions(newlines_in_values=b'"' in text),  # slower, and rarely needed
        pacsv.ConvertOptions(
            column_types=types,
            include_columns=list(types),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            true_values=["true"],
            false_values=["false"],
        ),
    )
    columns = [
        _read_column(column, table.column(column.name))
        if column.name in types
        else pa.nulls(table.num_rows, ARROW_TYPES[column.kind])
        for column in dataset.columns
    ]
    return pa.table(columns, schema=dataset.schema)


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
    if column.kind is Kind.BOOLEAN:
        return [values.cast(pa.string()), end]
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
