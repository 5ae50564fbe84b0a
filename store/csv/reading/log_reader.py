"""Reads rows of one log: from its segments, and from the commits after them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import TypeAlias, TypeVar

from store import lazy_pyarrow as pa
from store.arrays import Mask
from store.csv.derived.manifest import discard_manifest, manifest_signature
from store.csv.derived.segment_files import SegmentDamaged
from store.csv.derived.segments import (
    NO_SEGMENTS,
    LogSegments,
    MappedSegment,
    SegmentMappings,
    open_segments,
)
from store.csv.derived.tail import TailCache, TailRows
from store.csv.files.commit_records import PartKind, StoredPart, of_kind
from store.csv.files.disk import NEVER_SEEN, NO_FILE, FileSignature
from store.csv.files.part_reader import read_corrections, read_rows, read_rows_at
from store.csv.log.history import CommitHistory
from store.csv.log.index_file import DERIVED_FOLDER
from store.declarations import Dataset
from store.exceptions import DataDamaged
from store.protocol import CommitId, Window
from store.rows.stored_rows import (
    apply_corrections,
    no_rows,
    standing_at,
    stored_in_order,
    stored_schema,
)
from store.timestamps import DAY_NS
from store.window_list import WindowList

T = TypeVar("T")

logger = logging.getLogger(__name__)
# Derived files may be replaced while they are read. A read is tried this often with them, then once without them.
_TRIES = 3


# Stored rows in order of event time. Corrections by commits that are in no segment are not applied.
SortedRows: TypeAlias = MappedSegment | TailRows


@dataclass(frozen=True, slots=True)
class ReadState:
    """What an answer is read from: a history up to `commit`, and segments with some of its rows."""

    history: CommitHistory
    commit: int
    segments: LogSegments

    @property
    def has_tail(self) -> bool:
        """Whether there are commits that are newer than the segments."""
        return self.commit > self.segments.head.number


@dataclass(frozen=True, slots=True)
class _Opened:
    """The segments of a manifest, its signature, and the log's newest commit (`head`) when they were checked."""

    head: CommitId
    signature: FileSignature
    segments: LogSegments


_NOTHING = _Opened(NO_SEGMENTS.head, NEVER_SEEN, NO_SEGMENTS)


