"""Request and response bodies of the key endpoints, with examples for the schema."""

from typing import Any, ClassVar

from drf_spectacular.extensions import OpenApiSerializerFieldExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import Direction
from rest_framework import serializers

from ratelimit.access.scopes import ALL_SCOPES, SCOPES, SENSITIVITIES
from ratelimit.entitlements import TIERS
from ratelimit.keys.services import DEFAULT_OVERLAP, MAX_OVERLAP
from ratelimit.keys.terms import BEFORE_EXPIRY, MAX_LISTED, MAX_NAME_LENGTH, MAX_RATE
from ratelimit.limits.quotas import MAX_QUOTA
from ratelimit.models import STATES
from store.instant_text import parse_instant
from web.requests.field_errors import KnownFieldsSerializer
from web.requests.json_fields import Flag, Instant, Integer, Text, Word

_NEW_KEY: dict[str, Any] = {
    "name": "feed",
    "tier": "premium",
    "scopes": ["market:read", "market:write"],
    "networks": ["203.0.113.0/24"],
    "expires_at": "2030-01-02T03:04:05Z",
}
_KEY: dict[str, Any] = {
    "id": 12,
    "prefix": "Qm3xT9aL",
    "name": "feed",
    "owner": "key:3",
    "state": "active",
    "tier": "premium",
    "rate": 100,
    "trading_rate": 1,
    "daily_quota": 10_000_000,
    "monthly_quota": 200_000_000,
    "scopes": ["market:read", "market:write"],
    "accounts": [],
    "sensitivity": "internal",
    "networks": ["203.0.113.0/24"],
    "signed_only": False,
    "certificate": None,
    "before_expiry": "warn",
    "created_at": "2029-01-02T03:04:05Z",
    "expires_at": "2030-01-02T03:04:05Z",
    "revoked_at": None,
    "last_used_at": None,
    "overlap_until": None,
}
_SECRETS = {
    "key": "md_Qm3xT9aL_" + "0123456789abcdefghijABCDEFGHIJ0123456789abc",
    "signing_secret": "mds_" + "0123456789abcdefghijABCDEFGHIJ0123456789abc",
}


_LONGEST_OVERLAP = int(MAX_OVERLAP.total_seconds())


class EachOnce(serializers.ListField):
    """A list without repeated values."""

    default_error_messages = {"too_many": f"has at most {MAX_LISTED} values"}

    def to_internal_value(self, data: Any) -> list[Any]:
        if isinstance(data, list) and len(data) > MAX_LISTED:
            self.fail("too_many")
        values: list[Any] = super().to_internal_value(data)
        repeats = [index for index, value in enumerate(values) if value in values[:index]]
        if repeats:
            error = serializers.ErrorDetail("is already in the list; remove it", "repeated")
            errors: dict[Any, Any] = {index: [error] for index in repeats}  # as DRF's own lists do
            raise serializers.ValidationError(errors)
        return values


class EachOnceInSchema(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]  # not typed
    target_class = EachOnce

    def map_serializer_field(self, auto_schema: AutoSchema, direction: Direction) -> dict[str, Any]:
        """Return the list's schema with `uniqueItems`."""
        schema = auto_schema._map_serializer_field(self.target, direction, bypass_extensions=True)  # type: ignore[no-untyped-call]  # noqa: SLF001 its own way
        return {**schema, "uniqueItems": True}


def _list_of(child: serializers.Field[Any, Any, Any, Any], text: str, **options: Any) -> EachOnce:
    return EachOnce(child=child, max_length=MAX_LISTED, help_text=text, **options)


def _number(text: str, *, minimum: int, maximum: int) -> Integer:
    return Integer(required=False, allow_null=True, min_value=minimum, max_value=maximum, help_text=text)


