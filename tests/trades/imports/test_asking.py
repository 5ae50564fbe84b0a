"""An import stores nothing that has not been shown: what is stored at once, what is asked, what is never stored."""

import csv
import shlex
from io import StringIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.core.management import CommandError, call_command

from tests.trades.imports.command import asked, imported, stored
from trades.imports import blocks, csv_file
from trades.imports.blocks import SourceFile
from trades.imports.formats import read_options
from trades.imports.layout import ReadOptions
from trades.management import import_command

TRADES = "timestamp=timestamp,price=price,volume=volume"
LOCAL = "timestamp,price,volume\n2024-01-02 09:31:00,10.5,100\n"
OHLC = [(10, 12, 9, 11), (11, 13, 10, 12), (12, 12.5, 11, 11.5), (11.5, 14, 11, 13)]


@pytest.fixture(autouse=True)
def data_folder(settings, store_path: Path, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path / "data"


def written(path: Path, *lines: str) -> Path:
    path.write_text("\n".join([*lines, ""]))
    return path


@pytest.mark.parametrize("answer", ["y", "n", ""])
def test_a_terminal_is_asked_once_per_kind_of_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
):
    for name in ("AAPL.csv", "MSFT.csv"):
        (tmp_path / name).write_text(LOCAL)
    questions: list[str] = []

    def answered(question: str) -> str:
        questions.append(question)
        return answer

    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", answered)
    if answer == "y":
        assert imported(tmp_path, yes=False).count("guessed: --timezone UTC    (") == 1
        assert [*stored("trades")] == ["AAPL", "MSFT"]
    else:
        with pytest.raises(CommandError, match="nothing was stored"):
            imported(tmp_path, yes=False)
        assert stored("trades") == {}
    assert [each.replace(str(tmp_path), "") for each in questions] == [
        "Store /AAPL.csv and 1 other file with the same columns? [y/N] "
    ]


def test_without_a_terminal_nothing_is_stored_not_even_what_is_certain(tmp_path: Path):
    (tmp_path / "AAPL.csv").write_text(LOCAL)
    written(
        tmp_path / "t.csv", "id,price,qty,quote_qty,time,is_buyer_maker", "7,10.5,100,1050,1704187860000,true"
    )
    output = StringIO()
    with pytest.raises(CommandError, match="nothing was stored: add --yes") as refused:
        call_command("import", str(tmp_path), symbol="X", stdout=output)
    assert refused.value.returncode == 1
    assert "t.csv" not in output.getvalue()
    assert stored("trades") == {}


def test_what_the_preview_calls_certain_is_stored_at_once(tmp_path: Path):
    (tmp_path / "AAPL.csv").write_text(LOCAL)
    said = asked(tmp_path / "AAPL.csv")
    assert "columns: timestamp is timestamp, price is price, volume is volume" in said
    command = said.partition("to store without a question: ")[2].split()
    assert "1 stored" in imported(tmp_path / "AAPL.csv", *command, yes=False)
    assert stored("trades", "price") == {"AAPL": [("2024-01-02T09:31:00Z", 10.5)]}


CLOCKS: dict[str, tuple[str, str, str]] = {
    "TAQ of another vendor": ("TradeDate,TimeM", "20240102,9:31:00.5", "TradeDate+TimeM"),
    "execution time": ("Trade Date,Execution Time", "01/16/2024,09:31:00 AM", "Trade Date+Execution Time"),
    "digits": ("date,ExchTime", "2024-01-02,093100", "date+ExchTime"),
    "digits without the first zero": ("date,hhmm", "20240102,931", "date+hhmm"),
    "digits with milliseconds": ("datum,uhrzeit", "20240102,93100123", "datum+uhrzeit"),
    "nanoseconds of the day": ("date,tradetime_ns", "20240102,34260000000500", "date+tradetime_ns"),
    "milliseconds of the day": ("date,ms_of_day", "20240102,34260500", "date+ms_of_day"),
    "seconds since midnight": ("date,seconds", "20240102,34260.5", "date+seconds"),
    "a time that is named as both are": ("Date,Timestamp", "20240102,09:31:00.001", "Date+Timestamp"),
}
INSTANTS = {
    "TAQ of another vendor": "2024-01-02T09:31:00.5Z",
    "execution time": "2024-01-16T09:31:00Z",
    "digits with milliseconds": "2024-01-02T09:31:00.123Z",
    "nanoseconds of the day": "2024-01-02T09:31:00.0000005Z",
    "milliseconds of the day": "2024-01-02T09:31:00.5Z",
    "seconds since midnight": "2024-01-02T09:31:00.5Z",
    "a time that is named as both are": "2024-01-02T09:31:00.001Z",
}


