"""The absences of a page of bars: runs of intervals without a bar, each with its reason."""

import math
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

import numpy as np

from calendars.schedule import Anchor, Hours
from calendars.trading_calendar import trading_date_of
from ops.needs import Need
from stats.caching.keys import DIFFERS_BY_PAGE
from stats.exceptions import RangeTooLarge
from stats.market_data.documents import AbsenceDocument
from stats.market_data.ohlcv.absence_reasons import AbsenceFinder
from stats.market_data.ohlcv.bar_rows import BarInputs
from stats.market_data.ohlcv.found_gaps import Gap
from stats.market_data.ohlcv.gap_evidence import GapEvidence
from stats.market_data.ohlcv.halts import Halts
from stats.market_data.ohlcv.periods import Periods
from stats.market_data.ohlcv.unexplained_volume import UnexplainedVolume
from stats.market_data.plan import NO_START_NS, SymbolQuery, since
from stats.market_data.query import maximum_range_ns
from store.arrays import Integers
from store.datasets import BARS
from store.instruments import EVIDENCE
from store.log_views.bar_grid import BarGrid
from store.log_views.log_view import LogView, first_row
from store.log_views.stored_resolutions import stored_resolutions
from store.protocol import ALL_TIME, Window
from store.resolutions import Resolution
from store.timestamps import DAY_NS, MINUTE_NS, parse_timestamp

PENDING_WINDOWS: Need[Callable[[str], tuple[Window, ...] | None]] = Need(
    "stats.market_data.ohlcv.absences.PENDING_WINDOWS"
)
"""Returns the ranges for which backfills of a symbol are queued or running; None if there are never any."""


@dataclass(frozen=True, slots=True)
class BarAbsences:
    """Finds the intervals of a range that have no bar, and their reasons.

    days: see `queried_days`. end_ns: no absence ends later. over_until_ns: an interval that ends later is
    `not_yet`. expiry: an ISO date; None if the instrument does not expire. statuses: the log of `trading_status`.
    rule: see `GAP_RULES`. pending: the ranges for which backfills are queued.
    """

    inputs: BarInputs
    grid: BarGrid
    range: Window
    days: Annotated[tuple[int | None, int], DIFFERS_BY_PAGE]
    end_ns: Annotated[int, DIFFERS_BY_PAGE]
    over_until_ns: Annotated[int, DIFFERS_BY_PAGE]
    expiry: str | None
    statuses: LogView
    rule: str
    pending: tuple[Window, ...] = ()
    name: ClassVar = "absences"

    def of_page(self, _times_ns: Integers, start_ns: int | None, end_ns: int | None) -> list[AbsenceDocument]:
        """Return the absences of a page. All pages together list each absence of the range once.

        Raises `RangeTooLarge`.
        """
        absences = self._absences()
        window = self._window(absences.listing_window.start_ns, start_ns, end_ns)
        self._check_length(window)
        dates = range(self._first_day(start_ns, window), self._end_day(end_ns, window))
        return absences.runs(window, dates)

    def gaps(self, reasons: Collection[str], *, is_bounded: bool) -> list[Gap]:
        """Return the runs of expected intervals of the range that have no bar for one of the reasons.

        is_bounded: whether to raise `RangeTooLarge` for a range that is too long for one answer.
        """
        absences = self._absences()
        window = self._window(absences.listing_window.start_ns, None, None)
        if MINUTE_NS % self.grid.resolution.length_ns == 0:
            # Sessions have whole minutes, so these bars of all hours are the same within the hours, and read faster.
            all_hours = self.inputs.unadjusted(replace(self.grid, hours=Hours.ALL))
            absences = replace(absences, bar_maker=all_hours)
        if is_bounded:
            _check_gaps_range(window, self.grid.resolution)
        return absences.gaps(window, reasons)

    def evidence(self) -> GapEvidence:
        """Return the judge of runs of empty minutes."""
        days, halts = self.grid.days(), Halts(self.statuses, self.grid.calendar)
        listing_window = _listing_window(self.expiry, days, (self.inputs.trades, self.inputs.stored_bars))
        return self._evidence(days, listing_window, halts)

    def _absences(self) -> AbsenceFinder:
        days, logs = self.grid.days(), (self.inputs.trades, self.inputs.stored_bars)
        listing_window = _listing_window(self.expiry, days, logs)
        halts = Halts(self.statuses, self.grid.calendar)
        return AbsenceFinder(
            grid=self.grid,
            bar_maker=self.inputs.unadjusted(self.grid),
            daily_bar_maker=self.inputs.unadjusted(days),
            day_grid=days,
            unexplained_volume=self._unexplained_volume(),
            listing_window=listing_window,
            over_until_ns=self.over_until_ns,
            halts=halts,
            evidence=self._evidence(days, listing_window, halts) if self.rule == EVIDENCE else None,
            filled=Periods.of(self._answered()),
            pending=Periods.of(self.pending),
        )

    def _answered(self) -> Iterator[Window]:
        """Yield where a source has given all trades, or all bars of which the grid's bars can be made, that it has."""
        yield from (fill.window for _, fill in self.inputs.trades.snapshot.fills(ALL_TIME))
        for _, fill in self.inputs.stored_bars.snapshot.fills(ALL_TIME):
            # A fill of bars says which were asked for: `bars 1m`.
            with suppress(ValueError):
                if self.grid.resolution.is_made_of(
                    Resolution.of_bars(fill.request.removeprefix(f"{BARS.name} "))
                ):
                    yield fill.window

    def _evidence(self, days: BarGrid, listing_window: Window, halts: Halts) -> GapEvidence:
        trades, stored_bars = self.inputs.trades, self.inputs.stored_bars
        minutes = replace(
            self.grid, resolution=self._judged_resolution(), hours=Hours.ALL, anchor=Anchor.CLOCK
        )
        return GapEvidence(
            calendar=days.period_calendar,
            bar_maker=self.inputs.unadjusted(minutes),
            bar_grid=minutes,
            trades=trades,
            complete_until_ns=max(
                log.snapshot.completeness().complete_until_ns for log in (trades, stored_bars)
            ),
            listed_from_ns=listing_window.start_ns,
            until_ns=self.over_until_ns,
            only_regular=self.grid.hours is Hours.REGULAR,
            halts=halts,
        )

    def _judged_resolution(self) -> Resolution:
        """Return the resolution whose empty bars are judged: minutes or, without trades, whole minutes of the finest that is stored."""
        stored_bars = self.inputs.stored_bars
        if stored_bars.is_empty or not self.inputs.trades.is_empty:
            return Resolution.MINUTE
        stored = [each for each in stored_resolutions(stored_bars) if not each.is_period]
        return Resolution.of_length(math.lcm(MINUTE_NS, *(each.length_ns for each in stored[:1])))

    def _unexplained_volume(self) -> UnexplainedVolume:
        all_hours_grid = replace(self.grid, hours=Hours.ALL)
        return UnexplainedVolume(
            self.inputs.stored_bars,
            self.grid,
            maker_of=lambda resolution: self.inputs.unadjusted(all_hours_grid.with_resolution(resolution)),
            day_grid=all_hours_grid.days(),
        )

    def _window(self, first_ns: int, start_ns: int | None, end_ns: int | None) -> Window:
        aligned = since(self.range, first_ns)
        return Window(
            aligned.start_ns if start_ns is None else self.grid.interval(start_ns).start_ns,
            aligned.end_ns if end_ns is None else self.grid.interval(end_ns).start_ns,
        )

    def _check_length(self, window: Window) -> None:
        """Raise `RangeTooLarge` if a range without a start is too long to list its intervals."""
        resolution = self.grid.resolution
        if self.range.start_ns == NO_START_NS and window.end_ns - window.start_ns > maximum_range_ns(
            resolution
        ):
            raise RangeTooLarge(
                f"at {resolution.value} these rows lie too far apart to list the absences between them:"
                " ask with a start, or without coverage"
            )

    def _first_day(self, start_ns: int | None, window: Window) -> int:
        """Return the first date of a page. Absences before the page's first row belong to the previous page."""
        date = self._date(window.start_ns if start_ns is None else start_ns)
        first_day, _ = self.days
        return date if start_ns is not None or first_day is None else min(date, first_day)

    def _end_day(self, end_ns: int | None, window: Window) -> int:
        """Return the date after the last date of a page."""
        if end_ns is not None:
            return self._date(end_ns)
        return max(self._date(window.end_ns - 1), self.days[1])

    def _date(self, instant_ns: int) -> int:
        dates = trading_date_of(np.array([instant_ns]), self.grid.days().period_calendar)
        return int(dates[0])


