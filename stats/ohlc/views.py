"""The endpoint `/stats/ohlc`."""

import time

from django.http.response import HttpResponseBase
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.viewsets import ViewSet

from stats.delivery.responses import content_response, page_query
from stats.ohlc.answer import ohlc_pin, parse_ohlc_query
from stats.ohlc.serializers import OhlcAnswerSerializer, OhlcQuerySerializer
from stats.rendering.renderers import QueryFormRenderer

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
    """Bars made from stored trades."""

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
        """Open, high, low, close and volume of each interval in `[start, end)`, which is extended to whole intervals.

        Trades are ordered by event time, then `sequence`, then arrival. Intervals without a price have no bar.
        The instrument's bar policy decides which trades set prices and which count in the volume. Days are UTC.
        """
        now_ns = time.time_ns()
        bars = ohlc_pin(parse_ohlc_query(page_query(request)), now_ns=now_ns)
        return content_response(request, bars, now_ns=now_ns)
