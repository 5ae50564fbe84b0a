"""Rows are the same by their ids or, without ids, by their values, counted."""

from collections import Counter
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.backfills.comparing import Comparison, date_pieces, rows_compare
from store.datasets import BARS, QUOTES, TRADES
from store.declarations import Dataset
from store.protocol import Window
from store.timestamps import DAY_NS, SECOND_NS
from tests.jobs.backfills.answers import START_NS

DAY = Window(START_NS // DAY_NS * DAY_NS, START_NS // DAY_NS * DAY_NS + DAY_NS)
BAR = {"resolution": "1m", "open": 1.0, "high": 2.0, "low": 1.0, "close": 1.0, "volume": 1.0}


def table(*rows: dict[str, Any], dataset: Dataset = TRADES) -> pa.Table:
    usual = {"timestamp": START_NS}
    if dataset is TRADES:
        usual |= {"price": 10.0, "volume": 1.0}  # type: ignore[dict-item]
    return pa.Table.from_pylist([{**usual, **row} for row in rows], schema=dataset.schema)


def compared(
    ours: pa.Table, theirs: pa.Table, dataset: Dataset = TRADES, answered: tuple[Window, ...] = (DAY,)
) -> Comparison:
    return rows_compare(dataset, ours, theirs, answered)


def found(comparison: Comparison) -> tuple[list[int], list[int], list[tuple[int, int, tuple[str, ...]]]]:
    return comparison.missing.tolist(), comparison.extra.tolist(), list(comparison.different)


NOTHING: tuple[list[int], list[int], list[Any]] = ([], [], [])


def test_equal_tables_have_no_difference() -> None:
    rows = table({"trade_id": "1"}, {}, {"conditions": "odd_lot"})
    assert found(compared(rows, rows)) == NOTHING
    assert found(compared(table(), table())) == NOTHING


def test_rows_with_ids_are_the_same_by_exchange_and_id() -> None:
    ours = table({"trade_id": "1", "exchange": "A"}, {"trade_id": "2", "exchange": "A"}, {"trade_id": "4"})
    theirs = table({"trade_id": "2", "exchange": "B"}, {"trade_id": "1", "exchange": "A"}, {"trade_id": "4"})
    assert found(compared(ours, theirs)) == ([0], [1], [])


@pytest.mark.parametrize(
    ("column", "here", "there"),
    [
        ("price", 10.0, 10.5),
        ("conditions", "odd_lot", None),
        ("sequence", None, 7),
        ("timestamp", START_NS, START_NS + 1),
        ("buyer_is_maker", True, False),
    ],
)
def test_other_values_of_an_id_are_named(column: str, here: Any, there: Any) -> None:
    other = {"trade_id": "2", "conditions": "cross"}
    ours = table(other, {"trade_id": "1", column: here})
    theirs = table({"trade_id": "1", column: there}, other)
    assert found(compared(ours, theirs)) == ([], [], [(1, 0, (column,))])


def test_what_the_source_leaves_empty_and_arrivals_are_not_compared() -> None:
    full = {"conditions": "odd_lot", "sequence": 3, "received_at": START_NS + 5}
    ours = table({"trade_id": "1", **full}, full, full)
    theirs = table({"trade_id": "1", "received_at": START_NS + 9}, {}, {})
    assert found(compared(ours, theirs)) == NOTHING


def test_rows_without_ids_are_counted() -> None:
    ours = table({}, {}, {"price": 11.0})
    theirs = table({}, {}, {}, {"price": 12.0})
    comparison = compared(ours, theirs)
    assert found(comparison) == ([2, 3], [2], [])
    assert comparison.again.tolist() == [0, 1], "the store counts equal rows of a batch"


def test_an_absence_counts_only_where_the_source_has_all_rows() -> None:
    ours = table({"timestamp": START_NS}, {"timestamp": START_NS + SECOND_NS})
    comparison = compared(ours, table(), answered=(Window(START_NS + 1, DAY.end_ns),))
    assert (comparison.extra.tolist(), comparison.unconfirmed) == ([1], 1)


def test_other_datasets() -> None:
    bars = table(BAR, {**BAR, "resolution": "1d"}, dataset=BARS)
    assert found(compared(bars, table({**BAR, "close": 2.0}, dataset=BARS), BARS)) == (
        [],
        [1],
        [(0, 0, ("close",))],
    )
    quotes = table({"bid": 1.0}, {"bid": 1.0}, dataset=QUOTES)
    assert found(compared(quotes, table({"bid": 1.0}, {"ask": 2.0}, dataset=QUOTES), QUOTES)) == (
        [1],
        [1],
        [],
    )


ROW = st.fixed_dictionaries({"price": st.sampled_from([1.0, 2.0]), "conditions": st.sampled_from(["a", "b"])})


@given(st.lists(ROW, max_size=12), st.lists(ROW, min_size=1, max_size=12))
def test_rows_without_ids_agree_with_counters(
    here: list[dict[str, Any]], there: list[dict[str, Any]]
) -> None:
    comparison = compared(table(*here), table(*there))

    def counted(rows: list[dict[str, Any]]) -> Counter[tuple[Any, ...]]:
        return Counter((row["price"], row["conditions"]) for row in rows)

    assert counted([there[row] for row in comparison.missing]) == counted(there) - counted(here)
    assert counted([here[row] for row in comparison.extra]) == counted(here) - counted(there)


def test_pieces_are_utc_dates() -> None:
    window = Window(DAY.end_ns - 5, DAY.end_ns + DAY_NS + 3)
    assert date_pieces(window) == [
        Window(DAY.end_ns - 5, DAY.end_ns),
        Window(DAY.end_ns, DAY.end_ns + DAY_NS),
        Window(DAY.end_ns + DAY_NS, DAY.end_ns + DAY_NS + 3),
    ]
    assert date_pieces(DAY) == [DAY]
