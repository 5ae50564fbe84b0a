"""Reads the rows of fills on one event date, with what later batches of the feed made of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from store import lazy_pyarrow as pa
from store.arrays import Integers, Mask
from store.bars.prints import STANDS
from store.csv.files.column_file import Records
from store.csv.files.commit_records import PartKind, StoredPart, loads_of, of_kind
from store.csv.files.part_reader import (
    corrections_table,
    known_values,
    read_corrections,
    read_rows,
    rows_table,
)
from store.csv.log.commit_index import text_hash
from store.csv.writing.batch import Chunk, CorrectionChunk
from store.csv.writing.later_columns import Compared
from store.csv.writing.row_hashes import RowHashes
from store.csv.writing.staging import StagedCommits
from store.declarations import Dataset
from store.protocol import Action, Superseded, Window
from store.rows.fills import FillMatches, ProvisionalRow, match_fills, series_of
from store.rows.stored_rows import ACTION, ARRIVAL, apply_corrections, corrections_of
from store.timestamps import DAY_NS


@dataclass(frozen=True, slots=True)
class FillLedger:
    """The fills of a log that a batch may meet: their commits, and what later batches of the feed superseded.

    superseded: entries as of `commit_index.SUPERSEDED`.
    """

    commits: frozenset[int]
    superseded: Records

    @classmethod
    def of(cls, chunks: Sequence[Chunk], stage: StagedCommits) -> FillLedger | None:
        """Return the ledger for a batch; None if no fill's window overlaps the batch's event dates."""
        if not chunks:
            return None
        window = Window(chunks[0].day * DAY_NS, (chunks[-1].day + 1) * DAY_NS)
        commits = stage.fill_commits(window)
        return cls(frozenset(commits), stage.superseded(window)) if commits else None


@dataclass(frozen=True, slots=True)
class FilledRows:
    """Rows that fills stored on one event date.

    rows: as they came in, with their arrival numbers. corrections: all of these rows, in order. The masks have one
    entry per row: whether it is provisional (see `store.rows.fills`), and whether the feed superseded it.
    """

    dataset: Dataset
    rows: pa.Table
    corrections: pa.Table
    is_provisional: Mask
    is_superseded: Mask

    @property
    def arrival(self) -> Integers:
        """The arrival numbers, ascending."""
        arrival: Integers = self.rows.column(ARRIVAL.name).to_numpy()
        return arrival

    def between(self, extents: Sequence[Superseded]) -> Mask:
        """Return a mask of the rows whose event time and series are in one of the extents."""
        times, series = self.rows.column(0).to_numpy(), _series_hashes(self.dataset, self.rows)
        found: Mask = np.zeros(len(times), np.bool_)
        for each in extents:
            in_series = series == text_hash(each.series)
            found |= in_series & (times >= each.first_ns) & (times <= each.last_ns)
        return found

    def matches(self, chunk: Chunk) -> FillMatches:
        """Match a chunk's rows with the provisional rows. `duplicates` are indices in the batch."""
        known = _known(self.dataset, self.rows, self.corrections, self.arrival[self.is_provisional])
        arrivals = known.column(ARRIVAL.name).to_numpy()
        filled = Compared.of(self.dataset, known, chunk.identities)
        sent = Compared.of(self.dataset, chunk.rows, np.unique(filled.hashes.identity))
        of_sent, of_filled = _lone_pairs(sent.hashes, filled.hashes)
        is_same = sent.exact[of_sent] == filled.exact[of_filled]
        is_other = sent.hashes.value[of_sent] != filled.hashes.value[of_filled]
        settled = sent.hashes.identity[of_sent[is_same | is_other]]
        found = self._matches_one_by_one(sent, filled, arrivals, settled)
        paired = arrivals[filled.indices[of_filled]]
        found.duplicates += sent.indices[of_sent[is_same]].tolist()
        found.confirmed.update(paired[is_same].tolist())
        found.replaced.update(paired[is_other].tolist())
        found.duplicates = chunk.indices[found.duplicates].tolist()
        return found

    def _matches_one_by_one(
        self, sent: Compared, filled: Compared, arrivals: Integers, settled: Integers
    ) -> FillMatches:
        """Match rows by `match_fills`, except those with the identities `settled`."""
        identities = np.setdiff1d(sent.hashes.identity, settled)
        cancelled = self._cancelled() if len(identities) else set()
        provisional: dict[Hashable, dict[int, ProvisionalRow]] = defaultdict(dict)
        for each in filled.identified(identities):
            arrival = int(arrivals[each.row])
            row = ProvisionalRow(arrival, arrival not in cancelled)
            provisional[each.identity].setdefault(arrival, row).values.append((each.value, each.later))
        return match_fills(
            sent.identified(identities, says_all=self.dataset.has_complete_ids),
            {identity: list(rows.values()) for identity, rows in provisional.items()},
        )

    def cancels(self, symbol: str, day: int, is_chosen: Mask) -> CorrectionChunk | None:
        """Return cancels of the chosen rows that stand; None if there are none."""
        versions = apply_corrections(self.rows, self.corrections)
        arrivals, until = (versions.column(name).to_numpy() for name in (ARRIVAL.name, "until"))
        standing = versions.filter(pa.array((until == STANDS) & np.isin(arrivals, self.arrival[is_chosen])))
        if not standing.num_rows:
            return None
        dataset = corrections_of(self.dataset)
        action = pa.array([Action.CANCEL.value] * standing.num_rows)
        lines = standing.sort_by(ARRIVAL.name).append_column(ACTION.field, action)
        lines = lines.select(dataset.schema.names)
        (batch,) = lines.cast(dataset.schema).combine_chunks().to_batches()
        return CorrectionChunk.of(dataset, symbol, day, batch, np.arange(batch.num_rows))

    def _cancelled(self) -> set[int]:
        is_cancel = self.corrections.column(ACTION.name).to_numpy(zero_copy_only=False) == Action.CANCEL
        return set(self.corrections.column(ARRIVAL.name).to_numpy()[is_cancel].tolist())


