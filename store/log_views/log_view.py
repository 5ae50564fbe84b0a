"""A view of one log as of a commit: its first and last rows, its rows backwards, and its coverage."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from store import lazy_pyarrow as pa
from store.arrays import Integers
from store.declarations import Dataset
from store.expiries import NOTHING_EXPIRED
from store.log import Log, Snapshot
from store.protocol import ALL_TIME, NO_COMMIT, CommitId, Window
from store.rows.knowledge import KnowledgeTimes, event_ends_ns, known_times

# The number of rows that `rows_backwards` reads at first; it grows up to `ROWS_AT_ONCE`.
_FEW_ROWS = 64
ROWS_AT_ONCE = 1 << 18


@dataclass(frozen=True, slots=True)
class LogView:
    """A snapshot of a log, as an answer reads it.

    head: the newest commit that could be read. The snapshot may be older than `head` if the commits after it do not
    change the answer.
    """

    snapshot: Snapshot
    head: CommitId

    def log_of(self, dataset: Dataset, symbol: str) -> Log:
        """Return another log of the same store."""
        return self.snapshot.log.log_of(dataset, symbol)

    @property
    def dataset(self) -> Dataset:
        """The log's dataset."""
        return self.snapshot.log.dataset

    @property
    def symbol(self) -> str:
        """The log's symbol."""
        return self.snapshot.log.symbol

    @property
    def commit(self) -> CommitId:
        """The commit that is read; `NO_COMMIT` means that nothing is read."""
        return self.snapshot.commit

    @property
    def is_empty(self) -> bool:
        """Whether nothing is read."""
        return self.snapshot.is_empty

    @property
    def key(self) -> str:
        """The text for cache keys: the commit's number, enough of its hash to recognise a restored log, expiry."""
        expired = self.snapshot.expired
        left = "" if expired == NOTHING_EXPIRED else f"-left{expired.before_ns}"
        return f"{self.commit.number}-{self.commit.hash[:12]}{left}"

    def at(self, commit: CommitId) -> LogView:
        """Return the same view of an older commit."""
        return replace(self, snapshot=self.snapshot.log.at(commit))

    def rows(self, window: Window, *, coded_texts: bool = False) -> pa.Table:
        """See `Snapshot.rows`."""
        return self.snapshot.rows(window, coded_texts=coded_texts)

    def versions(self, window: Window, columns: Collection[str] | None = None) -> pa.Table:
        """See `Snapshot.versions`."""
        return self.snapshot.versions(window, columns)

    def known_times(self, versions: pa.Table, event_ns: Integers | None = None) -> KnowledgeTimes:
        """Return when each version was known. versions: all of each row; filter the result, not the argument.

        event_ns: when each version's event was over; None for `event_ends_ns`.
        """
        event_ns = event_ends_ns(self.dataset, versions) if event_ns is None else event_ns
        return known_times(versions, event_ns, self.snapshot.log.committed_times)

    def take_window(self, window: Window, rows: int, *, from_end: bool = False) -> Window:
        """See `Snapshot.take_window`."""
        return self.snapshot.take_window(window, rows, from_end=from_end)

    def row_bound(self, window: Window) -> int:
        """See `Snapshot.row_bound`. 0 for an empty window."""
        return self.snapshot.row_bound(window) if window.start_ns < window.end_ns else 0

    def version(self, window: Window) -> CommitId:
        """See `Snapshot.version`. `NO_COMMIT` for an empty window."""
        return self.snapshot.version(window) if window.start_ns < window.end_ns else NO_COMMIT

    def last_event_ns(self) -> int:
        """Return the largest event time, also of a row that is dated ahead, which counts as earlier in `completeness`.

        `ALL_TIME.start_ns` without rows.
        """
        newest_ns = self.snapshot.completeness().newest_ns
        if self.snapshot.first_commit_from(newest_ns + 1) is None:
            return newest_ns
        ahead = Window(newest_ns + 1, ALL_TIME.end_ns)
        return self.snapshot.take_window(ahead, 1, from_end=True).start_ns

    def complete_until(self, settle_ns: int) -> int:
        """Return the instant up to which no row is missing, by the newest row and what the feed declared."""
        completeness = self.snapshot.completeness()
        return max(completeness.newest_ns - settle_ns, completeness.complete_until_ns)


