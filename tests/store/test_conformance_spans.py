"""Bars of spans, in every store."""

import random

import numpy as np
import pytest

from store.bar_policies import EVERY_PRINT, US_EQUITIES
from store.bars.bars import Bars
from store.bars.credit import utc_dates
from store.bars.spans import Spans
from store.datasets import TRADES
from store.exceptions import UnknownSymbol
from store.protocol import ALL_TIME, Action, Amendment, Correction, Window
from store.rows.stored_rows import ArrivalRun, stored_rows
from store.window_list import WindowList
from tests.chance import SOAK
from tests.store.bars.slow_spans import columns, random_spans, slow_span_bars, span_bars
from tests.store.builders import (
    DAY,
    MINUTE,
    NOON,
    SECOND,
    SYMBOL,
    amendment,
    batch,
    cancel,
    correct,
    trade,
    trades_of,
)
from tests.store.printed_days import DATES

pytestmark = pytest.mark.system


def test_no_spans_give_no_bars(store):
    store.append(batch(trade(0)))
    bars = span_bars(store.log(TRADES, SYMBOL).at(), columns([]))
    assert len(bars) == 0
    assert bars.time_ns.dtype == np.int64


def test_sizes_far_apart_are_summed_exactly(store):
    sizes = [1e-300, 2.0**53, 3e-290, 1.0, 1e15, 5e-324]
    store.append(batch(*(trade(at * MINUTE, 1.0, size) for at, size in enumerate(sizes))))
    store.append(batch(trade(10 * MINUTE, 1.0, 7.0, conditions="odd_lot")))
    spans = columns(
        [(NOON, NOON + 6 * MINUTE, NOON), (NOON + 6 * MINUTE, NOON + 60 * MINUTE, NOON + 6 * MINUTE)]
    )
    bars = span_bars(store.log(TRADES, SYMBOL).at(), spans, policy=US_EQUITIES, dates_of=utc_dates)
    assert (bars.time_ns.tolist(), bars.volume.tolist()) == ([NOON], [float(2**53 + 10**15 + 8)])


def test_an_unknown_symbol_has_no_bars_of_spans(store):
    with pytest.raises(UnknownSymbol):
        span_bars(store.log(TRADES, "NONE").at(), columns([]))


def random_row(rng: random.Random):
    at = (
        rng.choice([0, 0, 0, 1, 9]) * DAY
        + rng.randint(-90, 90) * rng.choice([SECOND, MINUTE])
        + rng.randint(0, 1)
    )
    return trade(
        at,
        float(rng.randint(1, 9)),
        rng.choice([1.0, 100.0, 0.1, 1e-9, 3e12]),
        sequence=rng.choice([None, 1, 2]),
        conditions=rng.choice([None, "odd_lot", "odd_lot", "closing_print", "extended_hours;odd_lot"]),
        trade_id=str(rng.getrandbits(60)),
    )


EDGES = sorted(
    {
        *(NOON + quarter * 15 * MINUTE for quarter in range(-12, 13)),
        *(NOON + minute * MINUTE for minute in range(-30, 60)),
        *(NOON + second * SECOND for second in range(-60, 60, 7)),
        *(NOON // DAY * DAY + day * DAY for day in range(-1, 12)),
        *(NOON + odd for odd in (-1, 1, 12345, DAY + 1)),
    }
)


@pytest.mark.parametrize("seed", range(9 if SOAK else 1))
def test_bars_of_random_spans_equal_bars_made_row_by_row(store, seed: int):
    rng = random.Random(seed)
    standing = []
    for _ in range(5):
        rows = [random_row(rng) for _ in range(rng.randint(1, 25))]
        store.append(batch(*rows))
        standing += rows
        row = standing.pop(rng.randrange(len(standing)))
        named = {"trade_id": row["trade_id"]}
        if rng.random() < 0.5:
            standing.append(row | {"price": 77.0, "conditions": "odd_lot"})
            change = correct(row["timestamp"], **named, new={"price": 77.0, "conditions": "odd_lot"})
        else:
            change = cancel(row["timestamp"], **named)
        store.correct(amendment(change))
    for at in (10, rng.randint(1, 9)):
        table = store.log(TRADES, SYMBOL).at(at).rows(ALL_TIME)
        visible = stored_rows(table, [ArrivalRun(0, 1, len(table))]).to_pylist()
        assert at < 10 or len(visible) == len(standing)
        for policy in (EVERY_PRINT, US_EQUITIES):
            for date_of in DATES:
                spans = random_spans(rng, EDGES)
                snapshot = store.log(TRADES, SYMBOL).at(at)
                bars = span_bars(snapshot, columns(spans), policy=policy, dates_of=date_of)
                found = list(zip(*(getattr(bars, name).tolist() for name in Bars.__slots__), strict=True))
                assert found == slow_span_bars(visible, policy, spans, date_of=date_of)


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
    with pytest.raises(ValueError, match="spans"):
        Spans(*(np.array(column, np.int64) for column in given_columns))


def test_of_auctions_only_their_prints_count(store):
    """Also those that a correction marks, unmarks or cancels, and as of earlier commits."""
    rows = [
        trade(0, 100.0, conditions="opening_print"),
        trade(MINUTE, 101.0),
        trade(2 * MINUTE, 102.0, conditions="regular;closing_print"),
        trade(3 * MINUTE, 103.0, conditions="odd_lot"),
    ]
    store.append(batch(*rows))
    changes = (
        Correction(Action.CANCEL, NOON, {"price": 100.0, "volume": 1.0}),
        Correction(
            Action.CORRECT,
            NOON + MINUTE,
            {"price": 101.0, "volume": 1.0},
            new={"conditions": "closing_print"},
        ),
        Correction(
            Action.CORRECT, NOON + 2 * MINUTE, {"price": 102.0, "volume": 1.0}, new={"conditions": "regular"}
        ),
    )
    store.correct(Amendment(TRADES, SYMBOL, changes, "key:1"))
    windows = WindowList.of(Window(NOON, NOON + 60 * MINUTE))
    for policy in (EVERY_PRINT, US_EQUITIES):
        for commit, closes in ((1, [100.0, 102.0]), (2, [101.0])):
            made = trades_of(store).at(commit).aggregates(windows, SECOND, policy.auctions)
            assert made.close[made.price_count > 0].tolist() == closes
