"""The documents of webhooks, deliveries and alerts, and the bodies of their endpoints."""

from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal, Self

from rest_framework import serializers

from ops.outbound.exceptions import DestinationRefused
from ops.outbound.posting import check_target
from store.instant_text import format_instant
from trades.batches.serializers import SymbolField
from web.documents import AnswerDocument, Instant, Uuid, about, like
from web.requests.field_errors import KnownFieldsSerializer, field_refusal
from web.requests.json_fields import Amount, Integer, Text, Word
from webhooks.events import CHOOSABLE, EVENT_KINDS
from webhooks.models import (
    ALERT_CONDITIONS,
    BELOW,
    DIRECTIONS,
    LEVEL,
    MOVE,
    PENDING,
    SILENCE,
    STATES,
    Delivery,
    MarketAlert,
    Webhook,
)
from webhooks.signing import event_id

PATH, ALERTS = "/api/v1/webhooks", "/api/v1/alerts"
LONGEST_URL = 2000
_MOST_LISTED = 100
_DAY_SECONDS, _LONGEST_OVERLAP = 24 * 3600, 7 * 24 * 3600
_NEW: dict[str, Any] = {"url": "https://receiver.example/hook", "kinds": ["job.succeeded", "job.failed"]}
_NEW_ALERT: dict[str, Any] = {"symbol": "AAPL", "kind": LEVEL, "direction": "above", "price": 200.0}
_WHOLE = 100
_LARGEST_PRICE = Decimal(10) ** 12
# The fields that a kind of alerts needs, and those that it may have.
_ALERT_FIELDS = {
    LEVEL: ({"direction", "price"}, set()),
    MOVE: ({"percent", "seconds"}, {"direction"}),
    SILENCE: ({"seconds"}, set()),
}
ALERT_ID = "3f6f0a4e-2b11-4d8e-9a5c-0d4f1f0e5a0b"
WEBHOOK_ID, DELIVERY_ID = "0d4f1f0e-5a0b-4d8e-9a5c-3f6f0a4e2b11", "9a1e2b3c-4d5e-4f60-8a7b-1c2d3e4f5a6b"


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

    def validate_kinds(self, kinds: list[str]) -> list[str]:
        return list(dict.fromkeys(kinds))


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


class WebhookDocument(AnswerDocument, kw_only=True):
    """A webhook, without its secret."""

    id: Annotated[Uuid, like(WEBHOOK_ID)]
    url: Annotated[str, like(_NEW["url"])]
    kinds: Annotated[list[str], like(_NEW["kinds"])]
    accounts: Annotated[list[str], like([])]
    symbols: Annotated[list[str], like([])]
    state: Literal["active", "paused"]
    paused_because: Annotated[
        str | None,
        about(
            "`by_owner`; `failing`: for long; `gone`: the receiver answered 410; `owner_ended`: its owner's credential "
            "ended; `secret_lost`: rotate the secret."
        ),
    ]
    failing_since: Annotated[Instant | None, about("null if the last call succeeded.")]
    retry_at: Annotated[Instant | None, about("When a failing receiver is called again.")]
    created_by: Annotated[str, like("key:12")]
    created_at: Annotated[Instant, like("2030-01-02T03:04:05Z")]
    links: Annotated[
        dict[str, str],
        like({"self": f"{PATH}/{WEBHOOK_ID}", "deliveries": f"{PATH}/{WEBHOOK_ID}/deliveries"}),
    ]

    @classmethod
    def of(cls, webhook: Webhook, **more: Any) -> Self:
        """Return what its owner sees of a webhook."""
        path = f"{PATH}/{webhook.uuid}"
        links = {"self": path, "deliveries": f"{path}/deliveries"}
        return cls.of_row(webhook, id=str(webhook.uuid), created_by=webhook.owner, links=links, **more)


