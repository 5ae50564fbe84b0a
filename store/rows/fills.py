"""Decides which rows of fills a feed's batch confirms, and which it supersedes.

A row that a fill stored is *provisional* until a later batch of the feed passes over its event time: from then on it
is confirmed, because the batch had an equal row, or cancelled, because it had none. Rows that were cancelled in this
way do not count as stored when duplicates are looked for; rows that a correction cancelled do.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from store import lazy_pyarrow as pa
from store.declarations import Dataset
from store.protocol import Superseded
from store.rows.duplicates import IdentifiedRow, LaterValues, StoredValues, agree, has_all


@dataclass(frozen=True, slots=True)
class ProvisionalRow:
    """A provisional row: its arrival number, whether it stands, and its values, with those of its corrections."""

    arrival: int
    stands: bool
    values: list[StoredValues] = field(default_factory=list)


@dataclass(slots=True)
class FillMatches:
    """What the rows of a batch are to provisional rows.

    duplicates: the rows of the batch that are equal to a provisional row. confirmed: the arrival numbers of these
    provisional rows. replaced: those of provisional rows whose id came with other values.
    """

    duplicates: list[int] = field(default_factory=list)
    confirmed: set[int] = field(default_factory=set)
    replaced: set[int] = field(default_factory=set)

    def match(self, row: IdentifiedRow, provisional: ProvisionalRow) -> None:
        self.duplicates.append(row.row)
        self.confirmed.add(provisional.arrival)


def match_fills(
    rows: Sequence[IdentifiedRow], provisional: Mapping[Hashable, Sequence[ProvisionalRow]]
) -> FillMatches:
    """Match the rows of a batch that equal no other stored row with provisional rows.

    rows: no two of them have the same id. provisional: by identity, in order of arrival. The rule is that of
    `stored_rows_among`, but each row is matched to one provisional row, if possible to one that stands, and another
    row with a row's id is no conflict.
    """
    by_identity = {
        identity: sorted(each, key=lambda row: (not row.stands, row.arrival))
        for identity, each in provisional.items()
    }
    matches = FillMatches()
    for row in rows:
        if row.has_id:
            same_id = by_identity.get(row.identity, [])
            found = next(_equal(row, same_id, has_all if row.says_all else agree), None)
            if found is not None:
                matches.match(row, found)
            else:
                matches.replaced.update(each.arrival for each in same_id)
    _match_without_ids([row for row in rows if not row.has_id], by_identity, matches)
    return matches


def _match_without_ids(
    rows: Sequence[IdentifiedRow],
    by_identity: Mapping[Hashable, Sequence[ProvisionalRow]],
    matches: FillMatches,
) -> None:
    """Match each row with a provisional row that is not matched yet, if possible with equal later columns."""
    for is_same in (lambda one, other: one == other, agree):
        unmatched = []
        for row in rows:
            same = _equal(row, by_identity.get(row.identity, []), is_same)
            found = next((each for each in same if each.arrival not in matches.confirmed), None)
            if found is None:
                unmatched.append(row)
            else:
                matches.match(row, found)
        rows = unmatched


def _equal(
    row: IdentifiedRow,
    provisional: Iterable[ProvisionalRow],
    is_same: Callable[[LaterValues, LaterValues], bool],
) -> Iterator[ProvisionalRow]:
    return (
        each
        for each in provisional
        if any(value == row.value and is_same(later, row.later) for value, later in each.values)
    )


def series_of(dataset: Dataset, rows: pa.RecordBatch | pa.Table) -> list[str] | None:
    """Return each row's series (see `Superseded`); None if the dataset has only one."""
    if not dataset.series_columns:
        return None
    values = zip(*(rows.column(name).to_pylist() for name in dataset.series_columns), strict=True)
    return [";".join(map(str, each)) for each in values]


def extents_of(dataset: Dataset, rows: pa.RecordBatch | pa.Table) -> tuple[Superseded, ...]:
    """Return, for each series of a batch, the event times of its first and its last row. rows: at least one."""
    times = rows.column(0).to_numpy()
    series = series_of(dataset, rows)
    if series is None:
        return (Superseded(int(times.min()), int(times.max())),)
    names = np.array(series)
    return tuple(
        Superseded(int(times[names == name].min()), int(times[names == name].max()), str(name))
        for name in np.unique(names)
    )
