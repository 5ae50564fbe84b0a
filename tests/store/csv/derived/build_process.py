"""Subprocesses of test_processes: build derived files until killed; read with few file handles."""

import json
import random
import resource
import sys
from pathlib import Path

from store.csv import CsvStore
from store.datasets import TRADES
from store.protocol import ALL_TIME
from tests.store.builders import DAY, MINUTE, batch, trade

LOGS, HANDLES = 100, 64


def build_until_killed(folder: Path, symbol: str, seed: int) -> None:
    """Build, rebuild and compact until killed."""
    chooser, store = random.Random(seed), CsvStore(folder, segment_rows=50)
    while True:
        store.derive(TRADES, symbol, rebuild=chooser.random() < 0.5, compact=chooser.random() < 0.3)


def read_under_few_handles(folder: Path) -> None:
    """Print as JSON the number of rows and bars of each log, read twice with at most `HANDLES` descriptors."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (HANDLES, HANDLES))
    store = CsvStore(folder)
    symbols = [f"S{number}" for number in range(LOGS)]
    for symbol in symbols:
        store.append(batch(*(trade(day * DAY + n) for day in range(2) for n in range(10)), symbol=symbol))
        store.derive(TRADES, symbol)
    answers = [
        [
            len(store.log(TRADES, symbol).at().rows(ALL_TIME)),
            len(store.log(TRADES, symbol).at().bars(ALL_TIME, MINUTE)),
        ]
        for _ in range(2)
        for symbol in symbols
    ]
    sys.stdout.write(json.dumps(answers))


if __name__ == "__main__":
    read_under_few_handles(Path(sys.argv[1]))
