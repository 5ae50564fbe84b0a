"""The grid of an instrument's bars by its exchange's sessions."""

from calendars.exceptions import NoExchange, UnknownExchange
from calendars.schedule import Anchor, Hours, SessionMode
from calendars.trading_calendar import TradingCalendar
from store.instrument_calendars import calendar_for, daily_hours, never_closes
from store.instruments import Instrument
from store.log_views.bar_grid import BarGrid, utc_grid
from store.resolutions import Resolution


def instrument_grid(
    instrument: Instrument,
    resolution: Resolution,
    *,
    session: SessionMode | None = None,
    hours: Hours | None = None,
    anchor: Anchor = Anchor.CLOCK,
) -> BarGrid:
    """Return the grid of an instrument's bars. session, hours: None for the instrument's default.

    If the grid depends on sessions, raises `NoExchange` without an exchange, and `UnknownExchange` if its hours are not
    known.
    """
    is_utc = session is not SessionMode.EXCHANGE and hours in {None, Hours.ALL} and anchor is Anchor.CLOCK
    is_of_dates = session is not SessionMode.UTC and resolution.is_period
    calendar = _calendar(instrument, is_needed=is_of_dates or not is_utc)
    if never_closes(instrument):
        return utc_grid(resolution)
    if calendar is None and not is_utc:
        raise NoExchange(
            f"{instrument.symbol} names no exchange, so its sessions are not known: declare it by"
            f" PUT /api/v1/instruments/{instrument.symbol}, or ask with session=utc, hours=all and anchor=clock"
        )
    mode = session or (SessionMode.UTC if calendar is None else SessionMode.EXCHANGE)
    is_dated = resolution.is_period and mode is SessionMode.EXCHANGE
    default_hours = daily_hours(instrument) if is_dated else Hours.ALL
    return BarGrid(resolution, calendar, mode, hours or default_hours, anchor)


def _calendar(instrument: Instrument, *, is_needed: bool) -> TradingCalendar | None:
    """Return the instrument's calendar; None if it has none, or if its hours are not known and not needed."""
    try:
        return calendar_for(instrument)
    except UnknownExchange:
        if is_needed:
            raise
        return None