class NewKeySerializer(KnownFieldsSerializer):
    """The attributes of a new key. Omitted fields have defaults; no grant may exceed the caller's own."""

    examples: ClassVar = {"A feed's key": _NEW_KEY}

    name = Text(max_length=MAX_NAME_LENGTH)
    tier = Word(list(TIERS), required=False)
    scopes = _list_of(Word([ALL_SCOPES, *SCOPES]), "`all` is every scope.", allow_empty=False)
    rate = _number("Requests per second instead of the tier's.", minimum=1, maximum=MAX_RATE)
    trading_rate = _number("Trading calls per second instead of the default.", minimum=1, maximum=MAX_RATE)
    daily_quota = _number(
        "Tokens per UTC day instead of the tier's; 0: unlimited.", minimum=0, maximum=MAX_QUOTA
    )
    monthly_quota = _number(
        "Tokens per UTC month instead of the tier's; 0: unlimited.", minimum=0, maximum=MAX_QUOTA
    )
    accounts = _list_of(Text(max_length=64), "Accounts by id; `*` is every account.", required=False)
    sensitivity = Word(
        list(SENSITIVITIES),
        required=False,
        help_text="The most sensitive data that the key may read. Default: the lowest level that the scopes need.",
    )
    networks = _list_of(
        Text(max_length=64),
        "Networks (CIDR) to call from; an empty list allows every address.",
        required=False,
    )
    expires_at = Instant(
        convert=parse_instant,
        max_length=None,
        schema={"type": "string", "format": "date-time", "examples": ["2030-01-02T03:04:05Z"]},
        required=False,
        allow_null=True,
        help_text="When the key expires.",
    )
    signed_only = Flag(required=False, help_text="Whether only signed requests are accepted.")
    certificate = Text(
        required=False,
        allow_null=True,
        max_length=95,
        help_text="SHA-256 of the client certificate (DER) that authenticates as the key, in hexadecimal.",
    )
    before_expiry = Word(
        list(BEFORE_EXPIRY), required=False, help_text="What the worker does before the key expires."
    )


class RotationSerializer(KnownFieldsSerializer):
    """The body of a rotation."""

    examples: ClassVar = {"With an hour's overlap": {"overlap_seconds": 3600}}

    overlap_seconds = Integer(
        default=int(DEFAULT_OVERLAP.total_seconds()),
        min_value=0,
        max_value=_LONGEST_OVERLAP,
        help_text="How long the old secret stays valid, at most until the key's expiry before; 0 ends it at once.",
    )


class KeySerializer(serializers.Serializer[Any]):
    """A key, without its secrets. Rates and quotas are the effective ones; a quota of null is unlimited."""

    examples: ClassVar = {"A key": _KEY}

    id = serializers.IntegerField()
    prefix = serializers.CharField(
        help_text="The key begins with `md_<prefix>_`. Rotation does not change it."
    )
    name = serializers.CharField()
    owner = serializers.CharField(
        allow_null=True,
        help_text="Who created the key: `key:3`, `user:7`; null: an operator.",
    )
    state = serializers.ChoiceField(list(STATES))
    tier = serializers.ChoiceField(list(TIERS))
    rate = serializers.IntegerField(help_text="Requests per second.")
    trading_rate = serializers.IntegerField(help_text="Trading calls per second.")
    daily_quota = serializers.IntegerField(allow_null=True, help_text="Tokens per UTC day.")
    monthly_quota = serializers.IntegerField(allow_null=True, help_text="Tokens per UTC month.")
    scopes = serializers.ListField(child=serializers.ChoiceField(list(SCOPES)))
    accounts = serializers.ListField(child=serializers.CharField())
    sensitivity = serializers.ChoiceField(list(SENSITIVITIES))
    networks = serializers.ListField(child=serializers.CharField())
    signed_only = serializers.BooleanField()
    certificate = serializers.CharField(allow_null=True)
    before_expiry = serializers.ChoiceField(list(BEFORE_EXPIRY))
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(allow_null=True)
    revoked_at = serializers.DateTimeField(allow_null=True)
    last_used_at = serializers.DateTimeField(allow_null=True, help_text="To within a minute.")
    overlap_until = serializers.DateTimeField(
        allow_null=True, help_text="When the secret before the last rotation ends; null: never rotated."
    )


class NewKeyAnswerSerializer(KeySerializer):
    """A new or rotated key with its secrets, which are never shown again."""

    examples: ClassVar = {"Shown once": {**_SECRETS, **_KEY}}

    key = serializers.CharField(help_text="The key itself.")
    signing_secret = serializers.CharField(help_text="The HMAC key for signed requests.")
