"""Alpaca's calls about orders: listed, placed, replaced, cancelled."""

from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

import msgspec
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response

from dialects.alpaca.accounts import AlpacaAccountView, parameter
from dialects.alpaca.available import require_available
from dialects.alpaca.order_inputs import AlpacaOrderInput, AlpacaReplacementInput
from dialects.alpaca.orders import AlpacaOrder, ExampleId, alpaca_order, other_id
from dialects.alpaca.symbols import asset_symbol
from trading.api.account_view import ACCOUNT_PAGE, ACCOUNT_READ, CLOSE, ORDER_CHANGE, Done, account_answer
from trading.api.order_inputs import (
    replacement_of,
)
from trading.api.row_views import ORDER_ID
from trading.core.account import AccountState
from trading.core.orders import Order, OrderTerms
from trading.core.terms import Side
from trading.exceptions import ClientOrderIdReused
from trading.journal import state_of
from trading.models import Account, OrderRow
from trading.selectors import legs_of, order_find
from trading.services.orders import (
    Submitted,
    order_cancel,
    order_in,
    order_repeated,
    order_replace,
    order_submit,
    orders_cancel,
)
from web.documents import AnswerDocument, about
from web.idempotency.answers import IDEMPOTENCY_KEY
from web.requests.exceptions import InvalidParameter
from web.requests.parameters import choice

# An order that is checked and placed by one call.
_DIRECT = replace(ORDER_CHANGE, scope="trading:direct")
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
        row = found.first() or self._row(account, other_id(name))
        return account_answer(_nested(account, order_in(row)), account.number)

    def create(self, request: Request) -> Response:
        """Place an order, checked and accepted by one call. A `client_order_id` is taken once."""
        order: OrderTerms = self.body()["order"]
        account, caller = self.account_to_change()
        return self.change_once(
            f"alpaca_order_submit:{account.name}",
            lambda: _done(account, _submit(account, order, caller.identity)),
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
            lambda: _done(account, _replace(account, row.uuid, terms, changes, by)),
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


def _submit(account: Account, order: OrderTerms, by: str) -> Submitted:
    """Do as `order_submit`. Raises also RiskRefused for a sell of more than is available of a long position."""
    if order_repeated(account=account, fields=msgspec.structs.asdict(order)) is None:
        _require_unused(account, order.client_order_id)
        require_available(_locked_state(account), order)
    return order_submit(account=account, order=order, by=by)


def _replace(
    account: Account, order_id: UUID, order: OrderTerms, changes: Mapping[str, Any], by: str
) -> Submitted:
    """Do as `order_replace`. Raises also what `_submit` raises."""
    if order_repeated(account=account, fields=changes, replaces=order_id) is None:
        _require_unused(account, order.client_order_id)
        state = _locked_state(account)
        require_available(state, order, replaces=state.orders.get(str(order_id)))
    return order_replace(account=account, order_id=order_id, order=order, changes=changes, by=by)


def _locked_state(account: Account) -> AccountState:
    """Return the state of an account, which nobody else changes until the transaction ends."""
    return state_of(Account.objects.select_for_update().get(pk=account.pk))


def _require_unused(account: Account, client_order_id: str | None) -> None:
    """Refuse the client's id that an order without one shows. Raises ClientOrderIdReused."""
    if client_order_id is None:
        return
    order_id = other_id(client_order_id)
    if order_id != client_order_id and account.orders.filter(uuid=order_id, client_order_id="").exists():
        raise ClientOrderIdReused(f"client_order_id must be unique: it belongs to the order {order_id}")


def _nested(account: Account, order: Order) -> AlpacaOrder:
    return alpaca_order(order, legs_of(account, [order]).get(order.id, ()))


def _done(account: Account, submitted: Submitted) -> Done:
    """Return what a call did. Raises ClientOrderIdReused if an earlier call did it."""
    if submitted.is_repeated:
        message = f"client_order_id must be unique: it belongs to the order {submitted.order.id}"
        raise ClientOrderIdReused(message)
    return Done(_nested(account, submitted.order), submitted.number)