@pytest.mark.parametrize("case", CLOCKS)
def test_a_date_is_joined_with_the_column_whose_cells_are_times_of_day(tmp_path: Path, case: str):
    names, cells, source = CLOCKS[case]
    path = written(tmp_path / "X.csv", f"{names},price,volume", f"{cells},10.5,100")
    assert f"timestamp is {source}," in asked(path)
    imported(path)
    assert stored("trades", "price") == {"X": [(INSTANTS.get(case, "2024-01-02T09:31:00Z"), 10.5)]}


def test_two_columns_of_times_of_day_are_asked_for(tmp_path: Path):
    path = written(
        tmp_path / "X.csv", "date,sent,received,price,volume", "20240102,09:31:00,09:31:01,10.5,100"
    )
    with pytest.raises(
        CommandError, match=r"timestamp may be date\+sent or date\+received; look at it with --columns"
    ):
        imported(path)


@pytest.mark.parametrize("dataset", ["trades", "quotes"])
@pytest.mark.parametrize("cell", ["2024-01-02", "20240102", "02.01.2024", "2-Jan-2024"])
def test_dates_are_never_times_of_trades_or_quotes(tmp_path: Path, dataset: str, cell: str):
    names = "price,volume" if dataset == "trades" else "bid,ask"
    path = written(tmp_path / "X.csv", f"timestamp,{names}", f"{cell},1,2")
    given: dict[str, Any] = {"time_format": "%d.%m.%Y"} if cell.startswith("02.") else {}
    with pytest.raises(CommandError, match=f"dates without a time of day, which are no times of {dataset}"):
        imported(path, **given, dataset=dataset, timezone="UTC")
    assert stored(dataset) == {}


def test_midnights_beside_times_of_day_are_never_times_of_trades(tmp_path: Path):
    table = pa.table(
        {
            "when": pa.array([19_724 * 86_400] * 2, pa.timestamp("s")),
            "at": ["09:31:00.5", "09:31:01"],
            "price": [1.0, 2.0],
            "volume": [1.0, 1.0],
        }
    )
    pq.write_table(table, tmp_path / "X.parquet")
    columns = "timestamp=when,price=price,volume=volume"
    with pytest.raises(CommandError, match="when has dates without a time of day"):
        imported(tmp_path / "X.parquet", columns=columns, timezone="UTC")


KINDS = {
    "EventType": ("TRADE", "QUOTE BID", "TRADE"),
    "Msg": ("trade", "cancel", "trade"),
    "RecordType": ("Trade", "Ask", "trade"),
    "was": ("TRADE", "TRADE CORRECTION", "TRADE"),
}


@pytest.mark.parametrize("column", KINDS)
def test_rows_of_several_kinds_are_refused_until_some_are_chosen(tmp_path: Path, column: str):
    first, other, last = KINDS[column]
    rows = [
        f"2024-01-02T09:31:0{place}Z,{kind},{place + 1},1" for place, kind in enumerate((first, other, last))
    ]
    path = written(tmp_path / "X.csv", f"timestamp,{column},price,volume", *rows)
    with pytest.raises(
        CommandError, match=f"{column} tells rows of several kinds apart.*look at it with --rows"
    ):
        imported(path)
    assert stored("trades") == {}
    imported(path, "--rows", f"{column}={first},{last}")
    assert [price for _, price in stored("trades", "price")["X"]] == [1.0, 3.0]


