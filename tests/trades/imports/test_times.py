"""Times as files write them: with UTC at the end, or with the name of a time zone."""

from pathlib import Path

import pytest
from django.core.management import CommandError

from tests.trades.imports.command import imported, stored
from tests.trades.imports.files import written

NEXT_HALF_PAST_TWO = ["2024-01-02T14:30:00Z"]


@pytest.fixture(autouse=True)
def data_folder(settings, store_path: Path, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path / "data"


def trades(folder: Path, *times: str) -> Path:
    return written(folder / "X.csv", [f"{time},1,1" for time in times])


def times() -> list[object]:
    return [row[0] for row in stored("trades")["X"]]


@pytest.mark.parametrize(
    "time",
    ["2024-01-02 14:30:00 UTC", "2024-01-02 14:30:00 utc", "2024-01-02T14:30:00UTC", "2024-01-02 14:30:00  UTC",
     "2024-01-02 14:30:00 Z", "2024-01-02 14:30:00 GMT", "20240102 143000 UTC", "2024-01-02 14:30 UTC",
     "2024-01-02 14:30:00 +0000 UTC", "2024-01-02 09:30:00 -0500",
     "20240102 09:30:00 US/Eastern", "20240102 09:30:00 America/New_York", "20240102 23:30:00 Japan",
     "2024-01-02T09:30:00-05:00[America/New_York]", "2024-01-02 09:30:00 EST5EDT"],
)  # fmt: skip
def test_half_past_two(tmp_path: Path, time: str):
    imported(trades(tmp_path, time))
    assert times() == NEXT_HALF_PAST_TWO


def test_nine_digits_before_utc(tmp_path: Path):
    imported(trades(tmp_path, "2024-01-02 14:30:00.123456789 UTC"))
    assert times() == ["2024-01-02T14:30:00.123456789Z"]


def test_a_zone_in_all_cells_is_the_guessed_one(tmp_path: Path):
    rows = [f"20240{month}15 09:30:00 US/Eastern" for month in (1, 7)]
    said = imported(trades(tmp_path, *rows), preview=True)
    assert "time zone US/Eastern" in said
    imported(trades(tmp_path, *rows))
    assert times() == ["2024-01-15T14:30:00Z", "2024-07-15T13:30:00Z"]


def test_times_of_a_format_may_name_a_zone(tmp_path: Path):
    imported(trades(tmp_path, "01/15/2024 09:30:00 US/Eastern", "02/15/2024 09:30:00 US/Eastern"))
    assert times() == ["2024-01-15T14:30:00Z", "2024-02-15T14:30:00Z"]


def test_each_row_has_the_zone_that_it_names(tmp_path: Path):
    imported(trades(tmp_path, "20240102 09:30:00 US/Eastern", "20240102 15:31:00 Europe/Berlin"))
    assert times() == ["2024-01-02T14:30:00Z", "2024-01-02T14:31:00Z"]


def test_a_timezone_that_contradicts_the_cells_is_refused(tmp_path: Path):
    path = trades(tmp_path, "20240102 09:30:00 US/Eastern")
    with pytest.raises(
        CommandError, match="the times name the zone US/Eastern, not Asia/Tokyo; leave --timezone out"
    ):
        imported(path, timezone="Asia/Tokyo")
    imported(path, timezone="America/New_York")
    assert times() == NEXT_HALF_PAST_TWO


def test_an_abbreviation_of_a_zone_is_refused(tmp_path: Path):
    path = trades(tmp_path, "20240102 09:30:00 EST")
    with pytest.raises(
        CommandError, match=r"line 2, timestamp: EST may mean several time zones; write an offset"
    ):
        imported(path)


def test_hours_that_occur_twice_are_those_of_the_named_zone(tmp_path: Path):
    clocks = ("01:00", "01:30", "01:00", "01:30")
    imported(trades(tmp_path, *(f"20241103 {clock}:00 US/Eastern" for clock in clocks)))
    assert times() == [f"2024-11-03T0{clock}:00Z" for clock in ("5:00", "5:30", "6:00", "6:30")]


def test_an_hour_that_occurs_twice_is_refused_in_a_file_of_several_zones(tmp_path: Path):
    path = trades(tmp_path, "20241103 01:00:00 US/Eastern", "20241103 12:00:00 Europe/Berlin")
    with pytest.raises(
        CommandError, match="line 2, timestamp: this local time occurred twice in the zone that it names"
    ):
        imported(path)


def test_minute_bars_of_interactive_brokers(tmp_path: Path):
    rows = [f"20240102 09:{minute}:00 US/Eastern,187,188,186,187,5" for minute in (30, 31, 32)]
    imported(written(tmp_path / "X.csv", rows, "date,open,high,low,close,volume"))
    assert stored("bars", "resolution", "close")["X"][0] == ("2024-01-02T14:30:00Z", "1m", 187.0)


@pytest.mark.parametrize(
    ("time", "volume", "message"),
    [("20240102 09:3x:00", "5", "line 2, date: not a time.*'20240102 09:3x:00'"),
     ("2024-01-02 09:30:00 EST", "5", "line 2, date: EST may mean several"),
     ("2024-01-02 09:30:00", "many", "line 2, volume: must be a number: 'many'"),
     ("2024-01-02 09:30:00", "-1", "line 2, volume: must be 0 or more")],
)  # fmt: skip
def test_bars_of_which_no_row_can_be_read_are_refused_by_their_first_cell(
    tmp_path: Path, time: str, volume: str, message: str
):
    rows = [f"{time},187,188,186,187,{volume}"] * 3
    with pytest.raises(CommandError, match=message):
        imported(written(tmp_path / "X.csv", rows, "date,open,high,low,close,volume"))
