"""What a symbol traded in the sessions of its trading dates: trades by half hours, and runs of empty minutes."""

from dataclasses import dataclass, fields

import numpy as np

from calendars.schedule import Hours
from calendars.trading_calendar import TradingCalendar
from store.arrays import Floats, Integers, Mask, indices_of_ranges
from store.bars.bars import Bars
from store.cached_property import cached_property
from store.protocol import ALL_TIME, Window
from store.timestamps import DAY_NS, MINUTE_NS

# Sessions are compared by half hours, counted from the opening of the regular session.
PART_NS = 30 * MINUTE_NS
# More than enough days to have any number of trading dates up to 120.
_DAYS_OF_120_DATES = 200


@dataclass(frozen=True, slots=True)
class DatedSessions:
    """Trading dates and their periods of trading.

    date_start_ns: when each date begins. The other columns have a row for each period, ascending and disjoint:
    pre-market, the regular session (in two periods if it has a break) and post-market. open_ns: the opening of the
    regular session. date_index: the index of the period's date.
    """

    date_start_ns: Integers
    start_ns: Integers
    end_ns: Integers
    open_ns: Integers
    date_index: Integers
    is_regular: Mask


@dataclass(frozen=True, slots=True)
class HalfHours:
    """The half hours of runs, ascending.

    first: the index of each run's first half hour. run_index: the run of each half hour. number: twice its number from the
    opening, which may be negative, and one more in regular sessions. So half hours after an early close, which are
    post-market, have other numbers than regular ones.
    """

    first: Integers
    run_index: Integers
    number: Integers
    start_ns: Integers
    end_ns: Integers

    @property
    def minutes(self) -> Integers:
        """The length of each part."""
        return (self.end_ns - self.start_ns) // MINUTE_NS


@dataclass(frozen=True)
class Runs:
    """Runs of minutes, each within one period of trading. open_ns, date_index, is_regular: of the period."""

    start_ns: Integers
    end_ns: Integers
    open_ns: Integers
    date_index: Integers
    is_regular: Mask

    def __len__(self) -> int:
        return len(self.start_ns)

    def __getitem__(self, rows: Integers | Mask) -> "Runs":
        return Runs(*(getattr(self, each.name)[rows] for each in fields(self)))

    @cached_property
    def minutes(self) -> Integers:
        """The length of each run."""
        return (self.end_ns - self.start_ns) // MINUTE_NS

    @cached_property
    def half_hours(self) -> HalfHours:
        """The runs, cut at the half hours from the opening."""
        number = (self.start_ns - self.open_ns) // PART_NS
        counts = (self.end_ns - 1 - self.open_ns) // PART_NS - number + 1
        first = np.cumsum(counts) - counts
        index = np.repeat(np.arange(len(self)), counts)
        half_hour = np.arange(len(index)) + (number - first)[index]
        lower = self.open_ns[index] + half_hour * PART_NS
        return HalfHours(
            first,
            index,
            2 * half_hour + self.is_regular[index],
            np.maximum(lower, self.start_ns[index]),
            np.minimum(lower + PART_NS, self.end_ns[index]),
        )

    def within(self, start_ns: int, end_ns: int) -> "Runs":
        """Return the parts of the runs in a window."""
        if not len(self) or (start_ns <= self.start_ns[0] and self.end_ns[-1] <= end_ns):
            return self
        starts, ends = np.maximum(self.start_ns, start_ns), np.minimum(self.end_ns, end_ns)
        return Runs(starts, ends, self.open_ns, self.date_index, self.is_regular)[starts < ends]

    def without(self, starts_ns: Integers, ends_ns: Integers) -> "Runs":
        """Return the parts of the runs outside of disjoint blocks, which are ascending."""
        starts, ends, index = uncovered(self.start_ns, self.end_ns, starts_ns, ends_ns)
        return Runs(starts, ends, self.open_ns[index], self.date_index[index], self.is_regular[index])


