"""The services behind `/calendar` and `/clock`, and checks of instruments' trading hours."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from stats.exceptions import RangeTooLarge, UnknownExchange
from stats.sessions import library
from stats.sessions.calendars import ListedInstrument, TradingCalendar, calendar_for, exchange_calendar
from stats.sessions.clock import clock_at
from stats.sessions.schedule import Schedule
from store.arrays import Integers
from store.timestamps import format_timestamp

LONGEST_DAYS = 3_650


def calendar_dates(*, exchange: str, first_day: int, behind_day: int) -> dict[str, Any]:
    """The answer of `/calendar`: an exchange's trading dates in `[first_day, behind_day)`, days since 1970.

    Raises `UnknownExchange` and `RangeTooLarge`.
    """
    if behind_day - first_day > LONGEST_DAYS:
        raise RangeTooLarge(f"a calendar's range may have at most {LONGEST_DAYS:,} days")
    calendar = exchange_calendar(exchange)
    schedule = calendar.on_dates(first_day, behind_day - 1)
    return {
        "exchange": exchange,
        "calendar": calendar.name,
        "timezone": calendar.zone.key,
        "dates": list(_rows(schedule)),
    }


def calendars_load(*, listed: Iterable[ListedInstrument], now_ns: int) -> None:
    """Load the library, and the current trading dates of the instruments' calendars.

    Otherwise the first request would wait about a second. Unknown calendars are skipped.
    """
    library.load()
    for calendar in filter(None, set(map(_known_calendar, listed))):
        calendar.around(now_ns, now_ns)


def hours_refusal(listed: ListedInstrument) -> tuple[str, str] | None:
    """The wrong field of an instrument (`exchange` or `calendar`), and why its trading hours are unknown.

    None if they are known.
    """
    try:
        calendar_for(listed)
    except UnknownExchange as error:
        return "exchange" if listed.calendar is None else "calendar", str(error)
    return None


def market_clock(*, exchange: str | None, at_ns: int) -> dict[str, Any]:
    """The answer of `/clock`: an exchange's state at an instant. Raises `UnknownExchange`."""
    clock = clock_at(at_ns, None if exchange is None else exchange_calendar(exchange))
    return {
        "timestamp": format_timestamp(at_ns),
        "exchange": exchange,
        "is_open": clock.is_open,
        "phase": clock.phase.value,
        "date": str(np.datetime64(clock.date, "D")),
        "next_open": _text(clock.next_open_ns),
        "next_close": _text(clock.next_close_ns),
    }


def _rows(schedule: Schedule) -> Iterator[dict[str, Any]]:
    dates = np.datetime_as_string(schedule.date.view("M8[D]"))
    opens, closes = _texts(schedule.open_ns), _texts(schedule.close_ns)
    pre, post = _texts(schedule.pre_ns), _texts(schedule.post_ns)
    break_starts, break_ends = _texts(schedule.break_start_ns), _texts(schedule.break_end_ns)
    for place, date in enumerate(dates.tolist()):
        pause = {"start": break_starts[place], "end": break_ends[place]}
        yield {
            "date": date,
            "open": opens[place],
            "close": closes[place],
            "pre": pre[place] if pre[place] != opens[place] else None,
            "post": post[place] if post[place] != closes[place] else None,
            "early_close": bool(schedule.early[place]),
            "breaks": [pause] if schedule.has_break(place) else [],
        }


def _known_calendar(listed: ListedInstrument) -> TradingCalendar | None:
    try:
        return calendar_for(listed)
    except UnknownExchange:
        return None


def _texts(instants: Integers) -> list[str]:
    """RFC 3339 text without fractions of seconds; schedules have only whole minutes."""
    texts: list[str] = np.char.add(np.datetime_as_string(instants.view("M8[ns]"), unit="s"), "Z").tolist()
    return texts


def _text(instant_ns: int | None) -> str | None:
    return None if instant_ns is None else format_timestamp(instant_ns)
