"""Files whose lines are newest first: rows of one time are stored as if the file were oldest first."""

from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from tests.trades.imports.command import imported, stored
from tests.trades.imports.files import line_of, written
from trades.imports import blocks, record_files, sort

HEADER = "timestamp,price,volume,symbol"
START = 1_704_205_800_000_000_000


@pytest.fixture(autouse=True)
def data_folder(settings, store_path: Path, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path / "data"


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 2_000)
    monkeypatch.setattr(record_files, "ROWS_AT_ONCE", 50)
    for name, value in (("RUN_ROWS", 60), ("PIECE_ROWS", 10), ("ROWS_AT_ONCE", 20)):
        monkeypatch.setattr(sort, name, value)


def lines(symbol: str, *, count: int = 200) -> list[str]:
    """Trades, oldest first, several of each time. The prices rise by 1."""
    return [f"{line_of(START + n // 7 * 10**9, 100 + n, 1)},{symbol}" for n in range(count)]


def mixed(*symbols: str) -> list[str]:
    """Trades of several symbols in order of time."""
    return sorted((line for each in symbols for line in lines(each)), key=lambda line: line.split(",")[0])


def prices(symbol: str) -> list[object]:
    return [row[1] for row in stored("trades", "price").get(symbol, [])]


RISING = [100.0 + n for n in range(200)]
FILES = {
    "newest first": [*reversed(lines("A"))],
    "newest first, symbols mixed": [*reversed(mixed("A", "B"))],
    "newest first, symbol after symbol": [*reversed(lines("A")), *reversed(lines("B"))],
    "one symbol newest first, one oldest first": [*reversed(lines("A")), *lines("B")],
    "oldest first, symbols mixed": mixed("B", "A"),
    "one time of A in a file that is newest first": [*reversed([*lines("A", count=7), *lines("B")])],
}


@pytest.mark.parametrize("rows", FILES.values(), ids=FILES)
@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.usefixtures("small_pieces")
def test_rows_of_one_time_are_stored_oldest_first(tmp_path: Path, rows: list[str], kind: str):
    path = written(tmp_path / "t.csv", rows, HEADER)
    if kind == "parquet":
        pq.write_table(pa.csv.read_csv(path), path := tmp_path / "t.parquet")
    imported(path)
    for symbol in {line[-1] for line in rows}:
        assert prices(symbol) == RISING[: sum(line.endswith(symbol) for line in rows)]


def test_a_small_file_that_is_newest_first(tmp_path: Path):
    trades = [(30, 113), (30, 112), (0, 103), (0, 102), (0, 101)]
    rows = [line_of(START + second * 10**9, price, 1) for second, price in trades]
    imported(written(tmp_path / "X.csv", rows))
    assert prices("X") == [101.0, 102.0, 103.0, 112.0, 113.0]