def test_a_side_is_no_kind_of_row(tmp_path: Path):
    rows = ["2024-01-02T09:31:00Z,BID,1,1", "2024-01-02T09:31:01Z,ASK,2,1"]
    path = written(tmp_path / "X.csv", "timestamp,side,price,volume", *rows)
    assert "2 stored" in imported(path, columns=TRADES, yes=False)


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("Delivery Date", ("202403", "202406")), ("expiry", ("2024-03-15", "2024-06-21")), ("SERIES", ("EQ", "BE")),
        ("Board", ("TQBR", "SMAL")), ("share class", ("A", "B")), ("month", ("H4", "M4")), ("Currency", ("USD", "EUR")),
        ("Laufzeit", ("MRZ24", "JUN24")), ("strike", ("100", "105")),
    ],
)  # fmt: skip
def test_instruments_of_one_symbol_are_asked_for_and_can_be_told_apart(
    tmp_path: Path, column: str, values: tuple[str, str]
):
    rows = [f"2024-01-02T09:31:0{place}Z,ES,{value},{place + 1},1" for place, value in enumerate(values * 2)]
    path = written(tmp_path / "t.csv", f"timestamp,symbol,{column},price,volume", *rows)
    given = {"columns": f"{TRADES},symbol=symbol"}
    said = asked(path, **given)
    assert f"doubt: {column} is not read and has several values for one symbol: {', '.join(values)}" in said
    assert said.index(f"not read: {column} (it tells rows of one symbol apart)")
    imported(path, **given, rows=[f"{column}={values[1]}"], symbol="ES", yes=False)
    assert [price for _, price in stored("trades", "price")["ES"]] == [2.0, 4.0]


def test_symbols_are_joined_with_a_point(tmp_path: Path):
    rows = [
        "2024-01-02T09:31:00Z,BRK,B,1,1",
        "2024-01-02T09:31:00Z,BRK,A,2,1",
        "2024-01-02T09:31:00Z,IBM,,3,1",
    ]
    path = written(tmp_path / "t.csv", "timestamp,root,suffix,price,volume", *rows)
    imported(path, columns=f"{TRADES},symbol=root+suffix", yes=False)
    prices = {symbol: rows[0][1] for symbol, rows in stored("trades", "price").items()}
    assert prices == {"BRK.A": 2.0, "BRK.B": 1.0, "IBM": 3.0}


def test_two_bars_of_one_time_are_never_stored(tmp_path: Path):
    rows = ["2024-01-02,EQ,1,1,1,1,1", "2024-01-02,BE,2,2,2,2,1"]
    path = written(tmp_path / "X.csv", "timestamp,kind,open,high,low,close,volume", *rows)
    with pytest.raises(
        CommandError, match=r"two bars of X .* 2024-01-02.*differ in kind; look at it with --rows"
    ):
        imported(path, resolution="1d", skip_bad=True)
    assert stored("bars") == {}


def test_two_bars_of_one_time_amid_a_large_file_are_a_bad_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 1024)
    monkeypatch.setattr(csv_file, "_TAIL_BYTES", 1024)
    rows = [f"{1704187800 + 60 * place},1,1,1,1,{place}" for place in range(400)]
    path = written(
        tmp_path / "X.csv", "timestamp,open,high,low,close,volume", *rows[:201], rows[200] + "7", *rows[201:]
    )
    with pytest.raises(CommandError, match=r"X.csv, line 203, timestamp: .*give --skip-bad"):
        imported(path, resolution="1m")
    assert "1 bad" in imported(path, resolution="1m", skip_bad=True)
    assert len(stored("bars")["X"]) == 400


@pytest.mark.parametrize("names", ["", "stamp,FirstPx,HiPx,LoPx,LastPx,Units", "stamp,a,b,c,d,e"])
def test_six_numbers_of_which_four_are_alike_are_bars(tmp_path: Path, names: str):
    lines = [
        f"{1704187800 + 60 * place},{','.join(map(str, each))},{7 + place}" for place, each in enumerate(OHLC)
    ]
    given = {"columns": "timestamp=stamp"} if names else {}
    path = written(tmp_path / "X.csv", *([names.replace("stamp", "timestamp")] if names else []), *lines)
    said = asked(path)
    assert "bars" in said.splitlines()[0], given
    imported(path)
    found = stored("bars", "open", "high", "low", "close", "volume")["X"]
    assert found[0] == ("2024-01-02T09:30:00Z", 10.0, 12.0, 9.0, 11.0, 7.0)
    assert stored("trades") == {}


