"""A log of the cluster, and its snapshots."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from store import lazy_pyarrow as pa
from store.arrays import Integers
from store.bar_policies import AUCTION_WORDS, BarPolicy
from store.bars.aggregates import NO_AGGREGATES, Aggregates, merge
from store.bars.session_bars import aggregate_rows
from store.clickhouse.catalogue import Catalogue, StoredLog
from store.clickhouse.cluster_walk import ClusterWalk
from store.clickhouse.newest import NewestCommits
from store.clickhouse.row_tables import LeastCounts, RowTables, SeenRows, among, in_window
from store.clickhouse.shard_bars import ShardQuery, level_of
from store.clickhouse.writer import ClusterWriter
from store.declarations import Dataset
from store.exceptions import UnknownSymbol
from store.left_snapshot import left_of
from store.log import EmptySnapshot, Log, Snapshot
from store.protocol import NO_COMMIT, CommitId, Completeness, Fill, Window
from store.rows.stored_rows import SYSTEM_NAMES, standing_at, stored_in_order, with_columns
from store.timestamps import DAY_NS
from store.walk import CommitPiece, CommitRecord, LogEnd, LogPosition, Resync
from store.whole_commits import WholeCommit
from store.window_list import WindowList

# More windows than these are read as one.
_MOST_WINDOWS = 64
# If more intervals than these must be made of rows, all are.
_MOST_AGAIN = 2_000


class ClusterParts(NamedTuple):
    """What the logs of a store share."""

    catalogue: Catalogue
    newest: NewestCommits
    tables: RowTables
    writer: ClusterWriter


class ClusterLog(Log):
    """A log of a store in ClickHouse and PostgreSQL."""

    def __init__(
        self, log_of: Callable[[Dataset, str], Log], dataset: Dataset, symbol: str, parts: ClusterParts
    ) -> None:
        super().__init__(log_of, dataset, symbol)
        self.parts = parts

    def at(self, commit: CommitId | int | None = None) -> Snapshot:
        if commit in (0, NO_COMMIT):
            return EmptySnapshot(self)
        state = self.read()
        if commit is None:
            commit = state.head
        elif isinstance(commit, CommitId):
            self.check(state, commit)
        else:
            commit = self.parts.catalogue.ids(state.id, [commit])[0]
        return left_of(ClusterSnapshot(self, commit), state.expired)

    def as_of(self, instant_ns: int) -> Snapshot:
        state = self.read()
        if state.committed_at <= instant_ns:
            return left_of(ClusterSnapshot(self, state.head), state.expired)
        return self.at(self.parts.catalogue.number_as_of(state.id, instant_ns))

    def committed_times(self, numbers: Integers) -> Integers:
        return self.parts.catalogue.committed_times(self.read().id, numbers)

    def commits(self, after: LogPosition, upto: int | None = None) -> Iterator[CommitPiece]:
        state = self._state_with(after.commit)
        last = state.head.number if upto is None else min(upto, state.head.number)
        walk = ClusterWalk(self, state, self.parts.catalogue, self.parts.tables, self._check_again)
        return walk.pieces(after, last)

    def records(self, after: CommitId, count: int) -> list[CommitRecord]:
        state = self._state_with(after)
        last = min(after.number + count, state.head.number)
        return [record for record, _ in self.parts.catalogue.records(state.id, after.number + 1, last)]

    def _state_with(self, commit: CommitId) -> StoredLog:
        """Return the log as it is now. Raises `Resync` if it lacks a commit, `UnknownSymbol` if it has none."""
        state = self.parts.newest.state(self.dataset, self.symbol)
        if commit == NO_COMMIT and (state is None or not state.head.number):
            raise UnknownSymbol(self.symbol)
        if state is None:
            raise Resync(self.symbol, NO_COMMIT)
        self.check(state, commit)
        return state

    def end(self) -> LogEnd:
        state = self.parts.newest.state(self.dataset, self.symbol)
        return LogEnd() if state is None else LogEnd(state.head, state.committed_at, state.rows)

    def add_commits(self, base: CommitId, commits: Sequence[WholeCommit]) -> None:
        self.parts.writer.add((self.dataset, self.symbol), base, commits)

    def read(self) -> StoredLog:
        """Return the log as it is now. Raises `UnknownSymbol` if it has no commit."""
        state = self.parts.newest.state(self.dataset, self.symbol)
        if state is None or not state.head.number:
            raise UnknownSymbol(self.symbol)
        return state

    def check(self, state: StoredLog, commit: CommitId) -> None:
        """Raise `Resync` unless the log has a commit."""
        if commit not in (NO_COMMIT, state.head) and self.parts.catalogue.ids(state.id, [commit.number]) != [
            commit
        ]:
            raise Resync(self.symbol, state.head)

    def _check_again(self, commit: CommitId) -> None:
        """Raise `Resync` unless the log has a commit now."""
        self.check(self.read(), commit)


class ClusterSnapshot(Snapshot):
    """A log of the cluster as of a commit."""

    log: ClusterLog

    def rows(self, window: Window, *, coded_texts: bool = False) -> pa.Table:
        versions = self._versions(window, None)
        if versions.num_rows and versions.column("until").to_numpy().min() <= self.commit.number:
            versions = versions.filter(pa.array(standing_at(versions, self.commit.number)))
        return versions.drop_columns(SYSTEM_NAMES)

    def versions(self, window: Window, columns: Collection[str] | None = None) -> pa.Table:
        return with_columns(self._versions(window, columns), columns)

    def row_origin(self, *, timestamp_ns: int, arrival: int) -> tuple[CommitId, int]:
        return self.log.parts.catalogue.origins(self._state().id, [arrival])[0]

    def version(self, window: Window) -> CommitId:
        state = self._state()
        _, numbers = self.log.parts.catalogue.touched_dates(state.id, window, self.commit.number)
        newest = int(numbers.max(initial=0))
        if newest in (0, self.commit.number):
            return self.commit if newest else NO_COMMIT
        return self.log.parts.catalogue.ids(state.id, [newest])[0]

    def completeness(self) -> Completeness:
        state = self._state()
        if state.head == self.commit:
            return state.completeness
        return self.log.parts.catalogue.completeness(state.id, self.commit.number)

    def fills(self, window: Window) -> list[tuple[int, Fill]]:
        state = self._state()
        if not state.has_fills:
            return []
        facts = [each.facts for each in self.log.parts.catalogue.fills(state.id, window, self.commit.number)]
        return [(each.number, each.fill) for each in facts if each.fill is not None]

    def take_window(self, window: Window, rows: int, *, from_end: bool = False) -> Window:
        days = self.log.parts.catalogue.days(self._state().id, window, self.commit.number)
        read, total = np.empty(0, np.int64), 0
        for place, (day, count, _, _) in enumerate(reversed(days) if from_end else days):
            total += count
            if total < rows and place + 1 < len(days):
                continue
            # Of the dates so far some rows may be cancelled; then further dates are read.
            bounds = (
                Window(day * DAY_NS, window.end_ns)
                if from_end
                else Window(window.start_ns, (day + 1) * DAY_NS)
            )
            read = self._standing_times(bounds.within(window))
            if len(read) >= rows:
                break
        if len(read) < rows:
            return window
        if from_end:
            return Window(int(read[-rows]), window.end_ns)
        return Window(window.start_ns, int(read[rows - 1]) + 1)

    def row_bound(self, window: Window) -> int:
        state, stored = self._state(), self._stored()
        count = self.log.parts.tables.count
        bound = -count(stored, window, "corrections", "_action = 'cancel'") if state.has_corrections else 0
        for day, rows, first_ns, last_ns in self.log.parts.catalogue.days(
            state.id, window, self.commit.number
        ):
            if window.start_ns <= first_ns and last_ns < window.end_ns:
                bound += rows
            else:
                bound += count(stored, Window(day * DAY_NS, (day + 1) * DAY_NS).within(window))
        return bound

    def touched_dates(self, window: Window) -> tuple[Integers, Integers]:
        return self.log.parts.catalogue.touched_dates(self._state().id, window, self.commit.number)

    def aggregates(self, windows: WindowList, interval_ns: int, policy: BarPolicy) -> Aggregates:
        if policy.is_auction:
            return self._auctions(windows, interval_ns, policy)
        state, bounds = self._state(), windows.bounds
        level_ns = level_of(interval_ns)
        is_plain = policy.counts_every_print or not (policy.is_session or state.has_conditions)
        if level_ns is None or not is_plain or not 0 <= bounds.start_ns < bounds.end_ns:
            return super().aggregates(windows, interval_ns, policy)
        stored, where = state.rows_until(self.log.dataset, self.commit.number), _within(windows)
        query = ShardQuery(
            stored, where, level_ns, state.rows, state.volumes, state.notionals, state.has_sequences
        )
        found = query.run(self.log.parts.tables)
        if found is None:
            return super().aggregates(windows, interval_ns, policy)
        made, again, count = found
        least = self._least(state.id, windows)
        least.check(rows=count)
        if state.has_corrections:
            times = self.log.parts.tables.numbers(stored, where, "timestamp", kind="corrections")[0]
            least.check(corrections=len(times))
            corrected = times // level_ns * level_ns
            made, again = made[~np.isin(made.time, corrected)], np.union1d(again, corrected)
        if len(again) > _MOST_AGAIN:
            return super().aggregates(windows, interval_ns, policy)
        parts = [made]
        if len(again):
            some = f"({where}) AND {among(f'intDiv(timestamp, {level_ns})', again // level_ns)}"
            rows = stored_in_order(self.log.parts.tables.stored(stored, some))
            parts.append(aggregate_rows(rows, level_ns, policy))
        merged = merge(parts, interval_ns)
        return merged[windows.indices(merged.time)]

    def _auctions(self, windows: WindowList, interval_ns: int, policy: BarPolicy) -> Aggregates:
        """Return the aggregates of the prints of auctions. Only rows with their words are read, and corrected ones."""
        state = self._state()
        if not (state.has_conditions or state.has_corrections) or not len(windows):
            return NO_AGGREGATES
        stored, where, tables = (
            state.rows_until(self.log.dataset, self.commit.number),
            _within(windows),
            self.log.parts.tables,
        )
        wanted = " OR ".join(f"position(conditions, '{word}') > 0" for word in AUCTION_WORDS)
        if state.has_corrections:
            corrected = np.unique(tables.numbers(stored, where, "timestamp", kind="corrections")[0])
            wanted = f"ifNull({wanted}, 0) OR {among('timestamp', corrected)}" if len(corrected) else wanted
        rows = stored_in_order(tables.stored(stored, where, also=f"({wanted})"))
        made = aggregate_rows(rows, interval_ns, policy)
        return made[windows.indices(made.time)]

    def first_commit_from(self, instant_ns: int) -> int | None:
        return self.log.parts.catalogue.first_from(self._state().id, instant_ns, self.commit.number)

    def _standing_times(self, window: Window) -> Integers:
        versions = self._versions(window, ())
        times: Integers = versions.column(0).to_numpy()
        return times[standing_at(versions, self.commit.number)]

    def _versions(self, window: Window, columns: Collection[str] | None) -> pa.Table:
        stored, times = self._stored(), in_window(window)
        least = self._least(stored.log, WindowList.of(window))
        return stored_in_order(self.log.parts.tables.stored(stored, times, columns, least=least))

    def _least(self, log: int, windows: WindowList) -> LeastCounts:
        """Return how many rows and corrections the windows have by the commits: a shard may have lost some."""
        read = windows if len(windows) <= _MOST_WINDOWS else WindowList.of(windows.bounds)
        return self.log.parts.catalogue.least_counts(log, read, self.commit.number)

    def _stored(self) -> SeenRows:
        return self._state().rows_until(self.log.dataset, self.commit.number)

    def _state(self) -> StoredLog:
        """Return the log as it is now. Raises `Resync` if it no longer has the snapshot's commit."""
        state = self.log.read()
        self.log.check(state, self.commit)
        return state


def _within(windows: WindowList) -> str:
    """Return the condition of the event times of windows in SQL, and perhaps of others between them."""
    if len(windows) > _MOST_WINDOWS:
        return in_window(windows.bounds)
    each = zip(windows.start_ns.tolist(), windows.end_ns.tolist(), strict=True)
    return " OR ".join(f"({in_window(Window(*window))})" for window in each)
