"""Files as other programs write them: each comes in with right values, at once or after its messages were followed.

A message says what to add to the command; `followed` adds it. Other files are refused with the reason.
"""

import gzip
import io
import re
import shlex
import zipfile
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.core.management import CommandError

from tests.trades.imports.command import asked, imported, stored
from trades.imports import guesses, times

Options = dict[str, Any]
# A file's name, content, options, what the messages say to add, and the stored rows of X.
Case = tuple[str, bytes, Options, str, list[tuple[object, ...]]]
BAR = ("open", "high", "low", "close", "volume")
NEW_YORK = {"timezone": "America/New_York"}
X: Options = {"symbol": "X"}
OHLCV = "timestamp,open,high,low,close,volume"
TRADE = "2024-01-02T09:31:00Z,10.5,100"
STORED = ("2024-01-02T09:31:00Z", 10.5, 100.0)
SECOND = ("2024-01-02T09:32:00Z", 1.0, 1.0)
FIRST = (10.0, 12.0, 9.0, 11.0, 5.0)


@pytest.fixture(autouse=True)
def data_folder(settings, store_path: Path, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path / "data"


def advice(message: str) -> list[str]:
    """Return the words that a message says to add to the command: those of its first advice."""
    look = re.search(r"look at it with (--[a-z-]+ (?:'[^']*'|[^\s;]+))", message)
    found = look or re.search(r"; give (--[a-z-]+(?: (?!or |as |if |to |and )(?:'[^']*'|[^\s;]+))?)", message)
    assert found is not None, message
    return shlex.split(found[1].rstrip(",:"))


def followed(path: Path, options: Options) -> tuple[str, str]:
    """Import a file; add what its messages say until it comes in. Return all that was added, and what is printed."""
    words: list[str] = []
    while len(words) < 10:
        try:
            return " ".join(words), imported(path, *words, **options)
        except CommandError as error:
            words += advice(str(error))
    raise AssertionError(words)


# Name, content, options, and the stored trades or bars of X.
TRADES_COME_IN: dict[str, Case] = {
    "german": (
        "t.csv", "Zeitstempel;Kürzel;Kurs;Stück\n02.01.2024 09:31:00;X;1.010,5;1.100\n15.01.2024 09:31:00;X;9,25;7\n".encode(),
        {}, "", [("2024-01-02T09:31:00Z", 1010.5, 1100.0), ("2024-01-15T09:31:00Z", 9.25, 7.0)],
    ),
    "german, Windows-1252, one day": (
        "t.csv", "Datum;Kurs;Stück\n02.01.2024 09:31:00;10,5;100\n".encode("cp1252"), X, "--time-format %d.%m.%Y %H:%M:%S",
        [STORED],
    ),
    "times with a decimal comma": (
        "t.csv", "Datum;Uhrzeit;Kurs;Stück\n24.11.2023;15:30:01,250;215,40;100\n".encode(), X, "",
        [("2023-11-24T15:30:01.25Z", 215.4, 100.0)],
    ),
    "semicolons, byte order mark, CR LF": (
        "t.csv", b"\xef\xbb\xbftimestamp;price;volume\r\n2024-01-02 09:31:00;10.5;100\r\n", X, "", [STORED],
    ),
    "decimal comma that may separate thousands": (
        "t.csv", b"timestamp;price;volume\n2024-01-02 09:31:00;1,250;3\n", X, "--decimal .",
        [("2024-01-02T09:31:00Z", 1250.0, 3.0)],
    ),
    "german volumes of three digits after a point": (
        "t.csv", b"Datum;Zeit;Kurs;Volumen\n02.01.2024;09:31:00;10;1.500\n15.01.2024;09:31:00;11;2.000\n", X, "--decimal .",
        [("2024-01-02T09:31:00Z", 10.0, 1.5), ("2024-01-15T09:31:00Z", 11.0, 2.0)],
    ),
    "german dates, commas between the cells": (
        "t.csv", b"Datum,Kurs,Volumen\n15.01.2024 09:31:00,10,1.500\n", X, "--decimal .",
        [("2024-01-15T09:31:00Z", 10.0, 1.5)],
    ),
    "semicolons, volumes of three decimals beside a price with a point": (
        "t.csv", b"timestamp;price;volume\n2024-01-02 09:31:00;10.5;1.500\n", X, "", [("2024-01-02T09:31:00Z", 10.5, 1.5)],
    ),
    "commas between the cells, volumes of three decimals": (
        "t.csv", b"timestamp,price,volume\n2024-01-02 09:31:00,10,1.500\n", X, "", [("2024-01-02T09:31:00Z", 10.0, 1.5)],
    ),
    "commas between thousands, dollars": (
        "t.csv", b'timestamp,price,volume\n2024-01-02 09:31:00,"$1,010.5","1,100"\n', X, "",
        [("2024-01-02T09:31:00Z", 1010.5, 1100.0)],
    ),
    "apostrophes and spaces between thousands": (
        "t.csv", "timestamp;price;volume\n2024-01-02 09:31:00;1'010.5;1\u00a0100\n".encode(), X, "",
        [("2024-01-02T09:31:00Z", 1010.5, 1100.0)],
    ),
    "tabs": ("t.tsv", b"timestamp\tprice\tvolume\n2024-01-02 09:31:00\t10.5\t100\n", X, "", [STORED]),
    "bars between cells": ("t.txt", b"timestamp|price|volume\n2024-01-02 09:31:00|10.5|100\n", X, "", [STORED]),
    "single quotation marks": ("t.csv", b"'timestamp','price','volume'\n'2024-01-02 09:31','10.5','100'\n", X, "", [STORED]),
    "sep= line": ("t.csv", f"sep=,\ntimestamp,price,volume\n{TRADE}\n".encode(), X, "", [STORED]),
    "sep=; line with a mark": (
        "t.csv", b"\xef\xbb\xbfsep=;\r\ntimestamp;price;volume\r\n2024-01-02 09:31;10.5;100\r\n", X, "", [STORED],
    ),
    "carriage returns only": (
        "t.csv", f"timestamp,price,volume\r{TRADE}\r2024-01-02T09:32:00Z,1,1\r".encode(), X, "", [STORED, SECOND],
    ),
    "UTF-16": ("t.csv", f"timestamp,price,volume\r\n{TRADE}\r\n".encode("utf-16"), X, "", [STORED]),
    "UTF-16 without a mark": ("t.csv", f"timestamp,price,volume\r\n{TRADE}\r\n".encode("utf-16-le"), X, "", [STORED]),
    "UTF-16 without a mark, big end first": (
        "t.csv", f"timestamp,price,volume\r\n{TRADE}\r\n".encode("utf-16-be"), X, "", [STORED],
    ),
    "gzip named .csv": ("t.csv", gzip.compress(f"timestamp,price,volume\n{TRADE}\n".encode()), X, "", [STORED]),
    "zstandard named .csv": (
        "t.csv", pa.compress(f"timestamp,price,volume\n{TRADE}\n".encode(), "zstd", asbytes=True), X, "", [STORED],
    ),
    "plain text named .csv.gz": ("t.csv.gz", f"timestamp,price,volume\n{TRADE}\n".encode(), X, "", [STORED]),
    "lines of spaces": (
        "t.csv", f"\n  \ntimestamp,price,volume\n   \n{TRADE}\n \t \n2024-01-02T09:32:00Z,1,1\n   \n".encode(), X, "",
        [STORED, SECOND],
    ),
    "spaces around cells": ("t.csv", b"timestamp, price, volume\n 2024-01-02T09:31:00Z , 10.5 , 100 \n", X, "", [STORED]),
    "rows end with a comma": ("t.csv", f"timestamp,price,volume\n{TRADE},\n".encode(), X, "", [STORED]),
    "all lines end with a comma": ("t.csv", f"timestamp,price,volume,\n{TRADE},\n".encode(), X, "", [STORED]),
    "lines before the names": (
        "t.csv", f'"Account X as of 01/05/2024"\n\nMade, by hand\ntimestamp,price,volume\n{TRADE}\n'.encode(), X, "", [STORED],
    ),
    "other names, one of two": (
        "t.csv", b"Date,Last,Qty,Size\n2024-01-02 09:31,10.5,100,7\n", X, "--columns volume=Qty", [STORED],
    ),
    "kraken": (
        "t.csv", b"1704187860,10.5,100.00000000\n1704187860,10.5,100.00000000\n", X, "", [STORED, STORED],
    ),
    "binance, two units of time": (
        "t.csv", b"\xef\xbb\xbf7,10.5,100,1050,1704187860000,True,True\n8,1,1,1,1704187920000000,False,True\n", X,
        "", [STORED, SECOND],
    ),
    "binance, aggregated": ("t.csv", b"7,10.5,100,1,1,1704187860000,True,True\n", X, "", [STORED]),
    "binance, futures": (
        "t.csv", b"id,price,qty,quote_qty,time,is_buyer_maker\n7,10.5,100,1050,1704187860000,true\n", X, "", [STORED],
    ),
    "ninjatrader, ticks": ("t.txt", b"20240102 093100 0000000;10.5;10.4;10.5;100\n", X, "", [STORED]),
    "interactive brokers": (
        "t.csv",
        b'"Symbol","TradeID","DateTime","Exchange","Buy/Sell","Quantity","TradePrice"\n"X","7","20240102;043100","ARCA","SELL","-100","10.5"\n',
        {}, "", [STORED],
    ),
    "polygon": ("t.csv", (b"ticker,price,sip_timestamp,size,id,sequence_number,exchange,conditions,correction\n"
        b"X,10.5,1704187860000000000,100,7,1,11,,0\n"), {}, "", [STORED]),
    "epochs with fractions": (
        "t.csv", b"timestamp,price,volume\n1704187860.0,10.5,100\n1704187920000.000,1,1\n", X, "", [STORED, SECOND],
    ),
    "american dates": (
        "t.csv", b"timestamp,price,volume\n01/02/2024 09:31:00 AM,10.5,100\n", X, "--time-format %m/%d/%Y %I:%M:%S %p", [STORED],
    ),
    "american dates of the whole month": (
        "t.csv", b"timestamp,price,volume\n1/2/2024 9:31,10.5,100\n1/31/2024 0:00,1,1\n", X, "",
        [STORED, ("2024-01-31T00:00:00Z", 1.0, 1.0)],
    ),
    "an american date and a time": (
        "t.csv", b"Date,Time,price,volume\n01/02/2024,09:31,10.5,100\n", X, "--time-format %m/%d/%Y %H:%M", [STORED],
    ),
    "months by name": ("t.csv", b"Date,price,volume\n02-Jan-2024 09:31:00,10.5,100\n", X, "", [STORED]),
    "a time of day in another column": (
        "t.csv", b"timestamp,time,price,volume\n2024.01.02,09:31:00,10.5,100\n", X, "", [STORED],
    ),
    "a format that looks like ISO 8601": (
        "t.csv", b"timestamp,price,volume\n2024-02-01 09:31:00,10.5,100\n", {**X, "time_format": "%Y-%d-%m %H:%M:%S"}, "",
        [STORED],
    ),
    "a symbol in the file's name": ("X-trades-2024-01.csv", f"timestamp,price,volume\n{TRADE}\n".encode(), {}, "--symbol X", [STORED]),
}  # fmt: skip

BARS_COME_IN: dict[str, Case] = {
    "binance, without names": (
        "t.csv",
        b"1704187860000,10,12,9,11,5,1704187919999,5,1,5,5,0\n1704187920000000,10,12,9,11,5,1704187979999999,5,1,5,5,0\n",
        X, "--resolution 1m", [("2024-01-02T09:31:00Z", *FIRST), ("2024-01-02T09:32:00Z", *FIRST)],
    ),
    "binance": (
        "X-1m-2024-01.csv", b"open_time,open,high,low,close,volume,close_time,quote_volume,count\n1704187860000,10,12,9,11,5,1704187919999,5,1\n",
        {"resolution": "1m"}, "--symbol X", [("2024-01-02T09:31:00Z", *FIRST)],
    ),
    "kraken": (
        "X_1.csv", b"1704187860,10,12,9,11,5,1\n1704187920,10,12,9,11,5,1\n1704187980,10,12,9,11,5,1\n", {},
        "--symbol X", [(f"2024-01-02T09:{minute}:00Z", *FIRST) for minute in (31, 32, 33)],
    ),
    "first rate": (
        "t.txt", b"2024-01-02 04:00:00,10,12,9,11,5\n", {**X, "resolution": "1m"}, "",
        [("2024-01-02T09:00:00Z", *FIRST)],
    ),
    "metatrader 4": (
        "t.csv", b"2024.01.02,00:05,10,12,9,11,5\r\n2024.01.02,00:06,10,12,9,11,5\r\n", X,
        "--timezone UTC --resolution 1m", [("2024-01-02T00:05:00Z", *FIRST), ("2024-01-02T00:06:00Z", *FIRST)],
    ),
    "metatrader 5": (
        "t.csv", b"<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\r\n2024.01.02\t00:05:00\t10\t12\t9\t11\t7\t5\r\n",
        {**X, "resolution": "1m"}, "--timezone UTC", [("2024-01-02T00:05:00Z", *FIRST)],
    ),
    "metatrader 5, days": (
        "t.csv", b"<DATE>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\r\n2024.01.02\t10\t12\t9\t11\t7\t5\r\n",
        X, "--resolution 1d", [("2024-01-02T00:00:00Z", *FIRST)],
    ),
    "ninjatrader, whose times are the ends": (
        "t.csv", b"20240102 093100;10;12;9;11;5\n20240102 093200;10;12;9;11;5\n20240102 093300;10;12;9;11;5\n", X,
        "", [(f"2024-01-02T09:{minute}:00Z", *FIRST) for minute in (30, 31, 32)],
    ),
    "histdata": (
        "t.csv", b"20240102 093100;10;12;9;11;0\n20240102 093200;10;12;9;11;0\n20240102 093300;10;12;9;11;0\n", X,
        "--format histdata", [(f"2024-01-02T14:{minute}:00Z", *FIRST[:4], 0.0) for minute in (31, 32, 33)],
    ),
    "stooq": (
        "t.csv", b"<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>\r\nX,5,20240102,153500,10,12,9,11,5,0\r\n",
        {}, "--timezone UTC", [("2024-01-02T15:35:00Z", *FIRST)],
    ),
    "stooq, days": (
        "t.csv", b"<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>\r\nX,D,20240102,000000,10,12,9,11,5,0\r\n",
        {}, "", [("2024-01-02T00:00:00Z", *FIRST)],
    ),
    "yahoo, with rows of null": (
        "X.csv", b"Date,Open,High,Low,Close,Adj Close,Volume\n2024-01-02,10,12,9,11,11,5\n2024-01-03,null,null,null,null,null,null\n",
        X, "--resolution 1d", [("2024-01-02T00:00:00Z", *FIRST)],
    ),
    "yfinance, three lines of names": (
        "t.csv", b"Price,Close,High,Low,Open,Volume\nTicker,X,X,X,X,X\nDate,,,,,\n2024-01-02,11,12,9,10,5\n", X,
        "--resolution 1d", [("2024-01-02T00:00:00Z", *FIRST)],
    ),
    "dukascopy": (
        "X.csv", b"Gmt time,Open,High,Low,Close,Volume\n02.01.2024 09:31:00.000,10,12,9,11,5\n", X, "--resolution 1d",
        [("2024-01-02T00:00:00Z", *FIRST)],
    ),
    "dukascopy, local times": (
        "X.csv", (b"Local time,Open,High,Low,Close,Volume\n02.01.2024 10:31:00.000 GMT+0100,10,12,9,11,5\n"
        b"02.01.2024 10:32:00.000 GMT+0100,10,12,9,11,5\n"), X, "--resolution 1m",
        [("2024-01-02T09:31:00Z", *FIRST), ("2024-01-02T09:32:00Z", *FIRST)],
    ),
    "crypto data download": (
        "t.csv", (b"https://www.CryptoDataDownload.com\nunix,date,symbol,open,high,low,close,Volume BTC,Volume USDT\n"
        b"1704187860000,2024-01-02 09:31:00,X,10,12,9,11,5,50\n"), {"resolution": "1m"},
        "--columns timestamp=unix --columns volume=Volume BTC", [("2024-01-02T09:31:00Z", *FIRST)],
    ),
    "letters": ("X.csv", b"t,o,h,l,c,v\n2024-01-02,10,12,9,11,5\n", {"columns": "timestamp=t"}, "--resolution 1d",
        [("2024-01-02T00:00:00Z", *FIRST)]),
    "ours, of days": (
        "X.csv", f"{OHLCV}\n2024-01-02,10,12,9,11,5\n2024-01-03,10,12,9,11,5\n2024-01-04,10,12,9,11,5\n".encode(), {}, "",
        [(f"2024-01-0{day}T00:00:00Z", *FIRST) for day in (2, 3, 4)],
    ),
    "a daily file with times of midnight": (
        "X.csv", b"Date,Time,open,high,low,close,volume\n20240102,000000,10,12,9,11,5\n", {}, "--resolution 1d",
        [("2024-01-02T00:00:00Z", *FIRST)],
    ),
}  # fmt: skip

QUOTES_COME_IN: dict[str, Case] = {
    "truefx": ("t.csv", b"EUR/USD,20240102 09:31:00.123,1.1,1.2\n", {}, "", [("2024-01-02T09:31:00.123Z", 1.1, 1.2)]),
    "histdata": (
        "t.csv", b"20240102 043100123,1.1,1.2,0\n", {"symbol": "EUR-USD"}, "", [("2024-01-02T09:31:00.123Z", 1.1, 1.2)],
    ),
    "dukascopy": (
        "t.csv", b"Gmt time,Ask,Bid,AskVolume,BidVolume\n02.01.2024 09:31:00.123,1.2,1.1,1,1\n", {"symbol": "EUR-USD"}, "",
        [("2024-01-02T09:31:00.123Z", 1.1, 1.2)],
    ),
}  # fmt: skip
COME_IN = {
    (dataset, name): case
    for dataset, cases in (("trades", TRADES_COME_IN), ("bars", BARS_COME_IN), ("quotes", QUOTES_COME_IN))
    for name, case in cases.items()
}
VALUES = {"trades": ("price", "volume"), "bars": BAR, "quotes": ("bid", "ask")}


@pytest.mark.parametrize(("dataset", "name"), COME_IN)
def test_files_come_in(tmp_path: Path, dataset: str, name: str):
    file, content, options, added, expected = COME_IN[dataset, name]
    (tmp_path / file).write_bytes(content)
    assert followed(tmp_path / file, options)[0] == added
    symbol = "EUR-USD" if dataset == "quotes" else "X"
    assert stored(dataset, *VALUES[dataset]) == {symbol: expected}


@pytest.mark.parametrize(
    "cell",
    ["20240102093100", "20240102 093100", "20240102T093100Z", "20240102;093100", "20240102-09:31:00", "20240102 0931",
     "2024.01.02 09:31", "2024/01/02 09:31:00", "20240102 093100000", "20240102T103100+0100",
     "2024-01-02T10:31:00.000+01:00", "2024-01-02  09:31:00"],
)  # fmt: skip
def test_other_texts_of_one_instant(tmp_path: Path, cell: str):
    (tmp_path / "X.csv").write_text(f"timestamp,price,volume\n{cell},10.5,100\n")
    imported(tmp_path / "X.csv")
    assert stored("trades", "price", "volume") == {"X": [STORED]}


def zipped() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("t.csv", f"timestamp,price,volume\n{TRADE}\n")
    return content.getvalue()


REFUSED: dict[str, tuple[str, bytes, Options, str]] = {
    "no names": (
        "t.csv", b"2024-01-02 09:31,10.5,100,N\n", X,
        r"no line names the columns \(1 is 2024-01-02 09:31, 2 is 10.5, 3 is 100, 4 is N\); give --columns with the positions",
    ),
    "an ambiguous date": (
        "t.csv", b"timestamp,price,volume\n01/02/2025,10.5,100\n", X, "look at it with --time-format %m/%d/%Y --preview or --time-format %d/%m/%Y --preview, and give --timezone UTC or that of the exchange",
    ),
    **{
        f"dates of which the last is the same in both orders: {last}": (
            "t.csv", f"timestamp,price,volume\n{first},10.5,100\n{last},10.5,100\n".encode(), X, message,
        )
        for first, last, message in (
            ("05/08/2024", "08/08/2024", "look at it with --time-format %m/%d/%Y --preview or --time-format %d/%m/%Y --preview"),
            ("08/08/2024", "08/08/2024 ", "look at it with --time-format %m/%d/%Y --preview or --time-format %d/%m/%Y --preview"),
            ("05-08-2024 09:30", "08-08-2024 09:30", "look at it with --time-format '%m-%d-%Y %H:%M' --preview or --time-format '%d-%m-%Y %H:%M' --preview"),
            ("23/01/24", "24/01/24", "look at it with --time-format %d/%m/%y --preview or --time-format %y/%m/%d --preview"),
        )
    },
    "german prices that may be thousands": (
        "t.csv", "Datum;Kurs;Stück\n15.01.2024 09:30:00;42.250;10\n15.01.2024 09:30:01;42.251;20\n".encode(), X,
        "'42.250' has a mark of thousands or of decimals; look at it with --decimal . --preview",
    ),
    "dates of both orders": (
        "t.csv", b"time,price,volume\n15/01/2025,10,1\n03/04/2025,10,1\n01/16/2025,10,1\n", X,
        "times are written as %d/%m/%Y, but '01/16/2025' is not; correct the times, or give --time-format of the rows to read$",
    ),
    "a broker's list, which has dates only": (
        "t.csv",
        (b'"Transactions for account Y as of 01/05/2024 10:00:00 ET"\n"Date","Action","Symbol","Quantity","Price","Amount"\n'
        b'"01/13/2024","Buy","X","1,000","$184.22","-$184,220.00"\n"Transactions Total","","","","","-$184,196.00"\n'),
        {"columns": "volume=Quantity"}, "Date has dates without a time of day, which are no times of trades$",
    ),
    "a column given twice": ("t.csv", f"timestamp,price,px,volume\n{TRADE},1\n".encode(), {**X, "columns": "price=price,price=px"}, "--columns names a column twice"),
    "one cell": ("t.csv", b"timestamp price volume\n", X, "give --delimiter"),
    "no volume": ("t.csv", b"timestamp,price,note\n2024-01-02 09:31,1,x\n", X, "do not tell whether the rows are trades, quotes or bars: timestamp,price,note; look at it with --dataset"),
    "a tick file of metatrader 5": (
        "t.csv", b"<DATE>\t<TIME>\t<BID>\t<ASK>\t<LAST>\t<VOLUME>\n2024.01.02\t00:05:00.1\t1\t2\t\t\n", X,
        "MetaTrader 5 leave the cells .* empty .*give --dataset quotes --columns",
    ),
    "quotes of metatrader 5, of which sides are empty": (
        "t.csv", b"<DATE>\t<TIME>\t<BID>\t<ASK>\t<LAST>\t<VOLUME>\t<FLAGS>\n2024.01.02\t00:05:00.1\t1\t\t\t\t2\n",
        {**X, "dataset": "quotes"}, "fill them with the values before",
    ),
    "columns of a layout that is known": (
        "t.csv", b"ticker,conditions,correction,exchange,id,participant_timestamp,price,sequence_number,sip_timestamp,size,tape,trf_id,trf_timestamp\n",
        {"columns": "timestamp=sip_timestamp,volume=shares"}, "or look at it with --format polygon --preview instead of",
    ),
    "another layout": ("t.csv", b"1704187860,10.5,100\n", {**X, "format": "binance"}, "no layout of binance"),
    "a point where the comma is told": (
        "t.csv", b"timestamp;price;volume\n2024-01-02 09:31;10.5;100\n", {**X, "decimal": ","}, "line 2, price: must be a number: '10.5'",
    ),
    "a date that is none": (
        "t.csv", b"timestamp,price,volume\n02/31/2024 09:31,10.5,100\n", {**X, "time_format": "%m/%d/%Y %H:%M"}, "line 2, timestamp",
    ),
    "null": ("t.csv", b"timestamp,price,volume\n2024-01-02 09:31,null,null\n2024-01-03 09:31,1,1\n", X, "line 2, price: .*'null'.*--skip-bad"),
    "rows of which none can be stored": (
        "t.csv", b"timestamp,price,volume\n2024-01-02 09:31,x,1\n2024-01-03 09:31,x,1\n", X, "'x'; give --skip-bad",
    ),
    "rows of which none can be stored, skipped": (
        "t.csv", b"timestamp,price,volume\n2024-01-02 09:31,x,1\n2024-01-03 09:31,x,1\n", {**X, "skip_bad": True}, "t.csv: no row can be stored$",
    ),
    "empty cells": ("t.csv", f"time,price,volume\n{TRADE}\n,,\n".encode(), X, "line 3, time: is empty; give --skip-bad"),
    "an empty file": ("t.csv", b"", X, "t.csv: is empty$"),
    "a file of empty lines": ("t.csv", b"\n \n", X, "t.csv: has no line"),
    "sold, as a negative number": ("t.csv", b"timestamp,price,volume\n2024-01-02 09:31,10.5,-100\n", X, "line 2, volume: "),
    "names again": ("t.csv", f"timestamp,price,volume\n{TRADE}\ntimestamp,price,volume\n".encode(), X, "line 3, timestamp"),
    "one comma more in some rows": (
        "t.csv", f"timestamp,price,volume\n{TRADE}\n{TRADE},\n".encode(), X, "line 3: has 4 cells instead of 3",
    ),
    "two names of one symbol each": (
        "t.csv", b",Close,Close\n,AAPL,MSFT\n2024-01-02,1,2\n", X, "named twice: .*give --skip-lines .*--columns",
    ),
    "zip": ("t.csv", zipped(), X, "a ZIP archive or a spreadsheet: unpack it"),
    "other files": ("t.dat", b"", X, r"names no .*file"),
    "less than no lines": ("t.csv", b"timestamp\n", {**X, "skip_lines": -1}, "--skip-lines is a number"),
    "no encoding": ("t.csv", b"timestamp\n", {**X, "encoding": "utf-9"}, "give --encoding"),
    "a format without a date": ("t.csv", b"timestamp,price,volume\n", {**X, "time_format": "m/d/Y"}, "--time-format is of local"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_understood_is_refused_with_what_helps(tmp_path: Path, case: str):
    name, content, options, message = REFUSED[case]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CommandError, match=message):
        imported(tmp_path / name, **options)
    assert stored("trades") == stored("bars") == {}


def test_a_date_with_an_hour_is_an_epoch_that_is_yet_to_come(tmp_path: Path):
    (tmp_path / "X.csv").write_bytes(b"timestamp,price,volume\n2034010209,10.5,100\n")
    assert "doubt: a time is yet to come: 2034-06-15T" in asked(
        tmp_path / "X.csv", columns="timestamp=timestamp,price=price,volume=volume"
    )


def test_a_preview_shows_what_would_be_stored_and_what_was_guessed_and_stores_nothing(tmp_path: Path):
    rows = "".join(f"1/{day}/2024 16:00;10;12;9;11;1\n" for day in range(9, 20))
    (tmp_path / "X.csv").write_text(f"Day's prices\nDate;Open;High;Low;Close;Volume\n{rows}1/20/2024;;;;;\n")
    said = imported(tmp_path / "X.csv", preview=True)
    assert re.search(r"X +2024-01-09T00:00:00Z +1d +10.0 +12.0 +9.0 +11.0 +1.0\n", said)
    assert re.search(r"X +2024-01-19T00:00:00Z +1d +10.0 +12.0 +9.0 +11.0 +1.0\n", said)
    assert said.count("T00:00:00Z") == 6
    assert "X.csv, line 14, Open: " in said
    assert stored("bars") == {}
    command = said.partition("to store without a question: ")[2].strip()
    assert shlex.split(command) == shlex.split(
        "--dataset bars --columns timestamp=Date,open=Open,high=High,low=Low,close=Close,volume=Volume --timezone UTC"
        " --resolution 1d --time-format '%m/%d/%Y %H:%M' --delimiter ';' --skip-lines 1"
    )
    imported(tmp_path / "X.csv", *shlex.split(command), "--skip-bad", yes=False)
    assert len(stored("bars")["X"]) == 11


def test_few_texts_that_are_no_times_are_tried_by_all_formats(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    tried: list[str] = []

    def local_time(text: str, time_format: str) -> datetime | None:
        tried.append(text)
        return times.local_time(text, time_format)

    monkeypatch.setattr(guesses, "local_time", local_time)
    lines = ["timestamp,price,volume", *(f"a{number},1,1" for number in range(400))]
    (tmp_path / "X.csv").write_text("\n".join(lines))
    with pytest.raises(CommandError, match="line 2, timestamp"):
        imported(tmp_path / "X.csv")
    assert 0 < len({*tried}) <= 20


def test_times_without_an_offset_are_asked_for_though_the_columns_are_given(tmp_path: Path):
    (tmp_path / "X.csv").write_text("timestamp,price,volume\n01/31/2024 09:30:00,10,1\n")
    given = {"columns": "timestamp=timestamp,price=price,volume=volume"}
    assert "guessed: --timezone UTC    (the times have no offset)" in asked(tmp_path / "X.csv", **given)
    imported(tmp_path / "X.csv", **given, **NEW_YORK, yes=False)
    assert stored("trades") == {"X": [("2024-01-31T14:30:00Z",)]}


def test_texts_in_a_folder_are_not_read(tmp_path: Path):
    for name in ("X.csv", "notes.txt"):
        (tmp_path / name).write_text(f"timestamp,price,volume\n{TRADE}\n")
    assert imported(tmp_path).count("rows;") == 1
    assert [*stored("trades")] == ["X"]


def test_the_same_file_with_other_names_is_another_import(tmp_path: Path):
    (tmp_path / "X.csv").write_text("1704187860,10.5,100\n")
    imported(tmp_path / "X.csv", columns="timestamp=1,volume=2,price=3")
    imported(tmp_path / "X.csv", columns="timestamp=1,price=2,volume=3")
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


def test_a_local_time_of_parquet_that_occurred_twice_is_shown_as_it_is_written(tmp_path: Path):
    twice = datetime(2025, 11, 2, 1, 30)
    pq.write_table(
        pa.table({"timestamp": [twice], "price": [10.5], "volume": [100.0]}), tmp_path / "X.parquet"
    )
    with pytest.raises(CommandError, match=r": 2025-11-02 01:30:00; give --skip-bad"):
        imported(tmp_path / "X.parquet", timezone="America/New_York")


def test_texts_without_offset_in_parquet_are_local_times(tmp_path: Path):
    table = pa.table({"timestamp": ["2024-01-02 10:31:00"], "price": [10.5], "volume": [100.0]})
    pq.write_table(table, tmp_path / "X.parquet")
    imported(tmp_path / "X.parquet", format="parquet", timezone="Europe/Berlin")
    assert stored("trades", "price", "volume") == {"X": [STORED]}
