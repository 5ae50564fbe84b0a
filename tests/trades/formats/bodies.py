"""Rows of every dataset, and the same rows as bodies of every format."""

import csv
import io
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import orjson
import pyarrow as pa
from hypothesis import strategies as st

from store.declarations import ColumnForm, ColumnKind, Dataset
from store.timestamps import DAY_NS, format_timestamp, parse_timestamp
from trades.batches.row_batch import BatchOptions, RowBatch
from trades.formats import READERS

Row = dict[str, Any]

NDJSON = "application/x-ndjson"
CSV = "text/csv"
MSGPACK = "application/msgpack"
ARROW = "application/vnd.apache.arrow.stream"
YEAR_START = parse_timestamp("2025-01-01")
WORD = st.text("".join(map(chr, range(33, 127))), min_size=1, max_size=64)
CONDITION = st.text("".join(chr(c) for c in range(33, 127) if chr(c) != ";"), min_size=1, max_size=64)


def names(dataset: Dataset) -> list[str]:
    first, *others = dataset.schema.names
    return [first, "symbol", *others]


def json_body(dataset: Dataset, rows: Sequence[Any]) -> bytes:
    return orjson.dumps({dataset.name: rows})


def ndjson_body(_: Dataset, rows: Sequence[Any]) -> bytes:
    return b"\n".join(map(orjson.dumps, rows))


def msgpack_body(dataset: Dataset, rows: Sequence[Any]) -> bytes:
    return msgspec.msgpack.encode({dataset.name: rows})


def msgpack_columns_body(dataset: Dataset, rows: Sequence[Row]) -> bytes:
    return msgspec.msgpack.encode({n: [r.get(n) for r in rows] for n in used(dataset, rows)})


def csv_body(dataset: Dataset, rows: Sequence[Row]) -> bytes:
    text, header = io.StringIO(), used(dataset, rows)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([cell(row.get(name)) for name in header] for row in rows)
    return text.getvalue().encode()


