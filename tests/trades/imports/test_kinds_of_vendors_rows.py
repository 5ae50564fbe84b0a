"""Vendors' files with rows of several kinds, or of several instruments: what is no trade of the symbol is not stored in silence."""

from pathlib import Path

import pytest
from django.core.management import CommandError

from tests.trades.imports.command import asked, imported, stored

pytestmark = pytest.mark.system
FLEX = '"ClientAccountID","AssetClass","Symbol","TradeID","DateTime","Exchange","Buy/Sell","Quantity","TradePrice"'


@pytest.fixture(autouse=True)
def data_folder(settings, store_path: Path, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path / "data"


def flex(path: Path, more: str, *rows: tuple[str, str, str, str, str, str]) -> Path:
    """Write a Flex query's file. more: a last column. rows: id, second, side, quantity, price, and the last cell."""
    lines = [
        f'"U1","STK","AAPL","{trade}","20240102;0930{second}","","{side}","{quantity}","{price}"'
        + (f',"{last}"' if more else "")
        for trade, second, side, quantity, price, last in rows
    ]
    path.write_text("\n".join([FLEX + (f',"{more}"' if more else ""), *lines, ""]))
    return path


ORDER = ("", "12", "BUY", "300", "187.15", "ORDER")
FIRST = ("1", "12", "BUY", "100", "187.15", "EXECUTION")
SECOND = ("2", "13", "SELL", "-200", "187.16", "EXECUTION")
LOT = ("1", "12", "BUY", "300", "170.15", "CLOSED_LOT")
SUM = ("", "14", "", "100", "187.2", "SYMBOL_SUMMARY")
EXECUTIONS = {"AAPL": [("2024-01-02T14:30:12Z", 187.15, 100.0), ("2024-01-02T14:30:13Z", 187.16, 200.0)]}


def test_only_executions_of_a_flex_query_are_read(tmp_path: Path):
    path = flex(tmp_path / "f.csv", "LevelOfDetail", ORDER, FIRST, SECOND, LOT, SUM)
    assert "2 stored" in imported(path, yes=False)
    assert stored("trades", "price", "volume") == EXECUTIONS


def test_orders_alone_are_no_trades(tmp_path: Path):
    imported(flex(tmp_path / "f.csv", "LevelOfDetail", ORDER, SUM))
    assert stored("trades") == {}


def test_exercised_options_are_no_trades(tmp_path: Path):
    rows = [
        (*FIRST[:5], "ExchTrade"),
        (*SECOND[:5], "ExchTrade"),
        ("3", "14", "BUY", "100", "150", "BookTrade"),
    ]
    imported(flex(tmp_path / "f.csv", "TransactionType", *rows), yes=False)
    assert stored("trades", "price", "volume") == EXECUTIONS


@pytest.mark.parametrize(
    ("more", "row"),
    [
        ("TransactionType", ("3", "14", "SELL", "-100", "187.15", "TradeCancel")),
        ("TransactionType", ("3", "14", "BUY", "100", "187.15", "TradeCorrect")),
        ("Notes/Codes", ("3", "14", "BUY", "100", "187.15", "P;Ca")),
        ("Notes/Codes", ("3", "14", "BUY", "100", "187.15", "Co")),
        ("", ("3", "14", "SELL (Ca.)", "-100", "187.15", "")),
        ("", ("", "12", "BUY", "300", "187.15", "")),  # an order beside its executions
    ],
)
def test_rows_that_change_trades_refuse_a_flex_query(
    tmp_path: Path, more: str, row: tuple[str, str, str, str, str, str]
):
    rows = [(*FIRST[:5], "P"), (*SECOND[:5], "C;P"), row]
    with pytest.raises(CommandError, match="line 4: the row cancels or corrects a trade, or has no TradeID"):
        imported(flex(tmp_path / "f.csv", more, *rows))
    assert stored("trades") == {}


def test_lots_beside_executions_in_other_columns_are_refused(tmp_path: Path):
    path = tmp_path / "AAPL.csv"
    path.write_text(
        "timestamp,price,volume,LevelOfDetail\n2024-01-02T14:30:12Z,187.15,100,Execution\n"
        "2024-01-02T14:30:12Z,170.15,100,ClosedLot\n"
    )
    with pytest.raises(
        CommandError, match=r"LevelOfDetail tells rows of several kinds apart.*--rows LevelOfDetail=Execution"
    ):
        imported(path)


def test_a_column_that_no_layout_reads_may_tell_kinds_of_rows(tmp_path: Path):
    path = tmp_path / "BTC-USDT.csv"
    path.write_text(
        "id,price,qty,quote_qty,time,is_buyer_maker,kind\n1,93500.5,0.1,9350.05,1735603080000,True,TRADE\n"
        "2,93500.6,0.1,9350.06,1735603081000,True,CANCEL\n"
    )
    with pytest.raises(CommandError, match=r"kind tells rows of several kinds apart.*--rows kind=TRADE"):
        imported(path, symbol="BTC-USDT")
    imported(path, symbol="BTC-USDT", rows="kind=TRADE", yes=False)
    assert stored("trades", "price") == {"BTC-USDT": [("2024-12-30T23:58:00Z", 93500.5)]}


DATABENTO = """ts_recv,ts_event,rtype,publisher_id,instrument_id,action,side,depth,price,size,flags,ts_in_delta,sequence{name}
1704205800000100000,1704205800000000000,0,1,4916,T,A,0,4788.25,1,0,100,1001{first}
1704205801000100000,17042{day}801000000000,0,1,5602,T,B,0,4840.25,2,0,100,1002{second}
"""


@pytest.mark.parametrize(
    ("day", "name", "first", "second"),
    [("05", "", "", ""), ("92", "", "", ""), ("05", ",symbol", ",ES", ",ES")],
)
def test_two_instruments_of_one_symbol_are_asked_for(
    tmp_path: Path, day: str, name: str, first: str, second: str
):
    path = tmp_path / "x.csv"
    path.write_text(DATABENTO.format(day=day, name=name, first=first, second=second))
    assert "instrument_id is not read and has several values for one symbol: 4916, 5602" in asked(
        path, symbol="ES"
    )
    assert stored("trades") == {}
    imported(path, symbol="ES", rows="instrument_id=4916", yes=False)
    assert stored("trades", "price") == {"ES": [("2024-01-02T14:30:00Z", 4788.25)]}


@pytest.mark.parametrize(
    ("day", "first", "second", "symbols"),
    [("92", "ES.C.0", "ES.C.0", ["ES.C.0"]), ("05", "ESH4", "ESM4", ["ESH4", "ESM4"])],
)
def test_ids_of_each_day_or_symbol_are_not_asked_for(
    tmp_path: Path, day: str, first: str, second: str, symbols: list[str]
):
    path = tmp_path / "x.csv"
    path.write_text(DATABENTO.format(day=day, name=",symbol", first=f",{first}", second=f",{second}"))
    imported(path, yes=False)
    assert sorted(stored("trades")) == symbols


@pytest.mark.parametrize(
    ("more", "values"), [("CurrencyPrimary", ("EUR", "USD")), ("Conid", ("14204", "6624471"))]
)
def test_one_symbol_of_two_shares_is_asked_for(tmp_path: Path, more: str, values: tuple[str, str]):
    rows = [(*row[:5], value) for row, value in zip((FIRST, SECOND), values, strict=True)]
    said = asked(flex(tmp_path / "f.csv", more, *rows))
    assert f"{more} is not read and has several values for one symbol: {values[0]}, {values[1]}" in said


def test_prices_of_databento_with_a_point_are_no_counts_of_billionths(tmp_path: Path):
    path = tmp_path / "x.csv"
    path.write_text(
        "ts_event,rtype,publisher_id,instrument_id,open,high,low,close,volume\n"
        "1704205800000000000,33,1,4916,4788.25,4789,4788,4788.5,10\n"
    )
    imported(path, symbol="ES", yes=False)
    assert stored("bars", "open", "high", "low", "close") == {
        "ES": [("2024-01-02T14:30:00Z", 4788.25, 4789.0, 4788.0, 4788.5)]
    }
