"""Bars whose distances speak against their resolution are a doubt, which is asked."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from django.core.management import CommandError

from tests.trades.imports.command import asked, imported, stored

MINUTE, HOUR, DAY = 60, 3600, 86_400
MONDAY = 1_704_067_200  # 2024-01-01
ALL = ["timestamp=timestamp,symbol=symbol,open=open,high=high,low=low,close=close,volume=volume"]
RIGHT = {"1m": MINUTE, "5m": 5 * MINUTE, "1h": HOUR, "4h": 4 * HOUR, "1d": DAY, "1w": 7 * DAY}


@pytest.fixture(autouse=True)
def data_folder(settings, store_path: Path, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path / "data"


def bars(path: Path, times: Sequence[int], symbols: Sequence[str] = ("A",)) -> Path:
    lines = [f"{time},{symbol},1,1,1,1,1" for time in times for symbol in symbols]
    path.write_text("\n".join(["timestamp,symbol,open,high,low,close,volume", *lines, ""]))
    return path


def weekdays(count: int) -> list[int]:
    return [MONDAY + day * DAY for day in range(count) if day % 7 < 5]


def months() -> list[int]:
    dates = np.arange("2024-01", "2025-01", dtype="datetime64[M]").astype("datetime64[s]")
    return dates.astype(np.int64).tolist()


@pytest.mark.parametrize(
    ("times", "resolution", "said"),
    [
        (weekdays(30), "1m", "most bars are 1d apart, and the resolution is 1m"),
        (weekdays(2), "1m", "most bars are 1d apart"),
        (weekdays(30), "1h", "most bars are 1d apart"),
        (weekdays(30), "1w", "most bars are 1d apart"),
        (range(MONDAY, MONDAY + HOUR, MINUTE), "1d", "most bars are 1m apart, and the resolution is 1d"),
        (range(MONDAY, MONDAY + DAY, 5 * MINUTE), "1m", "most bars are 5m apart"),
        (range(MONDAY, MONDAY + DAY, HOUR), "1m", "most bars are 1h apart"),
        (range(MONDAY, MONDAY + 40 * DAY, 7 * DAY), "1d", "most bars are 1w apart"),
        (months(), "1d", "most bars are 1M apart"),
        (months(), "1w", "most bars are 1M apart"),
    ],
)
def test_another_resolution_is_asked_for_even_if_all_is_given(
    tmp_path: Path, times: Sequence[int], resolution: str, said: str
):
    path = bars(tmp_path / "bars.csv", times)
    given = {"columns": ALL, "resolution": resolution}
    assert f"doubt: {said}" in asked(path, **given)
    assert stored("bars") == {}
    assert f"{len(times)} rows" in imported(path, **given)


@pytest.mark.parametrize("resolution", RIGHT)
@pytest.mark.parametrize("symbols", [["A"], ["A", "B", "C"]])
def test_the_right_resolution_is_taken(tmp_path: Path, resolution: str, symbols: list[str]):
    length = RIGHT[resolution]
    times = range(MONDAY - MONDAY % length, MONDAY + 40 * length, length)
    imported(bars(tmp_path / "bars.csv", times, symbols), columns=ALL, resolution=resolution, yes=False)
    assert {symbol: len(rows) for symbol, rows in stored("bars").items()} == dict.fromkeys(
        symbols, len(times)
    )


@pytest.mark.parametrize(
    ("times", "resolution"),
    [
        (weekdays(30), "1d"),
        (months(), "1M"),
        ([MONDAY + day * DAY + hour * HOUR for day in range(9) for hour in (12, 16)][1:-1], "4h"),
        ([MONDAY + minute * MINUTE for minute in (0, 7, 9, 31, 44, 45, 73, 90, 131)], "1m"),
        ([MONDAY, MONDAY + 5 * MINUTE], "1m"),
        ([MONDAY], "1m"),
        ([], "1m"),
    ],
    ids=["week-ends", "months", "two a session", "seldom traded", "two bars", "one bar", "none"],
)
def test_gaps_are_no_other_resolution(tmp_path: Path, times: Sequence[int], resolution: str):
    imported(bars(tmp_path / "bars.csv", times), columns=ALL, resolution=resolution, yes=False)
    assert [len(rows) for rows in stored("bars").values()] == [len(times)] * bool(times)


def test_a_column_s_resolutions_are_judged_each(tmp_path: Path):
    lines = [f"{MONDAY + n * MINUTE},1m,1,1,1,1,1" for n in range(10)] + [
        f"{time},1d,1,1,1,1,1" for time in weekdays(10)
    ]
    (tmp_path / "A.csv").write_text(
        "\n".join(["timestamp,resolution,open,high,low,close,volume", *lines, ""])
    )
    imported(tmp_path / "A.csv", dataset="bars")
    assert len(stored("bars")["A"]) == len(lines)


def test_times_that_cannot_be_read_are_named_where_the_resolution_is_asked_for(tmp_path: Path):
    path = tmp_path / "AAPL.csv"
    rows = [f"{time},1,1,1,1,1" for time in ("2024-01-02T10:00:00Z", "10h01", "10h02")]
    path.write_text("\n".join(["timestamp,open,high,low,close,volume", *rows, ""]))
    with pytest.raises(
        CommandError, match=r"rows cannot be read, such as .*line 3, timestamp: not a time: .*'10h01'"
    ):
        imported(path, skip_bad=True)
