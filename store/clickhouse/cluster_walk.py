"""Iterates over the commits of one log of the cluster (a walk)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from store import lazy_pyarrow as pa
from store.clickhouse.catalogue import Catalogue, StoredLog
from store.clickhouse.row_tables import RowTables, among, in_window
from store.exceptions import DataDamaged
from store.log import Log
from store.protocol import CommitId, Window
from store.rows.corrections import Row
from store.rows.stored_rows import ARRIVAL, COMMIT, action_name, integers, standing_at
from store.walk import (
    PIECE_ROWS,
    CommitPiece,
    CommitRecord,
    CommittedCorrections,
    CommittedRows,
    LogPosition,
    effect_of,
)

_RECORDS = 512


@dataclass(frozen=True, slots=True)
class ClusterWalk:
    """Iterates over the commits of one log. Everything that it yields is durable.

    check: raises `Resync` unless the log has a commit now.
    """

    log: Log
    state: StoredLog
    catalogue: Catalogue
    tables: RowTables
    check: Callable[[CommitId], None]

    def pieces(self, after: LogPosition, last: int) -> Iterator[CommitPiece]:
        """Yield the pieces after a position up to a commit; see `Log.commits`."""
        position, number = after.commit, after.commit.number
        while number <= last:
            records = self.catalogue.records(self.state.id, max(number, 1), min(number + _RECORDS, last))
            self._check(position, [record.id for record, _ in records])
            # Rows of the first one that were read may have been removed.
            is_read = (
                bool(records) and records[0][0].id == after.commit and after.ordinal >= records[0][0].length
            )
            for group in _groups(records[1:] if is_read else records):
                yield from self._group_pieces(group, after)
            if not records:
                return
            position = records[-1][0].id
            number = position.number + 1

    def _check(self, position: CommitId, ids: Sequence[CommitId]) -> None:
        """Raise `Resync` if the log was restored and has other commits now."""
        if position.number and position not in ids:
            self.check(position)

    def _group_pieces(
        self, group: Sequence[tuple[CommitRecord, int]], after: LogPosition
    ) -> Iterator[CommitPiece]:
        rows = self._rows_of(group)
        start = 0
        for record, before in group:
            own = rows.slice(start, record.facts.rows)
            start += record.facts.rows
            is_begun = record.id == after.commit
            if not is_begun:
                yield record
            first = after.ordinal if is_begun else 0
            for batch_start in range(min(first, len(own)), len(own), PIECE_ROWS):
                (batch,) = own.slice(batch_start, PIECE_ROWS).combine_chunks().to_batches()
                yield CommittedRows(record.id, batch_start, batch)
            if record.facts.corrections and first < record.length:
                yield from self._correction_pieces(record, before, first)

    def _check_left(self, window: Window) -> None:
        if window.start_ns < self.state.expired.removed_before_ns:
            raise self.state.expired.error(self.log.dataset, self.log.symbol)

    def _rows_of(self, group: Sequence[tuple[CommitRecord, int]]) -> pa.Table:
        """Return the rows of consecutive commits, in order of arrival."""
        wanted = sum(record.facts.rows for record, _ in group)
        names = self.log.dataset.schema.names
        if not wanted:
            return self.log.dataset.schema.empty_table()
        first, last = group[0][0].id.number, group[-1][0].id.number
        window = self.catalogue.bounds(self.state.id, first, last)
        assert window is not None  # noqa: S101 they have rows
        self._check_left(window)
        stored = self.state.rows_until(self.log.dataset, last)
        rows = self.tables.originals(stored, f"{in_window(window)} AND _commit >= {first}")
        if rows.num_rows != wanted:
            raise DataDamaged(
                f"the commits {first} to {last} of {self.log.symbol} have {wanted} rows, and {rows.num_rows} are stored"
            )
        return rows.sort_by(ARRIVAL.name).select(names)

    def _correction_pieces(
        self, record: CommitRecord, before: int, first: int
    ) -> Iterator[CommittedCorrections]:
        """Yield the corrections of a commit from an ordinal on. before: the number of rows before the commit."""
        dataset, tables, number = self.log.dataset, self.tables, record.id.number
        window = self.catalogue.bounds(self.state.id, number, number)
        assert window is not None  # noqa: S101 it has corrections
        self._check_left(window)
        lines = tables.corrections(
            self.state.rows_until(dataset, number), f"{in_window(window)} AND _commit = {number}"
        )
        if lines.num_rows != record.facts.corrections:
            raise DataDamaged(f"commit {number} of {self.log.symbol} lacks corrections")
        at_times = among("timestamp", np.unique(integers(lines, "timestamp")))
        rows = tables.stored(self.state.rows_until(dataset, number - 1), at_times)
        rows = rows.filter(pa.array(standing_at(rows, number - 1)))
        arrivals, values = (
            rows.column(ARRIVAL.name).to_pylist(),
            rows.select(dataset.schema.names).to_pylist(),
        )
        states: dict[int, Row] = dict(zip(arrivals, values, strict=True))
        arrivals = lines.column(ARRIVAL.name).to_pylist()
        origins = self.catalogue.origins(self.state.id, arrivals)
        targets = {
            arrival: (target.number, ordinal)
            for arrival, (target, ordinal) in zip(arrivals, origins, strict=True)
        }
        action, corrections = action_name(dataset.schema.names), lines.drop_columns(COMMIT.name).to_pylist()
        found = [effect_of(line, action, states, targets.__getitem__) for line in corrections]
        for start in range(max(first - record.facts.rows, 0), len(found), PIECE_ROWS):
            some = tuple(found[start : start + PIECE_ROWS])
            yield CommittedCorrections(record.id, record.facts.rows + start, some)


def _groups(records: Sequence[tuple[CommitRecord, int]]) -> Iterator[list[tuple[CommitRecord, int]]]:
    """Yield groups of consecutive commits that together have few rows, or of one commit."""
    group, rows = list[tuple[CommitRecord, int]](), 0
    for each in records:
        if group and rows + each[0].facts.rows > PIECE_ROWS:
            yield group
            group, rows = [], 0
        group.append(each)
        rows += each[0].facts.rows
    if group:
        yield group
