"""The endpoints of batches of orders: placed, and cancelled."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Any, ClassVar

from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from jobs.documents import JobDocument
from jobs.kinds import JobKind
from jobs.models import Job
from jobs.serializers import SubmissionSerializer
from jobs.services import job_done
from jobs.views import SubmissionViewSet
from ratelimit.authorize import check_limits
from ratelimit.limits.services import admit
from trading.api.account_view import ACCOUNT, ACCOUNT_CHANGE, CLOSE, ORDER_CHANGE, AccountView, account_answer
from trading.api.order_inputs import OrderInput
from trading.core.orders import OrderTerms
from trading.documents.orders import (
    ItemErrorDocument,
    ItemFieldErrorDocument,
    OrderBatchDocument,
    OrderBatchItemDocument,
)
from trading.exceptions import OnceRequired
from trading.models import Account
from trading.services.order_batches import MaybeOrder, OrderBatch, orders_cancel_each, orders_submit
from web.idempotency.answers import IDEMPOTENCY_KEY, REPLAYED, answer_once, idempotency_key
from web.problem_body import PROBLEM_OF
from web.requests.field_errors import KnownFieldsSerializer
from web.requests.json_fields import JsonObject

MOST_ITEMS = 500
_ITEMS_PER_TOKEN = 10
_BODY_BYTES = 512 * 2**10


class EachOrder(serializers.ListSerializer[Any]):
    """A list of orders. One that is wrong becomes its error, and the others stay."""

    def run_child_validation(self, data: Any) -> MaybeOrder:
        """Return an order, or its ValidationError."""
        try:
            order: OrderTerms = super().run_child_validation(data)["order"]
        except serializers.ValidationError as error:
            return error
        return order


class OrderBatchInput(SubmissionSerializer):
    """Orders that are decided in turn, each with those before it."""

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


class CancelBatchInput(KnownFieldsSerializer):
    """Orders to cancel."""

    examples: ClassVar = {"An order": {"orders": ["0b6f2c1e-3a57-4a52-9a37-5d6b8d2f7c11"]}}

    orders = serializers.ListField(
        child=serializers.UUIDField(), min_length=1, max_length=MOST_ITEMS, help_text="Their ids."
    )


# The call decides its orders itself, so that they wait for no worker.
ORDER_BATCH = JobKind(
    name="order_batch",
    function=None,
    serializer=OrderBatchInput,
    unit="orders",
    access=replace(ORDER_CHANGE, body_bytes=_BODY_BYTES),
    account_parameter="account",
    is_result_large=True,
)


class OrderBatchJobDocument(JobDocument, kw_only=True):
    """The job of a batch of orders."""

    result: OrderBatchDocument | None


class OrderBatchesViewSet(AccountView, SubmissionViewSet):
    """Batches of orders."""

    verbs: ClassVar[Mapping[str, str]] = {"create": "submit"}
    bodies = {"create": OrderBatchInput, "cancel": CancelBatchInput}
    answers = {"create": {202: OrderBatchJobDocument}, "cancel": {202: OrderBatchDocument}}
    access = {"create": ORDER_BATCH.access, "cancel": replace(CLOSE, body_bytes=_BODY_BYTES)}
    common_parameters = (ACCOUNT,)
    parameters = {"create": [IDEMPOTENCY_KEY], "cancel": [IDEMPOTENCY_KEY]}
    asks_first = ("cancel",)
    kind = ORDER_BATCH.name
    _account: Account
    _orders: Sequence[MaybeOrder] = ()

    def create(self, request: Request) -> Response:
        """Place a batch of orders.

        Decide up to 500 orders in turn, each with those before it, and accept those that pass. The answer is a job that has
        ended: its `result` has a verdict for each order.

        Without an `Idempotency-Key` each order that may open a position needs a `client_order_id`.
        """
        return self.submit(request)

    def job_parameters(self) -> JsonObject:
        """Return the job's parameters: the account, and how many orders there are. Raises OnceRequired."""
        self._orders = self.body()["orders"]
        self._charge(self._orders)
        self._account, _ = self.account_to_change()
        if idempotency_key(self.request) is None and any(map(_opens_unnamed, self._orders)):
            raise OnceRequired("send an Idempotency-Key, or give each order a client_order_id")
        return {"account": self._account.name, "orders": len(self._orders)}

    def make_job(self, parameters: JsonObject, **columns: Any) -> Job:
        """Decide the orders, and return the job with their verdicts."""
        batch = orders_submit(account=self._account, orders=self._orders, by=columns["created_by"])
        result = _document(self._account, batch).as_json()
        return job_done(
            kind=self.kind, parameters=parameters, result=result, total=len(batch.items), **columns
        )

    def cancel(self, request: Request) -> Response:
        """Cancel a batch of orders.

        Ask for the cancel of up to 500 orders in one transaction. Each gets an answer. May be repeated.
        """
        order_ids = self.body()["orders"]
        self._charge(order_ids)
        account = self.account()

        def cancel() -> JsonObject:
            batch = orders_cancel_each(account=account, order_ids=order_ids, by=self.caller.identity)
            return _document(account, batch).as_json()

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


def _document(account: Account, batch: OrderBatch) -> OrderBatchDocument:
    counts = Counter(item.status for item in batch.items)
    return OrderBatchDocument(
        account=account.name,
        accepted=counts["accepted"],
        repeated=counts["repeated"],
        refused=counts["refused"],
        items=[
            OrderBatchItemDocument(
                index=index,
                status=item.status,
                order_id=None if item.order is None else item.order.id,
                client_order_id=item.client_order_id,
                error=None if item.error is None else _error(item.error),
            )
            for index, item in enumerate(batch.items)
        ],
        event=batch.number,
    )


def _error(error: Exception) -> ItemErrorDocument:
    body = PROBLEM_OF.get()(error).body()
    errors = [ItemFieldErrorDocument(**each) for each in body["errors"]]
    return ItemErrorDocument(body["code"], body["message"], errors)
