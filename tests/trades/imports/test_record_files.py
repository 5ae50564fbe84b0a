"""Files of NDJSON and Arrow: what is read, and what is refused before it takes memory."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.trades.imports.command import stored
from tests.trades.imports.files import imported
from trades.exceptions import ImportRefused
from trades.imports import record_files
from trades.imports.columns import with_nulls
from trades.imports.parquet_file import ParquetFile

LINE = b'{"timestamp": "2025-01-02T14:30:00Z", "price": 1, "volume": 2'


def columns(count: int = 2, **changes: Any) -> dict[str, Any]:
    return {
        "timestamp": pa.array(range(count), pa.timestamp("s", "UTC")).cast(pa.timestamp("ns", "UTC")),
        "price": [1.5] * count,
        "volume": [2.0] * count,
        **changes,
    }


def arrow(path: Path, table: pa.Table, *, is_file: bool = False, compression: str | None = None) -> Path:
    make = pa.ipc.new_file if is_file else pa.ipc.new_stream
    with make(str(path), table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as target:
        target.write_table(table)
    return path


def test_lines_may_mix_whole_numbers_and_fractions_and_have_lists(store_path: Path, tmp_path: Path):
    path = tmp_path / "A.ndjson"
    second = LINE.replace(b"00Z", b"01Z").replace(b": 1,", b": 1.5,")
    path.write_bytes(LINE + b', "conditions": ["@", "T"]}\n' + second + b', "conditions": null}')
    assert imported(path).stored == 2
    assert [row[1:] for row in stored("trades", "price", "conditions")["A"]] == [(1.0, "@;T"), (1.5, None)]


@pytest.mark.parametrize("number", [b"1e400", b"-1e999"])
def test_a_number_beyond_every_float_is_a_wrong_row(store_path: Path, tmp_path: Path, number: bytes):
    path = tmp_path / "A.ndjson"
    path.write_bytes(LINE + b"}\n" + LINE.replace(b": 1,", b": " + number + b",") + b"}\n")
    found = imported(path, skip_bad=True)
    assert (found.stored, found.bad) == (1, 1)
    assert ["line 2, price: must be a finite number" in str(each) for each in found.examples] == [True]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (LINE + b"}\n" + b"[1]\n", "line 2: the line is not one"),
        (LINE + b'}\n{"timestamp": ', "line 2: the line is not one"),
        (
            LINE + b"}\n" + LINE + b', "price": 2}\n',
            "line 2: the line is not one JSON object: a key is repeated",
        ),
        (LINE + b"}\n" + LINE + b', "price" :2}\n', "a key is repeated"),
        (LINE + b"}\n" + LINE + b', "pri\\u0063e": 2}\n', "a key is repeated"),
        (LINE + b', "x": {"a": 1, "a": 2}}\n', "a key is repeated"),
        (LINE + b', "x": 1e400, "y": NaN}\n', "line 1: the line is not one"),
        (LINE + b"}" + b" " * 70_000 + b"\n", "a line has more than 65,536 bytes"),
        (LINE + b"}\n" + LINE + b', "id": 1}\n', "rows from line 2 on have id"),
    ],
    ids=[
        "list",
        "cut off",
        "twice",
        "spaced",
        "escaped",
        "nested",
        "no JSON",
        "a long line",
        "a later field",
    ],
)
def test_wrong_lines_are_refused(
    store_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, message: str
):
    monkeypatch.setattr(record_files, "_LINES_BYTES", 70)
    path = tmp_path / "A.ndjson"
    path.write_bytes(content)
    with pytest.raises(ImportRefused, match=message):
        imported(path)


@pytest.mark.parametrize(
    "kind",
    [pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.list_(pa.string()), pa.binary(10_000)],
    ids=str,
)
def test_texts_of_parquet_that_would_grow_in_memory_are_refused_before(
    store_path: Path, tmp_path: Path, kind: pa.DataType
):
    """A file of a kilobyte, in which 30,000 rows share one text of 10,000 bytes."""
    path, text = tmp_path / "A.parquet", "x" * 10_000
    words = pa.array([[text]] * 30_000 if pa.types.is_list(kind) else [text] * 30_000)
    pq.write_table(
        pa.table(
            columns(
                30_000,
                conditions=words.cast(kind)
                if kind != pa.binary(10_000)
                else pa.array([text.encode()] * 30_000, kind),
            )
        ),
        path,
    )
    file = ParquetFile(path)
    message = "reading some rows takes more than|is of the type fixed_size_binary"
    with pytest.raises(ImportRefused, match=message):
        next(file.tables(file.names))


@pytest.mark.parametrize("is_file", [True, False], ids=["file", "stream"])
def test_both_formats_of_arrow_are_read(store_path: Path, tmp_path: Path, is_file: bool):
    symbols = pa.array(["A", "B"]).dictionary_encode()
    table = pa.table(columns(symbol=symbols, exchange=pa.array(["N", None], pa.large_string())))
    path = arrow(tmp_path / "x.arrow", table, is_file=is_file)
    assert imported(path).stored == 2
    assert stored("trades", "price", "exchange") == {
        "A": [("1970-01-01T00:00:00Z", 1.5, "N")],
        "B": [("1970-01-01T00:00:01Z", 1.5, None)],
    }


@pytest.mark.parametrize(
    "column", [pa.array(["N", None]), pa.array(["N", None]).dictionary_encode()], ids=["texts", "categories"]
)
def test_a_file_of_polars_has_its_schema_at_the_end_alone(store_path: Path, tmp_path: Path, column: pa.Array):
    """In front of its messages the schema lacks the eight bytes that begin a message."""
    path = arrow(tmp_path / "A.arrow", pa.table(columns(exchange=column)), is_file=True)
    content = path.read_bytes()
    path.write_bytes(content[:8] + content[16:])
    if pa.types.is_dictionary(column.type):
        with pytest.raises(ImportRefused, match="has categories of Polars; write them as texts"):
            imported(path)
        return
    assert imported(path).stored == 2
    assert [row[1:] for row in stored("trades", "price", "exchange")["A"]] == [(1.5, "N"), (1.5, None)]
    path.write_bytes(content[:8] + content[16:200])
    with pytest.raises(ImportRefused, match="damaged or cut off"):
        imported(path)


@pytest.mark.parametrize("texts", [pa.string(), pa.large_string(), pa.string_view()], ids=str)
def test_types_of_other_programs_are_read(store_path: Path, tmp_path: Path, texts: pa.DataType):
    """Polars writes views and large lists, databases write decimals."""
    exchange = pa.array(["N", None], texts)
    price = pa.array([Decimal("69927.3899"), Decimal("1.5")], pa.decimal128(18, 4))
    conditions = pa.array([["@", "T"], []], pa.large_list(pa.large_string()))
    path = arrow(
        tmp_path / "A.arrow", pa.table(columns(price=price, exchange=exchange, conditions=conditions))
    )
    assert imported(path).stored == 2
    found = stored("trades", "price", "exchange", "conditions")["A"]
    assert [row[1:] for row in found] == [(69927.3899, "N", "@;T"), (1.5, None, None)]


def bomb() -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array([0] * 60_000, pa.int32()), ["x" * 10_000])


def views() -> pa.Array:
    """Return 60,000 texts that share their bytes."""
    element = np.array([10_000, int.from_bytes(b"xxxx", "little"), 0, 0], np.int32)
    buffers = [None, pa.py_buffer(np.tile(element, 60_000).tobytes()), pa.py_buffer(b"x" * 10_000)]
    return pa.Array.from_buffers(pa.string_view(), 60_000, buffers)


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        (columns(), {"compression": "lz4"}, "compressed"),
        (
            columns(60_000, exchange=bomb()),
            {},
            "the texts of 60,000 rows may take 600,000,000 bytes",
        ),
        (
            columns(60_000, exchange=views()),
            {},
            "the texts of 60,000 rows may take 600,000,000 bytes",
        ),
    ],
    ids=["compressed", "one long text", "views"],
)
def test_arrow_that_would_grow_in_memory_is_refused(
    store_path: Path, tmp_path: Path, table: dict[str, Any], options: dict[str, Any], message: str
):
    path = arrow(tmp_path / "A.arrow", pa.table(table), **options)
    with pytest.raises(ImportRefused, match=message):
        imported(path)


def test_files_of_old_versions_of_arrow_are_read(store_path: Path, tmp_path: Path):
    path, table = tmp_path / "A.arrow", pa.table(columns())
    with pa.ipc.new_file(
        str(path), table.schema, options=pa.ipc.IpcWriteOptions(use_legacy_format=True)
    ) as target:
        target.write_table(table)
    assert imported(path).stored == 2


def test_damaged_arrow_is_refused(store_path: Path, tmp_path: Path):
    path = arrow(tmp_path / "A.arrow", pa.table(columns()))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ImportRefused):
        imported(path)


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_prices_of_32_bits_are_read_as_their_shortest_text(store_path: Path, tmp_path: Path, kind: str):
    path = tmp_path / f"A.{kind}"
    table = pa.table(
        columns(price=pa.array([187.15, 0.3], pa.float32()), volume=pa.array([0.7, 5], pa.float32()))
    )
    if kind == "parquet":
        pq.write_table(table, path)
    else:
        arrow(path, table)
    imported(path)
    assert [row[1:] for row in stored("trades", "price", "volume")["A"]] == [(187.15, 0.7), (0.3, 5.0)]


def test_numbers_that_stand_for_nothing_are_nulls():
    table = pa.table(
        {
            "volume": [-1.0, 5.0, None],
            "count": [-1, 7, 0],
            "text": ["-1", "x", "-1.0"],
            "is": [True, False, None],
        }
    )
    assert with_nulls(table, ("-1", "-1.0", "NA")).to_pydict() == {
        "volume": [None, 5.0, None],
        "count": [None, 7, 0],
        "text": [None, "x", None],
        "is": [True, False, None],
    }


def test_nulls_of_a_layout_are_those_of_typed_columns_too(store_path: Path, tmp_path: Path):
    table = pa.table(columns(volume=[5.0, 6.0], sequence=[-1, 7]))
    pq.write_table(table, tmp_path / "A.parquet")
    imported(tmp_path / "A.parquet", nulls=("-1",))
    assert [row[1:] for row in stored("trades", "volume", "sequence")["A"]] == [(5.0, None), (6.0, 7)]
