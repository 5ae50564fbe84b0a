"""Batches whose rows tell which batch they are of, and what of them a store has."""

import random
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cache

from store.exceptions import UnknownSymbol
from store.market_store import MarketStore
from store.protocol import Append
from tests.store.builders import DAY, SECOND, SYMBOL, Row, batch, stored, trade

SIZES = (1, 1, 2, 3, 7, 40, 300)


@cache
def rows_of(number: int) -> tuple[Row, ...]:
    """The rows of a batch, on up to three dates, in order of event time: between those of every other batch."""
    chooser = random.Random(number)
    count = chooser.choice(SIZES)
    days = chooser.choice([(0,), (number // 4 % 3,), (0, 1), (0, 1, 2)])
    rows = [
        trade(
            DAY * chooser.choice(days) + SECOND * n + number,
            1.0 + n / 8,
            1.0 + number,
            trade_id=f"{number}-{n}" if number % 3 else None,
            conditions=f"{number}:{count}",
        )
        for n in range(count)
    ]
    return tuple(sorted(rows, key=_time))


def batch_of(number: int, symbol: str = SYMBOL) -> Append:
    return batch(*rows_of(number), symbol=symbol, request_key=str(number) if number % 2 else None)


@dataclass(frozen=True)
class Findings:
    """Of acknowledged batches those that are not there; of all batches those that are not there as they were sent."""

    lost: frozenset[int]
    torn: frozenset[int]

    def __bool__(self) -> bool:
        return bool(self.lost or self.torn)


def findings(rows: Iterable[Row], acknowledged: Collection[int]) -> Findings:
    found: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        found[int(row["conditions"].split(":")[0])].append(row)
    torn = {number for number, of_batch in found.items() if tuple(of_batch) != rows_of(number)}
    return Findings(frozenset(acknowledged) - frozenset(found), frozenset(torn))


def numbers_in(rows: Iterable[Row]) -> set[int]:
    return {int(row["conditions"].split(":")[0]) for row in rows}


def all_rows(store: MarketStore, symbol: str = SYMBOL) -> list[Row]:
    """The stored rows in order; none for a symbol without any commit."""
    try:
        return stored(store, symbol=symbol)
    except UnknownSymbol:
        return []


def rows_sent(numbers: Iterable[int]) -> list[Row]:
    """The rows of batches as a store that has them all gives them."""
    return sorted((row for number in set(numbers) for row in rows_of(number)), key=_time)


def _time(row: Row) -> int:
    time_ns: int = row["timestamp"]
    return time_ns
