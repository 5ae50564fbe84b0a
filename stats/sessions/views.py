"""The endpoints `/calendar` and `/clock`."""

from functools import partial
from typing import Any

from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from stats.delivery.answers import TakeSnapshot
from stats.delivery.responses import AnswerViewSet
from stats.parameters import query_values
from stats.sessions.answers import calendar_snapshot, clock_snapshot
from stats.sessions.documents import CalendarAnswerDocument, ClockAnswerDocument
from stats.sessions.serializers import (
    CalendarQuerySerializer,
    ClockQuerySerializer,
)
from web.endpoints import Access

_CALENDAR_QUERY, _CLOCK_QUERY = CalendarQuerySerializer(), ClockQuerySerializer()


class CalendarViewSet(AnswerViewSet):
    """Trading dates of exchanges."""

    access = {"retrieve": Access("market:read", has_rows=False)}
    query_serializer_class = CalendarQuerySerializer

    @extend_schema(
        parameters=[CalendarQuerySerializer],
        responses={200: CalendarAnswerDocument},
    )
    def retrieve(self, request: Request) -> HttpResponseBase:
        """Trading dates of an exchange or an instrument.

        The trading dates in `[start, end)`, at most 3,650 days, with their hours in UTC.
        """
        return self.respond(request, request.META["QUERY_STRING"])

    @classmethod
    def parse_call(cls, query_string: str, answer_format: str, **path: Any) -> TakeSnapshot:
        """See `AnswerViewSet.parse_call`."""
        query = query_values(_CALENDAR_QUERY, query_string)
        return partial(
            calendar_snapshot,
            exchange=query.get("exchange"),
            symbol=query.get("symbol"),
            start_ns=query.get("start"),
            end_ns=query.get("end"),
        )


class ClockViewSet(AnswerViewSet):
    """The states of exchanges."""

    access = {"retrieve": Access("market:read", has_rows=False)}
    query_serializer_class = ClockQuerySerializer

    @extend_schema(
        parameters=[ClockQuerySerializer],
        responses={200: ClockAnswerDocument},
    )
    def retrieve(self, request: Request) -> HttpResponseBase:
        """Whether an exchange is open.

        The phase of trading at an instant, and when regular trading next starts and stops.
        """
        return self.respond(request, request.META["QUERY_STRING"])

    @classmethod
    def parse_call(cls, query_string: str, answer_format: str, **path: Any) -> TakeSnapshot:
        """See `AnswerViewSet.parse_call`."""
        query = query_values(_CLOCK_QUERY, query_string)
        return partial(clock_snapshot, exchange=query.get("exchange"), at_ns=query.get("at"))
