"""Stored bytes that change: every window is answered right or not at all, and only damaged rows are withheld."""

import random
import shutil
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from store.csv import CsvStore
from store.datasets import TRADES
from store.exceptions import DataDamaged
from store.market_store import MarketStore
from store.protocol import Window
from store.timestamps import SECOND_NS
from tests.chance import SOAK
from tests.faults.table import Tallies
from tests.memory_store import MemoryStore
from tests.store.builders import DAY, NOON, SYMBOL, batch, stored, trade

TRIES = 100 if SOAK else 10
COMMITS, ROWS = 12, 40
SPAN = 60 * SECOND_NS
OTHER = "MSFT"

Damage = Callable[[bytearray, random.Random], int]
"""Alters bytes in place; returns the first place that it altered."""


def fill(store: MarketStore) -> None:
    """Twelve commits that do not overlap, by turns on three dates, and one of another symbol."""
    for number in range(COMMITS):
        start = number % 3 * DAY + number * SPAN
        store.append(
            batch(
                *(
                    trade(start + n * SECOND_NS, 1.0 + number + n / 8, trade_id=f"{number}-{n}")
                    for n in range(ROWS)
                )
            )
        )
    store.append(batch(trade(0), symbol=OTHER))


def window_of(number: int) -> Window:
    start = NOON + number % 3 * DAY + number * SPAN
    return Window(start, start + SPAN)


@pytest.fixture(scope="module")
def oracle() -> MemoryStore:
    store = MemoryStore()
    fill(store)
    return store


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    fill(CsvStore(tmp_path))
    return tmp_path / "trades" / SYMBOL


def without_derived(folder: Path) -> CsvStore:
    """A new store, and nothing to answer from but the damaged bytes."""
    shutil.rmtree(folder / ".derived", ignore_errors=True)
    return CsvStore(folder.parents[1])


def equal(bars: Any, others: Any) -> bool:
    return all(
        np.array_equal(getattr(bars, f.name), getattr(others, f.name), equal_nan=True) for f in fields(bars)
    )


def answer(store: CsvStore, oracle: MemoryStore, number: int) -> str:
    """What a commit's window is answered with: `right`, `wrong` or `damaged`, by rows and bars alike."""
    window = window_of(number)
    outcomes = set()
    for right in (
        lambda: stored(store, window) == stored(oracle, window),
        lambda: equal(
            store.log(TRADES, SYMBOL).at().bars(window, SPAN),
            oracle.log(TRADES, SYMBOL).at().bars(window, SPAN),
        ),
    ):
        try:
            outcomes.add("right" if right() else "wrong")
        except DataDamaged:
            outcomes.add("damaged")
    return next(word for word in ("wrong", "damaged", "right") if word in outcomes)


def flipped_bit(data: bytearray, rng: random.Random) -> int:
    place = rng.randrange(len(data))
    data[place] ^= 1 << rng.randrange(8)
    return place


def block_of_nuls(data: bytearray, rng: random.Random) -> int:
    place = rng.randrange(len(data))
    length = rng.choice([1, 16, 512, 4096])
    data[place : place + length] = bytes(len(data[place : place + length]))
    return place


def commits_at(folder: Path, file: str, changed: np.ndarray) -> set[int]:
    """The commits, from 0, whose rows need any of the changed bytes of a data file: its header is of all rows."""
    records = [orjson.loads(line) for line in (folder / "commits.jsonl").read_bytes().splitlines()]
    parts = [
        (record["commit"] - 1, part["offset"], part["offset"] + part["length"])
        for record in records
        for part in record["parts"]
        if part["file"] == file
    ]
    rows_start = min(start for _, start, _ in parts)
    return {
        number
        for number, start, end in parts
        if ((changed < rows_start) | ((changed >= start) & (changed < end))).any()
    }


@pytest.mark.parametrize("damage", [flipped_bit, block_of_nuls])
def test_damaged_rows_are_withheld_and_all_others_are_served_right(
    folder: Path, oracle: MemoryStore, rng: random.Random, tallied: Tallies, damage: Damage
):
    tally = tallied(f"04 {damage.__name__.replace('_', ' ')} in old rows")
    for _ in range(TRIES):
        path = rng.choice(sorted(folder.glob("*.csv")))
        text = path.read_bytes()
        data = bytearray(text)
        damage(data, rng)
        path.write_bytes(data)
        changed = np.flatnonzero(np.frombuffer(data, np.uint8) != np.frombuffer(text, np.uint8))
        hit = commits_at(folder, path.name, changed)
        store = without_derived(folder)
        answers = [answer(store, oracle, number) for number in range(COMMITS)]
        tally.add(
            acknowledged=COMMITS - len(hit),
            lost=sum(answers[n] == "damaged" for n in range(COMMITS) if n not in hit),
            torn=answers.count("wrong"),
        )
        assert {n for n in range(COMMITS) if answers[n] == "damaged"} == hit, (path, changed)
        assert stored(store, symbol=OTHER) == stored(oracle, symbol=OTHER)
        path.write_bytes(text)
        assert answer(store, oracle, 0) == "right"
    tally.settle()


@pytest.mark.parametrize("damage", [flipped_bit, block_of_nuls])
def test_a_damaged_record_is_never_passed_over(
    folder: Path, oracle: MemoryStore, rng: random.Random, tallied: Tallies, damage: Damage
):
    """The chain is broken from there on: the symbol's answers are refused, never wrong, and it takes no writes."""
    tally = tallied(f"04 {damage.__name__.replace('_', ' ')} in old records")
    path = folder / "commits.jsonl"
    text = path.read_bytes()
    for _ in range(TRIES):
        data = bytearray(text)
        hit = text.count(b"\n", 0, damage(data, rng))
        path.write_bytes(data)
        store = without_derived(folder)
        answers = [answer(store, oracle, number) for number in range(COMMITS)]
        tally.add(acknowledged=COMMITS, torn=answers.count("wrong") + (answers[hit] != "damaged"))
        assert answers[hit] == "damaged"
        with pytest.raises(DataDamaged):
            store.append(batch(trade(9 * DAY)))
        assert path.read_bytes() == data
        assert stored(store, symbol=OTHER) == stored(oracle, symbol=OTHER)
        path.write_bytes(text)
        assert answer(store, oracle, hit) == "right"
    assert CsvStore(folder.parents[1]).log(TRADES, SYMBOL).head.number == COMMITS
    tally.settle()


@pytest.mark.parametrize("damage", [flipped_bit, block_of_nuls])
def test_a_symbol_whose_only_record_is_damaged_is_not_taken_for_unknown(
    tmp_path: Path, rng: random.Random, tallied: Tallies, damage: Damage
):
    tally = tallied(f"04 {damage.__name__.replace('_', ' ')} in old records")
    CsvStore(tmp_path).append(batch(trade(0)))
    path = tmp_path / "trades" / SYMBOL / "commits.jsonl"
    text = path.read_bytes()
    for turn in range(TRIES):
        data = bytearray(text)
        if turn % 2:
            damage(data, rng)
        else:
            data[-1:] = bytes([data[-1] ^ 1 << turn // 2 % 8])  # the line end makes the record a whole one
        path.write_bytes(data)
        with pytest.raises(DataDamaged):
            stored(without_derived(path.parent))
        tally.add(acknowledged=1)
    path.write_bytes(text)
    assert stored(CsvStore(tmp_path)) == [trade(0)]
    tally.settle()
