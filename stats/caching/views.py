"""The endpoints of the response cache."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from stats.caching.response_cache import RESPONSE_CACHE, cache_statistics
from trades.batches.serializers import SymbolField
from trades.instruments.services import symbol_canonical
from web.endpoints import WRITE, Access
from web.requests.field_errors import KnownFieldsSerializer
from web.requests.parameters import single_parameters
from web.requests.parsers import JSONDocumentParser, request_document


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


class CacheViewSet(GenericViewSet):  # type: ignore[type-arg]  # no model stands behind it
    """The response cache."""

    tag = "operation"
    access = {
        "stats": Access("market:read", sensitivity="internal"),
        # Redis looks at all of its keys: once a second, whatever the client's rate.
        "invalidate": Access(
            "market:write", sensitivity="internal", kind=WRITE, cost="stream", bucket="cache", rate=10
        ),
    }
    serializer_class = InvalidateSerializer
    parser_classes = [JSONDocumentParser]

    @extend_schema(
        responses={200: CacheStatisticsSerializer},
    )
    def stats(self, request: Request) -> Response:
        """Statistics of the response cache.

        Hits, misses, requests that waited for another's computation, and bytes, over all processes.
        """
        single_parameters(request.GET, ("format",))
        return Response(cache_statistics())

    @extend_schema(
        responses={200: InvalidatedSerializer},
    )
    def invalidate(self, request: Request) -> Response:
        """Drop the cached answers about a symbol.

        Drop the cached answers about a symbol alone; those about several symbols stay.

        Cached answers are never stale, so this only frees memory and forces a recomputation. Within a second each
        process of this machine empties its own memory.
        """
        single_parameters(request.GET, ("format",))
        serializer = self.get_serializer(data=request_document(request))
        serializer.is_valid(raise_exception=True)
        symbol = symbol_canonical(serializer.validated_data["symbol"])
        count = RESPONSE_CACHE.drop(symbol)
        return Response({"symbol": symbol, "entries": count or 0, "redis_reached": count is not None})
