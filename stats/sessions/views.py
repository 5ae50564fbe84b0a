"""The endpoints `/calendar` and `/clock`."""

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from calendars.exceptions import NoExchange
from calendars.exchanges import EXCHANGES
from calendars.schedule import Schedule
from calendars.trading_calendar import TradingCalendar, exchange_calendar
from stats.exceptions import RangeTooLarge
from stats.parameters import QueryTimeField, query_values
from stats.sessions.documents import (
    BreakDocument,
    CalendarAnswerDocument,
    ClockAnswerDocument,
    SessionReason,
    TradingDateDocument,
)
from stats.sessions.services import market_clock
from store.arrays import Integers
from store.instrument_calendars import calendar_for
from store.instruments import Instrument
from store.special_sessions import sessions_of_exchange
from store.timestamps import DAY_NS
from trades.batches.serializers import SymbolField
from trades.instruments.services import instrument_get, requested_symbol
from trades.stores import market_store
from web.endpoints import Access
from web.requests.conditional import NOT_STORED
from web.requests.tagged_answer import tagged_answer
from web.requests.work import WorkKind, count_work

LONGEST_DAYS = 3_650
_DEFAULT_DAYS = 30


@extend_schema_field({"type": "string", "enum": sorted(EXCHANGES)})
class ExchangeField(serializers.Field[str, str, str, Any]):
    """An exchange's MIC, in upper or lower case. Whether it is known is checked later."""

    def to_internal_value(self, data: str) -> str:
        return data.upper()


