"""Reads a log's aggregates: from rollups where no later commit has changed them, and otherwise from rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from store.arrays import Integers
from store.bar_policies import BarPolicy
from store.bars.aggregates import Aggregates, merge
from store.bars.session_bars import aggregate_rows
from store.csv.derived.segment_files import PRINT_COLUMNS
from store.csv.reading.log_reader import LogReader, ReadState, SortedRows
from store.timestamps import DAY_NS
from store.window_list import WindowList, level_for


class AggregateReader:
    """Aggregates the rows that a `LogReader` reads."""

    def __init__(self, reader: LogReader) -> None:
        self._reader = reader

    def aggregates(
        self, windows: WindowList, interval_ns: int, policy: BarPolicy, state: ReadState
    ) -> Aggregates:
        """See `Snapshot.aggregates`."""
        level_ns = level_for(interval_ns) or interval_ns
        starts = self._changed(windows, level_ns, state)
        if policy.is_session:
            starts = np.union1d(starts, _divided_days(windows, state))
        again = WindowList(starts, starts + level_ns)
        # The days of sessions that have newer rows are made again.
        sources = (
            state.segments.within(windows.bounds)
            if policy.is_session
            else self._reader.sources(windows, state)
        )
        parts = [
            _outside(part, again)
            for source in sources
            for part in _aggregates_of(source, windows, level_ns, policy, state.commit)
        ]
        for date_windows in again.by_date():
            rows = self._reader.stored(date_windows.bounds, state, PRINT_COLUMNS)
            made = aggregate_rows(rows, level_ns, policy, commit=state.commit)
            parts.append(made[date_windows.indices(made.time)])
        if level_ns == interval_ns and _is_ascending(parts):
            return Aggregates.joined(parts)
        return merge(parts, interval_ns)

    def _changed(self, windows: WindowList, length_ns: int, state: ReadState) -> Integers:
        """Return the starts of the intervals for which there are corrections that are in no segment."""
        corrections = self._reader.corrections(windows, state) if state.has_tail else None
        if corrections is None:
            return np.empty(0, np.int64)
        times = corrections.column("timestamp").to_numpy()
        starts: Integers = np.unique(times[windows.contains(times)] // length_ns * length_ns)
        return starts


def _divided_days(windows: WindowList, state: ReadState) -> Integers:
    """Return the starts of the days of the windows whose rows are not all in one segment."""
    edges = [
        (each.segment.first_ns // DAY_NS, each.segment.last_ns // DAY_NS)
        for each in state.segments.within(windows.bounds)
    ]
    shared = [last for (_, last), (first, _) in pairwise(edges) if first == last]
    dates, newest = state.history.newest_by_date(windows.bounds, state.commit)
    starts = np.union1d(np.array(shared, np.int64), dates[newest > state.segments.head.number]) * DAY_NS
    return starts[windows.contains(starts)]


def _aggregates_of(
    source: SortedRows, windows: WindowList, level_ns: int, policy: BarPolicy, commit: int
) -> Iterator[Aggregates]:
    windows = windows.overlapping(*source.bounds)
    if not len(windows):
        return
    aggregates = source.aggregates(policy, level_ns, windows.bounds)
    if aggregates is None:
        yield _made(source, windows, level_ns, policy, commit)
        return
    part = aggregates if len(windows) == 1 else aggregates[windows.indices(aggregates.time)]
    if source.newest > commit and len(part):
        is_later = part.newest > commit
        starts = part.time[is_later]
        if len(starts):
            yield _made(source, WindowList(starts, starts + level_ns), level_ns, policy, commit)
            part = part[~is_later]
    yield part


def _made(
    source: SortedRows, windows: WindowList, level_ns: int, policy: BarPolicy, commit: int
) -> Aggregates:
    rows = source.rows_at(windows.indices(source.times), PRINT_COLUMNS)
    return aggregate_rows(rows, level_ns, policy, commit=commit)


def _is_ascending(parts: Sequence[Aggregates]) -> bool:
    """Return whether each part's intervals come after those of the part before."""
    edges = [(part.time[0], part.time[-1]) for part in parts if len(part)]
    return all(last < first for (_, last), (first, _) in pairwise(edges))


def _outside(aggregates: Aggregates, windows: WindowList) -> Aggregates:
    return aggregates[~windows.contains(aggregates.time)] if len(windows) else aggregates
