"""Files as other programs write them: each comes in with right values, or is refused with the option that helps."""

import gzip
import io
import zipfile
from datetime import date, time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.core.management import CommandError

from tests.trades.imports.command import imported, stored

Options = dict[str, Any]
BAR = ("open", "high", "low", "close", "volume")
NEW_YORK = {"timezone": "America/New_York"}
MINUTES: Options = {"dataset": "bars", "resolution": "1m", "symbol": "X"}
DAYS: Options = {"dataset": "bars", "resolution": "1d", "symbol": "X"}
OHLCV = "timestamp,open,high,low,close,volume"
YAHOO = ["timestamp=Date,open=Open,high=High,low=Low,close=Close,volume=Volume"]
PAIR = ["timestamp=<DATE>+<TIME>,open=<OPEN>,high=<HIGH>,low=<LOW>,close=<CLOSE>,volume=<VOL>"]
TRADE = "2024-01-02T09:31:00Z,10.5,100"
STORED_TRADE = ("2024-01-02T09:31:00Z", 10.5, 100.0)


@pytest.fixture(autouse=True)
def data_folder(settings, store_path: Path, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path / "data"


# Name, content, options, and the stored trades or bars of X.
TRADES_COME_IN: dict[str, tuple[str, bytes, Options, list[tuple[object, ...]]]] = {
    "semicolons, byte order mark, CR LF": (
        "t.csv", b"\xef\xbb\xbftimestamp;price;volume\r\n2024-01-02 09:31:00;10.5;100\r\n", {}, [STORED_TRADE],
    ),
    "decimal comma": (
        "t.csv", b"timestamp;price;volume\n2024-01-02 09:31:00;1.010,5;1.100\n", {"decimal": ","},
        [("2024-01-02T09:31:00Z", 1010.5, 1100.0)],
    ),
    "commas between thousands": (
        "t.csv", b'timestamp,price,volume\n2024-01-02 09:31:00,"1,010.5","1,100"\n', {"decimal": "."},
        [("2024-01-02T09:31:00Z", 1010.5, 1100.0)],
    ),
    "tabs": ("t.tsv", b"timestamp\tprice\tvolume\n2024-01-02 09:31:00\t10.5\t100\n", {}, [STORED_TRADE]),
    "bars between cells": ("t.txt", b"timestamp|price|volume\n2024-01-02 09:31:00|10.5|100\n", {}, [STORED_TRADE]),
    "sep= line": ("t.csv", f"sep=,\ntimestamp,price,volume\n{TRADE}\n".encode(), {}, [STORED_TRADE]),
    "sep=; line with a mark": (
        "t.csv", b"\xef\xbb\xbfsep=;\r\ntimestamp;price;volume\r\n2024-01-02 09:31;10.5;100\r\n", {}, [STORED_TRADE],
    ),
    "carriage returns only": (
        "t.csv", f"timestamp,price,volume\r{TRADE}\r2024-01-02T09:32:00Z,1,1\r".encode(), {},
        [STORED_TRADE, ("2024-01-02T09:32:00Z", 1.0, 1.0)],
    ),
    "UTF-16": ("t.csv", f"timestamp,price,volume\r\n{TRADE}\r\n".encode("utf-16"), {}, [STORED_TRADE]),
    "gzip named .csv": ("t.csv", gzip.compress(f"timestamp,price,volume\n{TRADE}\n".encode()), {}, [STORED_TRADE]),
    "zstandard named .csv": (
        "t.csv", pa.compress(f"timestamp,price,volume\n{TRADE}\n".encode(), "zstd", asbytes=True), {}, [STORED_TRADE],
    ),
    "plain text named .csv.gz": ("t.csv.gz", f"timestamp,price,volume\n{TRADE}\n".encode(), {}, [STORED_TRADE]),
    "lines of spaces": (
        "t.csv", f"\n  \ntimestamp,price,volume\n   \n{TRADE}\n \t \n2024-01-02T09:32:00Z,1,1\n   \n".encode(), {},
        [STORED_TRADE, ("2024-01-02T09:32:00Z", 1.0, 1.0)],
    ),
    "spaces around cells": (
        "t.csv", b"timestamp, price, volume\n 2024-01-02T09:31:00Z , 10.5 , 100 \n", {}, [STORED_TRADE],
    ),
    "rows end with a comma": ("t.csv", f"timestamp,price,volume\n{TRADE},\n".encode(), {}, [STORED_TRADE]),
    "all lines end with a comma": ("t.csv", f"timestamp,price,volume,\n{TRADE},\n".encode(), {}, [STORED_TRADE]),
    "lines before the names": (
        "t.csv", f'"Account X as of 01/05/2024"\n\ntimestamp,price,volume\n{TRADE}\n'.encode(), {"skip_lines": 1},
        [STORED_TRADE],
    ),
    "kraken, without names": (
        "t.csv", b"1704187860,10.5,100.00000000\n1704187860,10.5,100.00000000\n", {"header": "timestamp,price,volume"},
        [STORED_TRADE, STORED_TRADE],
    ),
    "binance, without names, two units of time": (
        "t.csv", b"\xef\xbb\xbf7,10.5,100,1050,1704187860000,True,True\n8,10.6,1,10.6,1704187861000000,False,True\n",
        {"header": "trade_id,price,volume,quote,timestamp,buyer_is_maker,best"},
        [STORED_TRADE, ("2024-01-02T09:31:01Z", 10.6, 1.0)],
    ),
    "american dates": (
        "t.csv", b"timestamp,price,volume\n01/02/2024 09:31:00 AM,10.5,100\n",
        {"time_format": "%m/%d/%Y %I:%M:%S %p"}, [STORED_TRADE],
    ),
    "an american date and a time": (
        "t.csv", b"Date,Time,price,volume\n01/02/2024,09:31,10.5,100\n",
        {"time_format": "%m/%d/%Y %H:%M", "columns": ["timestamp=Date+Time"]}, [STORED_TRADE],
    ),
    "a format that looks like ISO 8601": (
        "t.csv", b"timestamp,price,volume\n2024-02-01 09:31:00,10.5,100\n", {"time_format": "%Y-%d-%m %H:%M:%S"},
        [STORED_TRADE],
    ),
}  # fmt: skip

FIRST = (10.0, 12.0, 9.0, 11.0, 5.0)
BARS_COME_IN: dict[str, tuple[str, bytes, Options, list[tuple[object, ...]]]] = {
    "binance klines, without names": (
        "t.csv",
        b"1735689540000,10,12,9,11,5,1735689599999,5,1,5,5,0\n1735689600000000,10,12,9,11,5,1735689659999999,5,1,5,5,0\n",
        {**MINUTES, "header": f"{OHLCV},close_time,quote,trade_count,taker,taker_quote,ignore"},
        [("2024-12-31T23:59:00Z", *FIRST), ("2025-01-01T00:00:00Z", *FIRST)],
    ),
    "first rate, without names": (
        "t.txt", b"2024-01-02 04:00:00,10,12,9,11,5\n", {**MINUTES, **NEW_YORK, "header": OHLCV},
        [("2024-01-02T09:00:00Z", *FIRST)],
    ),
    "metatrader 4, without names": (
        "t.csv", b"2024.01.02,00:05,10,12,9,11,5\r\n",
        {**MINUTES, "header": "date,time,open,high,low,close,volume", "columns": ["timestamp=date+time"]},
        [("2024-01-02T00:05:00Z", *FIRST)],
    ),
    "ninjatrader, without names": (
        "t.csv", b"20240102 093100;10;12;9;11;5\n", {**MINUTES, **NEW_YORK, "header": OHLCV},
        [("2024-01-02T14:31:00Z", *FIRST)],
    ),
    "metatrader 5": (
        "t.csv", b"<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<VOL>\r\n2024.01.02\t00:05:00\t10\t12\t9\t11\t5\r\n",
        {**MINUTES, "columns": PAIR}, [("2024-01-02T00:05:00Z", *FIRST)],
    ),
    "stooq": (
        "t.csv", b"<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>\r\nX,5,20240102,153500,10,12,9,11,5\r\n",
        {**MINUTES, "columns": PAIR}, [("2024-01-02T15:35:00Z", *FIRST)],
    ),
    "yahoo": (
        "t.csv", b"Date,Open,High,Low,Close,Adj Close,Volume\n2024-01-02,10,12,9,11,11,5\n",
        {**DAYS, "columns": YAHOO}, [("2024-01-02T00:00:00Z", *FIRST)],
    ),
    "yahoo, rows of null left out": (
        "t.csv", b"Date,Open,High,Low,Close,Volume\n2024-01-02,10,12,9,11,5\n2024-01-03,null,null,null,null,null\n",
        {**DAYS, "columns": YAHOO, "skip_bad": True}, [("2024-01-02T00:00:00Z", *FIRST)],
    ),
    "yfinance, three lines of names": (
        "t.csv", b"Price,Close,High,Low,Open,Volume\nTicker,X,X,X,X,X\nDate,,,,,\n2024-01-02,11,12,9,10,5\n",
        {**DAYS, "skip_lines": 3, "header": "timestamp,close,high,low,open,volume"},
        [("2024-01-02T00:00:00Z", *FIRST)],
    ),
    "a daily file with times of midnight": (
        "t.csv", b"Date,Time,open,high,low,close,volume\n20240102,000000,10,12,9,11,5\n",
        {**DAYS, "columns": ["timestamp=Date"]}, [("2024-01-02T00:00:00Z", *FIRST)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", TRADES_COME_IN)
def test_trades_come_in(tmp_path: Path, case: str):
    name, content, options, expected = TRADES_COME_IN[case]
    (tmp_path / name).write_bytes(content)
    imported(tmp_path / name, **{"symbol": "X", **options})
    assert stored("trades", "price", "volume") == {"X": expected}


@pytest.mark.parametrize("case", BARS_COME_IN)
def test_bars_come_in(tmp_path: Path, case: str):
    name, content, options, expected = BARS_COME_IN[case]
    (tmp_path / name).write_bytes(content)
    imported(tmp_path / name, **options)
    assert stored("bars", *BAR) == {"X": expected}


@pytest.mark.parametrize(
    "cell",
    ["20240102093100", "20240102 093100", "20240102T093100Z", "20240102;093100", "20240102-09:31:00", "20240102 0931",
     "2024.01.02 09:31", "2024/01/02 09:31:00", "20240102 093100000", "20240102T103100+0100",
     "2024-01-02T10:31:00.000+01:00", "2024-01-02  09:31:00"],
)  # fmt: skip
def test_other_texts_of_one_instant(tmp_path: Path, cell: str):
    (tmp_path / "X.csv").write_text(f"timestamp,price,volume\n{cell},10.5,100\n")
    imported(tmp_path / "X.csv")
    assert stored("trades", "price", "volume") == {"X": [STORED_TRADE]}


def zipped() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("t.csv", f"timestamp,price,volume\n{TRADE}\n")
    return content.getvalue()


REFUSED: dict[str, tuple[str, bytes, Options, str]] = {
    "without names": ("t.csv", b"1704187860,10.5,100\n", {}, "--header timestamp,price,volume"),
    "without names, equal cells": ("t.csv", b"1704187860,10.5,10.5\n", {}, "--header timestamp,price,volume"),
    "bars without names": ("t.csv", b"2024-01-02 04:00:00,10,12,9,11,5\n", MINUTES, f"--header {OHLCV}"),
    "names that are one row too many": (
        "t.csv", f"timestamp,price,volume\n{TRADE}\n".encode(), {"header": "timestamp,price,volume"}, "line 1, timestamp",
    ),
    "too few names": ("t.csv", b"1704187860,10.5,100\n", {"header": "timestamp,price"}, "3 cells instead of 2|missing"),
    "a line before the names": (
        "t.csv", b'"Account X, as of 01/05/2024"\ntimestamp,price,volume\n', {}, "--skip-lines 1",
    ),
    "other names": (
        "t.csv", b"Date,Last,Qty\n2024-01-02,10.5,100\n", {}, "--columns timestamp=Date,price=Last,volume=Qty",
    ),
    "names of bars": ("t.csv", b"Date,Open,High,Low,Close,Volume\n2024-01-02,1,1,1,1,1\n", {}, "--dataset bars --resolution"),
    "bars without a resolution": (
        "t.csv", f"{OHLCV}\n2024-01-02,1,1,1,1,1\n".encode(), {"dataset": "bars"}, "--resolution 1d",
    ),
    "a date and a time": (
        "t.csv", b"<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>\n20240102,093100,1,1,1,1,1\n", MINUTES,
        "--columns timestamp=<DATE>[+]<TIME>,open=<OPEN>",
    ),
    "a time of day that would be lost": (
        "t.csv", b"timestamp,time,price,volume\n2024.01.02,09:31:00,10.5,100\n", {}, "--columns timestamp=timestamp[+]time",
    ),
    "a time of day that a format would lose": (
        "t.csv", b"timestamp,Time,price,volume\n01/02/2024,09:31,10.5,100\n", {"time_format": "%m/%d/%Y"},
        "--columns timestamp=timestamp[+]Time",
    ),
    "polygon's columns": (
        "t.csv", b"ticker,price,sip_timestamp,size\nX,1,1704187860000000000,1\n", {}, "--format polygon",
    ),
    "a decimal comma": ("t.csv", b"timestamp;price;volume\n2024-01-02;10,5;100\n", {}, "'10,5'; .*--decimal"),
    "thousands": ("t.csv", b'timestamp,price,volume\n2024-01-02,10.5,"1,100"\n', {}, "'1,100'; .*--decimal"),
    "a point where the comma is told": (
        "t.csv", b"timestamp;price;volume\n2024-01-02;10.5;100\n", {"decimal": ","}, "line 2, price: must be a number: '10.5'",
    ),
    "american dates": ("t.csv", b"timestamp,price,volume\n01/02/2024,10.5,100\n", {}, "'01/02/2024'; .*--time-format"),
    "a date that is none": (
        "t.csv", b"timestamp,price,volume\n02/31/2024,10.5,100\n", {"time_format": "%m/%d/%Y"}, "line 2, timestamp",
    ),
    "null": ("t.csv", b"timestamp,price,volume\n2024-01-02,null,null\n", {}, "line 2, price: .*'null'.*--skip-bad"),
    "dollars": ("t.csv", b"timestamp,price,volume\n2024-01-02,$10.5,100\n", {}, "line 2, price: must be a number"),
    "sold, as a negative number": ("t.csv", b"timestamp,price,volume\n2024-01-02,10.5,-100\n", {}, "line 2, volume: "),
    "names again": ("t.csv", f"timestamp,price,volume\n{TRADE}\ntimestamp,price,volume\n".encode(), {}, "line 3, timestamp"),
    "a total": ("t.csv", f"timestamp,price,volume\n{TRADE}\nTotal,,\n".encode(), {}, "line 3, timestamp: .*--skip-bad"),
    "one comma more in some rows": (
        "t.csv", f"timestamp,price,volume\n{TRADE}\n{TRADE},\n".encode(), {}, "line 3: has 4 cells instead of 3",
    ),
    "a date with an hour, which counts seconds, too": (
        "t.csv", b"timestamp,price,volume\n2034010209,10.5,100\n", {}, "yet to come, 2034-06-15T.*--time-format.*--yes",
    ),
    "two names of one symbol each": (
        "t.csv", b",Close,Close\n,AAPL,MSFT\n2024-01-02,1,2\n", {}, "named twice: .*--header.*--skip-lines",
    ),
    "latin-1": ("t.csv", "timestamp;price;Stück\n".encode("latin-1"), {}, "not UTF-8 text: unpack the file, or save"),
    "zip": ("t.csv", zipped(), {}, "a ZIP archive or a spreadsheet: unpack it"),
    "json": ("t.json", b'{"trades":[]}', {}, r"names no \.csv or \.csv\.gz file \(--format csv\)"),
    "less than no lines": ("t.csv", b"timestamp\n", {"skip_lines": -1}, "--skip-lines is a number"),
    "a format without a date": ("t.csv", b"timestamp,price,volume\n", {"time_format": "m/d/Y"}, "--time-format is of local"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_understood_is_refused_with_what_helps(tmp_path: Path, case: str):
    name, content, options, message = REFUSED[case]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CommandError, match=message):
        imported(tmp_path / name, **{"symbol": "X", **options})
    assert stored("trades") == stored("bars") == {}


def test_texts_in_a_folder_are_not_read(tmp_path: Path):
    for name in ("X.csv", "notes.txt"):
        (tmp_path / name).write_text(f"timestamp,price,volume\n{TRADE}\n")
    assert imported(tmp_path).count("rows;") == 1
    assert [*stored("trades")] == ["X"]


def test_the_same_file_with_other_names_is_another_import(tmp_path: Path):
    (tmp_path / "X.csv").write_text("1704187860,10.5,100\n")
    imported(tmp_path / "X.csv", header="timestamp,volume,price")
    imported(tmp_path / "X.csv", header="timestamp,price,volume")
    assert len(stored("trades")["X"]) == 2


def test_options_of_texts_do_not_fit_other_files(tmp_path: Path):
    pq.write_table(pa.table({"timestamp": [1704187860]}), tmp_path / "X.parquet")
    with pytest.raises(CommandError, match="are of files of text"):
        imported(tmp_path / "X.parquet", format="parquet", skip_lines=1)


@pytest.mark.parametrize("kind", ["texts", "typed"])
def test_a_date_and_a_time_of_parquet(tmp_path: Path, kind: str):
    days, clocks = pa.array(["2024-01-02"]), pa.array(["09:31:00"])
    if kind == "typed":
        days, clocks = pa.array([date(2024, 1, 2)]), pa.array([time(9, 31)])
    table = pa.table({"date": days, "time": clocks, "price": [10.5], "volume": [100.0]})
    pq.write_table(table, tmp_path / "X.parquet")
    options = {"format": "parquet", "timezone": "Europe/Berlin"}
    if kind == "typed":
        with pytest.raises(CommandError, match=r"--columns timestamp=date\+time"):
            imported(tmp_path / "X.parquet", columns=["timestamp=date"], **options)
    imported(tmp_path / "X.parquet", columns=["timestamp=date+time"], **options)
    assert stored("trades", "price", "volume") == {"X": [("2024-01-02T08:31:00Z", 10.5, 100.0)]}


def test_texts_without_offset_in_parquet_are_local_times(tmp_path: Path):
    table = pa.table({"timestamp": ["2024-01-02 10:31:00"], "price": [10.5], "volume": [100.0]})
    pq.write_table(table, tmp_path / "X.parquet")
    imported(tmp_path / "X.parquet", format="parquet", timezone="Europe/Berlin")
    assert stored("trades", "price", "volume") == {"X": [STORED_TRADE]}
