"""The endpoint of bars."""

import time

from django.http.response import HttpResponseBase
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.renderers import BrowsableAPIRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.viewsets import ViewSet

from http_requests.compression import accepted_encoding
from stats.delivery.responses import finished_response, page_query
from stats.ohlc.serializers import OhlcAnswerSerializer, OhlcQuerySerializer
from stats.ohlc.services import bars_read
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
        return _bars_response(request, now_ns=time.time_ns())


def _bars_response(request: Request, *, now_ns: int) -> HttpResponseBase:
    """The answer to a request for bars, as bytes; for the browsable API as a page around it."""
    browsed = isinstance(request.accepted_renderer, BrowsableAPIRenderer)
    finished = bars_read(
        query_string=page_query(request),
        if_none_match=None if browsed else request.META.get("HTTP_IF_NONE_MATCH"),
        encoding=None if browsed else accepted_encoding(request.META.get("HTTP_ACCEPT_ENCODING")),
        now_ns=now_ns,
    )
    return finished_response(request, finished)
