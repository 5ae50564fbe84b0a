"""Trading dates of the library pandas-market-calendars, with our corrections, and of declared hours, by decade.

The library is imported at first use. The import takes about a second, so no module that a process loads at its
start may import it.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from datetime import date
from functools import cache, lru_cache, partial
from importlib import import_module
from threading import Lock
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from calendars import corrections
from calendars.declared import EXAMPLE, DeclaredHours, declared_hours
from calendars.exceptions import UnknownExchange, nearest_name
from calendars.exchanges import FOREX
from calendars.frames import schedule_of, utc_of
from calendars.schedule import Schedule, SpecialSession

_SATURDAY = 5
# The decades (year // 10) whose instants pandas can store in nanoseconds, with a year of margin on both sides.
FIRST_DECADE, LAST_DECADE = 189, 220
# The number of years that are read before and after a decade, because a trading date ends where the next one begins.
# No exchange was closed for longer than this.
_MARGIN_YEARS = 1
# The maximum number of decades in memory; each takes some 200 kB.
_DECADES_KEPT = 128
_MASKS = ("early", "special")
_EMPTY = Schedule(
    **{
        column.name: np.empty(0, dtype=np.bool_ if column.name in _MASKS else np.int64)
        for column in fields(Schedule)
    }
)
# Holiday rules of the library and of pandas have caches that are not thread-safe.
_LOCK = Lock()


@cache
def versions() -> str:
    """Return the versions of pandas-market-calendars, of exchange-calendars, which it uses, and of our corrections.

    For example `5.5.0-4.13.2-1f0c9a3e`.
    """
    version = import_module("importlib.metadata").version  # it takes a seventh of the reader's own import
    return f"{version('pandas-market-calendars')}-{version('exchange-calendars')}-{corrections.digest()}"


def load() -> None:
    """Import the library."""
    with _locked():
        _library()


@cache
def zone_of(name: str) -> ZoneInfo:
    """Return the time zone of a calendar's hours."""
    hours = declared_hours(name)
    return ZoneInfo(str(_calendar(name).tz)) if hours is None else hours.zone


@cache
def own_name(name: str) -> str:
    """Return the library's own name of a calendar, which may have several aliases; of declared hours their text."""
    return str(_calendar(name).name) if declared_hours(name) is None else name


def require_hours(name: str) -> None:
    """Raise `UnknownExchange` unless a name declares hours, or the library has hours of this name."""
    try:
        decade(name, 202)
    except (RuntimeError, NotImplementedError, KeyError) as error:
        hint = nearest_name(name, [each for each in _library().get_calendar_names() if each != name])
        reason = (
            f"pandas-market-calendars has no hours for {name[:64]!r}{hint}; hours may be declared: {EXAMPLE}"
        )
        raise UnknownExchange(reason) from error


@lru_cache(maxsize=_DECADES_KEPT)
def decade(name: str, number: int, special: tuple[SpecialSession, ...] = ()) -> Schedule:
    """Return the trading dates of a decade (202 is 2020-2029); none if the exchange opened after it.

    special: more sessions, of the decade and of the year on each side; those of trading dates are ignored.
    """
    first = date(number * 10 - _MARGIN_YEARS, 1, 1)
    last = date(number * 10 + 9 + _MARGIN_YEARS, 12, 31)
    hours = declared_hours(name)
    if hours is None:
        frame, early, is_special = _published(_calendar(name), first, last, special)
    else:
        frame, early, is_special = _declared(hours, first, last, special)
    if frame.empty:
        return _EMPTY
    schedule = schedule_of(frame, zone_of(name), early, is_special)
    return schedule.between(_day(number * 10), _day(number * 10 + 10) - 1)


def _published(
    calendar: Any, first: date, last: date, special: tuple[SpecialSession, ...]
) -> tuple[Any, Any, Any]:
    """Return a calendar's hours, corrected, of the dates in `[first, last]`, and which are early and special."""
    with _locked():
        frame = calendar.schedule(first, last, market_times="all")
        if calendar.name == FOREX:
            # The library adds Sundays that begin on Saturday at 17:00, when nothing trades.
            frame = frame[frame.index.day_of_week < _SATURDAY]
        if frame.empty:
            return frame, None, None
        usual = frame.index
        frame = _with_special(
            _corrected(frame, calendar), partial(calendar.schedule_from_days, market_times="all"), special
        )
        early = frame.index.isin(calendar.early_closes(frame).index)
    return _without_discontinued(frame, calendar), early, ~frame.index.isin(usual)


