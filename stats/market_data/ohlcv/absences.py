"""Why a page of bars has none where it has none, by what its bars are made from."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np

from stats.caching.keys import DIFFERS_BY_PAGE
from stats.exceptions import RangeTooLarge
from stats.market_data.intervals.bar_grid import BarGrid
from stats.market_data.ohlcv.absence_reasons import Absences
from stats.market_data.ohlcv.corporate_actions import BarInputs, day_grid
from stats.market_data.ohlcv.unexplained_volume import Untold
from stats.market_data.plan import Asked, Range
from stats.market_data.query import maximum_range_ns
from stats.sessions.spans import Hours, trading_date_of
from store.datasets import BARS
from store.log_views.log_view import LogView, first_row
from store.log_views.stored_bars import date_of_stored
from store.log_views.trade_bars import BarMaker
from store.protocol import ALL_TIME, Window
from store.resolutions import Resolution
from store.timestamps import DAY_NS, parse_timestamp


@dataclass(frozen=True, slots=True)
class PagesOfAbsences:
    """The absences of a range, of whole intervals, of a query for these days (see `asked_days`)."""

    absences: Absences
    asked_for: Range
    days: tuple[int | None, int]

    def of_page(self, start_ns: int | None, end_ns: int | None) -> list[dict[str, str]]:
        """Why a page has no bar where it has none, by its first row's time, and that of the first row behind it.

        None for the range's own edges. Raises `RangeTooLarge`.
        """
        window = self._window(start_ns, end_ns)
        self._check_length(window)
        dates = range(self._first_day(start_ns, window), self._behind(end_ns, window))
        return self.absences.runs(window, dates)

    def _window(self, start_ns: int | None, end_ns: int | None) -> Window:
        grid = self.absences.grid
        whole = self.asked_for.since(self.absences.listed.start_ns)
        return Window(
            whole.start_ns if start_ns is None else grid.aligned(start_ns, start_ns + 1).start_ns,
            whole.end_ns if end_ns is None else grid.aligned(end_ns, end_ns + 1).start_ns,
        )

    def _check_length(self, window: Window) -> None:
        """A range that begins with its first row may be of any length, and hold as many intervals."""
        resolution = self.absences.grid.resolution
        is_too_long = window.end_ns - window.start_ns > maximum_range_ns(resolution)
        if self.asked_for.start_ns is None and is_too_long:
            raise RangeTooLarge(
                f"at {resolution.value} these rows lie too far apart to say why there are none between them:"
                " ask with a start, or without coverage"
            )

    def _first_day(self, start_ns: int | None, window: Window) -> int:
        """The first of a page's dates: what lies before its first row is told of by the page before."""
        date = self._date(window.start_ns if start_ns is None else start_ns)
        asked, _ = self.days
        return date if start_ns is not None or asked is None else min(date, asked)

    def _behind(self, end_ns: int | None, window: Window) -> int:
        """The date behind the last of a page's dates."""
        if end_ns is not None:
            return self._date(end_ns)
        return max(self._date(window.end_ns - 1), self.days[1])

    def _date(self, instant_ns: int) -> int:
        dates = trading_date_of(np.array([instant_ns]), self.absences.day_grid.cut_by)
        return int(dates[0])


def asked_days(asked: Asked) -> tuple[int | None, int]:
    """The first day of a query's range, None without a start, and that behind the last, in days since 1970.

    Ranges of other closed days have the same whole intervals, and other absences.
    """
    start_ns = asked.query.start_ns
    return None if start_ns is None else start_ns // DAY_NS, -(-asked.end_ns // DAY_NS)


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
    return days.aligned(time_ns, time_ns + 1).start_ns


@dataclass(frozen=True, slots=True)
class BarAbsences:
    """The intervals of a range without a bar.

    days: the first day of the query's range, None without a start, and the one behind its last, in days since
    1970. judged_until_ns: no interval that is told of ends later. settled_ns: intervals that end later are not over. expiry: an ISO date; None for what does not expire.
    """

    inputs: BarInputs
    grid: BarGrid
    range: Range
    days: Annotated[tuple[int | None, int], DIFFERS_BY_PAGE]
    judged_until_ns: Annotated[int, DIFFERS_BY_PAGE]
    settled_ns: Annotated[int, DIFFERS_BY_PAGE]
    expiry: str | None

    def of_page(self, start_ns: int | None, end_ns: int | None) -> list[dict[str, str]]:
        """See `AbsencesOfPage`. Raises `RangeTooLarge`."""
        days, logs = day_grid(self.grid), (self.inputs.trades, self.inputs.stored)
        absences = Absences(
            grid=self.grid,
            maker=self.inputs.printed(self.grid),
            days=self.inputs.printed(days),
            day_grid=days,
            untold=self._untold(),
            listed=listed(self.expiry, days, logs),
            settled_ns=self.settled_ns,
        )
        return PagesOfAbsences(absences, self.range, self.days).of_page(start_ns, end_ns)

    def _untold(self) -> Untold:
        of_all_hours = replace(self.grid, hours=Hours.ALL)

        def maker_of(resolution: Resolution) -> BarMaker:
            return self.inputs.printed(replace(of_all_hours, resolution=resolution))

        return Untold(self.inputs.stored, self.grid, maker_of, day_grid(of_all_hours))
