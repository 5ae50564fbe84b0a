"""What each format writes: the same values whatever the format, in one order and in the same words."""

import io
import json
from itertools import product

import msgspec
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings

from stats.rendering.format import TimeForm
from stats.rendering.formats import FORMATS
from stats.rendering.table import ColumnRole, OutColumn, Table
from tests.chance import SOAK
from tests.stats.rendering.readers import READERS
from tests.stats.rendering.tables import (
    BARS,
    COLUMNS,
    OPENING_NS,
    TRADES,
    TWO_BARS,
    TWO_TRADES,
    Row,
    document,
    plain_rows,
    same,
    tables,
)

BY_LINE = ("ndjson", "csv", "arrow")
# How a format's times are written if nobody chose: None is Arrow's own type.
OWN_FORM = {"json": TimeForm.RFC3339, "ndjson": TimeForm.RFC3339, "csv": TimeForm.RFC3339, "arrow": None}


def in_ms(row: Row) -> Row:
    """The row with its instants floored to milliseconds."""
    times = {column.name for column in COLUMNS if column.role is ColumnRole.TIME}
    return {
        name: value // 10**6 * 10**6 if name in times and value is not None else value
        for name, value in row.items()
    }


def without_empty(row: Row) -> Row:
    """The row as CSV can tell it."""
    return {name: None if value in ("", []) else value for name, value in row.items()}


def text(name: str, table: Table, form: TimeForm | None = None, **changes: object) -> str:
    written: bytes = FORMATS[name].render(document(table, **changes, time_form=form))
    return written.decode()


@settings(max_examples=80 if SOAK else 3, deadline=None)
@given(table=tables)
def test_every_value_is_read_back_as_it_was(table: Table):
    for name, form in product(FORMATS, (None, *TimeForm)):
        assert_read_back(name, form, table)


def assert_read_back(name: str, form: TimeForm | None, table: Table) -> None:
    rendered = FORMATS[name].render(document(table, bars_times=False, time_form=form))
    read_as = OWN_FORM.get(name, TimeForm.NS) if form is None else form
    expected = plain_rows(table)
    if read_as is TimeForm.MS:
        expected = [in_ms(row) for row in expected]
    if name == "csv":
        expected = [without_empty(row) for row in expected]
    assert same(READERS[name](rendered, table.columns, read_as), expected), (name, form)


@settings(deadline=None)
@given(table=tables)
def test_packed_is_the_columnar_document(table: Table):
    written = document(table, head={"symbol": "AAPL", "spot": float("nan")})
    headers: dict[str, str] = {}
    columnar = FORMATS["columnar"].render(written)
    packed = FORMATS["msgpack"].render(written, renderer_context={"response": headers})
    assert repr(msgspec.msgpack.decode(packed)) == repr(json.loads(columnar))
    assert headers == {"X-Original-Size": str(len(columnar))}


def test_rows_are_objects_between_head_and_tail():
    assert text("json", TWO_BARS) == (
        '{"symbol":"AAPL","resolution":"1m","bars":['
        '{"timestamp":"2025-01-02T14:30:00Z","open":189.98,"high":190.0,"low":189.98,"close":190.0,'
        '"volume":350,"vwap":189.99,"trade_count":3,"final":true},'
        '{"timestamp":"2025-01-02T14:31:00Z","open":190.1,"high":190.1,"low":190.1,"close":190.1,'
        '"volume":0,"vwap":null,"trade_count":1,"final":false}],'
        '"next_cursor":"abc","prev_cursor":null,"total_estimate":2}'
    )


def test_columns_are_lists_between_head_and_tail():
    assert text("columnar", TWO_BARS) == (
        '{"symbol":"AAPL","resolution":"1m","timestamps":[1735828200000,1735828260000],'
        '"open":[189.98,190.1],"high":[190.0,190.1],"low":[189.98,190.1],"close":[190.0,190.1],'
        '"volume":[350,0],"vwap":[189.99,null],"trade_count":[3,1],"final":[true,false],'
        '"next_cursor":"abc","prev_cursor":null,"total_estimate":2}'
    )


def test_lines_are_the_objects_of_the_rows():
    lines = text("ndjson", TWO_TRADES).splitlines()
    assert lines == [
        '{"timestamp":"2025-01-02T14:30:00Z","price":189.98,"volume":100.0,"conditions":["regular","odd_lot"]}',
        '{"timestamp":"2025-01-02T14:30:00.123456789Z","price":190.0,"volume":0.5,"conditions":null}',
    ]
    assert [json.loads(line) for line in lines] == json.loads(text("json", TWO_TRADES))["bars"]


def test_csv_has_a_line_of_names_and_line_ends_of_the_standard():
    assert text("csv", TWO_BARS) == (
        "timestamp,open,high,low,close,volume,vwap,trade_count,final\r\n"
        "2025-01-02T14:30:00Z,189.98,190.0,189.98,190.0,350,189.99,3,true\r\n"
        "2025-01-02T14:31:00Z,190.1,190.1,190.1,190.1,0,,1,false\r\n"
    )


