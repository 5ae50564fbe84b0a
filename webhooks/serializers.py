"""The documents of webhooks and deliveries, and the bodies of their endpoints."""

from datetime import datetime
from typing import Any, ClassVar

from rest_framework import serializers

from ops.outbound.exceptions import DestinationRefused
from ops.outbound.posting import check_target
from store.instant_text import format_instant
from trades.batches.serializers import SymbolField
from web.requests.field_errors import KnownFieldsSerializer
from web.requests.json_fields import Integer, JsonObject, Text, Word
from webhooks.events import event_id
from webhooks.kinds import CHOOSABLE, EVENT_KINDS
from webhooks.models import DELIVERY_STATES, STATES, Delivery, Webhook

PATH = "/api/v1/webhooks"
LONGEST_URL = 2000
_MOST_LISTED = 100
_DAY_SECONDS, _LONGEST_OVERLAP = 24 * 3600, 7 * 24 * 3600
_NEW: dict[str, Any] = {"url": "https://receiver.example/hook", "kinds": ["job.succeeded", "job.failed"]}
WEBHOOK: dict[str, Any] = {
    "id": "0d4f1f0e-5a0b-4d8e-9a5c-3f6f0a4e2b11",
    **_NEW,
    "accounts": [],
    "symbols": [],
    "state": "active",
    "paused_because": None,
    "failing_since": None,
    "retry_at": None,
    "created_by": "key:12",
    "created_at": "2030-01-02T03:04:05Z",
    "links": {
        "self": f"{PATH}/0d4f1f0e-5a0b-4d8e-9a5c-3f6f0a4e2b11",
        "deliveries": f"{PATH}/0d4f1f0e-5a0b-4d8e-9a5c-3f6f0a4e2b11/deliveries",
    },
}
_SECRET = {"secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="}
_DELIVERY: dict[str, Any] = {
    "id": "9a1e2b3c-4d5e-4f60-8a7b-1c2d3e4f5a6b",
    "event": "evt_5f0c1b526a374a0e9d0b0c8d9c5f1f11",
    "type": "job.succeeded",
    "subject": "job:5f0c1b52-6a37-4a0e-9d0b-0c8d9c5f1f11",
    "state": "delivered",
    "attempts": 1,
    "next_at": None,
    "status": 200,
    "error": None,
    "latency_ms": 41,
    "answer": "ok",
    "created_at": "2030-01-02T03:04:05Z",
    "ended_at": "2030-01-02T03:04:05.250000Z",
    "links": {
        "replay": f"{PATH}/0d4f1f0e-5a0b-4d8e-9a5c-3f6f0a4e2b11/deliveries/9a1e2b3c-4d5e-4f60-8a7b-1c2d3e4f5a6b/replay"
    },
}


