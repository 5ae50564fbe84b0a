"""Bars as they were known when they ended, in every store, against a plain computation over all that was sent."""

import random
from typing import Any

import numpy as np
import pytest

from store.bar_policies import BAR_POLICIES, EVERY_PRINT, US_EQUITIES, BarPolicy
from store.bars.bars import Bars
from store.datasets import BARS, TRADES
from store.instruments import Instrument
from store.log_views.bar_grid import plain_grid
from store.log_views.known_bars import KnownLog, bars_of_logs
from store.log_views.log_view import empty_view, view_of
from store.market_store import MarketStore
from store.protocol import ALL_TIME
from tests.chance import SOAK
from tests.store.builders import (
    MINUTE,
    NOON,
    SECOND,
    SYMBOL,
    Clock,
    Row,
    amendment,
    batch,
    cancel,
    correct,
    trade,
)
from tests.store.known_history import HOUR, SETTLE, WINDOW, history

pytestmark = pytest.mark.system


def then(
    store: MarketStore,
    length: int = MINUTE,
    policy: BarPolicy = EVERY_PRINT,
    known_at_ns: int | None = None,
    commit: int | None = None,
) -> Bars:
    trades = view_of(store.log(TRADES, SYMBOL).at(commit))
    grid = plain_grid(length, Instrument("ACME"))
    stored = empty_view(store.log(BARS, SYMBOL))
    return bars_of_logs(trades, stored, grid, policy, SETTLE, known_at_ns=known_at_ns).bars(WINDOW)


def columns_of(bars: Bars) -> list[tuple[float, ...]]:
    """(start, open, high, low, close, volume, count) of each bar."""
    columns = (bars.time_ns, bars.open, bars.high, bars.low, bars.close, bars.volume, bars.trade_count)
    return [tuple(row) for row in np.column_stack([column.astype(object) for column in columns]).tolist()]


def brief(bars: Bars) -> list[tuple[int, float, float]]:
    """(minutes after noon, close, volume) of each bar."""
    columns = (bars.time_ns.tolist(), bars.close.tolist(), bars.volume.tolist())
    return [((at - NOON) // MINUTE, close, volume) for at, close, volume in zip(*columns, strict=True)]


def send(store: MarketStore, clock: Clock, at: int, *rows: Row) -> None:
    """Send rows so that their commit is made so many nanoseconds after noon."""
    clock.now = NOON + at
    store.append(batch(*rows))


def test_as_of_leaves_out_what_was_stored_later(store: MarketStore, clock: Clock):
    send(store, clock, 1, trade(0, 1))
    send(store, clock, HOUR * 5, trade(1, 2))
    assert [brief(then(store, commit=number)) for number in (1, 2)] == [[(0, 1, 1)], [(0, 2, 2)]]


def test_volume_is_credited_only_if_it_was_known_and_had_happened_then(store: MarketStore, clock: Clock):
    odd: dict[str, Any] = {"conditions": "odd_lot"}
    send(store, clock, 10 * SECOND, trade(10 * SECOND, 1))
    send(store, clock, 61 * SECOND, trade(61 * SECOND, 7, 10, **odd))
    send(store, clock, 63 * SECOND, trade(63 * SECOND, 7, 100, received_at=NOON, **odd))
    send(store, clock, 130 * SECOND, trade(121 * SECOND, 3), trade(122 * SECOND, 3, 1000, **odd))
    assert brief(then(store, policy=US_EQUITIES)) == [(0, 1, 11), (2, 3, 1001)]


def test_it_counts_which_time_told(store: MarketStore, clock: Clock):
    send(store, clock, 10, trade(1), trade(2), trade(3, received_at=NOON))
    send(store, clock, 2 * HOUR, trade(4))
    log = KnownLog(
        view_of(store.log(TRADES, SYMBOL).at()), plain_grid(MINUTE, Instrument("ACME")), EVERY_PRINT, SETTLE
    )
    assert log.versions(WINDOW).counts() == {"received_at": 1, "committed_at": 2, "event": 1}


@pytest.mark.parametrize("seed", range(12 if SOAK else 1))
def test_bars_are_those_that_were_known(store: MarketStore, clock: Clock, seed: int):
    oracle = history(store, clock, random.Random(seed))
    for policy in BAR_POLICIES.values():
        for length in (SECOND, MINUTE, 5 * MINUTE, HOUR):
            rows = columns_of(then(store, length, policy))
            assert rows == oracle.bars(length, policy), (policy.name, length)
            for at in (NOON + 5 * MINUTE, NOON + 20 * MINUTE, NOON + 3 * HOUR):
                rows = columns_of(then(store, length, policy, at))
                assert rows == oracle.bars(length, policy, at), (policy.name, length, at)


def test_versions_are_all_that_commits_stored(store: MarketStore, clock: Clock):
    send(store, clock, 1, trade(0, 1), trade(1, 2))
    store.correct(amendment(correct(0, price=1, volume=1, new={"price": 3.0})))
    store.correct(amendment(cancel(1, price=2, volume=1)))
    names = ("price", "arrival", "commit", "until")

    def versions(commit: int | None) -> list[tuple[Any, ...]]:
        table = store.log(TRADES, SYMBOL).at(commit).versions(ALL_TIME)
        return [tuple(row[name] for name in names) for row in table.to_pylist()]

    stands = 2**31 - 1
    assert versions(None) == [(1, 0, 1, 2), (3, 0, 2, stands), (2, 1, 1, 3)]
    assert versions(2) == [(1, 0, 1, 2), (3, 0, 2, stands), (2, 1, 1, stands)]
    assert versions(1) == [(1, 0, 1, stands), (2, 1, 1, stands)]
