"""What a client, a corporate action or a failing disk could do to an account, and may not."""

import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from unittest import mock

import msgspec
import pytest
from django.db import DataError

from store.datasets import CORPORATE_ACTIONS, QUOTES
from store.exceptions import DataDamaged, StoreUnavailable
from store.instruments import Instrument
from store.protocol import Action, Amendment, Correction
from tests.trading.desks import FREE, TradingDesk, at_ns, coin, prints, stored
from trades.stores import market_store
from trading.core.events import decoded
from trading.core.orders import OrderType, TimeInForce
from trading.core.terms import Side, terms_by_class
from trading.engine.engine import Engine
from trading.engine.logs import DataClock, WallClock
from trading.exceptions import InvalidTransfer
from trading.lease import lease_end
from trading.market.followed import FollowedMarket
from trading.models import EquityRow, EventRow
from trading.selectors import status_document
from trading.services import accounts
from trading.services.accounts import account_transfer
from trading.services.orders import order_cancel, position_close

pytestmark = [pytest.mark.django_db, pytest.mark.system]

MANY = 1e6
RESTING = {"type": OrderType.LIMIT, "limit_price": 50, "time_in_force": TimeInForce.GTC}


@pytest.fixture
def desk(default_store: Any) -> Iterator[TradingDesk]:
    coin()
    prints("COIN", (0, 100.0, MANY))
    desk = TradingDesk()
    desk.run()
    yield desk
    desk.check()


def buy(desk: TradingDesk, quantity: Any) -> None:
    desk.order("COIN", Side.BUY, quantity)
    prints("COIN", (1, 100.0, MANY))
    run(desk)


def run(desk: TradingDesk) -> None:
    """Let the engine take what is new, and the others know its clock."""
    desk.run()
    desk.run()


def events_after(number: int) -> list[str]:
    return [*EventRow.objects.filter(number__gt=number).order_by("number").values_list("name", flat=True)]


def test_a_loss_is_not_forgotten_by_paying_everything_out_and_in(desk: TradingDesk):
    buy(desk, 500)
    prints("COIN", (2, 90.0, MANY))
    run(desk)
    desk.order("COIN", Side.SELL, 500)
    prints("COIN", (3, 90.0, MANY), (4, 90.0, MANY))
    run(desk)
    drawdown, cash = desk.state.drawdown, desk.state.cash
    assert drawdown > 5
    with pytest.raises(InvalidTransfer, match="leave something"):
        account_transfer(name="ACC", transfer="out", amount=-cash)
    account_transfer(name="ACC", transfer="nearly", amount=-cash + Decimal("0.000001"))
    account_transfer(name="ACC", transfer="in", amount=cash)
    assert abs(desk.state.drawdown - drawdown) < Decimal("0.1")
    texts = [text for row in EquityRow.objects.all() for text in (row.high_water, row.start_equity)]
    # SQLite does not look at the length of a column.
    assert max(map(len, texts)) <= 40


def test_without_a_loss_everything_may_be_paid_out(desk: TradingDesk):
    account_transfer(name="ACC", transfer="out", amount=-desk.state.cash)
    assert desk.state.cash == 0


@pytest.mark.parametrize(
    ("action", "price", "expected"),
    [
        ({"kind": "split", "ratio": 2.0}, 50.0, ["split_applied"]),
        ({"kind": "dividend", "amount": 5.0, "currency": "USD"}, 100.0, ["dividend_paid"]),
    ],
    ids=["split", "dividend"],
)
def test_an_action_that_arrives_in_quiet_takes_effect_before_the_next_print(
    desk: TradingDesk, action: dict[str, Any], price: float, expected: list[str]
):
    buy(desk, 500)
    before = desk.state.number
    stored(CORPORATE_ACTIONS, "COIN", [{"timestamp": at_ns(10), **action}])
    desk.run()
    prints("COIN", (20, price, MANY))
    desk.run()
    assert events_after(before) == expected
    assert desk.state.halt is None


def change_split(action: Action, **new: float) -> None:
    correction = Correction(action, at_ns(10), {"kind": "split"}, new)
    market_store().correct(Amendment(CORPORATE_ACTIONS, "COIN", (correction,), "test"))


@pytest.mark.parametrize("is_restarted", [False, True], ids=["running", "restarted"])
@pytest.mark.parametrize(("new", "expected"), [({}, 500), ({"ratio": 4.0}, 2_000)], ids=["cancel", "correct"])
def test_a_split_that_is_changed_before_it_takes_effect_is_applied_as_changed(
    desk: TradingDesk, new: dict[str, float], expected: int, is_restarted: bool
):
    buy(desk, 500)
    stored(CORPORATE_ACTIONS, "COIN", [{"timestamp": at_ns(10), "kind": "split", "ratio": 2.0}])
    desk.run()
    change_split(Action.CORRECT if new else Action.CANCEL, **new)
    desk.run()
    prints("COIN", (20, 100.0 * 500 / expected, MANY))
    run(desk)
    if is_restarted:
        lease_end(desk.engine._holder)
        desk.engine = Engine(DataClock())
        prints("COIN", (30, 100.0 * 500 / expected, MANY))
        run(desk)
    assert [each.quantity for each in desk.state.positions.values()] == [expected]


