"""Which rows are already stored, in every store."""

from typing import Any

import pytest

from store.exceptions import IdConflict
from store.protocol import Dedupe
from tests.chance import SOAK
from tests.store.builders import DAY, Row, batch, stored, trade, trades_of


def ticks(count: int, **others: Any) -> list[Row]:
    return [trade(1, **others) for _ in range(count)]


@pytest.mark.parametrize("in_batch", [1, 2, 5])
@pytest.mark.parametrize("in_store", [0, 2])
def test_equal_rows_without_ids_are_counted(store, in_store, in_batch):
    if in_store:
        store.append(batch(*ticks(in_store)))
    receipt = store.append(batch(*ticks(in_batch)))
    assert receipt.duplicate_rows == tuple(range(min(in_store, in_batch)))
    assert len(stored(store)) == max(in_store, in_batch)


@pytest.mark.parametrize(
    "change",
    [
        {"price": 100.5},
        {"volume": 2.0},
        {"sequence": 2},
        {"exchange": "P"},
        {"conditions": "x"},
        {"received_at": 5},
        {"trade_id": "a"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_row_that_differs_in_any_column_is_another_row(store, change):
    row = trade(1, sequence=1, exchange="N", conditions="y", received_at=4)
    store.append(batch(row))
    assert store.append(batch(row | change)).stored == 1
    assert store.append(batch(row | change, row)).stored == 0


def test_a_row_is_recognised_whatever_columns_its_neighbours_have(store):
    plain, full = trade(1), trade(1, trade_id="a", sequence=3, exchange="N", conditions="x", received_at=4)
    store.append(batch(plain))
    assert store.append(batch(full, plain)).duplicate_rows == (1,)
    assert store.append(batch(plain, full)).duplicate_rows == (0, 1)
    assert store.append(batch(full)).duplicate_rows == (0,)


def test_reports_of_an_id_may_differ_in_received_at(store):
    row = trade(1, trade_id="a", received_at=4)
    store.append(batch(row))
    assert store.append(batch(row | {"received_at": 5}, row | {"received_at": None})).duplicate_rows == (0, 1)
    assert stored(store) == [row]


def test_an_id_is_stored_once_per_event_time_and_exchange(store):
    first = trade(1, trade_id="7", exchange="N")
    store.append(batch(first))
    others = [
        first | each for each in ({"exchange": "P"}, {"exchange": None}, {"timestamp": 2}, {"timestamp": DAY})
    ]
    assert store.append(batch(first, *others)).duplicate_rows == (0,)
    assert len(stored(store)) == 5


def test_an_id_that_is_repeated_within_a_batch_is_a_duplicate(store):
    row = trade(1, trade_id="7")
    receipt = store.append(batch(row, trade(2), row, row))
    assert (receipt.stored, receipt.duplicate_rows) == (2, (2, 3))


def test_an_id_with_other_values_is_a_conflict_and_nothing_is_stored(store):
    store.append(batch(trade(1, trade_id="7"), trade(DAY, trade_id="7")))
    with pytest.raises(IdConflict) as conflict:
        store.append(
            batch(
                trade(5),
                trade(DAY, 101.0, trade_id="7"),
                trade(1, trade_id="7"),
                trade(2, 101.0, trade_id="7"),
                trade(3, trade_id="8"),
                trade(3, 1.0, trade_id="8"),
            )
        )
    assert conflict.value.rows == [1, 5]
    assert trades_of(store).head.number == 1
    assert len(stored(store)) == 2


def test_mode_none_stores_repeated_ids(store):
    row = trade(1, trade_id="7")
    for number in (1, 2):
        assert store.append(batch(row, row, dedupe=Dedupe.NONE)).commit.number == number
    assert len(stored(store)) == 4


def test_rows_stored_by_mode_none_count_as_stored(store):
    store.append(batch(*ticks(3), dedupe=Dedupe.NONE))
    assert store.append(batch(*ticks(4))).stored == 1


def test_at_most_a_hundred_duplicate_rows_are_listed(store):
    store.append(batch(*ticks(150)))
    receipt = store.append(batch(*ticks(151)))
    assert (receipt.duplicates, receipt.duplicate_rows) == (150, tuple(range(100)))
    kept = store.append(batch(*ticks(151), request_key="k"))
    assert (kept.duplicates, kept.duplicate_rows) == (151, tuple(range(100)))


@pytest.mark.parametrize("size", [600, 3000] if SOAK else [1500])
def test_large_batches_in_pieces_are_recognised(store, size):
    rows = [trade(number % 97, float(1 + number % 89), trade_id=None) for number in range(size)]
    for start in range(0, size, 700):
        store.append(batch(*rows[start : start + 700], dedupe=Dedupe.NONE))
    assert store.append(batch(*reversed(rows))).stored == 0
    assert store.append(batch(*rows, trade(98))).duplicates == size