class CalendarQuerySerializer(serializers.Serializer[Any]):
    """The query parameters of a calendar."""

    exchange = ExchangeField(
        required=False, help_text="The exchange, by its MIC (ISO 10383). Either it or `symbol` is required."
    )
    symbol = SymbolField(
        required=False, help_text="The instrument, whose special sessions are trading dates, too."
    )
    start = QueryTimeField(
        required=False,
        help_text="First date. Default: today, or 30 days before `end`. A time means its date in UTC.",
    )
    end = QueryTimeField(
        required=False,
        help_text="Date after the last one. Default: 30 days after the first. A time is rounded up to a date.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "exchange" not in attrs and "symbol" not in attrs:
            raise serializers.ValidationError("exchange or symbol is required", code="missing_parameter")
        if "exchange" in attrs and "symbol" in attrs:
            message = "exchange and symbol: send one of them"
            raise serializers.ValidationError(message, code="conflicting_parameters")
        if "start" in attrs and "end" in attrs and attrs["start"] >= attrs["end"]:
            raise serializers.ValidationError("start must be before end", code="invalid_range")
        return attrs


class ClockQuerySerializer(serializers.Serializer[Any]):
    """The query parameters of a clock."""

    exchange = ExchangeField(
        required=False, help_text="The exchange, by its MIC. Without it trading never ends."
    )
    at = QueryTimeField(required=False, help_text="The instant. Default: now.")


_CALENDAR_QUERY, _CLOCK_QUERY = CalendarQuerySerializer(), ClockQuerySerializer()


class CalendarViewSet(ViewSet):
    """Trading dates of exchanges."""

    tag = "instruments"
    access = {"retrieve": Access("market:read", has_rows=False)}
    query_serializer_class = CalendarQuerySerializer

    @extend_schema(
        parameters=[CalendarQuerySerializer],
        responses={200: CalendarAnswerDocument},
    )
    def retrieve(self, request: Request) -> Response:
        """Trading dates of an exchange or an instrument.

        The trading dates in `[start, end)`, at most 3,650 days, with their hours in UTC.
        """
        query = query_values(_CALENDAR_QUERY, request.META["QUERY_STRING"])
        document = market_calendar(
            exchange=query.get("exchange"),
            symbol=query.get("symbol"),
            start_ns=query.get("start"),
            end_ns=query.get("end"),
            now_ns=time.time_ns(),
        )
        return tagged_answer(request, document.as_json())


class ClockViewSet(ViewSet):
    """The states of exchanges."""

    tag = "instruments"
    access = {"retrieve": Access("market:read", has_rows=False)}
    query_serializer_class = ClockQuerySerializer

    @extend_schema(
        parameters=[ClockQuerySerializer],
        responses={200: ClockAnswerDocument},
    )
    def retrieve(self, request: Request) -> Response:
        """Whether an exchange is open.

        The phase of trading at an instant, and when regular trading next starts and stops.
        """
        query = query_values(_CLOCK_QUERY, request.META["QUERY_STRING"])
        state = market_clock(exchange=query.get("exchange"), instant_ns=query.get("at", time.time_ns()))
        return Response(state.as_json(), headers=NOT_STORED)


def market_calendar(
    *, exchange: str | None, symbol: str | None, start_ns: int | None, end_ns: int | None, now_ns: int
) -> CalendarAnswerDocument:
    """Return the answer of `/calendar`: the trading dates of an exchange, or else of an instrument, on whole days in UTC.

    Raises `UnknownExchange`, `NoExchange`, `UnknownSymbol` and `RangeTooLarge`.
    """
    first_day, end_day = _days(start_ns, end_ns, now_ns)
    if end_day - first_day > LONGEST_DAYS:
        raise RangeTooLarge(f"a calendar's range may have at most {LONGEST_DAYS:,} days")
    if exchange is None:
        instrument = instrument_get(symbol=requested_symbol(symbol or ""))
        symbol, calendar = instrument.symbol, _calendar_of(instrument)
        exchange = instrument.exchange or calendar.name
    else:
        special = sessions_of_exchange(market_store(), exchange)
        calendar = replace(exchange_calendar(exchange), special=special)
    last = calendar.holidays_known_until
    rows = list(_rows(calendar.on_dates(first_day, end_day - 1)))
    count_work(WorkKind.ROWS, len(rows))
    return CalendarAnswerDocument(
        exchange,
        symbol,
        calendar.name,
        calendar.zone.key,
        None if last is None else last.isoformat(),
        rows,
    )


def _calendar_of(instrument: Instrument) -> TradingCalendar:
    calendar = calendar_for(instrument)
    if calendar is None:
        raise NoExchange(
            f"{instrument.symbol} has no trading dates, because it has no exchange or never closes: declare its"
            f" exchange or calendar by PUT /api/v1/instruments/{instrument.symbol}"
        )
    return calendar


def _days(start_ns: int | None, end_ns: int | None, now_ns: int) -> tuple[int, int]:
    """Return the first day of a range, and the day after its last, in days since 1970."""
    if end_ns is None:
        first_day = (now_ns if start_ns is None else start_ns) // DAY_NS
        return first_day, first_day + _DEFAULT_DAYS
    end_day = -(-end_ns // DAY_NS)
    return end_day - _DEFAULT_DAYS if start_ns is None else start_ns // DAY_NS, end_day


def _rows(schedule: Schedule) -> Iterator[TradingDateDocument]:
    dates = np.datetime_as_string(schedule.date.view("M8[D]"))
    opens, closes = _texts(schedule.open_ns), _texts(schedule.close_ns)
    pre, post = _texts(schedule.pre_ns), _texts(schedule.post_ns)
    break_starts, break_ends = _texts(schedule.break_start_ns), _texts(schedule.break_end_ns)
    has_break = schedule.break_start_ns < schedule.break_end_ns
    for index, date in enumerate(dates.tolist()):
        yield TradingDateDocument(
            date=date,
            open=opens[index],
            close=closes[index],
            pre=pre[index] if pre[index] != opens[index] else None,
            post=post[index] if post[index] != closes[index] else None,
            early_close=bool(schedule.early[index]),
            reason=SessionReason.SPECIAL if schedule.special[index] else None,
            breaks=[BreakDocument(break_starts[index], break_ends[index])] if has_break[index] else [],
        )


def _texts(instants: Integers) -> list[str]:
    """Format instants as RFC 3339 without fractions of seconds; schedules have only whole minutes."""
    texts: list[str] = np.char.add(np.datetime_as_string(instants.view("M8[ns]"), unit="s"), "Z").tolist()
    return texts
