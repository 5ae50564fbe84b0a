"""The endpoints of batches of orders: placed or previewed, and cancelled."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Any, ClassVar

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from ratelimit.authorize import check_limits
from ratelimit.limits.services import admit
from trading.api.access import ACCOUNT_CHANGE, CLOSE, ORDER_CHANGE
from trading.api.account_view import ACCOUNT, AccountView, Done, account_answer
from trading.api.order_inputs import OrderInput
from trading.core.amounts import ZERO, money
from trading.core.orders import OrderTerms
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
    OrderBatch,
    orders_cancel_each,
    orders_preview,
    orders_submit,
)
from web.documents import number, number_or_null
from web.idempotency.answers import IDEMPOTENCY_KEY
from web.problem_body import PROBLEM_OF
from web.requests.field_errors import KnownFieldsSerializer
from web.requests.json_fields import Flag

MOST_ITEMS = 500
_ITEMS_PER_TOKEN = 10
_BODY_BYTES = 512 * 2**10
_ORDER_BATCH = replace(ORDER_CHANGE, body_bytes=_BODY_BYTES)
_CANCEL_BATCH = replace(CLOSE, body_bytes=_BODY_BYTES)


class EachOrder(serializers.ListSerializer[Any]):
    """A list of orders. One that is wrong becomes its error, and the others stay."""

    def to_internal_value(self, data: Any) -> list[OrderTerms | Exception]:
        """Return each order, or its ValidationError."""
        if not isinstance(data, list) or not 1 <= len(data) <= MOST_ITEMS:
            raise serializers.ValidationError(
                f"must be a list of 1 to {MOST_ITEMS} orders", code="invalid_type"
            )
        return [self._read(each) for each in data]

    def _read(self, data: Any) -> OrderTerms | Exception:
        try:
            order: OrderTerms = self.run_child_validation(data)["order"]
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
    answers = {"create": OrderBatchDocument, "cancel": {202: CancelBatchDocument}}
    access = {"create": _ORDER_BATCH, "cancel": _CANCEL_BATCH}
    common_parameters = (ACCOUNT,)
    parameters = {"create": [IDEMPOTENCY_KEY]}
    asks_first = ("cancel",)

    def create(self, request: Request) -> Response:
        """Place a batch of orders.

        Check up to 500 orders one after another, each with those before it, and accept those that pass, in one
        transaction. Each gets an answer.

        Without an `Idempotency-Key` each order that may open a position needs a `client_order_id`.
        """
        values = self.body()
        orders: list[OrderTerms | Exception] = values["orders"]
        check_limits(admit(self.caller, ACCOUNT_CHANGE, cost=-(-len(orders) // _ITEMS_PER_TOKEN)))
        account, caller = self.account_to_change()
        if values["preview"]:
            batch = orders_preview(account=account, orders=orders)
            document = _document(account, orders, batch, is_preview=True)
            return self.change(lambda: Done(document, batch.number))
        operation = f"order_batch:{account.name}"
        if self.keyed_call(operation) is None and any(map(_opens_unnamed, orders)):
            raise OnceRequired("send an Idempotency-Key, or give each order a client_order_id")

        def submit() -> Done:
            done = orders_submit(
                account=account, orders=orders, by=caller.identity, together=values["together"]
            )
            document = _document(account, orders, done)
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
        account = self.account()
        batch = orders_cancel_each(account=account, order_ids=order_ids, by=self.caller.identity)
        document = CancelBatchDocument(**_common(account, batch.items, batch.state.number))
        return account_answer(document, document.event, status=HTTPStatus.ACCEPTED)


def _opens_unnamed(order: OrderTerms | Exception) -> bool:
    return isinstance(order, OrderTerms) and order.client_order_id is None and not order.reduce_only


def _document(
    account: Account,
    orders: Sequence[OrderTerms | Exception],
    batch: OrderBatch,
    *,
    is_preview: bool = False,
) -> OrderBatchDocument:
    found = [item.found for item in batch.items if item.found is not None]
    proposals = [each.proposal for each in found]
    last = found[-1] if found else None
    return OrderBatchDocument(
        **_common(
            account, batch.items, batch.number if is_preview else batch.state.number, is_preview=is_preview
        ),
        preview=is_preview,
        currency=batch.state.currency,
        cost=number(sum((money(each.order.quantity, each.worth) for each in proposals), ZERO)),
        fee=number(sum((each.fee for each in proposals), ZERO)),
        gross_after=None if last is None else number_or_null(last.gross),
        equity=None if last is None else number_or_null(last.equity),
    )


def _common(
    account: Account, items: Sequence[BatchItem], event: int, *, is_preview: bool = False
) -> dict[str, Any]:
    documents = [_item(index, item, is_preview=is_preview) for index, item in enumerate(items)]
    statuses = [each.status for each in documents]
    counts = {status: statuses.count(status) for status in ("accepted", "repeated", "refused")}
    return {"account": account.name, "items": documents, "event": event, **counts}


def _item(index: int, item: BatchItem, *, is_preview: bool) -> OrderBatchItemDocument:
    if item.order is None:
        assert item.error is not None  # noqa: S101 an item has an order or an error
        return OrderBatchItemDocument(index, "refused", None, item.client_order_id, _error(item.error))
    shown = None if is_preview and not item.is_repeated else item.order.id
    return OrderBatchItemDocument(
        index, "repeated" if item.is_repeated else "accepted", shown, item.order.terms.client_order_id, None
    )


def _error(error: Exception) -> ItemErrorDocument:
    body = PROBLEM_OF.get()(error).body()
    errors = [ItemFieldErrorDocument(**each) for each in body["errors"]]
    return ItemErrorDocument(body["code"], body["message"], errors)