def test_a_split_that_is_changed_after_it_took_effect_stays_and_raises_one_alert(desk: TradingDesk):
    buy(desk, 500)
    stored(CORPORATE_ACTIONS, "COIN", [{"timestamp": at_ns(10), "kind": "split", "ratio": 2.0}])
    prints("COIN", (20, 50.0, MANY))
    run(desk)
    before = desk.state.number
    change_split(Action.CANCEL)
    run(desk)
    lease_end(desk.engine._holder)
    desk.engine = Engine(DataClock())
    prints("COIN", (30, 50.0, MANY))
    run(desk)
    assert [each.quantity for each in desk.state.positions.values()] == [1_000]
    assert events_after(before).count("alert") == 1


def test_a_split_that_leaves_nothing_closes_the_position(desk: TradingDesk):
    buy(desk, "0.00000001")
    stored(CORPORATE_ACTIONS, "COIN", [{"timestamp": at_ns(10), "kind": "split", "ratio": 0.001}])
    desk.run()
    prints("COIN", (20, 1e5, MANY))
    desk.run()
    assert desk.state.positions == {}
    accounts.trading_stop(account=desk.account, by="test")
    desk.run()
    assert desk.state.status == "stopped"


def test_an_override_is_never_above_the_maximum(desk: TradingDesk):
    accounts.risk_override(
        account=desk.account, risk_level=Decimal(1), until_ns=at_ns(900), reason="test", by="test"
    )
    lower = msgspec.structs.replace(FREE, max_risk_level=Decimal("0.4"))
    accounts.risk_configure(account=desk.account, config=lower, tag="*", by="test")
    assert desk.state.risk_level == Decimal("0.4")


def test_closing_a_position_again_is_the_same_order(desk: TradingDesk):
    buy(desk, 5)
    orders = [position_close(account=desk.account, symbol="COIN", strategy="", by="test") for _ in range(3)]
    assert len({each.order.id for each in orders}) == 1
    order_cancel(account=desk.account, order_id=orders[0].order.id, by="test")  # type: ignore[arg-type]  # its text
    another = position_close(account=desk.account, symbol="COIN", strategy="", by="test")
    assert another.order.id != orders[0].order.id


@pytest.mark.parametrize(
    ("error", "is_kept"), [(StoreUnavailable, True), (DataDamaged, False), (DataError, False)]
)
def test_an_account_outlives_an_error_of_the_store_or_the_database(
    desk: TradingDesk, error: type[Exception], is_kept: bool
):
    buy(desk, 7)
    prints("COIN", (2, 100.0, MANY))
    desk.engine._forget()
    with (
        mock.patch.object(FollowedMarket, "newest", side_effect=error("for a moment")),
        pytest.raises(StoreUnavailable) if is_kept else mock.MagicMock(),
    ):
        desk.run()
    assert desk.engine._accounts.failed == (set() if is_kept else {"ACC"})
    desk.run()
    assert status_document(desk.account).connected == is_kept
    desk.engine._retry_at = 0.0
    accounts.trading_stop(account=desk.account, by="test")
    desk.run()
    prints("COIN", (9, 100.0, MANY))
    run(desk)
    assert (desk.state.status, status_document(desk.account).connected) == ("stopped", True)


def test_a_live_engine_begins_at_the_time_of_now(default_store: Any):
    coin()
    prints("COIN", (0, 100.0, MANY))
    desk = TradingDesk()
    desk.run()
    buy(desk, 5)
    lease_end(desk.engine._holder)
    accounts.trading_stop(account=desk.account, by="test")
    begun_ns = time.time_ns()
    desk.engine = Engine(WallClock())
    before = desk.state.number
    desk.engine.round()
    later = EventRow.objects.filter(number__gt=before)
    assert "order_accepted" in events_after(before)
    assert min(later.values_list("at_ns", flat=True)) >= begun_ns


def test_a_dividend_in_the_accounts_currency_of_a_foreign_share_is_not_converted(default_store: Any):
    market_store().set_instrument(Instrument("SAP", currency="EUR"))
    rates = [{"timestamp": at_ns(number), "bid": 1.999, "ask": 2.001} for number in range(30)]
    stored(QUOTES, "EUR-USD", rates)
    prints("SAP", (0, 100.0, MANY))
    desk = TradingDesk()
    run(desk)
    desk.order("SAP", Side.BUY, 10)
    prints("SAP", (1, 100.0, MANY))
    run(desk)
    paid = []
    for seconds, currency in ((10, "USD"), (15, "EUR")):
        cash = desk.state.cash
        stored(
            CORPORATE_ACTIONS,
            "SAP",
            [{"timestamp": at_ns(seconds), "kind": "dividend", "amount": 5.0, "currency": currency}],
        )
        desk.run()
        prints("SAP", (seconds + 1, 100.0, MANY))
        run(desk)
        paid.append(desk.state.cash - cash)
    assert paid == [50, 100]
    desk.check()


def test_each_day_of_a_short_is_charged_once_also_days_without_rows(default_store: Any, settings: Any):
    settings.TRADING_TERMS = terms_by_class({"equity": {"borrow_rate": 0.365}})
    desk = TradingDesk()
    market_store().set_instrument(Instrument("SHARE", currency="USD"))
    prints("SHARE", (0, 100.0, MANY))
    run(desk)
    desk.order("SHARE", Side.SELL, 100)
    prints("SHARE", (2, 100.0, MANY))
    run(desk)
    before = desk.state.number
    prints("SHARE", (5 * 86_400, 100.0, MANY))
    run(desk)
    charged = EventRow.objects.filter(number__gt=before, name="borrow_charged").order_by("number")
    events = [decoded(row.body) for row in charged]
    assert [event.date for event in events] == [f"2025-06-0{day}" for day in (5, 6, 7, 8, 9)]  # type: ignore[union-attr]  # its name says so
