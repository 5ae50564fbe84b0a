"""Reads trading dates from the library pandas-market-calendars, with our corrections, once per calendar and decade.

The library is imported at first use. The import takes about a second, so no module that a process loads at its
start may import it.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from datetime import date
from functools import cache, lru_cache
from importlib import import_module
from threading import Lock
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from calendars import corrections
from calendars.exceptions import UnknownExchange, nearest_name
from calendars.exchanges import FOREX
from calendars.schedule import Integers, Schedule, SpecialSession

_MINUTE_NS = 60 * 10**9
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
    return ZoneInfo(str(_calendar(name).tz))


@cache
def own_name(name: str) -> str:
    """Return the library's own name of a calendar, which may have several aliases."""
    return str(_calendar(name).name)


def require_hours(name: str) -> None:
    """Raise `UnknownExchange` unless the library has a calendar of this name that has trading hours."""
    try:
        decade(name, 202)
    except (RuntimeError, NotImplementedError, KeyError) as error:
        hint = nearest_name(name, [each for each in _library().get_calendar_names() if each != name])
        raise UnknownExchange(f"pandas-market-calendars has no hours for {name[:64]!r}{hint}") from error


@lru_cache(maxsize=_DECADES_KEPT)
def decade(name: str, number: int, special: tuple[SpecialSession, ...] = ()) -> Schedule:
    """Return the trading dates of a decade (202 is 2020-2029); none if the exchange opened after it.

    special: more sessions, of the decade and of the year on each side; those of trading dates are ignored.
    """
    calendar = _calendar(name)
    with _locked():
        frame = calendar.schedule(
            date(number * 10 - _MARGIN_YEARS, 1, 1),
            date(number * 10 + 9 + _MARGIN_YEARS, 12, 31),
            market_times="all",
        )
        if calendar.name == FOREX:
            # The library adds Sundays that begin on Saturday at 17:00, when nothing trades.
            frame = frame[frame.index.day_of_week < _SATURDAY]
        if frame.empty:
            return _EMPTY
        usual = frame.index
        frame = _with_special(_corrected(frame, calendar), calendar, special)
        early = frame.index.isin(calendar.early_closes(frame).index)
    is_special = ~frame.index.isin(usual)
    schedule = _schedule(_without_discontinued(frame, calendar), zone_of(name), early, is_special)
    return schedule.between(_day(number * 10), _day(number * 10 + 10) - 1)


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


def _with_special(frame: Any, calendar: Any, special: tuple[SpecialSession, ...]) -> Any:
    """Add sessions to a schedule of the library, except those of dates that it has. The given hours have no breaks."""
    pandas = import_module("pandas")
    sessions = {pandas.Timestamp(each.date): each for each in special}
    days = pandas.DatetimeIndex(sorted(sessions.keys() - set(frame.index)))
    days = days[(frame.index[0] <= days) & (days <= frame.index[-1])]
    if days.empty:
        return frame
    added = calendar.schedule_from_days(days, market_times="all")
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


def _schedule(frame: Any, zone: ZoneInfo, early: Any, special: Any) -> Schedule:
    """Convert a schedule of the library.

    Instants are rounded down to minutes: before 1950 some zones differed from UTC by fractions of a minute.
    """
    opens, closes = _instants(frame["market_open"]), _instants(frame["market_close"])
    pre = np.minimum(_instants(frame["pre"]), opens) if "pre" in frame else opens
    post = np.maximum(_instants(frame["post"]), closes) if "post" in frame else closes
    break_start, break_end = _breaks(frame, opens, closes, post)
    label, natural_end = _days(frame.index, pre, zone)
    end = natural_end.copy()
    end[:-1] = np.minimum(end[:-1], pre[1:])
    end = np.maximum(end, post)
    start = np.concatenate([label[:1], end[:-1]])
    instants = {
        "start_ns": start,
        "end_ns": end,
        "label_ns": np.maximum(label, start),
        "pre_ns": pre,
        "open_ns": opens,
        "break_start_ns": break_start,
        "break_end_ns": break_end,
        "close_ns": closes,
        "post_ns": post,
    }
    dates = frame.index.to_numpy().astype("datetime64[D]").astype(np.int64)
    whole_minutes = {name: column - column % _MINUTE_NS for name, column in instants.items()}
    return Schedule(date=dates, early=early, special=special, **whole_minutes)


def _instants(column: Any) -> Integers:
    instants: Integers = column.to_numpy("datetime64[ns]").astype(np.int64)
    return instants


def _breaks(frame: Any, opens: Integers, closes: Integers, post: Integers) -> tuple[Integers, Integers]:
    """Return the start and end of each session's break; both are `post` if there is none.

    A maintenance pause after the close is not a break.
    """
    if "break_start" not in frame:
        return post, post
    starts = np.clip(_instants(frame["break_start"]), opens, closes)
    ends = np.clip(_instants(frame["break_end"]), starts, closes)
    has_none = frame["break_start"].isna().to_numpy() | (starts >= ends)
    return np.where(has_none, post, starts), np.where(has_none, post, ends)


def _days(dates: Any, pre: Integers, zone: ZoneInfo) -> tuple[Integers, Integers]:
    """Return the label of each date, and the same local time a day later.

    The label is the date's midnight if trading starts on that date. Otherwise (futures) it is the opening, on the
    evening before.
    """
    pandas = import_module("pandas")
    opening = pandas.DatetimeIndex(pre.view("M8[ns]"), tz="UTC").tz_convert(zone).tz_localize(None)
    local = pandas.DatetimeIndex(
        np.where(opening.normalize() == dates, dates.as_unit("ns").to_numpy(), opening.to_numpy())
    )
    return _utc(local, zone), _utc(local + pandas.Timedelta(days=1), zone)


def _utc(local: Any, zone: ZoneInfo) -> Integers:
    """Return the instants of local times.

    An ambiguous time means the first of its two instants, a skipped time the instant of the clock change.
    """
    first = np.ones(len(local), dtype=np.bool_)
    return _instants(local.tz_localize(zone, ambiguous=first, nonexistent="shift_forward").tz_convert(None))
