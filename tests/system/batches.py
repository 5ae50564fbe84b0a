"""Batches whose rows tell which batch they are of, and the count of a batch's rows in a store."""

import random
from collections import Counter
from dataclasses import dataclass
from datetime import date, timedelta

from store.cached_property import cached_property
from store.csv.store import CsvStore
from store.datasets import TRADES
from store.exceptions import UnknownSymbol
from store.protocol import ALL_TIME
from tests.system.clients import trades_body

_FIRST_DAY = date(2025, 1, 2)


@dataclass(frozen=True)
class Batch:
    """`size` unique rows of one UTC date, the `number` of the batch as their volume; with ids or without."""

    number: int
    symbol: str
    size: int
    has_ids: bool
    day: int = 0

    @cached_property
    def body(self) -> bytes:
        day = _FIRST_DAY + timedelta(days=self.day)
        rows = [
            {
                # Batches lie between one another, so that looking for duplicates has to look at rows.
                "timestamp": f"{day}T{row // 3600:02}:{row // 60 % 60:02}:{row % 60:02}.{self.number:06}Z",
                "price": 100 + row / 100,
                "volume": self.number,
                **({"trade_id": f"{self.number}-{row}"} if self.has_ids else {}),
            }
            for row in range(self.size)
        ]
        return trades_body(self.symbol, rows)


def random_batch(rng: random.Random, number: int, symbols: list[str], *, day: int = 0) -> Batch:
    size = rng.choice([1, 1, 7, 60, 400, rng.randint(1, 3000)])
    return Batch(number, rng.choice(symbols), size, rng.random() < 0.5, day)


def stored_counts(store: CsvStore, symbols: list[str]) -> Counter[tuple[str, int]]:
    """Rows in the store by (symbol, batch)."""
    counts: Counter[tuple[str, int]] = Counter()
    for symbol in symbols:
        try:
            volumes = store.log(TRADES, symbol).at().rows(ALL_TIME).column("volume").to_pylist()
        except UnknownSymbol:
            continue
        counts.update((symbol, int(volume)) for volume in volumes)
    return counts
