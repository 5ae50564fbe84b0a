"""Bars of days, weeks and months whose times are local midnights, or the dates of their ends."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from django.core.management import call_command

from tests.trades.imports.command import imported, stored
from tests.trades.imports.files import written

HEADER = "Date,Open,High,Low,Close,Volume"
TOKYO = [f"2024-01-0{day}T00:00:00Z" for day in (4, 5, 9)]


pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def data_folder(settings, store_path: Path, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path / "data"


def bars(folder: Path, *times: str, header: str = HEADER, end: str = "") -> Path:
    return written(
        folder / "X.csv", [f"{time},{n},{n},{n},{n},10{end}" for n, time in enumerate(times, 1)], header
    )


def dates(*arguments: object, **options: Any) -> list[object]:
    imported(*arguments, dataset="bars", **options)
    return [row[0] for row in stored("bars")["X"]]


def declared(name: str) -> None:
    call_command("instrument", "X", exchange=name)


@pytest.mark.parametrize("exchange", [None, "XTKS"])
@pytest.mark.parametrize(
    ("clock", "options"),
    [(" 00:00:00+09:00", {}), ("T00:00:00+0900", {}), (" 00:00:00 Asia/Tokyo", {}), ("T00:00+05:30", {}),
     (" 00:00:00", {"timezone": "Asia/Tokyo"}), ("", {"timezone": "Asia/Tokyo"}), (" 00:00:00-05:00", {}),
     (" 00:00:00-0500", {}), ("T00:00:00Z", {"timezone": "America/New_York"}), (" 00:00:00 UTC", {})],
)  # fmt: skip
def test_a_local_midnight_of_a_daily_bar_is_its_date(
    tmp_path: Path, exchange: str | None, clock: str, options: dict[str, str]
):
    if exchange:
        declared(exchange)
    path = bars(tmp_path, *(f"2024-01-0{day}{clock}" for day in (4, 5, 9)))
    assert dates(path, resolution="1d", **options) == TOKYO


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/New_York", "Asia/Kolkata"])
@pytest.mark.parametrize("kind", ["parquet", "text", "epochs"])
def test_midnights_of_a_frame_with_a_time_zone_are_dates(tmp_path: Path, zone: str, kind: str):
    index = pd.DatetimeIndex(["2024-01-04", "2024-01-05", "2024-01-09"], tz=zone, name="Date")
    frame = pd.DataFrame({name: [1.0, 2.0, 3.0] for name in HEADER.split(",")[1:]}, index)
    options = {}
    if kind == "parquet":
        frame.reset_index().to_parquet(path := tmp_path / "X.parquet")
    elif kind == "text":
        frame.to_csv(path := tmp_path / "X.csv")
    else:
        frame.index = pd.Index(index.as_unit("ms").astype("int64"), name="Date")
        frame.to_csv(path := tmp_path / "X.csv")
        options = {"timezone": zone}
    assert dates(path, resolution="1d", **options) == TOKYO


def test_a_midnight_that_summer_time_left_out_is_a_date(tmp_path: Path):
    path = bars(tmp_path, "2018-11-03 00:00:00", "2018-11-04 00:00:00", "2018-11-05 00:00:00")
    found = dates(path, resolution="1d", timezone="America/Sao_Paulo")
    assert found == [f"2018-11-0{day}T00:00:00Z" for day in (3, 4, 5)]


def test_midnights_of_shorter_bars_are_instants(tmp_path: Path):
    path = bars(
        tmp_path,
        "2024-01-04 00:00:00+09:00,1h",
        "2024-01-04 00:00:00+09:00,1d",
        header=f"Date,resolution,{HEADER[5:]}",
    )
    assert dates(path) == ["2024-01-03T15:00:00Z", "2024-01-04T00:00:00Z"]


@pytest.mark.parametrize("exchange", [None, "XNYS"])
@pytest.mark.parametrize(
    "days", [(7, 14, 21, 28), (5, 12, 19, 26), (6, 13, 20, 27)], ids=["Sundays", "Fridays", "Saturdays"]
)
def test_weeks_dated_by_their_end_begin_on_monday(
    tmp_path: Path, exchange: str | None, days: tuple[int, ...]
):
    if exchange:
        declared(exchange)
    path = bars(tmp_path, *(f"2024-01-{day:02}" for day in days))
    assert "--bar-times end" in imported(path, dataset="bars", resolution="1w", preview=True)
    assert dates(path, resolution="1w") == [f"2024-01-{day:02}T00:00:00Z" for day in (1, 8, 15, 22)]


def test_weeks_dated_by_mondays_are_not_asked_about(tmp_path: Path):
    path = bars(tmp_path, "2024-01-01", "2024-01-08", "2024-01-15")
    assert "--bar-times" not in imported(path, dataset="bars", resolution="1w", preview=True)
    assert dates(path, resolution="1w")[0] == "2024-01-01T00:00:00Z"


@pytest.mark.parametrize("exchange", [None, "XNYS"])
def test_weeks_may_begin_on_sundays_if_it_is_said(tmp_path: Path, exchange: str | None):
    if exchange:
        declared(exchange)
    path = bars(tmp_path, "2024-01-07", "2024-01-14", "2024-01-21")
    found = dates(path, resolution="1w", bar_times="start")
    assert found == [f"2024-01-{day:02}T00:00:00Z" for day in (8, 15, 22)]


@pytest.mark.parametrize("exchange", [None, "XNYS"])
def test_months_dated_by_their_last_day_begin_on_the_first(tmp_path: Path, exchange: str | None):
    if exchange:
        declared(exchange)
    path = bars(tmp_path, "2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30")
    assert "--bar-times end" in imported(path, dataset="bars", resolution="1M", preview=True)
    assert dates(path, resolution="1M") == [f"2024-0{month}-01T00:00:00Z" for month in (1, 2, 3, 4)]


def test_weeks_without_a_resolution_are_found_and_dated_by_their_end(tmp_path: Path):
    path = bars(tmp_path, "2024-01-07", "2024-01-14", "2024-01-21", "2024-01-28")
    assert dates(path)[0] == "2024-01-01T00:00:00Z"


def test_a_column_may_have_the_resolutions_of_months_dated_by_their_end(tmp_path: Path):
    path = bars(tmp_path, "2024-01-31", "2024-02-29", "2024-03-29", header=f"{HEADER},resolution", end=",1M")
    assert dates(path) == [f"2024-0{month}-01T00:00:00Z" for month in (1, 2, 3)]


MT5_DAYS = ["<DATE>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>"]
SUNDAYS, MONDAYS = ("2024.01.07", "2024.01.14", "2024.01.21"), ("01-08", "01-15", "01-22")
# 5, 12 and 19 January 2024, at midnight UTC, were Fridays.
FRIDAYS = (1704412800, 1705017600, 1705622400)


@pytest.mark.parametrize(
    ("lines", "options"),
    [
        (MT5_DAYS + [f"{day}\t1\t1\t1\t1\t35\t0\t12" for day in SUNDAYS], {"timezone": "Europe/Athens"}),
        ([f"{day},00:00,1,1,1,1,35" for day in SUNDAYS], {"timezone": "Europe/Athens", "format": "mt4"}),
        (
            [
                "Gmt time,Open,High,Low,Close,Volume",
                *(f"{day}.01.2024 00:00:00.000,1,1,1,1,35" for day in ("07", 14, 21)),
            ],
            {"format": "dukascopy"},
        ),
    ],
    ids=["mt5", "mt4", "dukascopy"],
)
def test_weeks_of_vendors_whose_times_are_beginnings_are_not_those_before(
    tmp_path: Path, lines: list[str], options: dict[str, str]
):
    (tmp_path / "X.csv").write_text("\n".join([*lines, ""]))
    assert "--bar-times" not in imported(tmp_path / "X.csv", symbol="X", preview=True, **options)
    imported(tmp_path / "X.csv", symbol="X", yes=False, **options)
    assert [row[0] for row in stored("bars")["X"]] == [f"2024-{day}T00:00:00Z" for day in MONDAYS]


def test_weeks_of_vendors_that_do_not_say_what_their_times_are_are_asked_for(tmp_path: Path):
    path = bars(tmp_path, "2024-01-05", "2024-01-12", "2024-01-19")
    path.write_text(path.read_text().replace("Volume", "Adj Close,Volume").replace(",10\n", ",1,10\n"))
    assert "--bar-times end" in imported(path, symbol="X", preview=True)


def test_weeks_of_kraken_are_not_guessed_to_be_dated_by_their_ends(tmp_path: Path):
    path = tmp_path / "X.csv"
    path.write_text("".join(f"{time},1,1,1,1,5,12\n" for time in FRIDAYS))
    assert "--bar-times" not in imported(path, symbol="X", format="kraken", preview=True)
