"""The current segments of a log, mapped at their first use, and limits on all mappings of a store."""

from __future__ import annotations

import threading
import weakref
from bisect import bisect_left
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt

from store import lazy_pyarrow as pa
from store.arrays import Integers
from store.bar_policies import BarPolicy
from store.bars.aggregates import Aggregates, within
from store.csv.derived.manifest import Segment, read_manifest, rollups_file, rows_file
from store.csv.derived.segment_files import SegmentRows, map_aggregates, plain_rows
from store.csv.log.history import CommitHistory
from store.csv.log.index_file import DERIVED_FOLDER
from store.declarations import Dataset
from store.protocol import NO_COMMIT, CommitId, Window

# The maximum number of mapped segments. Each maps its columns and one or two files per policy. Linux allows a process
# 65,530 mappings, and other code needs some of them.
SEGMENTS_LIMIT = 8192


class MappedSegment:
    """The files of one segment. They are mapped at their first use, and at the first use after `release`.

    Every method raises `SegmentDamaged` if its file is missing or another one.
    """

    def __init__(self, dataset: Dataset, folder: Path, segment: Segment, mappings: SegmentMappings) -> None:
        self.segment = segment
        self.newest = segment.newest
        self.bounds = segment.first_ns, segment.last_ns
        self._dataset = dataset
        self._folder = folder
        self._mappings = mappings
        self.release()

    def release(self) -> None:
        """Release the mappings. Concurrent readers keep theirs."""
        self._rows: SegmentRows | None = None
        self._aggregates: dict[str, dict[int, Aggregates]] = {}

    @property
    def rows(self) -> SegmentRows:
        """All stored rows of the segment, in order."""
        rows = self._rows
        if rows is None:
            path = self._folder / rows_file(self.segment.name)
            rows = self._rows = SegmentRows(path, self.segment.stored)
            self._mappings.add(self)
        return rows

    def rows_at(
        self, indices: slice | Integers, names: Collection[str] = (), *, coded_texts: bool = False
    ) -> pa.Table:
        """Return the rows with these indices, which ascend. names, coded_texts: as for `plain_rows`."""
        return plain_rows(self._dataset, self.rows.at(indices, names), names, coded_texts=coded_texts)

    @property
    def times(self) -> Integers:
        """The event times of the stored rows, ascending."""
        return self.rows.times

    def column(self, name: str, start: int, end: int) -> npt.NDArray[Any]:
        """Return the values of the rows `[start, end)` in a column of numbers without nulls."""
        return self.rows.column(name, start, end)

    def aggregates(self, policy: BarPolicy, level_ns: int, window: Window) -> Aggregates | None:
        """Return the aggregates of a level (interval length) in a window; None if the level is not stored."""
        levels = self._aggregates.get(policy.key)
        if levels is None:
            seal = self.segment.rollups.get(policy.key)
            path = self._folder / rollups_file(self.segment.name, policy.key)
            levels = self._aggregates[policy.key] = {} if seal is None else map_aggregates(path, seal)
            self._mappings.add(self)
        level = levels.get(level_ns)
        return None if level is None else within(level, window)


class SegmentMappings:
    """The mapped segments of a store, by weak references."""

    def __init__(self, limit: int = SEGMENTS_LIMIT) -> None:
        self._limit = limit
        self._mapped: weakref.WeakSet[MappedSegment] = weakref.WeakSet()
        self._mutex = threading.Lock()

    def __len__(self) -> int:
        return len(self._mapped)

    def add(self, segment: MappedSegment) -> None:
        """Register a segment that was mapped. If there are more than the limit, release all others."""
        with self._mutex:
            self._mapped.add(segment)
            if len(self._mapped) > self._limit:
                for each in [*self._mapped - {segment}]:
                    self._mapped.discard(each)
                    each.release()


class LogSegments:
    """The segments of one manifest, in order of time: a log's rows up to the commit `head`."""

    def __init__(self, head: CommitId, mapped: Sequence[MappedSegment]) -> None:
        self.head = head
        self.mapped = mapped
        self._firsts = [each.segment.first_ns for each in mapped]
        self._lasts = [each.segment.last_ns for each in mapped]

    def within(self, window: Window) -> Sequence[MappedSegment]:
        """Return the segments with event times in the window."""
        return self.mapped[
            bisect_left(self._lasts, window.start_ns) : bisect_left(self._firsts, window.end_ns)
        ]


NO_SEGMENTS = LogSegments(NO_COMMIT, ())


def open_segments(
    dataset: Dataset, folder: Path, history: CommitHistory, before: LogSegments, mappings: SegmentMappings
) -> LogSegments:
    """Return the segments of a log's current manifest.

    Return `NO_SEGMENTS` if the manifest is missing or of other columns, or if the history does not have its commit.
    before: the segments of the last manifest; segments in both manifests stay mapped.
    """
    derived = folder / DERIVED_FOLDER
    manifest = read_manifest(derived)
    if manifest is None or not manifest.fits(dataset, history):
        return NO_SEGMENTS
    mapped_before = {each.segment.name: each for each in before.mapped}
    mapped = []
    for segment in manifest.segments:
        each = mapped_before.get(segment.name)
        is_unchanged = each is not None and each.segment == segment
        mapped.append(each if each and is_unchanged else MappedSegment(dataset, derived, segment, mappings))
    return LogSegments(manifest.head, mapped)
