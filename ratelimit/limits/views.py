"""`GET /limits`: the caller's own scopes, buckets and quotas, and what calls cost."""

from datetime import UTC, datetime
from typing import Any, ClassVar, cast

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from ratelimit.callers import Caller
from ratelimit.limits.admission import Admission
from ratelimit.limits.costs import COST_RULES
from ratelimit.limits.quotas import UNITS
from ratelimit.limits.services import bucket_name, bucket_state_of, rate_of
from ratelimit.limits.token_bucket import BucketState
from web.endpoints import ANY_CALLER, KINDS, Access, endpoint_list
from web.requests.parameters import single_parameters
from web.requests.wsgi_variables import ADMISSION

# The buckets that every caller sees, even if no endpoint is charged to them.
_BUCKETS_OF_ALL = [Access(ANY_CALLER, kind=kind) for kind in KINDS]


def _buckets(caller: Caller, charged: BucketState) -> list[dict[str, Any]]:
    """Return what BucketSerializer shows. charged: the bucket of this call."""
    declared = {each.access for each in endpoint_list() if each.access is not None}
    buckets: dict[str, dict[str, Any]] = {}
    for access in [*_BUCKETS_OF_ALL, *sorted(declared, key=bucket_name)]:
        name = bucket_name(access)
        if name not in buckets:
            state = charged if name == charged.name else bucket_state_of(caller, access)
            buckets[name] = {**state._asdict(), "rate": rate_of(caller, access), "reset": state.reset}
    return list(buckets.values())


class EpochSecondField(serializers.DateTimeField):
    """An instant that is stored in seconds since the epoch."""

    def to_representation(self, value: Any) -> Any:
        return super().to_representation(datetime.fromtimestamp(value, UTC))


class BucketSerializer(serializers.Serializer[Any]):
    """A token bucket: `rate` tokens per second flow in until it holds `limit`."""

    name = serializers.CharField(help_text="As in the headers `RateLimit` and `RateLimit-Policy`.")
    rate = serializers.IntegerField(help_text="Tokens per second.")
    limit = serializers.IntegerField(help_text="Tokens that a full bucket holds.")
    remaining = serializers.IntegerField()
    reset = EpochSecondField(help_text="When the bucket is full again, rounded up to the second.")


class QuotaSerializer(serializers.Serializer[Any]):
    """Tokens of a UTC day or month."""

    name = serializers.ChoiceField(choices=UNITS)
    limit = serializers.IntegerField()
    used = serializers.IntegerField()
    remaining = serializers.IntegerField()
    reset = EpochSecondField(help_text="When the next period begins.")


class CostSerializer(serializers.Serializer[Any]):
    """A rule for the cost of requests."""

    name = serializers.CharField()
    description = serializers.CharField()
    is_metered = serializers.BooleanField(help_text="Whether the tokens count towards quotas, too.")


_BUCKET = {"name": "read", "rate": 10, "limit": 20, "remaining": 17, "reset": "2026-11-20T18:40:01Z"}
_QUOTA = {"name": "day", "limit": 100000, "used": 412, "remaining": 99588, "reset": "2026-11-21T00:00:00Z"}
_COST = {"name": "one", "description": "1 token.", "is_metered": True}
_CALLER = {"identity": "key:12", "name": "research", "credential": "api_key", "tier": "default"}
_LIMITS = {**_CALLER, "scopes": ["market:read"], "buckets": [_BUCKET], "quotas": [_QUOTA], "costs": [_COST]}


class LimitsSerializer(serializers.Serializer[Any]):
    """The caller's scopes, buckets and quotas, and the costs of calls."""

    examples: ClassVar = {"A key of the tier default": _LIMITS}

    identity = serializers.CharField(source="caller.identity", help_text="The caller's permanent identity.")
    name = serializers.CharField(source="caller.name")
    credential = serializers.CharField(
        source="caller.credential", help_text="The kind of credential of this request."
    )
    tier = serializers.CharField(source="caller.tier")
    scopes = serializers.ListField(child=serializers.CharField(), help_text="What the caller may do.")
    buckets = BucketSerializer(many=True)
    quotas = QuotaSerializer(many=True, help_text="Empty for a caller without quotas.")
    costs = CostSerializer(many=True)


class LimitsViewSet(ViewSet):
    """The caller's own limits."""

    tag = "access"
    access = {"retrieve": Access(ANY_CALLER, group="access", cost="unmetered")}

    @extend_schema(responses={200: LimitsSerializer})
    def retrieve(self, request: Request) -> Response:
        """Get the caller's limits.

        Every bucket and quota of the caller. The request costs one token of `access-read` and none of a quota.
        """
        single_parameters(request.query_params, ("format",))
        caller, charged = cast("Caller", request.user), cast("Admission", request.META[ADMISSION])
        limits = {
            "caller": caller,
            "scopes": sorted(caller.scopes),
            "buckets": _buckets(caller, charged.bucket),
            "quotas": charged.quotas,
            "costs": COST_RULES.values(),
        }
        return Response(LimitsSerializer(limits).data, headers={"Cache-Control": "no-store"})
