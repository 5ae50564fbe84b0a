"""A sell of more than is available of a long position is refused, as at Alpaca; without a position it opens a short."""

from typing import Any

import pytest

from store.instruments import Instrument
from tests.api_client import Api
from tests.dialects.test_trading import BRACKET, OCO, ORDER, Caller
from tests.trading.calls import CallDesk
from tests.trading.desks import prints
from trades.stores import market_store
from trading.core.orders import TimeInForce
from trading.core.terms import Side

SHARE = "SHARE"
SELL = ORDER | {"symbol": SHARE, "side": "sell", "qty": 10, "limit_price": 101}


@pytest.fixture
def desk(api: Api) -> CallDesk:
    market_store().set_instrument(Instrument(SHARE, exchange="XNAS", currency="USD"))
    prints(SHARE, (0, 100.0, 50))
    desk = CallDesk()
    desk.order(SHARE, Side.BUY, 10, time_in_force=TimeInForce.GTC)
    trade(desk, 1, 100.0)
    return desk


def trade(desk: CallDesk, seconds: float, price: float) -> None:
    """Store a print of the share, and let the engine see it."""
    prints(SHARE, (seconds, price, 50))
    desk.run()
    desk.run()
    desk.keep_alive()


@pytest.fixture
def call(desk: CallDesk) -> Caller:
    return Caller()


def refusal(call: Caller, body: dict[str, Any], method: str = "POST", path: str = "/orders") -> Any:
    return call(method, path, body, status=403)


def test_the_second_sell_of_a_whole_position_is_refused(desk: CallDesk, call: Caller) -> None:
    first = call("POST", "/orders", SELL)
    found = refusal(call, SELL)
    assert found["message"] == "insufficient qty available for order (requested: 10, available: 0)"
    names = ("code", "available", "existing_qty", "held_for_orders", "related_orders", "symbol")
    assert [found[name] for name in names] == [40_310_000, "0", "10", "10", [first["id"]], SHARE]
    trade(desk, 5, 102.0)
    assert call("GET", "/positions") == []
    assert call("POST", "/orders", SELL)["side"] == "sell"


@pytest.mark.parametrize("order", [{"qty": 11}, {"qty": 11, "type": "market", "limit_price": None}])
def test_more_than_the_position_is_refused(call: Caller, order: dict[str, Any]) -> None:
    assert refusal(call, SELL | order)["available"] == "10"


def test_what_an_oco_and_a_bracket_hold_is_not_available(desk: CallDesk, call: Caller) -> None:
    call("POST", "/orders", OCO | {"symbol": SHARE, "qty": 4})
    call("POST", "/orders", BRACKET | {"symbol": SHARE, "qty": 2, "type": "market", "limit_price": None})
    trade(desk, 5, 100.0)
    found = refusal(call, SELL | {"qty": 7})
    assert (found["existing_qty"], found["held_for_orders"], found["available"]) == ("12", "6", "6")
    assert call("GET", f"/positions/{SHARE}")["qty_available"] == "6"
    assert call("POST", "/orders", SELL | {"qty": 6})["qty"] == "6"


def test_a_replacement_may_sell_what_the_order_before_sold(desk: CallDesk, call: Caller) -> None:
    placed = call("POST", "/orders", SELL | {"qty": 8})
    assert refusal(call, {"qty": 11}, "PATCH", f"/orders/{placed['id']}")["available"] == "10"
    replaced = call("PATCH", f"/orders/{placed['id']}", {"qty": 10})
    assert call("GET", f"/positions/{SHARE}")["qty_available"] == "0"
    assert (replaced["qty"], refusal(call, SELL | {"qty": 1})["available"]) == ("10", "0")


def test_a_repeated_order_is_a_repeated_order(call: Caller) -> None:
    named = SELL | {"client_order_id": "m-1"}
    call("POST", "/orders", named)
    assert call("POST", "/orders", named, status=422)["reason"] == "client_order_id_reused"


def test_a_cancelled_sell_holds_nothing(desk: CallDesk, call: Caller) -> None:
    placed = call("POST", "/orders", SELL)
    call("DELETE", f"/orders/{placed['id']}", status=204)
    trade(desk, 5, 100.0)
    assert call("POST", "/orders", SELL)["qty"] == "10"


def test_orders_of_v1_still_turn_a_position(desk: CallDesk) -> None:
    for _ in range(2):
        desk.order(SHARE, Side.SELL, 10, time_in_force=TimeInForce.GTC)
    trade(desk, 5, 100.0)
    assert desk.state.units_of(SHARE) == -10


def test_from_flat_a_sell_opens_a_short(desk: CallDesk, call: Caller) -> None:
    call("DELETE", f"/positions/{SHARE}")
    trade(desk, 5, 100.0)
    for _ in range(2):
        assert call("POST", "/orders", SELL)["side"] == "sell"
    trade(desk, 9, 102.0)
    assert call("GET", f"/positions/{SHARE}")["qty"] == "-20"
