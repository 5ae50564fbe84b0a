"""The history of a log: its commits, their parts by event date, and the accepted requests and batches."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from store.arrays import Integers
from store.commits import Facts
from store.csv.files.column_file import ColumnsDamaged, Records
from store.csv.files.commit_records import AcceptedBatch, Commit, CommitLine, DateSummary, StoredPart
from store.csv.files.disk import unavailable_on_error
from store.csv.log.commit_index import CommitIndex, text_hash
from store.csv.log.commit_tail import CommitTail
from store.csv.log.index_builder import EMPTY, IndexBuilder
from store.csv.log.index_files import TAIL_BYTES, TAIL_COMMITS, TAIL_SHARE, IndexFiles
from store.exceptions import DataDamaged
from store.protocol import ALL_TIME, NO_COMMIT, CommitId, Completeness, Fill, Superseded, Window
from store.timestamps import DAY_NS

_Answer = TypeVar("_Answer")
# So many commits or bytes of the log take about a millisecond to read.
_NOTICED_COMMITS = 64
_NOTICED_BYTES = 65_536


@dataclass(slots=True, eq=False)
class _IndexedLog:
    """An index (`base`) and the commits after it. Only an index of the same commits may replace `base`."""

    base: CommitIndex
    tail: CommitTail


class CommitHistory:
    """The commits of one log. Commits are only ever added; a restored log gets a new history.

    One thread may add while others read; the readers see only complete commits. Methods that must read the
    log raise `DataDamaged` if it is damaged and `StoreUnavailable` if it cannot be read. source: reads the
    commits that are not in memory.
    """

    def __init__(self, base: CommitIndex = EMPTY, source: IndexFiles | None = None) -> None:
        self._view = _IndexedLog(base, CommitTail(base))
        self._source = source
        self._repair = threading.Lock()

    def add(self, commit: Commit, commit_id: CommitId, line_end: int) -> None:
        """Add the next commit. line_end: the offset in the log after its line."""
        self._view.tail.add(commit, commit_id, line_end)

    def head(self, commit: int | None = None) -> CommitId:
        """Return the id of a commit, by default of the newest one."""
        if commit is None:
            return self._view.tail.head
        return self._with_repair(lambda view: _commit_id(view, commit))

    def has(self, commit: CommitId) -> bool:
        """Return whether this history has a commit. False, for example, if a restore of the log removed it."""
        return commit.number <= self.head().number and self.head(commit.number) == commit

    @property
    def committed_at(self) -> int:
        """The time of the newest commit, in nanoseconds UTC; 0 without commits."""
        return self._view.tail.committed_at

    @property
    def rows(self) -> int:
        """The number of rows ever appended, which is the next arrival number."""
        return self._view.tail.rows

    @property
    def end(self) -> int:
        """The offset in the log after the newest commit's line."""
        return self._view.tail.end

    def committed_at_of(self, number: int) -> int:
        """Return the time of a commit, in nanoseconds UTC."""
        return self._with_repair(
            lambda view: (view.base if number <= view.base.number else view.tail).committed_at_of(number)
        )

    def line_end(self, number: int) -> int:
        """Return the offset in the log after a commit's line; 0 for the number 0."""
        return self._with_repair(
            lambda view: (view.base if number <= view.base.number else view.tail).line_end(number)
        )

    def completeness(self, commit: int | None = None) -> Completeness:
        """Return the log's completeness after a commit, by default after the newest one."""
        number = self._number(commit)
        return self._with_repair(
            lambda view: (view.base if number < view.base.number else view.tail).completeness(number)
        )

    def committed_times(self, numbers: Integers) -> Integers:
        """Return the times of commits, in nanoseconds UTC."""

        def read(view: _IndexedLog) -> Integers:
            times: Integers = np.empty(len(numbers), np.int64)
            is_indexed = numbers <= view.base.number
            times[is_indexed] = view.base.committed_times(numbers[is_indexed])
            times[~is_indexed] = view.tail.committed_times(numbers[~is_indexed])
            return times

        return self._with_repair(read)

    def commit_as_of(self, instant_ns: int) -> int:
        """Return the number of the newest commit made at or before an instant."""

        def read(view: _IndexedLog) -> int:
            number = view.tail.commit_as_of(instant_ns)
            return view.base.commit_as_of(instant_ns) if number is None else number

        return self._with_repair(read)

    def records(self, after: int, last: int) -> Iterator[tuple[Commit, CommitId]]:
        """Yield the records of the commits in `(after, last]`, which must exist, in order."""
        indexed, newer = self._with_repair(lambda view: _records(view, after, last))
        if indexed is not None:
            yield from self._indexed_records(*indexed)
        for commit, commit_id, _ in newer:
            yield commit, commit_id

    def accepted(self, caller: str, key_hash: str) -> AcceptedBatch | None:
        """Return the batch stored under a caller's key (given by its hash), or None."""
        view = self._view
        accepted = view.tail.accepted(caller, key_hash)
        if accepted is not None or not view.base.number:
            return accepted
        for number in self._with_repair(lambda view: view.base.request_commits(caller, key_hash)):
            facts = self._read(number)
            if (facts.caller, facts.key_hash) == (caller, key_hash):
                return AcceptedBatch(facts.digest, facts.receipt(self.head(number).hash, replayed=True))
        return None

    def fills(self, window: Window, commit: int | None = None) -> list[tuple[int, Fill]]:
        """Return the fills up to `commit` whose windows overlap a window, with their commits, in order."""
        number = self._number(commit)
        indexed, newer = self._with_repair(
            lambda view: (view.base.fill_commits(window, number), view.tail.fills(window, number))
        )
        records = (self._read(each) for each in indexed)
        return [(each.number, each.fill) for each in records if each.fill is not None] + newer

    def fill_commits(self, window: Window) -> list[int]:
        """Return the commits of the same fills as `fills`. Reads no records."""
        number = self._number(None)

        def read(view: _IndexedLog) -> list[int]:
            newer = [commit for commit, _ in view.tail.fills(window, number)]
            return view.base.fill_commits(window, number) + newer

        return self._with_repair(read)

    def superseded(self, window: Window) -> list[tuple[int, Superseded]]:
        """Return what batches of the feed superseded in a window, each with its commit, in any order."""
        indexed, newer = self._with_repair(
            lambda view: (view.base.superseded(window), list(view.tail.superseding))
        )
        has_series = indexed["series"] != text_hash("")
        plain = indexed[~has_series].tolist()
        facts = [self._read(number) for number in np.unique(indexed["commit"][has_series]).tolist()]
        found = [(each.number, passed) for each in facts for passed in each.superseded if passed.series]
        found += [(each.number, passed) for each in newer for passed in each.superseded]
        found = [each for each in found if each[1].overlaps(window)]
        return found + [(number, Superseded(first_ns, last_ns)) for first_ns, last_ns, number, _ in plain]

    def knows_batch(self, digest: str) -> bool:
        """Return whether a batch with this digest was accepted before."""
        view = self._view
        if digest in view.tail.digests or not view.base.number:
            return digest in view.tail.digests
        numbers = self._with_repair(lambda view: view.base.batch_commits(digest))
        return any(self._read(number).digest == digest for number in numbers)

    def file_end(self, file: str) -> int:
        """Return the offset after the last committed byte of a data file; 0 if no commit names the file."""
        end = self._view.tail.file_ends.get(file)
        return self._with_repair(lambda view: view.base.file_end(file)) if end is None else end

    def day(self, date: int) -> DateSummary | None:
        """Return the summary of an event date (days since the epoch); None if it has no rows."""
        return self._view.tail.dates.day(date)

    def version(self, window: Window, commit: int | None = None) -> CommitId:
        """Return the newest commit, not after `commit`, that touches an event date of the window.

        Return `NO_COMMIT` if there is none.
        """
        tail = self._view.tail
        head = tail.head  # read once: a writer may be adding
        number = head.number if commit is None else commit
        version = int(tail.dates.newest_in(window)[1].max(initial=0))
        if version > number:
            version = int(self.newest_by_date(window, number)[1].max(initial=0))
        return head if version == head.number else self.head(version)

    def dates(self, window: Window = ALL_TIME, commit: int | None = None) -> Integers:
        """Return the window's event dates on which commits up to `commit` have parts.

        The dates are days since the epoch, ascending.
        """
        return self.newest_by_date(window, commit)[0]

    def newest_by_date(
        self, window: Window = ALL_TIME, commit: int | None = None
    ) -> tuple[Integers, Integers]:
        """Return the same dates as `dates`, and the newest commit up to `commit` that touches each of them."""
        number = self._number(commit)
        return self._with_repair(lambda view: _newest_by_date(view, window, number))

    def parts_in(self, window: Window, commit: int | None = None, *, after: int = 0) -> list[StoredPart]:
        """Return the parts of commits in `(after, commit]` with times in the window.

        They are ordered by event date, then by commit.
        """
        number = self._number(commit)
        return self._with_repair(lambda view: _parts_in(view, window, after, number))

    def parts_of(self, date: int, commit: int | None = None, *, after: int = 0) -> list[StoredPart]:
        """Return the parts of one event date, as `parts_in` does."""
        return self.parts_in(Window(date * DAY_NS, (date + 1) * DAY_NS), commit, after=after)

    def change_bound(self, window: Window, interval_ns: int, after: int, commit: int | None) -> int:
        """Return an upper bound of the pairs of an interval and a commit in `(after, commit]` that touches it.

        Each part counts as touching all intervals from its first to its last time, but no more than it has rows.
        """
        bound, number = 0, self._number(commit)
        for parts in self._with_repair(lambda view: _extents_in(view, window, after, number)):
            first_ns = np.maximum(parts["first_ns"], window.start_ns)
            last_ns = np.minimum(parts["last_ns"], window.end_ns - 1)
            intervals = last_ns // interval_ns - first_ns // interval_ns + 1
            bound += int(np.minimum(intervals, parts["rows"]).sum())
        return bound

    def first_from(self, instant_ns: int, commit: int | None = None) -> int | None:
        """Return the first commit, not after `commit`, with an event time at or after an instant; else None."""
        low, number = 1, self._number(commit)
        midnight = -(-instant_ns // DAY_NS) * DAY_NS
        of_date = Window(instant_ns, midnight)
        extents = self._with_repair(lambda view: _extents_in(view, of_date, 0, number))
        high = min((int(parts["commit"].min(initial=number + 1)) for parts in extents), default=number + 1)
        later = Window(midnight, ALL_TIME.end_ns)
        while low < high:
            middle = (low + high) // 2
            if self.version(later, middle) == NO_COMMIT:
                low = middle + 1
            else:
                high = middle
        return high if high <= number else None

    @property
    def commits_in_memory(self) -> int:
        """The number of commits that the index does not cover."""
        return len(self._view.tail)

    @property
    def is_worth_indexing(self) -> bool:
        """Whether so much of the log is not in the index that processes start noticeably slower."""
        view = self._view
        if len(view.tail) >= max(_NOTICED_COMMITS, view.base.number // TAIL_SHARE):
            return True
        return view.tail.log_bytes >= max(_NOTICED_BYTES, view.base.end // TAIL_SHARE)

    @property
    def has_long_tail(self) -> bool:
        """Whether so many commits are not in the index that a newer one would save memory and time."""
        view = self._view
        if len(view.tail) >= max(TAIL_COMMITS, view.base.number // TAIL_SHARE):
            return True
        return view.tail.log_bytes >= max(TAIL_BYTES, view.base.end // TAIL_SHARE)

    def builder(self) -> IndexBuilder:
        """Verify the index, and return a builder for an index of all commits so far."""

        def read(view: _IndexedLog) -> IndexBuilder:
            view.base.columns.verify()
            builder = IndexBuilder(view.base)
            builder.add(view.tail.added[: view.tail.head.number - view.base.number])
            return builder

        return self._with_repair(read)

    def rebase(self, base: CommitIndex) -> None:
        """Replace the commits that an index covers by the index. An empty history begins with the index.

        An index of other commits is ignored. No other thread may add commits meanwhile.
        """
        view = self._view
        head, old_number = view.tail.head.number, view.base.number
        is_same_log = old_number < base.number <= head and view.tail.commit_id(base.number) == base.head
        if is_same_log or not head:
            tail = CommitTail(base)
            for line in view.tail.added[base.number - old_number :]:
                tail.add(*line)
            self._view = _IndexedLog(base, tail)

    def _number(self, commit: int | None) -> int:
        return self._view.tail.head.number if commit is None else commit

    def _with_repair(self, read: Callable[[_IndexedLog], _Answer]) -> _Answer:
        view = self._view
        while True:
            base = view.base
            try:
                return read(view)
            except ColumnsDamaged as error:
                if self._source is None:
                    raise DataDamaged("a commit index is damaged: delete it, it is made again") from error
                with self._repair, unavailable_on_error:
                    if view.base is base:
                        view.base = self._source.rebuild(base)

    def _read(self, number: int) -> Facts:
        ((commit, _),) = self.records(number - 1, number)
        return commit.facts

    def _indexed_records(
        self, before: CommitId, last: CommitId, start: int, end: int
    ) -> Iterator[tuple[Commit, CommitId]]:
        if self._source is None:
            raise DataDamaged("there is no log to read the commits from")
        commit_id = before
        with unavailable_on_error:
            for commit, commit_id, _ in self._source.lines(start, end, before):
                yield commit, commit_id
        if commit_id != last:
            raise DataDamaged(
                f"commit record {last.number} is not as written: restore commits.jsonl from a backup"
            )


def _commit_id(view: _IndexedLog, number: int) -> CommitId:
    if number <= 0:
        return NO_COMMIT
    return (view.base if number <= view.base.number else view.tail).commit_id(number)


def _records(
    view: _IndexedLog, after: int, last: int
) -> tuple[tuple[CommitId, CommitId, int, int] | None, list[CommitLine]]:
    """Return where to read the records that the index covers, and the later records themselves.

    The first value is the commit before the indexed records, the last indexed commit, and the start and end
    of their bytes in the log; None if the index covers none of the records.
    """
    base = view.base
    newest = min(last, base.number)
    newer = view.tail.added[max(after - base.number, 0) : max(last - base.number, 0)]
    if after >= newest:
        return None, newer
    return (base.commit_id(after), base.commit_id(newest), base.line_end(after), base.line_end(newest)), newer


def _newest_by_date(view: _IndexedLog, window: Window, number: int) -> tuple[Integers, Integers]:
    dates, newest = (column.copy() for column in view.tail.dates.newest_in(window))
    late = np.flatnonzero(newest > number)
    if len(late):
        earlier = view.base.newest_at(dates[late], number)
        if number > view.base.number:
            in_tail = [view.tail.newest_at(date, number) for date in dates[late].tolist()]
            earlier = np.maximum(earlier, in_tail)
        newest[late] = earlier
        dates, newest = dates[newest > 0], newest[newest > 0]
    return dates, newest


_EXTENT = np.dtype([("first_ns", "<i8"), ("last_ns", "<i8"), ("rows", "<i8"), ("commit", "<i8")])


def _extents_in(view: _IndexedLog, window: Window, after: int, number: int) -> list[Records]:
    """Return records with the fields of `_EXTENT` of the parts of commits in `(after, number]` with times in the window."""
    newer = [
        (stored.part.first_ns, stored.part.last_ns, stored.part.rows, stored.commit)
        for stored in view.tail.parts_in(window, after, number)
    ]
    return [*view.base.part_records(window, after, number), np.array(newer, _EXTENT)]


def _parts_in(view: _IndexedLog, window: Window, after: int, number: int) -> list[StoredPart]:
    parts = view.base.parts_in(window, after, number) if after < view.base.number else []
    newer = view.tail.parts_in(window, after, number) if number > view.base.number else []
    if not parts or not newer:
        return parts or newer
    return sorted([*parts, *newer], key=lambda stored: stored.part.day)