class LogReader:
    """Reads one log. Thread-safe. A file that is mapped can be read even after its deletion."""

    def __init__(
        self, dataset: Dataset, symbol: str, folder: Path, tail: TailCache, mappings: SegmentMappings
    ) -> None:
        """Create it. `tail` and `mappings` are shared by all logs of a store."""
        self.dataset = dataset
        self._symbol = symbol
        self._folder = folder
        self._derived = str(folder / DERIVED_FOLDER)
        self._tail = tail
        self._mappings = mappings
        self._opened = _NOTHING

    def with_state(self, history: CommitHistory, commit: int | None, read: Callable[[ReadState], T]) -> T:
        """Call `read` with the state of the log at a commit, by default the newest, and return the result.

        If derived files are missing or damaged, they are discarded, and `read` is called without them.
        """
        number = history.head().number if commit is None else commit
        for _ in range(_TRIES):
            opened = self._current(history)
            try:
                return read(ReadState(history, number, opened.segments))
            except SegmentDamaged as error:
                if discard_manifest(self._derived, opened.signature):
                    logger.warning("the derived files in %s are made again: %s", self._derived, error)
                self._opened = replace(opened, segments=NO_SEGMENTS)
        return read(ReadState(history, number, NO_SEGMENTS))

    def rows_behind(self, state: ReadState) -> int:
        """Return approximately how many rows are in no segment, including replaced rows."""
        in_segments = sum(each.segment.rows for each in state.segments.mapped)
        return max(state.history.rows - in_segments, 0)

    def rows(self, window: Window, state: ReadState, *, coded_texts: bool = False) -> pa.Table:
        """Return the rows in the window that are neither cancelled nor replaced, in order.

        coded_texts: see `Snapshot.rows`.
        """
        if coded_texts and (mapped := self._only_segment(window, state)) is not None:
            names = self.dataset.schema.names
            return rows_in(mapped, window, names, standing_at=state.commit, coded_texts=True)
        stored = self.stored(window, state, is_standing=True)
        stands = standing_at(stored, state.commit)
        stored = stored if stands.all() else stored.filter(pa.array(stands))
        return stored.select(self.dataset.schema.names)

    def stored(
        self,
        window: Window,
        state: ReadState,
        columns: frozenset[str] = frozenset(),
        *,
        is_standing: bool = False,
    ) -> pa.Table:
        """Return the stored rows in the window, in order. Corrections up to the state's commit are applied.

        Rows of later commits may be included. columns: the columns to return; empty means all. is_standing:
        the caller does not need cancelled and replaced rows, so some of them may be missing.
        """
        names = [name for name in stored_schema(self.dataset).names if not columns or name in columns]
        windows, commit = WindowList.of(window), state.commit if is_standing else None
        sources = self.sources(windows, state)
        tables = [rows_in(source, window, names, standing_at=commit) for source in sources]
        # A table of one piece has columns that numpy reads without a copy.
        stored = pa.concat_tables(tables or [stored_schema(self.dataset).empty_table().select(names)])
        if not state.has_tail:
            return stored
        corrections = self.corrections(windows, state)
        return stored_in_order(apply_corrections(stored, corrections) if corrections else stored)

    def standing(self, windows: WindowList, state: ReadState) -> pa.Table:
        """Return the rows in the windows that are neither cancelled nor replaced, in any order."""
        stored = self.versions(windows, state)
        return stored.filter(pa.array(standing_at(stored, state.commit)))

    def versions(self, windows: WindowList, state: ReadState, *, few: bool = False) -> pa.Table:
        """Return all versions of the rows in the windows, in any order. few: see `sources`."""
        tables = [no_rows(self.dataset)]
        for source in self.sources(windows, state, few=few):
            indices = windows.indices(source.times)
            if not isinstance(indices, slice) or indices.start < indices.stop:
                tables.append(source.rows_at(indices))
        stored = pa.concat_tables(tables)
        corrections = self.corrections(windows, state) if state.has_tail else None
        return apply_corrections(stored, corrections) if corrections else stored

    def sources(self, windows: WindowList, state: ReadState, *, few: bool = False) -> Iterator[SortedRows]:
        """Yield the segments with rows in the windows, and the rows that no segment has. few: see `tail`."""
        yield from state.segments.within(windows.bounds)
        if state.has_tail:
            yield from self.tail(windows, state, few=few)

    def tail(self, windows: WindowList, state: ReadState, *, few: bool = False) -> Iterator[TailRows]:
        """Yield the rows in the windows that are in no segment.

        Rows outside the windows and rows of later commits may be included. few: the windows are instants; see
        `TailCache.claim_alone`.
        """
        for day, of_date in groupby(self._tail_parts(windows, state), key=lambda each: each.part.day):
            parts = of_kind(of_date, PartKind.ROWS)
            if parts and windows.overlaps(day * DAY_NS, (day + 1) * DAY_NS - 1):
                yield from self._tail_of_date(parts, windows, state, few=few)

    def corrections(self, windows: WindowList, state: ReadState) -> pa.Table | None:
        """Return the corrections that are in no segment, for rows in the windows, ordered by commit.

        Return None if there are none.
        """
        parts = _needed(of_kind(self._tail_parts(windows, state), PartKind.CORRECTIONS), windows, state)
        if not parts:
            return None
        parts.sort(key=attrgetter("commit"))
        corrections = read_corrections(self.dataset, self._folder, parts)
        return corrections.filter(pa.array(windows.contains(corrections.column("timestamp").to_numpy())))

    def note_stored(self, day: int, new: Sequence[pa.Table], history: CommitHistory) -> None:
        """Keep rows of an event date, which have just been committed, for later reads. new: a table for each part."""
        segments, whole_day = self._opened.segments, Window(day * DAY_NS, (day + 1) * DAY_NS)
        parts = of_kind(history.parts_in(whole_day, after=segments.head.number), PartKind.ROWS)
        if len(parts) >= len(new) > 0:
            self._tail.add((self.dataset.name, self._symbol, segments.head.number), history, parts, new)

    def _only_segment(self, window: Window, state: ReadState) -> MappedSegment | None:
        """Return the segment that has all rows in the window; None if there is no such segment."""
        within = state.segments.within(window)
        if len(within) != 1 or (state.has_tail and len(self._tail_parts(WindowList.of(window), state))):
            return None
        return within[0]

    def _tail_of_date(
        self, parts: Sequence[StoredPart], windows: WindowList, state: ReadState, *, few: bool
    ) -> Iterator[TailRows]:
        """Yield all rows of the date's parts, from the cache. If few are needed or some damaged, read only those."""
        log = (self.dataset.name, self._symbol, state.segments.head.number)
        if few and self._tail.claim_alone(log, parts, some := _needed(parts, windows, state)):
            yield TailRows(read_rows_at(self.dataset, self._folder, some, windows.start_ns), state.commit)
            return
        read = partial(read_rows, self.dataset, self._folder)
        try:
            yield from self._tail.rows(log, state.history, parts, read)
        except DataDamaged:
            if some := _needed(parts, windows, state):
                yield TailRows(read(some), some[-1].commit)

    def _tail_parts(self, windows: WindowList, state: ReadState) -> Sequence[StoredPart]:
        """Return the parts of all commits after the segments, with event dates in or between the windows."""
        return state.history.parts_in(windows.bounds.whole_dates(), after=state.segments.head.number)

    def _current(self, history: CommitHistory) -> _Opened:
        """Return the segments of the current manifest, checked against the history."""
        opened, head, signature = self._opened, history.head(), manifest_signature(self._derived)
        if (opened.head, opened.signature) == (head, signature):
            return opened
        segments = opened.segments
        if signature != opened.signature or not history.has(segments.head):
            segments = open_segments(self.dataset, self._folder, history, segments, self._mappings)
            if segments is NO_SEGMENTS and signature != NO_FILE:
                signature = NEVER_SEEN  # look again: this history may not have the manifest's commit yet
        opened = self._opened = _Opened(head, signature, segments)
        return opened


