"""Finds the window of the first or last N rows, and counts rows. Of segments it reads only the columns needed."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Protocol, TypeVar

import numpy as np

from store.arrays import Integers
from store.csv.derived.manifest import Segment
from store.csv.derived.segments import MappedSegment
from store.csv.files.commit_records import PartKind, StoredPart, of_kind
from store.csv.reading.log_reader import LogReader, ReadState, SortedRows, standing
from store.exceptions import DataDamaged
from store.protocol import Action, Window
from store.rows.stored_rows import action_name
from store.timestamps import DAY_NS
from store.window_list import WindowList

T = TypeVar("T")


class _Direction(Protocol):
    """Whether rows are counted from the start or from the end of a window."""

    def nearest(self, items: Sequence[T]) -> T:
        """Return the nearest item. items: ascending."""

    def stretch(self, window: Window, extents: Sequence[Window]) -> Window:
        """Return the nearest part of a window: up to the next start or end of an extent."""

    def nearest_rows(self, window: Window, times: Integers, count: int) -> Window:
        """Return the part of a window with the nearest `count` times, and all times equal to the last one.

        times: ascending. If the window has fewer times, it is returned entirely.
        """

    def behind(self, window: Window, part: Window) -> Window:
        """Return the rest of a window. part: its nearest part, which is left out."""


class _Forwards:
    """Counts rows from the start of a window."""

    def nearest(self, items: Sequence[T]) -> T:
        return items[0]

    def stretch(self, window: Window, extents: Sequence[Window]) -> Window:
        start = window.start_ns
        edges = [each.end_ns if each.start_ns <= start else each.start_ns for each in extents]
        return Window(start, min(window.end_ns, *edges))

    def nearest_rows(self, window: Window, times: Integers, count: int) -> Window:
        last = int(times.searchsorted(window.start_ns)) + count - 1
        end = int(times[last]) + 1 if last < len(times) else window.end_ns
        return Window(window.start_ns, min(window.end_ns, end))

    def behind(self, window: Window, part: Window) -> Window:
        return Window(part.end_ns, window.end_ns)


class _Backwards:
    """Counts rows from the end of a window."""

    def nearest(self, items: Sequence[T]) -> T:
        return items[-1]

    def stretch(self, window: Window, extents: Sequence[Window]) -> Window:
        end = window.end_ns
        edges = [each.start_ns if each.end_ns >= end else each.end_ns for each in extents]
        return Window(max(window.start_ns, *edges), end)

    def nearest_rows(self, window: Window, times: Integers, count: int) -> Window:
        last = int(times.searchsorted(window.end_ns)) - count
        start = int(times[last]) if last >= 0 else window.start_ns
        return Window(max(window.start_ns, start), window.end_ns)

    def behind(self, window: Window, part: Window) -> Window:
        return Window(window.start_ns, part.start_ns)


class RowFinder:
    """Finds windows of rows in one log, and counts its rows."""

    def __init__(self, reader: LogReader) -> None:
        self._reader = reader

    def take_window(self, window: Window, rows: int, state: ReadState, *, from_end: bool) -> Window:
        """See `Snapshot.take_window`.

        The cost grows with `rows` and with the number of cancelled and replaced rows near them.
        """
        direction: _Direction = _Backwards() if from_end else _Forwards()
        dates, chunk, remaining = _tail_dates(window, state), rows, window
        times: Integers = np.empty(0, np.int64)
        while (nearest := self._nearest(remaining, dates, state, direction)) is not None:
            stretch, sources = nearest
            part = stretch
            for source in sources:
                part = direction.nearest_rows(part, source.times, chunk)
            times = np.concatenate([times, *self._standing_times(part, sources, state)])
            if len(times) >= rows:
                is_sorted = bool((times[1:] >= times[:-1]).all())
                return direction.nearest_rows(window, times if is_sorted else np.sort(times), rows)
            chunk = chunk if part == stretch else 2 * chunk
            remaining = direction.behind(remaining, part)
        return window

    def bound(self, window: Window, state: ReadState) -> int:
        """See `Snapshot.row_bound`."""
        count = sum(_count_of_segment(each, window, state.commit) for each in state.segments.within(window))
        if not state.has_tail:
            return count
        parts = state.history.parts_in(window, state.commit, after=state.segments.head.number)
        for day, date_parts in groupby(of_kind(parts, PartKind.ROWS), key=lambda each: each.part.day):
            count += self._count_of_date(day, list(date_parts), window, state)
        # If the corrections are damaged, cancelled rows are counted, too: the result is only an upper bound.
        try:
            return count - len(np.unique(self._cancelled(window, state)))
        except DataDamaged:
            return count

    def _nearest(
        self, remaining: Window, dates: Integers, state: ReadState, direction: _Direction
    ) -> tuple[Window, list[SortedRows]] | None:
        """Return the nearest part of a window in which all rows come from the same sources, and these sources.

        None if no rows are left.
        """
        if remaining.start_ns >= remaining.end_ns:
            return None
        segments = state.segments.within(remaining)
        dates = dates[
            slice(*dates.searchsorted((remaining.start_ns // DAY_NS, -(-remaining.end_ns // DAY_NS))))
        ]
        extents = [_extent(direction.nearest(segments).segment)] if len(segments) else []
        if len(dates):
            date = direction.nearest(dates.tolist())
            extents.append(Window(date * DAY_NS, (date + 1) * DAY_NS))
        if not extents:
            return None
        stretch = direction.stretch(remaining, extents)
        return stretch, list(self._reader.sources(WindowList.of(stretch), state))

    def _standing_times(
        self, window: Window, sources: Sequence[SortedRows], state: ReadState
    ) -> Iterator[Integers]:
        """Yield, for each source, the times of its rows in the window that are neither cancelled nor replaced."""
        cancelled = self._cancelled(window, state)
        for source in sources:
            start, end = source.times.searchsorted((window.start_ns, window.end_ns)).tolist()
            stands = standing(source, start, end, state.commit)
            if len(cancelled):
                stands &= ~np.isin(source.column("arrival", start, end), cancelled)
            times = source.times[start:end]
            yield times if stands.all() else times[stands]

    def _cancelled(self, window: Window, state: ReadState) -> Integers:
        """Return the arrival numbers of rows in the window that commits after the segments have cancelled."""
        corrections = self._reader.corrections(WindowList.of(window), state) if state.has_tail else None
        if corrections is None:
            return np.empty(0, np.int64)
        is_cancel = (
            corrections.column(action_name(self._reader.dataset.schema.names)).to_numpy() == Action.CANCEL
        )
        arrivals: Integers = corrections.column("arrival").to_numpy()[is_cancel]
        return arrivals

    def _count_of_date(self, day: int, parts: Sequence[StoredPart], window: Window, state: ReadState) -> int:
        """Return how many rows of one date's parts are in a window: the exact number or an upper bound."""
        row_count = sum(stored.part.rows for stored in parts)
        if all(_is_inside(stored.part.first_ns, stored.part.last_ns, window) for stored in parts):
            return row_count
        date_window = Window(max(window.start_ns, day * DAY_NS), min(window.end_ns, (day + 1) * DAY_NS))
        # If rows are damaged, return the number that the commits state: also an upper bound. Reading them will fail.
        try:
            tail = list(self._reader.tail(WindowList.of(date_window), state))
        except DataDamaged:
            return row_count
        return sum(_count(rows, date_window, state.commit) for rows in tail)


def _tail_dates(window: Window, state: ReadState) -> Integers:
    """Return the event dates in a window, ascending, that commits after the segments touch."""
    if not state.has_tail:
        return np.empty(0, np.int64)
    dates, newest = state.history.newest_by_date(window, state.commit)
    return dates[newest > state.segments.head.number]


def _extent(segment: Segment) -> Window:
    return Window(segment.first_ns, segment.last_ns + 1)


def _is_inside(first_ns: int, last_ns: int, window: Window) -> bool:
    return window.start_ns <= first_ns and last_ns < window.end_ns


def _count_of_segment(mapped: MappedSegment, window: Window, commit: int) -> int:
    segment = mapped.segment
    has_later = segment.newest > commit
    if _is_inside(segment.first_ns, segment.last_ns, window) and not has_later:
        return segment.standing
    all_stand = segment.standing == segment.rows and not has_later
    return _count(mapped, window, commit, all_stand=all_stand)


def _count(source: SortedRows, window: Window, commit: int, *, all_stand: bool = False) -> int:
    start, end = source.times.searchsorted((window.start_ns, window.end_ns)).tolist()
    if all_stand:
        return int(end - start)
    return int(np.count_nonzero(standing(source, start, end, commit)))
