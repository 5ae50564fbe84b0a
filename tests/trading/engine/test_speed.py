"""An engine at a chosen speed: the same follows from the rows, at most so fast."""

import math
from pathlib import Path
from threading import Event as Ending
from typing import Any
from unittest import mock

import pytest
from django.core.management import CommandError, call_command

from store.timestamps import SECOND_NS
from tests.store_settings import stores_at
from tests.trading.desks import BEGIN_NS, TradingDesk, coin, prints
from tests.trading.replays import forget_accounts, named_events
from trading.core.orders import TimeInForce
from trading.core.terms import Side
from trading.engine.clock import PacedClock
from trading.engine.engine import Engine
from trading.models import EngineLease, ExecutionRow
from trading.strategies.live import LiveStrategies

pytestmark = pytest.mark.django_db
SPEED = 10
LAST_SECOND = 120


class WallTime:
    """Monotonic nanoseconds that pass only when a test says so."""

    def __init__(self) -> None:
        self.now_ns = 7

    def __call__(self) -> int:
        return self.now_ns

    def pass_seconds(self, seconds: float) -> None:
        self.now_ns += round(seconds * SECOND_NS)


@pytest.fixture
def wall() -> WallTime:
    return WallTime()


@pytest.fixture
def desk(default_store: Any) -> TradingDesk:
    coin()
    prints("COIN", (0, 100.0, 10.0))
    desk = TradingDesk()
    desk.run()
    return desk


def be_paced(desk: TradingDesk, wall: WallTime) -> None:
    """Put an engine of that speed in the place of the desk's."""
    EngineLease.objects.update(leased_until_ns=0)
    desk.engine = Engine(LiveStrategies, PacedClock(BEGIN_NS, speed=SPEED, clock=wall))
    # What passes before it leads does not count.
    wall.pass_seconds(1_000)
    desk.run()


def filled(desk: TradingDesk) -> int:
    desk.run()
    return ExecutionRow.objects.count()


def test_a_row_is_taken_once_its_time_has_come(desk: TradingDesk, wall: WallTime):
    be_paced(desk, wall)
    desk.order("COIN", Side.BUY, 3, time_in_force=TimeInForce.GTC)
    prints("COIN", (30, 101.0, 1.0), (60, 101.0, 1.0), (60, 101.0, 1.0))
    assert filled(desk) == 0
    wall.pass_seconds(2.999)
    assert filled(desk) == 0
    wall.pass_seconds(0.001)
    assert filled(desk) == 1
    wall.pass_seconds(2.999)
    assert filled(desk) == 1
    wall.pass_seconds(0.001)
    assert filled(desk) == 3
    desk.check()


def events_at(speed: float, wall: WallTime, store: Path, settings: Any) -> list[Any]:
    """The events of an account over the same prints. speed: inf for the plain data clock."""
    forget_accounts()
    settings.MARKET_STORES = stores_at(store)
    coin()
    prints("COIN", (0, 100.0, 10.0))
    desk = TradingDesk()
    desk.run()
    if speed < math.inf:
        be_paced(desk, wall)
    desk.order("COIN", Side.BUY, 2, take_profit=130, stop_loss=90, time_in_force=TimeInForce.GTC)
    desk.order("COIN", Side.BUY, 50, time_in_force=TimeInForce.IOC)
    prints("COIN", *((second, 100.0 + second % 40, 10.0) for second in range(1, LAST_SECOND + 1)))
    desk.run()
    for _ in range(LAST_SECOND if speed < math.inf else 0):
        if desk.engine._clock.now_ns == BEGIN_NS + LAST_SECOND * SECOND_NS:
            break
        wall.pass_seconds(0.2)
        desk.run()
    desk.check()
    return named_events()


def test_the_same_follows_as_without_it_and_it_lasts_as_long_as_it_must(
    tmp_path: Path, settings: Any, wall: WallTime
):
    fast = events_at(math.inf, wall, tmp_path / "fast", settings)
    began_ns = wall.now_ns + 1_000 * SECOND_NS
    assert events_at(SPEED, wall, tmp_path / "paced", settings) == fast
    lasted = (wall.now_ns - began_ns) / SECOND_NS
    assert LAST_SECOND / SPEED <= lasted < LAST_SECOND / SPEED + 1
    assert sum(name == "executed" for name, *_ in fast) >= 3


def test_while_it_waits_it_stays_the_engine(desk: TradingDesk, wall: WallTime):
    be_paced(desk, wall)
    desk.order("COIN", Side.BUY, 1)
    prints("COIN", (30, 101.0, 1.0))
    EngineLease.objects.update(leased_until_ns=1)
    assert filled(desk) == 0
    lease = EngineLease.objects.get()
    assert (lease.leased_until_ns > 1, lease.holder) == (True, desk.engine._holder)


def test_while_it_waits_a_stop_ends_it_at_once(desk: TradingDesk, wall: WallTime):
    """All of its waiting is for what ends it."""
    be_paced(desk, wall)
    prints("COIN", (30, 101.0, 1.0))
    ending = mock.Mock(spec=Ending)
    ending.is_set.side_effect = [False, False, True]
    with mock.patch("trading.engine.engine.close_old_connections"), mock.patch("time.sleep") as sleep:
        desk.engine.run(ending)
    assert ending.wait.call_args_list == [mock.call(PacedClock.pause_seconds)] * 2
    assert not sleep.called
    assert EngineLease.objects.get().holder is None


def test_one_that_takes_over_begins_where_the_last_one_ended(desk: TradingDesk, wall: WallTime):
    """It waited meanwhile, with the time of its beginning."""
    second = Engine(LiveStrategies, PacedClock(BEGIN_NS, speed=SPEED, clock=wall))
    desk.order("COIN", Side.BUY, 2, time_in_force=TimeInForce.GTC)
    prints("COIN", (1_000, 101.0, 1.0))
    assert filled(desk) == 1
    assert not second.round()
    prints("COIN", (1_030, 101.0, 1.0))
    EngineLease.objects.update(leased_until_ns=0)
    desk.engine = second
    assert filled(desk) == 1
    assert EngineLease.objects.get().now_ns == BEGIN_NS + 1_000 * SECOND_NS
    wall.pass_seconds(3)
    assert filled(desk) == 2


@pytest.mark.parametrize("factor", ["0", "nan", "inf", "fast"])
def test_a_factor_that_is_none_is_an_error(factor: str):
    with pytest.raises(CommandError, match=f"--speed: '{factor}' is not a positive, finite number"):
        call_command("trading_engine", "--data-clock=2025-01-02", f"--speed={factor}")


def test_without_a_data_clock_there_is_no_speed():
    with pytest.raises(CommandError, match="--speed needs --data-clock"):
        call_command("trading_engine", "--speed=2")
