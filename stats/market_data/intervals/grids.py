"""The grid that a query asks for."""

from stats.exceptions import NoExchange, UnknownExchange
from stats.market_data.intervals.bar_grid import BarGrid, utc_grid
from stats.market_data.pinning.plan import Asked
from stats.sessions.calendars import TradingCalendar, calendar_for, never_closes
from stats.sessions.spans import Hours, SessionMode


def grid_of(asked: Asked) -> BarGrid:
    """The intervals that a query asks for.

    Raises `NoExchange`, and `UnknownExchange` where its sessions matter.
    """
    query, calendar = asked.query, _calendar(asked)
    if never_closes(asked.instrument):
        return utc_grid(query.resolution)
    if calendar is None and (query.session is SessionMode.EXCHANGE or query.hours is not Hours.ALL):
        raise NoExchange(
            f"{asked.symbol} names no exchange, so that its sessions are not known: tell it by"
            f" PUT /api/v1/instruments/{asked.symbol}, or ask with session=utc and hours=all"
        )
    named = SessionMode.UTC if calendar is None else SessionMode.EXCHANGE
    grid = BarGrid(query.resolution, calendar, query.session or named, query.hours)
    has_dates = query.resolution.is_period or query.adjustment != "raw" or query.with_coverage
    # The same bars, whatever the instrument's exchange.
    return grid if has_dates or not grid.is_plain else utc_grid(query.resolution)


def _calendar(asked: Asked) -> TradingCalendar | None:
    """The instrument's calendar.

    None without an exchange, and for one that nobody knows, where nothing depends on it.
    """
    query = asked.query
    is_needed = query.session is not SessionMode.UTC and (
        query.session is SessionMode.EXCHANGE or query.resolution.is_period
    )
    try:
        return calendar_for(asked.instrument)
    except UnknownExchange:
        if is_needed or query.hours is not Hours.ALL:
            raise
        return None