def test_a_night_before_its_day_within_one_date_is_asked_for(tmp_path: Path):
    days = [(21, 0), (23, 30), (9, 0), (14, 30)]
    rows = [f"2024031{date},{hour:02}:{minute:02}:00,1,1" for date in (1, 2) for hour, minute in days]
    path = written(tmp_path / "X.csv", "tag,zeit,kurs,menge", *rows)
    given = {"columns": "timestamp=tag+zeit,price=kurs,volume=menge", "timezone": "Asia/Shanghai"}
    assert "doubt: times of day jump back within a date" in asked(path, **given)
    path = written(tmp_path / "X.csv", "tag,zeit,kurs,menge", *reversed([*rows[2:4], *rows[6:]]))
    assert "4 stored" in imported(path, **given, yes=False)


def test_no_row_that_can_be_read_is_named_not_guessed_around(tmp_path: Path):
    path = written(tmp_path / "X.csv", "timestamp,open,high,low,close,volume", "yesterday,1,1,1,1,1")
    with pytest.raises(
        CommandError, match=r"no row can be read: .*line 2, timestamp: not a time.*'yesterday'"
    ):
        imported(path)


def test_names_of_files_are_decoded(tmp_path: Path):
    written(tmp_path / "BTC%3AUSD.csv", "timestamp,price,volume", "2024-01-02T09:31:00Z,1,1")
    imported(tmp_path / "BTC%3AUSD.csv")
    assert [*stored("trades")] == ["BTC:USD"]


def test_unread_lists_and_records_are_named_and_not_shown(tmp_path: Path):
    table = pa.table(
        {
            "timestamp": pa.array([1_704_187_860, 1_704_187_861], pa.timestamp("s", "UTC")),
            "price": [1.0, 2.0],
            "volume": [1.0, 1.0],
            "tags": [["a", "b"], ["c"]],
            "more": [{"a": 1}, {"a": 2}],
            "venue": ["N", "Q"],
        }
    )
    pq.write_table(table, tmp_path / "X.parquet")
    shown = imported(tmp_path / "X.parquet", preview=True)
    assert [line.strip() for line in shown.splitlines() if "not read" in line] == [
        "not read: tags:", "not read: more:", "not read: venue: N, Q",
    ]  # fmt: skip
    assert "2 stored" in imported(tmp_path / "X.parquet")


@pytest.mark.parametrize("kind", ["", "TRADE, ODD LOT", 'say "x"', '"x"', "a"])
def test_the_rows_that_a_refusal_names_can_be_read(tmp_path: Path, kind: str):
    rows = [["2024-01-02", kind, "1", "1", "1", "1", "1"], ["2024-01-02", "BE", "2", "2", "2", "2", "1"]]
    with (tmp_path / "X.csv").open("w") as file:
        csv.writer(file).writerows([["timestamp", "kind", "open", "high", "low", "close", "volume"], *rows])
    with pytest.raises(CommandError, match="differ in kind") as refused:
        imported(tmp_path / "X.csv", resolution="1d")
    words = shlex.split(str(refused.value).partition("look at it with ")[2].partition(" --preview")[0])
    imported(tmp_path / "X.csv", *words, resolution="1d")
    assert stored("bars", "open") == {"X": [("2024-01-02T00:00:00Z", 1.0)]}


def test_names_with_commas_are_printed_as_they_are_read(tmp_path: Path):
    lines = ['timestamp,"Price, USD",volume,"kind, a"', "2024-01-02T09:31:00Z,1,1,x"]
    path = written(tmp_path / "X.csv", *lines)
    said = asked(path, columns='"price=Price, USD"', rows=["kind, a=x"])
    words = shlex.split(said.partition("to store without a question: ")[2])
    assert "1 stored" in imported(path, *words, yes=False)


def test_an_option_that_leaves_no_row_is_refused(tmp_path: Path):
    path = written(tmp_path / "X.csv", "timestamp,kind,price,volume", "2024-01-02T09:31:00Z,TRADE,1,1")
    with pytest.raises(CommandError, match=r"X\.csv: --rows leaves no row; kind has TRADE$"):
        imported(path, "--rows", "kind=TRADES")
    path = written(tmp_path / "Y.csv", "timestamp,kind,price,volume")
    assert "0 rows" in imported(path, "--rows", "kind=TRADE")


