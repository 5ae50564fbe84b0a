"""Generated tables, what their rows are in plain Python, and the bars and trades that several tests write."""

import math
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from stats.rendering.format import RowsDocument
from stats.rendering.table import ColumnRole, OutColumn, Table
from store.timestamps import EARLIEST_NS, LATEST_NS

Row = dict[str, Any]

EPOCH = date(1970, 1, 1)
SECOND_NS = 10**9
OPENING_NS = int(datetime(2025, 1, 2, 14, 30, tzinfo=UTC).timestamp()) * SECOND_NS

COLUMNS = (
    OutColumn("timestamp", ColumnRole.TIME),
    OutColumn("date", ColumnRole.DATE),
    OutColumn("price", ColumnRole.NUMBER),
    OutColumn("volume", ColumnRole.VOLUME, is_integer=True),
    OutColumn("size", ColumnRole.VOLUME),
    OutColumn("sequence", ColumnRole.INTEGER),
    OutColumn("exchange", ColumnRole.TEXT),
    OutColumn("conditions", ColumnRole.WORDS),
    OutColumn("final", ColumnRole.FLAG),
    OutColumn("opened_at", ColumnRole.TIME, is_integer=True),
)

_instants = st.one_of(
    st.integers(EARLIEST_NS, LATEST_NS),
    st.integers(EARLIEST_NS // SECOND_NS, LATEST_NS // SECOND_NS).map(lambda second: second * SECOND_NS),
    st.integers(0, 10**6).map(lambda ms: OPENING_NS + ms * 10**6),
)
_numbers = st.one_of(
    st.floats(),
    st.sampled_from([-0.0, 5e-324, 1.7976931348623157e308, 0.1, 2.0**53, 2.0**63, -(2.0**63), 1e16, 189.98]),
)
_texts = st.one_of(
    st.text(st.characters(codec="utf-8")),
    st.sampled_from(
        ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "'x", '"', ",", "a\nb", "\\", "NULL", "XNYS", "ü€😀"]
    ),
)
_words = st.lists(st.text(st.characters(codec="utf-8", exclude_characters=";"), min_size=1), max_size=3)

_OF_ROLE: dict[ColumnRole, st.SearchStrategy[Any]] = {
    ColumnRole.TIME: _instants,
    ColumnRole.DATE: st.integers(-25_000, 84_000),
    ColumnRole.NUMBER: _numbers,
    ColumnRole.VOLUME: st.one_of(_numbers, st.integers(0, 10**9).map(float)),
    ColumnRole.INTEGER: st.integers(-(2**63), 2**63 - 1),
    ColumnRole.TEXT: _texts,
    ColumnRole.WORDS: _words.map(";".join),
    ColumnRole.FLAG: st.booleans(),
}


def _value(column: OutColumn) -> st.SearchStrategy[Any]:
    if column.role is ColumnRole.TIME and column.is_integer:
        return st.none() | _instants.map(lambda instant: instant // SECOND_NS * SECOND_NS)
    return st.none() | _OF_ROLE[column.role]


_rows = st.lists(st.fixed_dictionaries({column.name: _value(column) for column in COLUMNS}), max_size=12)
_names = st.lists(st.sampled_from([column.name for column in COLUMNS]), min_size=1, unique=True)

# All columns or some of them, in any order; no row, one, or several.
tables = st.one_of(
    _rows.map(lambda rows: table_of(rows, COLUMNS)),
    st.builds(lambda rows, names: table_of(rows, COLUMNS).select(names), _rows, _names),
)


def table_of(rows: list[Row], columns: tuple[OutColumn, ...]) -> Table:
    return Table.of(columns, {column.name: [row[column.name] for row in rows] for column in columns})


_OTHERS: dict[pa.DataType, Any] = {
    pa.int64(): 2**63 - 1,
    pa.float64(): 7.5,
    pa.string(): "OTHER",
    pa.bool_(): True,
}


def within_others(table: Table, before: int) -> Table:
    """The rows as a slice of more rows, of which `before` come first; also under nulls are other values."""
    values = {}
    for column, array in zip(table.columns, table.arrays(), strict=True):
        other = _OTHERS[array.type]
        longer = pa.concat_arrays([pa.array([other] * before, array.type), array, pa.array([other] * 70)])
        values[column.name] = over_nulls(longer, other).slice(before, len(table))
    return Table.of(table.columns, values)


def over_nulls(values: pa.Array, other: Any) -> pa.Array:
    """The same values, with another value in the buffers under nulls. It is not for slices."""
    full, validity = values.fill_null(other), values.is_valid().buffers()[1]
    return pa.Array.from_buffers(values.type, len(values), [validity, *full.buffers()[1:]])


def document(table: Table, **changes: Any) -> RowsDocument:
    parts = {
        "head": {"symbol": "AAPL", "resolution": "1m"},
        "rows_name": "bars",
        "tail": {"next_cursor": "abc", "prev_cursor": None, "total_estimate": len(table)},
    }
    return RowsDocument(**{**parts, "table": table, **changes})


def plain_rows(table: Table) -> list[Row]:
    """The rows as a client should read them: instants in nanoseconds, dates, lists of words, None for no value."""
    columns = table.columns
    return [
        {column.name: _plain(column, row[column.name]) for column in columns}
        for row in table.data.to_pylist()
    ]


def _plain(column: OutColumn, value: Any) -> Any:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    match column.role:
        case ColumnRole.DATE:
            return EPOCH + timedelta(days=value)
        case ColumnRole.WORDS:
            return value.split(";") if value else []
        case ColumnRole.VOLUME if column.is_integer:
            return value + 0.0  # an integer has no minus zero
    return value


def same(found: list[Row], expected: list[Row]) -> bool:
    """Equality of rows with their order of columns, under which minus zero is not zero."""
    return [_exact(row) for row in found] == [_exact(row) for row in expected]


def _exact(row: Row) -> list[tuple[str, Any]]:
    return [(name, repr(value) if isinstance(value, float) else value) for name, value in row.items()]


BARS = (
    OutColumn("timestamp", ColumnRole.TIME, is_integer=True),
    OutColumn("open", ColumnRole.NUMBER),
    OutColumn("high", ColumnRole.NUMBER),
    OutColumn("low", ColumnRole.NUMBER),
    OutColumn("close", ColumnRole.NUMBER),
    OutColumn("volume", ColumnRole.VOLUME, is_integer=True),
    OutColumn("vwap", ColumnRole.NUMBER),
    OutColumn("trade_count", ColumnRole.INTEGER),
    OutColumn("final", ColumnRole.FLAG),
)
TRADES = (
    OutColumn("timestamp", ColumnRole.TIME),
    OutColumn("price", ColumnRole.NUMBER),
    OutColumn("volume", ColumnRole.VOLUME),
    OutColumn("conditions", ColumnRole.WORDS),
)
TWO_BARS = table_of(
    [
        dict(zip([column.name for column in BARS], values, strict=True))
        for values in (
            (OPENING_NS, 189.98, 190.0, 189.98, 190.0, 350.0, 189.99, 3, True),
            (OPENING_NS + 60 * SECOND_NS, 190.1, 190.1, 190.1, 190.1, 0.0, None, 1, False),
        )
    ],
    BARS,
)
TWO_TRADES = table_of(
    [
        {"timestamp": OPENING_NS, "price": 189.98, "volume": 100.0, "conditions": "regular;odd_lot"},
        {"timestamp": OPENING_NS + 123_456_789, "price": 190.0, "volume": 0.5, "conditions": None},
    ],
    TRADES,
)
