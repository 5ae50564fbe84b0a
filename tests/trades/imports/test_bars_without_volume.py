"""Files of bars without a volume: of an index, of currencies, of midpoints."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.core.management import CommandError

from tests.trades.imports.command import imported, stored

BAR = ("open", "high", "low", "close", "volume")
VIX = b"DATE,OPEN,HIGH,LOW,CLOSE\n01/02/2024,13.21,14.23,13.10,13.20\n01/03/2024,13.38,14.22,13.33,14.04\n01/16/2024,13.54,14.24,13.53,13.84\n"
DAYS = [
    ("2024-01-02T00:00:00Z", 13.21, 14.23, 13.10, 13.20, None),
    ("2024-01-03T00:00:00Z", 13.38, 14.22, 13.33, 14.04, None),
    ("2024-01-16T00:00:00Z", 13.54, 14.24, 13.53, 13.84, None),
]
TOLD: dict[str, Any] = {"dataset": "bars", "symbol": "VIX", "resolution": "1d", "timezone": "UTC"}


@pytest.fixture(autouse=True)
def data_folder(settings: Any, store_path: Path, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path / "data"


def test_four_prices_are_bars(tmp_path: Path):
    path = tmp_path / "vix.csv"
    path.write_bytes(VIX)
    imported(path, **TOLD)
    assert stored("bars", *BAR) == {"VIX": DAYS}


def test_an_empty_cell_is_no_volume(tmp_path: Path):
    path = tmp_path / "vix.csv"
    header, *lines = VIX.decode().splitlines()
    cells = ("", "0", "12.5")
    path.write_text("\n".join([f"{header},Vol", *map(",".join, zip(lines, cells, strict=True))]) + "\n")
    imported(path, **TOLD)
    volumes = [row[-1] for row in stored("bars", *BAR)["VIX"]]
    assert volumes == [None, 0, 12.5]


def test_a_table_of_parquet_comes_without_volume(tmp_path: Path):
    columns: dict[str, list[Any]] = {
        name: [row[place] for row in DAYS] for place, name in enumerate(("timestamp", *BAR[:-1]))
    }
    pq.write_table(pa.table(columns), tmp_path / "vix.parquet")
    imported(tmp_path / "vix.parquet", **TOLD)
    assert stored("bars", *BAR) == {"VIX": DAYS}


def test_two_columns_that_may_be_the_volume_are_asked_for(tmp_path: Path):
    path = tmp_path / "x.csv"
    path.write_bytes(b"timestamp,open,high,low,close,Vol,Amount\n2024-01-02,1,2,1,2,5,7\n")
    with pytest.raises(CommandError, match="volume may be Vol or Amount"):
        imported(path, **TOLD)


@pytest.mark.parametrize(("source", "volume"), [("Volume BTC", 5), ("", None)])
def test_a_column_named_like_a_volume_is_asked_for(tmp_path: Path, source: str, volume: float | None):
    path = tmp_path / "x.csv"
    path.write_bytes(b"timestamp,open,high,low,close,Volume BTC\n2024-01-02,1,2,1,2,5\n")
    with pytest.raises(
        CommandError,
        match="volume may be Volume BTC; look at it with --columns 'volume=Volume BTC' --preview",
    ):
        imported(path, **TOLD)
    imported(path, **TOLD, columns=f"volume={source}")
    assert [row[-1] for row in stored("bars", *BAR)["VIX"]] == [volume]
