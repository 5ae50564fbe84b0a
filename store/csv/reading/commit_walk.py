"""Iterates over the commits of one log (a walk), from its records and data files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import takewhile
from operator import attrgetter
from pathlib import Path

import numpy as np

from store import lazy_pyarrow as pa
from store.csv.files.commit_records import Commit, PartKind, StoredPart, of_kind
from store.csv.files.disk import unavailable
from store.csv.files.part_reader import read_piecewise
from store.csv.log.commit_log import CommitLog
from store.csv.log.history import CommitHistory
from store.csv.reading.log_reader import LogReader
from store.declarations import Dataset
from store.exceptions import StoreUnavailable, UnknownSymbol
from store.protocol import NO_COMMIT, CommitId, Window
from store.rows.corrections import Row
from store.rows.stored_rows import ARRIVAL, action_name, corrections_of
from store.walk import (
    PIECE_ROWS,
    CommitPiece,
    CommitRecord,
    CommittedCorrection,
    CommittedCorrections,
    CommittedRows,
    LogPosition,
    Resync,
    effect_of,
)
from store.window_list import WindowList


class CommitWalk:
    """Iterates over the commits of one log. Everything that it yields is durable."""

    def __init__(
        self, dataset: Dataset, symbol: str, folder: Path, commits: CommitLog, reader: LogReader
    ) -> None:
        self._dataset = dataset
        self._symbol = symbol
        self._folder = folder
        self._commits = commits
        self._reader = reader

    def pieces(self, after: LogPosition, upto: int | None) -> Iterator[CommitPiece]:
        history, head = self.durable_history(after.commit)
        return self._pieces_after(history, after, head.number if upto is None else min(upto, head.number))

    def records(self, after: CommitId, count: int) -> list[CommitRecord]:
        """See `Log.records`."""
        history, head = self.durable_history(after)
        found = history.records(after.number, min(after.number + count, head.number))
        try:
            return [CommitRecord(commit_id, commit.facts) for commit, commit_id in found]
        except OSError as error:
            raise unavailable(error) from error

    def durable_history(self, position: CommitId) -> tuple[CommitHistory, CommitId]:
        """Return the history and its newest commit, made durable.

        Raises `Resync` if the log lacks `position`, and `UnknownSymbol` if it has no commit.
        """
        try:
            history, head = self._commits.durable()
        except FileNotFoundError:
            history, head = self._commits.without_commits(), NO_COMMIT
        except OSError as error:
            raise unavailable(error) from error
        if head == position == NO_COMMIT:
            raise UnknownSymbol(self._symbol)
        if position.number > head.number or not history.has(position):
            raise Resync(self._symbol, head)
        return history, head

    def _pieces_after(self, history: CommitHistory, after: LogPosition, last: int) -> Iterator[CommitPiece]:
        position, newest = after.commit, history.head(last)
        try:
            for commit, position in history.records(max(after.commit.number - 1, 0), last):
                first_ordinal = after.ordinal if position == after.commit else 0
                if position != after.commit:
                    yield CommitRecord(position, commit.facts)
                yield from self._commit_pieces(history, commit, position, first_ordinal)
        except (StoreUnavailable, OSError) as error:
            current, head = self.durable_history(position)
            if newest.number > head.number or not current.has(newest):
                # A restore of the log removed the unread rows; they are not damaged. The caller can continue.
                raise StoreUnavailable("the log was restored during the walk: continue the walk") from error
            if isinstance(error, OSError):
                raise unavailable(error) from error
            raise

    def _commit_pieces(
        self, history: CommitHistory, commit: Commit, commit_id: CommitId, first_ordinal: int
    ) -> Iterator[CommittedRows | CommittedCorrections]:
        """Yield the commit's rows, then its corrections, from the one with index `first_ordinal` on."""
        end = 0
        for part in commit.parts:
            start, end = end, end + part.rows
            if end <= first_ordinal:
                continue
            if part.first_ns < history.expired.removed_before_ns:
                raise history.expired.error(self._dataset, self._symbol)
            stored = StoredPart(commit.number, 0, part)
            if part.kind == PartKind.ROWS:
                for ordinal, rows in _batches(self._tables(self._dataset, stored), start, first_ordinal):
                    yield CommittedRows(commit_id, ordinal, rows)
            else:
                for ordinal, corrections in self._corrections(history, stored, start):
                    remaining = corrections[max(first_ordinal - ordinal, 0) :]
                    if remaining:
                        yield CommittedCorrections(commit_id, max(ordinal, first_ordinal), remaining)

    def _tables(self, dataset: Dataset, stored: StoredPart) -> Iterator[pa.Table]:
        return read_piecewise(dataset, self._folder, stored)

    def _corrections(
        self, history: CommitHistory, stored: StoredPart, start: int
    ) -> Iterator[tuple[int, tuple[CommittedCorrection, ...]]]:
        """Yield the corrections of a part in pieces, each with the ordinal of its first correction.

        Ordinals are indices in the commit. The whole part is read, because its earlier corrections may be of
        the same rows as the later ones.
        """
        tables = self._tables(corrections_of(self._dataset), stored)
        states: dict[int, Row] = {}
        action = action_name(self._dataset.schema.names)
        for ordinal, lines in _batches(tables, start):
            times = lines.column(0).to_numpy()
            window = Window(int(times.min()), int(times.max()) + 1)
            targets = RowOrigins(history, window, stored.commit - 1)
            for arrival, row in self._before(history, stored.commit, lines).items():
                states.setdefault(arrival, row)
            yield ordinal, tuple(effect_of(line, action, states, targets.of) for line in lines.to_pylist())

    def _before(self, history: CommitHistory, number: int, lines: pa.RecordBatch) -> Mapping[int, Row]:
        """Return the rows that `lines` correct, by arrival number, as they were before the commit `number`."""
        instants = np.unique(lines.column(0).to_numpy())
        read = partial(self._reader.standing, WindowList.at(instants))
        rows = self._reader.with_state(history, number - 1, read)
        is_named = np.isin(rows.column(ARRIVAL.name).to_numpy(), lines.column(ARRIVAL.name).to_numpy())
        named = rows.filter(pa.array(is_named))
        arrivals = named.column(ARRIVAL.name).to_pylist()
        return dict(zip(arrivals, named.select(self._dataset.schema.names).to_pylist(), strict=True))


