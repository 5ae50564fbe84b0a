"""Why intervals have no bar: typed absence, in runs of intervals with the same reason.

`closed`: the exchange does not trade. `not_yet`: not over, or still to come. `unlisted`: before the date of
the first row that is stored, or after the instrument's expiry. `no_trades`: it was open, and other intervals
of its day have bars. `gap`: it was open, and nothing is stored of its whole day, or a stored bar that is
coarser has volume that no finer bars account for. `halted` and `pending` are for halts and backfills that
somebody tells of.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stats.market_data.intervals.bar_grid import BarGrid
from stats.market_data.ohlcv.unexplained_volume import UnexplainedVolume
from stats.sessions.calendars import TradingCalendar
from stats.sessions.schedule import Schedule
from stats.sessions.spans import Hours, expected_intervals, trading_date_of
from store.arrays import Integers, Mask
from store.log_views.trade_bars import BarMaker
from store.protocol import Window
from store.resolutions import Resolution
from store.timestamps import DAY_NS, SECOND_NS, format_timestamp

# No exchange was closed for as many days in a row since 1970; before, midnights UTC are good enough.
_REACH = 400


def closed_dates(days: Integers, calendar: TradingCalendar, hours: Hours) -> tuple[Integers, Integers]:
    """Starts and ends, nanoseconds UTC, of closed dates, given ascending in days since 1970.

    Consecutive closed dates last from the end of the trading date before them to the start of the next one.
    Between two of them the edge is the hour, in the exchange's zone, of the next trading date's label:
    midnight, for futures the evening.
    """
    if not len(days):
        return days, days
    schedule = calendar.on_dates(int(days[0]) - _REACH, int(days[-1]) + _REACH)
    edges = [_edge(int(day), schedule, calendar, hours) for day in np.union1d(days, days + 1)]
    place = np.searchsorted(np.union1d(days, days + 1), days)
    found = np.array(edges, dtype=np.int64)
    return found[place], found[place + 1]


def _edge(day: int, schedule: Schedule, calendar: TradingCalendar, hours: Hours) -> int:
    """The start of a date that is closed or follows a closed one."""
    place = int(np.searchsorted(schedule.date, day))
    if not 0 < place < len(schedule):
        return day * DAY_NS
    is_all = hours is Hours.ALL
    begins = int((schedule.label_ns if is_all else schedule.opens_ns(hours))[place])
    if schedule.date[place] == day:
        return begins
    ended = int((schedule.end_ns if is_all else schedule.closes_ns(hours))[place - 1])
    if schedule.date[place - 1] == day - 1:
        return ended
    before = _days_before(int(schedule.label_ns[place]), int(schedule.date[place]) - day, calendar)
    return min(max(before, ended), begins)


def _days_before(instant_ns: int, days: int, calendar: TradingCalendar) -> int:
    """The same wall-clock time of the exchange's zone some days before; labels are whole seconds."""
    then = dt.datetime.fromtimestamp(instant_ns // SECOND_NS, calendar.zone) - dt.timedelta(days=days)
    return int(then.timestamp()) * SECOND_NS


REASONS = ("closed", "not_yet", "no_trades", "halted", "gap", "pending", "unlisted")

Words = npt.NDArray[np.str_]
_NONE = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class _Intervals:
    """Equally long columns of intervals.

    label, start, end, trading date, and whether the exchange was open.
    """

    label: Integers
    start_ns: Integers
    end_ns: Integers
    date: Integers
    is_open: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Absences:
    """Everything that decides why an interval of a grid has no bar.

    maker, days: make the bars of the grid and of its days. unexplained: volume that only coarser bars have.
    listed: the window in which the instrument may have rows. final_until_ns: intervals that end later are not
    over.
    """

    grid: BarGrid
    maker: BarMaker
    days: BarMaker
    day_grid: BarGrid
    unexplained: UnexplainedVolume
    listed: Window
    final_until_ns: int

    def runs(self, window: Window, dates: range) -> list[dict[str, str]]:
        """The runs of intervals without a bar, ascending, in an aligned window: `start`, `end`, `reason`.

        dates: days since 1970; for daily bars, closed dates among them are listed, too.
        """
        bars, traded = self._bars_and_dates(window)
        intervals = self._intervals(window, dates)
        missing = np.flatnonzero(~np.isin(intervals.label, bars))
        is_unexplained = self._is_unexplained(window, intervals)
        return list(_runs(intervals, missing, self._reasons(intervals, traded, is_unexplained)[missing]))

    def _bars_and_dates(self, window: Window) -> tuple[Integers, Integers]:
        """The times of the window's bars, and the dates of its daily bars."""
        if window.start_ns >= window.end_ns:
            return _NONE, _NONE
        whole = self.day_grid.aligned(window.start_ns, window.end_ns)
        _, dates = self.day_grid.ends_and_dates(self.days.bars(whole).time_ns, whole)
        return self.maker.bars(window).time_ns, dates

    def _is_unexplained(self, window: Window, intervals: _Intervals) -> Mask:
        if self.grid.resolution.is_period:
            return np.zeros(len(intervals.label), dtype=bool)
        return self.unexplained.touched(window, intervals.start_ns, intervals.date)

    def _intervals(self, window: Window, dates: range) -> _Intervals:
        if self.grid.resolution.is_period:
            return self._periods(window, dates)
        length = self.grid.resolution.length_ns
        starts = np.arange(window.start_ns, window.end_ns, length)
        return _Intervals(
            starts,
            starts,
            starts + length,
            trading_date_of(starts, self.day_grid.cut_by),
            self._is_open(starts, length, window),
        )

    def _is_open(self, starts: Integers, length: int, window: Window) -> npt.NDArray[np.bool_]:
        return np.isin(starts, expected_intervals(length, window, self.grid.calendar, self.grid.hours))

    def _periods(self, window: Window, dates: range) -> _Intervals:
        """The periods of the window; for days also the closed ones."""
        found = self._open_periods(window)
        if self.grid.resolution is not Resolution.DAY:
            return found
        if self.grid.cut_by is None:
            return self._utc_days(found, window)
        if not dates:
            return found
        trading = self.grid.cut_by.on_dates(dates[0], dates[-1]).date
        closed = np.setdiff1d(np.array(dates), trading)
        return _with_closed(found, closed, *closed_dates(closed, self.grid.cut_by, self.grid.hours))

    def _open_periods(self, window: Window) -> _Intervals:
        if window.start_ns >= window.end_ns:
            return _Intervals(_NONE, _NONE, _NONE, _NONE, _NONE.astype(bool))
        periods = self.grid.periods(window)
        is_open = np.ones(len(periods.labels), dtype=bool)
        return _Intervals(periods.labels, periods.labels, periods.ends_ns, periods.dates, is_open)

    def _utc_days(self, found: _Intervals, window: Window) -> _Intervals:
        """All UTC days of the window. Days with a session end when their last session does."""
        starts = np.arange(window.start_ns, window.end_ns, DAY_NS)
        ends = starts + DAY_NS
        ends[np.searchsorted(starts, found.label)] = found.end_ns
        return _Intervals(starts, starts, ends, starts // DAY_NS, self._is_open(starts, DAY_NS, window))

    def _reasons(self, intervals: _Intervals, traded: Integers, is_unexplained: Mask) -> Words:
        starts, ends = intervals.start_ns, intervals.end_ns
        return np.select(
            [
                ends > self.final_until_ns,
                ~intervals.is_open,
                (ends <= self.listed.start_ns) | (starts >= self.listed.end_ns),
                np.isin(intervals.date, traded) & ~is_unexplained,
            ],
            ["not_yet", "closed", "unlisted", "no_trades"],
            "gap",
        )


def _with_closed(found: _Intervals, closed: Integers, starts: Integers, ends: Integers) -> _Intervals:
    """The intervals, with closed dates inserted."""
    no_label = np.full(len(closed), -1, dtype=np.int64)
    columns = (
        np.concatenate(pair)
        for pair in (
            (found.label, no_label),
            (found.start_ns, starts),
            (found.end_ns, ends),
            (found.date, closed),
            (found.is_open, np.zeros(len(closed), dtype=bool)),
        )
    )
    every = _Intervals(*columns)
    order = np.argsort(every.date)
    return _Intervals(*(getattr(every, name)[order] for name in _Intervals.__slots__))


def _runs(intervals: _Intervals, missing: Integers, reasons: Words) -> Iterator[dict[str, str]]:
    """Runs of consecutive intervals with one reason.

    missing: indices of the intervals without a bar; reasons: one for each of these.
    """
    if not len(missing):
        return
    is_first = np.append(True, (np.diff(missing) > 1) | (reasons[1:] != reasons[:-1]))
    first = np.flatnonzero(is_first)
    last = np.append(first[1:], len(missing)) - 1
    for start, end in zip(first.tolist(), last.tolist(), strict=True):
        yield {
            "start": format_timestamp(int(intervals.start_ns[missing[start]])),
            "end": format_timestamp(int(intervals.end_ns[missing[end]])),
            "reason": str(reasons[start]),
        }
