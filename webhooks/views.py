"""The endpoints of webhooks and of their deliveries."""

from collections.abc import Callable
from datetime import timedelta
from http import HTTPStatus
from typing import TypeVar, cast
from uuid import UUID

from django.db.models import Model, QuerySet
from django.utils import timezone
from django_filters.rest_framework import FilterSet
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from ratelimit.callers import Caller
from web.endpoints import ANY_CALLER, WRITE, Access
from web.idempotency.answers import IDEMPOTENCY_KEY, REPLAYED, answer_once, keyed_call
from web.lists.filters import choice_filter
from web.lists.pages import KeysetPagination
from web.lists.views import ListViewSet
from web.requests.json_fields import JsonObject
from webhooks.models import DELIVERY_STATES, Delivery, Webhook
from webhooks.serializers import (
    DELIVERY_ID,
    WEBHOOK_ID,
    DeliveryDocument,
    NewWebhookSerializer,
    SecretRotationSerializer,
    SecretWebhookDocument,
    WebhookChangeSerializer,
    WebhookDocument,
)
from webhooks.services import (
    delivery_replay,
    webhook_change,
    webhook_create,
    webhook_rotate,
    webhook_test,
)

_READ, _CHANGE = Access(ANY_CALLER), Access(ANY_CALLER, kind=WRITE)
NOT_STORED = {"Cache-Control": "no-store"}
_Found = TypeVar("_Found", bound=Model)


def id_parameter(name: str, example: str) -> OpenApiParameter:
    """Return the parameter of a path that is an id."""
    schema = {"type": "string", "format": "uuid", "examples": [example]}
    return OpenApiParameter(name, schema, OpenApiParameter.PATH, description=f"The {name}'s id.")


class WebhookPagination(KeysetPagination):
    """Pages of webhooks, in the order in which they were made."""

    rows_name = "webhooks"
    by = "pk"
    sort_description = "By the time of creation, oldest first."


class NewestPagination(KeysetPagination):
    """Pages of rows, the newest first."""

    by = "pk"
    sort_description = "By the time of creation; `desc`: newest first."
    default_limit = 100
    default_sort = "desc"


class DeliveryFilter(FilterSet):  # type: ignore[misc]  # not typed
    """The filters of the list, combined with AND."""

    state = choice_filter(DELIVERY_STATES, "The delivery's state.")


class WebhooksViewSet(ListViewSet[Webhook]):
    """The caller's webhooks, made with its key or with an earlier key of the same rotations."""

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
    common_parameters = (id_parameter("webhook", WEBHOOK_ID),)
    parameters = {"create": [IDEMPOTENCY_KEY]}
    queryset = Webhook.objects.all()
    pagination_class = WebhookPagination

    def list(self, request: Request) -> Response:
        """List webhooks. One's own webhooks, without their secrets."""
        webhooks = self.paginate_queryset(_webhooks_of(request))
        return self.get_paginated_response([WebhookDocument.of(each).as_json() for each in webhooks or ()])

    def create(self, request: Request) -> Response:
        """Create a webhook. From now on events are sent to it. Its secret is only in this answer."""
        values, now = self.body(), timezone.now()

        def create() -> JsonObject:
            webhook, secret = webhook_create(caller=_caller(request), values=values, now=now)
            return SecretWebhookDocument.of(webhook, secret=secret).as_json()

        return created_once(request, create)

    def retrieve(self, request: Request, webhook: str) -> Response:
        """Get a webhook. Without its secret."""
        return _answer(_webhook(request, webhook))

    def partial_update(self, request: Request, webhook: str) -> Response:
        """Change a webhook. Fields that are left out stay."""
        values, stored = self.body(), _webhook(request, webhook)
        webhook_change(webhook=stored, values=values, now=timezone.now())
        return _answer(stored)

    def destroy(self, request: Request, webhook: str) -> Response:
        """Delete a webhook. With the log of its deliveries. What is pending is not sent."""
        _webhook(request, webhook).delete()
        return Response(status=HTTPStatus.NO_CONTENT)

    def rotate(self, request: Request, webhook: str) -> Response:
        """Rotate a webhook's secret. Calls are signed with both secrets until the overlap ends, by default a day."""
        overlap = timedelta(seconds=self.body(is_optional=True)["overlap_seconds"])
        stored = _webhook(request, webhook)
        secret = webhook_rotate(webhook=stored, overlap=overlap, now=timezone.now())
        return Response(SecretWebhookDocument.of(stored, secret=secret).as_json(), headers=NOT_STORED)

    def test(self, request: Request, webhook: str) -> Response:
        """Test a webhook. Send it an event of the kind `webhook.test`. The log of deliveries shows what came of it."""
        delivery = webhook_test(webhook=_webhook(request, webhook), now=timezone.now())
        return Response(DeliveryDocument.of(delivery).as_json(), headers=NOT_STORED)


class DeliveriesViewSet(ListViewSet[Delivery]):
    """The deliveries of a webhook."""

    access = {"list": _READ, "replay": _CHANGE}
    answers = {"list": DeliveryDocument, "replay": DeliveryDocument}
    common_parameters = (id_parameter("webhook", WEBHOOK_ID), id_parameter("delivery", DELIVERY_ID))
    queryset = Delivery.objects.all()
    filterset_class = DeliveryFilter
    pagination_class = NewestPagination
    rows_name = "deliveries"

    def list(self, request: Request, webhook: str) -> Response:
        """List deliveries. The events that were sent to a webhook, or are to be, newest first."""
        rows = self.paginate_queryset(self.filter_queryset(_deliveries_of(_webhook(request, webhook))))
        return self.get_paginated_response([DeliveryDocument.of(each).as_json() for each in rows or ()])

    def replay(self, request: Request, webhook: str, delivery: str) -> Response:
        """Send a delivery again. With the same `webhook-id`, at once, whatever came of it before."""
        stored = row_of(_deliveries_of(_webhook(request, webhook)), delivery, "delivery")
        delivery_replay(delivery=stored, now=timezone.now())
        return Response(DeliveryDocument.of(stored).as_json(), headers=NOT_STORED)


def created_once(request: Request, make: Callable[[], JsonObject]) -> Response:
    """Return the answer with what `make` made; the stored answer if the Idempotency-Key was used before."""
    call = keyed_call(request, request.data)
    document, is_replayed = (make(), False) if call is None else answer_once(call, make, now=timezone.now())
    headers = {**NOT_STORED, **(REPLAYED if is_replayed else {})}
    return Response(document, status=HTTPStatus.CREATED, headers=headers)


def _answer(webhook: Webhook) -> Response:
    return Response(WebhookDocument.of(webhook).as_json(), headers=NOT_STORED)


def _webhooks_of(request: Request) -> QuerySet[Webhook]:
    return Webhook.objects.filter(owner=_caller(request).principal, is_callback=False)


def _webhook(request: Request, text: str) -> Webhook:
    return row_of(_webhooks_of(request), text, "webhook")


def _deliveries_of(webhook: Webhook) -> QuerySet[Delivery]:
    return webhook.deliveries.select_related("event", "webhook")


def row_of(rows: QuerySet[_Found], text: str, noun: str) -> _Found:
    """Return the row with an id, given as text. Raises NotFound, also if it is another caller's."""
    try:
        row = rows.filter(uuid=UUID(text)).first()
    except ValueError:
        row = None
    if row is None:
        raise NotFound(f"there is no such {noun}")
    return row


def _caller(request: Request) -> Caller:
    return cast("Caller", request.user)
