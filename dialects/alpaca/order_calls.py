"""Alpaca's calls about orders: listed, placed, replaced, cancelled. What the engine lacks is refused, field by field."""

import re
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from http import HTTPStatus
from typing import Annotated, Any, ClassVar

import msgspec
from drf_spectacular.utils import OpenApiParameter, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from dialects.alpaca.accounts import AlpacaAccountView, parameter
from dialects.alpaca.orders import DERIVED, AlpacaOrder, ExampleId, alpaca_order, named_symbol
from dialects.alpaca.symbols import asset_symbol, pair_of
from trades.batches.serializers import SymbolField
from trades.instruments.services import instruments_all, symbol_canonical
from trading.api.access import ACCOUNT_PAGE, ACCOUNT_READ, CLOSE, ORDER_CHANGE
from trading.api.account_view import Done, account_answer
from trading.api.order_inputs import (
    QUANTITY_DECIMALS,
    client_order_id_field,
    raise_if_unfit,
    replacement_of,
)
from trading.api.row_views import ORDER_ID
from trading.core.orders import MOST, Contingency, Order, OrderTerms, OrderType, TimeInForce
from trading.core.terms import Side
from trading.exceptions import ClientOrderIdReused
from trading.models import Account, OrderRow
from trading.reading.selectors import legs_of, order_find
from trading.services.orders import (
    Submitted,
    order_cancel,
    order_in,
    order_replace,
    order_submit,
    orders_cancel,
)
from web.documents import AnswerDocument, about
from web.idempotency.answers import IDEMPOTENCY_KEY
from web.requests.exceptions import InvalidParameter
from web.requests.field_errors import KnownFieldsSerializer
from web.requests.json_fields import Amount, Word
from web.requests.parameters import choice

# An order that is checked and placed by one call.
_DIRECT = replace(ORDER_CHANGE, scope="trading:direct")
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
_FILTERS_BY_STATUS: Mapping[str, dict[str, bool]] = {"open": {"is_open": True}, "closed": {"is_open": False}, "all": {}}  # fmt: skip
_NESTED = parameter("nested", "Whether legs are within their order.", type="boolean")
_LIST = (
    parameter("status", "Which orders.", enum=[*_FILTERS_BY_STATUS], default="open"),
    parameter("limit", "How many.", type="integer", minimum=1, maximum=500, default=50),
    parameter("after", "Submitted after this time."),
    parameter("until", "Submitted before this time."),
    parameter("direction", "By the time at which they were submitted.", enum=["asc", "desc"], default="desc"),
    _NESTED,
    parameter("symbols", "Of these symbols, with commas between them."),
    parameter("side", "Of this side.", enum=[each.value for each in Side]),
)
_CLIENT_ID = OpenApiParameter("client_order_id", str, required=True, description="The client's id.")


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


class AlpacaCancelled(AnswerDocument):
    """An order whose cancel was asked for."""

    id: ExampleId
    status: Annotated[int, about("Of this order.", 200)] = HTTPStatus.OK


