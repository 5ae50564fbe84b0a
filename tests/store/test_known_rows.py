"""Rows as they were known at their time, in every store, against a plain computation over all that was sent."""

import random
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from store.arrays import Mask
from store.bar_policies import US_EQUITIES
from store.bars.prints import masks_of
from store.datasets import TRADES
from store.log_views import last_rows
from store.log_views.last_rows import last_rows_at
from store.log_views.log_view import view_of
from store.market_store import MarketStore
from store.protocol import ALL_TIME
from store.terms import Settle
from tests.chance import SOAK
from tests.store.builders import (
    DAY,
    MINUTE,
    NOON,
    SECOND,
    SYMBOL,
    Clock,
    amendment,
    batch,
    correct,
    trade,
)  # fmt: skip
from tests.store.known_history import HOUR, SETTLE, WINDOW, history

pytestmark = pytest.mark.system


@pytest.mark.parametrize("seed", range(6 if SOAK else 1))
def test_rows_are_those_that_were_known(store: MarketStore, clock: Clock, seed: int):
    oracle = history(store, clock, random.Random(seed))
    view = replace(view_of(store.log(TRADES, SYMBOL).at()), settle=Settle((SETTLE,)))
    assert view.rows(WINDOW).to_pylist() == oracle.rows(WINDOW.start_ns, WINDOW.end_ns)
    for at in (WINDOW.start_ns + MINUTE, WINDOW.end_ns, WINDOW.end_ns + 3 * HOUR):
        assert view.rows_at(WINDOW, at).to_pylist() == [version.row for version in oracle.rows_at(at)]


@pytest.mark.parametrize("seed", range(6 if SOAK else 2))
def test_the_last_row_is_that_known_at_the_instant(
    store: MarketStore, clock: Clock, seed: int, monkeypatch: pytest.MonkeyPatch
):
    if seed % 2:
        monkeypatch.setattr(last_rows, "_MOST_ROWS", 5)
        monkeypatch.setattr(last_rows, "_MOST_ROWS_EACH", 0)
        monkeypatch.setattr(last_rows, "_FIRST_ROWS", 1)
    chance = random.Random(seed)
    oracle = history(store, clock, chance)
    view = replace(view_of(store.log(TRADES, SYMBOL).at()), settle=Settle((SETTLE,)))
    instants = sorted(
        chance.randrange(WINDOW.start_ns, WINDOW.end_ns + 3 * HOUR) for _ in range(40 if SOAK else 15)
    )

    def is_odd(rows: pa.Table) -> Mask:
        mask: Mask = rows.column("price").to_numpy() % 2 == 1
        return mask

    for reach_ns in (5 * MINUTE, 10 * HOUR):
        for row_filter in (None, is_odd):
            found = last_rows_at(view, np.array(instants), reach_ns=reach_ns, row_filter=row_filter)
            wanted = []
            for at in instants:
                prices = [
                    version.row["price"]
                    for version in oracle.rows_at(at + SETTLE)
                    if at - reach_ns <= version.row["timestamp"] <= at
                    and (row_filter is None or version.row["price"] % 2 == 1)
                ]
                wanted.append(prices[-1] if prices else None)
            assert found.values("price").to_pylist() == wanted
            one = [
                last_rows_at(view, np.array([at]), reach_ns=reach_ns, row_filter=row_filter)
                for at in instants
            ]
            assert [each.values("price").to_pylist()[0] for each in one] == wanted


@pytest.mark.parametrize("wait", [10 * MINUTE, 3 * HOUR], ids=["soon", "late"])
@pytest.mark.parametrize("received", [None, NOON + 1], ids=["without received_at", "received"])
def test_a_filter_that_drops_the_first_version_does_not_make_the_next_known_before(
    store: MarketStore, clock: Clock, wait: int, received: int | None
):
    clock.now = NOON + 1
    store.append(batch(trade(0, 1), trade(1, 2, conditions="odd_lot", received_at=received)))
    clock.now = NOON + wait
    store.correct(amendment(correct(1, price=2, volume=1, new={"conditions": None})))
    view = replace(view_of(store.log(TRADES, SYMBOL).at()), settle=Settle((SETTLE,)))
    instants = np.array([NOON + 1, NOON + wait - SETTLE - 1, NOON + wait - SETTLE])

    def sets_close(rows: pa.Table) -> Mask:
        return masks_of(rows, US_EQUITIES)[0]

    found = last_rows_at(view, instants, reach_ns=DAY, row_filter=sets_close)
    assert found.values("price").to_pylist() == [1, 1, 2]


def test_a_long_outage_is_searched_in_steps(store: MarketStore, clock: Clock):
    clock.now = NOON
    store.append(batch(trade(0, 1)))
    clock.now = NOON + 10 * MINUTE
    store.append(batch(*(trade(SECOND + n, 2) for n in range(200))))
    view = replace(view_of(store.log(TRADES, SYMBOL).at()), settle=Settle((SETTLE,)))
    found = last_rows_at(view, np.array([NOON + MINUTE, NOON + 11 * MINUTE]), reach_ns=HOUR)
    assert found.values("price").to_pylist() == [1, 2]


def test_many_rows_that_were_not_known_are_passed_over(
    store: MarketStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    imported = [trade(SECOND + n, 2, received_at=NOON + 30 * DAY) for n in range(300)]
    store.append(batch(trade(0, 1), *imported))
    view = replace(view_of(store.log(TRADES, SYMBOL).at()), settle=Settle((SETTLE,)))
    monkeypatch.setattr(last_rows, "_MOST_ROWS", 50)
    monkeypatch.setattr(last_rows, "_MOST_ROWS_EACH", 0)
    found = last_rows_at(view, NOON + SECOND + np.arange(0, 300, 10), reach_ns=HOUR)
    assert found.values("price").to_pylist() == [1] * 30
    assert (
        last_rows_at(view, NOON + SECOND + np.arange(30), reach_ns=SECOND - 1).indices.tolist() == [-1] * 30
    )


def test_a_row_that_was_sent_before_its_event_was_known_when_it_was_sent(store: MarketStore, clock: Clock):
    clock.now = NOON
    store.append(batch(trade(30 * 24 * HOUR, 1)))
    view = view_of(store.log(TRADES, SYMBOL).at())
    assert view.rows_at(ALL_TIME, NOON).num_rows == 1
    assert view.rows_at(ALL_TIME, NOON - 1).num_rows == 0
