"""The current segments of a log, mapped at their first use, and limits on all mappings of a store."""

from __future__ import annotations

import itertools
import threading
import weakref
from bisect import bisect_left
from collections.abc import Collection, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy.typing as npt

from store import lazy_pyarrow as pa
from store.arrays import Integers
from store.bar_policies import BarPolicy
from store.bars.aggregates import Aggregates
from store.bars.versions import AggregateVersions
from store.csv.derived.manifest import Segment, read_manifest, rollups_file, rows_file
from store.csv.derived.rollups import NO_ROLLUPS, MappedRollups, map_rollups
from store.csv.derived.segment_rows import MappedTimes, SegmentRows, plain_rows
from store.csv.log.history import CommitHistory
from store.csv.log.index_file import DERIVED_FOLDER
from store.declarations import Dataset
from store.protocol import NO_COMMIT, CommitId, Window

# The maximum number of mapped segments. Each maps its columns and one or two files per policy. Linux allows a process
# 65,530 mappings, and other code needs some of them.
SEGMENTS_LIMIT = 8192
# When the limit is exceeded, segments are released until this share of it remains, so that releases are rare.
_KEPT_SHARE = 0.75

_uses = itertools.count(1)


class MappedSegment:
    """The files of one segment. They are mapped at their first use, and at the first use after `release`.

    Every method raises `ColumnsDamaged` if its file is missing or damaged.
    """

    def __init__(self, dataset: Dataset, folder: Path, segment: Segment, mappings: SegmentMappings) -> None:
        self.segment = segment
        self.newest = segment.newest
        self.bounds = segment.first_ns, segment.last_ns
        self.used = 0
        self._dataset = dataset
        self._folder = folder
        self._mappings = mappings
        self.release()

    @property
    def _rows_path(self) -> Path:
        return self._folder / rows_file(self.segment.name)

    def release(self) -> None:
        """Release the mappings. Concurrent readers keep theirs."""
        self._rows: SegmentRows | None = None
        self._rollups: dict[str, MappedRollups] = {}

    @property
    def rows(self) -> SegmentRows:
        """All stored rows of the segment, in order."""
        self.used = next(_uses)
        rows = self._rows
        if rows is None:
            rows = self._rows = SegmentRows(self._rows_path, self.segment.stored)
            self._mappings.add(self)
        return rows

    def rows_at(
        self, indices: slice | Integers, names: Collection[str] = (), *, coded_texts: bool = False
    ) -> pa.Table:
        """Return the rows with these indices, which ascend. names, coded_texts: as for `plain_rows`."""
        return plain_rows(self._dataset, self.rows.at(indices, names), names, coded_texts=coded_texts)

    @property
    def times(self) -> MappedTimes:
        """The event times of the stored rows, ascending."""
        return self.rows.times

    def column(self, name: str, start: int, end: int) -> npt.NDArray[Any]:
        """Return the values of the rows `[start, end)` in a column of numbers without nulls."""
        return self.rows.column(name, start, end)

    def aggregates(self, policy: BarPolicy, level_ns: int, window: Window) -> Aggregates | None:
        """Return the aggregates of a level (interval length) in a window; None if the level is not stored."""
        level = self._rollups_of(policy.key).levels.get(level_ns)
        return None if level is None else level.within(window)

    def _rollups_of(self, policy_key: str) -> MappedRollups:
        self.used = next(_uses)
        rollups = self._rollups.get(policy_key)
        if rollups is None:
            seal = self.segment.rollups.get(policy_key)
            path = self._folder / rollups_file(self.segment.name, policy_key)
            rollups = self._rollups[policy_key] = NO_ROLLUPS if seal is None else map_rollups(path, seal)
            self._mappings.add(self)
        return rollups

    def versions(self, policy: BarPolicy, window: Window) -> AggregateVersions | None:
        """Return the versions of a window's minutes; None if they are not stored."""
        stored = self._rollups_of(policy.key).versions
        return None if stored is None else stored.versions(window)


class SegmentMappings:
    """The mapped segments of a store, by weak references."""

    def __init__(self, limit: int = SEGMENTS_LIMIT) -> None:
        self._limit = limit
        self._mapped: weakref.WeakSet[MappedSegment] = weakref.WeakSet()
        self._mutex = threading.Lock()

    def __len__(self) -> int:
        return len(self._mapped)

    def add(self, segment: MappedSegment) -> None:
        """Register a segment that was mapped. Above the limit, release the least recently used ones."""
        with self._mutex:
            self._mapped.add(segment)
            surplus = len(self._mapped) - int(self._limit * _KEPT_SHARE)
            if len(self._mapped) > self._limit:
                for each in sorted(self._mapped, key=attrgetter("used"))[:surplus]:
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

    Return `NO_SEGMENTS` if the manifest is missing, if the history does not have its commit, or if its
    segments lack a column that the dataset and the CSV files have. before: the segments of the last manifest;
    segments in both manifests stay mapped.
    """
    derived = folder / DERIVED_FOLDER
    manifest = read_manifest(derived)
    if manifest is None or not history.has(manifest.head) or not manifest.has_all_of(dataset):
        return NO_SEGMENTS
    mapped_before = {each.segment.name: each for each in before.mapped}
    mapped = []
    for segment in manifest.segments:
        each = mapped_before.get(segment.name)
        is_unchanged = each is not None and each.segment == segment
        mapped.append(each if each and is_unchanged else MappedSegment(dataset, derived, segment, mappings))
    return LogSegments(manifest.head, mapped)