class TargetUrl(Text):
    """A URL to which POSTs may go."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=LONGEST_URL, **options)

    def to_internal_value(self, data: Any) -> Any:
        url = super().to_internal_value(data)
        try:
            check_target("the receiver", url)
        except DestinationRefused as error:
            raise serializers.ValidationError(str(error), code="invalid_format") from error
        return url


class NewWebhookSerializer(KnownFieldsSerializer):
    """A new webhook."""

    examples: ClassVar = {"The ends of jobs": _NEW}

    url = TargetUrl(help_text="Where events are POSTed: https, a public address.")
    kinds = serializers.ListField(
        child=Word(CHOOSABLE),
        allow_empty=False,
        max_length=_MOST_LISTED,
        help_text="; ".join(f"`{name}`: {EVENT_KINDS[name].text}" for name in CHOOSABLE),
    )
    accounts = serializers.ListField(
        child=Text(max_length=64),
        required=False,
        max_length=_MOST_LISTED,
        help_text="Of events of accounts, only of these; an empty list is every account of the caller.",
    )
    symbols = serializers.ListField(
        child=SymbolField(),
        required=False,
        max_length=_MOST_LISTED,
        help_text="Of events of symbols, only of these; an empty list is every symbol.",
    )


class WebhookChangeSerializer(NewWebhookSerializer):
    """What is to change."""

    examples: ClassVar = {"A pause": {"state": "paused"}}

    state = Word(STATES, required=False, help_text="`paused`: no calls until it is `active` again.")

    def get_fields(self) -> Any:
        """Return the fields, all optional."""
        fields = super().get_fields()
        for each in fields.values():
            each.required = False
        return fields


class SecretRotationSerializer(KnownFieldsSerializer):
    """The body of a rotation."""

    examples: ClassVar = {"With an hour's overlap": {"overlap_seconds": 3600}}

    overlap_seconds = Integer(
        default=_DAY_SECONDS,
        min_value=0,
        max_value=_LONGEST_OVERLAP,
        help_text="How long calls are signed with the former secret, too.",
    )


class WebhookSerializer(serializers.Serializer[Any]):
    """A webhook, without its secret."""

    examples: ClassVar = {"A webhook": WEBHOOK}

    id = serializers.UUIDField()
    url = serializers.CharField()
    kinds = serializers.ListField(child=serializers.ChoiceField(CHOOSABLE))
    accounts = serializers.ListField(child=serializers.CharField())
    symbols = serializers.ListField(child=serializers.CharField())
    state = serializers.ChoiceField(list(STATES))
    paused_because = serializers.CharField(
        allow_null=True,
        help_text="`by_owner`; `failing`: for long; `gone`: the receiver answered 410; `owner_ended`: its owner's "
        "credential ended; `secret_lost`: rotate the secret.",
    )
    failing_since = serializers.DateTimeField(allow_null=True, help_text="null if the last call succeeded.")
    retry_at = serializers.DateTimeField(
        allow_null=True, help_text="When a failing receiver is called again."
    )
    created_by = serializers.CharField()
    created_at = serializers.DateTimeField()
    links = serializers.DictField(child=serializers.CharField())


class SecretWebhookSerializer(WebhookSerializer):
    """A webhook with its new secret, which is never shown again."""

    examples: ClassVar = {"Shown once": {**_SECRET, **WEBHOOK}}

    secret = serializers.CharField(help_text="The key of the signatures.")


class DeliverySerializer(serializers.Serializer[Any]):
    """An event for a webhook. `status`, `error`, `latency_ms` and `answer` are of the last call."""

    examples: ClassVar = {"A delivery": _DELIVERY}

    id = serializers.UUIDField()
    event = serializers.CharField(help_text="The `webhook-id` of its calls.")
    type = serializers.CharField(help_text="The kind of the event.")
    subject = serializers.CharField(
        help_text="What it happened to. Events of a subject are sent in their order."
    )
    state = serializers.ChoiceField(list(DELIVERY_STATES))
    attempts = serializers.IntegerField()
    next_at = serializers.DateTimeField(allow_null=True, help_text="When it is sent at the earliest.")
    status = serializers.IntegerField(allow_null=True, help_text="null without an answer.")
    error = serializers.CharField(allow_null=True)
    latency_ms = serializers.IntegerField(allow_null=True)
    answer = serializers.CharField(allow_null=True, help_text="The first KiB of the receiver's answer.")
    created_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)
    links = serializers.DictField(child=serializers.CharField())


def webhook_document(webhook: Webhook) -> JsonObject:
    """Return what its owner sees of a webhook."""
    path = f"{PATH}/{webhook.uuid}"
    return {
        "id": str(webhook.uuid),
        "url": webhook.url,
        "kinds": webhook.kind_names,
        "accounts": webhook.accounts,
        "symbols": webhook.symbols,
        "state": webhook.state,
        "paused_because": webhook.paused_because or None,
        "failing_since": _text(webhook.failing_since),
        "retry_at": _text(webhook.retry_at),
        "created_by": webhook.created_by,
        "created_at": _text(webhook.created_at),
        "links": {"self": path, "deliveries": f"{path}/deliveries"},
    }


def delivery_document(delivery: Delivery) -> JsonObject:
    """Return what the webhook's owner sees of a delivery, without the event's data."""
    is_pending = delivery.ended_at is None
    return {
        "id": str(delivery.uuid),
        "event": event_id(delivery.event),
        "type": delivery.event.kind,
        "subject": delivery.subject,
        "state": delivery.state,
        "attempts": delivery.attempts,
        "next_at": _text(delivery.next_at) if is_pending else None,
        "status": delivery.status,
        "error": delivery.error or None,
        "latency_ms": delivery.latency_ms,
        "answer": delivery.answer or None,
        "created_at": _text(delivery.created_at),
        "ended_at": _text(delivery.ended_at),
        "links": {"replay": f"{PATH}/{delivery.webhook.uuid}/deliveries/{delivery.uuid}/replay"},
    }


def _text(instant: datetime | None) -> str | None:
    return format_instant(instant)