# At a minute and above. Below, gaps have the maximum range of pages.
MAXIMUM_GAPS_RANGE_NS = 366 * DAY_NS


def _check_gaps_range(window: Window, resolution: Resolution) -> None:
    """Raise `RangeTooLarge` if a range, in whole intervals, is too long to list its gaps in one answer."""
    longest_ns = maximum_range_ns(resolution)
    if resolution >= Resolution.MINUTE:
        longest_ns = max(longest_ns, MAXIMUM_GAPS_RANGE_NS)
    # Both ends of what was asked for were rounded outwards.
    if window.end_ns - window.start_ns >= longest_ns + 2 * resolution.length_ns:
        raise RangeTooLarge(
            f"at {resolution.value} gaps are listed of at most {longest_ns // DAY_NS:,} d: ask for a shorter range"
        )


def queried_days(symbol_query: SymbolQuery) -> tuple[int | None, int]:
    """Return the first day of a query's range (None without a start) and the day after its last, as days since 1970.

    The days are needed because closed days at the edges of a range have no intervals, but are listed as absences.
    """
    start_ns = symbol_query.query.start_ns
    return None if start_ns is None else start_ns // DAY_NS, -(-symbol_query.end_ns // DAY_NS)


def _listing_window(expiry: str | None, days: BarGrid, logs: Iterable[LogView]) -> Window:
    """Return the window in which an instrument may have rows: from the date of its first row to its expiry.

    Without rows it starts at `ALL_TIME.end_ns`. expiry: an ISO date, included in the window; None for no end.
    days: the grid of the instrument's dates.
    """
    starts = [start for log in logs if (start := _first_date_ns(log, days)) is not None]
    start_ns = min(starts, default=ALL_TIME.end_ns)
    if expiry is None:
        return Window(start_ns, ALL_TIME.end_ns)
    return Window(start_ns, days.date_start(parse_timestamp(expiry) + DAY_NS))


def _first_date_ns(log: LogView, days: BarGrid) -> int | None:
    """Return the start of the date of a log's first row; None if the log has no rows."""
    if (dates := log.snapshot.extent(Window(ALL_TIME.start_ns, log.snapshot.expired.before_ns))) is not None:
        minutes = log.snapshot.times_of_minutes(Window(dates[0] * DAY_NS, (dates[0] + 1) * DAY_NS))
        return days.interval(int(minutes[0])).start_ns if len(minutes) else dates[0] * DAY_NS
    first = first_row(log)
    if first is None:
        return None
    time_ns = first.column("timestamp")[0].as_py()
    if log.dataset is BARS and Resolution.parse(first.column("resolution")[0].as_py()).is_period:
        return days.date_start(int(days.dates_of_rows(np.array([time_ns]))[0]) * DAY_NS)
    return days.interval(time_ns).start_ns
