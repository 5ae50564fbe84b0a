"""Quote bars against bars made quote by quote."""

import math
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from store.bars.quote_bars import NO_QUOTE, KnownQuote, QuoteBars, quote_after, quote_bars_of
from tests.chance import examples
from tests.store.builders import MINUTE, NOON, SECOND

SIDES = ("bid", "ask")
SCHEMA = pa.schema(
    [("timestamp", pa.int64()), *((name, pa.float64()) for name in ("bid", "bid_size", "ask", "ask_size"))]
)

prices = st.sampled_from([None, None, 1.0, 1.01, 2.5, -3.0, 0.0])
amounts = st.sampled_from([None, 0.0, 100.0, 0.25])
quotes = st.lists(
    st.fixed_dictionaries(
        {
            "timestamp": st.integers(-30, 30).map(lambda place: NOON + place * 20 * SECOND),
            "bid": prices,
            "bid_size": amounts,
            "ask": prices,
            "ask_size": amounts,
        }
    ),
    max_size=30,
).map(lambda rows: sorted(rows, key=lambda row: row["timestamp"] or 0))
known = st.builds(KnownQuote, *(st.sampled_from([math.nan, 1.0, 7.5]) for _ in range(4)))


def table(rows: list[Any]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def slow_bars(rows, carried: KnownQuote) -> dict[int, dict[str, float]]:
    now = {side: (getattr(carried, side), getattr(carried, f"{side}_size")) for side in SIDES}
    bars: dict[int, dict[str, float]] = {}
    seen: dict[tuple[int, str], list[float]] = {}
    for row in rows:
        time = row["timestamp"] // MINUTE * MINUTE
        bar = bars.setdefault(time, {"quote_count": 0})
        bar["quote_count"] += 1
        for side in SIDES:
            values = seen.setdefault((time, side), [] if math.isnan(now[side][0]) else [now[side][0]])
            if row[side] is not None:
                size = row[f"{side}_size"]
                now[side] = (row[side], math.nan if size is None else size)
                values.append(row[side])
            said = values or [math.nan]
            bar |= {f"{side}_open": said[0], f"{side}_high": max(said), f"{side}_low": min(said)}
            bar |= {f"{side}_close": said[-1], f"{side}_size": now[side][1]}
    return bars


@settings(max_examples=examples(200), deadline=None)
@given(rows=quotes, carried=known)
def test_quote_bars_equal_bars_made_quote_by_quote(rows, carried):
    bars = quote_bars_of(table(rows), MINUTE, carried)
    expected = slow_bars(rows, carried)
    assert bars.time_ns.tolist() == sorted(expected)
    for name in QuoteBars.__slots__[1:]:
        column = [expected[time][name] for time in sorted(expected)]
        np.testing.assert_array_equal(getattr(bars, name), column, err_msg=name)


@settings(max_examples=examples(100), deadline=None)
@given(rows=quotes, edge=st.integers(-10, 10).map(lambda minute: NOON + minute * MINUTE))
def test_carried_quote_gives_the_same_bars_as_all_rows(rows, edge):
    before = [row for row in rows if row["timestamp"] < edge]
    after = [row for row in rows if row["timestamp"] >= edge]
    whole = quote_bars_of(table(rows), MINUTE)
    part = quote_bars_of(table(after), MINUTE, quote_after(table(before)))
    skipped = len(whole) - len(part)
    for name in QuoteBars.__slots__:
        np.testing.assert_array_equal(getattr(part, name), getattr(whole[skipped:], name), err_msg=name)


def test_known_quote_is_the_last_of_each_side():
    rows = [
        {"timestamp": NOON, "bid": 1.0, "bid_size": 5.0, "ask": None, "ask_size": None},
        {"timestamp": NOON, "bid": None, "bid_size": 9.0, "ask": 2.0, "ask_size": 6.0},
    ]
    assert quote_after(table(rows)) == KnownQuote(1.0, 5.0, 2.0, 6.0)
    assert quote_after(table([]), KnownQuote(1.0, 5.0, 2.0, 6.0)) == KnownQuote(1.0, 5.0, 2.0, 6.0)
    assert math.isnan(quote_after(table([])).bid)


def test_an_interval_without_quotes_makes_no_bar_and_a_side_never_quoted_stays_absent():
    rows = [{"timestamp": NOON + at, "bid": 1.0, "bid_size": 5.0} for at in (0, 3 * MINUTE)]
    bars = quote_bars_of(table(rows), MINUTE, NO_QUOTE)
    assert bars.time_ns.tolist() == [NOON, NOON + 3 * MINUTE]
    assert bars.bid_open.tolist() == [1.0, 1.0]
    assert all(
        np.isnan(getattr(bars, f"ask_{name}")).all() for name in ("open", "high", "low", "close", "size")
    )
    assert len(bars[1:]) == 1