def _declared(
    hours: DeclaredHours, first: date, last: date, special: tuple[SpecialSession, ...]
) -> tuple[Any, Any, Any]:
    """Return declared hours like `_published`. No session closes early."""
    pandas = import_module("pandas")
    dates = pandas.date_range(first, last)
    closed = pandas.DatetimeIndex(sorted(hours.closed))
    usual = dates[dates.day_of_week.isin(hours.weekdays) & ~dates.isin(closed)]
    frame = _with_special(_hours_on(hours, usual), partial(_hours_on, hours), special)
    return frame, np.zeros(len(frame), np.bool_), ~frame.index.isin(usual)


def _hours_on(hours: DeclaredHours, dates: Any) -> Any:
    """Return the declared hours of dates as a schedule of the library has them."""
    pandas = import_module("pandas")
    breaks = ("break_start", "break_end") if len(hours.minutes) > 2 else ()
    instants = {
        column: pandas.DatetimeIndex(
            utc_of(dates + pandas.Timedelta(minutes=minutes), hours.zone).view("M8[ns]"), tz="UTC"
        )
        for column, minutes in zip(("market_open", *breaks, "market_close"), hours.minutes, strict=True)
    }
    return pandas.DataFrame(instants, index=dates)


@cache
def _library() -> Any:
    """Import the library, and mend Tel Aviv's holidays.

    They are offsets of pandas that override `_apply`. Since version 3.1 pandas calls `_add_datetime` instead, and
    every Jewish holiday is Easter.
    """
    holidays = import_module("exchange_calendars.tase_holidays")
    for offset in (holidays._HolidayOffset, holidays._YomKippurEveObserved):  # noqa: SLF001 - see above
        offset._add_datetime = offset._apply  # noqa: SLF001
    return import_module("pandas_market_calendars")


@cache
def _calendar(name: str) -> Any:
    with _locked():
        calendar = _library().get_calendar(name)
        changed = corrections.changed_open_of(str(calendar.name))
        if changed is not None:
            opens = calendar.regular_market_times["market_open"]
            calendar.change_time("market_open", (*opens, (str(changed[0]), changed[1])))
        return calendar


@contextmanager
def _locked() -> Iterator[None]:
    """Let only one thread at a time use the library, and ignore its known warnings."""
    with _LOCK, warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".* are discontinued", UserWarning)
        warnings.filterwarnings("ignore", ".* is deprecated", DeprecationWarning)
        yield


def _corrected(frame: Any, calendar: Any) -> Any:
    """Return a schedule of the library with our corrections. A date that it lacks gets its usual hours first."""
    pandas = import_module("pandas")
    name = str(calendar.name)
    for correction in (
        *corrections.corrections_of(name),
        *corrections.first_sessions_of(name, frame.index.date),
    ):
        day = pandas.Timestamp(correction.date)
        if not frame.index[0] <= day <= frame.index[-1]:
            continue
        if correction.is_closed:
            frame = frame.drop(day, errors="ignore")
            continue
        if day not in frame.index:
            added = calendar.schedule_from_days(pandas.DatetimeIndex([day]), market_times="all")
            frame = pandas.concat([frame, added]).sort_index()
        for column, local in (
            ("market_open", correction.open),
            ("break_start", correction.break_start),
            ("break_end", correction.break_end),
            ("market_close", correction.close),
        ):
            if local is not None:
                instant = pandas.Timestamp.combine(correction.date, local).tz_localize(calendar.tz)
                frame.loc[day, column] = instant.tz_convert("UTC")
    return frame


def _with_special(frame: Any, usual: Callable[[Any], Any], special: tuple[SpecialSession, ...]) -> Any:
    """Add sessions to a schedule, except those of dates that it has. The given hours have no breaks.

    usual: returns the schedule of dates with the usual hours.
    """
    pandas = import_module("pandas")
    sessions = {pandas.Timestamp(each.date): each for each in special}
    days = pandas.DatetimeIndex(sorted(sessions.keys() - set(frame.index)))
    days = days[(frame.index[0] <= days) & (days <= frame.index[-1])]
    if days.empty:
        return frame
    added = usual(days)
    opens = pandas.to_datetime([sessions[day].open for day in days], utc=True).as_unit("ns")
    closes = pandas.to_datetime([sessions[day].close for day in days], utc=True).as_unit("ns")
    for name in added.columns:
        own = {"market_open": opens, "pre": opens, "market_close": closes, "post": closes}.get(name)
        added[name] = added[name].where(opens.isna(), pandas.NaT if own is None else own)
    return pandas.concat([frame, added]).sort_index()


def _without_discontinued(frame: Any, calendar: Any) -> Any:
    """Remove hours from the date on which they were discontinued. The library still fills them in."""
    for name, end_date in calendar.discontinued_market_times.items():
        frame[name] = frame[name].where(frame.index < str(end_date))
    return frame


def _day(year: int) -> int:
    return (date(year, 1, 1) - date(1970, 1, 1)).days
