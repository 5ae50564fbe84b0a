"""Aggregates and bars under bar policies against bars made row by row, merges against all at once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.bar_policies import EVERY_PRINT, US_EQUITIES, BarPolicy, ConditionEffect, Effect
from store.bars.aggregates import Aggregates, merge
from store.bars.aggregation import aggregate_prints
from store.bars.bars import Bars, bars_of
from store.bars.prints import STANDS, prints_of
from tests.chance import examples
from tests.store.builders import DAY, MINUTE, NOON, SECOND
from tests.store.printed_days import DATES, DateOf, Row, in_order, printed, several_days, slow_bars, table

LOPSIDED = BarPolicy(
    "lopsided",
    {
        "average_price": ConditionEffect(Effect.NO, Effect.YES, Effect.YES),
        "cross": ConditionEffect(Effect.YES, Effect.NO, Effect.ALWAYS),
        "official_close": ConditionEffect(Effect.YES, Effect.NEVER, Effect.NO),
        "regular": ConditionEffect(Effect.NO, Effect.ALWAYS, Effect.NO),
    },
)
POLICIES = [EVERY_PRINT, US_EQUITIES, LOPSIDED]
INTERVALS = [SECOND, MINUTE, 5 * MINUTE, 60 * MINUTE, DAY]
days = st.lists(st.one_of(printed, printed, several_days), min_size=1, max_size=40)


def tuples(bars: Bars) -> list[tuple[float, ...]]:
    return list(zip(*(getattr(bars, name).tolist() for name in Bars.__slots__), strict=True))


def aggregated(rows: list[Row], policy: BarPolicy, interval: int, at: int | None = None) -> Aggregates:
    return aggregate_prints(prints_of(table(rows), policy, commit=at), interval)


def assert_same(left: Aggregates, right: Aggregates) -> None:
    for name in Aggregates.__slots__:
        np.testing.assert_array_equal(getattr(left, name), getattr(right, name), err_msg=name)


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
@settings(max_examples=examples(60), deadline=None)
@given(
    drawn=days,
    interval=st.sampled_from(INTERVALS),
    at=st.sampled_from([None, 1, 2, 3, 4, 6]),
    date_of=st.sampled_from(DATES),
)
def test_bars_equal_bars_made_row_by_row(policy, drawn, interval, at, date_of: DateOf):
    rows = in_order(drawn)
    expected = slow_bars(rows, policy, interval, STANDS - 1 if at is None else at, date_of)
    prints = prints_of(table(rows), policy, commit=at)
    assert tuples(bars_of(aggregate_prints(prints, interval), date_of)) == expected
    assert tuples(bars_of(merge([aggregate_prints(prints, SECOND)], interval), date_of)) == expected


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
@settings(max_examples=examples(60), deadline=None)
@given(drawn=days, data=st.data())
def test_any_merge_tree_gives_the_same_aggregates(policy, drawn, data):
    rows = in_order(drawn)
    owner = data.draw(st.lists(st.integers(0, 4), min_size=len(rows), max_size=len(rows)))
    groups = [[row for row, each in zip(rows, owner, strict=True) if each == group] for group in range(5)]
    parts = [aggregated(group, policy, data.draw(st.sampled_from([SECOND, MINUTE]))) for group in groups]
    while len(parts) > 1:
        parts = data.draw(st.permutations(parts))
        parts = [merge(parts[:2], MINUTE), *parts[2:]]
    assert_same(merge(parts, 5 * MINUTE), aggregated(rows, policy, 5 * MINUTE))


def a_print(at: int = 0, **others: object) -> Row:
    row = {"timestamp": NOON + at, "price": 1.0, "volume": 1.0, "sequence": None, "conditions": None}
    return row | {"commit": 1, "lasts": None} | others


def test_interval_with_only_cancelled_rows_stays_with_counts_of_zero():
    aggregates = aggregated(in_order([a_print(lasts=2), a_print(MINUTE)]), EVERY_PRINT, MINUTE)
    assert aggregates.time.tolist() == [NOON, NOON + MINUTE]
    assert aggregates.newest.tolist() == [3, 1]
    assert aggregates.price_count.tolist() == aggregates.trade_count.tolist() == [0, 1]
    assert aggregates.volume.tolist() == [0.0, 1.0]
    assert bars_of(aggregates).time_ns.tolist() == [NOON + MINUTE]


def test_a_bar_without_prints_for_high_and_low_spans_open_and_close():
    rows = in_order([a_print(price=3.0, conditions="cross"), a_print(SECOND, price=2.0, conditions="cross")])
    bars = bars_of(aggregated(rows, LOPSIDED, MINUTE))
    assert tuples(bars)[0][1:5] == (3.0, 3.0, 2.0, 2.0)


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]])
def test_merged_prints_of_one_instant_are_ordered_by_sequence_then_arrival(order: list[int]):
    rows = in_order([a_print(price=float(place), sequence=[7, None, 3, 7][place]) for place in range(4)])
    parts = [aggregated([rows[place]], EVERY_PRINT, SECOND) for place in order]
    merged = merge(parts, MINUTE)
    assert [row["price"] for row in rows] == [2.0, 0.0, 3.0, 1.0]
    assert (merged.open.tolist(), merged.close.tolist()) == ([2.0], [1.0])
    equal = [part for part in parts if part.first_sequence[0] == 7]
    assert (merge(equal, MINUTE).open.tolist(), merge(equal, MINUTE).close.tolist()) == ([0.0], [3.0])
