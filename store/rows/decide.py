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
from store.lazy_imports import compute as pc
from store.protocol import Action, Append, Dedupe, Superseded, Window
from store.rows.corrections import AppliedCorrection, correction_lines
from store.rows.duplicates import duplicates_among, have_ids, ids_and_values
from store.rows.fills import between, bounds_of, counting, extents_of, of_fills, standing
from store.rows.stored_rows import ARRIVAL, COMMIT, action_name, corrections_of, integers, no_rows
from store.timestamps import DAY_NS


class StoredVersions(Protocol):
    """What a backend must find in a log. Tables have the schema of `stored_schema`, in any order."""

    def versions(self, times: Integers) -> pa.Table | None:
        """Return all versions of the stored rows at these event times, with their `passed_values`; None if there are none.

        times: ascending and distinct. Rows at other times may be among them.
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


def decide(batch: Append, log: StoredVersions) -> BatchDecision:
    """Return what a batch adds to a log. Raises `IdConflict`."""
    dataset, rows = batch.dataset, batch.rows
    is_new = np.ones(rows.num_rows, np.bool_)
    if not rows.num_rows:
        return BatchDecision(is_new)
    times = distinct(rows.column(0).to_numpy())
    fills = log.fills(Window(int(times[0]), int(times[-1]) + 1))
    extents, cancelled, applied = tuple[Superseded, ...](), None, list[AppliedCorrection]()
    if fills and batch.fill is None:
        extents = extents_of(dataset, rows)
        near = log.rows_of(fills, bounds_of(extents))
        is_passed = between(dataset, near, extents) & of_fills(near, fills) & standing(near)
        cancelled = near.filter(pa.array(is_passed)) if is_passed.any() else None
    if batch.dedupe is Dedupe.ROWS:
        stored = log.versions(times)
        if fills and stored is not None:
            stored = stored.filter(pa.array(counting(stored, fills, is_fill=batch.fill is not None)))
        is_new, applied = _compare(batch, stored)
    is_other = ~is_new
    is_other[[change.index for change in applied]] = False
    return BatchDecision(
        is_new,
        tuple(np.flatnonzero(is_other).tolist()),
        _corrections(dataset, applied, cancelled) if applied or cancelled is not None else None,
        len(applied),
        extents if cancelled is not None else (),
    )


def _corrections(
    dataset: Dataset, applied: Sequence[AppliedCorrection], cancelled: pa.Table | None
) -> pa.RecordBatch:
    """Return the corrections by event date: on each date those that replace rows, then cancels by arrival."""
    schema = corrections_of(dataset).schema
    tables = []
    if applied:
        tables.append(pa.Table.from_batches([correction_lines(dataset, applied)]))
    if cancelled is not None:
        rows = cancelled.sort_by(ARRIVAL.name)
        action = pa.array([Action.CANCEL.value] * rows.num_rows)
        name = action_name(dataset.schema.names)
        tables.append(rows.append_column(name, action).select(schema.names).cast(schema))
    lines = pa.concat_tables(tables)
    order = np.argsort(lines.column(0).to_numpy() // DAY_NS, kind="stable")
    (batch,) = lines.take(pa.array(order)).combine_chunks().to_batches()
    return batch


def _compare(batch: Append, stored: pa.Table | None) -> tuple[Mask, list[AppliedCorrection]]:
    """Return a mask of the rows that are new, and the corrections by rows that replace stored ones."""
    dataset, rows, is_new = batch.dataset, batch.rows, np.ones(batch.rows.num_rows, np.bool_)
    stored = no_rows(dataset) if stored is None else stored
    times = rows.column(0).to_numpy()
    is_near = is_among(times, distinct(stored.column(0).to_numpy())) | _may_repeat_ids(dataset, rows, times)
    near = np.flatnonzero(is_near)
    if not len(near):
        return is_new, []
    rows = rows if len(near) == len(is_new) else rows.take(pa.array(near))
    if batch.replaces:
        is_new[near], applied = _replacing(dataset, rows, near, stored)
        return is_new, applied
    duplicates, conflicts = duplicates_among(dataset, rows, stored)
    if conflicts.any() and batch.fill is None:
        raise IdConflict(near[conflicts].tolist())
    is_new[near] = ~duplicates & ~conflicts
    return is_new, []


def _may_repeat_ids(dataset: Dataset, rows: pa.RecordBatch, times: Integers) -> Mask:
    """Return a mask with all rows that share their id with another row of the batch. It may have further rows with ids."""
    found = have_ids(dataset, rows)
    if found.any():
        ids = rows.column(dataset.id_columns[-1])
        ordered = np.sort(times if len(pc.unique(ids)) < len(ids) else times[:0])
        found &= is_among(times, ordered[1:][ordered[1:] == ordered[:-1]])
    return found


def _replacing(
    dataset: Dataset, rows: pa.RecordBatch, indices: Integers, stored: pa.Table
) -> tuple[Mask, list[AppliedCorrection]]:
    """Return a mask of the rows to be stored, and the corrections of stored rows to the values of others.

    indices: of the rows in the batch. Of several rows with one id the last counts. A row whose stored one is cancelled is
    stored anew.
    """
    (stored_ids, ids), (stored_values, values) = ids_and_values(dataset, rows, stored)
    stands, is_last = standing(stored), np.zeros(len(ids), np.bool_)
    is_last[len(ids) - 1 - np.unique(ids[::-1], return_index=True)[1]] = True
    is_known, is_unchanged = (
        is_among(ids, distinct(stored_ids)),
        is_among(values, distinct(stored_values[stands])),
    )
    arrivals = integers(stored, ARRIVAL.name)
    remaining = {*arrivals[stands].tolist()}
    newest: dict[int, int] = {}
    order = np.lexsort((integers(stored, COMMIT.name), arrivals))
    for key, arrival in zip(stored_ids[order].tolist(), arrivals[order].tolist(), strict=True):
        if arrival in remaining or newest.get(key) not in remaining:
            newest[key] = arrival
    is_new, applied = is_last & ~is_known, []
    changed = np.flatnonzero(is_last & is_known & ~is_unchanged)
    for place, row in zip(changed.tolist(), rows.take(pa.array(changed)).to_pylist(), strict=True):
        arrival = newest[int(ids[place])]
        if arrival in remaining:
            applied.append(AppliedCorrection(int(indices[place]), arrival, Action.CORRECT, row))
        else:
            is_new[place] = True
    return is_new, applied