def test_a_yes_is_for_the_files_that_were_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 64)
    monkeypatch.setattr(csv_file, "_TAIL_BYTES", 64)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda _: "y")
    (tmp_path / "AAPL.csv").write_text(LOCAL)
    times = [f"2024-01-02T09:31:{second}Z" for second in range(10, 30)]
    rows = [f"{each},1,1" for each in (*times[:10], "2124-01-02T09:31:20Z", *times[10:])]
    written(tmp_path / "MSFT.csv", "timestamp,price,volume", *rows)
    with pytest.raises(CommandError, match="a time that is yet to come, 2124-01-02T09:31:20Z"):
        imported(tmp_path, yes=False, columns=TRADES)


def test_what_is_guessed_of_a_file_is_guessed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "AAPL.csv").write_text(LOCAL)
    paths: list[Path] = []

    def counted(file: SourceFile, *arguments: Any, **terms: Any) -> ReadOptions:
        paths.append(file.path)
        return read_options(file, *arguments, **terms)

    monkeypatch.setattr(import_command, "read_options", counted)
    imported(tmp_path)
    assert paths == [tmp_path / "AAPL.csv"]


PARTS_OF_TIMES = {"Date,Hour,Minute,Second": "2024-01-15,9,30,1", "Date,ms": "2024-01-15,500"}


@pytest.mark.parametrize("names", PARTS_OF_TIMES)
def test_parts_of_a_time_of_day_are_no_time_of_day(tmp_path: Path, names: str):
    path = written(tmp_path / "X.csv", f"{names},Price,Qty", f"{PARTS_OF_TIMES[names]},1,1")
    with pytest.raises(CommandError, match="Date has dates without a time of day"):
        imported(path)


@pytest.mark.parametrize(
    "clock", ["T00:00:00Z", " 00:00:00", " 00:00:00+09:00", "T00:00:00.000 America/New_York"]
)
def test_trades_that_are_all_written_at_midnight_are_never_stored(tmp_path: Path, clock: str):
    rows = [f"2024-01-{day}{clock},187.1,100" for day in (15, 15, 16)]
    path = written(tmp_path / "X.csv", "timestamp,price,volume", *rows)
    with pytest.raises(CommandError, match="timestamp has dates without a time of day"):
        imported(path)
    written(path, "timestamp,price,volume", *rows, "2024-01-16T09:30:00Z,1,1")
    assert "4 stored" in imported(path)


@pytest.mark.parametrize("rows", [["2024-01-15T00:00:00Z"], ["1705276800", "1705363200"]])
def test_midnights_that_may_be_times_are_asked_for(tmp_path: Path, rows: list[str]):
    path = written(tmp_path / "X.csv", "timestamp,price,volume", *(f"{each},1,1" for each in rows))
    assert "doubt: all times are midnights" in asked(path, columns=TRADES)


def test_of_rows_that_cannot_be_read_the_first_is_named(tmp_path: Path):
    path = written(tmp_path / "X.csv", "timestamp,seen,price,volume", "foo,09:31:00,1,1", "bar,09:32:00,1,1")
    with pytest.raises(CommandError, match=r"line 2, timestamp: not a time.*'foo'"):
        imported(path)


def test_an_option_of_the_name_of_a_column_does_not_name_the_column(tmp_path: Path):
    path = written(tmp_path / "a.csv", "timestamp,sym,price,volume", "2024-01-02T09:31:00Z,AAPL,1,1")
    assert "--columns timestamp=timestamp,price=price,volume=volume,symbol=sym" in asked(
        path, columns=TRADES, symbol="AAPL"
    )


def test_notes_at_the_end_are_named_whatever_comes_after(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 64)
    rows = [f"2024-01-02T09:31:{second}Z,1,1" for second in range(10, 14)]
    path = written(
        tmp_path / "X.csv", "timestamp,price,volume", *rows, "Downloaded from Example.com", *[""] * 90
    )
    assert "notes at the end, which are no rows: Downloaded from Example.com" in imported(path)
