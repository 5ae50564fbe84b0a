"""Alpaca's clock and calendar, the hours of the New York Stock Exchange; and its letters of exchanges."""

import time
from typing import Annotated

import numpy as np
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from calendars.trading_calendar import exchange_calendar
from stats.sessions.services import market_clock
from store import lazy_pyarrow as pa
from store.lazy_imports import compute as pc
from store.timestamps import DAY_NS, InvalidTimestamp, parse_timestamp
from trades.conditions.tapes import EXCHANGE_LETTERS
from web.documents import AnswerDocument, Date, Instant, like
from web.endpoints import Access
from web.requests.exceptions import InvalidParameter
from web.views import DeclaredView

EXCHANGE = "XNYS"
# The first and the last date of Alpaca's calendar, both included.
_BOUNDS = {"start": "1970-01-01", "end": "2029-12-31"}


class AlpacaClock(AnswerDocument):
    """Whether the exchange is open, and when it next opens and closes."""

    timestamp: Annotated[Instant, like("2025-01-02T15:00:00Z")]
    is_open: Annotated[bool, like(True)]
    next_open: Annotated[Instant | None, like("2025-01-03T14:30:00Z")]
    next_close: Annotated[Instant | None, like("2025-01-02T21:00:00Z")]


class AlpacaCalendarDate(AnswerDocument):
    """A trading date, and its hours by the exchange's clock."""

    date: Annotated[Date, like("2025-01-03")]
    open: Annotated[str, like("09:30")]
    close: Annotated[str, like("16:00")]
    session_open: Annotated[str, like("0400")]
    session_close: Annotated[str, like("2000")]


class AlpacaHoursViewSet(DeclaredView, ViewSet):
    """The exchange's hours, and the exchanges."""

    access = {name: Access("market:read", has_rows=False) for name in ("clock", "calendar", "exchanges")}
    parameters = {
        "calendar": tuple(
            OpenApiParameter(name, str, description=f"A date, included. Default: {default}.")
            for name, default in _BOUNDS.items()
        )
    }
    answers = {"clock": AlpacaClock, "calendar": list[AlpacaCalendarDate]}

    def clock(self, request: Request) -> Response:
        """Whether the exchange is open now."""
        now = market_clock(exchange=EXCHANGE, instant_ns=time.time_ns())
        return Response(AlpacaClock.of_attributes(now).as_json())

    def calendar(self, request: Request) -> Response:
        """The trading dates in a range."""
        first, last = map(self._day, _BOUNDS)
        if first > last:
            raise InvalidParameter(
                "invalid_range", f"start is after end, which is {_BOUNDS['end']} by default"
            )
        return Response([each.as_json() for each in calendar_dates(first, last)])

    @extend_schema(
        responses={(200, "application/json"): {"type": "object", "additionalProperties": {"type": "string"}}},
        examples=[OpenApiExample("An answer", {"N": "XNYS"}, response_only=True)],
    )
    def exchanges(self, request: Request) -> Response:
        """The MIC of each letter that stands for an exchange."""
        return Response({letter: mic for mic, letter in EXCHANGE_LETTERS.items()})

    def _day(self, name: str) -> int:
        try:
            return parse_timestamp(self.query.get(name, _BOUNDS[name])) // DAY_NS
        except InvalidTimestamp as error:
            raise InvalidParameter(error.code, f"{name}: {error}") from None


def calendar_dates(first_day: int, last_day: int) -> list[AlpacaCalendarDate]:
    """Return the trading dates from one day to another, both included, in days since 1970."""
    calendar = exchange_calendar(EXCHANGE)
    schedule = calendar.on_dates(first_day, last_day)
    dates = np.datetime_as_string(schedule.date.view("M8[D]")).tolist()
    instants = (schedule.open_ns, schedule.close_ns, schedule.pre_ns, schedule.post_ns)
    zoned = pa.timestamp("ns", calendar.zone.key)
    texts = zip(*(pc.strftime(pa.array(each, zoned), "%H:%M").to_pylist() for each in instants), strict=True)
    return [
        AlpacaCalendarDate(date, opens, closes, pre.replace(":", ""), post.replace(":", ""))
        for date, (opens, closes, pre, post) in zip(dates, texts, strict=True)
    ]
