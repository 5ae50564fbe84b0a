"""Rows as CSV text and back, lossless. Plain CSV: pandas, a spreadsheet and awk read it as it is."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import orjson
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
    first, *others = dataset.columns
    ends = [","] * (len(others) - 1) + ["\n"]
    pieces = _cells(first, rows.column(first.name), f",{symbol},")
    for column, end in zip(others, ends, strict=True):
        pieces += _cells(column, rows.column(column.name), end)
    lines = pc.binary_join_element_wise(
        *_constants_joined(pieces), "", null_handling="replace", null_replacement=""
    )
    return memoryview(lines.buffers()[2]).tobytes()


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


# A piece of every line: a text per row, or one that is the same in each of them.
_Piece: TypeAlias = pa.Array | str


def _constants_joined(pieces: Sequence[_Piece]) -> Iterator[_Piece]:
    for is_constant, run in groupby(pieces, key=lambda piece: isinstance(piece, str)):
        neighbours = list(run)
        yield from ["".join(neighbours)] if is_constant else neighbours


def _cells(column: Column, values: pa.Array, end: str) -> list[_Piece]:
    """A column's cells, null where they are empty, each followed by `end`."""
    if values.null_count == len(values):
        return [end]
    if column.kind is Kind.TIME:
        if values.null_count:
            text = fixed_width_text(values.fill_null(0).to_numpy())
            return [pc.if_else(values.is_valid(), text, None), end]
        return [fixed_width_text(values.to_numpy(), end)]
    if column.kind is Kind.TEXT:
        return [_quoted(_escaped(values)), end]
    return [values.cast(pa.string()), end] if values.null_count else [_ended_numbers(values.to_numpy(), end)]


def _ended_numbers(numbers: npt.NDArray[Any], end: str) -> pa.Array:
    """Each number's text with `end` behind it. Whole numbers without a point.

    The texts of a JSON list lie one behind the other with a comma between: they become the cells in place.
    """
    if numbers.dtype.kind == "f" and _are_plainly_whole(numbers):
        numbers = numbers.astype(np.int64)
    text = np.frombuffer(bytearray(orjson.dumps(numbers, option=orjson.OPT_SERIALIZE_NUMPY)), dtype=np.uint8)
    text[-1] = ord(",")
    commas = np.flatnonzero(text == ord(","))
    text[commas] = ord(end)
    offsets = np.append(1, commas + 1).astype(np.int32)
    return pa.StringArray.from_buffers(len(numbers), pa.py_buffer(offsets), pa.py_buffer(text))


def _are_plainly_whole(numbers: npt.NDArray[np.float64]) -> bool:
    """Whether all are whole, and none is minus zero or too large for an integer to be exact."""
    is_whole = bool(np.all(numbers == np.floor(numbers)) and np.all(np.abs(numbers) <= 2.0**53))
    return is_whole and not np.any(np.signbit(numbers) & (numbers == 0))


def _escaped(values: pa.Array) -> pa.Array:
    present = values.drop_null()
    offsets = np.frombuffer(present.buffers()[1], dtype=np.int32)[
        present.offset : present.offset + len(present)
    ]
    data = np.frombuffer(present.buffers()[2] or b"", dtype=np.uint8)
    first = data[offsets[offsets < len(data)]]  # of an empty text: the next one's first, or none at all
    if not _IS_ESCAPED_FIRST[first].any():
        return values
    risky = pc.is_in(pc.utf8_slice_codeunits(values, 0, 1), pa.array(list(_ESCAPED_FIRST)))
    return pc.if_else(risky, pc.binary_join_element_wise("'", values, ""), values)


def _quoted(values: pa.Array) -> pa.Array:
    """Texts that are empty or hold a comma, a quotation mark or a line end, in quotation marks (RFC 4180)."""
    structural = pc.match_substring_regex(values, '[,"\r\n]|^$')
    if not pc.any(structural).as_py():
        return values
    quoted = pc.binary_join_element_wise('"', pc.replace_substring(values, '"', '""'), '"', "")
    return pc.if_else(structural, quoted, values)


def _read_column(column: Column, cells: pa.ChunkedArray) -> pa.ChunkedArray:
    if column.kind is Kind.TIME:
        return cells.cast(pa.int64())
    if column.kind is Kind.TEXT and cells.null_count < len(cells):
        escaped = pc.starts_with(cells, "'")
        if pc.any(escaped).as_py():
            return pc.if_else(escaped, pc.utf8_slice_codeunits(cells, 1), cells)
    return cells
