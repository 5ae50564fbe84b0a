"""Which dates of a log have expired, by the records of its commits (`docs/retention.md`)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from store.commits import Facts
from store.datasets import TRADES
from store.declarations import Dataset
from store.exceptions import Expired
from store.protocol import ALL_TIME, Amendment, Append
from store.timestamps import format_timestamp


@dataclass(frozen=True, slots=True)
class ExpiredDates:
    """The expired dates of a log: all before an instant, which is a midnight UTC.

    before_ns: rows of earlier dates have expired. removed_before_ns: rows of earlier dates may be deleted. kept: the
    commits of kept bars that count. waiting: of each record whose rows may not be deleted yet, the end of its dates and its
    commit's time. Both instants are `ALL_TIME.start_ns` for nothing.
    """

    before_ns: int = ALL_TIME.start_ns
    removed_before_ns: int = ALL_TIME.start_ns
    kept: tuple[int, ...] = ()
    waiting: tuple[tuple[int, int], ...] = ()

    def after(self, facts: Facts) -> ExpiredDates:
        """Return the dates after another commit."""
        if (expiry := facts.expiry) is None:
            return self
        end_ns, waiting = expiry.window.end_ns, self.waiting
        if expiry.is_removed:
            waiting = tuple(each for each in waiting if each[0] > end_ns)
            return replace(self, removed_before_ns=max(self.removed_before_ns, end_ns), waiting=waiting)
        kept = (*self.kept, expiry.kept) if expiry.kept else self.kept
        waiting = (*waiting, (end_ns, facts.committed_at))
        return ExpiredDates(max(self.before_ns, end_ns), self.removed_before_ns, kept, waiting)

    def due_ns(self, until_ns: int) -> int:
        """Return the end of the dates that expired by an instant; `ALL_TIME.start_ns` if none are waiting."""
        return max((end for end, at in self.waiting if at <= until_ns), default=ALL_TIME.start_ns)

    def error(self, dataset: Dataset, symbol: str, what: str = "") -> Expired:
        """Return the error of a read. what: what has expired; by default the dataset's rows."""
        date, rows = format_timestamp(self.before_ns)[:10], dataset.name.replace("_", " ")
        bars = " bars of a minute and longer, and" if dataset is TRADES else ""
        message = f"{what or f'the {rows}'} of {symbol} before {date} have expired: what is left are{bars} {rows} from {date} on"
        return Expired(message, self.before_ns)

    def check_new(self, request: Append | Amendment) -> None:
        """Raise `Expired` if a batch has rows, or corrections of rows, of expired dates."""
        if self == NOTHING_EXPIRED or (isinstance(request, Append) and not request.rows.num_rows):
            return
        if isinstance(request, Append):
            first_ns = int(np.min(request.rows.column(0).to_numpy()))
        else:
            first_ns = min(each.timestamp_ns for each in request.corrections)
        if first_ns < self.before_ns:
            date = format_timestamp(self.before_ns)[:10]
            message = f"the {request.dataset.name.replace('_', ' ')} of {request.symbol} before {date} have expired: send rows from {date} on"
            raise Expired(message, self.before_ns)


NOTHING_EXPIRED = ExpiredDates()
