"""The trading calendars of instruments, their trading dates, and the hours of their daily bars."""

from dataclasses import replace

from calendars.exceptions import UnknownExchange
from calendars.exchanges import FOREX
from calendars.schedule import Hours
from calendars.trading_calendar import TradingCalendar, exchange_calendar, named_calendar, trading_date_of
from store.arrays import Integers
from store.instruments import CRYPTO, FX, Instrument


def calendar_for(instrument: Instrument) -> TradingCalendar | None:
    """Return the instrument's own calendar if it has one, otherwise that of fx or of its exchange.

    It has the instrument's special sessions. Return None if it has none, and for crypto without its own calendar. Raises `UnknownExchange` if no trading
    hours are known for its exchange or calendar.
    """
    calendar = _usual_calendar(instrument)
    if calendar is None or not instrument.special_sessions:
        return calendar
    return replace(calendar, special=instrument.special_sessions)


def _usual_calendar(instrument: Instrument) -> TradingCalendar | None:
    if instrument.calendar is not None:
        return named_calendar(instrument.calendar)
    if instrument.instrument_class == FX:
        return exchange_calendar(FOREX)
    if instrument.exchange is None or instrument.instrument_class == CRYPTO:
        return None
    return exchange_calendar(instrument.exchange)


def calendar_if_known(instrument: Instrument) -> TradingCalendar | None:
    """Like `calendar_for`, but None if no trading hours are known for its exchange or calendar."""
    try:
        return calendar_for(instrument)
    except UnknownExchange:
        return None


def have_same_calendar(first: Instrument, second: Instrument) -> bool:
    """Return whether two instruments have the same calendar, apart from special sessions, or both have none."""
    names = [calendar and calendar.name for calendar in map(calendar_if_known, (first, second))]
    return names[0] == names[1]


def trading_dates(time_ns: Integers, instrument: Instrument) -> Integers:
    """Return each instant's trading date, days since 1970; its UTC date if no trading hours are known."""
    return trading_date_of(time_ns, calendar_if_known(instrument))


def never_closes(instrument: Instrument) -> bool:
    """Return whether an instrument trades at all hours, with UTC days: crypto without its own calendar."""
    return instrument.instrument_class == CRYPTO and instrument.calendar is None


def daily_hours(instrument: Instrument) -> Hours:
    """Return the hours of an instrument's daily bars by default."""
    return Hours.REGULAR if instrument.has_regular_days else Hours.ALL