def view_of(snapshot: Snapshot) -> LogView:
    """Return a view of a snapshot."""
    return LogView(snapshot, snapshot.commit)


def empty_view(log: Log) -> LogView:
    """Return a view of a log that reads nothing; the log need not exist."""
    return view_of(log.at(NO_COMMIT))


def first_row(view: LogView, start_ns: int = ALL_TIME.start_ns) -> pa.Table | None:
    """Return the first row at or after an instant, as a table of one row; None if there is none."""
    return _outermost_row(view, Window(start_ns, ALL_TIME.end_ns), from_end=False)


def last_row(view: LogView, end_ns: int = ALL_TIME.end_ns) -> pa.Table | None:
    """Return the last row before an instant, as a table of one row; None if there is none."""
    return _outermost_row(view, Window(ALL_TIME.start_ns, end_ns), from_end=True)


def _outermost_row(view: LogView, window: Window, *, from_end: bool) -> pa.Table | None:
    """Return the last or the first row of a window. If rows are cancelled, ever more are searched."""
    count = 1
    while window.start_ns < window.end_ns:
        part = view.take_window(window, count, from_end=from_end)
        rows = view.rows(part)
        if rows.num_rows:
            return rows.slice(rows.num_rows - 1 if from_end else 0, 1)
        window = Window(window.start_ns, part.start_ns) if from_end else Window(part.end_ns, window.end_ns)
        count *= 4
    return None


def rows_backwards(
    view: LogView,
    end_ns: int = ALL_TIME.end_ns,
    *,
    start_ns: int = ALL_TIME.start_ns,
) -> Iterator[pa.Table]:
    """Yield the rows in `[start_ns, end_ns)` in tables, the last table first; tables become longer.

    No table is empty. Rows with the same event time are never split.
    """
    count, window = _FEW_ROWS, Window(start_ns, end_ns)
    while window.start_ns < window.end_ns:
        part = view.take_window(window, count, from_end=True)
        rows = view.rows(part)
        if rows.num_rows:
            yield rows
        count, window = min(4 * count, ROWS_AT_ONCE), Window(window.start_ns, part.start_ns)


def stored_times(view: LogView, window: Window) -> Integers:
    """Return the event times of all versions of a window's rows; of expired trades the starts of their minutes."""
    minutes = view.snapshot.times_of_minutes(window)
    left = Window(max(window.start_ns, view.snapshot.expired.before_ns), window.end_ns)
    if left.start_ns >= left.end_ns:
        return minutes
    times: Integers = view.versions(left, ()).column("timestamp").to_numpy()
    return np.concatenate([minutes, times])


class Coverage(NamedTuple):
    """A summary of a log's rows that are not cancelled.

    first_ns, last_ns: the first and the last event time, nanoseconds UTC; None without rows. rows: their number; see
    `Snapshot.row_bound`. commits: the number of `head`, the newest commit that is counted.
    """

    first_ns: int | None
    last_ns: int | None
    rows: int
    commits: int
    head: CommitId


def log_coverage(view: LogView) -> Coverage:
    """Return the coverage of a log as of its commit. Reads only a few rows at both ends."""
    head = view.commit
    first = first_row(view)
    if first is None:
        return Coverage(None, None, 0, head.number, head)
    last = last_row(view)
    newest = first if last is None else last
    return Coverage(
        first_ns=first.column(0)[0].as_py(),
        last_ns=newest.column(0)[0].as_py(),
        rows=view.row_bound(ALL_TIME),
        commits=head.number,
        head=head,
    )
