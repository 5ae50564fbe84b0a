"""The endpoint `/stats/ohlc`."""

from functools import partial
from typing import Any

from django.http.response import HttpResponseBase
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request

from stats.delivery.answers import LogName, TakeSnapshot
from stats.delivery.responses import ContentViewSet, page_query
from stats.ohlc.answer import COLUMNS, ohlc_snapshot, parse_ohlc_query
from stats.ohlc.serializers import OhlcAnswerSerializer, OhlcQuerySerializer
from stats.rendering.renderers import QueryFormRenderer
from store.datasets import TRADES
from web.endpoints import Access

_BARS = OpenApiExample(
    "Two bars",
    value={
        "symbol": "AAPL",
        "interval": "1min",
        "data": [
            dict(zip(COLUMNS, bar, strict=True))
            for bar in (
                ("2025-01-02T14:30:00Z", 189.98, 190.02, 189.98, 190.02, 350),
                ("2025-01-02T14:31:00Z", 190.1, 190.1, 190.1, 190.1, 75),
            )
        ],
    },
    response_only=True,
)


class OhlcViewSet(ContentViewSet):
    """Bars made from stored trades."""

    access = {"list": Access("market:read", cost="page")}
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
        return self.respond(request, page_query(request))

    @classmethod
    def parse_call(cls, query_string: str, answer_format: str, **path: Any) -> TakeSnapshot:
        """See `ContentViewSet.parse_call`."""
        return partial(ohlc_snapshot, parse_ohlc_query(query_string))

    @classmethod
    def expected_logs(cls, query_string: str, **path: Any) -> frozenset[LogName]:
        """See `ContentViewSet.expected_logs`."""
        return frozenset({(TRADES, parse_ohlc_query(query_string).bars.symbols[0])})
