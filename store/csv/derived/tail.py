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
from store.bars.aggregates import Aggregates, frozen, within
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


class TailRows:
    """Stored rows of one event date from consecutive commits, in order, and the aggregates made of them.

    newest: the newest commit of a row. times: the event times. Its methods are those of a `MappedSegment`.
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
        return within(found, window)


@dataclass(frozen=True, slots=True)
class _TailDate:
    """One event date: its rows in blocks, in order of commit.

    covered: the number of parts in the blocks. newest: the commit of the last of these parts. read_alone: how many
    rows were read beside them.
    """

    blocks: tuple[TailRows, ...] = ()
    covered: int = 0
    newest: CommitId = NO_COMMIT
    read_alone: int = 0


class TailCache:
    """LRU cache of event dates, for all logs of a store."""

    def __init__(self, rows_limit: int = ROWS_LIMIT) -> None:
        # A date with more rows than the limit counts as the limit; then no other date is cached.
        self._dates: LRUCache[tuple[LogKey, int], _TailDate] = LRUCache(
            rows_limit,
            getsizeof=lambda date: min(1 + sum(len(each.times) for each in date.blocks), rows_limit),
        )
        self._mutex = threading.Lock()

    def rows(
        self, log: LogKey, history: CommitHistory, parts: Sequence[StoredPart], read: Read
    ) -> Sequence[TailRows]:
        """Return the rows of `parts`, which must be all parts of one date that were committed after the segments.

        Rows of newer parts may be included. read: returns the stored rows of parts.
        """
        date = self._date(log, parts)
        if not history.has(date.newest):
            date = _TailDate()
        if date.covered < len(parts):
            return self._extend(log, date, parts, read(parts[date.covered :]), history)
        return date.blocks

    def add(
        self, log: LogKey, history: CommitHistory, parts: Sequence[StoredPart], new: Sequence[pa.Table]
    ) -> None:
        """Add the stored rows of the last parts of a date, of which all others are cached; so nobody reads them back.

        parts: as for `rows`. new: one table for each of the last parts.
        """
        date = self._date(log, parts)
        if date.covered and date.covered == len(parts) - len(new) and history.has(date.newest):
            rows = pa.concat_tables(new)
            copy = rows.take(pa.array(np.arange(rows.num_rows)))  # the caller may use its arrays again
            self._extend(log, date, parts, copy, history)

    def claim_alone(self, log: LogKey, parts: Sequence[StoredPart], needed: Sequence[StoredPart]) -> bool:
        """Count `needed`, some of the parts, as read without the others; return False if all should be read instead.

        So a late batch waits for the rows beside it, not for the whole date: until such reads add up to half of its rows.
        """
        count = sum(each.part.rows + ROWS_OF_A_READ for each in needed)
        date = self._date(log, parts)
        read = date.read_alone + count
        if date.covered or read > sum(each.part.rows for each in parts) // 2:
            return False
        self._put(log, parts, replace(date, read_alone=read))
        return True

    def _date(self, log: LogKey, parts: Sequence[StoredPart]) -> _TailDate:
        with self._mutex:
            return self._dates.get((log, parts[0].part.day)) or _TailDate()

    def _put(self, log: LogKey, parts: Sequence[StoredPart], date: _TailDate) -> None:
        with self._mutex:
            self._dates[log, parts[0].part.day] = date

    def _extend(
        self, log: LogKey, date: _TailDate, parts: Sequence[StoredPart], new: pa.Table, history: CommitHistory
    ) -> Sequence[TailRows]:
        """Return the date's blocks with one for the rows of its new parts. Blocks of similar size are merged."""
        blocks = [*date.blocks, TailRows(new, max(stored.commit for stored in parts[date.covered :]))]
        while len(blocks) > 1 and len(blocks[-2].times) <= len(blocks[-1].times):
            last, before = blocks.pop(), blocks.pop()
            rows = pa.concat_tables([before.rows, last.rows])
            blocks.append(TailRows(rows, max(before.newest, last.newest)))
        self._put(log, parts, _TailDate((*blocks,), len(parts), history.head(parts[-1].commit)))
        return blocks
