"""The commits after a commit index, in memory, and the table of a log's event dates."""

from bisect import bisect_right
from dataclasses import dataclass

import numpy as np

from store.arrays import Integers
from store.commits import Facts
from store.csv.files.commit_records import (
    AcceptedBatch,
    Commit,
    CommitLine,
    DateSummary,
    PartKind,
    StoredPart,
)
from store.csv.log.commit_index import CommitIndex, dates_of
from store.protocol import CommitId, Completeness, Fill, Window

_SPARE_ROWS = 16


@dataclass(slots=True)
class _DateColumns:
    """Columns with spare capacity: only the first `count` entries are valid."""

    dates: Integers
    newest: Integers
    first_ns: Integers
    last_ns: Integers
    count: int

    def copy_with_gap(self, index: int) -> "_DateColumns":
        """Return a copy with space to grow and an empty entry at `index`. Its `count` is unchanged."""

        def copy(column: Integers) -> Integers:
            new = np.zeros(self.count + self.count // 8 + _SPARE_ROWS, np.int64)
            new[:index] = column[:index]
            new[index + 1 : self.count + 1] = column[index : self.count]
            return new

        return _DateColumns(
            copy(self.dates), copy(self.newest), copy(self.first_ns), copy(self.last_ns), self.count
        )


class DateTable:
    """The event dates of a log in order, with the newest commit and the range of event times of each date.

    The columns that it starts with belong to another object, so it copies them before its first change. One
    thread may add while others read; the readers may see a commit that is only partly added.
    """

    def __init__(self, dates: Integers, newest: Integers, first_ns: Integers, last_ns: Integers) -> None:
        self._rows = _DateColumns(dates, newest, first_ns, last_ns, len(dates))
        self._is_own = False

    def add(self, date: int, commit: int, first_ns: int, last_ns: int) -> None:
        """Add a part of the newest commit. date: the part's event date."""
        rows, index = self._rows, self._index(date)
        if index == rows.count or rows.dates[index] != date:
            self._insert(index, date, commit, first_ns, last_ns)
            return
        if not self._is_own:
            rows = rows.copy_with_gap(rows.count)  # adds space at the end
        rows.newest[index] = commit
        rows.first_ns[index] = min(first_ns, int(rows.first_ns[index]))
        rows.last_ns[index] = max(last_ns, int(rows.last_ns[index]))
        self._rows, self._is_own = rows, True

    def day(self, date: int) -> DateSummary | None:
        """Return the summary of a date, or None."""
        rows, index = self._rows, self._index(date)
        if index == rows.count or rows.dates[index] != date:
            return None
        return DateSummary(int(rows.newest[index]), int(rows.first_ns[index]), int(rows.last_ns[index]))

    def newest_in(self, window: Window) -> tuple[Integers, Integers]:
        """Return the window's dates and their newest commits. Both are views, which `add` may change."""
        rows = self._rows
        dates = rows.dates[: rows.count]
        first, last = dates_of(window)
        start, stop = dates.searchsorted(first), dates.searchsorted(last, "right")
        return dates[start:stop], rows.newest[start:stop]

    def _index(self, date: int) -> int:
        rows = self._rows
        if rows.count and rows.dates[rows.count - 1] == date:  # mostly the newest date
            return rows.count - 1
        return int(rows.dates[: rows.count].searchsorted(date))

    def _insert(self, index: int, date: int, commit: int, first_ns: int, last_ns: int) -> None:
        rows = self._rows
        if not self._is_own or index < rows.count or rows.count == len(rows.dates):
            rows = rows.copy_with_gap(index)
        for column, value in (
            (rows.dates, date),
            (rows.newest, commit),
            (rows.first_ns, first_ns),
            (rows.last_ns, last_ns),
        ):
            column[index] = value
        rows.count += 1
        self._rows, self._is_own = rows, True


def _commit_of(stored: StoredPart) -> int:
    return stored.commit


class CommitTail:
    """The commits after an index. Commits are only ever added.

    One thread may add while others read: a commit is visible once it is the head, which is set last. dates:
    the dates of all commits, including those in the index. end: the offset in the log after the newest
    commit's line. rows: the number of rows ever appended, including those of the index's commits. superseding: the
    commits that superseded rows of fills.
    """

    def __init__(self, base: CommitIndex) -> None:
        self.head = base.head
        self.committed_at = base.committed_at
        self.end = base.end
        self.rows = base.rows
        self.dates = DateTable(base.dates, base.newest, base.first_ns, base.last_ns)
        self.file_ends: dict[str, int] = {}
        self.added: list[CommitLine] = []
        self.digests: set[str] = set()
        self._fills: list[tuple[int, Fill]] = []
        self.superseding: list[Facts] = []
        self._first = base.number + 1
        self._start = base.end
        self._days: dict[int, list[StoredPart]] = {}
        self._accepted: dict[tuple[str, str], AcceptedBatch] = {}
        self._committed_at: list[int] = []
        self._base_completeness = base.newest_completeness
        self._completeness: list[Completeness] = []

    def add(self, commit: Commit, commit_id: CommitId, line_end: int) -> None:
        """Add the next commit."""
        for part in commit.parts:
            is_rows = part.kind == PartKind.ROWS
            stored = StoredPart(commit.number, self.rows if is_rows else 0, part)
            self._days.setdefault(part.day, []).append(stored)
            self.dates.add(part.day, commit.number, part.first_ns, part.last_ns)
            self.file_ends[part.file] = part.end
            self.rows += part.rows if is_rows else 0
        facts = commit.facts
        self.digests.add(facts.digest)
        if facts.fill is not None:
            self._fills.append((facts.number, facts.fill))
        if facts.superseded:
            self.superseding.append(facts)
        if facts.key_hash is not None:
            receipt = facts.receipt(commit_id.hash, replayed=True)
            self._accepted[facts.caller, facts.key_hash] = AcceptedBatch(facts.digest, receipt)
        self.committed_at, self.end = facts.committed_at, line_end
        self.added.append((commit, commit_id, line_end))
        self._committed_at.append(facts.committed_at)
        self._completeness.append(commit.completeness_after(self.completeness(self.head.number)))
        self.head = commit_id

    def __len__(self) -> int:
        return len(self.added)

    @property
    def log_bytes(self) -> int:
        """The length of the commits' lines in bytes."""
        return self.end - self._start

    def commit_id(self, number: int) -> CommitId:
        """Return the id of a commit."""
        return self.added[number - self._first][1]

    def line_end(self, number: int) -> int:
        """Return the offset in the log after a commit's line."""
        return self.added[number - self._first][2]

    def commit_as_of(self, instant_ns: int) -> int | None:
        """Return the number of the newest commit made at or before an instant; None if it is not in the tail."""
        count = bisect_right(self._committed_at, instant_ns)
        return min(self._first + count - 1, self.head.number) if count else None

    def committed_at_of(self, number: int) -> int:
        """Return the time of a commit, in nanoseconds UTC."""
        return self._committed_at[number - self._first]

    def committed_times(self, numbers: Integers) -> Integers:
        """Return the times of commits, in nanoseconds UTC."""
        return np.array(self._committed_at, np.int64)[numbers - self._first]

    def completeness(self, number: int) -> Completeness:
        """Return the log's completeness after a commit that is not older than the newest one of the index."""
        index = number - self._first
        return self._base_completeness if index < 0 else self._completeness[index]

    def accepted(self, caller: str, key_hash: str) -> AcceptedBatch | None:
        """Return the batch stored under a caller's key (given by its hash), or None."""
        return self._accepted.get((caller, key_hash))

    def fills(self, window: Window, commit: int) -> list[tuple[int, Fill]]:
        """Return the tail's fills up to `commit` whose windows overlap a window, with their commits."""
        return [
            (number, fill)
            for number, fill in self._fills
            if number <= commit and fill.window.overlaps(window)
        ]

    def newest_at(self, date: int, commit: int) -> int:
        """Return the tail's newest commit, not after `commit`, that touches a date; 0 if there is none."""
        parts = self._days.get(date, ())
        count = bisect_right(parts, commit, key=_commit_of)
        return parts[count - 1].commit if count else 0

    def parts_in(self, window: Window, after: int, commit: int) -> list[StoredPart]:
        """Return the parts of commits in `(after, commit]` with times in the window.

        They are ordered by event date, then by commit.
        """
        return [
            stored
            for date in self._dates_in(window)
            for stored in self._parts_of(date, after, commit)
            if stored.part.first_ns < window.end_ns and stored.part.last_ns >= window.start_ns
        ]

    def _parts_of(self, date: int, after: int, commit: int) -> list[StoredPart]:
        parts = self._days[date]
        start = bisect_right(parts, after, key=_commit_of)
        return parts[start : bisect_right(parts, commit, lo=start, key=_commit_of)]

    def _dates_in(self, window: Window) -> list[int]:
        first, last = dates_of(window)
        if last - first < len(self._days):
            return [date for date in range(first, last + 1) if date in self._days]
        return sorted(date for date in list(self._days) if first <= date <= last)
