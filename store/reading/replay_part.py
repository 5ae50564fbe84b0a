"""A part of a replay: rows and corrections of many logs, merged by the instant at which they were known."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from store import lazy_pyarrow as pa
from store.arrays import Integers
from store.cached_property import cached_property
from store.log_views.log_view import LogView
from store.protocol import CommitId
from store.reading.columns import Columns
from store.reading.replay_log import CHANGES, ROW, Codes, ReplayRows
from store.walk import CommittedCorrections, LogPosition


class LogName(NamedTuple):
    """The dataset and the symbol of a log."""

    dataset: str
    symbol: str


class StoredName(NamedTuple):
    """What names a row or a correction in its log: the commit's token, such as `17-9f3a2c`, and its index there."""

    commit: str
    ordinal: int


# A row as a named tuple: the columns that are read, `arrival` and `change`.
RowTuple: TypeAlias = tuple[Any, ...]


@dataclass(eq=False)
class ReplayedLog:
    """A log of a replay. columns: the names of those that are read, as a list."""

    view: LogView
    columns: list[str]
    _first_arrivals: dict[int, tuple[str, int]] = field(default_factory=dict)
    _corrections: dict[int, dict[tuple[int, int], int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        fields = [*self.columns, "arrival", "change"]
        row_type: Any = namedtuple(self.view.dataset.row_name, fields)  # type: ignore[misc]
        self.make_row = row_type._make

    def stored_name(self, commit: int, timestamp_ns: int, arrival: int) -> StoredName:
        """Return the name of a row that came with a commit."""
        found = self._first_arrivals.get(commit)
        if found is None:
            id_, ordinal = self.origin(timestamp_ns, arrival)
            found = self._first_arrivals[commit] = id_.token, arrival - ordinal
        return StoredName(found[0], arrival - found[1])

    def origin(self, timestamp_ns: int, arrival: int) -> tuple[CommitId, int]:
        """Return the commit that stored a row first, and the row's ordinal in it."""
        return self.view.snapshot.row_origin(timestamp_ns=timestamp_ns, arrival=arrival)

    def correction_name(self, commit: int, timestamp_ns: int, arrival: int) -> StoredName:
        """Return the name of a commit's correction of a row; of several the last."""
        ordinals = self._corrections.get(commit)
        if ordinals is None:
            ordinals = self._corrections[commit] = dict(self._ordinals(commit))
        id_, ordinal = self.origin(timestamp_ns, arrival)
        token = self.view.snapshot.log.at(commit).commit.token
        return StoredName(token, ordinals[id_.number, ordinal])

    def _ordinals(self, commit: int) -> Iterator[tuple[tuple[int, int], int]]:
        log = self.view.snapshot.log
        for piece in log.commits(LogPosition(log.at(commit - 1).commit), commit):
            if isinstance(piece, CommittedCorrections):
                for ordinal, each in enumerate(piece.corrections, piece.ordinal):
                    yield (each.target_commit, each.target_ordinal), ordinal


class LogRows(Columns):
    """The rows and corrections of one log in a part, as `Columns`. A correction has the new values, a cancel the old.

    arrival: the number of the row in its log; corrections have that of the row that they change. commit: the number
    of the commit that made the row or the correction. change: 0 for a row as it came, 1 for a correction, 2 for a
    cancel. `row` of the part are indices of these columns.
    """

    def __init__(self, log: ReplayedLog, pieces: Sequence[ReplayRows]) -> None:
        self._stored = pa.concat_tables([each.table for each in pieces])
        super().__init__(log.view.dataset, self._stored.select(log.columns))
        self._log = log
        self._pieces = pieces

    @cached_property
    def arrival(self) -> Integers:
        """The rows' numbers in their log."""
        arrival: Integers = self._stored.column("arrival").to_numpy()
        return arrival

    @cached_property
    def commit(self) -> Integers:
        """The numbers of the commits."""
        commit: Integers = self._stored.column("commit").to_numpy()
        return commit

    @cached_property
    def change(self) -> Codes:
        """The codes of the changes."""
        changes = [each.change for each in self._pieces]
        return np.concatenate(changes) if len(changes) > 1 else changes[0]

    def stored_name(self, row: int) -> StoredName:
        """Return what names a row or a correction in its log. It is looked up in the store."""
        find = self._log.stored_name if self.change[row] == ROW else self._log.correction_name
        return find(self.commit.item(row), self.time_ns.item(row), self.arrival.item(row))

    def target(self, row: int) -> StoredName:
        """Return what names the row that a correction changes; of a row as it came its own name."""
        commit, ordinal = self._log.origin(int(self.time_ns[row]), int(self.arrival[row]))
        return StoredName(commit.token, ordinal)

    def tuples(self, rows: Integers) -> Iterator[RowTuple]:
        """Yield named tuples of some rows: the columns, `arrival`, and `change`: None, `correct` or `cancel`."""
        changes: Any = [CHANGES[code] for code in self.change[rows].tolist()] if self.change.any() else None
        table, arrival = self.table, self.arrival
        if len(rows) < len(table) or (rows[1:] < rows[:-1]).any():
            table, arrival = table.take(pa.array(rows)), arrival[rows]
        columns = [_values(table.column(name)) for name in self.names]
        # Without changes the last column is endless; the others are equally long.
        return map(self._log.make_row, zip(*columns, arrival.tolist(), changes or repeat(None), strict=False))


@dataclass(frozen=True, eq=False)
class ReplayPart:
    """Rows and corrections by (known, dataset, symbol, event time, sequence, arrival), as equally long columns.

    known_ns: when each was known, nanoseconds UTC. log: its index in `logs`. row: its index in the columns of this log
    in this part, `of(log)`.
    """

    logs: tuple[LogName, ...]
    known_ns: Integers
    log: Integers
    row: Integers
    _replayed: Sequence[ReplayedLog]
    _pieces: dict[int, list[ReplayRows]]
    _columns: dict[int, LogRows] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.known_ns)

    @property
    def present(self) -> list[int]:
        """The indices of the logs with rows in this part, ascending."""
        return list(self._pieces)

    def of(self, log: int) -> LogRows:
        """Return the columns of a log that has rows in this part."""
        found = self._columns.get(log)
        if found is None:
            found = self._columns[log] = LogRows(self._replayed[log], self._pieces[log])
        return found

    def rows(self) -> Iterator[tuple[int, str, str, RowTuple]]:
        """Yield (known_ns, dataset, symbol, row) in order. A row is a named tuple; see `LogRows.tuples`."""
        by_log = np.argsort(self.log, kind="stable") if len(self.present) > 1 else slice(None)
        ends = np.cumsum(np.bincount(self.log, minlength=len(self.logs)))[:-1]
        # Named tuples are made one by one, because many at once make the garbage collector slow.
        tuples = [
            self.of(log).tuples(rows) if len(rows) else iter(())
            for log, rows in enumerate(np.split(self.row[by_log], ends))
        ]
        logs = self.log.tolist()
        datasets, symbols = zip(*self.logs, strict=True)
        return zip(
            self.known_ns.tolist(),
            map(datasets.__getitem__, logs),
            map(symbols.__getitem__, logs),
            map(next, map(tuples.__getitem__, logs)),
            strict=True,
        )


def merged_part(
    logs: tuple[LogName, ...], replayed: Sequence[ReplayedLog], pieces: Sequence[tuple[int, ReplayRows]]
) -> ReplayPart:
    """Return the part that consists of pieces, each in order. pieces: with the index of their log, by (log, time)."""
    by_log: dict[int, list[ReplayRows]] = {}
    for index, piece in pieces:
        by_log.setdefault(index, []).append(piece)
    known_ns = (
        np.concatenate([piece.known_ns for _, piece in pieces]) if len(pieces) > 1 else pieces[0][1].known_ns
    )
    lengths = np.array([sum(map(len, each)) for each in by_log.values()])
    indices, starts = np.array(list(by_log)), np.zeros(len(logs), np.int64)
    starts[indices] = np.cumsum(lengths) - lengths
    if bool((known_ns[1:] >= known_ns[:-1]).all()):
        order = np.arange(len(known_ns))
    else:
        known_ns, order = _sorted(known_ns)
    log = np.repeat(indices, lengths)[order] if len(indices) > 1 else np.broadcast_to(indices[0], len(order))
    return ReplayPart(
        logs, known_ns, log, order - starts[log] if len(indices) > 1 else order, replayed, by_log
    )


def _sorted(known_ns: Integers) -> tuple[Integers, Integers]:
    """Return instants in order, and the index of each; equal ones stay in their order."""
    first_ns, shift = int(known_ns.min()), (len(known_ns) - 1).bit_length()
    if (int(known_ns.max()) - first_ns).bit_length() + shift > 63:
        order = np.argsort(known_ns, kind="stable")
        return known_ns[order], order
    # Sorting numbers of instant and index takes half the time of a stable sort.
    numbers = (known_ns - first_ns) << shift | np.arange(len(known_ns))
    numbers.sort()
    return (numbers >> shift) + first_ns, numbers & ((1 << shift) - 1)


def _values(column: pa.ChunkedArray) -> list[Any]:
    """Return a column as Python values, None for null."""
    is_plain = column.null_count == 0 and column.type in (pa.int64(), pa.float64())
    values: list[Any] = column.to_numpy().tolist() if is_plain else column.to_pylist()
    return values
