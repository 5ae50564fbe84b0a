"""Reads a log's aggregates: from rollups where no later commit has changed them, and otherwise from rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from store import lazy_pyarrow as pa
from store.arrays import Integers
from store.bar_policies import BarPolicy
from store.bars.aggregates import Aggregates
from store.bars.aggregation import aggregate_prints
from store.bars.prints import prints_of
from store.bars.versions import AggregateVersions, joined_versions, versions_of
from store.csv.derived.segment_rows import PRINT_COLUMNS, plain_rows
from store.csv.derived.segments import MappedSegment
from store.csv.derived.tail import TailBlock
from store.csv.reading.log_reader import LogReader, LogSnapshot
from store.csv.reading.window_list import Layers, WindowList
from store.datasets import TRADES
from store.protocol import Window


class AggregateReader:
    """Aggregates the rows that a `LogReader` reads."""

    def __init__(self, reader: LogReader) -> None:
        self._reader = reader

    def parts(self, layers: Layers, policy: BarPolicy, snapshot: LogSnapshot) -> Iterator[Aggregates]:
        """Yield aggregates that together count every print in the layers' windows once.

        No aggregate crosses a window's edge. layers: windows by interval length. The windows are aligned to
        their length, and each length divides the longer ones.
        """
        if not layers:
            return
        windows = WindowList.together(list(layers.values()))
        corrected = self._corrected(layers, windows, snapshot)
        for level_ns, level_windows in layers.items():
            for mapped in snapshot.segments.within(level_windows.hull):
                for part in _segment_aggregates(mapped, level_windows, level_ns, policy, snapshot.commit):
                    yield _outside(part, corrected)
        if not snapshot.has_tail:
            return
        finest = min(layers)
        for block in self._reader.blocks(windows, snapshot):
            yield _outside(_block_aggregates(block, windows, finest, policy, snapshot.commit), corrected)
        for date_windows in corrected.by_date():
            rows = self._reader.stored(date_windows.hull, snapshot, PRINT_COLUMNS)
            aggregates = _aggregated(rows, finest, policy, snapshot.commit)
            yield aggregates[date_windows.indices(aggregates.time)]

    def versions(
        self, window: Window, interval_ns: int, policy: BarPolicy, snapshot: LogSnapshot
    ) -> AggregateVersions:
        """Return the versions that together count every print in a window once.

        They are of the window's intervals or of shorter ones that divide these. Those of later commits may be included,
        with later ends.
        """
        windows = WindowList.of(window)
        corrected = self._corrected({interval_ns: windows}, windows, snapshot)
        parts = [mapped.versions(policy, interval_ns, window) for mapped in snapshot.segments.within(window)]
        if snapshot.has_tail:
            blocks = self._reader.blocks(windows, snapshot)
            parts += [versions_of(block.rows_in(window), policy, interval_ns) for block in blocks]
        parts = [part[~corrected.contains(part.aggregates.time)] for part in parts]
        for date_windows in corrected.by_date():
            rows = self._reader.stored(date_windows.hull, snapshot, PRINT_COLUMNS)
            versions = versions_of(rows, policy, interval_ns)
            parts.append(versions[date_windows.contains(versions.aggregates.time)])
        return joined_versions(parts)

    def _corrected(self, layers: Layers, windows: WindowList, snapshot: LogSnapshot) -> WindowList:
        """Return the intervals, of their layer's length, for which there are corrections that are in no segment."""
        corrections = self._reader.corrections(windows, snapshot) if snapshot.has_tail else None
        if corrections is None:
            return _NONE
        times = corrections.column("timestamp").to_numpy()
        corrected = []
        for level_ns, level_windows in layers.items():
            starts = np.unique(times[level_windows.contains(times)] // level_ns * level_ns)
            corrected.append(WindowList(starts, starts + level_ns))
        return WindowList.together(corrected)


_NOTHING: Integers = np.empty(0, np.int64)
_NONE = WindowList(_NOTHING, _NOTHING)


def _segment_aggregates(
    mapped: MappedSegment, windows: WindowList, level_ns: int, policy: BarPolicy, commit: int
) -> Iterator[Aggregates]:
    windows = windows.overlapping(mapped.segment.first_ns, mapped.segment.last_ns)
    if not len(windows):
        return
    aggregates = mapped.aggregates(policy.key, level_ns, windows.hull)
    if aggregates is None:
        yield _row_aggregates(mapped, windows, level_ns, policy, commit)
        return
    part = aggregates[windows.indices(aggregates.time)]
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
    return _aggregated(plain_rows(TRADES, rows, PRINT_COLUMNS), level_ns, policy, commit)


def _block_aggregates(
    block: TailBlock, windows: WindowList, level_ns: int, policy: BarPolicy, commit: int
) -> Aggregates:
    """Return a block's aggregates in the windows. They are cached if the block has no commit after `commit`."""
    if block.newest <= commit:
        aggregates = block.aggregates(
            policy.key, level_ns, lambda rows: _aggregated(rows, level_ns, policy, commit)
        )
    else:
        aggregates = _aggregated(block.rows, level_ns, policy, commit)
    return aggregates[windows.indices(aggregates.time)]


def _aggregated(rows: pa.Table, level_ns: int, policy: BarPolicy, commit: int) -> Aggregates:
    return aggregate_prints(prints_of(rows, policy, commit=commit), level_ns)


def _outside(aggregates: Aggregates, windows: WindowList) -> Aggregates:
    return aggregates[~windows.contains(aggregates.time)] if len(windows) else aggregates
