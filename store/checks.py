"""Checks and counts a log of any backend by reading it."""

from collections.abc import Iterator
from dataclasses import dataclass

from store.copies import CopyMalformed
from store.exceptions import StorageError
from store.log import Log
from store.maintained import LogCheck, LogFinding, LogStatistics
from store.protocol import ALL_TIME
from store.receiving import received_commits
from store.walk import BEGINNING, LogEnd, Resync


@dataclass
class ReadLogCheck(LogCheck):
    """Reads all commits of a log of any backend, and ends with the first one that is not as its record says."""

    log: Log

    @property
    def size(self) -> int:
        return self.log.end().rows

    def findings(self) -> Iterator[LogFinding]:
        try:
            for commit in received_commits(self.log.dataset, LogEnd(), self.log.commits(BEGINNING)):
                self.checked.commits += 1
                self.checked.rows += commit.record.facts.rows
                self.progress(commit.record.facts.rows)
        except (CopyMalformed, StorageError, Resync) as error:
            yield LogFinding("", 0, f"{error}", self.checked.commits + 1)


def read_statistics(log: Log) -> LogStatistics:
    """Return the counts of a log, without bytes. first_ns, last_ns: of rows that stand. Raises the errors of reads."""
    snapshot, end = log.at(), log.end()
    first, last = (snapshot.take_window(ALL_TIME, 1, from_end=from_end) for from_end in (False, True))
    times = (None, None) if ALL_TIME in (first, last) else (first.end_ns - 1, last.start_ns)
    return LogStatistics(end.head.number, end.rows, None, None, *times)
