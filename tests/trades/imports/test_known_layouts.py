"""Files of vendors that are known by their columns alone: the first and the last row as they are stored."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from django.core.management import CommandError

from store.datasets import DATASETS
from store.protocol import ALL_TIME
from store.timestamps import parse_timestamp
from tests.trades.imports.command import imported
from trades.exceptions import ImportRefused
from trades.imports import blocks
from trades.imports.formats import opened_file, read_options
from trades.stores import market_store

pytestmark = pytest.mark.system
Row = dict[str, Any]
# A file's name, content, options, dataset, symbol, number of rows, first row and last row.
Case = tuple[str, str, dict[str, Any], str, str, int, Row, Row]


@pytest.fixture(autouse=True)
def data_folder(settings, store_path: Path, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path / "data"


def at(text: str, **values: Any) -> Row:
    return {"timestamp": parse_timestamp(text), **values}


def stored(dataset: str, symbol: str) -> list[Row]:
    rows: list[Row] = market_store().log(DATASETS[dataset], symbol).at().rows(ALL_TIME).to_pylist()
    return rows


DAILY_TAQ = "DATE,TIME_M,EX,SYM_ROOT,SYM_SUFFIX,TR_SCOND,SIZE,PRICE,TR_STOP_IND,TR_CORR,TR_SEQNUM,TR_ID,TR_SOURCE,TR_RF"
WRDS = f"""{DAILY_TAQ}
20240102,9:30:00.123456789,N,BRK,B,@ O ,100,360.10,,00,12345,1,C,
20240102,9:30:01.5,P,BRK,A,@  I,1,545000.00,,00,12399,2,C,
20240102,9:30:02,P,BRK,A,@  I,1,549000.00,,08,12402,3,C,
20240102,15:59:59.000000001,D,AAPL,,@ TI,7,185.64,,01,12403,4,N,Q
20240102,15:59:59.5,D,AAPL,,@F I,7,185.65,,00,12404,5,,Q
20240102,15:59:59.9,D,AAPL,,@,7,185.64,,12,12405,4,N,Q
"""
POSTGRES = """date,time_m,time_m_nano,ex,sym_root,sym_suffix,tr_scond,size,price,tr_corr,tr_seqnum,tr_id,tr_source,tr_rf
2024-01-02,09:30:00.123456,789,N,BRK,B,@ O ,100,360.10,00,12345,1,C,
2024-01-02,09:30:01,5,P,BRK,B,,100,360.20,00,12346,2,C,
2024-07-02,09:30:01.25,0,P,BRK,B,@,100,360.30,00,12347,3,C,
"""
MONTHLY = """SYMBOL,DATE,TIME,PRICE,SIZE,G127,CORR,COND,EX
IBM,20050103,9:30:05,98.97,100,0,0,,N
IBM,20050103,9:30:06,98.98,100,40,8,Z,N
IBM,20050103,16:00:01,97.75,2300,0,1,ZT,N
BRK A,20050103,9:30:05,87800,1,0,0,,N
"""
ALGOSEEK_BARS = """Date,Ticker,TimeBarStart,FirstTradePrice,HighTradePrice,LowTradePrice,LastTradePrice,VolumeWeightPrice,Volume,TotalTrades
20240102,AAPL,09:30,187.15,187.40,186.90,187.10,187.11,12345,321
20240102,AAPL,931,187.10,187.20,186.80,186.95,187.01,2345,121
20240102,AAPL,09:32,,,,,,0,0
20240102,AAPL,0933,187.10,187.20,186.80,186.99,187.01,2346,122
"""
ALGOSEEK_TAQ = """Date,Timestamp,EventType,Ticker,Price,Quantity,Exchange,Conditions
20240102,09:30:00.001,QUOTE BID,AAPL,187.10,200,NASDAQ,00000001
20240102,09:30:00.001,QUOTE ASK NB,AAPL,187.20,300,NASDAQ,00000001
20240102,09:30:00.105,TRADE,AAPL,187.15,100,NASDAQ,00000002
20240102,09:30:00.105000001,TRADE NB,AAPL,187.16,100,ARCA,80000001
"""
TRADESTATION = """"Date","Time","Open","High","Low","Close","Up","Down"
01/02/2024,09:31,187.15,187.40,186.90,187.10,7000,5345
01/02/2024,09:32,187.10,187.20,186.80,186.95,1345,1000
01/16/2024,16:00,187.10,187.20,186.80,186.95,1345,0
"""
BARCHART = """Time,Open,High,Low,{close},Change,{change},Volume
2024-01-16,182.16,184.26,180.93,183.63,-2.29,-1.23%,65603040
2024-01-12,186.06,186.74,185.19,185.92,0.33,+0.18%,40477780
2024-01-11,186.54,187.05,183.62,185.59,-0.6,-0.32%,49128410
"Downloaded from Barchart.com as of 01-17-2024 05:12am CST"
"""
TWS = """date,open,high,low,close,volume,average,barCount
20240102 09:30:00 US/Eastern,187.15,187.40,186.90,187.10,123,187.1,4321
20240102 09:31:00 US/Eastern,187.10,187.20,186.80,186.95,23,-1.0,-1
20240702 09:32:00 US/Eastern,187.10,187.20,186.80,186.99,24,187.0,1321
"""
TICKERS = """Price,Close,Close,High,High,Low,Low,Open,Open,Volume,Volume
Ticker,AAPL,7203.T,AAPL,7203.T,AAPL,7203.T,AAPL,7203.T,AAPL,7203.T
Date,,,,,,,,,,
2024-01-04,1.5,,3,,0.5,,1,,10,
2024-01-05,2.5,2,4,2,1.5,2,2,2,20,20
2024-01-09,3.5,3,5,3,2.5,3,3,3,30,30
2024-01-10,4.5,4,6,4,3.5,4,4,4,40,40
2024-01-11,5.5,5,7,5,4.5,5,5,5,50,50
"""
WORDS = """Date,Open AAPL,High AAPL,Low AAPL,Close AAPL,Volume AAPL
2024-01-04 00:00:00+09:00,1,3,0.5,1.5,10
2024-01-05 00:00:00+09:00,2,4,1.5,2.5,20
2024-01-09 00:00:00+09:00,3,5,2.5,3.5,30
2024-01-10 00:00:00+09:00,4,6,3.5,4.5,40
"""
CBOE = """DATE,OPEN,HIGH,LOW,CLOSE
01/02/2024,13.21,14.23,13.10,13.20
01/03/2024,13.38,14.22,13.33,14.04
01/04/2024,13.38,14.22,13.33,14.04
01/16/2024,13.54,14.24,13.53,13.84
"""
MIDPOINTS = """date,open,high,low,close,volume,average,barCount
2024-01-02 00:00:00+00:00,1.10415,1.10425,1.10405,1.1042,-1.0,-1.0,-1
2024-01-02 00:01:00+00:00,1.1042,1.10425,1.10405,1.1041,-1.0,-1.0,-1
2024-01-02 00:02:00+00:00,1.1041,1.10425,1.10405,1.1041,-1.0,-1.0,-1
"""
CANDLES = (
    "[[1704153600000,44179.51,44201.5,44150.01,44188.02,12.3],[1704153660000,44188.02,44205,44180,44200,3.2],"
    "[1704153720000,44200,44205,44180,44190,3.2]]"
)
AAPL, NEW_YORK = {"symbol": "AAPL"}, {"symbol": "AAPL", "timezone": "America/New_York"}
CASES: dict[str, Case] = {
    "wrds, suffix B": (
        "t.csv", WRDS, {}, "trades", "BRK.B", 1,
        at("2024-01-02T14:30:00.123456789Z", price=360.1, volume=100.0, exchange="N", sequence=12345, trade_id="1",
           conditions="regular;opening_print"),
        at("2024-01-02T14:30:00.123456789Z"),
    ),
    "wrds, suffix A, of which one was cancelled": (
        "t.csv", WRDS, {}, "trades", "BRK.A", 1, at("2024-01-02T14:30:01.5Z", price=545000.0, conditions="regular;odd_lot"),
        at("2024-01-02T14:30:01.5Z"),
    ),
    "wrds, no suffix, tape C, and no tape": (
        "t.csv", WRDS, {}, "trades", "AAPL", 2,
        at("2024-01-02T20:59:59.000000001Z", price=185.64, exchange="D-Q", conditions="regular;extended_hours;odd_lot"),
        at("2024-01-02T20:59:59.5Z", price=185.65, conditions="@;F;I"),
    ),
    "wrds, the database's columns": (
        "t.csv", POSTGRES, {}, "trades", "BRK.B", 3, at("2024-01-02T14:30:00.123456789Z", price=360.1),
        at("2024-07-02T13:30:01.25Z", price=360.3, conditions="regular"),
    ),
    "wrds, monthly": (
        "t.csv", MONTHLY, {}, "trades", "IBM", 2, at("2005-01-03T14:30:05Z", price=98.97, exchange="N", conditions=None),
        at("2005-01-03T21:00:01Z", price=97.75, volume=2300.0, conditions="Z;T"),
    ),
    "wrds, monthly, suffix A": (
        "t.csv", MONTHLY, {}, "trades", "BRK.A", 1, at("2005-01-03T14:30:05Z", price=87800.0, volume=1.0),
        at("2005-01-03T14:30:05Z"),
    ),
    "wrds, monthly, small letters": (
        "t.csv", MONTHLY.replace(MONTHLY.splitlines()[0], MONTHLY.splitlines()[0].lower()), {}, "trades", "IBM", 2,
        at("2005-01-03T14:30:05Z", price=98.97), at("2005-01-03T21:00:01Z", price=97.75),
    ),
    "algoseek, bars": (
        "t.csv", ALGOSEEK_BARS, {}, "bars", "AAPL", 3,
        at("2024-01-02T14:30:00Z", open=187.15, high=187.4, low=186.9, close=187.1, volume=12345.0, vwap=187.11,
           trade_count=321, resolution="1m"),
        at("2024-01-02T14:33:00Z", close=186.99, volume=2346.0, trade_count=122),
    ),
    "algoseek, TAQ": (
        "t.csv", ALGOSEEK_TAQ, {}, "trades", "AAPL", 2,
        at("2024-01-02T14:30:00.105Z", price=187.15, volume=100.0, exchange="NASDAQ", conditions="00000002"),
        at("2024-01-02T14:30:00.105000001Z", price=187.16, exchange="ARCA", conditions="80000001"),
    ),
    "tradestation": (
        "t.txt", TRADESTATION, {**NEW_YORK, "resolution": "1m"}, "bars", "AAPL", 3,
        at("2024-01-02T14:30:00Z", open=187.15, close=187.1, volume=12345.0),
        at("2024-01-16T20:59:00Z", close=186.95, volume=1345.0),
    ),
    "ib, TWS, with the zone's name": (
        "t.csv", TWS, {**AAPL, "resolution": "1m"}, "bars", "AAPL", 3,
        at("2024-01-02T14:30:00Z", open=187.15, volume=123.0, vwap=187.1, trade_count=4321),
        at("2024-07-02T13:32:00Z", close=186.99, volume=24.0, trade_count=1321),
    ),
    "yfinance, one of two tickers": (
        "t.csv", TICKERS, {}, "bars", "AAPL", 5,
        at("2024-01-04T00:00:00Z", open=1.0, high=3.0, low=0.5, close=1.5, volume=10.0, resolution="1d"),
        at("2024-01-11T00:00:00Z", open=5.0, close=5.5, volume=50.0),
    ),
    "yfinance, the other ticker": (
        "t.csv", TICKERS, {}, "bars", "7203.T", 4, at("2024-01-05T00:00:00Z", close=2.0, volume=20.0),
        at("2024-01-11T00:00:00Z", close=5.0, volume=50.0),
    ),
    "yfinance, tickers first": (
        "t.csv", "\n".join([",".join(["Ticker", *TICKERS.splitlines()[1].split(",")[1:]]),
                           ",".join(["Price", *TICKERS.splitlines()[0].split(",")[1:]]), *TICKERS.splitlines()[2:], ""]),
        {}, "bars", "7203.T", 4, at("2024-01-05T00:00:00Z", close=2.0), at("2024-01-11T00:00:00Z", close=5.0),
    ),
    "yfinance, names joined": (
        "t.csv", WORDS, {"resolution": "1d"}, "bars", "AAPL", 4,
        at("2024-01-04T00:00:00Z", open=1.0, high=3.0, low=0.5, close=1.5, volume=10.0),
        at("2024-01-10T00:00:00Z", open=4.0, close=4.5, volume=40.0),
    ),
    "cboe": (
        "VIX_History.csv", CBOE, {"symbol": "VIX"}, "bars", "VIX", 4,
        at("2024-01-02T00:00:00Z", open=13.21, high=14.23, low=13.1, close=13.2, volume=None, resolution="1d"),
        at("2024-01-16T00:00:00Z", close=13.84),
    ),
    "ib, midpoints": (
        "t.csv", MIDPOINTS, {"symbol": "EUR-USD"}, "bars", "EUR-USD", 3,
        at("2024-01-02T00:00:00Z", open=1.10415, close=1.1042, volume=None, vwap=None, trade_count=None, resolution="1m"),
        at("2024-01-02T00:02:00Z", close=1.1041),
    ),
    "freqtrade": (
        "BTC_USDT-1m.json", CANDLES, {}, "bars", "BTC-USDT", 3,
        at("2024-01-02T00:00:00Z", open=44179.51, high=44201.5, low=44150.01, close=44188.02, volume=12.3, resolution="1m"),
        at("2024-01-02T00:02:00Z", close=44190.0, volume=3.2),
    ),
    **{
        f"barchart, {close}, {change}": (
            "t.csv", BARCHART.format(close=close, change=change), AAPL, "bars", "AAPL", 3,
            at("2024-01-11T00:00:00Z", open=186.54, close=185.59, volume=49128410.0, resolution="1d"),
            at("2024-01-16T00:00:00Z", high=184.26, close=183.63, volume=65603040.0),
        )
        for close, change in (("Latest", "%Change"), ("Last", "%Chg"))
    },
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_known_layout_is_stored_as_it_is_documented(tmp_path: Path, name: str):
    file, content, options, dataset, symbol, count, first, last = CASES[name]
    (tmp_path / file).write_text(content)
    imported(tmp_path / file, yes=False, **options)
    rows = stored(dataset, symbol)
    assert len(rows) == count
    assert {column: rows[0][column] for column in first} == first
    assert {column: rows[-1][column] for column in last} == last


@pytest.mark.parametrize(
    "content",
    [
        WRDS.replace("TR_CORR", "CORRECTION"),  # cancelled trades cannot be told
        WRDS.replace("SYM_SUFFIX", "SUFFIX"),  # BRK.A and BRK.B would be one
        POSTGRES.replace("sym_root", "root"),
        MONTHLY.replace("CORR,", "CORRECTION,"),
        ALGOSEEK_BARS.replace("TimeBarStart", "Time"),
        ALGOSEEK_TAQ.replace("EventType", "Type"),
        TRADESTATION.replace('"Down"', '"Other"'),
        BARCHART.format(close="Latest", change="Percent"),
        TWS.replace("barCount", "count"),
        CBOE.lower(),
        CBOE.replace("CLOSE", "CLOSE,NOTE"),
        TICKERS.replace("Volume,Volume", "Volume,Other"),
        WORDS.replace("Low AAPL", "Low MSFT"),
    ],
)
def test_other_columns_are_no_known_layout(tmp_path: Path, content: str):
    path = tmp_path / "X.csv"
    path.write_text(content)
    try:
        assert not read_options(opened_file(path), "auto", dataset=None).vendor
    except ImportRefused as error:
        assert "--format" not in str(error)  # noqa: PT017 either is right


@pytest.mark.parametrize("event", ["TRADE CANCELLED", "TRADE CORRECTED"])
def test_a_file_with_cancelled_trades_of_algoseek_is_refused_before_a_row_is_stored(
    tmp_path: Path, event: str
):
    path = tmp_path / "t.csv"
    path.write_text(f"{ALGOSEEK_TAQ}20240102,09:30:02.105,{event},AAPL,187.16,100,ARCA,00000002\n")
    with pytest.raises(CommandError, match=r"line 6: the event cancels or changes an earlier trade.*remove"):
        imported(path)
    assert market_store().symbols(DATASETS["trades"]) == []


def test_the_zone_of_tradestation_is_asked_for(tmp_path: Path):
    path = tmp_path / "t.txt"
    path.write_text(TRADESTATION)
    with pytest.raises(CommandError, match="have no time zone; give --timezone"):
        imported(path, symbol="AAPL")


ROWS = "timestamp,price,volume\n2024-01-02T09:31:00Z,10.5,100\n2024-01-02T09:32:00Z,10.5,100\n"


@pytest.mark.parametrize("block_bytes", [30, 4 * 2**20])
def test_notes_after_the_last_row_are_no_rows_and_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_bytes: int
):
    monkeypatch.setattr(blocks, "BLOCK_BYTES", block_bytes)
    path = tmp_path / "X.csv"
    path.write_text(f'{ROWS}\n"All times, in UTC"\nDownloaded from a site as of today\n')
    assert "no row: Downloaded from a site as of today" in imported(path, preview=True)
    assert "which are no rows: " in imported(path)
    assert len(stored("trades", "X")) == 2


@pytest.mark.parametrize(
    ("last", "line"),
    [
        ("2024-01-02T09:3", 4),  # a row that was cut off
        ("AAP", 4),
        ("Some words of a note\n2024-01-02T09:33:00Z,10.5,100", 4),  # inside of the file
        ("Some words,of two cells", 4),
    ],
)
def test_other_lines_are_bad_rows(tmp_path: Path, last: str, line: int):
    path = tmp_path / "X.csv"
    path.write_text(f"{ROWS}{last}\n")
    with pytest.raises(CommandError, match=f"line {line}: has"):
        imported(path)


@pytest.mark.parametrize(
    ("zone", "date"), [("America/New_York", "2024-03-07"), ("Asia/Tokyo", "2024-03-07"), (None, "2024-03-07")]
)
def test_tables_of_yfinance_in_parquet(tmp_path: Path, zone: str | None, date: str):
    dates = pd.DatetimeIndex(["2024-03-07", "2024-03-08", "2024-03-11", "2024-03-12"], tz=zone, name="Date")
    values = {
        ("Open", "A"): 1.0,
        ("High", "A"): 3.0,
        ("Low", "A"): 0.5,
        ("Close", "A"): 1.5,
        ("Volume", "A"): 10,
    }
    values |= {(field, "B-C"): value * 2 for (field, _), value in values.items()}
    frame = pd.DataFrame({name: [value] * 4 for name, value in values.items()}, index=dates)
    frame.columns = pd.MultiIndex.from_tuples(frame.columns, names=["Price", "Ticker"])
    frame.loc[dates[0], ("Close", "B-C")] = float("nan")
    frame.to_parquet(tmp_path / "t.parquet")
    imported(tmp_path / "t.parquet", yes=False)
    first = stored("bars", "A")[0]
    wanted = at(f"{date}T00:00:00Z", open=1.0, high=3.0, low=0.5, close=1.5, volume=10.0, resolution="1d")
    assert {name: first[name] for name in wanted} == wanted
    assert [row["close"] for row in stored("bars", "B-C")] == [3.0, 3.0, 3.0]


def test_local_times_of_yfinance_without_an_offset_need_a_zone(tmp_path: Path):
    path = tmp_path / "t.csv"
    path.write_text(WORDS.replace(" 00:00:00+09:00", " 09:30:00"))
    with pytest.raises(CommandError, match="give --timezone"):
        imported(path, resolution="1d")


@pytest.mark.parametrize("name", ["BTC_USDT_USDT-1m-futures.json", "BTC.json"])
def test_lists_of_numbers_in_files_of_other_names_are_asked_for(tmp_path: Path, name: str):
    """Other programs write the close before the high."""
    path = tmp_path / name
    path.write_text(CANDLES)
    with pytest.raises(CommandError, match="nothing was stored: add"):
        imported(path, yes=False, symbol="BTC-USDT")
    assert market_store().symbols(DATASETS["bars"]) == []


def test_candles_with_other_cells_are_refused(tmp_path: Path):
    path = tmp_path / "BTC_USDT-1m.json"
    path.write_text("[[1704153600000,1,2,0.5,1]]")
    with pytest.raises(CommandError, match="neither candles of freqtrade"):
        imported(path)
