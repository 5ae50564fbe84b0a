"""`manage.py import --format csv`: what it takes, what it refuses, and what it says."""

import gzip
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from django.core.management import CommandError, call_command

from store.datasets import DATASETS, TRADES
from store.protocol import ALL_TIME
from store.timestamps import parse_timestamp
from tests.trades.imports.files import HEADER, real_ticks, stored_rows, written
from trades.stores import market_store

VENDOR = {
    "symbol": "IBM",
    "timezone": "America/New_York",
    "date": "2013-10-07",
    "columns": "timestamp=ms_since_midnight_exch,price=price_x10000,volume=size,conditions=sale_condition_hex",
    "scale": "price=0.0001",
}
NOON = parse_timestamp("2025-01-02T12:00:00Z")
SECOND = 10**9


@pytest.fixture(autouse=True)
def data_folder(settings, store_path: Path, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path / "data"


def run(*patterns: object, **options: object) -> str:
    output, errors = StringIO(), StringIO()
    call_command(
        "import",
        *map(str, patterns),
        stdout=output,
        stderr=errors,
        **({"format": "csv", "yes": True} | options),
    )
    return output.getvalue() + errors.getvalue()


def test_a_day_of_real_ticks_is_stored_whole_and_once():
    if not real_ticks().exists():
        pytest.skip("the real trades are not on this machine (setting REAL_DATA)")
    assert "24,293 stored; 0 already there" in run(real_ticks(), **VENDOR)
    assert "0 stored; 24,293 already there" in run(real_ticks(), **VENDOR)
    frame = pd.read_csv(real_ticks(), dtype={"sale_condition_hex": str})
    local = pd.Timestamp("2013-10-07") + pd.to_timedelta(frame["ms_since_midnight_exch"], unit="ms")
    rows = market_store().log(TRADES, "IBM").at().rows(ALL_TIME)
    expected = local.dt.tz_localize("America/New_York").dt.tz_convert("UTC").dt.as_unit("ns").astype("int64")
    assert rows.column("timestamp").to_pylist() == expected.tolist()
    assert rows.column("price").to_pylist() == (frame["price_x10000"] / 10_000).tolist()
    assert rows.column("volume").to_pylist() == frame["size"].tolist()
    assert rows.column("conditions").to_pylist() == frame["sale_condition_hex"].tolist()


@pytest.mark.parametrize(
    "cell",
    ["2025-01-02T12:00:00Z", "2025-01-02 13:00:00.000+01:00", "2025-01-02 12:00", "20250102 12:00",
     "1735819200", "1735819200000", "1735819200000000", "1735819200000000000"],
)  # fmt: skip
def test_times_of_every_style_are_the_same_instant(tmp_path: Path, cell: str):
    run(written(tmp_path / "AAPL.csv", [f"{cell},10,1"]))
    assert stored_rows("AAPL") == {(NOON, 10.0, 1.0): 1}


def test_styles_may_change_within_a_file(tmp_path: Path):
    cells = ["2025-01-02T12:00:00Z", "2025-01-02 12:00:01", "1735819202", "2025-01-02T13:00:03+01:00"]
    run(written(tmp_path / "AAPL.csv", [f"{cell},10,1" for cell in cells]))
    assert sorted(stored_rows("AAPL")) == [(NOON + place * SECOND, 10.0, 1.0) for place in range(4)]


@pytest.mark.parametrize(
    ("cell", "ambiguous", "expected"),
    [
        ("2013-07-01 12:00:00", "infer", "2013-07-01T16:00:00Z"),
        ("2013-01-01 12:00:00", "infer", "2013-01-01T17:00:00Z"),
        ("2013-11-03 01:30:00", "earliest", "2013-11-03T05:30:00Z"),
        ("2013-11-03 01:30:00", "latest", "2013-11-03T06:30:00Z"),
    ],
)
def test_a_time_without_offset_is_of_the_given_zone(tmp_path: Path, cell: str, ambiguous: str, expected: str):
    run(written(tmp_path / "A.csv", [f"{cell},1,1"]), timezone="America/New_York", ambiguous=ambiguous)
    assert list(stored_rows("A")) == [(parse_timestamp(expected), 1.0, 1.0)]


@pytest.mark.parametrize(
    ("cell", "options", "said"),
    [
        ("2013-11-03 01:30:00", {"timezone": "America/New_York"}, "twice .* give --ambiguous"),
        (
            "2013-10-07T14:30:00Z",
            {"date": "2013-10-07"},
            "milliseconds since midnight, which --date asks for",
        ),
        ("yesterday", {}, "not a time: ISO 8601"),
        ("yesterday", {"time_format": "%d.%m.%Y %H:%M"}, "not a time as %d.%m.%Y %H:%M"),
    ],
)
def test_a_time_that_cannot_be_read_is_told_what_would_help(
    tmp_path: Path, cell: str, options: dict[str, str], said: str
):
    with pytest.raises(CommandError, match=said):
        run(written(tmp_path / "A.csv", [f"{cell},1,1"]), **options)


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ("2013-03-10 02:30:00,1,1", "timestamp"),  # does not exist there
        ("2013-11-03 01:30:00,1,1", "timestamp"),  # exists twice
        ("yesterday,1,1", "timestamp"),
        ("3000-01-01,1,1", "timestamp"),
        ("173581920,1,1", "timestamp"),
        (",1,1", "timestamp"),
        ("2013-07-01,0,1", "price"),
        ("2013-07-01,nan,1", "price"),
        ("2013-07-01,,1", "price"),
        ("2013-07-01,1,-1", "volume"),
        ("2013-07-01,1", None),
        ("2013-07-01,1,1,1", None),
        ('2013-07-01,1,"1', None),
    ],
)
def test_a_bad_row_is_named_and_can_be_skipped(tmp_path: Path, line: str, field: str | None):
    good = ["2013-07-01 12:00,1,1", "", "2013-07-01 12:01,2,2"]
    path = written(tmp_path / "A.csv", [*good, line, "2013-07-01 12:02,3,3"])
    where = f"{path}, line 5" + (f", {field}: " if field else ": ")
    with pytest.raises(CommandError) as refused:
        run(path, timezone="America/New_York")
    assert str(refused.value).startswith(where)
    assert market_store().symbols(TRADES) == []
    output = run(path, timezone="America/New_York", skip_bad=True)
    assert "4 rows; 3 stored; 0 already there; 1 bad" in output
    assert where in output
    assert [price for _, price, _ in sorted(stored_rows("A"))] == [1.0, 2.0, 3.0]


