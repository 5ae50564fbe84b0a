"""NDJSON and CSV written value by value, as a plain program would."""

import math
import re
from datetime import timedelta
from typing import Any

import orjson

from stats.rendering.format import TimeForm
from stats.rendering.table import ColumnRole, OutColumn, Table
from store.timestamps import format_timestamp
from tests.stats.rendering.tables import EPOCH

_UNITS = {TimeForm.MS: 10**6, TimeForm.NS: 1}


def ndjson(table: Table, form: TimeForm) -> bytes:
    rows = (
        {column.name: _value(column, row[column.name], form) for column in table.columns}
        for row in table.data.to_pylist()
    )
    return b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows)


def csv(table: Table, form: TimeForm) -> bytes:
    lines = [[column.name for column in table.columns]]
    for row in table.data.to_pylist():
        cells = [_cell(column, row[column.name], form) for column in table.columns]
        lines.append(cells if cells != [""] else ['""'])
    return "".join(",".join(cells) + "\r\n" for cells in lines).encode()


def _value(column: OutColumn, value: Any, form: TimeForm) -> Any:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    match column.role:
        case ColumnRole.TIME:
            return format_timestamp(value) if form is TimeForm.RFC3339 else value // _UNITS[form]
        case ColumnRole.DATE:
            return (EPOCH + timedelta(days=value)).isoformat()
        case ColumnRole.VOLUME if column.is_integer and value.is_integer() and abs(value) < 2**63:
            return int(value)
        case ColumnRole.WORDS:
            return value.split(";") if value else []
    return value


def _cell(column: OutColumn, value: Any, form: TimeForm) -> str:
    written = _value(column, value, form)
    if written is None:
        return ""
    match column.role:
        case ColumnRole.TIME if form is TimeForm.RFC3339 and not column.is_integer and "." not in written:
            return f"{written[:-1]}.0Z"
        case ColumnRole.TEXT | ColumnRole.WORDS:
            text = f"'{value}" if value[:1] in {*"=+-@\t\r'"} else value
            return '"' + text.replace('"', '""') + '"' if not text or re.search('[,"\r\n]', text) else text
    return written if isinstance(written, str) else orjson.dumps(written).decode()