@dataclass(frozen=True, slots=True)
class FilledRowsReader:
    """Reads the rows of a ledger's fills, stored or staged."""

    dataset: Dataset
    folder: Path
    stage: StagedCommits
    ledger: FillLedger

    def days(self, extents: Sequence[Superseded]) -> list[int]:
        """Return the event dates with rows of the fills between the first and the last time of the extents."""
        window = _hull(extents)
        stored = {each.part.day for each in self._parts(window)}
        staged = (day for day in self.stage.days() if any(True for _ in self._staged(day, window)))
        return sorted(stored.union(staged))

    def read(self, day: int, extents: Sequence[Superseded], arrivals: Integers) -> FilledRows | None:
        """Return a date's rows that are between the extents' first and last times, or have one of the arrival numbers.

        None if no part has such rows.
        """
        window = _hull(extents).within(Window(day * DAY_NS, (day + 1) * DAY_NS))

        def needed(table: pa.Table) -> pa.Table:
            times, own = table.column(0).to_numpy(), table.column(ARRIVAL.name).to_numpy()
            is_needed = (times >= window.start_ns) & (times < window.end_ns) | np.isin(own, arrivals)
            return table.filter(pa.array(is_needed))

        tables = [
            needed(read_rows(self.dataset, self.folder, load))
            for load in loads_of(self._parts_with(day, window, arrivals))
        ]
        tables += [
            needed(rows_table(pa.Table.from_batches([chunk.rows]), [part]))
            for part, chunk in self.stage.staged(day)
            if chunk.kind is PartKind.ROWS and part.commit in self.ledger.commits
        ]
        if not tables:
            return None
        rows = pa.concat_tables(tables)
        corrections = self._corrections(day, rows)
        superseded = self._superseded(rows, corrections)
        return FilledRows(self.dataset, rows, corrections, ~superseded & ~self._confirmed(rows), superseded)

    def _parts(self, window: Window) -> list[StoredPart]:
        """Return the fills' stored parts of rows in a window, in order of commit. Other commits are not looked at."""
        history = self.stage.history
        newest = history.head().number
        parts = (
            history.parts_in(window, number, after=number - 1)
            for number in self.stage.fill_commits(window)
            if number <= newest
        )
        return of_kind(chain.from_iterable(parts), PartKind.ROWS)

    def _staged(self, day: int, window: Window) -> Iterator[Chunk]:
        for part, chunk in self.stage.staged(day):
            is_filled = chunk.kind is PartKind.ROWS and part.commit in self.ledger.commits
            if is_filled and chunk.overlaps(window.start_ns, window.end_ns - 1):
                yield chunk

    def _parts_with(self, day: int, window: Window, arrivals: Integers) -> list[StoredPart]:
        def has_any(stored: StoredPart) -> bool:
            end = stored.first_arrival + stored.part.rows
            return bool(((arrivals >= stored.first_arrival) & (arrivals < end)).any())

        between = self._parts(window)
        if not len(arrivals):
            return between
        of_date = self._parts(Window(day * DAY_NS, (day + 1) * DAY_NS))
        return [each for each in of_date if each in between or has_any(each)]

    def _corrections(self, day: int, rows: pa.Table) -> pa.Table:
        """Return all corrections of the rows, in order, with their commits."""
        schema = corrections_of(self.dataset).schema
        tables = [corrections_table(schema.empty_table(), [])]
        if rows.num_rows:
            times = rows.column(0).to_numpy()
            parts = self.stage.history.parts_in(Window(int(times.min()), int(times.max()) + 1))
            loads = loads_of(of_kind(parts, PartKind.CORRECTIONS))
            tables += [read_corrections(self.dataset, self.folder, load) for load in loads]
            tables += [
                corrections_table(pa.Table.from_batches([chunk.rows]), [part])
                for part, chunk in self.stage.staged(day)
                if chunk.kind is PartKind.CORRECTIONS
            ]
        corrections = pa.concat_tables([table.cast(tables[0].schema) for table in tables])
        own = np.isin(corrections.column(ARRIVAL.name).to_numpy(), rows.column(ARRIVAL.name).to_numpy())
        return corrections.filter(pa.array(own))

    def _superseded(self, rows: pa.Table, corrections: pa.Table) -> Mask:
        """Return a mask of the rows that batches of the feed cancelled."""
        is_cancel = corrections.column(ACTION.name).to_numpy(zero_copy_only=False) == Action.CANCEL
        by_feed = np.isin(corrections.column("commit").to_numpy(), self.ledger.superseded["commit"])
        arrivals = corrections.column(ARRIVAL.name).to_numpy()[is_cancel & by_feed]
        mask: Mask = np.isin(rows.column(ARRIVAL.name).to_numpy(), arrivals)
        return mask

    def _confirmed(self, rows: pa.Table) -> Mask:
        """Return a mask of the rows that a later batch of the feed has passed over."""
        times, commits = rows.column(0).to_numpy(), rows.column("commit").to_numpy()
        confirmed: Mask = np.zeros(len(times), np.bool_)
        if not len(times):
            return confirmed
        entries, series = self.ledger.superseded, _series_hashes(self.dataset, rows)
        overlaps = (entries["first_ns"] <= times.max()) & (entries["last_ns"] >= times.min())
        for first_ns, last_ns, commit, of_series in entries[overlaps].tolist():
            between = (times >= first_ns) & (times <= last_ns)
            confirmed |= between & (commits < commit) & (series == of_series)
        return confirmed


