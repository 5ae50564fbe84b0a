"""Finds which rows of a batch are new, and the rows of fills that the batch supersedes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from store import lazy_pyarrow as pa
from store.arrays import Integers, Mask
from store.csv.files.commit_records import PartKind
from store.csv.writing.batch import Chunk, CorrectionChunk, PreparedBatch
from store.csv.writing.correction_targets import replacements
from store.csv.writing.filled_rows import FilledRows, FilledRowsReader, FillLedger
from store.csv.writing.known_rows import KnownRows
from store.csv.writing.later_columns import with_later_columns
from store.csv.writing.matching import duplicates_among
from store.csv.writing.row_hashes import StoredHashes, repeated_ids
from store.csv.writing.staging import StagedCommits
from store.exceptions import IdConflict
from store.protocol import Dedupe, Superseded, Window
from store.rows.corrections import AppliedCorrection
from store.rows.fills import extents_of
from store.timestamps import DAY_NS

_NO_ARRIVALS: Integers = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class NewLines:
    """The lines that a request adds: its new rows or corrections by event date, then cancels of rows of fills.

    duplicates: the indices of the batch's other rows. superseded, replaced: see `Facts`.
    """

    chunks: tuple[Chunk, ...]
    duplicates: tuple[int, ...]
    superseded: tuple[Superseded, ...] = ()
    replaced: int = 0


def new_rows(batch: PreparedBatch, stage: StagedCommits, folder: Path, known_rows: KnownRows) -> NewLines:
    """Return what a batch adds to the stored and staged rows. Raises `IdConflict`, `DataDamaged`."""
    if batch.dedupe is Dedupe.BATCH and (
        batch.digest in stage.digests or any(map(stage.history.knows_batch, batch.digests()))
    ):
        return NewLines((), tuple(range(batch.received)))
    known = _Known(stage, folder, known_rows)
    ledger = FillLedger.of(batch.chunks, stage)
    if ledger is None:
        return _new_of(batch, known, known.stored)
    meeting = _Meeting(batch, known, ledger)
    new = _new_of(batch, known, meeting.stored)
    return new if batch.fill is not None else meeting.with_cancels(new)


def _new_of(batch: PreparedBatch, known: _Known, stored: Callable[[Chunk], Mask]) -> NewLines:
    """Return the rows that are not duplicates. stored: returns a mask of a chunk's duplicates."""
    if batch.replaces:
        return _replacing(batch, known, stored)
    if batch.dedupe is not Dedupe.ROWS:
        return NewLines(batch.chunks, ())
    new: list[Chunk] = []
    duplicates: list[int] = []
    conflicts: list[int] = []
    for chunk in batch.chunks:
        try:
            mask = stored(chunk)
        except IdConflict as error:
            if batch.fill is None:
                conflicts.extend(error.rows)
                continue
            mask = _with_conflicts(chunk, error.rows, stored)
        duplicates.extend(chunk.indices[mask].tolist())
        new.append(chunk.without(mask) if mask.any() else chunk)
    if conflicts:
        raise IdConflict(sorted(conflicts))
    return NewLines(tuple(chunk for chunk in new if chunk.rows.num_rows), tuple(sorted(duplicates)))


def _replacing(batch: PreparedBatch, known: _Known, stored: Callable[[Chunk], Mask]) -> NewLines:
    """Return the rows that replace stored ones, or are new."""
    rows: list[Chunk] = []
    replaced: list[CorrectionChunk] = []
    duplicates: list[int] = []
    for chunk in batch.chunks:
        last = chunk.without(repeated_ids(chunk.hashes))
        try:
            is_stored, has_others = stored(last), False
        except IdConflict as error:
            is_stored, has_others = _with_conflicts(last, error.rows, stored), True
        applied: list[AppliedCorrection] = []
        if is_stored.any() and (has_others or known.has_corrections(last.day)):
            applied, again = replacements(last.without(~is_stored), known.stage, known.folder)
            is_stored &= ~np.isin(last.indices, again)
        if applied:
            replaced.append(CorrectionChunk.of_changes(chunk.dataset, chunk.symbol, chunk.day, applied))
        rows.append(last.without(is_stored))
        added = [*rows[-1].indices.tolist(), *(change.index for change in applied)]
        duplicates.extend(chunk.indices[~np.isin(chunk.indices, added)].tolist())
    new = (chunk for chunk in rows if chunk.rows.num_rows)
    count = sum(chunk.rows.num_rows for chunk in replaced)
    return NewLines((*new, *replaced), tuple(sorted(duplicates)), replaced=count)


