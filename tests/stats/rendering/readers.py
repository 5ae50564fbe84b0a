"""Every format read by an independent library, back to the rows of `plain_rows`."""

import csv
import io
import json
from collections.abc import Callable, Iterable
from datetime import date
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from stats.rendering.format import TimeForm
from stats.rendering.table import ColumnRole, OutColumn
from tests.stats.rendering.tables import Row

_UNIT_NS = {TimeForm.MS: 10**6, TimeForm.NS: 1}
_FLAGS = {"true": True, "false": False}


def rows_of_json(body: bytes, columns: Iterable[OutColumn], form: TimeForm) -> list[Row]:
    return _of_values(_loads(body)["bars"], columns, form)


def rows_of_lines(body: bytes, columns: Iterable[OutColumn], form: TimeForm) -> list[Row]:
    assert body == b"" or body.endswith(b"\n")
    return _of_values([_loads(line) for line in body.split(b"\n")[:-1]], columns, form)


def rows_of_columnar(body: bytes, columns: Iterable[OutColumn], form: TimeForm) -> list[Row]:
    return _of_lists(_loads(body), columns, form)


def rows_of_msgpack(body: bytes, columns: Iterable[OutColumn], form: TimeForm) -> list[Row]:
    return _of_lists(msgspec.msgpack.decode(body), columns, form)


def rows_of_csv(body: bytes, columns: Iterable[OutColumn], form: TimeForm) -> list[Row]:
    """A reader of CSV cannot tell an empty text, nor no word, from null: both are None."""
    names, *lines = csv.reader(io.StringIO(body.decode(), newline=""))
    by_name = {column.name: column for column in columns}
    return [
        {name: _of_cell(by_name[name], cell, form) for name, cell in zip(names, line, strict=True)}
        for line in lines
    ]


def rows_of_arrow(body: bytes, columns: Iterable[OutColumn], form: TimeForm | None) -> list[Row]:
    table = pa.ipc.open_stream(body).read_all()
    if form is None:
        for place, column in enumerate(columns):
            if column.role is ColumnRole.TIME:
                assert table.schema.field(place).type == pa.timestamp("ns", "UTC")
                table = table.set_column(place, column.name, table.column(place).cast(pa.int64()))
    return _of_values(table.to_pylist(), columns, form or TimeForm.NS)


READERS: dict[str, Callable[..., list[Row]]] = {
    "json": rows_of_json,
    "columnar": rows_of_columnar,
    "msgpack": rows_of_msgpack,
    "ndjson": rows_of_lines,
    "csv": rows_of_csv,
    "arrow": rows_of_arrow,
}


def _refuse(constant: str) -> Any:
    raise AssertionError(f"{constant} is not JSON")


def _loads(text: bytes) -> Any:
    return json.loads(text, parse_constant=_refuse)


def _of_lists(found: dict[str, Any], columns: Iterable[OutColumn], form: TimeForm) -> list[Row]:
    names = [column.name for column in columns]
    lists = [found["timestamps" if name == "timestamp" else name] for name in names]
    rows = [dict(zip(names, values, strict=True)) for values in zip(*lists, strict=True)]
    return _of_values(rows, columns, form)


def _of_values(rows: list[Row], columns: Iterable[OutColumn], form: TimeForm) -> list[Row]:
    by_name = {column.name: column for column in columns}
    return [{name: _of_value(by_name[name], value, form) for name, value in row.items()} for row in rows]


def _of_value(column: OutColumn, value: Any, form: TimeForm) -> Any:
    if value is None:
        return None
    match column.role:
        case ColumnRole.TIME:
            return instant_of(value, form)
        case ColumnRole.DATE:
            return value if isinstance(value, date) else date.fromisoformat(value)
        case ColumnRole.VOLUME:
            return float(value) + 0.0 if column.is_integer else float(value)  # no minus zero among integers
    return value


def _of_cell(column: OutColumn, cell: str, form: TimeForm) -> Any:
    if not cell:
        return None
    if column.role not in (ColumnRole.TEXT, ColumnRole.WORDS):
        return _CELLS[column.role](cell, form)
    assert cell[0] not in "=+-@\t\r"
    text = cell.removeprefix("'")
    return text.split(";") if column.role is ColumnRole.WORDS else text


_CELLS: dict[ColumnRole, Callable[[str, TimeForm], Any]] = {
    ColumnRole.TIME: lambda cell, form: instant_of(cell if form is TimeForm.RFC3339 else int(cell), form),
    ColumnRole.DATE: lambda cell, _: date.fromisoformat(cell),
    ColumnRole.NUMBER: lambda cell, _: float(cell),
    ColumnRole.VOLUME: lambda cell, _: float(cell),
    ColumnRole.INTEGER: lambda cell, _: int(cell),
    ColumnRole.FLAG: lambda cell, _: _FLAGS[cell],
}


def instant_of(value: Any, form: TimeForm) -> int:
    """Nanoseconds, by numpy's parser."""
    if form is not TimeForm.RFC3339:
        assert isinstance(value, int)
        return value * _UNIT_NS[form]
    assert value.endswith("Z")
    return int(np.datetime64(value[:-1], "ns").astype(np.int64))
