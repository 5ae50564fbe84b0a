"""Decides which rows of a batch are already stored."""

import operator
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from store.exceptions import IdConflict

# A row's values of later columns, in the dataset's order; an absent value is None.
LaterValues: TypeAlias = tuple[object, ...]
# A stored row: its value as in `IdentifiedRow`, and its values of later columns.
StoredValues: TypeAlias = tuple[Hashable, LaterValues]


@dataclass(frozen=True, slots=True)
class IdentifiedRow:
    """A row of a batch: its index, its identity, its values, and whether it has an id.

    value: rows of the same identity are the same if their values are equal and their later columns agree.
    says_all: whether a value of a later column that the stored row lacks makes it another row.
    """

    row: int
    identity: Hashable
    value: Hashable
    has_id: bool
    later: LaterValues = ()
    says_all: bool = False


def stored_values_among(
    rows: Sequence[IdentifiedRow], stored: Mapping[Hashable, Iterable[Hashable]]
) -> list[int]:
    """Return the same as `stored_rows_among` for rows whose later columns do not matter.

    stored: the values of each identity.
    """
    return stored_rows_among(
        rows, {identity: [(value, ()) for value in values] for identity, values in stored.items()}
    )


def stored_rows_among(
    rows: Sequence[IdentifiedRow], stored: Mapping[Hashable, Iterable[StoredValues]]
) -> list[int]:
    """Return the indices of the rows that are stored already, ascending.

    stored: the stored rows of each identity. Two rows are the same if their values are equal and their later
    columns agree wherever both have a value; of a row that `says_all`, wherever it has one. A row whose id is
    stored, or is earlier in the batch, is a duplicate if it is the same; otherwise `IdConflict` is raised. A
    corrected row with an id has several values; a row that equals any of them is the same. Rows without an id are counted: each stored row makes
    one row of the batch a duplicate, if possible one with equal later columns. Cancelled rows count as
    stored.
    """
    unmatched = {identity: list(stored_values) for identity, stored_values in stored.items()}
    duplicates: list[int] = []
    conflicts: list[int] = []
    for row in rows:
        if row.has_id and not unmatched.get(row.identity):
            unmatched[row.identity] = [(row.value, row.later)]
        elif row.has_id:
            has_same = _index(unmatched[row.identity], row, has_all if row.says_all else agree)
            (duplicates if has_same is not None else conflicts).append(row.row)
    if conflicts:
        raise IdConflict(conflicts)
    without_id = [row for row in rows if not row.has_id]
    for matches in (operator.eq, agree):
        matched = {row.row for row in without_id if _match(unmatched, row, matches)}
        duplicates += matched
        without_id = [row for row in without_id if row.row not in matched]
    return sorted(duplicates)


def agree(one: LaterValues, other: LaterValues) -> bool:
    """Return whether all columns for which both rows have a value are equal."""
    return all(a is None or b is None or a == b for a, b in zip(one, other, strict=True))


def has_all(stored: LaterValues, sent: LaterValues) -> bool:
    """Return whether the stored row has all values that the sent one has."""
    return all(b is None or a == b for a, b in zip(stored, sent, strict=True))


def _match(
    unmatched: Mapping[Hashable, list[StoredValues]],
    row: IdentifiedRow,
    matches: Callable[[LaterValues, LaterValues], bool],
) -> bool:
    """Remove one stored row that is the same as `row`; return whether there was one."""
    stored_values = unmatched.get(row.identity, [])
    index = _index(stored_values, row, matches)
    if index is not None:
        del stored_values[index]
    return index is not None


def _index(
    stored_values: Sequence[StoredValues],
    row: IdentifiedRow,
    matches: Callable[[LaterValues, LaterValues], bool],
) -> int | None:
    indices = (
        index
        for index, (value, later) in enumerate(stored_values)
        if value == row.value and matches(later, row.later)
    )
    return next(indices, None)
