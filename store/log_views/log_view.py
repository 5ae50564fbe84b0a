"""A view of one log as of a commit: its first and last rows, its rows backwards, and its coverage."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from store import lazy_pyarrow as pa
from store.arrays import Integers
from store.declarations import Dataset
from store.protocol import ALL_TIME, NO_COMMIT, NOTHING_COMPLETE, CommitId, Completeness, Fill, Window
from store.queries import QueryableStore
from store.rows.knowledge import KnowledgeTimes, event_ends_ns, known_times
from store.rows.stored_rows import SYSTEM_NAMES, stored_schema, with_columns
from store.terms import Settle

# The number of rows that `rows_backwards` reads at first; it grows up to `ROWS_AT_ONCE`.
_FEW_ROWS = 64
ROWS_AT_ONCE = 1 << 18


@dataclass(frozen=True, slots=True)
class LogView:
    """One log of a symbol as of a commit.

    commit: the newest commit that is read; `NO_COMMIT` means that nothing is read. head: the newest commit that
    could be read. `commit` may be older than `head` if the commits after it do not change the answer. settle:
    each row is as it was known at its event plus this; None for rows as they are known now.
    """

    store: QueryableStore
    dataset: Dataset
    symbol: str
    commit: CommitId
    head: CommitId
    settle: Settle | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is read."""
        return self.commit == NO_COMMIT

    @property
    def key(self) -> str:
        """The text for cache keys: the commit's number, enough of its hash to recognise a restored log, and `settle`."""
        then = "" if self.settle is None else f"-then{self.settle.key}"
        return f"{self.commit.number}-{self.commit.hash[:12]}{then}"

    def rows(self, window: Window, *, coded_texts: bool = False) -> pa.Table:
        """See `QueryableStore.rows`."""
        if self.is_empty:
            return self.dataset.schema.empty_table()
        if self.settle is not None:
            return self._rows_then(window, self.settle)
        return self.store.rows(
            self.dataset, self.symbol, window, commit=self.commit.number, coded_texts=coded_texts
        )

    def versions(self, window: Window, columns: Collection[str] | None = None) -> pa.Table:
        """See `MarketStore.versions`."""
        if self.is_empty:
            return with_columns(stored_schema(self.dataset).empty_table(), columns)
        return self.store.versions(
            self.dataset, self.symbol, window, commit=self.commit.number, columns=columns
        )

    def _rows_then(self, window: Window, settle: Settle) -> pa.Table:
        versions = self.versions(window)
        known = self.known_times(versions).at(settle.after(event_ends_ns(self.dataset, versions)))
        return versions.filter(pa.array(known)).drop_columns(SYSTEM_NAMES)

    def rows_at(self, window: Window, instant_ns: int) -> pa.Table:
        """Return the window's rows as they were known at an instant."""
        versions = self.versions(window)
        known = self.known_times(versions).at(np.full(versions.num_rows, instant_ns))
        return versions.filter(pa.array(known)).drop_columns(SYSTEM_NAMES)

    def rows_known(self, window: Window, instants: Integers) -> Iterator[tuple[Integers, pa.Table]]:
        """Yield groups of instants, as their indices, with the window's rows as they were known at them plus `settle`.

        Without a `settle` all instants have the same rows.
        """
        if self.settle is None:
            yield np.arange(len(instants)), self.rows(window)
            return
        versions, known_ns = self.versions(window), self.settle.after(instants)
        times = self.known_times(versions)
        changes = np.unique(np.concatenate([times.from_ns, times.until_ns]))
        group = changes.searchsorted(known_ns, side="right")
        for each in np.unique(group).tolist():
            index = np.flatnonzero(group == each)
            known = times.at(np.full(versions.num_rows, known_ns[index[0]]))
            yield index, versions.filter(pa.array(known)).drop_columns(SYSTEM_NAMES)

    def known_times(self, versions: pa.Table, event_ns: Integers | None = None) -> KnowledgeTimes:
        """Return when each version was known. versions: all of each row; filter the result, not the argument.

        event_ns: when each version's event was over; None for `event_ends_ns`.
        """
        event_ns = event_ends_ns(self.dataset, versions) if event_ns is None else event_ns
        return known_times(
            versions, event_ns, lambda number: self.store.committed_at(self.dataset, self.symbol, number)
        )

    def take_window(self, window: Window, rows: int, *, from_end: bool = False) -> Window:
        """See `QueryableStore.take_window`. It counts all rows, also those that `settle` hides.

        If nothing is read, return the whole window.
        """
        if self.is_empty:
            return window
        return self.store.take_window(
            self.dataset, self.symbol, window, rows, from_end=from_end, commit=self.commit.number
        )

    def row_bound(self, window: Window) -> int:
        """See `QueryableStore.row_bound`. It counts all rows, also those that `settle` hides. 0 for an empty window."""
        if self.is_empty or window.start_ns >= window.end_ns:
            return 0
        return self.store.row_bound(self.dataset, self.symbol, window, commit=self.commit.number)

    def extent(self, window: Window, *, after: int = 0) -> tuple[int, int] | None:
        """See `QueryableStore.extent`; None if nothing is read."""
        if self.is_empty:
            return None
        return self.store.extent(self.dataset, self.symbol, window, after=after, commit=self.commit.number)

    def completeness(self) -> Completeness:
        """Return how far the log is known to be complete."""
        if self.is_empty:
            return NOTHING_COMPLETE
        return self.store.completeness(self.dataset, self.symbol, commit=self.commit.number)

    def fills(self, window: Window) -> list[tuple[int, Fill]]:
        """See `MarketStore.fills`. A fill without rows does not change `version`: pin what this returns."""
        if self.is_empty:
            return []
        return self.store.fills(self.dataset, self.symbol, window, commit=self.commit.number)

    def complete_until(self, settle: Settle) -> int:
        """Return the instant up to which no row is missing, by the newest row and what the feed declared."""
        completeness = self.completeness()
        return max(settle.over_until(completeness.newest_ns), completeness.complete_until_ns)

    def version(self, window: Window) -> CommitId:
        """Return the newest commit that touches an event date of the window; `NO_COMMIT` if none does."""
        if self.is_empty or window.start_ns >= window.end_ns:
            return NO_COMMIT
        return self.store.version(self.dataset, self.symbol, window, commit=self.commit.number)


