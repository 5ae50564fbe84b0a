"""A quiet market of two symbols, in which some rows are known late, or are corrected or cancelled much later."""

import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from store import open_store
from store.csv import CsvStore
from store.datasets import QUOTES, TRADES
from store.instruments import CRYPTO, Instrument
from store.protocol import Action, Amendment, Append, Correction
from store.reading import Reader
from store.timestamps import MINUTE_NS, SECOND_NS
from tests.trading.strategies.past import START_NS, batch_of

X, Y = "X-USD", "Y-USD"
MINUTES = 120
# The minute about which the tests of leaks tell something late.
TOLD = 60
_AN_HOUR_LATE_NS = 60 * MINUTE_NS
_Row = dict[str, Any]


class LatePrint(NamedTuple):
    """A print that comes late. second: of its minute. late_ns: after its time."""

    price: float
    volume: float
    minute: int = TOLD
    second: int = 58
    symbol: str = X
    late_ns: int = _AN_HOUR_LATE_NS


class Amended(NamedTuple):
    """A print that comes in time and is corrected long after the period, or cancelled if nothing is new."""

    price: float
    volume: float
    new: dict[str, float]
    minute: int = TOLD
    second: int = 58
    symbol: str = X


class Silence(NamedTuple):
    """A minute without prints in time."""

    minute: int = TOLD
    symbol: str = X


Later = LatePrint | Amended | Silence


def market(path: Path, later: Iterable[Later]) -> Reader:
    """A store: trades of X and Y each ten seconds, 1,000 units near 100; quotes of X; and what was known late."""
    path.mkdir()
    store, chance, told = CsvStore(path), random.Random(7), list(later)
    for symbol in (X, Y):
        store.set_instrument(
            Instrument(symbol=symbol, instrument_class=CRYPTO, currency="USD", tick_size=0.01, settle=2.0)
        )
        own = [each for each in told if each.symbol == symbol]
        rows = [row for row in _in_time(chance) if _minute(row) not in _silent(own)]
        if symbol == X:
            quotes = [
                {"timestamp": row["timestamp"] - 1, "bid": row["price"] - 0.01, "ask": row["price"] + 0.01}
                for row in rows
            ]
            store.append(Append(QUOTES, X, batch_of(QUOTES, quotes), "test"))
        rows += [_told(each) for each in own if not isinstance(each, Silence)]
        store.append(Append(TRADES, symbol, batch_of(TRADES, rows), "test"))
        if amended := tuple(_correction(each) for each in own if isinstance(each, Amended)):
            store.correct(Amendment(TRADES, symbol, amended, "test"))
    return open_store(path)


def _in_time(chance: random.Random) -> list[_Row]:
    return [
        {
            "timestamp": at_ns,
            "price": 100 + chance.randrange(-5, 6) / 100,
            "volume": 1_000.0,
            "received_at": at_ns,
        }
        for at_ns in range(START_NS + 5 * SECOND_NS, START_NS + MINUTES * MINUTE_NS, 10 * SECOND_NS)
    ]


def _minute(row: _Row) -> int:
    minute: int = (row["timestamp"] - START_NS) // MINUTE_NS
    return minute


def _silent(told: Iterable[Later]) -> set[int]:
    return {each.minute for each in told if isinstance(each, Silence)}


def _told(each: LatePrint | Amended) -> _Row:
    at_ns = START_NS + each.minute * MINUTE_NS + each.second * SECOND_NS
    late_ns = each.late_ns if isinstance(each, LatePrint) else 0
    return {
        "timestamp": at_ns,
        "price": each.price,
        "volume": each.volume,
        "received_at": at_ns + late_ns,
        "trade_id": f"{each.minute}-{each.second}",
    }


def _correction(each: Amended) -> Correction:
    at_ns = START_NS + each.minute * MINUTE_NS + each.second * SECOND_NS
    action = Action.CORRECT if each.new else Action.CANCEL
    return Correction(action, at_ns, {"trade_id": f"{each.minute}-{each.second}"}, each.new)
