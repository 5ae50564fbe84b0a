"""Finds duplicates by all columns, including columns that were added to a dataset later.

Hashes do not cover these later columns. So stored rows are read and compared if the batch has a later column
and one of the stored rows that it seems to repeat may have it, too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from store import lazy_pyarrow as pa
from store.arrays import Integers, Mask
from store.csv.files.codec import header_or_empty
from store.csv.files.commit_records import PartKind, StoredPart, loads_of
from store.csv.files.part_reader import known_values, read_known, rows_table
from store.csv.writing.batch import Chunk
from store.csv.writing.row_hashes import Hashes, RowHashes, hash_rows
from store.csv.writing.staging import StagedCommits
from store.declarations import Dataset
from store.exceptions import IdConflict
from store.lazy_imports import compute as pc
from store.protocol import Window
from store.rows.duplicates import IdentifiedRow, StoredValues, stored_rows_among
from store.rows.stored_rows import ARRIVAL


def with_later_columns(
    chunk: Chunk,
    stage: StagedCommits,
    folder: Path,
    is_stored: Callable[[Chunk], Mask],
    ignored: Integers,
) -> Mask:
    """Return a mask of the chunk's rows that are stored or staged already.

    is_stored: returns this mask for a comparison of the original columns only. ignored: the arrival numbers of rows
    that do not count as stored. Raises `IdConflict` with all
    rows that conflict in original or later columns.
    """
    if not chunk.later:
        return is_stored(chunk)
    try:
        mask, conflicts, remaining = is_stored(chunk), [], chunk
    except IdConflict as error:
        conflicts = error.rows
        remaining = chunk.without(np.isin(chunk.indices, conflicts))
        mask = is_stored(remaining) if remaining.rows.num_rows else np.zeros(0, dtype=bool)
    try:
        mask = _confirmed(remaining, mask, _Candidates(remaining, mask, stage, folder, ignored))
    except IdConflict as error:
        conflicts = [*conflicts, *error.rows]
    if conflicts:
        raise IdConflict(sorted(conflicts))
    return mask


class _Candidates:
    """The stored and staged rows at the event times of a chunk's duplicates."""

    def __init__(
        self, chunk: Chunk, duplicates: Mask, stage: StagedCommits, folder: Path, ignored: Integers
    ) -> None:
        self._chunk = chunk
        self._folder = folder
        self._ignored = ignored
        self._instants = chunk.rows.column(0).filter(pa.array(duplicates)).unique()
        self._parts: list[StoredPart] = []
        self._staged: list[tuple[StoredPart, Chunk]] = []
        if len(self._instants):
            bounds = pc.min_max(self._instants).as_py()
            window = Window(bounds["min"], bounds["max"] + 1)
            self._parts = stage.history.parts_in(window)
            self._staged = [
                (part, staged)
                for part, staged in stage.staged(chunk.day)
                if staged.overlaps(*bounds.values())
            ]

    def may_have(self, names: Sequence[str]) -> bool:
        """Return whether any of these rows may have a value in one of the columns. Reads only headers."""
        columns = set(names)
        if any(columns.intersection(staged.later) for _, staged in self._staged):
            return True
        files = {stored.part.file for stored in self._parts}
        return any(
            columns.intersection(header_or_empty(self._chunk.dataset, self._folder / file)) for file in files
        )

    def tables(self) -> Iterator[pa.Table]:
        """Yield the rows as they came in, and the new values of corrected rows that have ids."""
        dataset = self._chunk.dataset
        for parts in loads_of(self._parts):
            yield self._at_instants(read_known(dataset, self._folder, parts))
        for part, staged in self._staged:
            rows = pa.Table.from_batches([staged.rows])
            is_rows = staged.kind is PartKind.ROWS
            yield self._at_instants(rows_table(rows, [part]) if is_rows else known_values(dataset, rows))

    def _at_instants(self, table: pa.Table) -> pa.Table:
        found = table.filter(pc.is_in(table.column(0), self._instants))
        if not len(self._ignored):
            return found
        return found.filter(pa.array(~np.isin(found.column(ARRIVAL.name).to_numpy(), self._ignored)))


