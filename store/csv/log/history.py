"""The history of a log: its commits, their parts by event date, and the accepted requests and batches."""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import chain
from operator import attrgetter
from typing import NamedTuple

import numpy as np

from store.arrays import Integers
from store.commits import Facts
from store.csv.files.commit_records import AcceptedBatch, Commit, CommitLine, StoredPart
from store.csv.files.disk import unavailable_on_error
from store.csv.log.index_file import IndexFile
from store.csv.log.log_index import (
    IndexDamaged,
    IndexState,
    LogIndex,
    dates_in,
    dates_with,
    is_in,
    place_of,
    stored_parts,
)
from store.exceptions import DataDamaged
from store.expiries import ExpiredDates
from store.protocol import ALL_TIME, NOTHING_COMPLETE, CommitId, Completeness, Fill, Window
from store.timestamps import DAY_NS

TAIL_COMMITS = 64
TAIL_BYTES = 65_536
"""Once so many commits or bytes of the log are not in the index, they are added to it."""

_MOST_IN_TAIL = 1024  # if the file cannot be written, the index goes on in memory


class _Line(NamedTuple):
    """A commit that the index does not cover. end: the offset in the log after its line."""

    commit: Commit
    id: CommitId
    end: int
    completeness: Completeness


class _View:
    """An index, and the commits after it, to which one thread may add: a commit is visible once it is the head.

    lines: the later commits. parts: theirs, by event date. rows: the number of rows ever appended. end: the offset in
    the log after the newest commit's line.
    """

    def __init__(self, index: LogIndex) -> None:
        self.index = index
        self.lines: list[_Line] = []
        self.parts: dict[int, list[StoredPart]] = {}
        self.head, self.rows, self.end = index.head, index.state.rows, index.state.end
        self.expired = index.state.expired
        self._dates = index.dates, 0

    def add(self, commit: Commit, commit_id: CommitId, line_end: int) -> None:
        """Add the next commit."""
        before = self.lines[-1].completeness if self.lines else self.index.completeness
        self.lines.append(_Line(commit, commit_id, line_end, commit.completeness_after(before)))
        for stored in stored_parts(commit.number, commit.parts, self.rows):
            self.parts.setdefault(stored.part.day, []).append(stored)
        self.rows, self.end = self.rows + commit.facts.rows, line_end
        self.expired = self.expired.after(commit.facts)
        self.head = commit_id

    @property
    def dates(self) -> Integers:
        """The table of dates, with the later commits; see `LogIndex`."""
        dates, count = self._dates  # count: of the lines whose parts are in it
        later = self.lines[count:]
        if later:
            dates = dates_with(dates, [line.commit for line in later])
            self._dates = dates, count + len(later)
        return dates

    def line(self, number: int) -> _Line:
        """Return a commit that the index does not cover."""
        return self.lines[number - self.index.number - 1]

    def place(self, number: int) -> tuple[CommitId, int]:
        """Return a commit's id, and the offset in the log after its line."""
        return self.index.place(number) if number <= self.index.number else self.line(number)[1:3]


