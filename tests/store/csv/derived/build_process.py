"""The subprocess of test_processes."""

import random
from pathlib import Path

from store.csv import CsvStore
from store.datasets import TRADES


def build_until_killed(folder: Path, symbol: str, seed: int) -> None:
    """Build, rebuild and compact until killed."""
    chooser, store = random.Random(seed), CsvStore(folder, segment_rows=50)
    while True:
        store.derive(TRADES, symbol, rebuild=chooser.random() < 0.5, compact=chooser.random() < 0.3)