def _with_conflicts(chunk: Chunk, conflicts: list[int], stored: Callable[[Chunk], Mask]) -> Mask:
    """Return a mask of the rows whose ids are stored, also with other values. conflicts: the indices of the latter."""
    mask: Mask = np.isin(chunk.indices, conflicts)
    others = chunk.without(mask)
    if others.rows.num_rows:
        mask[~mask] = stored(others)
    return mask


@dataclass(frozen=True, slots=True)
class _Known:
    """Looks up stored and staged rows."""

    stage: StagedCommits
    folder: Path
    rows: KnownRows

    def has_corrections(self, day: int) -> bool:
        """Return whether rows of a date were corrected or cancelled: then what was stored first may not stand."""
        stored = self.stage.history.parts_in(Window(day * DAY_NS, (day + 1) * DAY_NS))
        parts = [*stored, *(part for part, _ in self.stage.staged(day))]
        return any(each.part.kind == PartKind.CORRECTIONS for each in parts)

    def candidates(self, chunk: Chunk) -> StoredHashes:
        """Return the rows with the identity of one of the chunk's rows."""
        staged = self.stage.index_for(chunk)
        return self.rows.candidates(chunk, self.stage.history, self.folder, staged=staged)

    def stored(
        self, chunk: Chunk, candidates: StoredHashes | None = None, ignored: Integers = _NO_ARRIVALS
    ) -> Mask:
        """Return a mask of the chunk's duplicates.

        candidates: those of the chunk, if they are known. ignored: the arrival numbers of rows that do not count as
        stored.
        """

        def is_stored(rows: Chunk) -> Mask:
            found = candidates if candidates is not None and rows is chunk else self.candidates(rows)
            return duplicates_among(rows, found.without(ignored) if len(ignored) else found)

        return with_later_columns(chunk, self.stage, self.folder, is_stored, ignored)


class _Meeting:
    """A batch on event dates with fills."""

    def __init__(self, batch: PreparedBatch, known: _Known, ledger: FillLedger) -> None:
        dataset, self._symbol = batch.chunks[0].dataset, batch.chunks[0].symbol
        rows = pa.Table.from_batches([chunk.rows for chunk in batch.chunks])
        self._extents = extents_of(dataset, rows) if batch.fill is None else ()
        self._known = known
        self._reader = FilledRowsReader(dataset, known.folder, known.stage, ledger)
        self._dates: dict[int, FilledRows] = {}
        self._confirmed: set[int] = set()
        self._replaced: set[int] = set()

    def stored(self, chunk: Chunk) -> Mask:
        """Return a mask of the chunk's duplicates. Notes the provisional rows that they confirm or replace."""
        candidates = self._known.candidates(chunk)
        filled = self._reader.read(chunk.day, self._extents, candidates.arrival)
        if filled is None:
            return self._known.stored(chunk, candidates)
        if not self._extents:
            return self._known.stored(chunk, candidates, filled.arrival[filled.is_superseded])
        self._dates[chunk.day] = filled
        ignored = filled.arrival[filled.is_superseded | filled.is_provisional]
        mask = self._known.stored(chunk, candidates, ignored)
        rest = chunk.without(mask)
        if rest.rows.num_rows and filled.is_provisional.any():
            matches = filled.matches(rest)
            self._confirmed |= matches.confirmed
            self._replaced |= matches.replaced
            mask = mask | np.isin(chunk.indices, matches.duplicates)
        return mask

    def with_cancels(self, new: NewLines) -> NewLines:
        """Return the lines with cancels of the provisional rows that the batch passes over and does not confirm."""
        cancels: list[Chunk] = []
        has_met = False
        for day in sorted({*self._dates, *self._reader.days(self._extents)}):
            filled = self._dates.pop(day, None) or self._reader.read(day, self._extents, _NO_ARRIVALS)
            if filled is None:
                continue
            is_replaced = np.isin(filled.arrival, list(self._replaced))
            met = filled.is_provisional & (filled.between(self._extents) | is_replaced)
            has_met = has_met or bool(met.any())
            is_confirmed = np.isin(filled.arrival, list(self._confirmed))
            chunk = filled.cancels(self._symbol, day, met & ~is_confirmed)
            cancels += [] if chunk is None else [chunk]
        return replace(new, chunks=(*new.chunks, *cancels), superseded=self._extents if has_met else ())
