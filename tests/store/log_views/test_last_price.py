"""The last trade that may set open and close, through the protocol alone, in every store."""

import random

import pytest

from store.bar_policies import EVERY_PRINT, US_EQUITIES, BarPolicy
from store.datasets import TRADES
from store.log_views import log_view
from store.log_views.log_view import LogView, empty_view, view_of
from store.log_views.trade_bars import last_price_ns
from store.market_store import MarketStore
from store.protocol import ALL_TIME, Window
from tests.store.builders import DAY, NOON, SYMBOL, amendment, batch, cancel, trade

pytestmark = pytest.mark.system

WORDS = [None, "odd_lot", "odd_lot", "odd_lot", "odd_lot extended_hours"]


@pytest.fixture
def log(store: MarketStore) -> LogView:
    """Mostly odd lots, over three dates; the newest price is cancelled."""
    rng = random.Random(7)
    for commit in range(3):
        rows = [
            trade(
                rng.choice([-1, 0, 9]) * DAY + 7 * n, trade_id=f"{commit}-{n}", conditions=rng.choice(WORDS)
            )
            for n in range(15)
        ]
        store.append(batch(*rows))
    store.append(batch(trade(20 * DAY, trade_id="price"), trade(20 * DAY + 1, conditions="odd_lot")))
    store.correct(amendment(cancel(20 * DAY, trade_id="price")))
    return view_of(store.log(TRADES, SYMBOL).at())


@pytest.mark.parametrize("policy", [EVERY_PRINT, US_EQUITIES], ids=lambda policy: policy.name)
def test_last_price_is_of_the_last_standing_print_that_may_set_one(
    log: LogView, policy: BarPolicy, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(log_view, "_FEW_ROWS", 1)
    for commit in (1, 4, 5):
        view = view_of(log.log_of(TRADES, SYMBOL).at(commit))
        rows = log.log_of(TRADES, SYMBOL).at(commit).rows(ALL_TIME).to_pylist()
        ends = {row["timestamp"] + near for row in rows for near in (0, 1)}
        for end_ns in [*ends, NOON - 2 * DAY, ALL_TIME.end_ns]:
            prices = [
                row["timestamp"]
                for row in rows
                if row["timestamp"] < end_ns
                and (policy is EVERY_PRINT or row["conditions"] in {None, "odd_lot extended_hours"})
            ]
            assert last_price_ns(view, policy, Window(ALL_TIME.start_ns, end_ns)) == max(prices, default=None)


def test_a_log_that_reads_nothing_has_no_last_price(store: MarketStore):
    assert last_price_ns(empty_view(store.log(TRADES, SYMBOL)), US_EQUITIES, ALL_TIME) is None