def test_an_id_with_other_values_is_a_bad_row(tmp_path: Path):
    lines = ["2025-01-02T12:00:00Z,1,1,x", "2025-01-02T12:00:01Z,1,1,y", "2025-01-02T12:00:00Z,2,1,x"]
    path = written(tmp_path / "A.csv", lines, header=f"{HEADER},trade_id")
    with pytest.raises(CommandError, match="line 4, trade_id"):
        run(path)
    assert "3 rows; 2 stored; 0 already there; 1 bad" in run(path, skip_bad=True)


def test_a_folder_has_a_file_per_symbol_also_compressed(tmp_path: Path):
    folder = tmp_path / "symbols"
    folder.mkdir()
    written(folder / "AAPL.csv", ["2025-01-02T12:00:00Z,1,1"])
    text = f"{HEADER}\n2025-01-02T12:00:00Z,2,1\n2025-01-02T12:00:01Z,3,1"
    (folder / "BRK.B.csv.gz").write_bytes(gzip.compress(text.encode()))
    (folder / "notes.txt").write_text("not a file of rows")
    (folder / "._AAPL.csv").write_bytes(b"\0what some systems leave beside a file")
    output = run(folder, tmp_path / "symbols" / "*.csv")
    assert output.count("rows;") == 2
    assert market_store().symbols(TRADES) == ["AAPL", "BRK.B"]
    assert sum(stored_rows("BRK.B").values()) == 2


def test_rows_of_several_symbols_are_grouped(tmp_path: Path):
    lines = [f"2025-01-0{day}T12:00:00Z,{symbol},{day},1" for day in (3, 2) for symbol in ("b", "A", "b")]
    run(written(tmp_path / "all.csv", lines, header="timestamp,symbol,price,volume"))
    assert sum(stored_rows("A").values()) == 2
    assert sorted(stored_rows("B").values()) == [2, 2]
    assert not list((tmp_path / "data" / "imports").glob("*.spool"))


def test_a_file_of_another_kind_is_no_symbol(tmp_path: Path):
    path = written(tmp_path / "x.log", ["2025-01-02T12:00:00Z,1,1"])
    with pytest.raises(CommandError, match=r"x\.log names no \.csv or \.csv\.gz file"):
        run(path)
    assert market_store().symbols(TRADES) == []


def test_a_bar_that_is_out_of_place_is_a_bad_row(tmp_path: Path):
    lines = ["2025-01-02T14:30:00Z,1,1,1,1,1", "2025-01-02T14:30:30Z,1,1,1,1,1"]
    path = written(tmp_path / "A.csv", lines, header="timestamp,open,high,low,close,volume")
    with pytest.raises(CommandError, match=r"A\.csv, line 3: timestamp must be the start of an interval"):
        run(path, dataset="bars", resolution="1m")
    assert "2 rows; 1 stored; 0 already there; 1 bad" in run(
        path, dataset="bars", resolution="1m", skip_bad=True
    )


def test_rows_of_another_symbol_than_the_given_one_are_bad(tmp_path: Path):
    path = written(
        tmp_path / "x.csv", ["2025-01-02T12:00:00Z,MSFT,1,1"], header="timestamp,symbol,price,volume"
    )
    with pytest.raises(CommandError, match="line 2, symbol: MSFT is not the symbol AAPL"):
        run(path, symbol="AAPL")
    assert "1 stored" in run(path, symbol="AAPL", columns="symbol=")


