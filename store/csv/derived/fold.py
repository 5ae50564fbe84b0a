"""Folds (adds) new commits of a log into its segments."""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from pathlib import Path

import numpy as np

from store import lazy_pyarrow as pa
from store.arrays import Integers
from store.bar_policies import BarPolicy
from store.csv.derived.manifest import (
    MANIFEST_FILE,
    Manifest,
    Segment,
    column_names,
    read_manifest,
    replace_manifest,
)
from store.csv.derived.segment_files import SegmentDamaged
from store.csv.derived.segment_writer import SEGMENT_ROWS, SegmentWriter
from store.csv.files.commit_records import PartKind, StoredPart, of_kind
from store.csv.files.disk import Disk
from store.csv.files.part_reader import read_corrections, read_rows
from store.csv.log.history import CommitHistory
from store.csv.log.index_file import DERIVED_FOLDER
from store.declarations import Dataset
from store.maintained import DerivedStatistics
from store.protocol import ALL_TIME, NO_COMMIT
from store.rows.stored_rows import apply_corrections, stored_in_order

logger = logging.getLogger(__name__)

_OWN_SUFFIXES = (".arrow", ".rollups", ".partial")


@contextmanager
def derived_lock(folder: Path) -> Iterator[bool]:
    """Lock the segments of a log. Yields whether the lock was free. Does not wait for it.

    folder: the log's folder. Raises `OSError`.
    """
    derived = folder / DERIVED_FOLDER
    derived.mkdir(exist_ok=True)
    descriptor = os.open(derived / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


@dataclass(frozen=True, slots=True)
class Fold:
    """Updates the derived files of one log. rows_limit: the maximum number of rows in a segment."""

    dataset: Dataset
    folder: Path
    policies: Sequence[BarPolicy]
    disk: Disk
    rows_limit: int = SEGMENT_ROWS

    def run(
        self, commits: Callable[[], CommitHistory], *, rebuild: bool = False, compact: bool = False
    ) -> DerivedStatistics | None:
        """Fold all new commits; return the result, or None if another process is doing it.

        commits: returns the log's current history. rebuild: ignore the existing files. compact: join all
        neighbouring segments that fit into one. Raises `OSError`, and `SegmentDamaged` if files are deleted
        meanwhile. Raises `DataDamaged` if new rows are damaged; the old files are then kept.
        """
        derived = self.folder / DERIVED_FOLDER
        with derived_lock(self.folder) as is_locked:
            if not is_locked:
                return None
            history = commits()  # read under the lock, to include all commits that another process has folded
            old = _NOTHING if rebuild else _old_manifest(self.dataset, derived, history)
            try:
                manifest = self._fold(derived, history, old, compact=compact)
            except SegmentDamaged:
                manifest = self._fold(derived, history, _NOTHING, compact=compact)
            finally:
                _remove_others(derived)
            return _statistics(derived, manifest)

    def _fold(self, derived: Path, history: CommitHistory, old: Manifest, *, compact: bool) -> Manifest:
        writer = SegmentWriter(derived, self.dataset, self.policies, self.rows_limit, self.disk)
        head = history.head()
        segments = self._left(writer, old.segments, history.expired.removed_before_ns)
        for parts in self._groups(history.parts_in(ALL_TIME, head.number, after=old.commit)):
            segments = self._with_parts(writer, segments, parts)
        segments = self._join_small(writer, segments, eagerly=compact)
        current = tuple(writer.with_rollups(each) for each in segments)
        manifest = Manifest(head.number, head.hash, column_names(self.dataset), current)
        if manifest != old:
            self.disk.sync_folder(derived)
            replace_manifest(derived, manifest)
        return manifest

    def _left(self, writer: SegmentWriter, segments: Sequence[Segment], before_ns: int) -> list[Segment]:
        """Return the segments without the rows before an instant, which were removed."""
        left = list[Segment]()
        for segment in segments:
            if segment.first_ns < before_ns <= segment.last_ns:
                (rows,) = writer.rows_of([segment])
                left += writer.write(rows.filter(pa.array(rows.column("timestamp").to_numpy() >= before_ns)))
            elif segment.first_ns >= before_ns:
                left.append(segment)
        return left

    def _groups(self, parts: Sequence[StoredPart]) -> Iterator[list[StoredPart]]:
        """Yield the parts in groups that fill a segment. All parts of one event date are in one group."""
        group: list[StoredPart] = []
        rows = 0
        for _, parts_of_date in groupby(parts, key=lambda stored: stored.part.day):
            of_date = list(parts_of_date)
            rows_of_date = sum(stored.part.rows for stored in of_date)
            if group and rows + rows_of_date > self.rows_limit:
                yield group
                group, rows = [], 0
            group += of_date
            rows += rows_of_date
        if group:
            yield group

    def _with_parts(
        self, writer: SegmentWriter, segments: Sequence[Segment], parts: Sequence[StoredPart]
    ) -> list[Segment]:
        """Return the segments with the parts added. Segments that get new rows or corrections are rewritten."""
        rows = read_rows(self.dataset, self.folder, of_kind(parts, PartKind.ROWS))
        corrections = read_corrections(
            self.dataset, self.folder, sorted(of_kind(parts, PartKind.CORRECTIONS), key=attrgetter("commit"))
        )
        row_indices = _segment_indices(segments, rows)
        correction_indices = _segment_indices(segments, corrections)
        touched = {*row_indices.tolist(), *correction_indices.tolist()}
        written: list[Segment] = []
        for index in range(len(segments) + 1):
            replaced = segments[index : index + 1]
            if index not in touched:
                written += replaced
                continue
            new_rows = rows.filter(pa.array(row_indices == index))
            new_corrections = corrections.filter(pa.array(correction_indices == index))
            stored = apply_corrections(
                pa.concat_tables([*writer.rows_of(replaced), new_rows]), new_corrections
            )
            written += writer.write(stored_in_order(stored))
        return written

    def _join_small(
        self, writer: SegmentWriter, segments: Sequence[Segment], *, eagerly: bool
    ) -> list[Segment]:
        """Join neighbouring segments of similar size, so that each row is rewritten only a few times.

        eagerly: join them whatever their sizes, if they fit into one segment.
        """
        joined: list[Segment] = []
        for segment in segments:
            run = [segment]
            while joined and self._fit(joined[-1], run, eagerly=eagerly):
                run.insert(0, joined.pop())
            if len(run) > 1:
                joined += writer.write(pa.concat_tables(writer.rows_of(run)))
            else:
                joined.append(segment)
        return joined

    def _fit(self, before: Segment, run: Sequence[Segment], *, eagerly: bool) -> bool:
        rows = sum(segment.rows for segment in run)
        return before.rows + rows <= self.rows_limit and (eagerly or before.rows <= 2 * rows)


_NOTHING = Manifest(0, NO_COMMIT.hash)


def _old_manifest(dataset: Dataset, derived: Path, history: CommitHistory) -> Manifest:
    """Return the manifest to continue from; an empty one if the existing one cannot be used."""
    manifest = read_manifest(derived)
    if manifest is None and (derived / MANIFEST_FILE).exists():
        logger.warning(
            "the derived files in %s are of another version or damaged: they are made again", derived
        )
    return manifest if manifest is not None and manifest.fits(dataset, history) else _NOTHING


def _statistics(derived: Path, manifest: Manifest) -> DerivedStatistics:
    rows = sum(segment.rows for segment in manifest.segments)
    with os.scandir(derived) as entries:
        size = sum(entry.stat().st_size for entry in entries)
    return DerivedStatistics(manifest.commit, len(manifest.segments), rows, size)


def _segment_indices(segments: Sequence[Segment], rows: pa.Table) -> Integers:
    """Return the index of each row's segment; `len(segments)` for rows later than all segments."""
    time = rows.column("timestamp").to_numpy()
    if not segments:
        return np.zeros(len(time), np.int64)
    firsts = np.array([segment.first_ns for segment in segments])
    indices = np.maximum(firsts.searchsorted(time, side="right") - 1, 0)
    return np.where(time > segments[-1].last_ns, len(segments), indices)


def _remove_others(derived: Path) -> None:
    """Delete the derived files that the manifest does not name. Readers that have mapped them can still read them."""
    manifest = read_manifest(derived) or _NOTHING
    named = {file for segment in manifest.segments for file in segment.seals}
    with suppress(OSError):
        for path in list(derived.iterdir()):
            if path.suffix in _OWN_SUFFIXES and path.name not in named:
                path.unlink(missing_ok=True)
