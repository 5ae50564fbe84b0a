"""Bars of spans, in every store."""

import random

import numpy as np
import pytest

from store.bar_policies import EVERY_PRINT, US_EQUITIES
from store.bars.bars import Bars
from store.bars.credit import DatesOf, utc_dates
from store.bars.spans import Spans
from store.datasets import TRADES
from store.exceptions import UnknownSymbol
from store.market_store import MarketStore
from store.protocol import ALL_TIME
from store.rows.stored_rows import ArrivalRun, stored_rows
from tests.chance import SOAK
from tests.store.bars.slow_spans import Span, columns, random_spans, slow_span_bars
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
)
from tests.store.printed_days import DATES

pytestmark = pytest.mark.system

HOUR = 60 * MINUTE
ODD_LOT = "odd_lot"


def in_hours(*spans: Span) -> Spans:
    """Spans that are given in hours after noon."""
    return columns(
        [(NOON + start * HOUR, NOON + end * HOUR, NOON + label * HOUR) for start, end, label in spans]
    )


def volumes(
    store: MarketStore,
    *spans: Span,
    dates_of: DatesOf | None = utc_dates,
    commit: int | None = None,
) -> dict[int, float]:
    """By hour after noon of the label, the volume of each bar; spans are in such hours, too."""
    bars = (
        store.log(TRADES, SYMBOL)
        .at(commit)
        .span_bars(in_hours(*spans), policy=US_EQUITIES, dates_of=dates_of)
    )
    return dict(zip(((bars.time_ns - NOON) // HOUR).tolist(), bars.volume.tolist(), strict=True))


@pytest.fixture
def day(store: MarketStore) -> MarketStore:
    """Hours 0 to 5: a price and volume 1 in 0 and 3, only volume in the others: 2, 4, 8, 16, by hour."""
    store.append(batch(trade(0), trade(3 * HOUR)))
    for hour, volume in ((1, 2.0), (2, 4.0), (4, 8.0), (5, 16.0)):
        store.append(batch(trade(hour * HOUR, volume=volume, conditions=ODD_LOT)))
    return store


CREDITED = {
    "touching spans": ([(0, 1, 0), (1, 2, 1), (2, 3, 2), (3, 4, 3), (4, 6, 4)], {0: 7.0, 3: 25.0}),
    "over a gap": ([(0, 1, 0), (2, 3, 2), (3, 4, 3), (5, 6, 5)], {0: 5.0, 3: 17.0}),
    "not what is before the first bar": ([(1, 2, 1), (2, 3, 2), (3, 4, 3)], {3: 1.0}),
    "all windows of a label that has a price, over gaps, too": ([(0, 1, 0), (2, 3, 0), (5, 6, 0)], {0: 21.0}),
    "a label's window before its price": ([(0, 1, 0), (2, 3, 2), (3, 4, 2)], {0: 1.0, 2: 5.0}),
    "a label of two windows without a price": ([(0, 1, 0), (1, 2, 1), (4, 5, 1)], {0: 11.0}),
    "nothing outside of the spans": ([(0, 1, 0), (1, 2, 1)], {0: 3.0}),
}


@pytest.mark.parametrize(("spans", "expected"), CREDITED.values(), ids=list(CREDITED))
def test_volume_without_a_price_is_credited_within_a_date(day, spans, expected):
    assert volumes(day, *spans) == expected


def test_volume_without_a_price_is_dropped_without_dates(day):
    spans = [(0, 1, 0), (1, 2, 1), (2, 3, 2), (3, 4, 2), (4, 5, 4)]
    assert volumes(day, *spans, dates_of=None) == {0: 1.0, 2: 5.0}


def test_volume_without_a_price_is_not_credited_to_the_date_before(day):
    def from_five_on(time_ns):
        return (time_ns >= NOON + 5 * HOUR).astype(np.int64)

    spans = [(hour, hour + 1, hour) for hour in range(6)]
    assert volumes(day, *spans) == {0: 7.0, 3: 25.0}
    assert volumes(day, *spans, dates_of=from_five_on) == {0: 7.0, 3: 9.0}


def test_no_spans_give_no_bars(day):
    bars = day.log(TRADES, SYMBOL).at().span_bars(columns([]), dates_of=None)
    assert len(bars) == 0
    assert bars.time_ns.dtype == np.int64


def test_spans_without_trades_have_no_bars(day):
    assert (
        len(
            day.log(TRADES, SYMBOL)
            .at()
            .span_bars(columns([(NOON + DAY, NOON + 2 * DAY, NOON)]), dates_of=None)
        )
        == 0
    )


def test_a_bar_is_of_all_windows_of_its_label(store):
    store.append(batch(*(trade(hour * HOUR, 1.0 + hour, 10.0**hour) for hour in (3, 0, 2, 1, 4))))
    bars = (
        store.log(TRADES, SYMBOL).at().span_bars(in_hours((0, 1, -2), (2, 3, -2), (4, 5, 4)), dates_of=None)
    )
    found = list(zip(*(getattr(bars, name).tolist() for name in Bars.__slots__), strict=True))
    assert found == [
        (NOON - 2 * HOUR, 1.0, 3.0, 1.0, 3.0, 101.0, 2, 301.0),
        (NOON + 4 * HOUR, 5.0, 5.0, 5.0, 5.0, 10_000.0, 1, 50_000.0),
    ]


def test_late_trades_and_corrections_change_bars_and_old_commits_stay_readable(day):
    spans = [(0, 1, 0), (1, 2, 1), (2, 3, 2), (3, 6, 3)]
    head = day.log(TRADES, SYMBOL).head.number
    before = volumes(day, *spans)
    day.append(batch(trade(HOUR + 1, volume=32.0)))
    late = volumes(day, *spans)
    day.correct(
        amendment(
            cancel(0, price=100.0, volume=1.0),
            correct(2 * HOUR, price=100.0, volume=4.0, new={"volume": 64.0}),
        )
    )
    assert before == {0: 7.0, 3: 25.0}
    assert late == {0: 1.0, 1: 38.0, 3: 25.0}
    assert volumes(day, *spans) == {1: 98.0, 3: 25.0}
    assert [volumes(day, *spans, commit=head + n) for n in range(3)] == [before, late, {1: 98.0, 3: 25.0}]
    assert volumes(day, *spans, commit=0) == {}


def test_sizes_far_apart_are_summed_exactly(store):
    sizes = [1e-300, 2.0**53, 3e-290, 1.0, 1e15, 5e-324]
    store.append(batch(*(trade(at * MINUTE, 1.0, size) for at, size in enumerate(sizes))))
    store.append(batch(trade(10 * MINUTE, 1.0, 7.0, conditions=ODD_LOT)))
    spans = columns([(NOON, NOON + 6 * MINUTE, NOON), (NOON + 6 * MINUTE, NOON + HOUR, NOON + 6 * MINUTE)])
    bars = store.log(TRADES, SYMBOL).at().span_bars(spans, policy=US_EQUITIES, dates_of=utc_dates)
    assert (bars.time_ns.tolist(), bars.volume.tolist()) == ([NOON], [float(2**53 + 10**15 + 8)])


def test_an_unknown_symbol_has_no_bars_of_spans(store):
    with pytest.raises(UnknownSymbol):
        store.log(TRADES, "NONE").at().span_bars(columns([]), dates_of=None)


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


@pytest.mark.parametrize("seed", range(6 if SOAK else 2))
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
                bars = (
                    store.log(TRADES, SYMBOL)
                    .at(at)
                    .span_bars(columns(spans), policy=policy, dates_of=date_of)
                )
                found = list(zip(*(getattr(bars, name).tolist() for name in Bars.__slots__), strict=True))
                assert found == slow_span_bars(visible, policy, spans, date_of=date_of)
