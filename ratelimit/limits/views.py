"""`GET /limits`: the caller's own buckets and quotas, and what calls cost."""

from typing import Any, cast

from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from http_requests.parameters import single_parameters
from http_requests.wsgi_variables import ADMISSION
from ratelimit.callers import Caller
from ratelimit.limits.report import limits_document


class BucketSerializer(serializers.Serializer[Any]):
    """A token bucket: `rate` tokens per second flow in until it holds `limit`."""

    name = serializers.CharField(help_text="As in the headers `RateLimit` and `RateLimit-Policy`.")
    rate = serializers.IntegerField(help_text="Tokens per second.")
    limit = serializers.IntegerField(help_text="Tokens that a full bucket holds.")
    remaining = serializers.IntegerField()
    reset = serializers.DateTimeField(help_text="When the bucket is full again, rounded up to the second.")


class QuotaSerializer(serializers.Serializer[Any]):
    """Tokens of a UTC day or month."""

    name = serializers.ChoiceField(choices=["day", "month"])
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
    """The caller's buckets and quotas, and the costs of calls."""

    identity = serializers.CharField(help_text="The caller's permanent identity.")
    name = serializers.CharField()
    credential = serializers.CharField(help_text="The kind of credential of this request.")
    tier = serializers.CharField()
    buckets = BucketSerializer(many=True)
    quotas = QuotaSerializer(many=True, help_text="Empty for a caller without quotas.")
    costs = CostSerializer(many=True)


class LimitsViewSet(ViewSet):
    """The caller's own limits."""

    @extend_schema(
        operation_id="limits",
        summary="Get the caller's limits",
        responses={200: LimitsSerializer},
        tags=["access"],
    )
    def retrieve(self, request: Request) -> Response:
        """Every bucket and quota of the caller. The request costs one token of `access-read` and none of a quota."""
        single_parameters(request.query_params, ("format",))
        caller = cast("Caller", request.user)
        charged = request.META[ADMISSION]
        return Response(limits_document(caller, charged=charged), headers={"Cache-Control": "no-store"})