def test_prices_in_parts_are_divided_not_multiplied(tmp_path: Path):
    rng = np.random.default_rng(5)
    parts = rng.integers(1, 10**9, 2000)
    lines = [f"{1735819200 + place},{part},1" for place, part in enumerate(parts.tolist())]
    run(written(tmp_path / "A.csv", lines), scale="price=0.0001")
    prices = market_store().log(TRADES, "A").at().rows(ALL_TIME).column("price").to_pylist()
    assert prices == [float(f"{part // 10_000}.{part % 10_000:04d}") for part in parts.tolist()]


def test_an_option_may_be_given_twice_and_nothing_of_it_is_forgotten(tmp_path: Path):
    path = written(tmp_path / "A.csv", ["2025-01-02T12:00:00Z,15,20"], header="timestamp,px,size")
    arguments = ["--columns", "price=px", "--columns", "volume=size", "--scale", "price=0.1"]
    call_command("import", str(path), *arguments, "--scale", "volume=0.5", stdout=StringIO(), yes=True)
    assert stored_rows("A") == {(NOON, 1.5, 10.0): 1}


def test_bars_take_their_resolution_from_the_command(tmp_path: Path):
    path = written(tmp_path / "A.csv", ["2025-01-02,1,3,1,2,10"], "timestamp,open,high,low,close,volume")
    with pytest.raises(CommandError, match="look at it with --resolution 1d --preview"):
        run(path, dataset="bars")
    assert "1 stored" in run(path, dataset="bars", resolution="1d")
    assert market_store().log(DATASETS["bars"], "A").at().rows(ALL_TIME).column("resolution").to_pylist() == [
        "1d"
    ]
    assert market_store().symbols(TRADES) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"timezone": "Mars/Olympus"}, "no time zone"),
        ({"columns": "prize=px"}, "no column 'prize'"),
        ({"columns": "price=px"}, "there is no column 'px'"),
        ({"columns": "price"}, "is a list such as"),
        ({"scale": "price=0"}, "above 0"),
        ({"scale": "trade_id=10"}, "no numbers 'trade_id'"),
        ({"date": "yesterday"}, "yesterday"),
        ({"symbol": "../x"}, "a symbol is"),
        ({"resolution": "1m"}, "trades have no resolution"),
    ],
)
def test_options_that_mean_nothing_are_refused(tmp_path: Path, options: dict[str, str], message: str):
    with pytest.raises(CommandError, match=message):
        run(written(tmp_path / "A.csv", ["2025-01-02,1,1"]), **options)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("A.csv.gz", gzip.compress(b""), "A.csv.gz: is empty"),
        ("A.csv", b"timestamp,price\n", "do not tell whether the rows are trades"),
        ("A.csv", b"timestamp,price,volume,price\n", "twice"),
        ("a b  c.csv", b"timestamp,price,volume\n", "the file's name is not one"),
        ("A.csv.gz", b"not compressed", "are missing"),
        ("A.csv.gz", b"\x1f\x8bnot compressed", "A.csv.gz: "),
        (
            "A.csv.gz",
            gzip.compress(b"timestamp,price,volume\n2025-01-02,1,1\n" * 99, mtime=0)[:-9],
            "A.csv.gz: .* cut off",
        ),
        ("A.csv", b"timestamp,price,volume\n" + b"1" * 10**7, "A.csv: a line is longer"),
    ],
    ids=["empty", "no volume", "a column twice", "no symbol", "not gzip", "damaged gzip", "cut gzip", "long"],
)
def test_files_that_cannot_be_read_are_refused(tmp_path: Path, name: str, content: bytes, message: str):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CommandError, match=message):
        run(tmp_path / name)


def test_a_pattern_without_files_is_refused(tmp_path: Path):
    with pytest.raises(CommandError, match="names no"):
        run(tmp_path / "*.csv")


def test_option_quotes_of_what_is_no_option_are_refused(tmp_path: Path):
    path = tmp_path / "BADX.csv"
    path.write_text("timestamp,bid\n2025-01-02T12:00:00Z,1.5\n")
    with pytest.raises(CommandError, match=r"BADX is of the class equity: name it as the OCC does"):
        run(path, dataset="option_quotes")
    assert market_store().symbols(DATASETS["option_quotes"]) == []


def test_a_row_that_contradicts_itself_is_skipped_beside_one_with_a_bad_cell(tmp_path: Path):
    lines = ["2013-07-01,1d,-1,2,1,2,5", "2013-07-02,1d,1,1,2,1,5", "2013-07-03,1d,1,2,1,2,5"]
    path = written(tmp_path / "A.csv", lines, "timestamp,resolution,open,high,low,close,volume")
    said = run(path, dataset="bars", skip_bad=True)
    assert "line 2, open: " in said
    assert "line 3: open and close must lie between low and high" in said
    assert market_store().log(DATASETS["bars"], "A").at().rows(ALL_TIME).column("open").to_pylist() == [1.0]
    assert "1 stored" in said
