"""Converts rows to CSV text and back without loss; reads and makes the headers of data files.

pandas, spreadsheets and awk can read the files.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from store import lazy_pyarrow as pa
from store.declarations import ARROW_TYPES, Column, ColumnKind, Dataset
from store.exceptions import DataDamaged
from store.lazy_imports import compute as pc
from store.lazy_imports import csv as pacsv
from store.text_columns import TextPiece, are_exact_integers, ended_numbers, escaped, joined_lines, quoted
from store.timestamps import fixed_width_text

# The column names of a file, in order: the event time, the symbol, then the other columns.
Header: TypeAlias = tuple[str, ...]

HEADER_LIMIT_BYTES = 4096
_LATER_NAME = re.compile(r"[a-z][a-z0-9_]*")


def header_of(dataset: Dataset, later: Collection[str] = ()) -> Header:
    """Return the header of a new file: the dataset's original columns, then columns that were added later.

    later: the names of the added columns that the file gets.
    """
    first, *others = dataset.first_form.schema.names
    return (first, "symbol", *others, *(name for name in dataset.later_names if name in later))


def header_line(header: Header) -> bytes:
    """Return a header as the first line of a file."""
    return (",".join(header) + "\n").encode()


def parse_header(dataset: Dataset, text: bytes) -> Header:
    """Return the header in `text`, the beginning of a file.

    It may have later columns that this version does not know. Raises `DataDamaged` if it does not begin with
    the dataset's original columns.
    """
    line, end, _ = text.partition(b"\n")
    names = tuple(line.decode("ascii", "replace").split(","))
    first = header_of(dataset)
    later = names[len(first) :]
    is_valid = bool(end) and names[: len(first)] == first and len(set(names)) == len(names)
    if not is_valid or not all(map(_LATER_NAME.fullmatch, later)):
        raise DataDamaged(f"the first line is not a header of {dataset.name}: restore the file from a backup")
    return names


def read_header(dataset: Dataset, path: Path, descriptor: int) -> Header:
    """Return the header of an open file. Raises `OSError`, and `DataDamaged` with the file's name."""
    try:
        return parse_header(dataset, os.pread(descriptor, HEADER_LIMIT_BYTES, 0))
    except DataDamaged as error:
        raise DataDamaged(f"{path.parent.name}/{path.name}: {error}") from error


def header_or_empty(dataset: Dataset, path: Path) -> Header:
    """Return the header of a file; empty if it is damaged.

    Raises `DataDamaged` if the file is missing, and `OSError`.
    """
    descriptor = open_file(path)
    try:
        return read_header(dataset, path, descriptor)
    except DataDamaged:
        return ()
    finally:
        os.close(descriptor)


def open_file(path: Path) -> int:
    """Open a data file for reading; return its descriptor.

    Raises `DataDamaged` if it is missing, and `OSError`.
    """
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise DataDamaged(f"{path.parent.name}/{path.name} is missing") from error


def unknown_names(dataset: Dataset, header: Header) -> list[str]:
    """Return the columns of a header that this version does not know."""
    known = {"symbol", *dataset.schema.names}
    return [name for name in header if name not in known]


def encode_rows(dataset: Dataset, symbol: str, rows: pa.RecordBatch, header: Header | None = None) -> bytes:
    """Return one line per row, in order.

    Times are in UTC at full precision. A float is the shortest text that gives the same float. header: the
    file's header; by default it has all of the dataset's columns. A column that the dataset does not have gets
    empty cells.
    """
    columns = {column.name: column for column in dataset.columns}
    header = header or header_of(dataset, dataset.later_names)
    first, _, *others = header
    ends = [","] * (len(others) - 1) + ["\n"]
    pieces = _cells(columns[first], rows.column(first), f",{symbol},")
    for name, end in zip(others, ends, strict=True):
        column = columns.get(name)
        pieces += [end] if column is None else _cells(column, rows.column(name), end)
    return joined_lines(pieces, rows.num_rows)


def decode_rows(dataset: Dataset, text: bytes, header: Header | None = None) -> pa.Table:
    """Return the rows that `encode_rows` wrote as `text` with the same header, in the dataset's schema.

    Columns that the header lacks are null; columns that the dataset lacks are ignored. Raises
    `pa.ArrowInvalid` if the lines do not have the header's columns.
    """
    names = header or header_of(dataset, dataset.later_names)
    types = {column.name: _read_type(column.kind) for column in dataset.columns if column.name in names}
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


def _read_type(kind: ColumnKind) -> pa.DataType | str:
    return pa.timestamp("ns", "UTC") if kind is ColumnKind.TIME else ARROW_TYPES[kind]


def _cells(column: Column, values: pa.Array, end: str) -> list[TextPiece]:
    """Return a column's cells, each followed by `end`. A null becomes an empty cell."""
    if values.null_count == len(values):
        return [end]
    if column.kind is ColumnKind.TIME:
        if values.null_count:
            text = fixed_width_text(values.fill_null(0).to_numpy())
            return [pc.if_else(values.is_valid(), text, None), end]
        return [fixed_width_text(values.to_numpy(), end)]
    if column.kind is ColumnKind.TEXT:
        return [quoted(escaped(values)), end]
    if column.kind is ColumnKind.BOOLEAN:
        return [values.cast(pa.string()), end]
    return [values.cast(pa.string()), end] if values.null_count else [_numbers(values.to_numpy(), end)]


def _numbers(numbers: npt.NDArray[Any], end: str) -> pa.Array:
    """Return each number's text followed by `end`. If all are whole numbers, none has a decimal point."""
    is_whole = numbers.dtype.kind == "f" and are_exact_integers(numbers)
    return ended_numbers(numbers.astype(np.int64) if is_whole else numbers, end)


def _read_column(column: Column, cells: pa.ChunkedArray) -> pa.ChunkedArray:
    if column.kind is ColumnKind.TIME:
        return cells.cast(pa.int64())
    if column.kind is ColumnKind.TEXT and cells.null_count < len(cells):
        escaped = pc.starts_with(cells, "'")
        if pc.any(escaped).as_py():
            return pc.if_else(escaped, pc.utf8_slice_codeunits(cells, 1), cells)
    return cells
