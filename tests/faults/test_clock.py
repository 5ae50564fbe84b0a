"""A clock that goes back, stands still or leaps: commits stay in order of time, and `as_of` means what was stored then."""

import random
from pathlib import Path

import orjson

from store.csv import CsvStore
from store.datasets import TRADES
from store.timestamps import parse_timestamp
from tests.chance import SOAK
from tests.faults.batches import all_rows, batch_of, findings, rows_sent
from tests.faults.table import Tallies
from tests.store.builders import DAY, NOON, SECOND, SYMBOL, Clock, stored

BATCHES = range(1, 21)
TRIES = 10 if SOAK else 2
LEAPS = (0, 0, 1, -1, SECOND, -SECOND, 3600 * SECOND, -3600 * SECOND, DAY, -DAY)
INSTANTS = [
    parse_timestamp(text)
    for text in (
        "2024-02-29T23:59:59Z",
        "2025-03-30T01:00:00Z",
        "2025-10-26T01:00:00Z",
        "2016-12-31T23:59:59Z",
    )
]


def committed_at(folder: Path) -> list[int]:
    lines = (folder / "trades" / SYMBOL / "commits.jsonl").read_bytes().splitlines()
    return [orjson.loads(line)["committed_at"] for line in lines]


def test_a_clock_that_is_set_back(tmp_path: Path, rng: random.Random, tallied: Tallies):
    tally = tallied("09 clock set back")
    for turn in range(TRIES):
        folder = tmp_path / str(turn)
        clocks = [Clock(), Clock(NOON - DAY)]
        stores = [CsvStore(folder, clock=clock, clock_ahead_seconds=10**9) for clock in clocks]
        expected: list[int] = []
        for number in BATCHES:
            chosen = rng.randrange(len(stores))
            clock = clocks[chosen]
            clock.now = rng.choice([clock.now + rng.choice(LEAPS), rng.choice(INSTANTS)])
            stores[chosen].append(batch_of(number))
            expected.append(max([clock.now, *(instant + 1 for instant in expected[-1:])]))
            found = findings(all_rows(stores[not chosen]), range(1, number + 1))
            tally.add(acknowledged=number, lost=len(found.lost), torn=len(found.torn))
        times = committed_at(folder)
        assert times == expected == sorted(set(times))
        for store in (*stores, CsvStore(folder)):
            for number, instant in enumerate(times, start=1):
                assert store.log(TRADES, SYMBOL).as_of(instant).commit.number == number
                assert store.log(TRADES, SYMBOL).as_of(instant - 1).commit.number == number - 1
            at = store.log(TRADES, SYMBOL).as_of(rng.randint(times[0], times[-1])).commit.number
            assert stored(store, commit=at) == rows_sent(range(1, at + 1))
    tally.settle()
