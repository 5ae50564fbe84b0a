"""Decides what a batch of rows adds to a log: new rows, and corrections of stored ones. Every backend uses it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from store import lazy_pyarrow as pa
from store.arrays import Integers, Mask, distinct, is_among
from store.declarations import Dataset
from store.exceptions import IdConflict
from store.protocol import Action, Append, Dedupe, Superseded, Window
from store.rows.corrections import AppliedCorrection, correction_lines, histories_of, replacing_changes
from store.rows.duplicates import IdPairs, duplicates_among, first_of_each
from store.rows.fills import between, bounds_of, counting, extents_of, of_fills, standing
from store.rows.row_hashes import NO_ID, id_hashes, searched_ids
from store.rows.stored_rows import ARRIVAL, action_name, corrections_of, integers, no_rows
from store.timestamps import DAY_NS


class CandidateSource(Protocol):
    """What a backend must find in a log. Tables have the schema of `stored_schema`, in any order."""

    def candidates(self, rows: pa.RecordBatch, ids: Integers | None) -> pa.Table | None:
        """Return all versions of the stored rows that rows of a batch may equal; None if there are none.

        Of a row with an id (see `searched_ids`, of which `ids` is the result) those with this id on its event date, of
        others those at its event time. Others may be among them.
        """

    def fills(self, window: Window) -> Sequence[int]:
        """Return the commits of the fills whose windows overlap a window."""

    def rows_of(self, commits: Sequence[int], window: Window) -> pa.Table:
        """Return all versions of the rows in a window that these commits stored. Others may be among them."""


@dataclass(frozen=True, slots=True)
class BatchDecision:
    """What a batch adds.

    is_new: a mask of the batch's rows that are stored. duplicates: the indices of the others that replace nothing.
    corrections: by event date, in the schema of `corrections_of`; None if there are none. replaced, superseded: see
    `Facts`.
    """

    is_new: Mask
    duplicates: tuple[int, ...] = ()
    corrections: pa.RecordBatch | None = None
    replaced: int = 0
    superseded: tuple[Superseded, ...] = ()


def decide(batch: Append, ids: Integers | None, log: CandidateSource) -> BatchDecision:
    """Return what a batch adds to a log. ids: the `searched_ids` of its rows. Raises `IdConflict`."""
    rows = batch.rows
    is_new = np.ones(rows.num_rows, np.bool_)
    if not rows.num_rows:
        return BatchDecision(is_new)
    fills = log.fills(_dates_of(rows))
    is_compared = batch.dedupe is Dedupe.ROWS
    stored = log.candidates(rows, ids) if is_compared else None
    extents, cancelled = tuple[Superseded, ...](), list[pa.Table]()
    if fills and batch.fill is None:
        extents = extents_of(batch.dataset, rows)
        cancelled = _cancelled(batch.dataset, extents, ids, stored, log, fills)
    if fills and stored is not None:
        stored = stored.filter(pa.array(counting(stored, fills, is_fill=batch.fill is not None)))
    is_new, applied = _compare(batch, ids, stored) if is_compared else (is_new, [])
    is_other = ~is_new
    is_other[[change.index for change in applied]] = False
    return BatchDecision(
        is_new,
        tuple(np.flatnonzero(is_other).tolist()),
        _corrections(batch.dataset, applied, cancelled) if applied or cancelled else None,
        len(applied),
        extents if cancelled else (),
    )


def _dates_of(rows: pa.RecordBatch) -> Window:
    times = rows.column(0).to_numpy()
    return Window(int(times.min()), int(times.max()) + 1).whole_dates()


def _cancelled(  # noqa: PLR0917 what is stored near a batch
    dataset: Dataset,
    extents: Sequence[Superseded],
    ids: Integers | None,
    stored: pa.Table | None,
    log: CandidateSource,
    fills: Sequence[int],
) -> list[pa.Table]:
    """Return the rows of fills that a feed's batch cancels: those in its extents, and those with one of its ids."""
    near = log.rows_of(fills, bounds_of(extents))
    near = near.filter(pa.array(between(dataset, near, extents) & of_fills(near, fills) & standing(near)))
    found = [near]
    if ids is not None and stored is not None and (own := searched_ids(dataset, stored)) is not None:
        is_met = is_among(own, np.sort(ids[ids != NO_ID])) & of_fills(stored, fills) & standing(stored)
        is_met &= ~np.isin(integers(stored, ARRIVAL.name), integers(near, ARRIVAL.name))
        found.append(stored.filter(pa.array(is_met)))
    return [table for table in found if table.num_rows]