def _lone_pairs(sent: RowHashes, filled: RowHashes) -> tuple[Integers, Integers]:
    """Return the indices of the rows, as pairs, whose identity occurs once on each side.

    So almost all rows are matched as columns: one by one, 100,000 rows would take two seconds under the log's lock.
    """
    lone = []
    for hashes in (sent, filled):
        identities, index, counts = np.unique(hashes.identity, return_index=True, return_counts=True)
        lone.append((identities[counts == 1], index[counts == 1]))
    (one, of_one), (other, of_other) = lone
    _, at_one, at_other = np.intersect1d(one, other, assume_unique=True, return_indices=True)
    of_sent, of_filled = of_one[at_one], of_other[at_other]
    is_pair = sent.check[of_sent] == filled.check[of_filled]
    return of_sent[is_pair], of_filled[is_pair]


def _known(dataset: Dataset, rows: pa.Table, corrections: pa.Table, arrivals: Integers) -> pa.Table:
    """Return the values by which rows are recognised: as they came in, and `known_values` of their corrections."""
    schema = dataset.schema.append(ARRIVAL.field)
    tables = (rows.select(schema.names), known_values(dataset, corrections))
    known = pa.concat_tables([table.cast(schema) for table in tables])
    return known.filter(pa.array(np.isin(known.column(ARRIVAL.name).to_numpy(), arrivals)))


def _hull(extents: Sequence[Superseded]) -> Window:
    if not extents:
        return Window(0, 0)
    return Window(min(each.first_ns for each in extents), max(each.last_ns for each in extents) + 1)


def _series_hashes(dataset: Dataset, rows: pa.Table) -> Integers:
    series = series_of(dataset, rows)
    if series is None:
        return np.full(rows.num_rows, text_hash(""))
    hashes = {name: text_hash(name) for name in set(series)}
    return np.array([hashes[name] for name in series], np.int64)
