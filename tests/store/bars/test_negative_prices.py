"""Bars of prices around and below zero, in every store, against sums of fractions."""

import random
from fractions import Fraction
from itertools import groupby

import pytest

from store.bar_policies import US_EQUITIES
from store.datasets import TRADES
from store.protocol import ALL_TIME
from tests.store.builders import (
    DAY,
    MINUTE,
    NOON,
    SECOND,
    SYMBOL,
    Row,
    amendment,
    batch,
    correct,
    stored,
    trade,
)

pytestmark = pytest.mark.system


def prints(seed: int, prices: list[float]) -> list[Row]:
    chance = random.Random(seed)
    sizes = [0.0, 1.0, 0.1, 3.25, 1e6]
    instants = sorted(NOON + chance.randrange(3 * DAY // SECOND) % 900 * SECOND for _ in range(400))
    return [trade(at, chance.choice(prices), chance.choice(sizes)) for at in instants]


def expected(rows: list[Row], interval_ns: int) -> list[tuple[object, ...]]:
    bars: list[tuple[object, ...]] = []
    for start, group in groupby(rows, key=lambda row: row["timestamp"] // interval_ns * interval_ns):
        those = list(group)
        prices = [row["price"] for row in those]
        volume = sum(Fraction(row["volume"]) for row in those)
        notional = sum(Fraction(row["price"] * row["volume"]) for row in those)
        extremes = (prices[0], max(prices), min(prices), prices[-1])
        bars.append((start, *extremes, float(volume), len(those), float(notional)))
    return bars


def found(store, interval_ns: int) -> list[tuple[object, ...]]:
    bars = store.log(TRADES, SYMBOL).at().bars(ALL_TIME, interval_ns)
    columns = (
        bars.time_ns,
        bars.open,
        bars.high,
        bars.low,
        bars.close,
        bars.volume,
        bars.trade_count,
        bars.notional,
    )
    return list(zip(*(column.tolist() for column in columns), strict=True))  # fmt: skip


@pytest.mark.parametrize(
    "prices",
    [[-37.63, -0.01, 0.0, 0.01, 11.2], [-1e-9, 1e-9, 1e9, -1e9], [-5.0], [0.0]],
    ids=["a day of oil", "cancelling out", "below zero only", "zero only"],
)
def test_bars_are_exact_for_negative_prices(store, prices: list[float]):
    rows = prints(1, prices)
    for start in range(0, 400, 90):
        store.append(batch(*rows[start : start + 90]))
    assert stored(store) == rows
    for interval_ns in (MINUTE, 60 * MINUTE, DAY):
        assert found(store, interval_ns) == expected(rows, interval_ns)


def test_a_correction_may_take_a_price_below_zero(store):
    store.append(batch(trade(0, 5.0, 2.0, trade_id="a"), trade(1, 6.0, 1.0)))
    store.correct(amendment(correct(0, trade_id="a", new={"price": -5.5})))
    store.correct(amendment(correct(1, price=6.0, volume=1.0, new={"price": 0.0})))
    assert found(store, MINUTE) == [(NOON, -5.5, 0.0, -5.5, 0.0, 3.0, 2, -11.0)]
    changed = store.log(TRADES, SYMBOL).at().revisions(ALL_TIME, MINUTE, policy=US_EQUITIES, after=1)
    assert (changed.before.low.tolist(), changed.after.low.tolist()) == ([5.0, -5.5], [-5.5, -5.5])


def test_session_bar_of_negative_prices(store):
    words = ("opening_print", None, None, "closing_print")
    rows = [
        trade(place * MINUTE, price, 10.0, conditions=word)
        for place, (price, word) in enumerate(zip((-3.0, -8.5, 2.0, -1.0), words, strict=True))
    ]
    store.append(batch(*rows))
    bars = store.log(TRADES, SYMBOL).at().session_bars(ALL_TIME, policy=US_EQUITIES)
    assert [getattr(bars, name).tolist() for name in ("open", "high", "low", "close")] == [[-3.0], [2.0], [-8.5], [-1.0]]  # fmt: skip