class SecretWebhookDocument(WebhookDocument, kw_only=True):
    """A webhook with its new secret, which is never shown again."""

    secret: Annotated[
        str, about("The key of the signatures.", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=")
    ]


class DeliveryDocument(AnswerDocument, kw_only=True):
    """An event for a webhook. `status`, `error`, `latency_ms` and `answer` are of the last call."""

    id: Annotated[Uuid, like(DELIVERY_ID)]
    event: Annotated[str, about("The `webhook-id` of its calls.", "evt_5f0c1b526a374a0e9d0b0c8d9c5f1f11")]
    type: Annotated[str, about("The kind of the event.", "job.succeeded")]
    subject: Annotated[
        str,
        about(
            "What it happened to. Events of a subject are sent in their order.",
            "job:5f0c1b52-6a37-4a0e-9d0b-0c8d9c5f1f11",
        ),
    ]
    state: Annotated[Literal["pending", "delivered", "failed"], like("delivered")]
    attempts: Annotated[int, like(1)]
    next_at: Annotated[Instant | None, about("When it is sent at the earliest.")]
    status: Annotated[int | None, about("null without an answer.", 200)]
    error: str | None
    latency_ms: Annotated[int | None, like(41)]
    answer: Annotated[str | None, about("The first KiB of the receiver's answer.", "ok")]
    created_at: Annotated[Instant, like("2030-01-02T03:04:05Z")]
    ended_at: Annotated[Instant | None, like("2030-01-02T03:04:05.250000Z")]
    links: Annotated[dict[str, str], like({"replay": f"{PATH}/{WEBHOOK_ID}/deliveries/{DELIVERY_ID}/replay"})]

    @classmethod
    def of(cls, delivery: Delivery) -> Self:
        """Return what the webhook's owner sees of a delivery, without the event's data."""
        return cls.of_row(
            delivery,
            id=str(delivery.uuid),
            event=event_id(delivery.event),
            type=delivery.event.kind,
            next_at=format_instant(delivery.next_at) if delivery.state == PENDING else None,
            links={"replay": f"{PATH}/{delivery.webhook.uuid}/deliveries/{delivery.uuid}/replay"},
        )


class NewAlertSerializer(KnownFieldsSerializer):
    """A new alert. `level` needs direction and price, `move` percent and seconds, `silence` seconds."""

    examples: ClassVar = {
        "A level": _NEW_ALERT,
        "A move": {"symbol": "AAPL", "kind": MOVE, "percent": 5, "seconds": 3600},
        "Silence": {"symbol": "AAPL", "kind": SILENCE, "seconds": 300},
    }

    symbol = SymbolField(help_text="The instrument, by its symbol or an alias.")
    kind = Word(ALERT_CONDITIONS)
    direction = Word(
        DIRECTIONS,
        required=False,
        help_text="Of a move: from the lowest (`above`) or highest price; default: both.",
    )
    price = Amount(
        low=-_LARGEST_PRICE,
        high=_LARGEST_PRICE,
        required=False,
        help_text="It fires at this price or beyond it.",
    )
    percent = Amount(
        low=Decimal(0),
        high=Decimal(10_000),
        is_above=True,
        required=False,
        help_text="Of another price within the window.",
    )
    seconds = Integer(
        required=False,
        min_value=1,
        max_value=_DAY_SECONDS,
        help_text="The window of a move, or how long no trade is stored while the symbol is traded.",
    )

    def validate(self, attrs: Any) -> Any:
        """Refuse what a kind lacks, and what it cannot have. Return the columns of a `MarketAlert`."""
        kind, given = attrs["kind"], attrs.keys() - {"symbol", "kind"}
        needed, possible = _ALERT_FIELDS[kind]
        for name in sorted(needed - given):
            raise field_refusal(name, f"is missing; an alert of the kind {kind} needs it", "required")
        for name in sorted(given - needed - possible):
            raise field_refusal(name, f"is not of an alert of the kind {kind}; leave it out", "unknown_field")
        if attrs.get("direction") == BELOW and attrs.get("percent", 0) > _WHOLE:
            raise field_refusal("percent", "of a fall is at most 100", "out_of_range")
        amounts = [float(attrs.pop(name)) for name in ("price", "percent") if name in attrs]
        return {**attrs, "value": amounts[0] if amounts else None}


class AlertDocument(AnswerDocument, kw_only=True):
    """An alert."""

    id: Annotated[Uuid, like(ALERT_ID)]
    symbol: Annotated[str, like("AAPL")]
    kind: Literal["level", "move", "silence"]
    direction: Annotated[Literal["above", "below"] | None, like("above")]
    price: Annotated[float | None, like(200.0)]
    percent: float | None
    seconds: int | None
    state: Annotated[Literal["armed", "fired"], like("fired")]
    armed_at: Annotated[Instant, about("Trades with an earlier time do not count.", "2030-01-02T03:04:05Z")]
    fired_at: Annotated[Instant | None, like("2030-01-02T15:04:06Z")]
    fired: Annotated[
        dict[str, Any] | None,
        about(
            "The trade, and the price that it is compared with; of a silence its beginning.",
            {"timestamp": "2030-01-02T15:04:05Z", "price": 200.02, "reference": 200.0},
        ),
    ]
    created_by: Annotated[str, like("key:12")]
    created_at: Annotated[Instant, like("2030-01-02T03:04:05Z")]
    links: Annotated[dict[str, str], like({"self": f"{ALERTS}/{ALERT_ID}"})]

    @classmethod
    def of(cls, alert: MarketAlert) -> Self:
        """Return what its owner sees of an alert."""
        return cls.of_row(
            alert,
            id=str(alert.uuid),
            created_by=alert.owner,
            price=alert.value if alert.kind == LEVEL else None,
            percent=alert.value if alert.kind == MOVE else None,
            links={"self": f"{ALERTS}/{alert.uuid}"},
        )