def _corrections(
    dataset: Dataset, applied: Sequence[AppliedCorrection], cancelled: Sequence[pa.Table]
) -> pa.RecordBatch:
    """Return the corrections by event date: on each date those that replace rows, then cancels by arrival."""
    schema = corrections_of(dataset).schema
    tables = []
    if applied:
        tables.append(pa.Table.from_batches([correction_lines(dataset, applied)]))
    if cancelled:
        rows = pa.concat_tables(cancelled).sort_by(ARRIVAL.name)
        action = pa.array([Action.CANCEL.value] * rows.num_rows)
        name = action_name(dataset.schema.names)
        tables.append(rows.append_column(name, action).select(schema.names).cast(schema))
    lines = pa.concat_tables(tables)
    order = np.argsort(lines.column(0).to_numpy() // DAY_NS, kind="stable")
    (batch,) = lines.take(pa.array(order)).combine_chunks().to_batches()
    return batch


def _compare(
    batch: Append, ids: Integers | None, stored: pa.Table | None
) -> tuple[Mask, list[AppliedCorrection]]:
    """Return a mask of the rows that are new, and the corrections by rows that replace stored ones."""
    dataset, is_new = batch.dataset, np.ones(batch.rows.num_rows, np.bool_)
    stored_ids = None if stored is None else id_hashes(dataset, stored)
    suspects = np.flatnonzero(_suspects(batch, ids, stored, stored_ids))
    if not len(suspects):
        return is_new, []
    if stored is None or stored_ids is None:
        stored, stored_ids = no_rows(dataset), np.zeros(0, np.int64)
    rows = batch.rows if len(suspects) == len(is_new) else batch.rows.take(pa.array(suspects))
    own_ids = id_hashes(dataset, rows) if ids is None else ids[suspects]
    if batch.replaces:
        is_new[suspects], applied = _replacing(dataset, rows, suspects, own_ids, stored, stored_ids)
        return is_new, applied
    duplicates, conflicts = duplicates_among(dataset, rows, own_ids, stored, stored_ids)
    if conflicts.any() and batch.fill is None:
        raise IdConflict(suspects[conflicts].tolist())
    is_new[suspects] = ~duplicates & ~conflicts
    return is_new, []


def _suspects(
    batch: Append, ids: Integers | None, stored: pa.Table | None, stored_ids: Integers | None
) -> Mask:
    """Return a mask of the rows that may be stored, or may have the id of another row of the batch."""
    times = batch.rows.column(0).to_numpy()
    keys = times if batch.dataset.has_complete_ids else ids
    suspects = np.zeros(len(times), np.bool_) if keys is None else _repeated(keys)
    if stored is not None:
        suspects |= is_among(times, distinct(stored.column(0).to_numpy()))
        if ids is not None and stored_ids is not None:
            suspects |= is_among(ids, distinct(stored_ids))
    return suspects


def _repeated(keys: Integers) -> Mask:
    """Return a mask of the keys that occur more than once."""
    ordered = np.sort(keys)
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    return is_among(keys, repeated)


def _replacing(  # noqa: PLR0917 the two sides of a comparison
    dataset: Dataset,
    rows: pa.RecordBatch,
    indices: Integers,
    ids: Integers,
    stored: pa.Table,
    stored_ids: Integers,
) -> tuple[Mask, list[AppliedCorrection]]:
    """Return a mask of the rows to be stored, and the corrections of stored rows to the values of others.

    indices: of the rows in the batch. Of several rows with one id the last counts.
    """
    reverse = np.arange(len(ids))[::-1]
    is_last = reverse[first_of_each(ids[::-1])][::-1] == np.arange(len(ids))
    last = np.flatnonzero(is_last)
    pairs = IdPairs(dataset, rows.take(pa.array(last)), ids[last], stored, stored_ids)
    stands = standing(stored)[pairs.of_stored] & pairs.have_same_values()
    is_known, is_unchanged = np.zeros(len(ids), np.bool_), np.zeros(len(ids), np.bool_)
    is_known[last[pairs.of_rows]] = True
    is_unchanged[last[pairs.of_rows[stands]]] = True
    others = np.flatnonzero(is_known & ~is_unchanged)
    versions = pairs.of_stored[np.isin(last[pairs.of_rows], others)]
    applied, again = replacing_changes(
        dataset,
        zip(indices[others].tolist(), rows.take(pa.array(others)).to_pylist(), strict=True),
        histories_of(dataset, stored.take(pa.array(versions))),
    )
    return is_last & (~is_known | np.isin(indices, again)), applied
