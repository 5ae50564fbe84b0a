"""From when to when there may be rows of an instrument."""

from collections.abc import Iterable

import numpy as np

from stats.market_data.intervals.bar_grid import BarGrid
from store.datasets import BARS
from store.log_views.log_view import LogView, first_row
from store.log_views.stored_bars import date_of_stored
from store.protocol import ALL_TIME, Window
from store.resolutions import Resolution
from store.timestamps import DAY_NS, parse_timestamp


def listed(expiry: str | None, days: BarGrid, logs: Iterable[LogView]) -> Window:
    """From the beginning of the first row's date, of any log, to the end of the date `expiry`, if there is one.

    It begins behind all time where no log has a row. days: the grid of the dates.
    """
    starts = [start for log in logs if (start := _first_date_ns(log, days)) is not None]
    start_ns = min(starts, default=ALL_TIME.end_ns)
    if expiry is None:
        return Window(start_ns, ALL_TIME.end_ns)
    return Window(start_ns, days.date_start(parse_timestamp(expiry) + DAY_NS))


def _first_date_ns(log: LogView, days: BarGrid) -> int | None:
    """Where the date of a log's first row begins; None without a row."""
    first = first_row(log)
    if first is None:
        return None
    time_ns = first.column("timestamp")[0].as_py()
    if log.dataset is BARS and Resolution(first.column("resolution")[0].as_py()).is_period:
        return days.date_start(int(date_of_stored(np.array([time_ns]), days)[0]) * DAY_NS)
    return days.whole(time_ns, time_ns + 1).start_ns
