"""Local times that occur twice: the order of a file's rows tells which hour is meant."""

import gzip
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.core.management import CommandError

from tests.trades.imports.command import imported, stored
from trades.imports import blocks

NEW_YORK = {"timezone": "America/New_York"}
BARS = {**NEW_YORK, "dataset": "bars", "resolution": "1m"}
# Of 2024-11-03, when 01:00-02:00 in New York were 05:00-06:00 and 06:00-07:00 UTC.
CLOCK = ["00:59", "01:00", "01:59", "01:00", "01:59", "02:00"]
UTC = ["04:59", "05:00", "05:59", "06:00", "06:59", "07:00"]


@pytest.fixture(autouse=True)
def data_folder(settings, store_path: Path, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path / "data"


def trades(path: Path, clock: Sequence[str], symbols: Sequence[str] = ()) -> Path:
    """A file of trades at times of 2024-11-03, numbered by their prices."""
    names = symbols or ["AAPL"] * len(clock)
    lines = [
        f"2024-11-03 {time}:00,{name},{number},1"
        for number, (time, name) in enumerate(zip(clock, names, strict=True), start=1)
    ]
    path.write_text("\n".join(["timestamp,symbol,price,volume", *lines, ""]))
    return path


def bars(path: Path, clock: Sequence[str]) -> Path:
    lines = [f"2024-11-03 {time}:00,{n},{n},{n},{n},1" for n, time in enumerate(clock, start=1)]
    path.write_text("\n".join(["timestamp,open,high,low,close,volume", *lines, ""]))
    return path


def prices(symbol: str = "AAPL", dataset: str = "trades", name: str = "price") -> dict[object, str]:
    """The stored times by price."""
    return {price: str(time)[11:16] for time, price in stored(dataset, name)[symbol]}


def numbered(times: Sequence[str]) -> dict[object, str]:
    return dict(enumerate(times, start=1))


@pytest.mark.parametrize("ambiguous", ["infer", "earliest", "latest"])
def test_the_order_of_trades_tells_the_hour_whatever_the_option(tmp_path: Path, ambiguous: str):
    imported(trades(tmp_path / "t.csv", CLOCK), ambiguous=ambiguous, **NEW_YORK)
    assert prices() == numbered(UTC)


@pytest.mark.parametrize("ambiguous", ["infer", "earliest", "latest"])
def test_the_order_of_bars_tells_the_hour_whatever_the_option(tmp_path: Path, ambiguous: str):
    imported(bars(tmp_path / "AAPL.csv", CLOCK), ambiguous=ambiguous, **BARS)
    assert prices(dataset="bars", name="open") == numbered(UTC)


def test_a_file_from_the_newest_to_the_oldest_is_in_order_too(tmp_path: Path):
    imported(trades(tmp_path / "t.csv", CLOCK[::-1]), **NEW_YORK)
    assert prices() == numbered(UTC[::-1])


@pytest.mark.parametrize(("clock", "utc"), [
    (["00:00", "01:00", "01:00", "02:00"], ["04:00", "05:00", "06:00", "07:00"]),
    (["02:00", "01:00", "01:00", "00:00"], ["07:00", "06:00", "05:00", "04:00"]),
])  # fmt: skip
def test_an_hour_s_bar_comes_twice(tmp_path: Path, clock: list[str], utc: list[str]):
    imported(bars(tmp_path / "AAPL.csv", clock), **{**BARS, "resolution": "1h"})
    assert prices(dataset="bars", name="open") == numbered(utc)


def test_each_symbol_s_rows_are_in_an_order_of_their_own(tmp_path: Path):
    clock, names = [*CLOCK, *CLOCK], ["AAPL"] * 6 + ["MSFT"] * 6
    imported(trades(tmp_path / "t.csv", clock, names), **NEW_YORK)
    assert prices("AAPL") == numbered(UTC)
    assert prices("MSFT") == dict(enumerate(UTC, start=7))


def test_the_order_of_all_rows_places_a_symbol_that_has_one_row(tmp_path: Path):
    clock = ["00:59", "01:00", "01:30", "01:59", "01:00", "01:30", "02:00"]
    names = ["AAPL", "AAPL", "MSFT", "AAPL", "AAPL", "IBM", "AAPL"]
    imported(trades(tmp_path / "t.csv", clock, names), **NEW_YORK)
    assert (prices("MSFT"), prices("IBM")) == ({3.0: "05:30"}, {6.0: "06:30"})


@pytest.mark.parametrize(("zone", "day", "clock", "utc"), [
    ("Europe/Berlin", "2024-10-27", ["01:59", "02:00", "02:59", "02:00", "03:00"], ["23:59", "00:00", "00:59", "01:00", "02:00"]),
    ("Australia/Lord_Howe", "2024-04-07", ["01:29", "01:30", "01:59", "01:30", "02:00"], ["14:29", "14:30", "14:59", "15:00", "15:30"]),
])  # fmt: skip
def test_other_zones(tmp_path: Path, zone: str, day: str, clock: list[str], utc: list[str]):
    lines = [f"{day} {time},{number},1" for number, time in enumerate(clock, start=1)]
    (tmp_path / "A.csv").write_text("\n".join(["timestamp,price,volume", *lines, ""]))
    imported(tmp_path / "A.csv", timezone=zone)
    assert prices("A") == numbered(utc)


def test_each_year_s_end_of_summer_time_is_judged_by_itself(tmp_path: Path):
    lines = [
        f"{day} {time},{number},1"
        for day in ("2023-11-05", "2024-11-03")
        for number, time in enumerate(CLOCK, start=1)
    ]
    (tmp_path / "A.csv").write_text("\n".join(["timestamp,price,volume", *lines, ""]))
    imported(tmp_path / "A.csv", **NEW_YORK)
    times = [str(time) for time, _ in stored("trades", "price")["A"]]
    assert times == [f"{day}T{time}:00Z" for day in ("2023-11-05", "2024-11-03") for time in UTC]


@pytest.mark.parametrize(
    ("clock", "message"),
    [
        (["00:59", "01:30", "02:00"], "order does not tell"),
        (["00:59", "01:30", "01:20", "02:00"], "order does not tell"),
        (["01:59", "01:00", "01:59", "01:00", "02:00"], "not in order"),
        (["01:59", "03:00", "01:00", "00:30", "02:00"], "not in order"),
    ],
    ids=["one hour only", "a late report", "back twice", "no order"],
)
def test_what_the_order_does_not_tell_is_refused(tmp_path: Path, clock: list[str], message: str):
    path = trades(tmp_path / "t.csv", clock)
    with pytest.raises(CommandError, match=rf"timestamp: this local time occurred twice .*{message}"):
        imported(path, **NEW_YORK)
    assert stored("trades") == {}
    if message == "not in order":
        with pytest.raises(CommandError, match=message):
            imported(path, ambiguous="earliest", **NEW_YORK)
        return
    imported(path, ambiguous="latest", **NEW_YORK)
    assert prices()[2.0] == "06:30"


def test_rows_with_offsets_need_no_order(tmp_path: Path):
    (tmp_path / "A.csv").write_text(
        "timestamp,price,volume\n2024-11-03 01:30:00-05:00,1,1\n2024-11-03 01:30:00-04:00,2,1\n"
    )
    imported(tmp_path / "A.csv", **NEW_YORK)
    assert prices("A") == {2.0: "05:30", 1.0: "06:30"}


def test_milliseconds_of_a_day_occur_twice_likewise(tmp_path: Path):
    counts = [(int(time[:2]) * 60 + int(time[3:])) * 60_000 for time in CLOCK]
    lines = [f"{count},{number},1" for number, count in enumerate(counts, start=1)]
    (tmp_path / "A.csv").write_text("\n".join(["timestamp,price,volume", *lines, ""]))
    imported(tmp_path / "A.csv", date="2024-11-03", **NEW_YORK)
    assert prices("A") == numbered(UTC)


def test_times_of_parquet_occur_twice_likewise(tmp_path: Path):
    times = [datetime.fromisoformat(f"2024-11-03 {time}") for time in CLOCK]
    table = pa.table({"timestamp": times, "price": [float(n) for n in range(1, 7)], "volume": [1.0] * 6})
    pq.write_table(table, tmp_path / "A.parquet")
    imported(tmp_path / "A.parquet", format="parquet", **NEW_YORK)
    assert prices("A") == numbered(UTC)
    pq.write_table(table.slice(0, 2), tmp_path / "B.parquet")
    with pytest.raises(
        CommandError, match=r"line 2, timestamp: this local time occurred twice .*--ambiguous"
    ):
        imported(tmp_path / "B.parquet", format="parquet", **NEW_YORK)


def test_two_long_hours_in_a_compressed_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Each hour is in several blocks."""
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 2**15)
    count, start = 5_000, datetime.fromisoformat("2024-11-03 01:00")
    step = timedelta(hours=1) / count
    hour = [(start + step * number).isoformat() for number in range(count)]
    text = "\n".join(["timestamp,price,volume", *(f"{time},1,1" for time in hour + hour), ""])
    (tmp_path / "A.csv.gz").write_bytes(gzip.compress(text.encode(), 1))
    assert f"{2 * count:,} stored" in imported(tmp_path / "A.csv.gz", **NEW_YORK)
    times = [str(time) for (time,) in stored("trades")["A"]]
    assert times[count - 1] < "2024-11-03T06" <= times[count]
    assert times[count + 1].replace("T06", "T05") == times[1]
