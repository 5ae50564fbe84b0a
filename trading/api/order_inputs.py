"""The bodies of calls about orders: what a field may be, and which fields go together. Amounts become Decimals."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, ClassVar

import msgspec
from rest_framework import serializers

from trades.batches.serializers import SymbolField
from trades.instruments.services import symbol_canonical
from trades.stores import market_store
from trading.core.orders import MOST, Contingency, Order, OrderTerms, OrderType, TimeInForce
from trading.core.terms import Side
from web.requests.exceptions import FieldError
from web.requests.field_errors import KnownFieldsSerializer
from web.requests.json_fields import Amount, Flag, Pattern, Text, Word

_LEAST = Decimal("1e-9")
QUANTITY_DECIMALS = 9
_LIMIT = {"symbol": "AAPL", "side": "buy", "quantity": 10, "type": "limit", "limit_price": 189.5}
_BRACKET = {
    **_LIMIT,
    "time_in_force": "gtc",
    "take_profit": 195.0,
    "stop_loss": 187.0,
    "strategy": "momentum",
    "client_order_id": "m-17",
}
_PRICES = ("limit_price", "stop_price", "take_profit", "stop_loss")


def _quantity(**options: Any) -> Amount:
    text = "In units or contracts; a multiple of the instrument's lot."
    return Amount(low=_LEAST, high=MOST, decimals=QUANTITY_DECIMALS, help_text=text, **options)


def _price(text: str) -> Amount:
    return Amount(low=-MOST, high=MOST, required=False, allow_null=True, help_text=text)


def client_order_id_field(
    repeated: str = "A second call with it, and the same terms, gives the first one's order.",
) -> Pattern:
    """Return the field. repeated: what a second call with the same id does."""
    return Pattern(
        "[!-~]+",
        "1-128 visible ASCII characters",
        max_length=128,
        required=False,
        allow_null=True,
        help_text=f"The client's own id. {repeated}",
    )


def strategy_field() -> Pattern:
    return Pattern(
        "[A-Za-z0-9_.:-]+",
        "1-64 of A-Z a-z 0-9 _ . : -",
        max_length=64,
        required=False,
        allow_null=True,
        help_text="Positions and trades of different strategies are kept apart.",
    )


class OrderInput(KnownFieldsSerializer):
    """An order. `validated_data["order"]` is its `OrderTerms`, with the canonical symbol."""

    examples: ClassVar = {"A limit order": _LIMIT, "A bracket": _BRACKET}

    symbol = SymbolField(help_text="The instrument, by its symbol or an alias.")
    side = Word([*Side])
    type = Word([*OrderType], default=OrderType.MARKET.value)
    quantity = _quantity()
    time_in_force = Word(
        [*TimeInForce],
        default=TimeInForce.DAY.value,
        help_text="`day` ends with its trading date's session; `ioc` and `fok` with the first print.",
    )
    limit_price = _price("Of limit and stop-limit orders.")
    stop_price = _price("Of stop and stop-limit orders: the price that triggers it.")
    reduce_only = Flag(default=False, help_text="Whether it may only reduce a position.")
    take_profit = _price("The limit of a second order, which works once this one fills.")
    stop_loss = _price("The stop of a third order. A fill of one of the two reduces the other at once.")
    client_order_id = client_order_id_field()
    strategy = strategy_field()

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse fields that do not go together."""
        given = {name: value for name, value in attrs.items() if value is not None}
        order = msgspec.convert({**given, "symbol": symbol_canonical(given["symbol"])}, OrderTerms)
        raise_if_unfit(order)
        return {"order": order}


