"""Prints: rows of a trades log, with masks that say which parts of a bar each one affects under a policy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from store import lazy_pyarrow as pa
from store.arrays import EqualColumns, Floats, Integers, Mask
from store.bar_policies import BarPolicy
from store.declarations import WORD_SEPARATOR
from store.lazy_imports import compute as pc

# A row stands until a commit cancels or replaces it. `until` is that commit, or STANDS if there is none.
STANDS = 2**31 - 1
NO_SEQUENCE = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Prints(EqualColumns):
    """Equally long columns, ordered by (time, sequence, arrival).

    time: nanoseconds UTC. sequence: `NO_SEQUENCE` if absent. newest: the newest commit that stored, cancelled
    or replaced the row. The masks are False for cancelled and replaced rows.
    """

    time: Integers
    sequence: Integers
    arrival: Integers
    price: Floats
    volume: Floats
    newest: Integers
    sets_open_close: Mask
    sets_high_low: Mask
    counts_volume: Mask


def prints_of(rows: pa.Table, policy: BarPolicy, *, commit: int | None = None) -> Prints:
    """Return the prints of ordered stored rows as of a commit; None means the newest.

    rows: with the columns `arrival`, `commit`, `until`. Rows of later commits are left out. Cancelled and
    replaced rows stay, with masks of False.
    """
    rows = present_rows(rows, commit)
    newest: Integers = rows.column("commit").to_numpy().astype(np.int64)
    stands, masks = standing(rows, commit), masks_of(rows, policy)
    if not stands.all():
        newest = np.where(stands, newest, rows.column("until").to_numpy())
        masks = tuple(mask & stands for mask in masks)
    open_close, high_low, volume = masks
    return Prints(
        time=rows.column("timestamp").to_numpy(),
        sequence=sequence_of(rows),
        arrival=rows.column("arrival").to_numpy(),
        price=rows.column("price").to_numpy(),
        volume=rows.column("volume").to_numpy(),
        newest=newest,
        sets_open_close=open_close,
        sets_high_low=high_low,
        counts_volume=volume,
    )


def present_rows(rows: pa.Table, commit: int | None) -> pa.Table:
    """Return the rows that this commit or an earlier one stored; None means all."""
    if commit is None:
        return rows
    present = rows.column("commit").to_numpy() <= commit
    return rows if present.all() else rows.filter(pa.array(present))


def standing(rows: pa.Table, commit: int | None) -> Mask:
    """Return whether each row is neither cancelled nor replaced as of a commit; None means the newest."""
    until: npt.NDArray[np.int32] = rows.column("until").to_numpy()
    return until > (STANDS - 1 if commit is None else commit)


def all_standing(versions: pa.Table) -> pa.Table:
    """Return versions of rows, each as if it stood."""
    index = versions.schema.get_field_index("until")
    stands = pa.array(np.full(versions.num_rows, STANDS, np.int32))
    return versions.set_column(index, versions.schema.field(index), stands)


def sequence_of(rows: pa.Table) -> Integers:
    """Return the feed's sequence numbers, `NO_SEQUENCE` where absent."""
    sequence = sequences(rows)
    return np.full(len(rows), NO_SEQUENCE) if sequence is None else sequence


def sequences(rows: pa.Table) -> Integers | None:
    """Return the same as `sequence_of`, or None if no row has a sequence number."""
    if "sequence" not in rows.column_names:
        return None
    column = rows.column("sequence")
    return column.fill_null(NO_SEQUENCE).to_numpy() if column.null_count < len(column) else None


def masks_of(rows: pa.Table, policy: BarPolicy) -> tuple[Mask, ...]:
    """Return whether each row may set open and close, may set high and low, and counts in the volume."""
    conditions = _conditions_of(rows)
    if policy.counts_every_print or conditions is None:
        everything = np.ones(len(rows), np.bool_)
        return everything, everything, everything
    texts, codes = _encoded(conditions)
    roles = [policy.role(text.split(WORD_SEPARATOR)) for text in texts]
    return (
        np.array([role.sets_open_close for role in roles])[codes],
        np.array([role.sets_high_low for role in roles])[codes],
        np.array([role.counts_volume for role in roles])[codes],
    )


def has_condition(rows: pa.Table, *words: str) -> Mask:
    """Return whether each row has one of the condition words."""
    conditions = _conditions_of(rows)
    if conditions is None:
        return np.zeros(len(rows), np.bool_)
    texts, codes = _encoded(conditions)
    return np.array([not {*words}.isdisjoint(text.split(WORD_SEPARATOR)) for text in texts])[codes]


def with_encoded_conditions(rows: pa.Table) -> pa.Table:
    """Return the rows with their conditions dictionary-encoded, so that several masks of them encode them once."""
    if "conditions" not in rows.column_names:
        return rows
    encoded = pc.dictionary_encode(pc.fill_null(rows.column("conditions"), ""))
    return rows.set_column(rows.column_names.index("conditions"), "conditions", encoded)


def _conditions_of(rows: pa.Table) -> pa.ChunkedArray | None:
    """Return the conditions; None if no row has any."""
    if "conditions" not in rows.column_names:
        return None
    conditions = rows.column("conditions")
    return None if conditions.null_count == len(conditions) else conditions


def _encoded(conditions: pa.ChunkedArray) -> tuple[list[str], Integers]:
    """Return the distinct condition texts, and each row's index into them. A null is an empty text."""
    if not pa.types.is_dictionary(conditions.type) or conditions.null_count:
        conditions = pc.dictionary_encode(pc.fill_null(conditions, ""))
    encoded = conditions.combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.chunk(0)
    return encoded.dictionary.to_pylist(), encoded.indices.to_numpy()
