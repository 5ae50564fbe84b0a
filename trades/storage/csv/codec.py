"""Rows as CSV text and back, lossless. Plain CSV: pandas, a spreadsheet and awk read it as it is."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from trades.datasets import Column, Dataset, Kind
from trades.timestamps import fixed_width_text

# A spreadsheet takes a cell that begins with one of these for a formula; such a text gets an apostrophe in
# front, and so does one that begins with the apostrophe itself, so that every text is read back as it was.
_ESCAPED_FIRST = "=+-@\t\r'"
_IS_ESCAPED_FIRST = np.zeros(256, dtype=bool)
_IS_ESCAPED_FIRST[list(_ESCAPED_FIRST.encode())] = True

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
    cells = [_cells(column, rows.column(column.name)) for column in dataset.columns]
    cells.insert(1, pa.repeat(symbol, rows.num_rows))
    batch = pa.record_batch(cells, names=_column_names(dataset))
    try:
        return _write(batch, quoting="none")
    except pa.ArrowInvalid:  # a text holds a comma or a quote
        return _write(batch, quoting="needed")


def decode_rows(dataset: Dataset, text: bytes) -> pa.Table:
    """The rows of lines that `encode_rows` made, in order, in the dataset's schema."""
    types = {column.name: _READ_TYPES[column.kind] for column in dataset.columns}
    table = pacsv.read_csv(
        pa.BufferReader(text),
        pacsv.ReadOptions(
            column_names=_column_names(dataset), use_threads=False, block_size=max(len(text), 1)
        ),
        pacsv.ParseOptions(),
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


def _write(batch: pa.RecordBatch, *, quoting: str) -> bytes:
    text = io.BytesIO()
    pacsv.write_csv(batch, text, pacsv.WriteOptions(include_header=False, quoting_style=quoting))
    return text.getvalue()


def _cells(column: Column, values: pa.Array) -> pa.Array:
    if values.null_count == len(values):
        return pa.nulls(len(values), pa.string())
    if column.kind is Kind.TIME:
        text = fixed_width_text(values.fill_null(0).to_numpy())
        return pc.if_else(values.is_valid(), text, None) if values.null_count else text
    if column.kind is Kind.TEXT:
        return _escaped(values)
    if column.kind is Kind.NUMBER and not values.null_count:
        return _whole_as_integers(values)
    return values


def _whole_as_integers(values: pa.Array) -> pa.Array:
    numbers = values.to_numpy()
    is_whole = bool(np.all(numbers == np.floor(numbers))) and bool(np.all(np.abs(numbers) <= 2.0**53))
    return values.cast(pa.int64()) if is_whole else values


def _escaped(values: pa.Array) -> pa.Array:
    present = values.drop_null()
    offsets = np.frombuffer(present.buffers()[1], dtype=np.int32)[
        present.offset : present.offset + len(present)
    ]
    first = np.frombuffer(present.buffers()[2], dtype=np.uint8)[offsets]
    if not _IS_ESCAPED_FIRST[first].any():
        return values
    risky = pc.is_in(pc.utf8_slice_codeunits(values, 0, 1), pa.array(list(_ESCAPED_FIRST)))
    return pc.if_else(risky, pc.binary_join_element_wise("'", values, ""), values)


def _read_column(column: Column, cells: pa.ChunkedArray) -> pa.ChunkedArray:
    if column.kind is Kind.TIME:
        return cells.cast(pa.int64())
    if column.kind is Kind.TEXT and cells.null_count < len(cells):
        escaped = pc.starts_with(cells, "'")
        if pc.any(escaped).as_py():
            return pc.if_else(escaped, pc.utf8_slice_codeunits(cells, 1), cells)
    return cells
