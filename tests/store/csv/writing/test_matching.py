"""The vectorised rule for duplicates agrees with the rule for single rows."""

from collections.abc import Hashable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.csv.writing.known_date import IdentityIndex
from store.csv.writing.matching import stored_rows
from store.csv.writing.row_hashes import RowHashes, StoredHashes
from store.exceptions import IdConflict
from store.rows.duplicates import IdentifiedRow, stored_values_among

Row = tuple[int, int, int, bool]  # identity, check, value, has an id


def _row(identity: int, check: int, value: int, has_id: bool) -> Row:
    """Return a row. Rows with ids have other identities than rows without, whose value is their identity."""
    return (identity + 10, check, value, True) if has_id else (identity, check, identity * 2 + check, False)


_rows = st.lists(
    st.builds(_row, st.integers(0, 2), st.integers(0, 1), st.integers(0, 1), st.booleans()), max_size=30
)


def hashes(rows: list[Row]) -> RowHashes:
    identity, check, value = (np.array([row[place] for row in rows], dtype=np.int64) for place in range(3))
    return RowHashes(identity, check, value, np.array([row[3] for row in rows], dtype=bool))


def in_store(rows: list[Row], first_arrival: int = 0) -> StoredHashes:
    return StoredHashes.of(hashes(rows), np.arange(first_arrival, first_arrival + len(rows)))


def row_by_row(rows: list[Row], stored: list[Row]) -> tuple[list[int], bool]:
    known: dict[Hashable, list[Hashable]] = {}
    for identity, check, value, _ in stored:
        known.setdefault((identity, check), []).append(value)
    identified = [IdentifiedRow(at, row[:2], row[2], row[3]) for at, row in enumerate(rows)]
    try:
        return stored_values_among(identified, known), False
    except IdConflict as error:
        return error.rows, True


@given(stored=_rows, rows=_rows.filter(bool))
def test_whole_columns_and_single_rows_agree(stored: list[Row], rows: list[Row]):
    first_of_ids = {row[:2]: row for row in reversed(stored) if row[3]}  # an id is stored once
    stored = [row for row in stored if not row[3]] + list(first_of_ids.values())
    index = IdentityIndex()
    if stored:
        index.add(in_store(stored))
    expected, is_conflict = row_by_row(rows, stored)
    batch, places = hashes(rows), np.arange(len(rows)) + 100
    candidates = index.stored(np.unique(batch.identity))
    if is_conflict:
        with pytest.raises(IdConflict) as refused:
            stored_rows(batch, candidates, places)
        assert refused.value.rows == [place + 100 for place in expected]
    else:
        assert np.flatnonzero(stored_rows(batch, candidates, places)).tolist() == expected
