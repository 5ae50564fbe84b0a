"""The endpoints of webhooks, of their deliveries, and of alerts."""

from collections.abc import Callable
from datetime import timedelta
from http import HTTPStatus
from typing import Any, ClassVar, cast

import django_filters
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django_filters.rest_framework import FilterSet
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from ratelimit.callers import Caller
from trades.instruments.services import requested_symbol, symbol_canonical
from web.endpoints import ANY_CALLER, WRITE, Access
from web.idempotency.answers import IDEMPOTENCY_KEY, REPLAYED, answer_once, keyed_call
from web.lists.filters import choice_filter
from web.lists.pages import NewestPagination
from web.lists.views import ListViewSet, Row
from web.requests.json_fields import JsonObject
from web.views import id_parameter
from webhooks.alerts import alert_arm, alert_create
from webhooks.models import ALERT_STATES, DELIVERY_STATES, Delivery, MarketAlert, Webhook
from webhooks.serializers import (
    ALERT_ID,
    DELIVERY_ID,
    WEBHOOK_ID,
    AlertDocument,
    DeliveryDocument,
    NewAlertSerializer,
    NewWebhookSerializer,
    SecretRotationSerializer,
    SecretWebhookDocument,
    WebhookChangeSerializer,
    WebhookDocument,
)
from webhooks.services import delivery_replay, webhook_change, webhook_create, webhook_rotate, webhook_test

_READ, _CHANGE = Access(ANY_CALLER), Access(ANY_CALLER, kind=WRITE)
_NOT_STORED = {"Cache-Control": "no-store"}
_WEBHOOK, _DELIVERY = id_parameter("webhook", WEBHOOK_ID), id_parameter("delivery", DELIVERY_ID)


class DeliveryFilter(FilterSet):  # type: ignore[misc]  # not typed
    """The filters of the list, combined with AND."""

    state = choice_filter(DELIVERY_STATES, "The delivery's state.")


class AlertFilter(FilterSet):  # type: ignore[misc]  # not typed
    """The filters of the list, combined with AND."""

    state = choice_filter(ALERT_STATES, "The alert's state.")
    symbol = django_filters.CharFilter(method="of_symbol", help_text="The alerts' symbol.")

    def of_symbol(self, rows: QuerySet[MarketAlert], _: str, symbol: str) -> QuerySet[MarketAlert]:
        return rows.filter(symbol=symbol_canonical(requested_symbol(symbol)))


class _OwnRowsViewSet(ListViewSet[Row]):
    """Rows of the caller. Nobody else finds them: 404. document: the answer's."""

    tag = "webhooks"
    document: ClassVar[Any]
    lookup_field = "uuid"

    def own(self) -> dict[str, Any]:
        """Return the condition of the rows that the caller may find."""
        return {"owner": self.caller.identity}

    def filter_queryset(self, queryset: Any) -> Any:
        return super().filter_queryset(queryset.filter(**self.own()))

    @property
    def caller(self) -> Caller:
        return cast("Caller", self.request.user)

    def locked(self) -> Row:
        """Return the path's row, for a change in this transaction: nobody deletes it meanwhile."""
        view: Any = self
        view.queryset = view.queryset.select_for_update(of=("self",))
        return self.get_object()

    def shown(self, row: Row) -> Response:
        """Return a row's document."""
        return Response(self.document.of(row).as_json(), headers=_NOT_STORED)

    def once(self, make: Callable[[], JsonObject], status: HTTPStatus = HTTPStatus.CREATED) -> Response:
        """Return the answer with what `make` made; the stored answer if the Idempotency-Key was used before."""
        call, now = keyed_call(self.request, self.request.data), timezone.now()
        with transaction.atomic():
            document, is_replayed = (make(), False) if call is None else answer_once(call, make, now=now)
        headers = {**_NOT_STORED, **(REPLAYED if is_replayed else {})}
        return Response(document, status=status, headers=headers)


