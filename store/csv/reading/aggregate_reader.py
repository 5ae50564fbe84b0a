"""Reads a log's aggregates: from rollups where no later commit has changed them, and otherwise from rows."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from store.arrays import Integers
from store.bar_policies import BarPolicy
from store.bars.aggregates import Aggregates, merge
from store.bars.session_bars import aggregate_rows
from store.bars.versions import AggregateVersions, joined_versions, versions_of
from store.csv.derived.segment_rows import PRINT_COLUMNS, plain_rows
from store.csv.derived.segments import MappedSegment
from store.csv.derived.tail import TailBlock
from store.csv.reading.log_reader import LogFiles, LogReader
from store.datasets import TRADES
from store.protocol import Window
from store.timestamps import DAY_NS
from store.window_list import WindowList, level_for


class AggregateReader:
    """Aggregates the rows that a `LogReader` reads."""

    def __init__(self, reader: LogReader) -> None:
        self._reader = reader

    def aggregates(
        self, windows: WindowList, interval_ns: int, policy: BarPolicy, files: LogFiles
    ) -> Aggregates:
        """See `Snapshot.aggregates`."""
        level_ns = level_for(interval_ns) or interval_ns
        starts = self._changed(windows, level_ns, files)
        if policy.is_session:
            starts = np.union1d(starts, _divided_days(windows, files))
        again = WindowList(starts, starts + level_ns)
        parts = [
            _outside(part, again)
            for mapped in files.segments.within(windows.bounds)
            for part in _segment_aggregates(mapped, windows, level_ns, policy, files.commit)
        ]
        if files.has_tail and not policy.is_session:
            parts += [
                _outside(_block_aggregates(block, windows, level_ns, policy, files.commit), again)
                for block in self._reader.blocks(windows, files)
            ]
        for date_windows in again.by_date():
            rows = self._reader.stored(date_windows.bounds, files, PRINT_COLUMNS)
            made = aggregate_rows(rows, level_ns, policy, commit=files.commit)
            parts.append(made[date_windows.indices(made.time)])
        return parts[0] if len(parts) == 1 and level_ns == interval_ns else merge(parts, interval_ns)

    def versions(
        self, window: Window, interval_ns: int, policy: BarPolicy, files: LogFiles
    ) -> AggregateVersions:
        """Return the same as `Snapshot.aggregate_versions`, perhaps with those of later commits, and later ends."""
        windows = WindowList.of(window)
        starts = self._changed(windows, interval_ns, files)
        changed = WindowList(starts, starts + interval_ns)
        parts = [mapped.versions(policy, interval_ns, window) for mapped in files.segments.within(window)]
        if files.has_tail:
            blocks = self._reader.blocks(windows, files)
            parts += [versions_of(block.rows_in(window), policy, interval_ns) for block in blocks]
        parts = [part[~changed.contains(part.aggregates.time)] for part in parts]
        for date_windows in changed.by_date():
            rows = self._reader.stored(date_windows.bounds, files, PRINT_COLUMNS)
            versions = versions_of(rows, policy, interval_ns)
            parts.append(versions[date_windows.contains(versions.aggregates.time)])
        return joined_versions(parts)

    def _changed(self, windows: WindowList, length_ns: int, files: LogFiles) -> Integers:
        """Return the starts of the intervals for which there are corrections that are in no segment."""
        corrections = self._reader.corrections(windows, files) if files.has_tail else None
        if corrections is None:
            return np.empty(0, np.int64)
        times = corrections.column("timestamp").to_numpy()
        starts: Integers = np.unique(times[windows.contains(times)] // length_ns * length_ns)
        return starts


def _divided_days(windows: WindowList, files: LogFiles) -> Integers:
    """Return the starts of the days of the windows whose rows are not all in one segment."""
    edges = [
        (each.segment.first_ns // DAY_NS, each.segment.last_ns // DAY_NS)
        for each in files.segments.within(windows.bounds)
    ]
    shared = [last for (_, last), (first, _) in pairwise(edges) if first == last]
    dates, newest = files.history.newest_by_date(windows.bounds, files.commit)
    starts = np.union1d(np.array(shared, np.int64), dates[newest > files.segments.head.number]) * DAY_NS
    return starts[windows.contains(starts)]


def _segment_aggregates(
    mapped: MappedSegment, windows: WindowList, level_ns: int, policy: BarPolicy, commit: int
) -> Iterator[Aggregates]:
    windows = windows.overlapping(mapped.segment.first_ns, mapped.segment.last_ns)
    if not len(windows):
        return
    aggregates = mapped.aggregates(policy.key, level_ns, windows.bounds)
    if aggregates is None:
        yield _row_aggregates(mapped, windows, level_ns, policy, commit)
        return
    part = aggregates if len(windows) == 1 else aggregates[windows.indices(aggregates.time)]
    if mapped.segment.newest > commit and len(part):
        is_later = part.newest > commit
        starts = part.time[is_later]
        if len(starts):
            yield _row_aggregates(mapped, WindowList(starts, starts + level_ns), level_ns, policy, commit)
            part = part[~is_later]
    yield part


def _row_aggregates(
    mapped: MappedSegment, windows: WindowList, level_ns: int, policy: BarPolicy, commit: int
) -> Aggregates:
    rows = mapped.rows.at(windows.indices(mapped.times), PRINT_COLUMNS)
    return aggregate_rows(plain_rows(TRADES, rows, PRINT_COLUMNS), level_ns, policy, commit=commit)


def _block_aggregates(
    block: TailBlock, windows: WindowList, level_ns: int, policy: BarPolicy, commit: int
) -> Aggregates:
    """Return a block's aggregates in the windows. They are cached if the block has no commit after `commit`."""
    if block.newest <= commit:
        aggregates = block.aggregates(
            policy.key, level_ns, lambda rows: aggregate_rows(rows, level_ns, policy, commit=commit)
        )
    else:
        aggregates = aggregate_rows(block.rows, level_ns, policy, commit=commit)
    return aggregates[windows.indices(aggregates.time)]


def _outside(aggregates: Aggregates, windows: WindowList) -> Aggregates:
    return aggregates[~windows.contains(aggregates.time)] if len(windows) else aggregates