class ReplacementInput(KnownFieldsSerializer):
    """What an order's replacement has otherwise. A missing field stays; null takes a price away."""

    examples: ClassVar = {"Another limit": {"limit_price": 189.75}}

    quantity = _quantity(required=False)
    time_in_force = Word([*TimeInForce], required=False)
    limit_price = _price("Of limit and stop-limit orders.")
    stop_price = _price("Of stop and stop-limit orders that were not triggered.")
    take_profit = _price("Of a bracket.")
    stop_loss = _price("Of a bracket.")
    client_order_id = client_order_id_field()

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse a body that changes nothing."""
        if not attrs.keys() - {"client_order_id"}:
            raise serializers.ValidationError("give a field to change", code="required")
        return attrs


def replacement_of(order: Order, changes: dict[str, Any]) -> OrderTerms:
    """Return the terms of an order's replacement. Raises ValidationError if they do not go together."""
    changes = {"client_order_id": None, **changes}
    if order.contingency is Contingency.OCO:
        if fixed := changes.keys() - {"limit_price", "stop_price", "client_order_id"}:
            raise serializers.ValidationError(dict.fromkeys(fixed, "cannot change in an oco"), "unfit")
        # The other order stays.
        changes["stop_loss"] = None
    if "time_in_force" in changes:
        changes["time_in_force"] = TimeInForce(changes["time_in_force"])
    replacement = msgspec.structs.replace(order.terms, **changes)
    raise_if_unfit(replacement)
    return replacement


def raise_if_unfit(order: OrderTerms) -> None:
    """Raise ValidationError if the fields of an order do not go together."""
    errors: dict[str, Any] = {}
    for error in (*_of_type(order), *_of_signs(order), *_of_bracket(order)):
        errors.setdefault(error.path, [serializers.ErrorDetail(error.message, error.code)])
    if errors:
        raise serializers.ValidationError(errors)


def _of_type(order: OrderTerms) -> Iterator[FieldError]:
    for field, has in (("limit_price", order.type.has_limit), ("stop_price", order.type.has_stop)):
        price = getattr(order, field)
        if has and price is None:
            yield FieldError(field, "required", f"is missing; an order of the type {order.type} needs it")
        if not has and price is not None:
            yield FieldError(field, "unfit", f"is not for an order of the type {order.type}; leave it out")
    waits = order.type.has_stop or order.contingency is Contingency.OCO
    if waits and order.time_in_force.is_immediate:
        yield FieldError("time_in_force", "unfit", "must be day or gtc for an order that waits for its stop")
    if order.reduce_only and order.take_profit is not None:
        yield FieldError("take_profit", "unfit", "is not for an order that only reduces; leave it out")
    if order.reduce_only and order.stop_loss is not None and order.type is not OrderType.LIMIT:
        yield FieldError(
            "stop_loss", "unfit", "of an order that only reduces needs the type limit; leave it out"
        )


def _of_signs(order: OrderTerms) -> Iterator[FieldError]:
    found = [name for name in _PRICES if (price := getattr(order, name)) is not None and price <= 0]
    if found and not market_store().instrument(order.symbol).allow_nonpositive_price:
        for name in found:
            yield FieldError(name, "nonpositive_price", "must be above 0 for this instrument")


def _of_bracket(order: OrderTerms) -> Iterator[FieldError]:
    """What is bought takes its profit above, and stops its loss below, the price of the order, as far as that is known."""
    sign = (order.side.opposite if order.contingency is Contingency.OCO else order.side).sign
    entry = order.limit_price if order.limit_price is not None else order.stop_price
    profit, loss = order.take_profit, order.stop_loss
    above, below = ("above", "below") if sign > 0 else ("below", "above")
    if profit is not None and entry is not None and (profit - entry) * sign <= 0:
        yield FieldError("take_profit", "wrong_side", f"must be {above} the price of the order")
    if loss is not None and entry is not None and (entry - loss) * sign <= 0:
        yield FieldError("stop_loss", "wrong_side", f"must be {below} the price of the order")
    if profit is not None and loss is not None and (profit - loss) * sign <= 0:
        yield FieldError("stop_loss", "wrong_side", f"must be {below} take_profit")


class ExecuteInput(KnownFieldsSerializer):
    """The preview whose order is to be submitted."""

    examples: ClassVar = {"A preview": {"preview_id": ".eJwljUsKgDAQQ-8ya5V…"}}

    preview_id = Text(max_length=4096, help_text="Of an answer to `POST /trade/preview`.")


class CloseInput(KnownFieldsSerializer):
    """Which of a symbol's positions is to be closed."""

    examples: ClassVar = {"A strategy's": {"strategy": "momentum"}}

    strategy = strategy_field()
