"""Files without names of columns, and times in several columns: nothing is guessed that the cells do not tell."""

from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError

from tests.trades.imports.command import asked, imported, stored

OHLCV = "187.15,187.40,186.90,187.10,150000"
BAR_COLUMNS = "open=3,high=4,low=5,close=6,volume=7"


@pytest.fixture(autouse=True)
def data_folder(settings, store_path: Path, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path / "data"


def written(path: Path, *lines: str) -> Path:
    path.write_text("\n".join([*lines, ""]))
    return path


POSITIONS = {
    "bid, ask and sizes": ["1704153600,187.10,187.20,3,2", "1704153601,187.11,187.21,3,2"],
    "a volume near the prices": [f"2024-01-02 09:3{minute},187.15,187.40,186.90,187.10,{v}" for minute, v in enumerate((150, 190, 170))],
    "the volume first": ["2024-01-02 09:30:00,100,187.15", "2024-01-02 09:30:01,50,187.16"],
    "price and volume": ["2024-01-02 09:30:00,187.15,100", "2024-01-02 09:30:01,187.16,50"],
}  # fmt: skip


@pytest.mark.parametrize("case", POSITIONS)
@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({}, ", and --dataset trades, quotes or bars"),
        ({"dataset": "trades"}, " of price and volume"),
        ({"dataset": "quotes"}, " of bid and ask"),
        ({"dataset": "bars"}, " of open and high and low and close"),
        ({"dataset": "trades", "columns": "timestamp=1"}, " of price and volume"),
    ],
)
def test_no_position_is_suggested_for_columns_without_names(
    tmp_path: Path, case: str, given: dict[str, Any], missing: str
):
    path = written(tmp_path / "AAPL.csv", *POSITIONS[case])
    shown = ", ".join(f"{place} is {cell}" for place, cell in enumerate(POSITIONS[case][0].split(","), 1))
    with pytest.raises(CommandError) as refused:
        imported(path, **given)
    expected = f"{path}: no line names the columns ({shown}); give --columns with the positions{missing}"
    assert str(refused.value) == expected


@pytest.mark.parametrize(
    ("names", "cells"),
    [
        ("", ["20240102,0930", "20240102,0931", "20240102,0932"]),
        ("", ["20240102,1030", "20240102,1031", "20240102,1032"]),
        ("", ["2024-01-02,093000", "2024-01-02,093100", "2024-01-02,093200"]),
        ("", ["2024-01-02,09.30.00", "2024-01-02,09.31.00", "2024-01-02,09.32.00"]),
        ("date,x1", ["2024-01-02,09.30.00", "2024-01-02,09.31.00", "2024-01-02,09.32.00"]),
    ],
)
def test_a_date_and_the_time_of_day_beside_it_are_joined(tmp_path: Path, names: str, cells: list[str]):
    header = [f"{names},open,high,low,close,volume"] if names else []
    path = written(tmp_path / "AAPL.csv", *header, *(f"{each},{OHLCV}" for each in cells))
    assert f"timestamp is {names.replace(',', '+') or '1+2'}," in asked(path)
    imported(path)
    hour = "10" if cells[0].endswith("1030") else "09"
    assert stored("bars", "resolution", "close") == {
        "AAPL": [(f"2024-01-02T{hour}:3{minute}:00Z", "1m", 187.1) for minute in range(3)]
    }


@pytest.mark.parametrize("prices", [OHLCV, "187.16,187.41,186.91,187.11,160000"])
def test_minutes_are_no_bars_of_days(tmp_path: Path, prices: str):
    lines = [
        f"20240102,093{minute},{each}" for minute, each in enumerate((OHLCV, prices, OHLCV.replace("0000", "1000")))
    ]  # fmt: skip
    path = written(tmp_path / "AAPL.csv", *lines)
    columns = f"timestamp=1,{BAR_COLUMNS}"
    with pytest.raises(CommandError, match="several bars of one symbol have one time, which tells no resolu"):
        imported(path, columns=columns)
    with pytest.raises(
        CommandError, match=r"differ in 2; look at it with --columns timestamp=1\+2 --preview"
    ):
        imported(path, columns=columns, resolution="1d")
    assert stored("bars") == {}


CTP = ["TradingDay,UpdateTime,UpdateMillisec,LastPrice,Volume", "20240311,21:00:00,500,3700,10", "20240311,21:00:01,5,3701,7"]  # fmt: skip


def test_milliseconds_beside_a_time_of_day_are_joined(tmp_path: Path):
    path = written(tmp_path / "RB2405.csv", *CTP)
    assert "timestamp is TradingDay+UpdateTime+UpdateMillisec," in asked(path)
    imported(path)
    assert stored("trades", "price") == {
        "RB2405": [("2024-03-11T21:00:00.5Z", 3700.0), ("2024-03-11T21:00:01.005Z", 3701.0)]
    }


def test_milliseconds_that_are_not_read_are_asked_for(tmp_path: Path):
    path = written(tmp_path / "RB2405.csv", *CTP)
    columns = "timestamp=TradingDay+UpdateTime,price=LastPrice,volume=Volume"
    given: dict[str, Any] = {"dataset": "trades", "timezone": "Asia/Shanghai", "columns": columns}
    said = asked(path, **given)
    assert "doubt: UpdateMillisec is not read, and seems to have the parts of seconds of the times" in said
    assert "not read: UpdateMillisec (its cells are parts of seconds): 500, 5" in said


@pytest.mark.parametrize(
    ("name", "cells"), [("terms", ("5", "7")), ("latency_ms", ("5", "7")), ("ms", ("0", "0"))]
)
def test_other_small_numbers_are_no_parts_of_seconds(tmp_path: Path, name: str, cells: tuple[str, str]):
    rows = [f"2024-01-02T14:30:0{place}Z,{cell},1,1" for place, cell in enumerate(cells)]
    path = written(tmp_path / "X.csv", f"timestamp,{name},price,volume", *rows)
    assert "2 stored" in imported(path, columns="timestamp=timestamp,price=price,volume=volume", yes=False)


def test_an_epoch_needs_no_time_of_day_beside_it(tmp_path: Path):
    rows = [f"1705276800,09:30:0{second},187.1,100" for second in range(2)]
    path = written(tmp_path / "X.csv", "epoch,Uhr,price,volume", *rows)
    with pytest.raises(CommandError, match="epoch has dates without a time of day") as refused:
        imported(path)
    assert "look at it" not in str(refused.value)
