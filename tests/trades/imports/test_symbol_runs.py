"""A file whose symbols are stored as a whole or not at all, however often the import is broken off."""

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from store.datasets import TRADES
from store.exceptions import StoreUnavailable
from store.protocol import ALL_TIME
from store.timestamps import DAY_NS
from tests.trades.imports.files import line_of, written
from trades.exceptions import ImportRefused
from trades.imports import blocks, sort, symbol_runs
from trades.imports.formats import opened_file
from trades.imports.layout import ReadOptions
from trades.imports.services import symbols_import
from trades.imports.symbol_runs import SymbolOutcome
from trades.stores import market_store

START = 1_735_828_200_000_000_000
HEADER = "timestamp,price,volume,symbol"


@pytest.fixture(autouse=True)
def small(store_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is done in small pieces."""
    monkeypatch.setattr(symbol_runs, "COMMIT_ROWS", 50)
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 2_000)
    for name, value in (("RUN_ROWS", 60), ("PIECE_ROWS", 10), ("ROWS_AT_ONCE", 20)):
        monkeypatch.setattr(sort, name, value)


def rows_of(count: int = 300) -> list[str]:
    """Rows of A, of which every other is equal to the one before, and few of B and C, in random order."""
    rows = [f"{line_of(START + n // 2 * DAY_NS // 40, 10 + n // 2, 1)},A" for n in range(count)]
    rows += [f"{line_of(START + n, 20 + n, 1)},{symbol}" for symbol in "BC" for n in range(20)]
    random.Random(5).shuffle(rows)
    return rows


def run(file: Path) -> dict[str | None, SymbolOutcome]:
    reading = symbols_import(
        file=opened_file(file),
        options=ReadOptions(TRADES),
        spool=file.parent / "spool",
        caller="test",
        request_key=lambda piece: f"job:{file.name}:{piece}",
    )
    reading.read(lambda _: None)
    return {each.symbol: each for each in reading.store(lambda _: None)}


def stored() -> Counter[tuple[str, float]]:
    store = market_store()
    return Counter(
        (symbol, price)
        for symbol in store.symbols(TRADES)
        for price in store.log(TRADES, symbol).at().rows(ALL_TIME).column("price").to_pylist()
    )


def prices(rows: list[str]) -> Counter[tuple[str, float]]:
    return Counter((row.split(",")[3], float(row.split(",")[1])) for row in rows)


def test_small_symbols_are_one_commit_and_large_ones_several(tmp_path: Path):
    rows = rows_of()
    found = run(written(tmp_path / "(file).csv", rows, HEADER))
    assert {symbol: (each.rows, each.stored) for symbol, each in found.items()} == {
        "A": (300, 300),
        "B": (20, 20),
        "C": (20, 20),
    }
    assert int((found["A"].commit or "").split("-")[0]) >= 6
    assert (found["B"].commit or "").startswith("1-")
    assert stored() == prices(rows)
    assert not (tmp_path / "spool").exists()


@pytest.mark.parametrize("broken_at", range(9))
def test_a_run_after_a_broken_one_answers_what_an_unbroken_one_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken_at: int
):
    rows = rows_of()
    file = written(tmp_path / "(file).csv", rows, HEADER)
    store, commits = symbol_runs.SymbolsImport._store, [0]

    def broken(self: Any, piece: Any) -> None:
        if commits[0] == broken_at:
            raise StoreUnavailable("broken")
        commits[0] += 1
        store(self, piece)

    with monkeypatch.context() as patched:
        patched.setattr(symbol_runs.SymbolsImport, "_store", broken)
        if broken_at < 8:
            with pytest.raises(StoreUnavailable):
                run(file)
    found = run(file)
    assert {symbol: (each.stored, each.duplicates) for symbol, each in found.items()} == {
        "A": (300, 0),
        "B": (20, 0),
        "C": (20, 0),
    }
    assert stored() == prices(rows)


@pytest.mark.parametrize(
    ("bad", "error"),
    [(f"{line_of(START, -1, 1)},A", "price"), (f"{line_of(4_000_000_000 * 10**9, 1, 1)},A", "yet to come")],
    ids=["in the file", "in the time"],
)
def test_a_bad_row_anywhere_keeps_all_rows_of_a_large_symbol_out(tmp_path: Path, bad: str, error: str):
    rows = rows_of()
    found = run(written(tmp_path / "(file).csv", [*rows, bad], HEADER))
    assert (found["A"].rows, found["A"].stored, found["A"].commit) == (301, 0, None)
    assert error in found["A"].error
    assert found["A"].line == 342
    assert stored() == prices([row for row in rows if not row.endswith("A")])


def test_a_conflict_with_a_stored_id_keeps_a_symbols_rows_out(tmp_path: Path):
    header = f"{HEADER},trade_id,exchange"
    first = written(tmp_path / "(1).csv", [f"{line_of(START, 1, 1)},A,1,N"], header)
    assert run(first)["A"].stored == 1
    rows = [f"{line_of(START + n - 1, 2, 1)},A,{n},N" for n in range(3)]
    found = run(written(tmp_path / "(2).csv", rows, header))["A"]
    assert (found.stored, found.line) == (0, 3)
    assert "trade_id" in found.error
    assert stored() == {("A", 1.0): 1}


def with_ids(rows: int = 300) -> list[str]:
    """Rows of A with ids, several commits on each of some dates."""
    return [f"{line_of(START + n * DAY_NS // 120, 10 + n, 1)},A,t{n},N" for n in range(rows)]


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows[250].replace(",260,", ",1,"),
        lambda rows: rows[170].replace(",180,", ",1,"),
    ],
    ids=["stored", "in the file"],
)
def test_a_conflict_late_in_a_large_symbol_keeps_all_its_rows_out(tmp_path: Path, change: Callable[..., str]):
    header, rows = f"{HEADER},trade_id,exchange", with_ids()
    changed = change(rows)
    if changed.endswith("t250,N"):
        assert run(written(tmp_path / "(1).csv", rows[250:251], header))["A"].stored == 1
    before = stored()
    found = run(written(tmp_path / "(2).csv", [*rows[:250], changed, *rows[251:]], header))["A"]
    assert (found.rows, found.stored, found.commit, found.line) == (300, 0, None, 252)
    assert found.error.startswith("trade_id: ")
    assert stored() == before


def test_rows_with_ids_that_are_stored_are_duplicates(tmp_path: Path):
    header, rows = f"{HEADER},trade_id,exchange", with_ids()
    file = written(tmp_path / "(1).csv", rows, header)
    assert run(file)["A"].stored == 300
    twice = run(written(tmp_path / "(2).csv", [*rows, *rows], header))["A"]
    assert (twice.rows, twice.stored, twice.duplicates, twice.error) == (600, 0, 600, "")


def test_a_line_that_is_no_row_refuses_the_file(tmp_path: Path):
    file = written(tmp_path / "(file).csv", [*rows_of(), "1,2"], HEADER)
    with pytest.raises(ImportRefused):
        run(file)
    assert stored() == {}
