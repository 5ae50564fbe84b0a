"""Bars of spans against bars made row by row: from prints, and from aggregates in any order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.bar_policies import EVERY_PRINT, US_EQUITIES
from store.bars.aggregation import aggregate_prints
from store.bars.prints import STANDS, prints_of
from store.bars.spans import Spans, span_bars_of
from tests.chance import examples
from tests.store.bars.slow_spans import Span, columns, drawn_spans, slow_span_bars
from tests.store.bars.test_policy_bars import LOPSIDED, tuples
from tests.store.builders import MINUTE, NOON, SECOND
from tests.store.printed_days import DATES, DateOf, in_order, printed, several_days, table

POLICIES = [EVERY_PRINT, US_EQUITIES, LOPSIDED]
QUARTERS = st.integers(-44, 44).map(lambda quarter: NOON + quarter * 15 * SECOND)
ODD = st.integers(-11 * MINUTE, 11 * MINUTE).map(lambda at: NOON + at)
prints = st.one_of(printed, several_days)


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
@settings(max_examples=examples(80), deadline=None)
@given(
    drawn=st.lists(prints, max_size=40),
    spans=st.one_of(drawn_spans(QUARTERS, most=40), drawn_spans(ODD)),
    date_of=st.sampled_from(DATES),
    at=st.sampled_from([None, 1, 2, 4]),
)
def test_span_bars_equal_bars_made_row_by_row(policy, drawn, spans: list[Span], date_of: DateOf, at):
    rows = in_order(drawn)
    expected = slow_span_bars(rows, policy, spans, date_of=date_of, at=STANDS - 1 if at is None else at)
    prints = prints_of(table(rows), policy, commit=at)
    found = span_bars_of([aggregate_prints(prints, 1)], columns(spans), date_of)
    assert tuples(found) == expected


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
@settings(max_examples=examples(80), deadline=None)
@given(
    drawn=st.lists(printed, max_size=40),
    spans=drawn_spans(QUARTERS, most=40),
    date_of=st.sampled_from(DATES),
    data=st.data(),
)
def test_any_split_into_aggregates_gives_the_same_bars(policy, drawn, spans, date_of: DateOf, data):
    rows = in_order(drawn)
    owner = data.draw(st.lists(st.integers(0, 3), min_size=len(rows), max_size=len(rows)))
    groups = [[row for row, each in zip(rows, owner, strict=True) if each == group] for group in range(4)]
    intervals = [data.draw(st.sampled_from([1, SECOND, 5 * SECOND, 15 * SECOND])) for _ in groups]
    parts = [
        aggregate_prints(prints_of(table(group), policy), interval)
        for group, interval in zip(groups, intervals, strict=True)
    ]
    found = span_bars_of(parts, columns(spans), date_of)
    assert tuples(found) == slow_span_bars(rows, policy, spans, date_of=date_of)


BAD = {
    "one column is longer": ([0, 5], [5, 6], [0]),
    "an empty window": ([0], [0], [0]),
    "an end before its start": ([5], [4], [0]),
    "windows that overlap": ([0, 4], [5, 9], [0, 4]),
    "windows that descend": ([5, 0], [9, 5], [0, 5]),
    "labels that descend": ([0, 5], [5, 9], [5, 0]),
}


@pytest.mark.parametrize("given_columns", BAD.values(), ids=list(BAD))
def test_invalid_spans_raise(given_columns: tuple[list[int], ...]):
    with pytest.raises(ValueError):
        Spans(*(np.array(column, np.int64) for column in given_columns))
