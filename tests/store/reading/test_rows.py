"""Rows as numpy columns, Arrow and pandas: the same values in all three, and what a null is in each."""

import re
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from store import open_store
from store.backends import NoSuchStore
from store.csv import CsvStore
from store.datasets import TRADES
from store.exceptions import UnknownSymbol
from store.protocol import ALL_TIME, Window
from store.reading import Reader
from store.reading.columns import NULL, Columns
from store.reading.exceptions import UnknownColumn, UnknownDataset
from store.symbols import InvalidSymbol
from tests.store.builders import DAY, NOON, SECOND, SYMBOL, batch, trade
from tests.store.reading.stores import add


@pytest.fixture
def mixed(tmp_path: Path) -> Reader:
    """Two trades, of which one says all that can be said."""
    add(
        tmp_path,
        trade(
            0,
            10.5,
            100.0,
            trade_id="t1",
            sequence=2**60 + 1,
            exchange="XNYS",
            conditions="a;b",
            received_at=NOON,
        ),
        trade(SECOND, 11.0, 0.5),
    )
    return open_store(tmp_path)


def test_columns_are_those_of_the_store(sample: Reader, sample_folder: Path):
    table = CsvStore(sample_folder).log(TRADES, "DEMOA").at().rows(ALL_TIME)
    columns = sample.trades("DEMOA")
    assert columns.table.equals(table)
    assert list(columns) == columns.names == table.column_names
    assert len(columns) == len(table) > 5000
    for name in columns:
        assert columns[name].tolist() == table.column(name).to_pylist()


def test_attributes_items_and_the_time_are_the_same_arrays(mixed: Reader):
    columns = mixed.trades("AAPL")
    assert columns.price is columns["price"]
    assert columns.time_ns is columns.timestamp
    assert columns.time_ns.tolist() == [NOON, NOON + SECOND]


def test_nulls_are_the_smallest_integer_and_none(mixed: Reader):
    columns = mixed.trades("AAPL")
    assert columns.sequence.tolist() == [2**60 + 1, NULL]
    assert columns.sequence.dtype == np.int64
    assert np.isnat(columns.received_at.view("M8[ns]")).tolist() == [False, True]
    assert columns.exchange.tolist() == ["XNYS", None]
    assert columns.conditions.tolist() == ["a;b", None]


@pytest.mark.parametrize("name", ["timestamp", "price", "sequence", "exchange", "buyer_is_maker"])
def test_arrays_cannot_be_written_to(mixed: Reader, name: str):
    with pytest.raises(ValueError, match="read-only"):
        mixed.trades("AAPL")[name][0] = 0


def test_numbers_without_nulls_are_not_copied(sample: Reader):
    whole = sample.trades("DEMOA").table.combine_chunks()
    columns = Columns(TRADES, pa.concat_tables([whole.slice(0, 0), whole.slice(3, 5)]))
    chunk = columns.table.column("price").chunk(1)
    assert columns.price.ctypes.data == chunk.buffers()[1].address + 8 * chunk.offset
    assert columns.price.tolist() == chunk.to_pylist()


def test_a_frame_has_utc_times_and_types_that_do_not_depend_on_the_values(mixed: Reader, tmp_path: Path):
    frame: Any = mixed.trades("AAPL", frame=True)
    assert frame.index.tolist() == [pd.Timestamp(NOON, tz="UTC"), pd.Timestamp(NOON + SECOND, tz="UTC")]
    assert frame.index.name == "timestamp"
    assert frame["sequence"].tolist() == [2**60 + 1, pd.NA]
    assert frame["received_at"].tolist() == [pd.Timestamp(NOON, tz="UTC"), pd.NaT]
    assert frame["exchange"].tolist()[0] == "XNYS"
    assert frame["exchange"].isna().tolist() == [False, True]
    add(tmp_path, trade(0, 1.0), symbol="BARE")
    bare: Any = mixed.trades("BARE", frame=True)
    assert (bare.dtypes == frame.dtypes).all()
    assert frame.equals(mixed.trades("AAPL").frame())


def test_selected_columns_keep_their_order_after_the_time(mixed: Reader):
    assert list(mixed.trades("AAPL", columns=["volume", "price"])) == ["timestamp", "volume", "price"]
    frame: Any = mixed.trades("AAPL", columns=["volume"], frame=True)
    assert frame.columns.tolist() == ["volume"]
    assert frame.index[0] == pd.Timestamp(NOON, tz="UTC")


