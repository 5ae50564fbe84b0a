"""Which intervals of a window can have data."""

import numpy as np

from stats.sessions.calendars import TradingCalendar
from stats.sessions.schedule import Hours
from stats.sessions.spans import intraday_spans
from store.arrays import Integers
from store.protocol import Window


def expected_intervals(
    interval_ns: int, window: Window, calendar: TradingCalendar | None, hours: Hours
) -> Integers:
    """The starts of the window's intervals that something of a session lies in, ascending; any other is closed.

    Of all hours those count that the exchange trades in, before and after the session included. Without a
    calendar every interval is expected.
    """
    of_trading = Hours.EXTENDED if hours is Hours.ALL else hours
    labels = intraday_spans(interval_ns, window, calendar=calendar, hours=of_trading).label_ns
    return labels[np.append(True, labels[1:] != labels[:-1])] if len(labels) else labels
