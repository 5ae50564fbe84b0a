"""Rows that mean a whole date: bars of a day, week or month, and corporate actions. Each date has one time.

Senders name a date by different instants: midnight UTC, midnight in New York, the session's open. A row's identity
contains its time, so all of them are stored at the date's midnight UTC.
"""

from __future__ import annotations

import numpy as np

from calendars.trading_calendar import NOT_CLOSED, TradingCalendar, date_of_row
from store import lazy_pyarrow as pa
from store.arrays import Integers, Mask
from store.datasets import BARS, CORPORATE_ACTIONS
from store.declarations import Dataset
from store.lazy_imports import compute as pc
from store.log_views.stored_bars import resolutions_in
from store.resolutions import Resolution
from store.timestamps import DAY_NS

DATED = (BARS, CORPORATE_ACTIONS)
# A closed date belongs to the next trading date, which is at most so many days away.
_CLOSED_DAYS = 14


def is_dated(dataset: Dataset, rows: pa.RecordBatch | pa.Table) -> Mask:
    """Return a mask of the rows that mean a whole date."""
    if dataset is BARS:
        periods = [each.value for each in resolutions_in(rows) if each.is_period]
        return np.asarray(pc.is_in(rows.column("resolution"), pa.array(periods, pa.string())))
    return np.full(rows.num_rows, dataset is CORPORATE_ACTIONS)


def dated_times(
    dataset: Dataset, rows: pa.RecordBatch | pa.Table, calendar: TradingCalendar | None
) -> Integers:
    """Return the times by which rows are stored, nanoseconds UTC: a row that means a date has its midnight UTC.

    The date is the trading date; of longer bars the first one of the period, such as a Monday. rows: with `timestamp` and the dataset's
    `series_columns`. calendar: that of the instrument; None for UTC dates.
    """
    times: Integers = rows.column("timestamp").to_numpy().copy()
    if dataset is CORPORATE_ACTIONS:
        return date_of_row(times, calendar) * DAY_NS
    if dataset is BARS:
        for resolution in resolutions_in(rows):
            if resolution.is_period:
                of_one = np.asarray(pc.equal(rows.column("resolution"), resolution.value))
                times[of_one] = _first_dates(times[of_one], resolution, calendar) * DAY_NS
    return times


def _first_dates(times: Integers, resolution: Resolution, calendar: TradingCalendar | None) -> Integers:
    """Return the date, or the first date of the week or month, that bars of a resolution mean.

    A bar of a day that names an instant of a closed date means that date, not the next one.
    """
    dates = date_of_row(times, calendar)
    if resolution == Resolution.DAY:
        if calendar is not None:
            is_instant = times % DAY_NS != 0
            closed = calendar.closed_dates_of(times[is_instant])
            dates[is_instant] = np.where(closed == NOT_CLOSED, dates[is_instant], closed)
        return dates
    numbers = resolution.number_of_day(dates if calendar is None else _open_dates(dates, calendar))
    return resolution.first_day(numbers)


def _open_dates(dates: Integers, calendar: TradingCalendar) -> Integers:
    """Return each date if it is a trading date, else the next one, as readers of stored bars do."""
    trading = calendar.on_dates(int(dates.min()), int(dates.max()) + _CLOSED_DAYS).date
    index = trading.searchsorted(dates)
    is_known = index < len(trading)
    return np.where(is_known, trading[np.where(is_known, index, 0)], dates) if len(trading) else dates
