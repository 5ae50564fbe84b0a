"""Rows of dates on which an exchange is closed: bars of a day prove them, few trades are named in the preview."""

from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from store.instruments import Instrument
from tests.trades.imports.command import imported, stored
from tests.trades.imports.files import written
from trades.stores import market_store

pytestmark = pytest.mark.django_db
DAYS = ["2024-06-13", "2024-06-14", "2024-06-15", "2024-06-17"]
CERTAIN: dict[str, Any] = {
    "dataset": "trades",
    "columns": [f"{name}={name}" for name in ("timestamp", "price", "volume")],
}


@pytest.fixture(autouse=True)
def data_folder(settings, store_path: Path, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path / "data"


def daily(folder: Path) -> Path:
    lines = [f"{day},WIG,10,12,9,11,100" for day in DAYS]
    return written(folder / "wig.csv", lines, "timestamp,symbol,open,high,low,close,volume")


def sessions() -> list[str]:
    return [each.date.isoformat() for each in market_store().instrument("WIG").special_sessions]


def trades(folder: Path, *times: str) -> Path:
    return written(folder / "WIG.csv", [f"2024-06-15T{time}Z,10,5" for time in times])


@pytest.mark.parametrize("is_declared_first", [True, False])
def test_a_saturday_in_a_file_of_days(tmp_path: Path, is_declared_first: bool):
    steps = [
        lambda: call_command("instrument", "WIG", exchange="XWAR"),
        lambda: imported(daily(tmp_path), dataset="bars", timezone="UTC", resolution="1d"),
    ]
    for step in steps if is_declared_first else steps[::-1]:
        step()
    assert sessions() == ["2024-06-15"]
    assert [row[0] for row in stored("bars")["WIG"]] == [f"{day}T00:00:00Z" for day in DAYS]


def test_few_trades_are_named_and_are_no_reason_to_ask(tmp_path: Path):
    market_store().set_instrument(Instrument("WIG", exchange="XWAR"))
    path = trades(tmp_path, "08:00:00", "08:59:00")
    shown = imported(path, preview=True, **CERTAIN)
    assert "note: on 2024-06-15 the exchange of WIG is closed (2 of the rows that were looked at)" in shown
    assert "note" not in imported(path, yes=False, **CERTAIN)
    assert (len(stored("trades")["WIG"]), sessions()) == (2, [])


def test_trades_over_an_hour_are_not_named(tmp_path: Path):
    market_store().set_instrument(Instrument("WIG", exchange="XWAR"))
    path = trades(tmp_path, "08:00:00", "09:00:00")
    assert "note" not in imported(path, preview=True, **CERTAIN)
    imported(path, yes=False, **CERTAIN)
    assert sessions() == ["2024-06-15"]
