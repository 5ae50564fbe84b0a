"""Which rows of a batch are already stored: the rule, apart from how rows are found."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from store.exceptions import IdConflict


@dataclass(frozen=True, slots=True)
class Identified:
    """A row of a batch: its place in it, what it is known by, all that it says, and whether it has an id."""

    row: int
    identity: Hashable
    value: Hashable
    has_id: bool


def stored_before(rows: Sequence[Identified], stored: Mapping[Hashable, Iterable[Hashable]]) -> list[int]:
    """The places of the rows that are stored already, in order.

    `stored` gives the stored values of an identity. An id is stored once: a second row with it, in the store
    or earlier in the batch, is a duplicate if it says the same and an `IdConflict` otherwise. An id whose row
    was corrected has several values, and each of them is the same. Rows without an id are counted: of k equal
    rows in the batch and m in the store, the first min(k, m) are duplicates. Cancelled rows stay stored.
    """
    taken = {identity: list(values) for identity, values in stored.items()}
    duplicates: list[int] = []
    conflicts: list[int] = []
    for row in rows:
        values = taken.setdefault(row.identity, [])
        if row.has_id and not values:
            values.append(row.value)
        elif row.has_id:
            (duplicates if row.value in values else conflicts).append(row.row)
        elif row.value in values:
            values.remove(row.value)
            duplicates.append(row.row)
    if conflicts:
        raise IdConflict(conflicts)
    return duplicates
