"""Rows that mean a whole date: bars of a day, week or month, and corporate actions. Each date has one time.

Senders name a date by different instants: midnight UTC, midnight in New York, the session's open. A row's identity
contains its time, so all of them are stored at the date's midnight UTC.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from calendars.trading_calendar import NOT_CLOSED, TradingCalendar, date_of_row
from store import lazy_pyarrow as pa
from store.arrays import Integers, Mask
from store.datasets import BARS, CORPORATE_ACTIONS
from store.declarations import Dataset
from store.lazy_imports import compute as pc
from store.log_views.stored_bars import resolutions_in
from store.protocol import ALL_TIME, Window
from store.resolutions import Resolution
from store.timestamps import DAY_NS

DATED = (BARS, CORPORATE_ACTIONS)
# A closed date belongs to the next trading date, so an instant's date, or a month's first, may be days away.
_CLOSED_DAYS, _MONTH_DAYS = 14, 31
_READ_DAYS = 62
# A series, by the dataset's `series_columns`, and a date's midnight UTC.
_Date: TypeAlias = tuple[object, ...]


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


def stored_times(
    dataset: Dataset,
    rows: pa.RecordBatch | pa.Table,
    stored: pa.Table,
    calendar: TradingCalendar | None,
) -> Integers:
    """Like `dated_times`, but a row whose date is stored at other times, by an earlier version, has one of those.

    It is the row's own time if that is stored, else midnight if that is, else the first. stored: the log's rows in
    `dates_windows` that mean a date.
    """
    times = dated_times(dataset, rows, calendar)
    midnights = dated_times(dataset, stored, calendar)
    if (midnights == stored.column("timestamp").to_numpy()).all():
        return times
    known = _times_of_dates(dataset, stored, midnights)
    own = rows.column("timestamp").to_pylist()
    for index, date in enumerate(_dates(dataset, rows, times.copy())):
        found = known.get(date, ())
        if own[index] in found:
            times[index] = own[index]
        elif found and times[index] not in found:
            times[index] = found[0]
    return times


class RepeatedDate(NamedTuple):
    """A date that is stored at several times. series: of `series_columns`. date_ns: its midnight UTC."""

    series: tuple[object, ...]
    date_ns: Any
    times_ns: list[int]


def repeated_dates(
    dataset: Dataset, stored: pa.Table, calendar: TradingCalendar | None
) -> Iterator[RepeatedDate]:
    """Yield the dates that an earlier version stored at several times."""
    dated = stored.filter(pa.array(is_dated(dataset, stored)))
    known = _times_of_dates(dataset, dated, dated_times(dataset, dated, calendar))
    for (*series, midnight_ns), times in sorted(known.items(), key=str):
        if len(set(times)) > 1:
            yield RepeatedDate(tuple(series), midnight_ns, sorted(set(times)))


def dates_windows(times: Integers) -> Iterator[Window]:
    """Yield the windows of all stored rows that may mean the dates of some rows, in order.

    They do not overlap, and each is of at most _READ_DAYS: a log may have many more rows that mean no date. times: as of
    `dated_times`, of rows that mean a date.
    """
    before_ns, after_ns = _CLOSED_DAYS * DAY_NS, (_MONTH_DAYS + 2) * DAY_NS
    known = np.unique(times)
    for run in np.split(known, np.flatnonzero(np.diff(known) > before_ns + after_ns) + 1):
        end_ns = int(run[-1]) + after_ns
        for start_ns in range(int(run[0]) - before_ns, end_ns, _READ_DAYS * DAY_NS):
            yield Window(start_ns, min(start_ns + _READ_DAYS * DAY_NS, end_ns)).within(ALL_TIME)


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


def _times_of_dates(dataset: Dataset, stored: pa.Table, midnights: Integers) -> dict[_Date, list[int]]:
    """Return the stored times of each date. midnights: as of `dated_times`."""
    known: dict[_Date, list[int]] = defaultdict(list)
    for date, time_ns in zip(
        _dates(dataset, stored, midnights), stored.column("timestamp").to_pylist(), strict=True
    ):
        known[date].append(time_ns)
    return known


def _dates(dataset: Dataset, rows: pa.RecordBatch | pa.Table, midnights: Integers) -> Iterator[_Date]:
    series = (rows.column(name).to_pylist() for name in dataset.series_columns)
    return zip(*series, midnights.tolist(), strict=True)
