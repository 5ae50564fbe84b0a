"""Which rows of a batch are already stored: the rule, apart from how rows are found."""

import operator
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from store.exceptions import IdConflict

# The later columns of a row, in the dataset's order; None is not given.
LaterValues: TypeAlias = tuple[object, ...]
# What a stored row says: a value that stands for its other columns, and its later ones.
StoredValues: TypeAlias = tuple[Hashable, LaterValues]


@dataclass(frozen=True, slots=True)
class IdentifiedRow:
    """A row of a batch: its place in it, what it is known by, all that it says, and whether it has an id.

    value: of all columns but the later ones.
    """

    row: int
    identity: Hashable
    value: Hashable
    has_id: bool
    later: LaterValues = ()


def stored_values_among(
    rows: Sequence[IdentifiedRow], stored: Mapping[Hashable, Iterable[Hashable]]
) -> list[int]:
    """As `stored_rows_among`, of rows whose later columns do not matter. `stored` gives values."""
    return stored_rows_among(
        rows, {identity: [(value, ()) for value in values] for identity, values in stored.items()}
    )


def stored_rows_among(
    rows: Sequence[IdentifiedRow], stored: Mapping[Hashable, Iterable[StoredValues]]
) -> list[int]:
    """The places of the rows that are stored already, in order.

    `stored` gives what the stored rows of an identity say. Two rows are the same if their values are equal and
    later columns that both give agree. An id is stored once: a second row with it, in the store or earlier in
    the batch, is a duplicate if it is the same and an `IdConflict` otherwise. An id whose row was corrected
    says several things, and to say any of them is the same. Rows without an id are counted: each stored row
    makes one of the batch a duplicate, one with equal later columns if there is one. Cancelled rows stay
    stored.
    """
    taken = {identity: list(said) for identity, said in stored.items()}
    duplicates: list[int] = []
    conflicts: list[int] = []
    for row in rows:
        if row.has_id and not taken.get(row.identity):
            taken[row.identity] = [(row.value, row.later)]
        elif row.has_id:
            is_same = _index(taken[row.identity], row, agree) is not None
            (duplicates if is_same else conflicts).append(row.row)
    if conflicts:
        raise IdConflict(conflicts)
    left = [row for row in rows if not row.has_id]
    for matches in (operator.eq, agree):
        counted = [row.row for row in left if _takes(taken, row, matches)]
        duplicates += counted
        gone = set(counted)
        left = [row for row in left if row.row not in gone]
    return sorted(duplicates)


def agree(one: LaterValues, other: LaterValues) -> bool:
    """Whether the columns that both give are equal."""
    return all(a is None or b is None or a == b for a, b in zip(one, other, strict=True))


def _takes(
    taken: Mapping[Hashable, list[StoredValues]],
    row: IdentifiedRow,
    matches: Callable[[LaterValues, LaterValues], bool],
) -> bool:
    """Whether a stored row is left that a row is the same as; it is taken away."""
    said = taken.get(row.identity, [])
    index = _index(said, row, matches)
    if index is not None:
        del said[index]
    return index is not None


def _index(
    said: Sequence[StoredValues], row: IdentifiedRow, matches: Callable[[LaterValues, LaterValues], bool]
) -> int | None:
    found = (at for at, (value, later) in enumerate(said) if value == row.value and matches(later, row.later))
    return next(found, None)
