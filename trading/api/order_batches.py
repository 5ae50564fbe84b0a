"""The endpoints of batches of orders: placed or previewed, and cancelled."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Any, ClassVar, cast

import msgspec
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from ratelimit.authorize import check_limits
from ratelimit.limits.services import admit
from trading.api.access import ACCOUNT_CHANGE, CLOSE, ORDER_CHANGE
from trading.api.account_view import ACCOUNT, AccountView, Done, account_answer
from trading.api.order_inputs import OrderInput
from trading.core.amounts import ZERO
from trading.core.orders import OrderTerms
from trading.core.risk import expected_cost, worst_cost
from trading.documents.order_batches import (
    CancelBatchDocument,
    ItemErrorDocument,
    ItemFieldErrorDocument,
    OrderBatchDocument,
    OrderBatchItemDocument,
)
from trading.exceptions import OnceRequired, OrdersRefused
from trading.models import Account
from trading.services.order_batches import (
    BatchItem,
    MaybeOrder,
    OrderBatch,
    orders_accept,
    orders_cancel_each,
    orders_decide,
)
from web.documents import number, number_or_null
from web.idempotency.answers import IDEMPOTENCY_KEY, REPLAYED, answer_once, is_answered
from web.problem_body import PROBLEM_OF
from web.requests.field_errors import KnownFieldsSerializer
from web.requests.json_fields import Flag, JsonObject

MOST_ITEMS = 500
_ITEMS_PER_TOKEN = 10
_BODY_BYTES = 512 * 2**10
_ORDER_BATCH = replace(ORDER_CHANGE, body_bytes=_BODY_BYTES)
_CANCEL_BATCH = replace(CLOSE, body_bytes=_BODY_BYTES)


class EachOrder(serializers.ListSerializer[Any]):
    """A list of orders. One that is wrong becomes its error, and the others stay."""

    def run_child_validation(self, data: Any) -> MaybeOrder:
        """Return an order, or its ValidationError."""
        try:
            order: OrderTerms = super().run_child_validation(data)["order"]
        except serializers.ValidationError as error:
            return error
        return order


class OrderBatchInput(KnownFieldsSerializer):
    """Orders that are checked one after another, each with those before it."""

    examples: ClassVar = {
        "Two orders": {
            "orders": [
                {"symbol": "AAPL", "side": "buy", "quantity": 10, "client_order_id": "m-1"},
                {"symbol": "MSFT", "side": "buy", "quantity": 5, "client_order_id": "m-2"},
            ]
        }
    }

    orders = EachOrder(
        child=OrderInput(), min_length=1, max_length=MOST_ITEMS, help_text=f"At most {MOST_ITEMS}."
    )
    together = Flag(
        default=False, help_text="Whether none is accepted if one is refused: 422 `orders_refused`."
    )
    preview = Flag(default=False, help_text="Whether to say only what would be done.")


class CancelBatchInput(KnownFieldsSerializer):
    """Orders to cancel."""

    examples: ClassVar = {"An order": {"orders": ["0b6f2c1e-3a57-4a52-9a37-5d6b8d2f7c11"]}}

    orders = serializers.ListField(
        child=serializers.UUIDField(), min_length=1, max_length=MOST_ITEMS, help_text="Their ids."
    )


class OrderBatchesViewSet(AccountView, GenericViewSet[Account]):
    """Batches of orders."""

    verbs: ClassVar[Mapping[str, str]] = {"create": "submit"}
    bodies = {"create": OrderBatchInput, "cancel": CancelBatchInput}
    answers = {"create": {200: OrderBatchDocument}, "cancel": {202: CancelBatchDocument}}
    access = {"create": _ORDER_BATCH, "cancel": _CANCEL_BATCH}
    common_parameters = (ACCOUNT,)
    parameters = {"create": [IDEMPOTENCY_KEY], "cancel": [IDEMPOTENCY_KEY]}
    asks_first = ("cancel",)

    def create(self, request: Request) -> Response:
        """Place a batch of orders.

        Check up to 500 orders one after another, each with those before it, and accept those that pass, in one
        transaction. Each gets an answer.

        Without an `Idempotency-Key` each order that may open a position needs a `client_order_id`.
        """
        values = self.body()
        orders: list[MaybeOrder] = values["orders"]
        self._charge(orders)
        account, caller = self.account_to_change()
        operation = f"order_batch:{account.name}"
        call = None if values["preview"] else self.keyed_call(operation)

        def decided() -> OrderBatch:
            return orders_decide(account=account, orders=orders, by=caller.identity)

        if values["preview"]:
            preview = _document(decided(), is_preview=True)
            return self.change(lambda: Done(preview, preview.event))
        if call is None and any(map(_opens_unnamed, orders)):
            raise OnceRequired("send an Idempotency-Key, or give each order a client_order_id")
        # Hundreds of checks take a second, in which a transaction would make all others wait.
        batch = None if call is not None and is_answered(call) else decided()

        def submit() -> Done:
            done = orders_accept(batch or decided(), together=values["together"])
            document = _document(done)
            if values["together"] and done.refused:
                items = [item.as_json() for item in document.items if item.status == "refused"]
                message = f"{done.refused} of {len(orders)} orders are refused, so none is accepted"
                raise OrdersRefused(message, items=items)
            return Done(document, document.event)

        return self.change_once(operation, submit, status=HTTPStatus.OK)

    def cancel(self, request: Request) -> Response:
        """Cancel a batch of orders.

        Ask for the cancel of up to 500 orders in one transaction. Each gets an answer. May be repeated.
        """
        order_ids = self.body()["orders"]
        self._charge(order_ids)
        account = self.account()

        def cancel() -> JsonObject:
            items, event = orders_cancel_each(account=account, order_ids=order_ids, by=self.caller.identity)
            document = CancelBatchDocument(account=account.name, event=event, **_items(items))
            return cast("JsonObject", msgspec.to_builtins(document))

        call = self.keyed_call(f"cancel_batch:{account.name}")
        document, is_replayed = (
            (cancel(), False) if call is None else answer_once(call, cancel, now=timezone.now())
        )
        headers = REPLAYED if is_replayed else {}
        return account_answer(document, document["event"], status=HTTPStatus.ACCEPTED, headers=headers)

    def _charge(self, items: Sequence[object]) -> None:
        """Charge a token for each ten items. Raises RateLimited."""
        check_limits(admit(self.caller, ACCOUNT_CHANGE, cost=-(-len(items) // _ITEMS_PER_TOKEN)))


def _opens_unnamed(order: MaybeOrder) -> bool:
    return isinstance(order, OrderTerms) and order.client_order_id is None and not order.reduce_only


def _document(batch: OrderBatch, *, is_preview: bool = False) -> OrderBatchDocument:
    found = [item.found for item in batch.items if item.found is not None]
    proposals = [each.proposal for each in found]
    costs = [expected_cost(each) for each in proposals]
    return OrderBatchDocument(
        account=batch.account.name,
        event=batch.number if is_preview else batch.state.number,
        **_items(batch.items, is_preview=is_preview),
        preview=is_preview,
        currency=batch.state.currency,
        cost=number(sum((cost for cost, _ in costs), ZERO)),
        worst_cost=number(sum(map(worst_cost, proposals), ZERO)),
        fee=number(sum((fee for _, fee in costs), ZERO)),
        gross_after=number_or_null(found[-1].gross) if found else None,
        equity=number_or_null(found[-1].equity) if found else None,
    )


def _items(items: Sequence[BatchItem], *, is_preview: bool = False) -> dict[str, Any]:
    documents = [
        OrderBatchItemDocument(
            index=index,
            status=item.status,
            order_id=None if item.order is None or is_preview else item.order.id,
            client_order_id=item.client_order_id,
            error=None if item.error is None else _error(item.error),
        )
        for index, item in enumerate(items)
    ]
    counts = Counter(each.status for each in documents)
    return {"items": documents, **{name: counts[name] for name in ("accepted", "repeated", "refused")}}


def _error(error: Exception) -> ItemErrorDocument:
    body = PROBLEM_OF.get()(error).body()
    errors = [ItemFieldErrorDocument(**each) for each in body["errors"]]
    return ItemErrorDocument(body["code"], body["message"], errors)
