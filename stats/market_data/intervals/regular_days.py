"""Regular sessions for the in-process reader: `open_store(…, sessions=regular_days)`."""

from stats.exceptions import NoExchange
from stats.market_data.intervals.bar_grid import BarGrid, regular_day_grid
from stats.sessions.calendars import calendar_for, never_closes
from store.instruments import Instrument


def regular_days(instrument: Instrument) -> BarGrid:
    """Return the grid of an instrument's regular sessions, as over HTTP with `hours=regular`; UTC days for crypto.

    Raises `NoExchange` if it has no exchange, and `UnknownExchange` if the exchange's hours are not known.
    """
    calendar = calendar_for(instrument)
    if calendar is None and not never_closes(instrument):
        raise NoExchange(
            f"{instrument.symbol} names no exchange, so its sessions are not known: declare it by"
            f" PUT /api/v1/instruments/{instrument.symbol} or manage.py instrument"
        )
    return regular_day_grid(calendar)
