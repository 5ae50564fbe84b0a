"""The answers of `/calendar` and `/clock`."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np

from calendars.exceptions import NoExchange
from calendars.schedule import Schedule
from calendars.trading_calendar import TradingCalendar, exchange_calendar
from stats.caching.keys import Irrelevant
from stats.delivery.answers import AnswerSnapshot, LogName
from stats.exceptions import RangeTooLarge
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
from trades.instruments.services import instrument_get, requested_symbol
from trades.stores import market_store

LONGEST_DAYS = 3_650
_DEFAULT_DAYS = 30


@dataclass(frozen=True, eq=False)
class CalendarDates(AnswerSnapshot):
    """The trading dates of an exchange, or of an instrument, in `[first_day, end_day)`, in days since 1970.

    It has no `end_ns`: dates in the future are as final as others, so the answer is cached for the same time.
    """

    exchange: str
    symbol: str | None
    calendar: TradingCalendar
    first_day: int
    end_day: int
    begins_today: Annotated[bool, Irrelevant("the first day is in the key")]

    @property
    def name(self) -> str:
        return "calendar"

    @property
    def symbols(self) -> tuple[str, ...]:
        return () if self.symbol is None else (self.symbol,)

    @property
    def is_period(self) -> bool:
        return True

    @property
    def watched(self) -> frozenset[LogName]:
        return frozenset()

    @property
    def expires_ns(self) -> int | None:
        return (self.first_day + 1) * DAY_NS if self.begins_today else None

    def document(self) -> CalendarAnswerDocument:
        """See `AnswerSnapshot.document`."""
        dates = list(_rows(self.calendar.on_dates(self.first_day, self.end_day - 1)))
        last = self.calendar.holidays_known_until
        return CalendarAnswerDocument(
            self.exchange,
            self.symbol,
            self.calendar.name,
            self.calendar.zone.key,
            None if last is None else last.isoformat(),
            dates,
        )


@dataclass(frozen=True, eq=False)
class ClockState(AnswerSnapshot):
    """The state of an exchange at an instant; without an exchange, of a market that never closes."""

    exchange: str | None
    instant_ns: int

    @property
    def name(self) -> str:
        return "clock"

    @property
    def is_cacheable(self) -> bool:
        return False

    def document(self) -> ClockAnswerDocument:
        """See `AnswerSnapshot.document`. Raises `UnknownExchange`."""
        return market_clock(exchange=self.exchange, instant_ns=self.instant_ns)


def calendar_snapshot(
    *, exchange: str | None, symbol: str | None = None, start_ns: int | None, end_ns: int | None, now_ns: int
) -> CalendarDates:
    """Return the trading dates of an exchange, or else of an instrument, on whole days in UTC.

    Raises `UnknownExchange`, `NoExchange`, `UnknownSymbol` and `RangeTooLarge`.
    """
    first_day, end_day = _days(start_ns, end_ns, now_ns)
    if end_day - first_day > LONGEST_DAYS:
        raise RangeTooLarge(f"a calendar's range may have at most {LONGEST_DAYS:,} days")
    begins_today = start_ns is None and end_ns is None
    if exchange is None:
        instrument = instrument_get(symbol=requested_symbol(symbol or ""))
        calendar = _calendar_of(instrument)
        exchange = instrument.exchange or calendar.name
        return CalendarDates(
            exchange, instrument.symbol, calendar, first_day, end_day, begins_today=begins_today
        )
    special = sessions_of_exchange(market_store(), exchange)
    calendar = replace(exchange_calendar(exchange), special=special)
    return CalendarDates(exchange, None, calendar, first_day, end_day, begins_today=begins_today)


def _calendar_of(instrument: Instrument) -> TradingCalendar:
    calendar = calendar_for(instrument)
    if calendar is None:
        raise NoExchange(
            f"{instrument.symbol} has no trading dates, because it has no exchange or never closes: declare its"
            f" exchange or calendar by PUT /api/v1/instruments/{instrument.symbol}"
        )
    return calendar


def clock_snapshot(*, exchange: str | None, at_ns: int | None, now_ns: int) -> ClockState:
    """Return the state at an instant, by default now."""
    return ClockState(exchange, now_ns if at_ns is None else at_ns)


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
