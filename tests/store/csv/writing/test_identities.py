"""The index of what is stored, against a dictionary."""

import os
from collections import Counter, defaultdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.csv.log.history import History
from store.csv.parts.commit import Commit, Part
from store.csv.writing import identities
from store.csv.writing.batch import PreparedBatch
from store.csv.writing.identities import IdentityIndex, RowHashes, hash_rows
from store.csv.writing.known_rows import KnownRows
from store.datasets import TRADES
from store.protocol import CommitId
from tests.store.builders import DAY, Row, batch, record_batch, trade

EXAMPLES = 1000 if os.environ.get("SOAK") else 100


def values_of(row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in TRADES.first_form.schema.names)


def hashes(rng: np.random.Generator, size: int, spread: int) -> RowHashes:
    identity, check, value = rng.integers(0, spread, (3, size)).astype(np.uint64) * np.uint64(2**58 + 1)
    return RowHashes(identity, check, value, np.zeros(size, dtype=bool))


def found(index: IdentityIndex, rows: RowHashes) -> dict[int, Counter[tuple[int, int]]]:
    known: dict[int, list[tuple[int, int]]] = defaultdict(list)
    index.find(rows, known)
    return {identity: Counter(stored) for identity, stored in known.items()}


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    st.lists(st.sampled_from([1, 2, 7, 8, 9, 40, 200]), min_size=1, max_size=25),
    st.sampled_from([3, 40, 10_000]),
    st.integers(0, 2**32 - 1),
)
def test_an_index_finds_what_a_dictionary_finds(sizes, spread, seed):
    rng, index = np.random.default_rng(seed), IdentityIndex()
    oracle: dict[int, Counter[tuple[int, int]]] = defaultdict(Counter)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(identities, "_SMALL", 8)
        patch.setattr(identities, "_RECENT_LIMIT", 30)
        for count, size in enumerate(sizes, start=1):
            added, asked = hashes(rng, size, spread), hashes(rng, 20, spread)
            index.add(added)
            for identity, *known in zip(
                added.identity.tolist(), added.check.tolist(), added.value.tolist(), strict=True
            ):
                oracle[identity][tuple(known)] += 1
            wanted = set(asked.identity.tolist())
            assert found(index, asked) == {i: known for i, known in oracle.items() if i in wanted}
            assert len(index) == sum(sizes[:count])


def test_an_index_of_real_sizes_finds_every_row_again():
    index = IdentityIndex()
    added: list[RowHashes] = []
    for size in (600, 300, 511, 512, 9000, 20, 8000, 100):
        rows = [trade(len(added) * 10**6 + n, trade_id=str(n % 7)) for n in range(size)]
        added.append(hash_rows(TRADES, record_batch(*rows)))
        index.add(added[-1])
    for hashed in added:
        assert set(found(index, hashed)) == set(hashed.identity.tolist())
    assert found(index, hash_rows(TRADES, record_batch(trade(-1)))) == {}


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
def test_rows_have_equal_hashes_if_and_only_if_they_say_the_same(rows, data):
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


def test_dates_that_were_used_longest_ago_are_dropped_when_there_are_too_many_rows():
    known_rows, history = KnownRows(rows_limit=25), History()
    batches = [
        PreparedBatch.of(batch(*(trade(n * DAY + m, trade_id=str(m)) for m in range(10)))) for n in range(4)
    ]
    for number, prepared in enumerate(batches, start=1):
        chunk = prepared.chunks[0]
        part = Part("f", 0, 1, 10, *chunk.bounds, "")
        history.add(Commit(number, number, "", "", 10, (part,)), CommitId(number, ""), number)
    for prepared in [*batches, batches[0]]:
        chunk = prepared.chunks[0]
        mask = known_rows.duplicates(
            chunk,
            history,
            staged=None,
            read=lambda _, chunk=chunk: chunk.rows,  # type: ignore[misc]
        )
        assert mask.all()
        assert sum(len(date.index) for date in known_rows._dates.values()) <= 25
