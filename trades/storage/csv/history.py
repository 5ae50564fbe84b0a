"""What a log's commit records say, held in memory: versions, parts by event date, known requests and batches."""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trades.storage.commit import Commit, Part, PartKind
from trades.storage.protocol import NO_COMMIT, CommitId, Receipt, Window
from trades.timestamps import DAY_NS


@dataclass(frozen=True, slots=True)
class StoredPart:
    """A part with the number of its commit, and the arrival number of its first row (0 for corrections)."""

    commit: int
    first_arrival: int
    part: Part


@dataclass(slots=True)
class Day:
    """One event date: its parts, at least one, in order of commit, and the bounds of their event times."""

    parts: list[StoredPart]
    first_ns: int
    last_ns: int

    def add(self, stored: StoredPart) -> None:
        """Take a newer part in."""
        self.parts.append(stored)
        self.first_ns = min(self.first_ns, stored.part.first_ns)
        self.last_ns = max(self.last_ns, stored.part.last_ns)

    def newest_file(self, kind: PartKind) -> str | None:
        """The file of the newest part of a kind; None without any."""
        return next((stored.part.file for stored in reversed(self.parts) if stored.part.kind == kind), None)

    def count_at(self, at: int) -> int:
        """How many of the parts were there at a commit."""
        count = len(self.parts)  # once: a writer may be adding
        if self.parts[count - 1].commit <= at:
            return count
        return bisect_right(self.parts, at, hi=count, key=lambda stored: stored.commit)

    def newest_at(self, at: int) -> int:
        """The number of the newest commit, up to `at`, with rows of this date; 0 if there is none."""
        count = self.count_at(at)
        return self.parts[count - 1].commit if count else 0


@dataclass(frozen=True, slots=True)
class Accepted:
    """A batch that was stored under an idempotency key."""

    digest: str
    receipt: Receipt


class History:
    """The commits of one log, from the first to the newest. Grows only; a restored log gets a new history.

    One thread adds while others read: what they see is whole commits.
    """

    def __init__(self) -> None:
        self.days: dict[int, Day] = {}
        self.file_ends: dict[str, int] = {}
        self.rows = 0
        self._hashes: list[str] = []
        self._committed_at: list[int] = []
        self._accepted: dict[tuple[str, str], Accepted] = {}
        self._digests: set[str] = set()

    def add(self, commit: Commit, commit_hash: str) -> None:
        """Take in the commit that follows the newest."""
        for part in commit.parts:
            is_rows = part.kind == PartKind.ROWS
            stored = StoredPart(commit.commit, self.rows if is_rows else 0, part)
            self.rows += part.rows if is_rows else 0
            if part.day in self.days:
                self.days[part.day].add(stored)
            else:
                self.days[part.day] = Day([stored], part.first_ns, part.last_ns)
            self.file_ends[part.file] = part.end
        self._digests.add(commit.digest)
        if commit.request_key is not None:
            receipt = commit.receipt(commit_hash, replayed=True)
            self._accepted[commit.caller, commit.request_key] = Accepted(commit.digest, receipt)
        self._committed_at.append(commit.committed_at)
        self._hashes.append(commit_hash)

    def head(self, at: int | None = None) -> CommitId:
        """The newest commit, or the one numbered `at`."""
        number = self._known(at)
        return CommitId(number, self._hashes[number - 1]) if number else NO_COMMIT

    @property
    def committed_at(self) -> int:
        """When the newest commit was made, in nanoseconds UTC; 0 without any."""
        return self._committed_at[-1] if self._committed_at else 0

    def commit_as_of(self, instant_ns: int) -> int:
        """The number of the newest commit made at or before an instant."""
        return bisect_right(self._committed_at, instant_ns)

    def accepted(self, caller: str, request_key: str) -> Accepted | None:
        """What a caller's idempotency key stored."""
        return self._accepted.get((caller, request_key))

    def knows_batch(self, digest: str) -> bool:
        """Whether a batch with the same rows was accepted before."""
        return digest in self._digests

    def version(self, window: Window, at: int | None = None) -> CommitId:
        """The newest commit, up to `at`, that touches an event date of the window."""
        known = self._known(at)
        return self.head(max((day.newest_at(known) for day in self._days_in(window)), default=0))

    def dates(self, window: Window) -> npt.NDArray[np.int64]:
        """The event dates in the window that any commit touches, in days since the epoch, ascending."""
        return np.array([day.parts[0].part.day for day in self._days_in(window)], dtype=np.int64)

    def parts_in(self, window: Window, at: int | None = None, *, after: int = 0) -> list[StoredPart]:
        """The parts of commits in `(after, at]` with event times in the window; by event date, then by commit."""
        known = self._known(at)
        return [
            stored
            for day in self._days_in(window)
            for stored in day.parts[day.count_at(after) : day.count_at(known)]
            if stored.part.first_ns < window.end_ns and stored.part.last_ns >= window.start_ns
        ]

    def _known(self, at: int | None) -> int:
        """The commit to answer as of. One that is being added counts once its hash is there, which comes last."""
        return len(self._hashes) if at is None else at

    def _days_in(self, window: Window) -> Iterator[Day]:
        first, last = window.start_ns // DAY_NS, (window.end_ns - 1) // DAY_NS
        if last - first < len(self.days):
            dates = [date for date in range(first, last + 1) if date in self.days]
        else:
            dates = sorted(date for date in list(self.days) if first <= date <= last)
        return (self.days[date] for date in dates)
