"""Times that do not tell the date of a day's bar: asked, or told by a zone. Dates of vendors that are no times of trades."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from django.core.management import CommandError, call_command

from tests.trades.imports.command import asked, imported, stored

pytestmark = pytest.mark.django_db
# The midnights of 4, 5 and 9 January 2024 in Tokyo.
TOKYO = ("2024-01-03 15:00:00", "2024-01-04 15:00:00", "2024-01-08 15:00:00")
DATES = [f"2024-01-0{day}T00:00:00Z" for day in (4, 5, 9)]
HEADERS = {
    "yahoo": "Date,Open,High,Low,Close,Adj Close,Volume",
    "csv": "timestamp,open,high,low,close,volume",
}
SAID = {"columns": ",".join(f"{name}={name}" for name in HEADERS["csv"].split(",")), "resolution": "1d"}


@pytest.fixture(autouse=True)
def data_folder(settings, store_path: Path, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path / "data"


def bars(path: Path, kind: str, times: list[str]) -> Path:
    """Write bars of days: in the layout of Yahoo, with our names, as epochs, or as Parquet with times in UTC."""
    header = HEADERS["yahoo" if kind == "yahoo" else "csv"]
    frame = pd.DataFrame({name: [1.0] * len(times) for name in header.split(",")})
    instants = pd.to_datetime(times, utc=True)
    if kind == "parquet":
        frame["timestamp"] = instants
        frame.to_parquet(path := path / "X.parquet", index=False)
        return path
    frame[header.split(",")[0]] = instants.as_unit("s").astype("int64") if kind == "epochs" else times
    frame.to_csv(path := path / "X.csv", index=False)
    return path


def options(kind: str, **more: Any) -> dict[str, Any]:
    return {"symbol": "X", "yes": False, **({} if kind == "yahoo" else SAID), **more}


def dates() -> list[object]:
    return [row[0] for row in stored("bars")["X"]]


@pytest.mark.parametrize("end", ["+00:00", "Z", " UTC"])
@pytest.mark.parametrize("kind", ["yahoo", "csv", "epochs", "parquet"])
def test_local_midnights_in_utc_are_asked_about(tmp_path: Path, kind: str, end: str):
    path = bars(tmp_path, kind, [time + end for time in TOKYO])
    said = asked(path, **options(kind))
    assert "all times of bars of a day or longer are 15:00 UTC" in said
    assert "give the --timezone of the exchange" in said
    assert stored("bars") == {}


@pytest.mark.parametrize("end", ["+00:00", "Z", " UTC"])
@pytest.mark.parametrize("kind", ["yahoo", "csv", "epochs", "parquet"])
def test_a_zone_tells_the_dates_of_its_midnights_in_utc(tmp_path: Path, kind: str, end: str):
    path = bars(tmp_path, kind, [time + end for time in TOKYO])
    imported(path, **options(kind, timezone="Asia/Tokyo"))
    assert dates() == DATES


def test_midnights_of_weeks_in_utc_are_those_of_their_mondays(tmp_path: Path):
    path = bars(tmp_path, "csv", [f"2024-01-{day}T15:00:00Z" for day in ("07", 14, 21)])
    imported(path, **options("csv", resolution="1w", timezone="Asia/Tokyo"))
    assert dates() == [f"2024-01-{day}T00:00:00Z" for day in ("08", 15, 22)]


def test_a_zone_in_which_the_times_are_no_midnights_but_of_another_date_does_not_dispel_the_doubt(
    tmp_path: Path,
):
    path = bars(tmp_path, "csv", [f"{time[:10]}T23:00:00Z" for time in TOKYO])
    assert "23:00 UTC" in asked(path, **options("csv", timezone="Australia/Sydney"))


@pytest.mark.parametrize(
    ("exchange", "times", "days"),
    [("XNYS", ["2024-01-03T14:30:00Z", "2024-01-04T14:30:00Z"], (3, 4)),
     ("XNYS", ["2024-01-03T21:00:00Z", "2024-01-04T21:00:00Z"], (3, 4)),
     ("XTKS", [f"{time}Z" for time in TOKYO], (4, 5, 9)),
     ("XASX", ["2024-01-02T23:00:00Z", "2024-01-03T23:00:00Z"], (3, 4))],
)  # fmt: skip
def test_a_declared_exchange_tells_the_trading_dates(
    tmp_path: Path, exchange: str, times: list[str], days: tuple[int, ...]
):
    call_command("instrument", "X", exchange=exchange)
    imported(bars(tmp_path, "csv", times), **options("csv"))
    assert dates() == [f"2024-01-0{day}T00:00:00Z" for day in days]


@pytest.mark.parametrize(
    ("clock", "zone"),
    [("T14:30:00Z", "America/New_York"), ("T16:00:00-05:00", ""), ("T16:00:00", "America/New_York"),
     ("T16:00:00", "UTC"), ("T05:00:00Z", ""), ("T16:30:00Z", "Europe/London"), ("T08:00:00Z", "")],
)  # fmt: skip
def test_times_whose_date_is_sure_are_not_asked_about(tmp_path: Path, clock: str, zone: str):
    path = bars(tmp_path, "csv", [f"2024-01-0{day}{clock}" for day in (3, 4, 5)])
    imported(path, **options("csv", **({"timezone": zone} if zone else {})))
    assert dates() == [f"2024-01-0{day}T00:00:00Z" for day in (3, 4, 5)]


FLEX = '"Symbol","TradeID","DateTime","Exchange","Buy/Sell","Quantity","TradePrice"'
DUKASCOPY = "Gmt time,Ask,Bid,AskVolume,BidVolume"


@pytest.mark.parametrize(
    "times", [["20240102"], ["20240102", "20240103"], ["20240102;000000", "20240103;000000"]]
)
def test_dates_in_a_vendors_layout_are_no_times_of_trades(tmp_path: Path, times: list[str]):
    lines = [f'"AAPL","{number}","{time}","ARCA","BUY","100","187.15"' for number, time in enumerate(times)]
    (tmp_path / "f.csv").write_text("\n".join([FLEX, *lines, ""]))
    with pytest.raises(
        CommandError, match=r"DateTime has dates without a time of day, which are no times of trades$"
    ):
        imported(tmp_path / "f.csv")
    assert stored("trades") == {}


def test_dates_in_a_vendors_layout_are_no_times_of_quotes(tmp_path: Path):
    lines = [f"{day}.01.2024,1.2,1.1,1,1" for day in ("02", "03", 16)]
    (tmp_path / "X.csv").write_text("\n".join([DUKASCOPY, *lines, ""]))
    with pytest.raises(
        CommandError, match=r"Gmt time has dates without a time of day, which are no times of quotes$"
    ):
        imported(tmp_path / "X.csv", symbol="X", format="dukascopy")
    assert stored("quotes") == {}
