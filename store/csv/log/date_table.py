"""The event dates of a log in order, each with its newest commit and the bounds of its event times."""

from dataclasses import dataclass

import numpy as np

from store.arrays import Integers
from store.csv.parts.stored_part import Day
from store.protocol import Window
from store.timestamps import DAY_NS

_ROOM = 16


@dataclass(slots=True)
class _Rows:
    """Columns of which the first `count` entries are there."""

    dates: Integers
    newest: Integers
    first_ns: Integers
    last_ns: Integers
    count: int

    def copied(self, place: int) -> "_Rows":
        """A copy with room, an empty entry at `place` not counted."""

        def copied(column: Integers) -> Integers:
            copy = np.zeros(self.count + self.count // 8 + _ROOM, np.int64)
            copy[:place] = column[:place]
            copy[place + 1 : self.count + 1] = column[place : self.count]
            return copy

        columns = copied(self.dates), copied(self.newest), copied(self.first_ns), copied(self.last_ns)
        return _Rows(*columns, self.count)


class DateTable:
    """Begins as somebody's columns, which are copied before anything is added.

    One thread adds while others read: they may see the newest of a commit that is being added.
    """

    def __init__(self, dates: Integers, newest: Integers, first_ns: Integers, last_ns: Integers) -> None:
        self._rows = _Rows(dates, newest, first_ns, last_ns, len(dates))
        self._is_own = False

    def add(self, date: int, commit: int, first_ns: int, last_ns: int) -> None:
        """Take in a part of the commit that is newest."""
        rows, place = self._rows, self._place(date)
        if place == rows.count or rows.dates[place] != date:
            self._insert(place, date, commit, first_ns, last_ns)
            return
        if not self._is_own:
            rows = rows.copied(rows.count)  # all entries stay, with room behind them
        rows.newest[place] = commit
        rows.first_ns[place] = min(first_ns, int(rows.first_ns[place]))
        rows.last_ns[place] = max(last_ns, int(rows.last_ns[place]))
        self._rows, self._is_own = rows, True

    def day(self, date: int) -> Day | None:
        """A date's row."""
        rows, place = self._rows, self._place(date)
        if place == rows.count or rows.dates[place] != date:
            return None
        return Day(int(rows.newest[place]), int(rows.first_ns[place]), int(rows.last_ns[place]))

    def newest_in(self, window: Window) -> tuple[Integers, Integers]:
        """The window's dates and the newest commit of each: views that change when something is added."""
        rows = self._rows
        dates = rows.dates[: rows.count]
        first, last = dates_of(window)
        start, stop = dates.searchsorted(first), dates.searchsorted(last, "right")
        return dates[start:stop], rows.newest[start:stop]

    def _place(self, date: int) -> int:
        rows = self._rows
        if rows.count and rows.dates[rows.count - 1] == date:  # rows of today, nearly always
            return rows.count - 1
        return int(rows.dates[: rows.count].searchsorted(date))

    def _insert(self, place: int, date: int, commit: int, first_ns: int, last_ns: int) -> None:
        rows = self._rows
        if not self._is_own or place < rows.count or rows.count == len(rows.dates):
            rows = rows.copied(place)
        for column, value in (
            (rows.dates, date),
            (rows.newest, commit),
            (rows.first_ns, first_ns),
            (rows.last_ns, last_ns),
        ):
            column[place] = value
        rows.count += 1
        self._rows, self._is_own = rows, True


def dates_of(window: Window) -> tuple[int, int]:
    """The first and the last event date that a window touches, in days since the epoch."""
    return window.start_ns // DAY_NS, (window.end_ns - 1) // DAY_NS