def test_times_of_ticks_in_csv_have_a_fraction_all_of_them():
    times = [line.split(",")[0] for line in text("csv", TWO_TRADES).splitlines()[1:]]
    assert times == ["2025-01-02T14:30:00.0Z", "2025-01-02T14:30:00.123456789Z"]


@pytest.mark.parametrize(
    ("volume", "written"),
    [
        (350.0, "350"),
        (-0.0, "0"),
        (0.1, "0.1"),
        (2.0**53 + 2, "9007199254740994"),
        (2.0**62, "4611686018427387904"),
        (2.0**63, "9.223372036854776e+18"),
        (float("nan"), "null"),
        (float("inf"), "null"),
        (None, "null"),
    ],
    ids=str,
)
@pytest.mark.parametrize("beside", [1.0, 0.5], ids=["whole", "fraction"])
def test_a_whole_volume_is_an_integer_and_a_fraction_is_exact(
    volume: float | None, written: str, beside: float
):
    table = Table.of((OutColumn("volume", ColumnRole.VOLUME, is_integer=True),), {"volume": [volume, beside]})
    other = "1" if beside == 1 else "0.5"
    assert text("ndjson", table) == f'{{"volume":{written}}}\n{{"volume":{other}}}\n'
    exact = json.loads(text("columnar", table))["volume"]
    assert repr(exact) == repr([json.loads(written), json.loads(other)])


@pytest.mark.parametrize("name", FORMATS)
def test_an_empty_table_has_its_columns_and_no_row(name: str):
    body = FORMATS[name].render(document(Table.empty(BARS)))
    assert READERS[name](body, BARS, OWN_FORM.get(name, TimeForm.MS)) == []
    if name not in ("ndjson", "json"):
        assert b"vwap" in body


def test_an_empty_tail_ends_the_document():
    assert text("json", Table.empty(TRADES), tail={}) == '{"symbol":"AAPL","resolution":"1m","bars":[]}'


@pytest.mark.parametrize("name", BY_LINE)
def test_a_lone_null_is_a_row(name: str):
    table = TWO_BARS.select(["vwap"])
    body = FORMATS[name].render(document(table))
    assert READERS[name](body, table.columns, OWN_FORM[name]) == [{"vwap": 189.99}, {"vwap": None}]


def test_pandas_reads_bars_in_one_line():
    body = FORMATS["csv"].render(document(TWO_BARS))
    frame = pd.read_csv(io.BytesIO(body), parse_dates=["timestamp"])
    assert str(frame["timestamp"].dtype).endswith("UTC]")
    assert frame["timestamp"].astype("datetime64[ns, UTC]").astype("int64").tolist() == [
        OPENING_NS,
        OPENING_NS + 60 * 10**9,
    ]
    assert frame["volume"].tolist() == [350, 0]
    assert frame["vwap"].isna().tolist() == [False, True]
    assert frame["final"].tolist() == [True, False]
    assert len(pd.read_csv(io.BytesIO(FORMATS["csv"].render(document(TWO_BARS.select(["vwap"])))))) == 2


def test_pandas_reads_ticks_in_one_line_whichever_comes_first():
    for table in (TWO_TRADES, TWO_TRADES.reversed()):
        body = FORMATS["csv"].render(document(table))
        frame = pd.read_csv(io.BytesIO(body), parse_dates=["timestamp"])
        assert frame["timestamp"].astype("int64").tolist() == [row["timestamp"] for row in plain_rows(table)]


def test_arrow_has_types_and_the_head_in_its_metadata():
    written = document(Table.empty(COLUMNS), head={"symbol": "AAPL", "inputs": {"rate": 0.05}})
    schema = pa.ipc.open_stream(FORMATS["arrow"].render(written)).schema
    assert schema.metadata == {b"symbol": b"AAPL", b"inputs": b'{"rate":0.05}'}
    types = dict(zip(schema.names, schema.types, strict=True))
    assert types["timestamp"] == pa.timestamp("ns", "UTC")
    assert types["date"] == pa.date32()
    assert types["conditions"] == pa.list_(pa.string())
    assert types["volume"] == pa.float64()


def test_each_format_has_its_media_type():
    assert {name: each.media_type for name, each in FORMATS.items()} == {
        "json": "application/json",
        "columnar": "application/vnd.marketdata.columnar+json",
        "msgpack": "application/msgpack",
        "ndjson": "application/x-ndjson",
        "csv": "text/csv",
        "arrow": "application/vnd.apache.arrow.stream",
    }
    assert FORMATS["csv"].content_type == "text/csv; charset=utf-8"
    assert [name for name, each in FORMATS.items() if not each.has_envelope] == list(BY_LINE)
