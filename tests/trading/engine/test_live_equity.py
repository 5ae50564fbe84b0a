"""An engine on the wall clock values accounts while nothing is printed for them, and records the equity once a minute."""

import time
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from store.datasets import TRADES
from tests.trading.desks import FREE, TradingDesk, coin, prints, stored
from trading.core.configuration import Zone
from trading.core.terms import Side
from trading.engine.engine import Engine
from trading.engine.logs import WallClock
from trading.lease import lease_end
from trading.models import EquityRow
from trading.services.accounts import risk_configure

pytestmark = pytest.mark.django_db
SECOND_NS = 10**9


class Live:
    """A desk whose engine has a wall clock that the test sets forward. It bought 100 coins at 100."""

    def __init__(self) -> None:
        coin()
        prints("COIN", (0, 100.0, 1e6))
        self.desk, self.ahead_ns = TradingDesk(), 0
        lease_end(self.desk.engine._holder)
        self.desk.engine = Engine(WallClock(clock=lambda: time.time_ns() + self.ahead_ns))
        config = replace(FREE, latency_ms=0, stale_after_seconds=3600)
        risk_configure(account=self.desk.account, config=config, tag="*", by="test")
        self.print(100.0)
        self.desk.order("COIN", Side.BUY, 100)
        self.print(100.0)

    def print(self, price: float) -> None:
        stored(TRADES, "COIN", [{"timestamp": time.time_ns(), "price": price, "volume": 1e6}])
        self.desk.run()
        self.desk.run()

    def wait(self, seconds: float) -> None:
        """Let time pass without a row."""
        self.ahead_ns += int(seconds * SECOND_NS)
        self.desk.run()

    def curve(self) -> list[Decimal]:
        rows = EquityRow.objects.filter(account=self.desk.account).order_by("number")
        return [Decimal(row.equity) for row in rows]


@pytest.fixture
def live(default_store: Any) -> Live:
    return Live()


def test_a_price_that_fills_nothing_is_in_the_equity_within_a_minute(live):
    before = live.curve()
    live.print(101.0)
    live.wait(60)
    assert live.curve() == [*before, live.desk.state.cash + 10_100]


def test_a_fall_without_an_order_changes_the_zone_within_a_second(live):
    price = 100 - float(live.desk.state.equity) * 0.04 / 100
    live.print(price)
    live.wait(1)
    assert live.desk.state.zone is Zone.CAUTION
