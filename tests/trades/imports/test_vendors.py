"""Files as vendors document them, made from our own rows: what comes out equals what went in."""

from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import orjson
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.core.management import CommandError, call_command

from store.datasets import BARS, DATASETS, QUOTES, TRADES
from store.instruments import Instrument
from store.protocol import ALL_TIME
from store.timestamps import DAY_NS
from tests.trades.imports import vendor_files as files
from tests.trades.imports.vendor_files import Row
from trades.imports import blocks, record_files, run, sort
from trades.stores import market_store

pytestmark = pytest.mark.system

TRADE = ("price", "volume", "conditions")
QUOTE = ("bid", "bid_size", "ask", "ask_size")
BAR = ("open", "high", "low", "close", "volume")


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch, store_path: Path) -> None:
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 700)
    for module in (sort, record_files):
        monkeypatch.setattr(module, "ROWS_AT_ONCE", 7)


def imported(*arguments: object, **options: Any) -> str:
    said = StringIO()
    call_command("import", *map(str, arguments), stdout=said, stderr=StringIO(), **{"yes": True, **options})
    return said.getvalue()


def stored(dataset: str, symbol: str) -> list[Row]:
    rows: list[Row] = market_store().log(DATASETS[dataset], symbol).at().rows(ALL_TIME).to_pylist()
    return rows


def check(dataset: str, rows: Sequence[Row], names: Sequence[str]) -> None:
    """Compare the stored rows with those that went in, symbol by symbol."""
    symbols = sorted({row["symbol"] for row in rows})
    assert sorted(market_store().symbols(DATASETS[dataset])) == symbols
    for symbol in symbols:
        of_one = [row for row in rows if row["symbol"] == symbol]
        found = [(row["timestamp"], *(row[name] for name in names)) for row in stored(dataset, symbol)]
        assert found == [(row["time"], *(row[name] for name in names)) for row in of_one]


def test_polygon_trades(tmp_path: Path):
    path = files.polygon_trades(tmp_path / "2025-01-02.csv.gz", files.trades(), corrections=[3])
    assert "79 rows; 79 stored" in imported(path, format="polygon")
    check("trades", [row for number, row in enumerate(files.trades()) if number != 3], (*TRADE, "sequence"))
    venues = [(row["exchange"], row["trade_id"]) for row in stored("trades", "AAPL")[:2]]
    assert venues == [("4-202", "1000"), ("10", "1001")]
    assert "79 already there" in imported(path, format="polygon")


def test_polygon_quotes(tmp_path: Path):
    imported(files.polygon_quotes(tmp_path / "q.csv.gz", files.quotes()), format="polygon")
    check("quotes", files.quotes(), (*QUOTE, "sequence"))


