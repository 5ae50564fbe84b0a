"""`GET /limits`: the caller's own scopes, buckets and quotas, and what calls cost."""

from datetime import UTC, datetime
from typing import Any, cast

from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from ratelimit.callers import Caller
from ratelimit.limits.admission import Admission
from ratelimit.limits.costs import COST_RULES
from ratelimit.limits.quotas import UNITS, QuotaState
from ratelimit.limits.services import bucket_name, bucket_state_of, rate_of
from ratelimit.limits.token_bucket import BucketState
from web.endpoints import ANY_CALLER, KINDS, Access, endpoint_list
from web.requests.parameters import single_parameters
from web.requests.wsgi_variables import ADMISSION

# The buckets that every caller sees, even if no endpoint is charged to them.
_BUCKETS_OF_ALL = [Access(ANY_CALLER, kind=kind) for kind in KINDS]


def limits_document(caller: Caller, *, charged: Admission) -> dict[str, Any]:
    """Return the document that LimitsSerializer describes. `charged` is the admission of this `GET /limits`."""
    return {
        "identity": caller.identity,
        "name": caller.name,
        "credential": caller.credential,
        "tier": caller.tier,
        "scopes": sorted(caller.scopes),
        "buckets": _bucket_documents(caller, charged.bucket),
        "quotas": [_quota_document(quota) for quota in charged.quotas],
        "costs": [
            {"name": rule.name, "description": rule.description, "is_metered": rule.is_metered}
            for rule in COST_RULES.values()
        ],
    }


def _bucket_documents(caller: Caller, charged: BucketState) -> list[dict[str, Any]]:
    declared = {each.access for each in endpoint_list() if each.access is not None}
    documents: dict[str, dict[str, Any]] = {}
    for access in [*_BUCKETS_OF_ALL, *sorted(declared, key=bucket_name)]:
        name = bucket_name(access)
        if name not in documents:
            state = charged if name == charged.name else bucket_state_of(caller, access)
            documents[name] = {
                "name": name,
                "rate": rate_of(caller, access),
                "limit": state.limit,
                "remaining": state.remaining,
                "reset": _time(state.reset),
            }
    return list(documents.values())


def _quota_document(quota: QuotaState) -> dict[str, Any]:
    return {
        "name": quota.name,
        "limit": quota.limit,
        "used": quota.limit - quota.remaining,
        "remaining": quota.remaining,
        "reset": _time(quota.reset),
    }


def _time(epoch_second: int) -> str:
    return f"{datetime.fromtimestamp(epoch_second, UTC):%Y-%m-%dT%H:%M:%SZ}"


class BucketSerializer(serializers.Serializer[Any]):
    """A token bucket: `rate` tokens per second flow in until it holds `limit`."""

    name = serializers.CharField(help_text="As in the headers `RateLimit` and `RateLimit-Policy`.")
    rate = serializers.IntegerField(help_text="Tokens per second.")
    limit = serializers.IntegerField(help_text="Tokens that a full bucket holds.")
    remaining = serializers.IntegerField()
    reset = serializers.DateTimeField(help_text="When the bucket is full again, rounded up to the second.")


class QuotaSerializer(serializers.Serializer[Any]):
    """Tokens of a UTC day or month."""

    name = serializers.ChoiceField(choices=UNITS)
    limit = serializers.IntegerField()
    used = serializers.IntegerField()
    remaining = serializers.IntegerField()
    reset = serializers.DateTimeField(help_text="When the next period begins.")


class CostSerializer(serializers.Serializer[Any]):
    """A rule for the cost of requests."""

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
                "scopes": ["market:read"],
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
    """The caller's scopes, buckets and quotas, and the costs of calls."""

    identity = serializers.CharField(help_text="The caller's permanent identity.")
    name = serializers.CharField()
    credential = serializers.CharField(help_text="The kind of credential of this request.")
    tier = serializers.CharField()
    scopes = serializers.ListField(child=serializers.CharField(), help_text="What the caller may do.")
    buckets = BucketSerializer(many=True)
    quotas = QuotaSerializer(many=True, help_text="Empty for a caller without quotas.")
    costs = CostSerializer(many=True)


class LimitsViewSet(ViewSet):
    """The caller's own limits."""

    access = {"retrieve": Access(ANY_CALLER, group="access", cost="unmetered")}

    @extend_schema(
        operation_id="limits",
        summary="Get the caller's limits",
        responses={200: LimitsSerializer},
    )
    def retrieve(self, request: Request) -> Response:
        """Every bucket and quota of the caller. The request costs one token of `access-read` and none of a quota."""
        single_parameters(request.query_params, ("format",))
        caller = cast("Caller", request.user)
        charged = request.META[ADMISSION]
        return Response(limits_document(caller, charged=charged), headers={"Cache-Control": "no-store"})
