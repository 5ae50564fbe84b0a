"""The absences of a range, page by page: together those of the whole range, and none of them twice."""

from dataclasses import dataclass

import numpy as np

from stats.exceptions import RangeTooLarge
from stats.market_data.absence.reasons import Absences
from stats.market_data.pinning.plan import Asked, Range
from stats.parameters.maximum_ranges import maximum_range_ns
from stats.sessions.spans import trading_date_of
from store.protocol import Window
from store.timestamps import DAY_NS


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
            whole.start_ns if start_ns is None else grid.whole(start_ns, start_ns + 1).start_ns,
            whole.end_ns if end_ns is None else grid.whole(end_ns, end_ns + 1).start_ns,
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
