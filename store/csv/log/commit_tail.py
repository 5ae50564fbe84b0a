"""The commits that follow a commit index, as objects in memory."""

from bisect import bisect_right

from store.csv.log.commit_index import CommitIndex
from store.csv.log.date_table import DateTable, dates_of
from store.csv.log.log_lines import Line
from store.csv.parts.commit import Commit, PartKind
from store.csv.parts.stored_part import Accepted, StoredPart
from store.protocol import CommitId, Window


def _commit_of(stored: StoredPart) -> int:
    return stored.commit


class CommitTail:
    """Grows only. One thread adds while others read: a commit counts once it is the head, which comes last.

    dates: of the index's commits, too. end: the offset in the log behind the newest line. rows: arrivals so
    far.
    """

    def __init__(self, base: CommitIndex) -> None:
        self.head = base.head
        self.committed_at = base.committed_at
        self.end = base.end
        self.rows = base.rows
        self.dates = DateTable(base.dates, base.newest, base.first_ns, base.last_ns)
        self.file_ends: dict[str, int] = {}
        self.added: list[Line] = []
        self.digests: set[str] = set()
        self._first = base.number + 1
        self._start = base.end
        self._days: dict[int, list[StoredPart]] = {}
        self._accepted: dict[tuple[str, str], Accepted] = {}
        self._committed_at: list[int] = []

    def add(self, commit: Commit, commit_id: CommitId, line_end: int) -> None:
        """Take in the commit that follows the newest."""
        for part in commit.parts:
            is_rows = part.kind == PartKind.ROWS
            stored = StoredPart(commit.commit, self.rows if is_rows else 0, part)
            self._days.setdefault(part.day, []).append(stored)
            self.dates.add(part.day, commit.commit, part.first_ns, part.last_ns)
            self.file_ends[part.file] = part.end
            self.rows += part.rows if is_rows else 0
        self.digests.add(commit.digest)
        if commit.key_hash is not None:
            receipt = commit.receipt(commit_id.hash, replayed=True)
            self._accepted[commit.caller, commit.key_hash] = Accepted(commit.digest, receipt)
        self.committed_at, self.end = commit.committed_at, line_end
        self.added.append((commit, commit_id, line_end))
        self._committed_at.append(commit.committed_at)
        self.head = commit_id

    def __len__(self) -> int:
        return len(self.added)

    @property
    def log_bytes(self) -> int:
        """How long the commits' lines are."""
        return self.end - self._start

    def commit_id(self, number: int) -> CommitId:
        """The commit with a number."""
        return self.added[number - self._first][1]

    def commit_as_of(self, instant_ns: int) -> int | None:
        """The number of the newest commit made at or before an instant; None if it is older than these."""
        count = bisect_right(self._committed_at, instant_ns)
        return min(self._first + count - 1, self.head.number) if count else None

    def committed_at_of(self, number: int) -> int:
        """When a commit was made, in nanoseconds UTC."""
        return self._committed_at[number - self._first]

    def accepted(self, caller: str, key_hash: str) -> Accepted | None:
        """What a caller's idempotency key with that hash stored."""
        return self._accepted.get((caller, key_hash))

    def newest_at(self, date: int, at: int) -> int:
        """The newest of these commits, up to `at`, with rows of a date; 0 if there is none."""
        parts = self._days.get(date, ())
        count = bisect_right(parts, at, key=_commit_of)
        return parts[count - 1].commit if count else 0

    def parts_in(self, window: Window, after: int, at: int) -> list[StoredPart]:
        """The parts of commits in `(after, at]` with times in the window; by event date, then commit."""
        return [
            stored
            for date in self._dates_in(window)
            for stored in self._parts_of(date, after, at)
            if stored.part.first_ns < window.end_ns and stored.part.last_ns >= window.start_ns
        ]

    def _parts_of(self, date: int, after: int, at: int) -> list[StoredPart]:
        parts = self._days[date]
        start = bisect_right(parts, after, key=_commit_of)
        return parts[start : bisect_right(parts, at, lo=start, key=_commit_of)]

    def _dates_in(self, window: Window) -> list[int]:
        first, last = dates_of(window)
        if last - first < len(self._days):
            return [date for date in range(first, last + 1) if date in self._days]
        return sorted(date for date in list(self._days) if first <= date <= last)
