"""One log at one commit: its first and last rows, and walks over all of them."""

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from store.declarations import Dataset
from store.protocol import ALL_TIME, NO_COMMIT, Window
from store.queries import QueryableStore
from store.timestamps import DAY_NS

# A walk reads few rows first, in case they are enough, and then ever more at a time.
_FEW_ROWS = 64
ROWS_AT_ONCE = 1 << 18


@dataclass(frozen=True, slots=True)
class LogView:
    """One log at one commit; `at` None is the newest."""

    store: QueryableStore
    dataset: Dataset
    symbol: str
    at: int | None = None

    def rows(self, window: Window) -> pa.Table:
        """See `MarketStore.rows`."""
        return self.store.rows(self.dataset, self.symbol, window, at=self.at)

    def take_window(self, window: Window, rows: int, *, from_end: bool = False) -> Window:
        """See `QueryableStore.take_window`."""
        return self.store.take_window(self.dataset, self.symbol, window, rows, from_end=from_end, at=self.at)

    def row_bound(self, window: Window) -> int:
        """See `QueryableStore.row_bound`."""
        return self.store.row_bound(self.dataset, self.symbol, window, at=self.at)

    def touches(self, window: Window) -> bool:
        """Whether a commit has something on an event date of the window."""
        return self.store.version(self.dataset, self.symbol, window, at=self.at) != NO_COMMIT


def first_row(log: LogView, start_ns: int = ALL_TIME.start_ns) -> pa.Table | None:
    """The first row at an instant or after it, a table of one row; None if there is none."""
    if start_ns >= ALL_TIME.end_ns:
        return None
    rows = log.rows(log.take_window(Window(start_ns, ALL_TIME.end_ns), 1))
    return rows.slice(0, 1) if rows.num_rows else None


def last_row(log: LogView, end_ns: int = ALL_TIME.end_ns) -> pa.Table | None:
    """The last row before an instant, a table of one row; None if there is none."""
    if end_ns <= ALL_TIME.start_ns:
        return None
    rows = log.rows(log.take_window(Window(ALL_TIME.start_ns, end_ns), 1, from_end=True))
    return rows.slice(rows.num_rows - 1) if rows.num_rows else None


def rows_backwards(log: LogView, end_ns: int = ALL_TIME.end_ns) -> Iterator[pa.Table]:
    """The rows before an instant: a few, then ever more at a time, the last ones first; none is empty.

    Rows that share an event time are never parted.
    """
    count, window = _FEW_ROWS, Window(ALL_TIME.start_ns, end_ns)
    while window.start_ns < window.end_ns:
        part = log.take_window(window, count, from_end=True)
        rows = log.rows(part)
        if rows.num_rows:
            yield rows
        count, window = min(4 * count, ROWS_AT_ONCE), Window(window.start_ns, part.start_ns)


def newest_date(log: LogView, end_ns: int = ALL_TIME.end_ns) -> int | None:
    """The last event date, in days since 1970, that a commit touches and that begins before `end_ns`."""
    low, high = ALL_TIME.start_ns // DAY_NS, (end_ns - 1) // DAY_NS
    if not log.touches(Window(low * DAY_NS, end_ns)):
        return None
    while low < high:
        middle = (low + high + 1) // 2
        if log.touches(Window(middle * DAY_NS, end_ns)):
            low = middle
        else:
            high = middle - 1
    return low


def oldest_date(log: LogView, start_ns: int = ALL_TIME.start_ns) -> int | None:
    """The first event date, in days since 1970, that a commit touches and that ends after `start_ns`."""
    low, high = start_ns // DAY_NS, (ALL_TIME.end_ns - 1) // DAY_NS
    if not log.touches(Window(start_ns, ALL_TIME.end_ns)):
        return None
    while low < high:
        middle = (low + high) // 2
        if log.touches(Window(start_ns, (middle + 1) * DAY_NS)):
            high = middle
        else:
            low = middle + 1
    return low