class AlpacaOrdersViewSet(AlpacaAccountView):
    """Orders of the key's account."""

    verbs = {"create": "submit", "partial_update": "replace", "destroy": "cancel", "cancel_all": "cancel_all"}
    bodies = {"create": AlpacaOrderInput, "partial_update": AlpacaReplacementInput}
    answers = {
        **dict.fromkeys(("retrieve", "of_client", "partial_update"), AlpacaOrder),
        "list": list[AlpacaOrder],
        "create": {200: AlpacaOrder},
        "destroy": None,
        "cancel_all": {207: list[AlpacaCancelled]},
    }
    access = {
        "list": ACCOUNT_PAGE,
        "create": _DIRECT,
        "retrieve": ACCOUNT_READ,
        "of_client": ACCOUNT_READ,
        "partial_update": _DIRECT,
        "destroy": CLOSE,
        "cancel_all": CLOSE,
    }
    common_parameters = (ORDER_ID,)
    parameters = {
        "list": _LIST,
        "retrieve": (_NESTED,),
        "of_client": (_CLIENT_ID,),
        "create": (IDEMPOTENCY_KEY,),
        "partial_update": (IDEMPOTENCY_KEY,),
    }

    def list(self, request: Request) -> Response:
        """List orders."""
        account = self.account()
        limit = self.whole_number("limit", most=500, default=50)
        order_by = "pk" if choice(self.query, "direction", ("asc", "desc"), "desc") == "asc" else "-pk"
        rows = account.orders.filter(**self._conditions()).order_by(order_by)[:limit]
        orders = [order_in(row) for row in rows]
        legs: dict[str, list[Order]] = {}
        if self.flag("nested"):
            legs = legs_of(account, orders)
            within = {leg.id for each in legs.values() for leg in each}
            orders = [order for order in orders if order.id not in within]
        return account_answer([alpaca_order(each, legs.get(each.id, ())) for each in orders], account.number)

    def _conditions(self) -> dict[str, Any]:
        """Return the conditions of the rows that the query asks for."""
        conditions: dict[str, Any] = dict(
            _FILTERS_BY_STATUS[choice(self.query, "status", _FILTERS_BY_STATUS, "open")]
        )
        if "side" in self.query:
            conditions["side"] = choice(self.query, "side", [*Side], "")
        if "symbols" in self.query:
            symbols = self.query["symbols"].split(",")
            conditions["symbol__in"] = [asset_symbol(each) for each in symbols]
        # The client keeps microseconds of the times that it asks with.
        for name, condition, later in (
            ("after", "submitted_ns__gte", 1_000),
            ("until", "submitted_ns__lt", 0),
        ):
            if (at_ns := self.instant(name)) is not None:
                conditions[condition] = at_ns // 1_000 * 1_000 + later
        return conditions

    def retrieve(self, request: Request, order: str) -> Response:
        """Get an order."""
        account = self.account()
        found = order_in(self._row(account, order))
        document = _nested(account, found) if self.flag("nested") else alpaca_order(found)
        return account_answer(document, account.number)

    def of_client(self, request: Request) -> Response:
        """Get an order by the client's id."""
        account, name = self.account(), self.query.get("client_order_id")
        if name is None:
            raise InvalidParameter("missing_parameter", "client_order_id is missing")
        found = account.orders.filter(client_order_id=name) if name.isprintable() else account.orders.none()
        row = found.first() or self._row(account, name.removeprefix(DERIVED))
        return account_answer(_nested(account, order_in(row)), account.number)

    def create(self, request: Request) -> Response:
        """Place an order, checked and accepted by one call. A `client_order_id` is taken once."""
        order: OrderTerms = self.body()["order"]
        account, caller = self.account_to_change()
        return self.change_once(
            f"alpaca_order_submit:{account.name}",
            lambda: _done(account, order_submit(account=account, order=order, by=caller.identity)),
            status=HTTPStatus.OK,
        )

    def partial_update(self, request: Request, order: str) -> Response:
        """Replace an order. The answer is the new order."""
        changes = self.body()
        account, caller = self.account_to_change()
        row, by = self._row(account, order), caller.identity
        terms = replacement_of(order_in(row), changes)
        return self.change_once(
            f"alpaca_order_replace:{row.uuid}",
            lambda: _done(
                account,
                order_replace(account=account, order_id=row.uuid, order=terms, changes=changes, by=by),
            ),
            status=HTTPStatus.OK,
        )

    def destroy(self, request: Request, order: str) -> Response:
        """Cancel an order."""
        account = self.account()
        row = self._row(account, order)
        done = order_cancel(account=account, order_id=row.uuid, by=self.caller.identity)
        return account_answer(None, done.number, status=HTTPStatus.NO_CONTENT)

    def cancel_all(self, request: Request) -> Response:
        """Cancel all orders."""
        account = self.account()
        cancelled = orders_cancel(account=account, by=self.caller.identity)
        account.refresh_from_db(fields=["number"])
        documents = [AlpacaCancelled(each) for each in cancelled]
        return account_answer(documents, account.number, status=HTTPStatus.MULTI_STATUS)

    def _row(self, account: Account, order_id: str) -> OrderRow:
        return order_find(caller=self.caller, name=account.name, order_id=order_id)


def _nested(account: Account, order: Order) -> AlpacaOrder:
    return alpaca_order(order, legs_of(account, [order]).get(order.id, ()))


def _done(account: Account, submitted: Submitted) -> Done:
    """Return what a call did. Raises ClientOrderIdReused if an earlier call did it."""
    if submitted.is_repeated:
        message = f"client_order_id must be unique: it belongs to the order {submitted.order.id}"
        raise ClientOrderIdReused(message)
    return Done(_nested(account, submitted.order), submitted.number)