class WebhooksViewSet(_OwnRowsViewSet[Webhook]):
    """The caller's webhooks."""

    access = {
        **dict.fromkeys(("list", "retrieve"), _READ),
        **dict.fromkeys(("create", "partial_update", "destroy", "rotate", "test"), _CHANGE),
    }
    bodies = {
        "create": NewWebhookSerializer,
        "partial_update": WebhookChangeSerializer,
        "rotate": SecretRotationSerializer,
    }
    answers = {
        **dict.fromkeys(("list", "retrieve", "partial_update"), WebhookDocument),
        **dict.fromkeys(("create", "rotate"), SecretWebhookDocument),
        "destroy": None,
        "test": DeliveryDocument,
    }
    common_parameters = (_WEBHOOK,)
    parameters = {"create": [IDEMPOTENCY_KEY], "rotate": [IDEMPOTENCY_KEY]}
    queryset = Webhook.objects.filter(is_callback=False)
    lookup_url_kwarg = "webhook"
    pagination_class = NewestPagination
    rows_name = "webhooks"
    document = WebhookDocument

    def list(self, request: Request) -> Response:
        """List webhooks. One's own webhooks, newest first, without their secrets."""
        return self.answer_page(lambda row: self.document.of(row).as_json())

    def create(self, request: Request) -> Response:
        """Create a webhook. From now on events are sent to it. Its secret is only in this answer."""
        values, now = self.body(), timezone.now()

        def create() -> JsonObject:
            webhook, secret = webhook_create(caller=self.caller, values=values, now=now)
            return SecretWebhookDocument.of(webhook, secret=secret).as_json()

        return self.once(create)

    def retrieve(self, request: Request, webhook: str) -> Response:
        """Get a webhook. Without its secret."""
        return self.shown(self.get_object())

    @transaction.atomic
    def partial_update(self, request: Request, webhook: str) -> Response:
        """Change a webhook. Fields that are left out stay."""
        values, stored = self.body(), self.locked()
        webhook_change(webhook=stored, values=values, now=timezone.now())
        return self.shown(stored)

    @transaction.atomic
    def destroy(self, request: Request, webhook: str) -> Response:
        """Delete a webhook. With the log of its deliveries. What is pending is not sent."""
        self.locked().delete()
        return Response(status=HTTPStatus.NO_CONTENT)

    def rotate(self, request: Request, webhook: str) -> Response:
        """Rotate a webhook's secret. Calls are signed with both secrets until the overlap ends, by default a day. Until then only a rotation without overlap is possible."""
        overlap = timedelta(seconds=self.body(is_optional=True)["overlap_seconds"])

        def rotate() -> JsonObject:
            stored = self.locked()
            secret = webhook_rotate(webhook=stored, overlap=overlap, now=timezone.now())
            return SecretWebhookDocument.of(stored, secret=secret).as_json()

        return self.once(rotate, HTTPStatus.OK)

    @transaction.atomic
    def test(self, request: Request, webhook: str) -> Response:
        """Test a webhook. Send it an event of the kind `webhook.test`. The log of deliveries shows what came of it."""
        delivery = webhook_test(webhook=self.locked(), now=timezone.now())
        return Response(DeliveryDocument.of(delivery).as_json(), headers=_NOT_STORED)


class DeliveriesViewSet(_OwnRowsViewSet[Delivery]):
    """The deliveries of a webhook."""

    access = {"list": _READ, "replay": _CHANGE}
    answers = {"list": DeliveryDocument, "replay": DeliveryDocument}
    common_parameters = (_WEBHOOK, _DELIVERY)
    queryset = Delivery.objects.select_related("event", "webhook")
    lookup_url_kwarg = "delivery"
    filterset_class = DeliveryFilter
    pagination_class = NewestPagination
    rows_name = "deliveries"
    document = DeliveryDocument

    def list(self, request: Request, webhook: str) -> Response:
        """List deliveries. The events that were sent to a webhook, or are to be, newest first."""
        return self.answer_page(lambda row: self.document.of(row).as_json())

    @transaction.atomic
    def replay(self, request: Request, webhook: str, delivery: str) -> Response:
        """Send a delivery again. With the same `webhook-id`, at once, whatever came of it before."""
        stored = self.locked()
        delivery_replay(delivery=stored, now=timezone.now())
        return self.shown(stored)

    def own(self) -> dict[str, Any]:
        return {
            "webhook": get_object_or_404(
                WebhooksViewSet.queryset, **super().own(), uuid=self.kwargs["webhook"]
            )
        }


class AlertsViewSet(_OwnRowsViewSet[MarketAlert]):
    """The caller's alerts."""

    access = {
        **dict.fromkeys(("list", "retrieve"), Access("market:read")),
        **dict.fromkeys(("create", "destroy", "rearm"), Access("market:read", kind=WRITE)),
    }
    bodies = {"create": NewAlertSerializer}
    answers = {**dict.fromkeys(("list", "create", "retrieve", "rearm"), AlertDocument), "destroy": None}
    common_parameters = (id_parameter("alert", ALERT_ID),)
    parameters = {"create": [IDEMPOTENCY_KEY]}
    queryset = MarketAlert.objects.all()
    lookup_url_kwarg = "alert"
    filterset_class = AlertFilter
    pagination_class = NewestPagination
    rows_name = "alerts"
    document = AlertDocument

    def list(self, request: Request) -> Response:
        """List alerts. One's own alerts, newest first."""
        return self.answer_page(lambda row: self.document.of(row).as_json())

    def create(self, request: Request) -> Response:
        """Create an alert. It fires once, by the event `alert.fired`, by trades that are stored from now on."""
        values, now = self.body(), timezone.now()
        return self.once(
            lambda: AlertDocument.of(alert_create(caller=self.caller, values=values, now=now)).as_json()
        )

    def retrieve(self, request: Request, alert: str) -> Response:
        """Get an alert. With what it fired by."""
        return self.shown(self.get_object())

    def destroy(self, request: Request, alert: str) -> Response:
        """Delete an alert. It fires no more."""
        self.get_object().delete()
        return Response(status=HTTPStatus.NO_CONTENT)

    def rearm(self, request: Request, alert: str) -> Response:
        """Arm an alert again. It fires by trades that are stored from now on, also if it has not fired yet."""
        stored = self.get_object()
        alert_arm(stored, now=timezone.now())
        return self.shown(stored)