def test_a_window_is_exact_and_half_open(mixed: Reader):
    assert len(mixed.trades("AAPL", NOON, NOON + SECOND)) == 1
    assert len(mixed.trades("AAPL", NOON, NOON + SECOND + 1)) == 2
    assert len(mixed.trades("AAPL", NOON + 1, NOON + SECOND)) == 0
    empty = mixed.trades("AAPL", NOON + 2 * SECOND)
    assert len(empty) == 0
    assert empty.price.tolist() == empty.exchange.tolist() == []
    assert len(empty.frame()) == 0


def test_as_of_reads_earlier_commits_only(tmp_path: Path):
    clock = iter([NOON, NOON + DAY])
    store = CsvStore(tmp_path, clock=lambda: next(clock))
    store.append(batch(trade(0, 1.0)))
    store.append(batch(trade(1, 2.0)))
    reader = open_store(tmp_path)
    assert reader.trades("AAPL", as_of=NOON - 1).price.tolist() == []
    assert reader.trades("AAPL", as_of=NOON).price.tolist() == [1.0]
    assert reader.trades("AAPL", as_of="2025-01-03T12:00:00Z").price.tolist() == [1.0, 2.0]
    assert reader.bars("AAPL", as_of=NOON).close.tolist() == [1.0]
    assert reader.version("AAPL", as_of=NOON).startswith("1-")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("redis://host/db", "no store has URLs of redis://"),
        ("clickhouse://host", "is not the URL of a store, such as clickhouse://host:9000"),
        ("clickhouse:///db", "is not the URL of a store"),
        ("clickhouse://host/db?x=1", "options are cluster and postgres"),
        ("csv://", "is not the URL of a folder"),
        ("csv://srv/data", "is not the URL of a folder"),
        ("csv:///srv/data?x=1", "is not the URL of a folder"),
        ("csv:///no/such/folder", "is not a folder: give the DATA_DIR"),
    ],
)
def test_a_url_of_no_store_is_refused(url: str, message: str):
    with pytest.raises(NoSuchStore, match=re.escape(message)):
        open_store(url)


def test_a_url_of_a_folder_opens_its_store(tmp_path: Path):
    folder = tmp_path / "with spaces"
    CsvStore(folder).append(batch(trade(1)))
    assert open_store(f"csv://{quote(str(folder))}").symbols() == [SYMBOL]


def test_unknown_name_is_in_the_message(mixed: Reader, tmp_path: Path):
    with pytest.raises(NoSuchStore, match="is not a folder: give the DATA_DIR"):
        open_store(tmp_path / "nowhere")
    with pytest.raises(UnknownSymbol, match="MSFT"):
        mixed.trades("MSFT")
    for symbol in ("../x", None, 5, b"AAPL"):
        with pytest.raises(InvalidSymbol):
            mixed.trades(cast("Any", symbol))
    with pytest.raises(UnknownColumn, match=r"there are .*price"):
        mixed.trades("AAPL", columns=["prise"])
    assert list(mixed.trades("AAPL", columns="price")) == ["timestamp", "price"]
    with pytest.raises(UnknownDataset, match=r"there are .*trades"):
        mixed.rows("trade", "AAPL")
    with pytest.raises(AttributeError, match=r"there are .*volume"):
        _ = mixed.trades("AAPL").volumes


def test_coverage_counts_what_is_stored(sample: Reader, mixed: Reader, tmp_path: Path):
    for symbol in ("DEMOA", "DEMOC"):
        rows = sample.trades(symbol)
        found = sample.coverage(symbol)
        assert found[:4] == (rows.time_ns[0], rows.time_ns[-1], len(rows), 2)
    add(tmp_path, trade(-20 * DAY, 1.0), trade(30 * DAY, 1.0))
    assert mixed.coverage("AAPL")[:4] == (NOON - 20 * DAY, NOON + 30 * DAY, 4, 2)


def test_symbols_and_versions(sample: Reader, sample_folder: Path, tmp_path: Path):
    assert sample.symbols() == ["DEMOA", "DEMOB", "DEMOC"]
    store = CsvStore(sample_folder)
    assert sample.version("DEMOA") == store.log(TRADES, "DEMOA").head.token
    first = Window(NOON, NOON + 6 * DAY)
    assert (
        sample.version("DEMOA", "2025-01-08T12:00Z", "2025-01-08T13:00Z")
        == store.log(TRADES, "DEMOA").at(1).commit.token
    )
    assert first.start_ns < first.end_ns
    assert open_store(tmp_path).symbols() == []