def cell(value: Any) -> Any:
    if isinstance(value, list):
        return escaped(";".join(value))
    if isinstance(value, str):
        return escaped(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else value


def escaped(text: str) -> str:
    """As our own files have it."""
    return f"'{text}" if text[:1] in tuple("=+-@\t\r'") else text


def arrow_body(dataset: Dataset, rows: Sequence[Row]) -> bytes:
    return stream_of(pa.table({n: arrow_column(dataset, n, rows) for n in used(dataset, rows)}))


def stream_of(table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema, **options) as writer:
        writer.write_table(table)
    return sink.getvalue()


def arrow_column(dataset: Dataset, name: str, rows: Sequence[Row]) -> pa.Array:
    values = [row.get(name) for row in rows]
    if name == "symbol":
        return pa.array(values).dictionary_encode()
    column = dataset.column(name)
    if column.kind is ColumnKind.TIME:
        naive = pa.array([value and value.removesuffix("Z") for value in values], pa.string())
        return naive.cast(pa.timestamp("ns")).cast(pa.timestamp("ns", "UTC"))
    if column.kind is ColumnKind.TEXT:
        values = [str(value) if isinstance(value, int) else value for value in values]
        return pa.array(values, pa.list_(pa.string()) if column.form is ColumnForm.WORDS else pa.string())
    if column.kind is ColumnKind.NUMBER:
        return pa.array(values, pa.float64())
    if column.kind is ColumnKind.BOOLEAN:
        return pa.array(values, pa.bool_())
    return pa.array(values, pa.int64())


def used(dataset: Dataset, rows: Sequence[Row]) -> list[str]:
    """The names that any row has, in the dataset's order, unknown ones last."""
    found = {name for row in rows for name in row}
    return [name for name in names(dataset) if name in found] + sorted(found - set(names(dataset)))


ENCODERS: dict[str, tuple[str, Callable[[Dataset, Sequence[Any]], bytes]]] = {
    "json": ("application/json", json_body),
    "ndjson": (NDJSON, ndjson_body),
    "csv": (CSV, csv_body),
    "msgpack": (MSGPACK, msgpack_body),
    "msgpack columns": (MSGPACK, msgpack_columns_body),
    "arrow": (ARROW, arrow_body),
}


def read(name: str, rows: Sequence[Any], expected: BatchOptions) -> RowBatch:
    """The batch of rows that went through a format."""
    media_type, encode = ENCODERS[name]
    return READERS[media_type](encode(expected.dataset, rows), expected)


@st.composite
def valid_rows(draw: Any, dataset: Dataset) -> list[Row]:
    present = [c for c in dataset.columns if c.required or draw(st.booleans())]
    return [draw(valid_row(dataset, present)) for _ in range(draw(st.integers(1, 4)))]


@st.composite
def valid_row(draw: Any, dataset: Dataset, present: Sequence[Any]) -> Row:
    row: Row = {"symbol": "AAPL"}
    for column in present:
        if column.required or draw(st.integers(0, 4)):
            row[column.name] = draw(value_of(column))
    return fitted(dataset, row)


def value_of(column: Any) -> Any:
    if column.kind is ColumnKind.TIME:
        days = column.form is ColumnForm.DATE
        instants = st.integers(0, 364).map(lambda n: n * DAY_NS) if days else st.integers(0, 365 * DAY_NS - 1)
        return instants.map(lambda ns: format_timestamp(YEAR_START + ns))
    if column.kind is ColumnKind.NUMBER:
        least = 0.0 if column.lower_bound is None or column.lower_bound.zero_allowed else 5e-324
        return st.one_of(
            st.floats(least, 2.0**53), st.integers(1, 2**53), st.sampled_from([0.1, 2**53, 189.98, 1e-9])
        )
    if column.kind in {ColumnKind.INTEGER, ColumnKind.BOOLEAN}:
        return st.integers(0, 2**53) if column.kind is ColumnKind.INTEGER else st.booleans()
    if column.choices:
        return st.sampled_from(column.choices)
    if column.name == "member":
        return st.sampled_from(["AAPL", "brk.b", "BTC/USD", "^SPX"]) | st.integers(0, 2**53)
    of_forms = {
        ColumnForm.WORDS: st.lists(CONDITION, max_size=4),
        ColumnForm.CURRENCY: st.sampled_from(["USD", "EUR"]),
        ColumnForm.RESOLUTION: st.sampled_from(
            ["1s", "45s", "60s", "1m", "1min", "2h", "1d", "1w", "1M", "1mo"]
        ),
        ColumnForm.ID: WORD | st.integers(0, 2**53),
    }
    return of_forms.get(column.form, WORD)


def fitted(dataset: Dataset, row: Row) -> Row:
    """The row, with what its dataset's rules ask for."""
    match dataset.name:
        case "quotes" | "option_quotes":
            # A side with price 0 and size 0 is none.
            empty = [side for side in ("bid", "ask") if row.get(side) == row.get(f"{side}_size") == 0]
            with_sides = row | {f"{side}_size": 7 for side in empty}
            return with_sides if "bid" in row or "ask" in row else with_sides | {"bid": 1.5}
        case "bars":
            low, first, last, high = sorted(row[name] for name in ("open", "high", "low", "close"))
            prices = {"low": low, "open": first, "close": last, "high": high}
            # A Monday, the first of a month, and the start of every shorter interval.
            start = parse_timestamp("2025-09-01") if row["resolution"] in {"1w", "1M", "1mo"} else YEAR_START
            days = (parse_timestamp(row["timestamp"]) - YEAR_START) // DAY_NS
            prices |= {"vwap": low} if row.get("vwap") is not None else {}
            place = 0 if start != YEAR_START else days * DAY_NS
            return row | prices | {"timestamp": format_timestamp(start + place)}
        case "corporate_actions":
            has_amount = row["kind"] not in {"split", "rename"}
            dropped = {"ratio", "amount"} | (set() if has_amount else {"currency"})
            kept = {name: value for name, value in row.items() if name not in dropped}
            return kept | ({"amount": 0.25} if has_amount else {"ratio": 4} if row["kind"] == "split" else {})
    return row
