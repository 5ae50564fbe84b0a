"""The endpoint `/stats/ohlc`."""

from functools import partial
from typing import Any

from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request

from stats.delivery.answers import LogName, TakeSnapshot
from stats.delivery.responses import AnswerViewSet, paged_query_string
from stats.ohlc.bars import OHLC_PARAMETERS, OhlcAnswerDocument, ohlc_snapshot, parse_ohlc_query
from stats.rendering.renderers import QueryFormRenderer
from store.datasets import TRADES
from web.endpoints import Access


class OhlcViewSet(AnswerViewSet):
    """Bars made from stored trades."""

    access = {"retrieve": Access("market:read", cost="page")}
    renderer_classes = [JSONRenderer, QueryFormRenderer]

    def query_serializer(self) -> serializers.Serializer[Any]:
        """Return the serializer of the query parameters."""
        return OHLC_PARAMETERS

    @extend_schema(
        parameters=[OHLC_PARAMETERS],
        responses={200: OhlcAnswerDocument},
    )
    def retrieve(self, request: Request) -> HttpResponseBase:
        """Bars of a symbol.

        Open, high, low, close and volume of each interval in `[start, end)`, which is extended to whole intervals.

        Trades are ordered by event time, then `sequence`, then arrival. Intervals without a price have no bar.
        The instrument's bar policy decides which trades set prices and which count in the volume. Days are UTC.
        """
        return self.respond(request, paged_query_string(request))

    @classmethod
    def parse_call(cls, query_string: str, answer_format: str, **path: Any) -> TakeSnapshot:
        """See `AnswerViewSet.parse_call`."""
        return partial(ohlc_snapshot, parse_ohlc_query(query_string))

    @classmethod
    def expected_logs(cls, query_string: str, **path: Any) -> frozenset[LogName]:
        """See `AnswerViewSet.expected_logs`."""
        return frozenset({(TRADES, parse_ohlc_query(query_string).symbols[0])})
