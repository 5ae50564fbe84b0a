"""Dates without a time of day: right for corporate actions and other dated rows, wrong for trades and quotes."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from django.core.management import CommandError

from tests.trades.imports.command import imported, stored

# The columns beside the time, with the values of two rows, and the column to compare.
DATED: dict[str, tuple[dict[str, list[Any]], str]] = {
    "corporate_actions": ({"symbol": ["CSH"] * 2, "kind": ["dividend"] * 2, "amount": [0.25, 0.5]}, "amount"),
    "open_interest": (
        {
            "symbol": ["ESH5"] * 2,
            "date": ["2024-06-03", "2024-09-03"],
            "open_interest": [7.0, 9.0],
            "status": ["final"] * 2,
        },
        "open_interest",
    ),
    "universe_changes": (
        {"symbol": ["SP500"] * 2, "member": ["AAPL", "MSFT"], "action": ["add"] * 2},
        "member",
    ),
    "trading_status": ({"symbol": ["CSH"] * 2, "status": ["halted", "resumed"]}, "status"),
}
DATES = ["2024-06-04", "2024-09-04"]


@pytest.fixture(autouse=True)
def data_folder(settings, store_path: Path, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path / "data"


def written(folder: Path, suffix: str, columns: dict[str, list[Any]]) -> Path:
    """Write two dated rows: as texts in CSV, as texts or dates in Parquet."""
    path = folder / f"rows.{suffix.removeprefix('date32.')}"
    table = pa.table({"timestamp": DATES, **columns})
    if suffix == "csv":
        pa.csv.write_csv(table, path)
        return path
    if suffix.startswith("date32"):
        table = table.set_column(0, "timestamp", table["timestamp"].cast(pa.date32()))
    pq.write_table(table, path)
    return path


@pytest.mark.parametrize("suffix", ["csv", "parquet", "date32.parquet"])
@pytest.mark.parametrize("dataset", DATED)
def test_dates_are_times_of_rows_that_hold_from_a_date(tmp_path: Path, dataset: str, suffix: str):
    columns, name = DATED[dataset]
    path = written(tmp_path, suffix, columns)
    assert "2 stored" in imported(path, dataset=dataset)
    found = sorted(row for rows in stored(dataset, name).values() for row in rows)
    times = [f"{date}T00:00:00Z" for date in DATES]
    assert found == list(zip(times, columns[name], strict=True))


@pytest.mark.parametrize("suffix", ["csv", "parquet", "date32.parquet"])
@pytest.mark.parametrize("dataset", ["trades", "quotes", "option_quotes"])
def test_dates_are_no_times_of_trades_and_quotes(tmp_path: Path, dataset: str, suffix: str):
    symbols: list[Any] = ["AAPL250117C00150000" if dataset == "option_quotes" else "CSH"] * 2
    values: dict[str, list[Any]] = {
        name: [1.0, 2.0] for name in (("price", "volume") if dataset == "trades" else ("bid", "ask"))
    }
    path = written(tmp_path, suffix, {"symbol": symbols, **values})
    with pytest.raises(CommandError, match=f"dates without a time of day, which are no times of {dataset}"):
        imported(path, dataset=dataset)
    assert stored(dataset) == {}
