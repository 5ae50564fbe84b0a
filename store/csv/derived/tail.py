"""A bounded cache of the rows that were committed after the segments, by event date."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from cachetools import LRUCache

from store import lazy_pyarrow as pa
from store.arrays import Integers
from store.bar_policies import BarPolicy
from store.bars.aggregates import Aggregates, frozen
from store.bars.session_bars import aggregate_rows
from store.csv.files.commit_records import StoredPart
from store.csv.log.history import CommitHistory
from store.protocol import NO_COMMIT, CommitId, Window
from store.rows.stored_rows import stored_in_order

ROWS_LIMIT = 200_000
_LEVELS_LIMIT = 6
# Reading one part takes as long as reading this many more rows of a part.
ROWS_OF_A_READ = 2_048

# Dataset, symbol, and the commit up to which the log's segments have all rows.
LogKey = tuple[str, str, int]
Read: TypeAlias = "Callable[[Sequence[StoredPart]], pa.Table]"


class TailBlock:
    """The stored rows of one event date from consecutive commits, in order, and the aggregates made of them.

    newest: the newest of these commits. times: the event times. Its methods are those of a `MappedSegment`.
    """

    def __init__(self, rows: pa.Table, newest: int) -> None:
        """Create it. rows: in any order."""
        self.rows = stored_in_order(rows)
        self.newest = newest
        self.times: Integers = self.rows.column(0).to_numpy()
        self._aggregates: dict[tuple[str, int], Aggregates] = {}

    @property
    def bounds(self) -> tuple[int, int]:
        return int(self.times[0]), int(self.times[-1])

    def column(self, name: str, start: int, end: int) -> npt.NDArray[Any]:
        return self.rows.column(name).slice(start, end - start).to_numpy()  # type: ignore[no-any-return]

    def rows_at(
        self, indices: slice | Integers, names: Collection[str] = (), *, coded_texts: bool = False
    ) -> pa.Table:
        rows = self.rows
        if names:
            rows = rows.select([name for name in rows.column_names if name in names])
        if isinstance(indices, slice):
            return rows.slice(indices.start, indices.stop - indices.start)
        return rows.take(pa.array(indices))

    def aggregates(self, policy: BarPolicy, level_ns: int, window: Window) -> Aggregates:
        """A few levels are cached."""
        found = self._aggregates.get((policy.key, level_ns))
        if found is None:
            if len(self._aggregates) >= _LEVELS_LIMIT:
                self._aggregates = {}
            found = frozen(aggregate_rows(self.rows, level_ns, policy))
            self._aggregates[policy.key, level_ns] = found
        start, end = found.time.searchsorted((window.start_ns, window.end_ns)).tolist()
        return found if end - start == len(found) else found[start:end]

    def versions(self, policy: BarPolicy, window: Window) -> None:
        """They are made of the rows."""


@dataclass(slots=True)
class _TailDate:
    """One event date: its blocks in order of commit.

    covered: the number of parts in the blocks. newest: the commit of the last of these parts. read_alone: how many
    rows were read beside the blocks.
    """

    blocks: tuple[TailBlock, ...] = ()
    covered: int = 0
    newest: CommitId = NO_COMMIT
    read_alone: int = 0

    @property
    def size(self) -> int:
        """The number of its rows, but at least 1."""
        return max(1, sum(len(block.times) for block in self.blocks))


class TailRows:
    """LRU cache of event dates, for all logs of a store."""

    def __init__(self, rows_limit: int = ROWS_LIMIT) -> None:
        # A date with more rows than the limit counts as the limit; then no other date is cached.
        self._dates: LRUCache[tuple[LogKey, int], _TailDate] = LRUCache(
            rows_limit, getsizeof=lambda date: min(date.size, rows_limit)
        )
        self._mutex = threading.Lock()

    def blocks(
        self, log: LogKey, history: CommitHistory, parts: Sequence[StoredPart], read: Read
    ) -> Sequence[TailBlock]:
        """Return the rows of `parts`, which must be all parts of one date that were committed after the segments.

        Rows of newer parts may be included. read: returns the stored rows of parts.
        """
        key = (log, parts[0].part.day)
        with self._mutex:
            date = self._dates.get(key) or _TailDate()
        if not history.has(date.newest):
            date = _TailDate()
        if date.covered < len(parts):
            date = self._extended(date, parts, read(parts[date.covered :]), history)
            with self._mutex:
                self._dates[key] = date
        return date.blocks

    def add(
        self, log: LogKey, history: CommitHistory, parts: Sequence[StoredPart], new: Sequence[pa.Table]
    ) -> None:
        """Add the stored rows of the last parts of a date, of which all others are cached; so nobody reads them back.

        parts: as for `blocks`. new: one table for each of the last parts.
        """
        key = (log, parts[0].part.day)
        with self._mutex:
            date = self._dates.get(key)
        if date is not None and date.covered == len(parts) - len(new) and history.has(date.newest):
            rows = pa.concat_tables(new)
            copy = rows.take(pa.array(np.arange(rows.num_rows)))  # the caller may use its arrays again
            date = self._extended(date, parts, copy, history)
            with self._mutex:
                self._dates[key] = date

    def claim_alone(self, log: LogKey, parts: Sequence[StoredPart], needed: Sequence[StoredPart]) -> bool:
        """Count `needed`, some of the parts, as read without the others; return False if all should be read instead.

        So a late batch waits for the rows beside it, not for the whole date: until such reads add up to half of its rows.
        """
        key, count = (log, parts[0].part.day), sum(each.part.rows + ROWS_OF_A_READ for each in needed)
        with self._mutex:
            date = self._dates.get(key) or _TailDate()
            read = date.read_alone + count
            if date.covered or read > sum(each.part.rows for each in parts) // 2:
                return False
            self._dates[key] = replace(date, read_alone=read)
            return True

    def _extended(
        self, date: _TailDate, parts: Sequence[StoredPart], new: pa.Table, history: CommitHistory
    ) -> _TailDate:
        """Return the date with a block for the rows of its new parts. Blocks of similar size are merged."""
        block = TailBlock(new, max(stored.commit for stored in parts[date.covered :]))
        blocks = list(date.blocks)
        while blocks and blocks[-1].rows.num_rows <= block.rows.num_rows:
            last = blocks.pop()
            rows = pa.concat_tables([last.rows, block.rows])
            block = TailBlock(rows, max(last.newest, block.newest))
        return _TailDate((*blocks, block), len(parts), history.head(parts[-1].commit))
