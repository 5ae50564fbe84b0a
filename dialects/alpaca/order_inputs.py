"""The bodies of Alpaca's calls about orders. What the engine lacks is refused, field by field."""

import re
from decimal import Decimal
from typing import Any, ClassVar

import msgspec
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from dialects.alpaca.orders import named_symbol
from dialects.alpaca.symbols import pair_of
from trades.batches.serializers import SymbolField
from trades.instruments.services import instruments_all, symbol_canonical
from trading.api.order_inputs import QUANTITY_DECIMALS, client_order_id_field, raise_if_unfit
from trading.core.orders import MOST, Contingency, OrderTerms, OrderType, TimeInForce
from trading.core.terms import Side
from web.requests.field_errors import KnownFieldsSerializer
from web.requests.json_fields import Amount, Word

# Of a UUID's text.
_ID_LENGTH = 36
# As many digits as a double keeps.
_NUMBER = re.compile(r"(?=.{1,16}\Z)-?[0-9]{1,15}(\.[0-9]+)?")
# Whether an order of a class has take_profit, and stop_loss.
_LEGS = {
    Contingency.BRACKET: {(True, True)},
    Contingency.OTO: {(True, False), (False, True)},
    Contingency.OCO: {(True, True)},
}


class NumberOrText(Amount):
    """A number, or its text."""

    def __init__(self, *, low: Decimal = -MOST, **options: Any) -> None:
        super().__init__(low=low, high=MOST, **options)

    def to_internal_value(self, data: Any) -> Decimal:
        is_number = isinstance(data, str) and _NUMBER.fullmatch(data)
        return super().to_internal_value(float(data) if is_number else data)


class AssetField(SymbolField):
    """A symbol, or an asset's id."""

    def to_internal_value(self, data: Any) -> str:
        found = None
        if isinstance(data, str) and len(data) == _ID_LENGTH:
            found = named_symbol(data, (each.symbol for each in instruments_all()))
        symbol: str = super().to_internal_value(found or data)
        return symbol


@extend_schema_field({"type": "boolean"})
class UnofferedField(serializers.Field[Any, Any, Any, Any]):
    """A field of Alpaca's that is not offered. Only null and false are taken."""

    default_error_messages = {"unfit": "is not offered here: {why}"}

    def __init__(self, why: str) -> None:
        super().__init__(required=False, allow_null=True, help_text=f"Not offered: {why}.")
        self._why = why

    def to_internal_value(self, data: Any) -> None:
        if data is not False:
            self.fail("unfit", why=self._why)


def _quantity(**options: Any) -> NumberOrText:
    return NumberOrText(low=Decimal("1e-9"), decimals=QUANTITY_DECIMALS, **options)


class AlpacaTakeProfit(KnownFieldsSerializer):
    """The leg that takes the profit."""

    limit_price = NumberOrText()


class AlpacaStopLoss(KnownFieldsSerializer):
    """The leg that stops the loss."""

    stop_price = NumberOrText()
    limit_price = UnofferedField("a stop-loss is a market order once it is triggered")


class AlpacaOrderInput(KnownFieldsSerializer):
    """An order. `validated_data["order"]` is its `OrderTerms`, with the canonical symbol."""

    examples: ClassVar = {
        "A limit order": {
            "symbol": "AAPL", "qty": "10", "side": "buy", "type": "limit", "time_in_force": "day",
            "limit_price": "189.5", "client_order_id": "m-1",
        }
    }  # fmt: skip

    symbol = AssetField(help_text="The instrument, by its symbol, an alias, or its asset's id.")
    qty = _quantity(help_text="In units; a multiple of the instrument's lot.")
    side = Word([*Side])
    type = Word([*OrderType])
    time_in_force = Word([*TimeInForce])
    limit_price = NumberOrText(required=False, allow_null=True)
    stop_price = NumberOrText(required=False, allow_null=True)
    client_order_id = client_order_id_field("A second order with it is refused.")
    order_class = Word(["simple", *_LEGS], required=False, allow_blank=True, allow_null=True)
    take_profit = AlpacaTakeProfit(required=False, allow_null=True)
    stop_loss = AlpacaStopLoss(required=False, allow_null=True)
    extended_hours = UnofferedField("orders fill in the regular session")
    notional = UnofferedField("give qty")
    trail_price = UnofferedField("trailing stops")
    trail_percent = UnofferedField("trailing stops")
    legs = UnofferedField("orders of several legs")
    position_intent = UnofferedField("the side says it")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse fields that do not go together."""
        given = {name: value for name, value in attrs.items() if value is not None}
        profit, loss = given.pop("take_profit", {}), given.pop("stop_loss", {})
        has_legs, order_class = (bool(profit), bool(loss)), given.pop("order_class", "")
        if has_legs not in _LEGS.get(order_class, {(False, False)}):
            text = (
                "a bracket and an oco have take_profit and stop_loss, an oto one of them, a simple order none"
            )
            raise serializers.ValidationError({"order_class": text}, "unfit")
        given |= {"symbol": pair_of(symbol_canonical(given["symbol"])), "quantity": given.pop("qty")}
        given |= {"take_profit": profit.get("limit_price"), "stop_loss": loss.get("stop_price")}
        if order_class == Contingency.OCO:
            limit = given.pop("take_profit")
            if given.setdefault("limit_price", limit) != limit:
                raise serializers.ValidationError({"limit_price": "must be take_profit's"}, "unfit")
            given["reduce_only"] = True
        order = msgspec.convert(given, OrderTerms)
        raise_if_unfit(order)
        return {"order": order}


class AlpacaReplacementInput(KnownFieldsSerializer):
    """What an order's replacement has otherwise. `validated_data` has our names."""

    examples: ClassVar = {"Another limit": {"limit_price": "189.75"}}

    qty = _quantity(required=False, source="quantity")
    time_in_force = Word([*TimeInForce], required=False)
    limit_price = NumberOrText(required=False)
    stop_price = NumberOrText(required=False)
    client_order_id = client_order_id_field("A second order with it is refused.")
    trail = UnofferedField("trailing stops")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse a body that changes nothing."""
        changes = {name: value for name, value in attrs.items() if name != "trail"}
        if not changes.keys() - {"client_order_id"}:
            raise serializers.ValidationError("give a field to change", code="required")
        return changes
