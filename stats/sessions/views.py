"""The endpoints `/calendar` and `/clock`."""

import time

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from http_requests.tagged_answer import tagged_answer
from stats.parameters import query_values
from stats.sessions.serializers import (
    CalendarAnswerSerializer,
    CalendarQuerySerializer,
    ClockAnswerSerializer,
    ClockQuerySerializer,
)
from stats.sessions.services import calendar_dates, market_clock
from store.timestamps import DAY_NS

_DEFAULT_DAYS = 30


class CalendarViewSet(ViewSet):
    """Trading dates of exchanges."""

    query_serializer_class = CalendarQuerySerializer

    @extend_schema(
        operation_id="calendar",
        summary="Trading dates of an exchange",
        parameters=[CalendarQuerySerializer],
        responses={200: CalendarAnswerSerializer},
    )
    def retrieve(self, request: Request) -> Response:
        """The trading dates in `[start, end)`, at most 3,650 days, with their hours in UTC."""
        query = query_values(CalendarQuerySerializer, request.META["QUERY_STRING"])
        first_day, end_day = _days(query.get("start"), query.get("end"), time.time_ns())
        dates = calendar_dates(exchange=query["exchange"], first_day=first_day, end_day=end_day)
        return tagged_answer(request, dates)


class ClockViewSet(ViewSet):
    """The states of exchanges."""

    query_serializer_class = ClockQuerySerializer

    @extend_schema(
        operation_id="clock",
        summary="Whether an exchange is open",
        parameters=[ClockQuerySerializer],
        responses={200: ClockAnswerSerializer},
    )
    def retrieve(self, request: Request) -> Response:
        """The phase of trading at an instant, and when regular trading next starts and stops."""
        query = query_values(ClockQuerySerializer, request.META["QUERY_STRING"])
        clock = market_clock(exchange=query.get("exchange"), instant_ns=query.get("at", time.time_ns()))
        return Response(clock, headers={"Cache-Control": "no-store"})


def _days(start_ns: int | None, end_ns: int | None, now_ns: int) -> tuple[int, int]:
    """Return the first day of a range, and the day after its last, in days since 1970."""
    if end_ns is None:
        first_day = (now_ns if start_ns is None else start_ns) // DAY_NS
        return first_day, first_day + _DEFAULT_DAYS
    end_day = -(-end_ns // DAY_NS)
    return end_day - _DEFAULT_DAYS if start_ns is None else start_ns // DAY_NS, end_day
