"""Event dates that have rows, found by asking a store for versions: no row is read to know where rows are."""

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from trades.datasets import Dataset
from trades.storage.protocol import ALL_TIME, NO_COMMIT, MarketStore, Window
from trades.timestamps import DAY_NS


@dataclass(frozen=True, slots=True)
class LogView:
    """One log at one commit; `at` None is the newest."""

    store: MarketStore
    dataset: Dataset
    symbol: str
    at: int | None = None

    def rows(self, window: Window) -> pa.Table:
        """See `MarketStore.rows`."""
        return self.store.rows(self.dataset, self.symbol, window, at=self.at)

    def touches(self, window: Window) -> bool:
        """Whether a commit has something on an event date of the window."""
        return self.store.version(self.dataset, self.symbol, window, at=self.at) != NO_COMMIT


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


def rows_backwards(log: LogView, end_ns: int = ALL_TIME.end_ns) -> Iterator[pa.Table]:
    """The rows before an instant, one event date at a time, the last one first; none of them is empty."""
    while (day := newest_date(log, end_ns)) is not None:
        rows = log.rows(Window(day * DAY_NS, min((day + 1) * DAY_NS, end_ns)))
        if rows.num_rows:
            yield rows
        end_ns = day * DAY_NS


def rows_forwards(log: LogView) -> Iterator[pa.Table]:
    """All rows, one event date at a time, the first one first; none of them is empty."""
    day = oldest_date(log)
    while day is not None:
        rows = log.rows(Window(day * DAY_NS, (day + 1) * DAY_NS))
        if rows.num_rows:
            yield rows
        day = oldest_date(log, (day + 1) * DAY_NS)
