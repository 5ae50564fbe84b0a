"""A log that was restored or cannot be read holds up its own accounts, and no others."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from store.csv import CsvStore
from store.datasets import TRADES
from store.exceptions import StoreBusy
from store.log import Log
from tests.trading.desks import TradingDesk, coin, prints
from trades.stores import market_store
from trading.core.configuration import Zone
from trading.core.orders import OrderState
from trading.core.terms import Side
from trading.journal import follow
from trading.models import LogProgress

pytestmark = pytest.mark.django_db


@pytest.fixture
def desk(store_path: Path) -> TradingDesk:
    for symbol in (coin(), coin("OTHER")):
        prints(symbol, (0, 100.0, 10.0))
    return TradingDesk()


def restore(folder: Path) -> None:
    """Put a back-up in the place of a log."""
    shutil.rmtree(folder)
    prints(folder.name, (0.5, 55.0, 10.0))


def cut(folder: Path) -> None:
    """Cut the log before its second commit."""
    store, log = cast("CsvStore", market_store()), market_store().log(TRADES, folder.name)
    store.cut(TRADES, folder.name, store.planned_cut(TRADES, folder.name, log.committed_at(1)))


@pytest.mark.parametrize("lose", [restore, shutil.rmtree, cut], ids=["restored", "deleted", "cut"])
def test_a_log_that_lost_commits_halts_who_orders_it(
    desk: TradingDesk, store_path: Path, lose: Callable[[Path], Any]
):
    prints("COIN", (0.2, 100.0, 10.0))
    desk.order("COIN", Side.BUY, 1)
    desk.run()
    lose(store_path / "trades" / "COIN")
    desk.run()
    assert (desk.state.zone, desk.state.halt and desk.state.halt.symbol) == (Zone.HALT, "COIN")
    place = LogProgress.objects.get(dataset="trades", symbol="COIN")
    assert place.commit == (0 if lose is shutil.rmtree else 1)


def test_a_log_that_was_restored_before_it_is_followed_holds_up_nothing(desk: TradingDesk):
    follow({"trades:COIN": "7-abcdef"})
    bought = desk.order("OTHER", Side.BUY, 1)
    prints("OTHER", (1, 100.0, 10.0))
    desk.run()
    assert desk.find(bought).state is OrderState.FILLED
    assert LogProgress.objects.get(dataset="trades", symbol="COIN").commit == 1


def test_a_log_that_cannot_be_read_holds_up_nothing_else(desk: TradingDesk, monkeypatch: pytest.MonkeyPatch):
    orders = [desk.order(symbol, Side.BUY, 1) for symbol in ("COIN", "OTHER")]
    desk.run()
    for symbol in ("COIN", "OTHER"):
        prints(symbol, (1, 100.0, 10.0))
    log_type = type(market_store().log(TRADES, "COIN"))
    usual = log_type.commits

    def commits(log: Log, *place: Any) -> Any:
        if log.symbol == "COIN":
            raise StoreBusy("somebody writes")
        return usual(log, *place)

    with monkeypatch.context() as patched:
        patched.setattr(log_type, "commits", commits)
        desk.run()
        desk.run()
        assert [desk.find(order).state for order in orders] == [OrderState.WORKING, OrderState.FILLED]
    desk.engine._broken.clear()
    desk.run()
    assert desk.find(orders[0]).state is OrderState.FILLED
    desk.check()