def view_as_of(store: QueryableStore, dataset: Dataset, symbol: str, commit: int | None) -> LogView:
    """Return a log as of the commit with this number; None means the newest, 0 the log before its first commit.

    Raises `UnknownSymbol`.
    """
    head = store.head(dataset, symbol, commit=commit)
    return LogView(store, dataset, symbol, head, head)


def empty_view(store: QueryableStore, dataset: Dataset, symbol: str) -> LogView:
    """Return a view of a log that reads nothing; the log need not exist."""
    return LogView(store, dataset, symbol, NO_COMMIT, NO_COMMIT)


def first_row(view: LogView, start_ns: int = ALL_TIME.start_ns) -> pa.Table | None:
    """Return the first row at or after an instant, as a table of one row; None if there is none."""
    return _outermost_row(view, Window(start_ns, ALL_TIME.end_ns), from_end=False)


def last_row(view: LogView, end_ns: int = ALL_TIME.end_ns) -> pa.Table | None:
    """Return the last row before an instant, as a table of one row; None if there is none."""
    return _outermost_row(view, Window(ALL_TIME.start_ns, end_ns), from_end=True)


def _outermost_row(view: LogView, window: Window, *, from_end: bool) -> pa.Table | None:
    """Return the last or the first row of a window. If `settle` hides it, ever more rows are searched."""
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
    read: Callable[[Window], pa.Table] | None = None,
) -> Iterator[pa.Table]:
    """Yield the rows in `[start_ns, end_ns)` in tables, the last table first; tables become longer.

    No table is empty. Rows with the same event time are never split. read: by default `view.rows`.
    """
    read = view.rows if read is None else read
    count, window = _FEW_ROWS, Window(start_ns, end_ns)
    while window.start_ns < window.end_ns:
        part = view.take_window(window, count, from_end=True)
        rows = read(part)
        if rows.num_rows:
            yield rows
        count, window = min(4 * count, ROWS_AT_ONCE), Window(window.start_ns, part.start_ns)


class Coverage(NamedTuple):
    """A summary of a log's rows that are not cancelled.

    first_ns, last_ns: the first and the last event time, nanoseconds UTC; None without rows. rows: the number
    of rows; it may be too high only if derived files hold commits after `head` (see
    `QueryableStore.row_bound`). commits: the number of `head`, the newest commit that is counted.
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
