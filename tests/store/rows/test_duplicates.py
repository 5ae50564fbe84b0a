"""Which rows are duplicates, against a rule for one row at a time."""

import tracemalloc
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.datasets import BARS, TRADES
from store.declarations import Dataset
from store.rows import duplicates
from store.rows.duplicates import duplicates_among
from store.rows.stored_rows import ArrivalRun, stored_rows
from tests.chance import examples
from tests.store.builders import DAY, MINUTE, NOON, Row, record_batch, trade


def identity(dataset: Dataset, row: Row) -> tuple[Any, ...] | None:
    """The event time and the id of a row; None without one."""
    if not dataset.id_columns or row[dataset.id_columns[-1]] is None:
        return None
    return (row["timestamp"], *(row[name] for name in dataset.id_columns))


def is_same(dataset: Dataset, one: Row, other: Row) -> bool:
    ignored = dataset.arrival_columns if identity(dataset, one) else ()
    return all(one[name] == other[name] for name in dataset.schema.names if name not in ignored)


def expected(dataset: Dataset, rows: Sequence[Row], stored: Sequence[Row]) -> tuple[list[int], list[int]]:
    """The indices of duplicates and of conflicts."""
    known_rows: list[int] = []
    conflicts: list[int] = []
    known = {
        identity(dataset, row): [each for each in stored if identity(dataset, each) == identity(dataset, row)]
        for row in rows
    }
    for index, row in enumerate(rows):
        if (own := identity(dataset, row)) is None:
            continue
        if known[own]:
            (known_rows if any(is_same(dataset, row, each) for each in known[own]) else conflicts).append(
                index
            )
        else:
            known[own] = [row]
    unmatched = [row for row in stored if identity(dataset, row) is None]
    for index, row in enumerate(rows):
        if identity(dataset, row) is None and row in unmatched:
            unmatched.remove(row)
            known_rows.append(index)
    return sorted(known_rows), conflicts


trades = st.builds(
    trade,
    st.sampled_from([0, 1, DAY]),
    st.sampled_from([1.0, 2.0]),
    trade_id=st.sampled_from([None, None, "a", "b"]),
    exchange=st.sampled_from([None, "N", ""]),
    received_at=st.sampled_from([None, 5]),
    buyer_is_maker=st.sampled_from([None, True, False]),
)


def bar(minute: int, resolution: str, close: float, vwap: float | None, count: int | None) -> Row:
    own = {"timestamp": NOON + minute * MINUTE, "resolution": resolution, "vwap": vwap, "trade_count": count}
    return dict.fromkeys(("timestamp", "resolution", "open", "high", "low", "close", "volume"), close) | own


bars = st.builds(
    bar,
    st.sampled_from([0, 1]),
    st.sampled_from(["1m", "5m"]),
    st.sampled_from([1.0, 2.0]),
    st.sampled_from([None, 1.0, 2.0]),
    st.sampled_from([None, 3]),
)


def check(dataset: Dataset, rows: list[Row], stored: list[Row]) -> None:
    batch = pa.RecordBatch.from_pylist(rows, schema=dataset.schema)
    known = pa.Table.from_pylist(stored, schema=dataset.schema)
    versions = stored_rows(known, [ArrivalRun(0, 1, len(stored))])
    found = duplicates_among(dataset, batch, versions)
    assert tuple(mask.nonzero()[0].tolist() for mask in found) == expected(dataset, rows, stored)


@settings(max_examples=examples(200), deadline=None)
@given(st.lists(trades, min_size=1, max_size=8), st.lists(trades, max_size=8))
def test_trades(rows: list[Row], stored: list[Row]):
    check(TRADES, rows, stored)


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(bars, min_size=1, max_size=6), st.lists(bars, max_size=6))
def test_bars(rows: list[Row], stored: list[Row]):
    check(BARS, rows, stored)


def test_many_versions_of_a_row_are_not_paired_with_as_many_rows_of_its_id():
    count = 2000
    stored = record_batch(*(trade(price=1.0 + n, trade_id="x") for n in range(count)))
    rows = record_batch(*(trade(price=1.5 + n / 2, trade_id="x", received_at=n) for n in range(count)))
    versions = stored_rows(pa.Table.from_batches([stored]), [ArrivalRun(0, 1, count)])
    tracemalloc.start()
    try:
        found = duplicates_among(TRADES, rows, versions)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [int(mask.sum()) for mask in found] == [count // 2, count // 2]
    assert peak < count * count


def test_numbers_are_exact_if_columns_have_more_combinations_than_64_bits(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(duplicates, "_LARGEST", 8)
    check(
        TRADES,
        [trade(n, float(n), trade_id=str(n)) for n in range(6)],
        [trade(n, 1.0, trade_id=str(n)) for n in range(6)],
    )
    check(TRADES, [trade(n, float(n % 3)) for n in range(6)], [trade(n, 1.0) for n in range(6)])