def blocks_of(points: Integers, length: int) -> tuple[Integers, Integers]:
    """Return the starts and ends of the blocks that intervals of one length make. points: their starts, ascending."""
    is_last = np.diff(points) > length
    edge = np.ones(min(len(points), 1), dtype=bool)
    return points[np.append(edge, is_last)], points[np.append(is_last, edge)] + length


def uncovered(
    starts: Integers, ends: Integers, block_starts: Integers, block_ends: Integers
) -> tuple[Integers, Integers, Integers]:
    """Return the parts of ranges outside of blocks: their starts, their ends, and the index of the range of each.

    Ranges and blocks are ascending; neither overlap among themselves.
    """
    if not len(starts) or not len(block_starts):
        return starts, ends, np.arange(len(starts))
    before = np.searchsorted(block_starts, starts, side="right") - 1
    is_free = (before < 0) | (block_ends[before] <= starts)
    inside = np.searchsorted(starts, block_ends, side="right") - 1
    ends_inside = (inside >= 0) & (block_ends < ends[inside])
    free_starts = np.sort(np.concatenate([starts[is_free], block_ends[ends_inside]]))
    free_starts = free_starts[
        np.append(np.ones(min(len(free_starts), 1), dtype=bool), np.diff(free_starts) > 0)
    ]
    index = np.searchsorted(starts, free_starts, side="right") - 1
    following = np.append(block_starts, np.iinfo(np.int64).max)[np.searchsorted(block_starts, free_starts)]
    free_ends = np.minimum(ends[index], following)
    is_part = free_starts < free_ends
    return free_starts[is_part], free_ends[is_part], index[is_part]


def sessions_around(window: Window, calendar: TradingCalendar | None, dates_before: int) -> DatedSessions:
    """Return the sessions of a window's trading dates, and of up to 120 dates before them.

    Without a calendar each UTC date is one regular session.
    """
    if calendar is None:
        first, last = window.start_ns // DAY_NS - dates_before, (window.end_ns - 1) // DAY_NS
        days = np.arange(first, last + 1) * DAY_NS
        return DatedSessions(
            days, days, days + DAY_NS, days, np.arange(len(days)), np.ones(len(days), dtype=bool)
        )
    schedule = calendar.around(window.start_ns - _DAYS_OF_120_DATES * DAY_NS, window.end_ns - 1)
    first, behind = np.searchsorted(schedule.end_ns, [window.start_ns, window.end_ns - 1], side="right")
    schedule = schedule[max(int(first) - dates_before, 0) : int(behind) + 1]
    regular, dates = schedule.segments(Hours.REGULAR), np.arange(len(schedule))
    starts = np.concatenate([schedule.pre_ns, regular.start_ns, schedule.close_ns])
    ends = np.concatenate([schedule.open_ns, regular.end_ns, schedule.post_ns])
    index = np.concatenate([dates, regular.date_index, dates])
    is_regular = np.repeat([False, True, False], [len(dates), len(regular.start_ns), len(dates)])
    order = np.argsort(starts, kind="stable")
    order = order[starts[order] < ends[order]]
    return DatedSessions(
        schedule.start_ns,
        starts[order],
        ends[order],
        schedule.open_ns[index[order]],
        index[order],
        is_regular[order],
    )


