"""What an order's body may be, field by field, and which fields go together."""

from decimal import Decimal
from typing import Any

import pytest
from rest_framework.serializers import ValidationError

from store.instruments import Instrument
from tests.trading.calls import COIN
from trades.stores import market_store
from trading.api.order_inputs import OrderInput
from trading.core.orders import OrderTerms, OrderType, TimeInForce
from trading.core.terms import Side
from web.requests.field_errors import field_errors

MARKET: dict[str, Any] = {"symbol": "coin", "side": "buy", "quantity": 2}
LIMIT = {**MARKET, "type": "limit", "limit_price": 100}
STOP = {**MARKET, "type": "stop", "stop_price": 100}


@pytest.fixture(autouse=True)
def _store(default_store):
    """An empty store."""


def read(body: Any) -> OrderTerms:
    serializer = OrderInput(data=body)
    serializer.is_valid(raise_exception=True)
    order: OrderTerms = serializer.validated_data["order"]
    return order


def test_what_is_left_out_has_its_default():
    assert read(MARKET) == OrderTerms(symbol=COIN, side=Side.BUY, quantity=Decimal(2))


def test_null_is_as_left_out():
    names = ("limit_price", "stop_price", "take_profit", "stop_loss", "client_order_id", "strategy")
    assert read({**MARKET, **dict.fromkeys(names)}) == read(MARKET)


def test_all_fields_are_taken():
    order = read(
        {
            "symbol": "btc/usd", "side": "sell", "quantity": 0.000000001, "type": "stop_limit",
            "time_in_force": "gtc", "limit_price": 0.1, "stop_price": 0.3, "take_profit": 0.05,
            "stop_loss": 0.2, "client_order_id": "~!", "strategy": "a.b",
        }
    )  # fmt: skip
    assert order == OrderTerms(
        symbol="BTC-USD", side=Side.SELL, quantity=Decimal("1e-9"), type=OrderType.STOP_LIMIT,
        time_in_force=TimeInForce.GTC, limit_price=Decimal("0.1"), stop_price=Decimal("0.3"),
        take_profit=Decimal("0.05"), stop_loss=Decimal("0.2"), client_order_id="~!", strategy="a.b",
    )  # fmt: skip


@pytest.mark.parametrize("number", [1, 1.0])
def test_a_number_is_its_shortest_text(number):
    assert str(read({**MARKET, "quantity": number}).quantity) == "1"


@pytest.mark.parametrize(
    ("body", "path", "code"),
    [
        ({**MARKET, "quantity": "2"}, "quantity", "invalid_type"),
        ({**MARKET, "quantity": True}, "quantity", "invalid_type"),
        ({**MARKET, "quantity": None}, "quantity", "null"),
        ({**MARKET, "quantity": 0}, "quantity", "out_of_range"),
        ({**MARKET, "quantity": float("inf")}, "quantity", "out_of_range"),
        ({**MARKET, "quantity": 10**13}, "quantity", "out_of_range"),
        ({**MARKET, "quantity": 0.1 + 0.2}, "quantity", "too_precise"),
        ({**MARKET, "side": "long"}, "side", "invalid_choice"),
        ({**MARKET, "symbol": "../x"}, "symbol", "invalid_symbol"),
        ({**MARKET, "reduce_only": "yes"}, "reduce_only", "invalid_type"),
        ({**MARKET, "client_order_id": "a b"}, "client_order_id", "invalid_format"),
        ({**MARKET, "client_order_id": "x" * 129}, "client_order_id", "invalid_text"),
        ({**MARKET, "strategy": "a|b"}, "strategy", "invalid_format"),
        ({**MARKET, "quantty": 1}, "quantty", "unknown_field"),
        ({**MARKET, "type": "limit"}, "limit_price", "required"),
        ({**MARKET, "type": "stop"}, "stop_price", "required"),
        ({**MARKET, "limit_price": 1}, "limit_price", "unfit"),
        ({**LIMIT, "stop_price": 1}, "stop_price", "unfit"),
        ({**STOP, "time_in_force": "ioc"}, "time_in_force", "unfit"),
        ({**LIMIT, "limit_price": 0}, "limit_price", "nonpositive_price"),
        ({**LIMIT, "take_profit": 100}, "take_profit", "wrong_side"),
        ({**LIMIT, "stop_loss": 100}, "stop_loss", "wrong_side"),
        ({**LIMIT, "side": "sell", "take_profit": 101}, "take_profit", "wrong_side"),
        ({**LIMIT, "side": "sell", "stop_loss": 99}, "stop_loss", "wrong_side"),
        ({**STOP, "take_profit": 99}, "take_profit", "wrong_side"),
        ({**MARKET, "take_profit": 90, "stop_loss": 95}, "stop_loss", "wrong_side"),
        ({**LIMIT, "reduce_only": True, "take_profit": 110}, "take_profit", "unfit"),
        ({**MARKET, "reduce_only": True, "stop_loss": 90}, "stop_loss", "unfit"),
        ({**LIMIT, "reduce_only": True, "stop_loss": 90}, "stop_loss", "wrong_side"),
        ({**LIMIT, "reduce_only": True, "stop_loss": 110, "time_in_force": "ioc"}, "time_in_force", "unfit"),
        ([], "", "invalid_type"),
    ],
)
def test_what_is_wrong_is_named(body, path, code):
    with pytest.raises(ValidationError) as refused:
        read(body)
    found = [(error.path, error.code) for error in field_errors(refused.value.detail)]
    assert found == [(path, code)]


def test_an_unknown_field_is_told_the_nearest():
    with pytest.raises(ValidationError) as refused:
        read({**MARKET, "limitprice": 1})
    assert "limit_price" in str(refused.value.detail)


def test_prices_may_be_below_zero_where_the_instrument_has_such():
    market_store().set_instrument(Instrument("COIN", allow_nonpositive_price=True))
    assert read({**LIMIT, "limit_price": -37.63}).limit_price == Decimal("-37.63")