class CommitHistory:
    """The commits of one log. Commits are only ever added; a restored log gets a new history.

    One thread may add while others read; the readers see only complete commits. A method that reads the index or
    the log raises `DataDamaged` if the log is damaged, and `StoreUnavailable` if it cannot be read.
    """

    def __init__(self, file: IndexFile) -> None:
        """Create it, without commits. file: the log's index."""
        self._file = file
        self._view = _View(LogIndex(file, IndexState()))
        self._tail_commits = TAIL_COMMITS

    def load(self) -> None:
        """Begin with the commits in the log's index."""
        self._view = _View(self._file.load())

    def add(self, commit: Commit, commit_id: CommitId, line_end: int) -> None:
        """Add the next commit. line_end: the offset in the log after its line."""
        self._view.add(commit, commit_id, line_end)

    def read(self, end: int) -> None:
        """Add the commits up to an offset in the log. Raises `DataDamaged`, `OSError`."""
        if end - self.end >= TAIL_BYTES:
            self._extend_index(end, always=True)
        if end > self.end:
            for line in self._file.lines(self.end, end, self.head()):
                self.add(*line)
            self.index_if_long()

    def index_if_long(self) -> None:
        """Add the commits to the index if there are many that it does not cover. Fails silently."""
        view = self._view
        if len(view.lines) < self._tail_commits and view.end - view.index.state.end < TAIL_BYTES:
            return
        with suppress(DataDamaged, OSError):
            self._extend_index(view.end, always=len(view.lines) >= _MOST_IN_TAIL)
        self._tail_commits = TAIL_COMMITS if self._view is not view else 2 * len(view.lines)

    def index(self, *, anew: bool = False) -> None:
        """Add all commits to the index. anew: make it again. Raises `DataDamaged`, `OSError`."""
        if anew:
            self._file.make_again(self._view.index, IndexDamaged("this was asked for"), self._file.generation)
        self._extend_index(self.end, always=True)

    def head(self, commit: int | None = None) -> CommitId:
        """Return the id of a commit, by default of the newest one."""
        return self._view.head if commit is None else self._view.place(commit)[0]

    def has(self, commit: CommitId) -> bool:
        """Return whether this history has a commit. False, for example, if a restore of the log removed it."""
        return commit.number <= self.head().number and self.head(commit.number) == commit

    @property
    def committed_at(self) -> int:
        """The time of the newest commit, in nanoseconds UTC; 0 without commits."""
        view = self._view
        return view.lines[-1].commit.facts.committed_at if view.lines else view.index.state.committed_at

    @property
    def rows(self) -> int:
        """The number of rows ever appended, which is the next arrival number."""
        return self._view.rows

    @property
    def expired(self) -> ExpiredDates:
        """The dates of which rows have expired."""
        return self._view.expired

    @property
    def end(self) -> int:
        """The offset in the log after the newest commit's line."""
        return self._view.end

    def committed_times(self, numbers: Integers) -> Integers:
        """Return the times of commits, in nanoseconds UTC."""
        view, times = self._view, np.empty(len(numbers), np.int64)
        is_indexed = numbers <= view.index.number
        if is_indexed.any():
            indexed = numbers[is_indexed]
            first = int(indexed.min())
            records = view.index.commits(first, int(indexed.max()))
            times[is_indexed] = records["committed_at"][indexed - first]
        later = numbers[~is_indexed].tolist()
        times[~is_indexed] = [view.line(each).commit.facts.committed_at for each in later]
        return times

    def completeness(self, commit: int | None = None) -> Completeness:
        """Return the log's completeness after a commit, by default after the newest one."""
        view, number = self._view, self._number(commit)
        if number > view.index.number:
            return view.line(number).completeness
        if number == view.index.number:
            return view.index.completeness
        return (
            Completeness(*view.index.commits(number, number)[0].item()[-2:]) if number else NOTHING_COMPLETE
        )

    def commit_as_of(self, instant_ns: int) -> int:
        """Return the number of the newest commit made at or before an instant."""
        view = self._view
        later = bisect_right(view.lines, instant_ns, key=lambda line: line.commit.facts.committed_at)
        return view.index.number + later if later else view.index.commit_as_of(instant_ns)

    def records(self, after: int, last: int) -> Iterator[tuple[Commit, CommitId]]:
        """Yield the records of the commits in `(after, last]`, which must exist, in order."""
        view = self._view
        indexed = min(last, view.index.number)
        if after < indexed:
            yield from self._indexed_records(after, indexed)
        for line in view.lines[max(after - view.index.number, 0) : max(last - view.index.number, 0)]:
            yield line.commit, line.id

    def accepted(self, caller: str, key_hash: str) -> AcceptedBatch | None:
        """Return the batch stored under a caller's key (given by its hash), or None."""

        def has_key(facts: Facts) -> bool:
            return facts.key_hash == key_hash and facts.caller == caller

        found = self._newest_commit(has_key, "key", caller, key_hash)
        if found is None:
            return None
        facts, commit_id = found
        return AcceptedBatch(facts.digest, facts.receipt(commit_id.hash, replayed=True))

    def fills(self, window: Window, commit: int | None = None) -> list[tuple[int, Fill]]:
        """Return the fills up to `commit` whose windows overlap a window, with their commits, in order."""
        last = self._number(commit)
        numbers = [number for number in self.fill_commits(window) if number <= last]
        facts = (record.facts for each in numbers for record, _ in self.records(each - 1, each))
        return [(each.number, each.fill) for each in facts if each.fill is not None]

    def fill_commits(self, window: Window) -> list[int]:
        """Return the commits of all fills whose windows overlap a window, in order. Reads no records."""
        view = self._view
        fills = view.index.fills
        overlaps = (fills["start_ns"] < window.end_ns) & (fills["end_ns"] > window.start_ns)
        later = (line.commit.facts for line in view.lines)
        numbers: list[int] = fills["commit"][overlaps].tolist()
        return numbers + [each.number for each in later if each.fill and each.fill.window.overlaps(window)]

    def file_end(self, file: str) -> int:
        """Return the offset after the last committed byte of a data file; 0 if no commit names the file."""
        view = self._view
        later = chain.from_iterable(reversed(line.commit.parts) for line in reversed(view.lines))
        end = next((part.end for part in later if part.file == file), None)
        return view.index.find("file", file) or 0 if end is None else end

    def times_on(self, date: int) -> tuple[int, int] | None:
        """Return the first and the last event time of a date (days since the epoch); None if it has no rows."""
        dates = self._view.dates
        at = place_of(dates, date)
        if at is None:
            return None
        first_ns, last_ns = dates[3:, at].tolist()
        return first_ns, last_ns

    def version(self, window: Window, commit: int | None = None) -> CommitId:
        """Return the newest commit, not after `commit`, that touches an event date of the window.

        Return `NO_COMMIT` if there is none.
        """
        view = self._view
        head = view.head  # read once: a writer may be adding
        number = head.number if commit is None else commit
        version = int(dates_in(view.dates, window)[1].max(initial=0))
        if version > number:
            version = int(self.newest_by_date(window, number)[1].max(initial=0))
        return head if version == head.number else self.head(version)

    def newest_by_date(self, window: Window, commit: int | None = None) -> tuple[Integers, Integers]:
        """Return the window's event dates with parts of commits up to `commit`, and the newest of these for each.

        The dates are days since the epoch, ascending.
        """
        view, number = self._view, self._number(commit)
        dates = dates_in(view.dates, window)
        dates = dates[:, dates[2] <= number]
        newest = dates[1].copy()
        for at in np.flatnonzero(newest > number).tolist():
            newest[at] = _newest_at(view, int(dates[0, at]), number)
        return dates[0], newest

    def parts_in(self, window: Window, commit: int | None = None, *, after: int = 0) -> list[StoredPart]:
        """Return the parts of commits in `(after, commit]` with times in the window; none that were removed.

        They are ordered by event date, then by commit.
        """
        view, number = self._view, self._number(commit)
        window = Window(max(window.start_ns, view.expired.removed_before_ns), window.end_ns)
        if window.start_ns >= window.end_ns:
            return []
        parts = view.index.parts_in(window, after, number) if after < view.index.number else []
        newer = _later_parts(view, window, after, number) if number > view.index.number else []
        if not parts or not newer:
            return parts or newer
        return sorted([*parts, *newer], key=lambda stored: stored.part.day)

    def change_bound(self, window: Window, interval_ns: int, after: int, commit: int | None) -> int:
        """Return an upper bound of the pairs of an interval and a commit in `(after, commit]` that touches it.

        Each part counts as touching all intervals from its first to its last time, but no more than it has rows.
        """
        parts = [stored.part for stored in self.parts_in(window, commit, after=after)]
        bounds = np.array([(each.first_ns, each.last_ns, each.rows) for each in parts], np.int64)
        firsts, lasts, rows = bounds.reshape(-1, 3).T
        firsts, lasts = np.maximum(firsts, window.start_ns), np.minimum(lasts, window.end_ns - 1)
        return int(np.minimum(lasts // interval_ns - firsts // interval_ns + 1, rows).sum())

    def first_from(self, instant_ns: int, commit: int | None = None) -> int | None:
        """Return the first commit, not after `commit`, with an event time at or after an instant; else None."""
        number = self._number(commit)
        midnight = -(-instant_ns // DAY_NS) * DAY_NS
        later = dates_in(self._view.dates, Window(midnight, ALL_TIME.end_ns))
        first = int(later[2].min(initial=number + 1))
        first = min([first, *(each.commit for each in self.parts_in(Window(instant_ns, midnight), commit))])
        return first if first <= number else None

    def _number(self, commit: int | None) -> int:
        return self._view.head.number if commit is None else commit

    def _extend_index(self, end: int, *, always: bool) -> None:
        """Use an index with the commits up to an offset in the log, if it can be made now.

        always: make it in memory, if the file cannot be written. No other thread may add commits meanwhile.
        """
        self._rebase(self._file.load())  # another process may have added them
        view = self._view
        if view.end < end or len(view.lines) >= TAIL_COMMITS // 2 or always:
            known = [CommitLine(*line[:3]) for line in view.lines]
            extended = self._file.extended(end, view.index.head, known, always=always)
            if extended is not None:
                self._rebase(extended)

    def _rebase(self, index: LogIndex) -> None:
        """Replace the commits that an index covers by the index. Raises `DataDamaged` if it has other commits."""
        view = self._view
        if index.number <= view.index.number:
            return
        head = view.head
        if index.number <= head.number:
            is_same_log = view.line(index.number).id == index.head
        else:
            is_same_log = index.place(head.number)[0] == head
        if not is_same_log:
            raise DataDamaged("the log was replaced while it was read")
        new = _View(index)
        for line in view.lines[index.number - view.index.number :]:
            new.add(*line[:3])
        self._view = new

    def _newest_commit(self, is_it: Callable[[Facts], bool], *texts: str) -> tuple[Facts, CommitId] | None:
        """Return the newest commit that is accepted by `is_it`; the index has it under the texts."""
        view = self._view
        for line in reversed(view.lines):
            if is_it(line.commit.facts):
                return line.commit.facts, line.id
        number = view.index.find(*texts)
        if number is None or number > view.head.number:
            return None
        ((commit, commit_id),) = self.records(number - 1, number)
        return (commit.facts, commit_id) if is_it(commit.facts) else None

    def _indexed_records(self, after: int, last: int) -> Iterator[tuple[Commit, CommitId]]:
        view = self._view
        (before, start), (last_id, end) = view.place(after), view.place(last)
        commit_id = before
        with unavailable_on_error:
            for commit, commit_id, _ in self._file.lines(start, end, before):
                yield commit, commit_id
        if commit_id != last_id:
            raise DataDamaged(
                f"commit record {last_id.number} is not as written: restore commits.jsonl from a backup"
            )


def _newest_at(view: _View, date: int, number: int) -> int:
    """Return the newest commit up to `number` that touches a date. There is one."""
    later = view.parts.get(date, ())
    count = bisect_right(later, number, key=attrgetter("commit"))
    if count:
        return later[count - 1].commit
    newest = view.index.newest_of(date)
    return newest if newest <= number else view.index.newest_at(date, number)


def _later_parts(view: _View, window: Window, after: int, number: int) -> list[StoredPart]:
    first, last = window.start_ns // DAY_NS, (window.end_ns - 1) // DAY_NS
    if last - first < len(view.parts):
        dates = [date for date in range(first, last + 1) if date in view.parts]
    else:
        dates = sorted(date for date in list(view.parts) if first <= date <= last)
    return [each for date in dates for each in view.parts[date] if is_in(each, window, after, number)]
