"""The handle of a log in memory, and its snapshots."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from store.arrays import Integers
from store.declarations import Dataset
from store.exceptions import StoreUnavailable
from store.left_snapshot import left_of
from store.log import EmptySnapshot, Log, Snapshot
from store.protocol import ALL_TIME, NO_COMMIT, Action, CommitId, Completeness, Fill, Window
from store.rows.stored_rows import (
    ARRIVAL,
    SYSTEM_NAMES,
    action_name,
    integers,
    standing_at,
    stored_in_order,
    versions_until,
    with_columns,
)
from store.timestamps import DAY_NS
from store.walk import CommitPiece, CommitRecord, LogEnd, LogPosition, Resync
from store.whole_commits import WholeCommit
from tests.memory_store.log import (
    MemoryCommit,
    MemoryLog,
    add_rows,
    apply_change,
    completeness_of,
    first_arrival,
    has_position,
    pieces_after,
    stored_rows_of,
)

if TYPE_CHECKING:
    from tests.memory_store.store import MemoryStore


class MemoryHandle(Log):
    """A log of a store in memory."""

    def __init__(self, store: MemoryStore, dataset: Dataset, symbol: str) -> None:
        super().__init__(store.log, dataset, symbol)
        self.store = store

    def at(self, commit: CommitId | int | None = None) -> Snapshot:
        if commit in (0, NO_COMMIT):
            return EmptySnapshot(self)
        with self.store.mutex:  # a commit that is being made has no hash yet
            log = self.read()
            if not isinstance(commit, CommitId):
                commit = log.head if commit is None else log.commits[commit - 1].id
            return left_of(MemorySnapshot(self, commit).checked(), log.expired)

    def as_of(self, instant_ns: int) -> Snapshot:
        with self.store.mutex:
            number = sum(commit.committed_at <= instant_ns for commit in self.read().commits)
        return self.at(number)

    def committed_times(self, numbers: Integers) -> Integers:
        commits = self.read().commits
        return np.array([commits[number - 1].committed_at for number in numbers.tolist()], np.int64)

    def commits(self, after: LogPosition, upto: int | None = None) -> Iterator[CommitPiece]:
        with self.store.mutex:
            log = (
                self.read() if after.commit == NO_COMMIT else self.store.logs[self.dataset.name, self.symbol]
            )
            if not has_position(log, after):
                raise Resync(self.symbol, log.head)
            return iter(list(pieces_after(self.dataset, log, after, upto)))

    def records(self, after: CommitId, count: int) -> list[CommitRecord]:
        pieces = self.commits(LogPosition(after), after.number + count)
        return [piece for piece in pieces if isinstance(piece, CommitRecord)]

    def end(self) -> LogEnd:
        with self.store.mutex:
            log = self.store.logs[self.dataset.name, self.symbol]
            if not log.commits:
                return LogEnd()
            return LogEnd(log.head, log.commits[-1].committed_at, len(log.originals))

    def add_commits(self, base: CommitId, commits: Sequence[WholeCommit]) -> None:
        with self.store.mutex:
            log = self.store.logs[self.dataset.name, self.symbol]
            if log.head != base:
                raise StoreUnavailable(f"{self.symbol} is not at commit {base.token} any more")
            for commit in commits:
                log.commits.append(MemoryCommit(commit.record, set()))
                add_rows(log, commit.rows.to_pylist())
                for row in commit.lines.to_pylist():
                    apply_change(
                        log,
                        row.pop(ARRIVAL.name),
                        Action(row.pop(action_name(self.dataset.schema.names))),
                        row,
                    )

    def read(self) -> MemoryLog:
        """Return the log. Raises `UnknownSymbol` if it has no commit."""
        return self.store.existing(self.dataset, self.symbol)


class MemorySnapshot(Snapshot):
    """A log in memory as of a commit."""

    log: MemoryHandle

    def checked(self) -> MemorySnapshot:
        """Return the snapshot. Raises `Resync` if the log does not have its commit."""
        self._log()
        return self

    def rows(self, window: Window, *, coded_texts: bool = False) -> pa.Table:
        return visible(self._stored(), self.commit.number, window)

    def versions(self, window: Window, columns: Collection[str] | None = None) -> pa.Table:
        rows = versions_until(self._stored(), self.commit.number)
        time_ns = rows.column(0).to_numpy()
        inside = (time_ns >= window.start_ns) & (time_ns < window.end_ns)
        return with_columns(stored_in_order(rows.filter(pa.array(inside))), columns)

    def row_origin(self, *, timestamp_ns: int, arrival: int) -> tuple[CommitId, int]:
        with self.log.store.mutex:
            log = self._log()
            number = log.originals[arrival].commit
            return log.commits[number - 1].id, arrival - first_arrival(log, number)

    def version(self, window: Window) -> CommitId:
        newest = int(self.touched_dates(window)[1].max(initial=0))
        return self._log().commits[newest - 1].id if newest else NO_COMMIT

    def completeness(self) -> Completeness:
        return completeness_of(self._log(), self.commit.number)

    def fills(self, window: Window) -> list[tuple[int, Fill]]:
        commits = self._log().commits[: self.commit.number]
        found = ((each.id.number, each.facts.fill) for each in commits)
        return [(number, fill) for number, fill in found if fill and fill.window.overlaps(window)]

    def take_window(self, window: Window, rows: int, *, from_end: bool = False) -> Window:
        times = self.rows(window).column(0).to_pylist()
        if len(times) < rows:
            return window
        if from_end:
            return Window(times[-rows], window.end_ns)
        return Window(window.start_ns, times[rows - 1] + 1)

    def row_bound(self, window: Window) -> int:
        return int(self.rows(window).num_rows)

    def touched_dates(self, window: Window) -> tuple[Integers, Integers]:
        dates = range(window.start_ns // DAY_NS, (window.end_ns - 1) // DAY_NS + 1)
        newest: dict[int, int] = {}
        for commit in self._log().commits[: self.commit.number]:
            newest.update((date, commit.id.number) for date in commit.dates if date in dates)
        found = sorted(newest)
        return np.array(found, np.int64), np.array([newest[date] for date in found], np.int64)

    def _stored(self) -> pa.Table:
        return stored_rows_of(self.log.dataset, self._log())

    def _log(self) -> MemoryLog:
        log = self.log.read()
        if self.commit not in [commit.id for commit in log.commits]:
            raise Resync(self.log.symbol, log.head)
        return log


def visible(rows: pa.Table, commit: int, window: Window = ALL_TIME) -> pa.Table:
    """Return the rows in the window that stand at a commit, in order, without system columns."""
    time_ns = integers(rows, "timestamp")
    inside = (time_ns >= window.start_ns) & (time_ns < window.end_ns)
    selected = rows.filter(pa.array(standing_at(rows, commit) & inside))
    return stored_in_order(selected).drop_columns(SYSTEM_NAMES)
