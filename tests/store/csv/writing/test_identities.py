"""The index of stored rows agrees with a dictionary."""

from collections import defaultdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.csv.writing import known_date
from store.csv.writing.known_date import IdentityIndex
from store.csv.writing.row_hashes import StoredHashes, hash_rows
from store.datasets import TRADES
from tests.chance import SOAK
from tests.store.builders import Row, record_batch, trade

EXAMPLES = 1000 if SOAK else 40


def values_of(row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in TRADES.first_form.schema.names)


def hashes(rng: np.random.Generator, size: int, spread: int, first_arrival: int) -> StoredHashes:
    identity, check, value = (rng.integers(0, spread, (3, size)) - spread // 2) * (2**63 // spread)
    return StoredHashes(identity, check, value, np.arange(first_arrival, first_arrival + size))


def found(index: IdentityIndex, wanted: list[int]) -> dict[int, list[tuple[int, int, int]]]:
    stored = index.stored(np.array(sorted(set(wanted)), dtype=np.int64))
    return by_identity([stored])


def by_identity(parts: list[StoredHashes]) -> dict[int, list[tuple[int, int, int]]]:
    known: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
    for part in parts:
        columns = (part.identity, part.check, part.value, part.arrival)
        for identity, *said in zip(*(column.tolist() for column in columns), strict=True):
            known[identity].append((said[0], said[1], said[2]))
    return dict(known)


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    st.lists(st.sampled_from([1, 2, 7, 8, 9, 40, 200]), min_size=1, max_size=25),
    st.sampled_from([3, 40, 10_000]),
    st.integers(0, 2**32 - 1),
)
def test_an_identity_index_agrees_with_a_dictionary(sizes, spread, seed):
    rng, index = np.random.default_rng(seed), IdentityIndex()
    added: list[StoredHashes] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(known_date, "_SMALL", 8)
        patch.setattr(known_date, "_RECENT_LIMIT", 30)
        for count, size in enumerate(sizes, start=1):
            added.append(hashes(rng, size, spread, sum(sizes[: count - 1])))
            asked = hashes(rng, 20, spread, 0).identity.tolist()
            index.add(added[-1])
            oracle = by_identity(added)
            assert found(index, asked) == {i: oracle[i] for i in asked if i in oracle}
            assert len(index) == sum(sizes[:count])
        rows = index.by_identity()
        assert rows.identity.tolist() == sorted(rows.identity.tolist())
        assert by_identity([rows]) == oracle


def test_an_index_of_real_sizes_finds_every_row_again():
    index = IdentityIndex()
    added: list[StoredHashes] = []
    for size in (600, 300, 511, 512, 9000, 20, 8000, 100):
        rows = [trade(len(added) * 10**6 + n, trade_id=str(n % 7)) for n in range(size)]
        added.append(StoredHashes.of(hash_rows(TRADES, record_batch(*rows)), np.arange(size)))
        index.add(added[-1])
    for hashed in added:
        assert set(found(index, hashed.identity.tolist())) == set(hashed.identity.tolist())
    assert found(index, hash_rows(TRADES, record_batch(trade(-1))).identity.tolist()) == {}


columns = {
    "timestamp": st.integers(0, 2),
    "price": st.sampled_from([1.0, 2.0]),
    "volume": st.sampled_from([1.0, 2.0]),
    "trade_id": st.sampled_from([None, None, "a", "b"]),
    "sequence": st.sampled_from([None, 0, 1]),
    "exchange": st.sampled_from([None, "a", "b"]),
    "conditions": st.sampled_from([None, "a", "b"]),
    "received_at": st.sampled_from([None, 0, 1]),
}


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(st.fixed_dictionaries(columns), min_size=2, max_size=6), st.data())
def test_rows_have_equal_hashes_if_and_only_if_they_are_equal(rows, data):
    whole = hash_rows(TRADES, record_batch(*rows))
    cut = data.draw(st.integers(1, len(rows) - 1))
    halves = [hash_rows(TRADES, record_batch(*part)) for part in (rows[:cut], rows[cut:])]
    for name in ("identity", "check", "value", "has_id"):
        alone = np.concatenate([getattr(half, name) for half in halves])
        assert getattr(whole, name).tolist() == alone.tolist()
    said = {values_of(row if row["trade_id"] is None else row | {"received_at": None}) for row in rows}
    assert len(set(whole.value.tolist())) == len(said)
    known_by = {
        (row["exchange"], row["trade_id"]) if row["trade_id"] is not None else values_of(row) for row in rows
    }
    assert len(set(whole.identity.tolist())) == len(set(whole.check.tolist())) == len(known_by)


def test_hashes_are_those_in_the_files_of_this_version():
    """If this test has to change, change `hash_file.KIND`, too: older files have other hashes."""
    rows = [
        trade("2025-01-02T12:00:00Z", 100.25, 3.0, exchange="N", conditions="a;bcdefghi", sequence=7),
        trade("2025-01-02T12:00:00Z", 100.25, 3.0, exchange="N", trade_id="52983525027888", received_at=5),
    ]
    hashed = hash_rows(TRADES, record_batch(*rows))
    assert hashed.identity.tolist() == [2624763327703152376, -6047953293413272492]
    assert hashed.check.tolist() == [1235419700258570987, -1351912101915698907]
    assert hashed.value.tolist() == [2624763327703152376, 2047103998904779104]
