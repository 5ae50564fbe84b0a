"""An exchange's state at an instant."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from stats.sessions.calendars import TradingCalendar
from stats.sessions.schedule import Hours, Schedule
from store.arrays import Integers
from store.timestamps import DAY_NS

# Days to look ahead for the next session. Only the NYSE in 1914 was closed for nearly as long.
_REACH_DAYS = 200


class Phase(StrEnum):
    """The part of a trading date in which an instant lies; `closed` outside of trading."""

    PRE = "pre"
    REGULAR = "regular"
    BREAK = "break"
    POST = "post"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Clock:
    """An exchange's state at an instant.

    date: the trading date, in days since 1970; on a closed day the next one. next_open_ns, next_close_ns: when
    regular trading next starts and stops, also after and for a break; None if it never does.
    """

    phase: Phase
    date: int
    next_open_ns: int | None
    next_close_ns: int | None

    @property
    def is_open(self) -> bool:
        """Whether regular trading is in progress."""
        return self.phase is Phase.REGULAR


def clock_at(instant_ns: int, calendar: TradingCalendar | None) -> Clock:
    """Return the state at an instant. Without a calendar, trading never ends and dates are UTC dates."""
    if calendar is None:
        return Clock(Phase.REGULAR, instant_ns // DAY_NS, None, None)
    date = int(calendar.trading_date_of(np.array([instant_ns]))[0])
    schedule = calendar.on_dates(date, date + _REACH_DAYS)
    starts, ends = _merged(schedule)
    return Clock(_phase(schedule, instant_ns), date, _next(starts, instant_ns), _next(ends, instant_ns))


def _phase(schedule: Schedule, instant_ns: int) -> Phase:
    """Return the phase at an instant. The schedule must begin with the instant's trading date."""
    if not schedule.pre_ns[0] <= instant_ns < schedule.post_ns[0]:
        return Phase.CLOSED
    if instant_ns < schedule.open_ns[0]:
        return Phase.PRE
    if instant_ns >= schedule.close_ns[0]:
        return Phase.POST
    is_break = schedule.break_start_ns[0] <= instant_ns < schedule.break_end_ns[0]
    return Phase.BREAK if is_break else Phase.REGULAR


def _merged(schedule: Schedule) -> tuple[Integers, Integers]:
    """Return the starts and ends of regular trading.

    Sessions without time between them are merged. The end of the last session is left out, because the next
    session may follow at once.
    """
    segments = schedule.segments(Hours.REGULAR)
    parted = segments.start_ns[1:] != segments.end_ns[:-1]
    return segments.start_ns[np.append(True, parted)], segments.end_ns[:-1][parted]


def _next(instants: Integers, instant_ns: int) -> int | None:
    later = instants[instants > instant_ns]
    return int(later[0]) if len(later) else None
