"""Which rows are duplicates, against a rule for one row at a time."""

import tracemalloc
from collections.abc import Sequence
from cProfile import Profile
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from store.datasets import BARS, TRADES
from store.declarations import Dataset
from store.rows.duplicates import duplicates_among
from store.rows.row_hashes import id_hashes, text_words
from store.rows.stored_rows import ArrivalRun, stored_rows
from tests.chance import examples
from tests.store.builders import DAY, MINUTE, NOON, Row, record_batch, trade


def identity(dataset: Dataset, row: Row) -> tuple[Any, ...] | None:
    """The id of a row on its event date; None without one."""
    if not dataset.id_columns or row[dataset.id_columns[-1]] is None:
        return None
    return (row["timestamp"] // DAY, *(row[name] for name in dataset.id_columns))


def values(dataset: Dataset, row: Row) -> tuple[Any, ...]:
    ignored = dataset.arrival_columns if identity(dataset, row) else ()
    return tuple(row[column.name] for column in dataset.own_columns if column.name not in ignored)


def is_same(dataset: Dataset, one: Row, other: Row) -> bool:
    later = [(one[name], other[name]) for name in dataset.later_names]
    return values(dataset, one) == values(dataset, other) and all(
        None in pair or len({*pair}) == 1 for pair in later
    )


def expected(dataset: Dataset, rows: Sequence[Row], stored: Sequence[Row]) -> tuple[list[int], list[int]]:
    """The indices of duplicates and of conflicts."""
    duplicates: list[int] = []
    conflicts: list[int] = []
    known = {
        identity(dataset, row): [each for each in stored if identity(dataset, each) == identity(dataset, row)]
        for row in rows
    }
    for index, row in enumerate(rows):
        if (own := identity(dataset, row)) is None:
            continue
        if known[own]:
            (duplicates if any(is_same(dataset, row, each) for each in known[own]) else conflicts).append(
                index
            )
        else:
            known[own] = [row]
    unmatched = [row for row in stored if identity(dataset, row) is None]
    for matches in (lambda one, other: one == other, lambda one, other: is_same(dataset, one, other)):
        for index, row in enumerate(rows):
            if identity(dataset, row) is None and index not in duplicates:
                found = next((each for each in unmatched if matches(row, each)), None)
                if found is not None:
                    unmatched.remove(found)
                    duplicates.append(index)
    return sorted(duplicates), conflicts


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
    ids = (id_hashes(dataset, batch), id_hashes(dataset, versions))
    found = duplicates_among(dataset, batch, ids[0], versions, ids[1])
    assert tuple(mask.nonzero()[0].tolist() for mask in found) == expected(dataset, rows, stored)


@settings(max_examples=examples(200), deadline=None)
@given(st.lists(trades, min_size=1, max_size=8), st.lists(trades, max_size=8))
def test_trades(rows: list[Row], stored: list[Row]):
    check(TRADES, rows, stored)


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(bars, min_size=1, max_size=6), st.lists(bars, max_size=6))
def test_bars(rows: list[Row], stored: list[Row]):
    check(BARS, rows, stored)


@given(st.lists(st.one_of(st.none(), st.text(max_size=40)), min_size=1), st.integers(0, 3))
def test_equal_texts_have_equal_hashes_and_others_do_not(texts: list[str | None], offset: int):
    words = text_words(pa.array(["x"] * offset + texts, pa.string()).slice(offset)).T.tolist()
    present = [(text, tuple(word)) for text, word in zip(texts, words, strict=True) if text is not None]
    assert len({text for text, _ in present}) == len({word for _, word in present}) == len({*present})


def versions_of(rows: pa.RecordBatch) -> pa.Table:
    return stored_rows(pa.Table.from_batches([rows]), [ArrivalRun(0, 1, rows.num_rows)])


def compared(rows: pa.RecordBatch, stored: pa.RecordBatch) -> tuple[tuple[int, int], int]:
    """How many trades are duplicates, and how many conflicts; the most bytes that were held to find out."""
    versions = versions_of(stored)
    ids = id_hashes(TRADES, rows), id_hashes(TRADES, versions)
    tracemalloc.start()
    try:
        duplicates, conflicts = duplicates_among(TRADES, rows, ids[0], versions, ids[1])
        return (int(duplicates.sum()), int(conflicts.sum())), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_many_versions_of_a_row_are_not_paired_with_as_many_rows_of_its_id():
    count = 2000
    versions = record_batch(*(trade(price=1.0 + n, trade_id="x") for n in range(count)))
    rows = record_batch(*(trade(price=1.5 + n / 2, trade_id="x", received_at=n) for n in range(count)))
    found, peak = compared(rows, versions)
    assert found == (count // 2, count // 2)
    assert peak < count * count


def test_a_row_is_hashed_with_those_at_its_time_and_price_only():
    count = 20_000
    versions = record_batch(*(trade(price=1.0 + n, exchange="N", conditions="x") for n in range(count)))
    found, peak = compared(record_batch(trade(price=7.0, exchange="N", conditions="x")), versions)
    assert found == (1, 0)
    assert peak < 90 * count


def test_equal_rows_that_differ_in_a_later_column_are_not_compared_with_each_other():
    def calls(count: int) -> int:
        sides = [record_batch(*[trade(buyer_is_maker=side)] * count) for side in (True, False)]
        profile = Profile()
        found, _ = profile.runcall(compared, *sides)
        assert found == (0, 0)
        return sum(each.callcount for each in profile.getstats())

    assert calls(400) < 3 * calls(200)