@dataclass(frozen=True)
class Activity:
    """What was traded in sessions. Tables have a row for each date and a column for each half hour.

    bars: of one length, the minutes in which there were trades. halts: the starts and ends of halts, which are no time
    of trading. until_ns: what comes later is not looked at.
    """

    sessions: DatedSessions
    bars: Bars
    length_ns: int
    halts: tuple[Integers, Integers]
    until_ns: int

    @cached_property
    def blocks(self) -> tuple[Integers, Integers]:
        """The starts and ends of the blocks that the bars make."""
        return blocks_of(self.bars.time_ns, self.length_ns)

    @cached_property
    def empty_runs(self) -> Runs:
        """The runs of minutes without a bar."""
        return self.open_runs.without(*self.blocks)

    @cached_property
    def has_bars(self) -> Mask:
        """Whether each date has a bar in its sessions."""
        has_bars: Mask = self._minutes(self.empty_runs) < self._minutes(self.open_runs)
        return has_bars

    @cached_property
    def is_whole(self) -> Mask:
        """Whether each date has a bar in its sessions, and no halt."""
        is_whole: Mask = self.has_bars & (self._minutes(self.open_runs) == self._minutes(self._periods))
        return is_whole

    @cached_property
    def longest(self) -> Integers:
        """The table of the minutes of the longest empty run that touches each half hour."""
        runs, (count, width) = self.empty_runs, self._shape
        table = np.zeros(count * width, dtype=np.int64)
        np.maximum.at(table, self._cells_of(runs), runs.minutes[runs.half_hours.run_index])
        return table.reshape(count, width)

    def column(self, number: Integers) -> Integers:
        """Return the tables' columns of half hours."""
        return number - self._first_number

    def rates(self, dates: Integers, columns: Integers) -> Floats:
        """Return the trades a minute in cells of the table; NaN where there is no session.

        A bar whose number of trades is unknown counts as one.
        """
        count, width = self._shape
        cells, of_parts = dates * width + columns, self._cells
        is_needed = np.zeros(count * width, dtype=bool)
        is_needed[cells] = True
        needed = np.flatnonzero(is_needed[of_parts])
        parts = self._parts
        trades = self._trades(parts.start_ns[needed], parts.end_ns[needed])
        trades = np.bincount(of_parts[needed], trades, count * width)[cells]
        minutes = np.bincount(of_parts[needed], parts.minutes[needed], count * width)[cells]
        rates: Floats = np.divide(trades, minutes, out=np.full(cells.shape, np.nan), where=minutes > 0)
        return rates

    def _trades(self, starts_ns: Integers, ends_ns: Integers) -> Integers:
        """Return the trades of windows."""
        trades = np.zeros(len(starts_ns), dtype=np.int64)
        first, behind = (self.bars.time_ns.searchsorted(each) for each in (starts_ns, ends_ns))
        has_bars = np.flatnonzero(first < behind)
        if len(has_bars):
            first, lengths = first[has_bars], (behind - first)[has_bars]
            of_bars = np.maximum(self.bars.trade_count[indices_of_ranges(first, first + lengths)], 1)
            trades[has_bars] = np.add.reduceat(of_bars, np.cumsum(lengths) - lengths)
        return trades

    @cached_property
    def _periods(self) -> Runs:
        sessions = self.sessions
        columns = (sessions.open_ns, sessions.date_index, sessions.is_regular)
        periods = Runs(sessions.start_ns, sessions.end_ns, *columns)
        return periods.within(ALL_TIME.start_ns, self.until_ns)

    @cached_property
    def open_runs(self) -> Runs:
        """The periods of trading, without halts."""
        return self._periods.without(*self.halts)

    @cached_property
    def _parts(self) -> HalfHours:
        return self.open_runs.half_hours

    @cached_property
    def _first_number(self) -> int:
        return int(self._parts.number.min(initial=0))

    @cached_property
    def _shape(self) -> tuple[int, int]:
        columns = int(self._parts.number.max(initial=0)) - self._first_number + 1
        return len(self.sessions.date_start_ns), columns

    @cached_property
    def _cells(self) -> Integers:
        """The cell of each part, counted through the table. Two parts may have one, such as those around a halt."""
        return self._cells_of(self.open_runs)

    def _cells_of(self, runs: Runs) -> Integers:
        parts = runs.half_hours
        return (runs.date_index * self._shape[1])[parts.run_index] + self.column(parts.number)

    def _minutes(self, runs: Runs) -> Floats:
        """Return the minutes of each date's runs."""
        return np.bincount(runs.date_index, runs.minutes, len(self.sessions.date_start_ns)).astype(np.float64)
