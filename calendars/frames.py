"""Converts schedules as pandas-market-calendars makes them, frames with a row for each trading date, into `Schedule`s."""

from importlib import import_module
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from calendars.schedule import Integers, Schedule

_MINUTE_NS = 60 * 10**9


def schedule_of(frame: Any, zone: ZoneInfo, early: Any, special: Any) -> Schedule:
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
    return utc_of(local, zone), utc_of(local + pandas.Timedelta(days=1), zone)


def utc_of(local: Any, zone: ZoneInfo) -> Integers:
    """Return the instants of local times.

    An ambiguous time means the first of its two instants, a skipped time the instant of the clock change.
    """
    first = np.ones(len(local), dtype=np.bool_)
    return _instants(local.tz_localize(zone, ambiguous=first, nonexistent="shift_forward").tz_convert(None))