@pytest.mark.parametrize(("folder", "resolution"), [("minute_aggs_v1", "1m"), ("day_aggs_v1", "1d")])
def test_polygon_aggregates(tmp_path: Path, folder: str, resolution: str):
    (tmp_path / folder).mkdir()
    rows = files.bars() if resolution == "1m" else files.bars(count=1)
    imported(files.polygon_bars(tmp_path / folder / "2025-01-02.csv.gz", rows), format="polygon")
    if resolution == "1d":  # whichever instant of a date is sent, its midnight UTC is stored
        rows = [{**row, "time": row["time"] // DAY_NS * DAY_NS} for row in rows]
    check("bars", rows, (*BAR, "trade_count"))
    assert {row["resolution"] for row in stored("bars", "AAPL")} == {resolution}


def test_aggregates_outside_of_their_folder_have_the_resolution_of_their_distances(tmp_path: Path):
    said = imported(files.polygon_bars(tmp_path / "bars.csv", files.bars()))
    assert "guessed: --format polygon --resolution 1m" in said
    check("bars", files.bars(), BAR)
    assert {row["resolution"] for row in stored("bars", "AAPL")} == {"1m"}


@pytest.mark.parametrize("name", ["t.dbn", "t.dbn.zst", "raw.csv", "pretty.csv", "pretty.csv.zst"])
def test_databento_trades(tmp_path: Path, name: str):
    imported(files.dbn_file(tmp_path / name, "trades", files.trades()), format="databento")
    rows = [{**row, "conditions": "publisher_specific"} for row in files.trades()]
    check("trades", rows, (*TRADE, "sequence"))
    first, second = stored("trades", "AAPL")[:2]
    assert (first["received_at"] - first["timestamp"], first["exchange"]) == (9, "2")
    assert (first["buyer_is_maker"], second["buyer_is_maker"]) == (False, True)


@pytest.mark.parametrize("name", ["q.dbn", "raw.csv", "pretty.csv"])
@pytest.mark.parametrize("schema", ["mbp-1", "tbbo"])
def test_databento_quotes(tmp_path: Path, name: str, schema: str):
    imported(files.dbn_file(tmp_path / name, schema, files.quotes()), format="databento")
    check("quotes", files.quotes(), (*QUOTE, "sequence"))


@pytest.mark.parametrize("name", ["b.dbn", "raw.csv", "pretty.csv"])
def test_databento_bars(tmp_path: Path, name: str):
    imported(files.dbn_file(tmp_path / name, "ohlcv-1m", files.bars()), format="databento")
    check("bars", files.bars(), BAR)


@pytest.mark.parametrize(
    ("kind", "rows", "names"),
    [
        ("trades", files.trades(), TRADE),
        ("quotes", files.quotes(), QUOTE),
        ("bars", files.bars(), (*BAR, "trade_count", "vwap")),
    ],
)
@pytest.mark.parametrize("container", ["csv", "json"])
def test_alpaca(tmp_path: Path, kind: str, rows: list[Row], names: Sequence[str], container: str):
    write = files.alpaca_csv if container == "csv" else files.alpaca_json
    resolution = {"resolution": "1m"} if kind == "bars" else {}
    imported(write(tmp_path / f"x.{container}", kind, rows), format="alpaca", **resolution)
    check(kind, rows, names)


def test_parquet_with_a_mapping_of_columns(tmp_path: Path):
    rows = files.trades()
    frame = pd.DataFrame(
        {
            "ts": pd.to_datetime([row["time"] for row in rows], utc=True),
            "px": [row["price"] for row in rows],
            "volume": [int(row["volume"]) for row in rows],
            "symbol": [row["symbol"] for row in rows],
            "conditions": [[*row["codes"]] for row in rows],
        }
    )
    frame.to_parquet(tmp_path / "t.parquet", row_group_size=9)
    imported(tmp_path / "t.parquet", format="parquet", columns=["timestamp=ts,price=px"], conditions="cta")
    check("trades", rows, TRADE)


@pytest.mark.parametrize("kind", [pa.timestamp("us"), pa.timestamp("ns", "UTC"), pa.int64(), pa.string()])
def test_times_of_parquet(tmp_path: Path, kind: pa.DataType):
    times = pa.array([files.NINE_THIRTY], pa.int64())
    if pa.types.is_string(kind):
        times = pa.array(["2025-01-02T14:30:00Z"])
    elif pa.types.is_timestamp(kind):
        times = times.cast(pa.timestamp("ns")).cast(pa.timestamp(kind.unit)).cast(kind)
    else:
        times = pa.array([files.NINE_THIRTY // 10**6])
    table = pa.table({"timestamp": times, "price": [1.5], "volume": pa.array([3], pa.int32())})
    pq.write_table(table, tmp_path / "AAPL.parquet")
    imported(tmp_path, format="parquet")
    assert [row["timestamp"] for row in stored("trades", "AAPL")] == [files.NINE_THIRTY]


def test_only_the_symbols_that_are_asked_for_are_read(tmp_path: Path):
    path = files.polygon_trades(tmp_path / "t.csv", files.trades())
    assert "40 rows" in imported(path, format="polygon", symbols="brk.b,MSFT")
    assert market_store().symbols(TRADES) == ["BRK.B"]
    assert "80 rows; 40 stored; 40 already there" in imported(path, format="polygon")


@pytest.mark.parametrize("name", ["t.dbn.zst", "t.parquet", "t.csv.gz"])
def test_an_import_that_stopped_stores_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str):
    rows = [row for row in files.trades() if row["symbol"] == "AAPL"]
    path, vendor = tmp_path / name, "parquet" if name == "t.parquet" else "databento"
    if vendor == "parquet":
        values = {"timestamp": [row["time"] for row in rows], "symbol": ["AAPL"] * len(rows)}
        columns = {column: [row[column] for row in rows] for column in ("price", "volume")}
        pq.write_table(pa.table(values | columns), path, row_group_size=11)
    elif name == "t.csv.gz":
        vendor, path = "polygon", files.polygon_trades(path, rows)
    else:
        files.dbn_file(path, "trades", rows)
    append, stops = run.FileImport._append, [2]

    def stopped(self: Any, prepared: Any) -> None:
        if not stops[0]:
            raise CommandError("stopped")
        stops[0] -= 1
        append(self, prepared)

    monkeypatch.setattr(run.FileImport, "_append", stopped)
    with pytest.raises(CommandError, match="stopped"):
        imported(path, format=vendor)
    before = len(stored("trades", "AAPL"))
    assert 0 < before < 40
    stops[0] = 10**9
    assert f"40 rows; {40 - before} stored; {before} already there" in imported(path, format=vendor)
    check("trades", rows, ("price", "volume"))


def test_unknown_conditions_are_counted_and_may_be_refused(tmp_path: Path):
    header, line = "timestamp,symbol,price,volume,conditions", "2025-01-02T14:30:00Z,AAPL,1,1,"
    (tmp_path / "t.csv").write_text("\n".join([header, f"{line}@;J", f"{line}I", f"{line}J", ""]))
    assert "unknown conditions: J 2" in imported(tmp_path / "t.csv", conditions="cta")
    market_store().set_instrument(Instrument("AAPL", unknown_conditions="refuse"))
    with pytest.raises(CommandError, match=r"t\.csv, line 2, conditions: no meaning is known of J"):
        imported(tmp_path / "t.csv", conditions="cta")
    assert "2 bad" in imported(tmp_path / "t.csv", conditions="cta", skip_bad=True)


def test_a_file_is_translated_by_the_map_of_the_exchange(tmp_path: Path, settings: Any):
    settings.EXCHANGE_CONDITIONS = {"XNYS": "cta"}
    market_store().set_instrument(Instrument("IBM", exchange="XNYS"))
    lines = [
        "timestamp,symbol,price,volume,conditions",
        *(f"2025-01-02T14:30:00Z,{symbol},1,1,I" for symbol in ("IBM", "AAPL")),
    ]
    (tmp_path / "t.csv").write_text("\n".join([*lines, ""]))
    imported(tmp_path / "t.csv")
    assert [stored("trades", symbol)[0]["conditions"] for symbol in ("IBM", "AAPL")] == ["odd_lot", "I"]


def test_trades_of_a_file_of_quotes_are_read_if_asked_for(tmp_path: Path):
    path = files.dbn_file(tmp_path / "q.dbn", "mbp-1", files.quotes())
    assert "0 rows" in imported(path, format="databento", dataset="trades")
    assert market_store().symbols(QUOTES) == []


@pytest.mark.parametrize(
    ("name", "content", "options", "message"),
    [
        ("t.csv", b"a,b\n1,2\n", {"format": "polygon"}, "a,b are no layout of polygon"),
        ("t.csv", b"a,b\n1,2\n", {"format": "polygon", "columns": ["price=a"]}, "is fixed"),
        ("t.dbn", b"DBM", {"format": "databento"}, "not a DBN file"),
        ("t.dbn", b"DBN\x03\x02\x00\x00\x00xx", {"format": "databento"}, r"t\.dbn: "),
        ("t.json", b"{}", {"format": "alpaca"}, "not an answer of Alpaca"),
        ("t.json", b'{"bars":{"A":[1]}}', {"format": "alpaca"}, "not an answer of Alpaca"),
        ("t.parquet", b"PAR1", {"format": "parquet"}, r"t\.parquet: "),
        ("t.csv", b"timestamp\n", {"format": "parquet"}, r"names no \.parquet file"),
        ("t.csv", b"timestamp,price,volume\n", {"resolution": "1m"}, "trades have no resolution"),
        ("t.csv", b"timestamp\n", {"conditions": "cta", "dataset": "bars"}, "has no codes of bars"),
    ],
)
def test_a_file_that_is_not_what_it_should_be_is_refused(tmp_path: Path, name, content, options, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CommandError, match=message):
        imported(tmp_path / name, **options)
    assert market_store().symbols(BARS) == []


def test_a_dbn_file_that_is_cut_off_stores_what_is_whole(tmp_path: Path):
    path = files.dbn_file(
        tmp_path / "t.dbn", "trades", [row for row in files.trades() if row["symbol"] == "AAPL"]
    )
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(CommandError, match="the last record is cut off"):
        imported(path, format="databento")


STOCK_QUOTES = "ticker,ask_exchange,ask_price,ask_size,bid_exchange,bid_price,bid_size,conditions,indicators,participant_timestamp,sequence_number,sip_timestamp,tape,trf_timestamp"
AGGREGATES = "ticker,volume,open,close,high,low,window_start,transactions"
# Vendors' headers with values of theirs: pages of the flat files' datasets at massive.com and polygon.io, and what
# alpaca-py 0.44.0 writes.
DOCUMENTED: dict[str, tuple[str, str, str, str, str, Row]] = {
    "polygon stock trades": (
        "polygon", "trades_v1",
        ("ticker,conditions,correction,exchange,id,participant_timestamp,price,sequence_number,sip_timestamp,size,tape,trf_id,trf_timestamp\n"
        'A,"12,37",0,4,71675222901845,1789718400814766587,157.350000,3372,1789718400831008119,10.000000,1,202,1789718400830651291\n'),
        "trades", "A",
        {"timestamp": 1789718400831008119, "price": 157.35, "volume": 10.0, "trade_id": "71675222901845",
         "exchange": "4-202", "sequence": 3372, "conditions": "extended_hours;odd_lot"},
    ),
    "polygon option trades": (
        "polygon", "trades_v1",
        ("ticker,conditions,correction,exchange,participant_timestamp,price,sip_timestamp,size\n"
        "O:SPY230327P00390000,232,0,312,1678715620948000000,11.82,1678715620948000000,1\n"),
        "trades", "SPY230327P00390000",
        {"timestamp": 1678715620948000000, "price": 11.82, "volume": 1.0, "exchange": "312"},
    ),
    "polygon crypto trades": (
        "polygon", "trades_v1",
        "ticker,conditions,exchange,id,participant_timestamp,price,size\nX:BTC-USD,2,1,511004310,1697155200033000000,26755.63,0.00373861\n",
        "trades", "BTC-USD",
        {"timestamp": 1697155200033000000, "price": 26755.63, "volume": 0.00373861, "trade_id": "511004310"},
    ),
    "polygon stock quotes": (
        "polygon", "quotes_v1",
        f'{STOCK_QUOTES}\nA,19,150.5,2,19,0.0,0,"1,81",,1770800340065735000,324,1770800340065750000,1,0\n',
        "quotes", "A",
        {"timestamp": 1770800340065750000, "bid": None, "ask": 150.5, "ask_size": 2.0, "sequence": 324},
    ),
    "polygon option quotes": (
        "polygon", "quotes_v1",
        ("ticker,ask_exchange,ask_price,ask_size,bid_exchange,bid_price,bid_size,sequence_number,sip_timestamp\n"
        "O:SPY241220P00720000,309,326.77,1,309,321.77,1,81779,1680010200067217664\n"),
        "option_quotes", "SPY241220P00720000",
        {"timestamp": 1680010200067217664, "bid": 321.77, "ask": 326.77, "sequence": 81779},
    ),
    "polygon forex quotes": (
        "polygon", "quotes_v1",
        "ticker,ask_exchange,ask_price,bid_exchange,bid_price,participant_timestamp\nC:EUR-USD,48,1.0871,48,1.0869,1697155200033000000\n",
        "quotes", "EUR-USD",
        {"timestamp": 1697155200033000000, "bid": 1.0869, "ask": 1.0871, "bid_size": None},
    ),
    "polygon minutes": (
        "polygon", "minute_aggs_v1", f"{AGGREGATES}\nA,28038.875816,115.03,114.91,115.03,114.76,1779456600000000000,125\n",
        "bars", "A",
        {"timestamp": 1779456600000000000, "open": 115.03, "low": 114.76, "volume": 28038.875816, "trade_count": 125},
    ),
    "polygon futures' sessions": (
        "polygon",
        "session_aggs_v1",
        (
            "ticker,exchange,session_end_date,window_start,open,high,low,close,volume,dollar_volume,transactions\n"
            "ESZ5,2,2025-08-25,1756082400000,5,6,4,5.5,2,11,1\n"
        ),
        "bars",
        "ESZ5",
        {"timestamp": 1756080000000000000, "resolution": "1d", "high": 6.0, "trade_count": 1},
    ),
    "polygon option days": (
        "polygon", "day_aggs_v1", f"{AGGREGATES}\nO:SPY230327P00390000,200,11.82,9.83,11.82,8.09,1678680000000000000,62\n",
        "bars", "SPY230327P00390000",
        {"timestamp": 1678665600000000000, "resolution": "1d", "close": 9.83, "volume": 200.0},
    ),
    "alpaca trades": (
        "alpaca", "", ("symbol,timestamp,exchange,price,size,id,conditions,tape\n"
        "AAPL,2024-01-03 14:30:00.123456+00:00,V,184.2,100.0,52983525033960,\"['@', 'I']\",C\n"
        "AAPL,2024-01-03 14:30:01.000000+00:00,D,184.3,5.0,71675200000001,\"[' ', 'T']\",C\n"),
        "trades", "AAPL",
        {"timestamp": 1704292200123456000, "price": 184.2, "volume": 100.0, "trade_id": "52983525033960",
         "exchange": "V", "conditions": "regular;odd_lot"},
    ),
    "alpaca quotes": (
        "alpaca", "", ("symbol,timestamp,bid_price,bid_size,bid_exchange,ask_price,ask_size,ask_exchange,conditions,tape\n"
        "AAPL,2024-01-03 14:30:00.500+00:00,184.2,1.0,V,0.0,0.0,Q,['R'],C\n"),
        "quotes", "AAPL",
        {"timestamp": 1704292200500000000, "bid": 184.2, "ask": None, "conditions": "R"},
    ),
    "alpaca bars": (
        "alpaca", "", ("symbol,timestamp,open,high,low,close,volume,trade_count,vwap\n"
        "AAPL,2024-01-03 14:30:00+00:00,184.2,184.9,184.1,184.6,120394.0,1033.0,184.51\n"),
        "bars", "AAPL",
        {"timestamp": 1704292200000000000, "volume": 120394.0, "trade_count": 1033, "vwap": 184.51},
    ),
    "polygon aggregates of indices": (
        "polygon", "minute_aggs_v1",
        "ticker,open,close,high,low,window_start\nI:AAVE100,96.767,99.2175,100.4,95.5,1701756000000000000\n",
        "bars", "AAVE100",
        {"timestamp": 1701756000000000000, "open": 96.767, "close": 99.2175, "high": 100.4, "low": 95.5, "volume": None,
         "resolution": "1m"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DOCUMENTED)
def test_a_documented_file_is_read_as_documented(tmp_path: Path, name: str):
    file_format, folder, text, dataset, symbol, wanted = DOCUMENTED[name]
    (tmp_path / folder).mkdir(exist_ok=True)
    path = tmp_path / folder / "2025-01-02.csv"
    path.write_text(text)
    imported(path, format=file_format, **({"resolution": "1m"} if name == "alpaca bars" else {}))
    first = stored(dataset, symbol)[0]
    assert {column: first[column] for column in wanted} == wanted


def test_alpaca_s_blank_code_is_a_regular_sale_and_what_was_cancelled_is_left_out(tmp_path: Path):
    """Answers as https://docs.alpaca.markets/reference/stocktrades-1 has them."""
    row: Row = {"t": "2024-01-03T14:30:00.123456789Z", "x": "V", "p": 184.2, "s": 1, "z": "A"}
    changes: list[Row] = [
        {"i": 1, "c": [" "]}, {"i": 2, "c": [" ", "I"]}, {"i": 3, "c": ["T", " "]}, {"i": 4},
        {"i": 5, "c": [" "], "u": "canceled"}, {"i": 6, "c": [" "], "u": "incorrect"},
        {"i": 7, "c": [" "], "u": "corrected"},
    ]  # fmt: skip
    path = tmp_path / "trades.json"
    path.write_bytes(orjson.dumps({"trades": {"IBM": [row | each for each in changes]}}))
    imported(path, format="alpaca")
    found = {each["trade_id"]: each["conditions"] for each in stored("trades", "IBM")}
    regular = {
        "1": "regular",
        "2": "regular;odd_lot",
        "3": "extended_hours;regular",
        "4": None,
        "7": "regular",
    }
    assert found == regular
    assert stored("trades", "IBM")[0]["timestamp"] == 1704292200123456789
