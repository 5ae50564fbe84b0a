"""From when to when there may be rows of an instrument."""

from collections.abc import Iterable

import numpy as np

from stats.market_data.intervals.bar_grid import BarGrid
from stats.market_data.pinning.logs import PinnedLog
from store.datasets import BARS
from store.instruments import Instrument
from store.log_views.stored_bars import date_of_stored
from store.protocol import ALL_TIME, Window
from store.resolutions import Resolution
from store.timestamps import DAY_NS, parse_timestamp
from trades.stores import market_store


def listed(instrument: Instrument, days: BarGrid, logs: Iterable[PinnedLog]) -> Window:
    """From the beginning of the first row's date, of any log, to the end of the date on which the instrument expires.

    It begins behind all time where no log has a row. days: the grid of the dates.
    """
    starts = [start for log in logs if (start := _first_date_ns(log, days)) is not None]
    start_ns = min(starts, default=ALL_TIME.end_ns)
    if instrument.expiry is None:
        return Window(start_ns, ALL_TIME.end_ns)
    return Window(start_ns, days.date_start(parse_timestamp(instrument.expiry) + DAY_NS))


def _first_date_ns(log: PinnedLog, days: BarGrid) -> int | None:
    """Where the date of a log's first row begins; None without a row."""
    if log.is_empty:
        return None
    first = log.rows(
        market_store().take_window(log.dataset, log.symbol, ALL_TIME, 1, at=log.at.number)
    ).slice(0, 1)
    if not len(first):
        return None
    time_ns = first.column("timestamp")[0].as_py()
    if log.dataset is BARS and Resolution(first.column("resolution")[0].as_py()).is_period:
        return days.date_start(int(date_of_stored(np.array([time_ns]), days)[0]) * DAY_NS)
    return days.whole(time_ns, time_ns + 1).start_ns
