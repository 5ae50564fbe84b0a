"""Requests and answers of the response cache's endpoints."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from trades.batches.serializers import SymbolField
from web.requests.field_errors import KnownFieldsSerializer


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Mostly hits",
            value={
                "hits_local": 970,
                "hits_redis": 20,
                "misses": 8,
                "joined": 2,
                "bytes_stored": 480_000,
                "bytes_served": 59_520_000,
            },
        )
    ]
)
class CacheStatisticsSerializer(serializers.Serializer[Any]):
    """Counters since the service was started, summed over all processes."""

    hits_local = serializers.IntegerField(help_text="Answers from a process's own memory.")
    hits_redis = serializers.IntegerField(help_text="Answers from Redis.")
    misses = serializers.IntegerField(help_text="Answers that were computed.")
    joined = serializers.IntegerField(help_text="Requests that waited for another request's computation.")
    bytes_stored = serializers.IntegerField()
    bytes_served = serializers.IntegerField()


@extend_schema_serializer(examples=[OpenApiExample("Apple", value={"symbol": "AAPL"})])
class InvalidateSerializer(KnownFieldsSerializer):
    """The symbol whose answers are dropped."""

    symbol = SymbolField()


@extend_schema_serializer(
    examples=[
        OpenApiExample("Dropped", value={"symbol": "AAPL", "entries": 12, "redis_reached": True}),
    ]
)
class InvalidatedSerializer(serializers.Serializer[Any]):
    """The result of dropping a symbol's answers."""

    symbol = serializers.CharField()
    entries = serializers.IntegerField(help_text="Number of answers that were removed from Redis.")
    redis_reached = serializers.BooleanField(help_text="Whether Redis was reachable.")
