"""What `/limits` answers."""

from datetime import UTC, datetime
from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from ratelimit.callers import Caller
from ratelimit.limits.costs import COST_RULES
from ratelimit.limits.standing import BucketReport, LimitsReport, QuotaReport


class BucketSerializer(serializers.Serializer[Any]):
    """A token bucket: `rate` tokens per second flow in, up to `limit`."""

    name = serializers.CharField(help_text="As in the headers `RateLimit` and `RateLimit-Policy`.")
    rate = serializers.IntegerField(help_text="Tokens per second.")
    limit = serializers.IntegerField(help_text="Tokens that a full bucket holds.")
    remaining = serializers.IntegerField()
    reset = serializers.DateTimeField(help_text="When the bucket is full again, to the second above.")


class QuotaSerializer(serializers.Serializer[Any]):
    """Tokens of a UTC day or month."""

    name = serializers.ChoiceField(choices=["day", "month"])
    limit = serializers.IntegerField()
    used = serializers.IntegerField()
    remaining = serializers.IntegerField()
    reset = serializers.DateTimeField(help_text="When the next period begins.")


class CostSerializer(serializers.Serializer[Any]):
    """A rule of what a request costs."""

    name = serializers.CharField()
    description = serializers.CharField()
    is_metered = serializers.BooleanField(help_text="Whether the tokens count towards quotas, too.")


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "A key of the tier default",
            value={
                "identity": "key:12",
                "name": "research",
                "credential": "api_key",
                "tier": "default",
                "buckets": [
                    {
                        "name": "read",
                        "rate": 10,
                        "limit": 20,
                        "remaining": 17,
                        "reset": "2026-11-20T18:40:01Z",
                    }
                ],
                "quotas": [
                    {
                        "name": "day",
                        "limit": 100000,
                        "used": 412,
                        "remaining": 99588,
                        "reset": "2026-11-21T00:00:00Z",
                    }
                ],
                "costs": [{"name": "one", "description": "1 token.", "is_metered": True}],
            },
        )
    ]
)
class LimitsSerializer(serializers.Serializer[Any]):
    """How the caller stands."""

    identity = serializers.CharField(help_text="Who the caller is, for ever.")
    name = serializers.CharField()
    credential = serializers.CharField(help_text="How it proved that this time.")
    tier = serializers.CharField()
    buckets = BucketSerializer(many=True)
    quotas = QuotaSerializer(many=True, help_text="None for a caller without quotas.")
    costs = CostSerializer(many=True)


def limits_document(caller: Caller, report: LimitsReport) -> dict[str, Any]:
    """The document that LimitsSerializer describes."""
    return {
        "identity": caller.identity,
        "name": caller.name,
        "credential": caller.credential,
        "tier": caller.tier,
        "buckets": [_bucket_document(bucket) for bucket in report.buckets],
        "quotas": [_quota_document(quota) for quota in report.quotas],
        "costs": [
            {"name": rule.name, "description": rule.description, "is_metered": rule.is_metered}
            for rule in COST_RULES.values()
        ],
    }


def _bucket_document(bucket: BucketReport) -> dict[str, Any]:
    return {
        "name": bucket.standing.name,
        "rate": bucket.rate,
        "limit": bucket.standing.limit,
        "remaining": bucket.standing.remaining,
        "reset": _time(bucket.standing.reset),
    }


def _quota_document(quota: QuotaReport) -> dict[str, Any]:
    return {
        "name": quota.standing.name,
        "limit": quota.standing.limit,
        "used": quota.used,
        "remaining": quota.remaining,
        "reset": _time(quota.standing.reset),
    }


def _time(epoch_second: int) -> str:
    return f"{datetime.fromtimestamp(epoch_second, UTC):%Y-%m-%dT%H:%M:%SZ}"
