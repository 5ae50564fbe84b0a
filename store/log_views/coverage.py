"""What is stored of a log, in short, told without reading it."""

from typing import NamedTuple

from store.log_views.log_view import LogView, first_row, last_row
from store.protocol import ALL_TIME, CommitId


class Coverage(NamedTuple):
    """What is stored of a log, in short.

    first_ns, last_ns: the first and the last event time of the rows that stand, nanoseconds UTC; None without
    any. rows: as `QueryableStore.row_bound` has it, all rows that stand; more only if commits after `head` are
    in derived files already. commits: the number of `head`, the newest commit that it is told of.
    """

    first_ns: int | None
    last_ns: int | None
    rows: int
    commits: int
    head: CommitId


def log_coverage(log: LogView) -> Coverage:
    """The coverage of a log as of its commit."""
    head = log.at
    first = first_row(log)
    if first is None:
        return Coverage(None, None, 0, head.number, head)
    last = last_row(log)
    newest = first if last is None else last
    return Coverage(
        first_ns=first.column(0)[0].as_py(),
        last_ns=newest.column(0)[0].as_py(),
        rows=log.row_bound(ALL_TIME),
        commits=head.number,
        head=head,
    )
