"""The services behind `/calendar` and `/clock`, and checks of instruments' trading hours."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from stats.exceptions import RangeTooLarge, UnknownExchange
from stats.sessions import library
from stats.sessions.calendars import calendar_for, calendar_if_known, exchange_calendar
from stats.sessions.clock import clock_at
from stats.sessions.schedule import Schedule
from store.arrays import Integers
from store.instruments import Instrument
from store.timestamps import format_timestamp

LONGEST_DAYS = 3_650


def calendar_dates(*, exchange: str, first_day: int, end_day: int) -> dict[str, Any]:
    """Return the answer of `/calendar`: the trading dates in `[first_day, end_day)`, days since 1970.

    Raises `UnknownExchange` and `RangeTooLarge`.
    """
    if end_day - first_day > LONGEST_DAYS:
        raise RangeTooLarge(f"a calendar's range may have at most {LONGEST_DAYS:,} days")
    calendar = exchange_calendar(exchange)
    return {
        "exchange": exchange,
        "calendar": calendar.name,
        "timezone": calendar.zone.key,
        "dates": list(_rows(calendar.on_dates(first_day, end_day - 1))),
    }


def calendars_load(*, instruments: Iterable[Instrument], now_ns: int) -> None:
    """Load the library, and the current trading dates of the instruments' calendars.

    Otherwise the first request would wait about a second. Unknown calendars are skipped.
    """
    library.load()
    for calendar in filter(None, set(map(calendar_if_known, instruments))):
        calendar.around(now_ns, now_ns)


def hours_refusal(instrument: Instrument) -> tuple[str, str] | None:
    """Return the wrong field (`exchange` or `calendar`) of an instrument without known hours, and a message.

    Return None if its trading hours are known.
    """
    try:
        calendar_for(instrument)
    except UnknownExchange as error:
        return "exchange" if instrument.calendar is None else "calendar", str(error)
    return None


def market_clock(*, exchange: str | None, instant_ns: int) -> dict[str, Any]:
    """Return the answer of `/clock`: an exchange's state at an instant. Raises `UnknownExchange`."""
    clock = clock_at(instant_ns, None if exchange is None else exchange_calendar(exchange))
    return {
        "timestamp": format_timestamp(instant_ns),
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
    has_break = schedule.break_start_ns < schedule.break_end_ns
    for index, date in enumerate(dates.tolist()):
        yield {
            "date": date,
            "open": opens[index],
            "close": closes[index],
            "pre": pre[index] if pre[index] != opens[index] else None,
            "post": post[index] if post[index] != closes[index] else None,
            "early_close": bool(schedule.early[index]),
            "breaks": [{"start": break_starts[index], "end": break_ends[index]}] if has_break[index] else [],
        }


def _texts(instants: Integers) -> list[str]:
    """Format instants as RFC 3339 without fractions of seconds; schedules have only whole minutes."""
    texts: list[str] = np.char.add(np.datetime_as_string(instants.view("M8[ns]"), unit="s"), "Z").tolist()
    return texts


def _text(instant_ns: int | None) -> str | None:
    return None if instant_ns is None else format_timestamp(instant_ns)
