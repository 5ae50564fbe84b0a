"""The read side's endpoints."""

import time

from django.http.response import HttpResponseBase
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet, ViewSet

from http_requests.parameters import single_parameters
from http_requests.parsers import JSONDocumentParser, sent_document
from stats.caching.invalidation import drop
from stats.caching.tiers import process_tiers
from stats.rendering.renderers import QueryFormRenderer
from stats.responses import bars_response
from stats.serializers import (
    CacheStatisticsSerializer,
    InvalidatedSerializer,
    InvalidateSerializer,
    OhlcAnswerSerializer,
    OhlcQuerySerializer,
)
from trades.services.instruments import symbol_canonical

_BARS = OpenApiExample(
    "Two bars",
    value={
        "symbol": "AAPL",
        "interval": "1min",
        "data": [
            {
                "timestamp": "2025-01-02T14:30:00Z",
                "open": 189.98,
                "high": 190.02,
                "low": 189.98,
                "close": 190.02,
                "volume": 350,
            },
            {
                "timestamp": "2025-01-02T14:31:00Z",
                "open": 190.1,
                "high": 190.1,
                "low": 190.1,
                "close": 190.1,
                "volume": 75,
            },
        ],
    },
    response_only=True,
)


class OhlcViewSet(ViewSet):
    """Bars made from the stored trades."""

    query_serializer_class = OhlcQuerySerializer
    renderer_classes = [JSONRenderer, QueryFormRenderer]

    @extend_schema(
        operation_id="ohlc",
        summary="Bars of a symbol",
        parameters=[OhlcQuerySerializer],
        responses={200: OhlcAnswerSerializer},
        examples=[_BARS],
    )
    def list(self, request: Request) -> HttpResponseBase:
        """Open, high, low, close and volume per interval of `[start, end)`, in whole bars.

        Open and close follow event time, then `sequence`, then arrival. Only intervals with a price; which
        prints set one and which count in volume is the instrument's bar policy. Days are UTC.
        """
        return bars_response(request, now_ns=time.time_ns())


class CacheViewSet(GenericViewSet):  # type: ignore[type-arg]  # no model stands behind it
    """The cache of answers."""

    serializer_class = InvalidateSerializer
    parser_classes = [JSONDocumentParser]

    @extend_schema(
        operation_id="cache_stats",
        summary="What the cache of answers did",
        responses={200: CacheStatisticsSerializer},
    )
    def stats(self, request: Request) -> Response:
        """Hits, misses, joined computations and bytes, over all processes."""
        single_parameters(request.GET, ("format",))
        return Response(process_tiers().statistics.snapshot())

    @extend_schema(
        operation_id="cache_invalidate",
        summary="Drop the answers about a symbol",
        responses={200: InvalidatedSerializer},
    )
    def invalidate(self, request: Request) -> Response:
        """Drop all answers about a symbol.

        They are never stale; this frees memory and has them computed again.
        """
        single_parameters(request.GET, ("format",))
        serializer = self.get_serializer(data=sent_document(request))
        serializer.is_valid(raise_exception=True)
        symbol = symbol_canonical(serializer.validated_data["symbol"])
        dropped = drop(symbol)
        answer = {"symbol": symbol, "entries": dropped.entries, "redis_reached": dropped.redis_reached}
        return Response(InvalidatedSerializer(answer).data)
