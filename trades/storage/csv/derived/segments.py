"""The current segments of a log, mapped when they are first needed."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from trades.bar_policies import BarPolicy
from trades.storage.aggregate import Aggregates, Bars, bars_of
from trades.storage.csv.derived.columns import map_columns
from trades.storage.csv.derived.ipc import as_numpy
from trades.storage.csv.derived.manifest import NO_ROLLUPS, Segment, read_manifest
from trades.storage.csv.derived.rollups import MINUTE_NS, Rollups, map_rollups
from trades.storage.csv.derived.unkept_bars import UnkeptBars
from trades.storage.csv.history import History
from trades.storage.csv.index_files import DERIVED_FOLDER
from trades.storage.protocol import NO_COMMIT, CommitId, Window

Times = npt.NDArray[np.int64]


def columns_file(name: str) -> str:
    """The name of a segment's file of columns."""
    return f"{name}.columns.arrow"


def rollups_file(name: str, policy_key: str) -> str:
    """The name of a segment's file of rollups under one policy."""
    return f"{name}.{policy_key}.rollups.arrow"


class MappedSegment:
    """One segment's files. Every method raises `NotUsable` if the file that it needs is gone or damaged."""

    def __init__(self, folder: Path, segment: Segment) -> None:
        self.segment = segment
        self._folder = folder
        self._rows: pa.RecordBatch | None = None
        self._times: Times | None = None
        self._rollups: dict[str, Rollups] = {}
        self._bars: dict[tuple[str, int], Bars | None] = {}
        self._unkept: dict[tuple[str, int], UnkeptBars] = {}

    @property
    def rows(self) -> pa.RecordBatch:
        """All of its stored rows, in order."""
        if self._rows is None:
            path = self._folder / columns_file(self.segment.name)
            self._rows = map_columns(path, self.segment.columns)
        return self._rows

    @property
    def times(self) -> Times:
        """The event times of its rows."""
        if self._times is None:
            self._times = as_numpy(self.rows.column(0))
        return self._times

    def rows_in(self, window: Window) -> pa.RecordBatch:
        """Its stored rows in the window."""
        start, end = self.times.searchsorted((window.start_ns, window.end_ns)).tolist()
        return self.rows.slice(start, end - start)

    def aggregates(self, policy_key: str, level_ns: int) -> Aggregates | None:
        """Its aggregates of a level; None where they are not kept."""
        if policy_key not in self._rollups:
            checksum = self.segment.rollups.get(policy_key, NO_ROLLUPS)
            path = self._folder / rollups_file(self.segment.name, policy_key)
            self._rollups[policy_key] = {} if checksum == NO_ROLLUPS else map_rollups(path, checksum)
        return self._rollups[policy_key].get(level_ns)

    def finished_bars(self, policy: BarPolicy, level_ns: int, window: Window) -> Bars | None:
        """Bars of a level in the window, and others beside them.

        None where volume is still to be credited, or a level is not kept that is finer than a minute. A coarser level
        that is not kept is made of the rows where it is first asked for, and then held in memory.
        """
        key = (policy.key, level_ns)
        if key not in self._bars:
            aggregates = self.aggregates(policy.key, level_ns)
            if aggregates is None and level_ns >= MINUTE_NS:
                return self._unkept_bars(policy, level_ns).over(window.start_ns, window.end_ns)
            is_finished = aggregates is not None and bool((aggregates.price_count > 0).all())
            self._bars[key] = bars_of(aggregates) if aggregates is not None and is_finished else None
        return self._bars[key]

    def _unkept_bars(self, policy: BarPolicy, level_ns: int) -> UnkeptBars:
        key = (policy.key, level_ns)
        if key not in self._unkept:
            self._unkept[key] = UnkeptBars(self.rows, self.times, policy, level_ns)
        return self._unkept[key]


class Segments:
    """The segments of one manifest, in order of time: what a log's rows were up to the commit `head`."""

    def __init__(self, head: CommitId, mapped: Sequence[MappedSegment]) -> None:
        self.head = head
        self.mapped = mapped
        self._firsts = [each.segment.first_ns for each in mapped]
        self._lasts = [each.segment.last_ns for each in mapped]

    def within(self, window: Window) -> Sequence[MappedSegment]:
        """Those with event times in the window."""
        return self.mapped[
            bisect_left(self._lasts, window.start_ns) : bisect_left(self._firsts, window.end_ns)
        ]

    def place_of(self, time_ns: int) -> int:
        """The place of the segment that takes a row: the one that begins last at or before it, or the first."""
        return max(bisect_right(self._firsts, time_ns) - 1, 0)


NO_SEGMENTS = Segments(NO_COMMIT, ())


def open_segments(folder: Path, history: History) -> Segments:
    """The segments of a log's current manifest; none if it is missing or not of this history."""
    derived = folder / DERIVED_FOLDER
    manifest = read_manifest(derived)
    if manifest is None or not is_of(manifest.head, history):
        return NO_SEGMENTS
    return Segments(manifest.head, [MappedSegment(derived, segment) for segment in manifest.segments])


def is_of(head: CommitId, history: History) -> bool:
    """Whether a commit is one of this history, and not of a log that was restored since."""
    return head.number <= history.head().number and history.head(head.number) == head
