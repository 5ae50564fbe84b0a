"""The symbols of imported files: columns, vendors' spellings, files' names, and what the summary says of them."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.core.management import CommandError

from tests.trades.imports.command import asked, imported, stored
from trades.imports import blocks
from trades.management import import_command

POLYGON = (
    "ticker,conditions,correction,exchange,id,participant_timestamp,price,sequence_number,sip_timestamp,size,tape,"
    "trf_id,trf_timestamp"
)
ALL = "timestamp=timestamp,price=price,volume=volume"
ROW = "2024-01-02T09:31:00Z,{symbol},10.5,100"


@pytest.fixture(autouse=True)
def data_folder(settings, store_path: Path, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path / "data"


def polygon(path: Path, *symbols: str) -> Path:
    """A flat file of trades with a row for each symbol, at prices 1, 2, …"""
    lines = [
        f"{symbol},,0,11,{number},1704292200000000000,{number},{number},1704292200000000000,100,1,0,0"
        for number, symbol in enumerate(symbols, start=1)
    ]
    path.write_text("\n".join([POLYGON, *lines, ""]))
    return path


def trades(path: Path, *symbols: str, column: str = "symbol") -> Path:
    lines = [ROW.format(symbol=symbol) for symbol in symbols]
    path.write_text("\n".join([f"timestamp,{column},price,volume", *lines, ""]))
    return path


@pytest.mark.parametrize(
    ("spelling", "symbol"),
    [
        ("TpC", "T.PRC"), ("BACp", "BAC.PR"), ("GLOr", "GLO.RT"), ("GLOrw", "GLO.RTWI"), ("GEVw", "GEV.WI"),
        ("XYZpAw", "XYZ.PRAWI"), ("XYZ.Aw", "XYZ.AWI"), ("XYZ.WSw", "XYZ.WSWI"), ("XYZpA.CV", "XYZ.PRACV"),
        ("BRK.B", "BRK.B"), ("tpc", "TPC"),
    ],
)  # fmt: skip
def test_polygon_s_small_letters_are_parts_of_names(tmp_path: Path, spelling: str, symbol: str):
    said = imported(polygon(tmp_path / "2024-01-03.csv", spelling), format="polygon")
    assert [*stored("trades")] == [symbol]
    assert (f"symbols by the vendor's rule: {spelling} is {symbol}" in said) is (
        spelling not in ("BRK.B", "tpc")
    )


def test_a_preferred_share_and_another_company_stay_apart(tmp_path: Path):
    path = polygon(tmp_path / "2024-01-03.csv", "TPC", "TPC", "TpC")
    said = imported(path, format="polygon")
    time = "2024-01-03T14:30:00Z"
    assert stored("trades", "price") == {"T.PRC": [(time, 3.0)], "TPC": [(time, 1.0), (time, 2.0)]}
    assert said.splitlines()[1:] == [
        f"  T.PRC: 1 rows, {time} to {time}",
        f"  TPC: 2 rows, {time} to {time}",
        "  symbols by the vendor's rule: TpC is T.PRC",
    ]
    again = imported(path, format="polygon")
    assert "0 stored; 3 already there" in again
    assert again.splitlines()[1:] == said.splitlines()[1:]


@pytest.mark.parametrize(
    ("option", "rows"), [({"symbols": "TpC"}, "1 rows"), ({"symbols": "T.PRC"}, "1 rows")]
)
def test_the_rule_holds_for_options_too(tmp_path: Path, option: dict[str, str], rows: str):
    assert rows in imported(polygon(tmp_path / "t.csv", "TPC", "TpC"), format="polygon", **option)
    assert [*stored("trades")] == ["T.PRC"]


@pytest.mark.parametrize("spelling", ["TpC", "stETH", "Aapl", "BRKb", "kPEPE-USD"])
def test_letters_that_no_rule_explains_are_refused_and_named(tmp_path: Path, spelling: str):
    path = trades(tmp_path / "t.csv", "AAPL", spelling)
    with pytest.raises(
        CommandError, match=rf"line 3, symbol: '{spelling}': capital and small letters"
    ) as refused:
        imported(path)
    assert "give --columns symbol= and --symbol" in str(refused.value)
    assert "polygon" not in str(refused.value)
    assert stored("trades") == {}
    assert "1 stored; 0 already there; 1 bad" in imported(path, skip_bad=True)
    assert [*stored("trades")] == ["AAPL"]


def test_polygon_s_rule_does_not_explain_everything(tmp_path: Path):
    with pytest.raises(CommandError, match="line 2, ticker: 'Tpc': capital and small letters"):
        imported(polygon(tmp_path / "t.csv", "Tpc"), format="polygon")


def test_small_letters_alone_become_capitals(tmp_path: Path):
    imported(trades(tmp_path / "t.csv", "aapl", "brk.b"))
    assert [*stored("trades")] == ["AAPL", "BRK.B"]


@pytest.mark.parametrize("options", [{"symbol": "TpC"}, {"symbols": "TpC"}, {}])
def test_letters_of_options_and_names_are_refused_likewise(tmp_path: Path, options: dict[str, str]):
    (tmp_path / "TpC.csv").write_text("timestamp,price,volume\n2024-01-02T09:31:00Z,1,1\n")
    with pytest.raises(CommandError, match="capital and small letters"):
        imported(tmp_path / "TpC.csv", **options)
    assert stored("trades") == {}


def test_letters_of_a_parquet_column_are_judged_likewise(tmp_path: Path):
    table = pa.table({"timestamp": [1704187860], "price": [1.0], "volume": [1.0], "Ticker": ["TpC"]})
    pq.write_table(table, tmp_path / "t.parquet")
    with pytest.raises(CommandError, match="line 1, Ticker: 'TpC': capital and small letters"):
        imported(tmp_path / "t.parquet", format="parquet")


@pytest.mark.parametrize(
    "column",
    ["symbol", "Symbol", "ticker", "<TICKER>", "sym", "Instrument", "security", "contract", "Ticker Symbol",
     "product_id", "trading-pair", "ISIN", "epic", "RIC", "coin", "asset", "instId", "stock", "symbol_id", "permno",
     "code", "Market"],
)  # fmt: skip
def test_a_column_is_a_symbol_by_its_name(tmp_path: Path, column: str):
    said = imported(trades(tmp_path / "2024-01-03.csv", "AAPL", "MSFT", column=column))
    assert [*stored("trades")] == ["AAPL", "MSFT"]
    assert "not read" not in said


def test_the_better_name_wins_and_equals_are_refused(tmp_path: Path):
    path = tmp_path / "t.csv"
    path.write_text(
        "timestamp,isin,security,Symbol,price,volume\n2024-01-02T09:31:00Z,US0378331005,APPLE,AAPL,1,1\n"
    )
    assert "columns not read: isin, security" in imported(path)
    assert [*stored("trades")] == ["AAPL"]
    path.write_text("timestamp,pair,instrument,price,volume\n2024-01-02T09:31:00Z,A,B,1,1\n")
    with pytest.raises(
        CommandError, match="pair or instrument; look at it with --columns symbol=pair --preview"
    ):
        imported(path)
    imported(path, columns=["symbol=instrument"])
    assert [*stored("trades")] == ["AAPL", "B"]


def test_a_column_with_an_unclear_name_counts_if_nothing_clearer_is_there(tmp_path: Path):
    path = tmp_path / "2024-01-03.csv"
    path.write_text("timestamp,market,pair,code,price,volume\n2024-01-02T09:31:00Z,XNAS,BTC-USD,F,1,1\n")
    assert "columns not read: market, code" in imported(path)
    assert [*stored("trades")] == ["BTC-USD"]
    path.write_text("timestamp,market,code,price,volume\n2024-01-02T09:31:00Z,XNAS,F,1,1\n")
    with pytest.raises(CommandError, match="give --symbol"):
        imported(path)


@pytest.mark.parametrize(
    ("column", "values"),
    [("code", ("7203",)), ("market", ("AAPL", "MSFT")), ("marketId", ("600519", "600036"))],
)
def test_a_column_with_an_unclear_name_is_shown_beside_the_file_s(
    tmp_path: Path, column: str, values: tuple[str, ...]
):
    path = trades(tmp_path / "AAPL.csv", *values, column=column)
    assert f"not read: {column}" in asked(path)
    assert stored("trades") == {}
    imported(path, columns=[f"symbol={column}"])
    assert [*stored("trades")] == sorted(values)
    imported(trades(tmp_path / "aapl.csv", "aapl", "AAPL", column=column))
    imported(trades(tmp_path / "BTC-USD.csv", "BTC/USD", column=column))
    assert [*stored("trades")] == sorted({*values, "AAPL", "BTC-USD"})


@pytest.mark.parametrize(
    ("values", "kind", "given"),
    [
        (("AAPL", "MSFT"), "csv", {}),
        (("aapl.us", "msft.us"), "parquet", {}),
        (("TPC", "TpC"), "csv", {"symbol": "AAPL"}),
        (("ESH4", "NQH4"), "parquet", {"symbol": "AAPL"}),
        (("BTC/USD", "ETH/USD"), "csv", {}),
        (("AAPL US", "BRK B"), "parquet", {}),
        (("A", "AA"), "csv", {"symbol": "AAPL"}),
    ],
)
def test_an_unread_column_that_tells_symbols_apart_is_asked_for_even_if_all_is_given(
    tmp_path: Path, given: dict[str, str], values: tuple[str, str], kind: str
):
    path = trades(tmp_path / "AAPL.csv", *values, column="Valoren")
    if kind == "parquet":
        table = pa.table(
            {"timestamp": [1704187860] * 2, "price": [1.0] * 2, "volume": [1.0] * 2, "Valoren": [*values]}
        )
        path = tmp_path / "AAPL.parquet"
        pq.write_table(table, path)
    all_given = {**given, "columns": [ALL], "format": kind}
    said = asked(path, **all_given)
    assert f"doubt: Valoren is not read and has several values for one symbol: {', '.join(values)}" in said
    assert stored("trades") == {}
    imported(path, **all_given)
    assert len(stored("trades")["AAPL"]) == 2


@pytest.mark.parametrize("column", ["traded_symbol", "exchangeTicker", "Name", "SYM_ROOT", "underlying"])
def test_the_name_of_an_unread_column_may_be_any(tmp_path: Path, column: str):
    said = asked(trades(tmp_path / "AAPL.csv", "AAPL", "MSFT", column=column), columns=[ALL])
    assert f"doubt: {column} is not read and has several values for one symbol: AAPL, MSFT" in said


def test_a_name_that_is_no_symbol_is_told_of_the_column_that_may_be_it(tmp_path: Path):
    with pytest.raises(CommandError, match="--columns symbol=Valoren"):
        imported(trades(tmp_path / "2024-01-03.csv", "AAPL", "MSFT", column="Valoren"))


def test_a_second_symbol_late_in_the_file_is_seen_before_anything_is_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 4096)
    path = trades(tmp_path / "AAPL.csv", *["AAPL"] * 1000, "MSFT", column="Valoren")
    assert "doubt: Valoren is not read and has several values for one symbol: AAPL, MSFT" in asked(path)
    assert stored("trades") == {}
    assert "1,000 rows; 1,000 stored" in imported(trades(path, *["AAPL"] * 1000, column="Valoren"))


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("exch", ("XNAS", "ARCX")), ("Trading Venue", ("NYSE", "BATS")), ("market_center", ("XNAS", "ARCX")),
        ("mic", ("XNAS", "ARCX")), ("EX", ("NQ", "AR")), ("tape", ("UTP", "CTA")),
        ("sale_condition", ("FT", "TI")), ("cond", ("@", "@TI")), ("TR_SCOND", ("F", "FI")), ("flags", ("LAST", "TOB")),
        ("side", ("buyer", "seller")), ("aggressor", ("BUYER", "SELLER")), ("tickDirection", ("PlusTick", "ZeroMinusTick")),
        ("maker", ("true", "false")), ("note", ("LATE", "HALT")),
        ("order_type", ("LIMIT", "MARKET")), ("session", ("PRE", "REG")), ("execId", ("T1A", "T2A")),
        ("zz", ("1e-05", "2.5M")), ("zz", ("7203", "7267")),
        ("local_time", ("T0931", "T0932")), ("currency", ("USD", "USD")),
    ],
)  # fmt: skip
def test_columns_that_tell_something_else_are_harmless(tmp_path: Path, column: str, values: tuple[str, str]):
    said = imported(trades(tmp_path / "AAPL.csv", *values, column=column), columns=[ALL], yes=False)
    assert "2 stored" in said
    assert f"columns not read: {column}" in said


def test_a_column_that_contradicts_the_given_symbol_is_refused(tmp_path: Path):
    path = trades(tmp_path / "t.csv", "MSFT", column="ticker")
    with pytest.raises(
        CommandError, match="ticker: MSFT is not the symbol AAPL that was given; give --columns symbol="
    ):
        imported(path, symbol="AAPL")
    imported(path, symbol="AAPL", columns=["symbol="])
    assert [*stored("trades")] == ["AAPL"]


@pytest.mark.parametrize(
    "name",
    ["2024-01-03", "20240103", "2024_01", "BTCUSDT-1m-2024-12", "BTCUSDT-trades-2024-12-01", "EURUSD_M1_202401",
     "DAT_ASCII_EURUSD_M1_2024", "AAPL_2024", "ibm_20131007_tick_trade", "aapl-1h-jan2024", "AAPL_5min",
     "aapl-daily", "trades", "AAPL 03-01-2024", "2024", "202401", "2024Q1", "2024-Q1", "2024_h1", "2024-W05", "Q1-2024",
     "JAN-2024", "AAPL-2024", "AAPL 2024", "AAPL-2024Q1", "export", "Data", "download", "TRADES", "bars", "ohlcv", "prices",
     "history", "daily", "minute", "export2", "data1", "mydata", "market_data", "export_AAPL", "AAPL-data", "aapl.history",
     "stock-prices", "AAPL_price",
     "part-0", "part-00000-c7a1", "chunk_3", "file1", "batch-7", "data_0", "0", "12", "part-r-00000", "000000_0",
     "000000000000"],
)  # fmt: skip
def test_a_name_that_tells_something_else_is_no_symbol(tmp_path: Path, name: str):
    path = tmp_path / f"{name}.csv"
    path.write_text("timestamp,price,volume\n2024-01-02T09:31:00Z,1,1\n")
    with pytest.raises(
        CommandError, match=r"no column has the symbol, and the file's name is not one .*--symbol"
    ):
        imported(path)
    assert stored("trades") == {}
    imported(path, symbol="AAPL")
    assert [*stored("trades")] == ["AAPL"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("TSLA_1m", r"\(1m is a resolution\); look at it with --symbol TSLA --preview"),
        ("tsla-1h", r"\(1h is a resolution\); look at it with --symbol TSLA --preview"),
        ("TSLA.1d", r"\(1d is a resolution\); give --symbol"),
    ],
)
def test_a_name_with_a_resolution_is_refused_for_that(tmp_path: Path, name: str, reason: str):
    path = tmp_path / f"{name}.csv"
    path.write_text("timestamp,price,volume\n2024-01-02T09:31:00Z,1,1\n")
    with pytest.raises(CommandError, match=reason):
        imported(path)


@pytest.mark.parametrize(
    "name",
    ["AAPL", "brk.b", "BTC-USD", "ESH24", "BTC-27DEC24", "600519.SS", "200012.SZ", "2020.HK", "EURIBOR-3M", "MIN",
     "MAR", "AAPL240119C00150000", "^GSPC", "1INCH-USDT", "ALL", "DAY", "NOW", "FILE", "OPEN", "TICK", "HOUR", "Q1", "DEC24",
     "DATA-USD", "2020-HK", "7203", "ESH2024", "PLAY", "STOCK"],
)  # fmt: skip
def test_a_name_that_is_a_symbol_is_one(tmp_path: Path, name: str):
    path = tmp_path / f"{name}.csv"
    path.write_text("timestamp,price,volume\n2024-01-02T09:31:00Z,1,1\n")
    assert f"  {name.upper()}: 1 rows, 2024-01-02T09:31:00Z to 2024-01-02T09:31:00Z" in imported(path)
    assert [*stored("trades")] == [name.upper()]


def test_a_folder_of_a_partition_names_the_symbol(tmp_path: Path):
    for folder in ("symbol=AAPL", "symbol=BTC-USD", "symbol=A%3DB"):
        path = tmp_path / "trades" / folder / "date=2024-01-02" / "part-0.parquet"
        path.parent.mkdir(parents=True)
        pq.write_table(pa.table({"timestamp": ["2024-01-02T09:31:00Z"], "price": [1.5], "volume": [1]}), path)
    for path in sorted(tmp_path.rglob("*.parquet")):
        assert "1 rows; 1 stored" in imported(path)
    assert sorted(stored("trades")) == ["A=B", "AAPL", "BTC-USD"]
    path = tmp_path / "symbol=OLD" / "now" / "MSFT.csv"
    path.parent.mkdir(parents=True)
    imported(trades(path, "", column="note"))
    assert "MSFT" in stored("trades")
    path = tmp_path / "symbol=TpC" / "part-0.csv"
    path.parent.mkdir()
    with pytest.raises(CommandError, match=r"the folder's name is not one .*capital and small letters"):
        imported(trades(path, "", column="note"))


def test_the_summary_lists_symbols_rows_and_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(import_command, "_SHOWN", 2)
    lines = [
        f"2024-01-0{day}T09:31:00Z,{symbol},{day},1" for day in (4, 2, 3) for symbol in ("C", "A", "B", "D")
    ]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["timestamp,symbol,price,volume", *lines, "x,A,1,1", ""]))
    given = {
        "columns": ["timestamp=timestamp,price=price,volume=volume,symbol=symbol"],
        "timezone": "UTC",
        "yes": False,
    }
    said = imported(path, skip_bad=True, **given).splitlines()
    assert said[0].endswith("t.csv: 13 rows; 12 stored; 0 already there; 1 bad")
    assert said[1:4] == [
        "  A: 3 rows, 2024-01-02T09:31:00Z to 2024-01-04T09:31:00Z",
        "  B: 3 rows, 2024-01-02T09:31:00Z to 2024-01-04T09:31:00Z",
        "  and 2 more symbols",
    ]