def _confirmed(chunk: Chunk, duplicates: Mask, candidates: _Candidates) -> Mask:
    """Return the mask without the rows that equal no stored row in their later columns. Raises `IdConflict`."""
    hashes = chunk.hashes
    identities = np.unique(hashes.identity[duplicates])
    says_all = chunk.dataset.has_complete_ids
    if not len(identities) or not (says_all or _repeats_ids(hashes) or candidates.may_have(chunk.later)):
        return duplicates
    stored = [Compared.of(chunk.dataset, table, identities) for table in candidates.tables()]
    rows = Compared.of(chunk.dataset, chunk.rows, identities)
    confirmed = np.isin(hashes.identity, identities)
    differing = rows.differing(stored)
    if len(differing):
        stored_values: dict[Hashable, list[StoredValues]] = defaultdict(list)
        for each in stored:
            for row in each.identified(differing):
                stored_values[row.identity].append((row.value, row.later))
        confirmed &= ~np.isin(hashes.identity, differing)
        try:
            sent = rows.identified(differing, says_all=says_all)
            confirmed[stored_rows_among(sent, stored_values)] = True
        except IdConflict as error:
            raise IdConflict(chunk.indices[error.rows].tolist()) from error
    return confirmed


def _repeats_ids(hashes: RowHashes) -> bool:
    """Return whether two rows of a chunk have the same id. Their later columns may differ."""
    ids = hashes.identity[hashes.has_id]
    return len(np.unique(ids)) < len(ids)


@dataclass(frozen=True, slots=True)
class Compared:
    """Some rows of a table: their indices in it, hashes, later columns, and a hash of all columns."""

    indices: Integers
    hashes: RowHashes
    later: pa.RecordBatch | pa.Table
    exact: Hashes

    @classmethod
    def of(cls, dataset: Dataset, rows: pa.RecordBatch | pa.Table, identities: Hashes) -> Compared:
        """Select the table's rows whose identity is in `identities`."""
        hashed = hash_rows(dataset, rows)
        indices = np.flatnonzero(np.isin(hashed.identity, identities))
        hashes = hashed.taken(indices)
        later = rows.select(dataset.later_names).take(pa.array(indices))
        own = tuple(replace(column, later=False) for column in dataset.columns if column.later)
        exact = hashes.value ^ hash_rows(replace(dataset, columns=own, id_columns=()), later).identity
        return cls(indices, hashes, later, exact)

    def differing(self, stored: Sequence[Compared]) -> Hashes:
        """Return the identities of rows that no stored row equals in all columns.

        Of k equal rows without ids, none counts as stored unless at least k are.
        """
        stored_hashes = np.sort(np.concatenate([np.empty(0, np.int64), *(each.exact for each in stored)]))
        exact, inverse, counts = np.unique(self.exact, return_inverse=True, return_counts=True)
        stored_counts = stored_hashes.searchsorted(exact, side="right") - stored_hashes.searchsorted(exact)
        is_found = np.where(
            self.hashes.has_id, (stored_counts > 0)[inverse], (stored_counts >= counts)[inverse]
        )
        return np.unique(self.hashes.identity[~is_found])

    def identified(self, identities: Hashes, *, says_all: bool = False) -> list[IdentifiedRow]:
        """Return the rows of some identities for `stored_rows_among`."""
        chosen = np.flatnonzero(np.isin(self.hashes.identity, identities))
        hashes = self.hashes
        columns = (self.indices, hashes.identity, hashes.check, hashes.value, hashes.has_id)
        later = zip(
            *(values.to_pylist() for values in self.later.take(pa.array(chosen)).columns), strict=True
        )
        return [
            IdentifiedRow(index, (identity, check), value, has_id, later_values, says_all)
            for index, identity, check, value, has_id, later_values in zip(
                *(column[chosen].tolist() for column in columns), later, strict=True
            )
        ]
