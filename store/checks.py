"""Checks and counts a log of any backend by reading it."""

from collections.abc import Iterator
from dataclasses import dataclass

from store.exceptions import StorageError
from store.log import Log
from store.maintained import LogCheck, LogFinding, LogStatistics
from store.protocol import ALL_TIME, NO_COMMIT, CommitId, Window
from store.walk import LogPosition, Resync
from store.whole_commits import whole_commits


@dataclass
class ReadLogCheck(LogCheck):
    """Walks the commits of a log of any backend, and goes on after one that is not as its record says.

    Commits up to the last one with removed rows are left out.
    """

    log: Log

    @property
    def size(self) -> int:
        return self.log.end().rows

    def findings(self) -> Iterator[LogFinding]:
        head, newest = _end_of_removed(self.log), self.log.end().head.number
        while head.number < newest:
            try:
                pieces = self.log.commits(LogPosition(head), newest)
                for commit in whole_commits(self.log.dataset, head, pieces):
                    head = commit.record.id
                    self._count(commit.record.facts.rows)
            except (StorageError, Resync) as error:
                yield LogFinding("", 0, f"{error}", head.number + 1)
                head = self.log.at(head.number + 1).commit
                self._count(0)

    def _count(self, rows: int) -> None:
        self.checked.commits += 1
        self.checked.rows += rows
        self.progress(rows)


def _end_of_removed(log: Log) -> CommitId:
    """Return the last commit with rows that were removed; `NO_COMMIT` if there is none."""
    snapshot = log.at()
    removed = Window(ALL_TIME.start_ns, snapshot.expired.removed_before_ns)
    return snapshot.version(removed) if removed.start_ns < removed.end_ns else NO_COMMIT


def read_statistics(log: Log) -> LogStatistics:
    """Return the counts of a log, without bytes. first_ns, last_ns: of rows that stand. Raises the errors of reads."""
    snapshot, end = log.at(), log.end()
    first, last = (snapshot.take_window(ALL_TIME, 1, from_end=from_end) for from_end in (False, True))
    times = (None, None) if ALL_TIME in (first, last) else (first.end_ns - 1, last.start_ns)
    return LogStatistics(end.head.number, end.rows, None, None, *times)