class RowOrigins:
    """Finds the commit and the ordinal of rows by their arrival numbers."""

    def __init__(self, history: CommitHistory, window: Window, commit: int | None = None) -> None:
        """window: has the event times of the rows. commit: the newest that may have stored them; None for any."""
        parts = history.parts_in(window, commit)
        self._history = history
        self._parts = sorted(of_kind(parts, PartKind.ROWS), key=attrgetter("first_arrival"))
        self._firsts = np.array([stored.first_arrival for stored in self._parts], np.int64)
        self._starts: dict[int, int] = {}

    def of(self, arrival: int) -> tuple[int, int]:
        """Return the number of the commit that stored a row, and the row's ordinal in it."""
        index = int(self._firsts.searchsorted(arrival, "right")) - 1
        stored = self._parts[index]
        start = self._starts.get(index)
        if start is None:
            start = self._starts[index] = _ordinal(self._history, stored)
        return stored.commit, start + arrival - stored.first_arrival


def _ordinal(history: CommitHistory, stored: StoredPart) -> int:
    """Return the index, in its commit, of a part's first line."""
    ((commit, _),) = history.records(stored.commit - 1, stored.commit)
    before = takewhile(lambda part: part != stored.part, commit.parts)
    return sum(part.rows for part in before)


def _batches(
    tables: Iterable[pa.Table], start: int, first_ordinal: int = 0
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Yield the tables' rows in pieces, each with the ordinal of its first row.

    start: the ordinal of the first table's first row. Rows before `first_ordinal` are left out.
    """
    for table in tables:
        for batch in table.combine_chunks().to_batches(max_chunksize=PIECE_ROWS):
            end = start + batch.num_rows
            if end > first_ordinal:
                yield max(start, first_ordinal), batch.slice(max(first_ordinal - start, 0))
            start = end
