"""Alpaca's documents of orders."""

from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from dialects.alpaca.orders import alpaca_order, other_id
from trading.core.orders import Contingency, Order, OrderState, OrderTerms, OrderType
from trading.core.terms import TRADABLE, Side

ID = "0b6f2c1e-3a57-4a52-9a37-5d6b8d2f7c11"


def order(state: OrderState = OrderState.WORKING, symbol: str = "AAPL", **terms: Any) -> Order:
    asked = OrderTerms(symbol=symbol, side=Side.BUY, quantity=Decimal("2.50"), **terms)
    kind = "crypto" if "-" in symbol else "equity"
    states: dict[str, int] = {OrderState.PENDING_NEW: 10**18, state: 10**18 + 10**9}
    return Order(
        id=ID, terms=asked, instrument=TRADABLE[kind], state=state, states=states, matches_after_ns=0
    )


def read(ours: Order, *legs: Order) -> dict[str, Any]:
    return alpaca_order(ours, legs).as_json()


@pytest.mark.parametrize("state", OrderState)
def test_each_state_is_one_of_alpacas(state: OrderState):
    document = read(order(state))
    assert document["qty"] == "2.5"
    ended = {name for name in ("filled", "canceled", "expired", "failed", "replaced")
             if document[f"{name}_at"]}  # fmt: skip
    assert len(ended) == state.is_final
    assert document["id"] == ID != document["client_order_id"] == other_id(ID)


def test_a_clients_id_that_an_order_shows_is_a_uuid_and_leads_to_the_order():
    shown = UUID(other_id(ID))
    assert (shown.version, shown.variant) == (UUID(ID).version, UUID(ID).variant)
    assert other_id(str(shown)) == ID
    assert other_id("m-1") == "m-1"


def test_an_order_that_is_being_replaced_is_no_cancelled_one():
    ours = order(OrderState.PENDING_CANCEL)
    ours.replaced_by = ID
    assert read(ours)["status"] == "pending_replace"


def test_a_leg_is_held_until_its_parent_fills():
    leg = order(type=OrderType.STOP, stop_price=Decimal("90.10"))
    leg.parent_id, leg.contingency, leg.is_held = ID, Contingency.OTO, True
    (found,) = read(order(stop_loss=Decimal("90.1")), leg)["legs"]
    assert (found["status"], found["order_class"], found["stop_price"]) == ("held", "oto", "90.1")
    leg.is_held = False
    assert read(leg)["status"] == "new"


def test_a_pair_has_a_slash():
    document = read(order(symbol="BTC-USD"))
    assert (document["symbol"], document["asset_class"]) == ("BTC/USD", "crypto")