def rows_in(
    source: SortedRows,
    window: Window,
    names: Collection[str] = (),
    *,
    standing_at: int | None = None,
    coded_texts: bool = False,
) -> pa.Table:
    """Return the rows in the window, without those that do not stand as of `standing_at`.

    names, coded_texts: as for `plain_rows`.
    """
    start, end = source.times.searchsorted((window.start_ns, window.end_ns)).tolist()
    rows = source.rows_at(slice(start, end), names, coded_texts=coded_texts)
    if standing_at is None:
        return rows
    stands = standing(source, start, end, standing_at)
    return rows if stands.all() else rows.filter(pa.array(stands))


def standing(source: SortedRows, start: int, end: int, commit: int) -> Mask:
    """Return which of the rows `[start, end)` are neither cancelled nor replaced, as far as the source knows."""
    stored, ended = (source.column(name, start, end) for name in ("commit", "until"))
    stands: Mask = (stored <= commit) & (ended > commit)
    return stands


def _needed(parts: Sequence[StoredPart], windows: WindowList, state: ReadState) -> list[StoredPart]:
    """Return the parts that may have rows in the windows. Most are left out by the windows' bounds, which is fast."""
    start_ns, end_ns, commit = windows.bounds.start_ns, windows.bounds.end_ns, state.commit
    near = (each for each in parts if each.part.last_ns >= start_ns and each.part.first_ns < end_ns)
    return [
        each
        for each in near
        if each.commit <= commit and windows.overlaps(each.part.first_ns, each.part.last_ns)
    ]
