"""The state of an exchange at an instant."""

from collections.abc import Iterable

import numpy as np

from calendars import library
from calendars.schedule import Hours, Schedule
from calendars.trading_calendar import exchange_calendar
from stats.sessions.documents import ClockAnswerDocument, Phase
from store.arrays import Integers
from store.instrument_calendars import calendar_if_known
from store.instruments import Instrument
from store.timestamps import DAY_NS, format_timestamp


def calendars_load(*, instruments: Iterable[Instrument], now_ns: int) -> None:
    """Load the library, and the current trading dates of the instruments' calendars.

    Otherwise the first request would wait about a second. Unknown calendars are skipped.
    """
    library.load()
    for calendar in filter(None, set(map(calendar_if_known, instruments))):
        calendar.around(now_ns, now_ns)


def market_clock(*, exchange: str | None, instant_ns: int) -> ClockAnswerDocument:
    """Return the answer of `/clock`: an exchange's state at an instant.

    Without an exchange, trading never ends and dates are UTC dates. Raises `UnknownExchange`.
    """
    phase, date = Phase.REGULAR, instant_ns // DAY_NS
    opens = closes = np.empty(0, np.int64)
    if exchange is not None:
        calendar = exchange_calendar(exchange)
        schedule = calendar.from_instant(instant_ns)
        date = int(schedule.date[0])
        phase, (opens, closes) = _phase(schedule, instant_ns), _opens_and_closes(schedule)
    return ClockAnswerDocument(
        timestamp=format_timestamp(instant_ns),
        exchange=exchange,
        is_open=phase is Phase.REGULAR,
        phase=phase,
        date=str(np.datetime64(date, "D")),
        next_open=_first_after(opens, instant_ns),
        next_close=_first_after(closes, instant_ns),
    )


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


def _opens_and_closes(schedule: Schedule) -> tuple[Integers, Integers]:
    """Return the instants at which regular trading starts, and those at which it stops; a break is a stop.

    Sessions without time between them are merged. The end of the last session is left out, because the next
    session may follow at once.
    """
    segments = schedule.segments(Hours.REGULAR)
    has_gap = segments.start_ns[1:] != segments.end_ns[:-1]
    return segments.start_ns[np.append(True, has_gap)], segments.end_ns[:-1][has_gap]


def _first_after(instants: Integers, instant_ns: int) -> str | None:
    """Return the first of the ascending `instants` that is later than `instant_ns`, as text; None if there is none."""
    later = instants[instants > instant_ns]
    return format_timestamp(int(later[0])) if len(later) else None
