"""Cancels and corrections, in every store."""

from typing import Any

import pytest

from store.datasets import TRADES
from store.exceptions import (
    CorrectionAmbiguous,
    CorrectionTargetMissing,
    IdConflict,
    RequestKeyReused,
    UnknownSymbol,
)
from store.market_store import MarketStore
from store.protocol import ALL_TIME, Amendment, Correction, Window
from tests.store.builders import DAY, MINUTE, NOON, SYMBOL, amendment, batch, cancel, correct, stored, trade

NAMED = {"price": 100.0, "volume": 1.0}


def prices(store: MarketStore, commit: int | None = None) -> list[float]:
    return [row["price"] for row in stored(store, commit=commit)]


def test_a_cancelled_row_is_gone_and_stays_readable_at_earlier_commits(store):
    store.append(batch(trade(1, 1.0, trade_id="a"), trade(2, 2.0, trade_id="b")))
    receipt = store.correct(amendment(cancel(1, trade_id="a")))
    assert (receipt.received, receipt.stored, receipt.duplicate_rows, receipt.commit.number) == (1, 1, (), 2)
    assert prices(store) == prices(store, commit=2) == [2.0]
    assert prices(store, commit=1) == [1.0, 2.0]


def test_corrected_row_has_new_values_at_its_position(store):
    store.append(batch(trade(1, 1.0), trade(1, 2.0, conditions="x"), trade(1, 3.0)))
    new = {"price": 20.0, "volume": 7.0, "conditions": None}
    store.correct(amendment(correct(1, price=2.0, volume=1.0, new=new)))
    assert stored(store) == [trade(1, 1.0), trade(1, 20.0, 7.0), trade(1, 3.0)]
    assert prices(store, commit=1) == [1.0, 2.0, 3.0]


def test_a_row_is_named_by_what_it_lacks(store):
    store.append(batch(trade(1, 1.0, trade_id="a"), trade(1, 1.0)))
    with pytest.raises(CorrectionAmbiguous):
        store.correct(amendment(cancel(1, price=1.0, volume=1.0)))
    without = cancel(1, price=1.0, volume=1.0, trade_id=None)
    assert store.correct(amendment(without, request_key="k")).stored == 1
    assert [row["trade_id"] for row in stored(store)] == ["a"]
    assert store.correct(amendment(without)).duplicates == 1
    with pytest.raises(RequestKeyReused):
        store.correct(amendment(cancel(1, price=1.0, volume=1.0), request_key="k"))


def test_a_new_sequence_number_moves_the_row_within_its_instant(store):
    store.append(batch(trade(1, 1.0, sequence=1), trade(1, 2.0, sequence=2), trade(1, 3.0, sequence=3)))
    store.correct(amendment(correct(1, price=1.0, volume=1.0, new={"sequence": 9})))
    assert prices(store) == [2.0, 3.0, 1.0]


def test_a_row_may_be_corrected_again_and_cancelled_and_each_commit_is_readable(store):
    store.append(batch(trade(1, 1.0, trade_id="a")))
    for price in (2.0, 3.0):
        store.correct(amendment(correct(1, trade_id="a", new={"price": price})))
    store.correct(amendment(cancel(1, trade_id="a")))
    assert [prices(store, commit=number) for number in range(5)] == [[], [1.0], [2.0], [3.0], []]
    assert prices(store) == []


def test_a_correction_may_take_a_price_below_zero(store):
    store.append(batch(trade(0, 5.0, 2.0, trade_id="a"), trade(1, 6.0, 1.0)))
    store.correct(amendment(correct(0, trade_id="a", new={"price": -5.5})))
    store.correct(amendment(correct(1, price=6.0, volume=1.0, new={"price": 0.0})))
    bars = store.log(TRADES, SYMBOL).at().bars(ALL_TIME, MINUTE)
    assert (bars.low.tolist(), bars.close.tolist(), bars.notional.tolist()) == ([-5.5], [0.0], [-11.0])


def test_a_correction_touches_the_version_of_its_date_and_no_other(store):
    store.append(batch(trade(0, trade_id="a"), trade(DAY, trade_id="b")))
    first, second = Window(NOON, NOON + 1), Window(NOON + DAY, NOON + DAY + 1)
    commit = store.correct(amendment(cancel(0, trade_id="a"))).commit
    assert store.log(TRADES, SYMBOL).at().version(first) == store.log(TRADES, SYMBOL).head == commit
    assert store.log(TRADES, SYMBOL).at().version(second) == store.log(TRADES, SYMBOL).at(1).commit
    assert store.log(TRADES, SYMBOL).at(1).version(first).number == 1


def test_corrections_of_many_dates_are_one_commit(store):
    rows = [trade(day * DAY, float(1 + day), trade_id=str(day)) for day in range(5)]
    store.append(batch(*rows))
    fixes = [correct(day * DAY, trade_id=str(day), new={"price": 10.0 + day}) for day in (4, 0, 2)]
    assert store.correct(amendment(*fixes)).commit.number == 2
    assert prices(store) == [10.0, 2.0, 12.0, 4.0, 14.0]


@pytest.mark.parametrize(
    ("named", "place"),
    [
        pytest.param({"trade_id": "a", "exchange": "N"}, 0, id="id and exchange"),
        pytest.param({"trade_id": "b"}, 1, id="id alone"),
        pytest.param({"trade_id": "a", "price": 3.0}, 2, id="id and price"),
        pytest.param({"trade_id": "a", "volume": 8.0}, 2, id="id and volume"),
        pytest.param({"price": 4.0, "volume": 1.0}, 3, id="price and volume"),
        pytest.param({"price": 5.0, "volume": 1.0, "exchange": "P"}, 5, id="price, volume and exchange"),
    ],
)
def test_values_that_identify_a_row(store, named: dict[str, Any], place: int):
    rows = [
        trade(1, 1.0, trade_id="a", exchange="N"),
        trade(1, 2.0, trade_id="b"),
        trade(1, 3.0, 8.0, trade_id="a", exchange="P"),
        trade(1, 4.0),
        trade(1, 5.0, exchange="N"),
        trade(1, 5.0, exchange="P"),
        trade(2, 4.0),
    ]
    store.append(batch(*rows))
    store.correct(amendment(cancel(1, **named)))
    assert stored(store) == rows[:place] + rows[place + 1 :]


@pytest.mark.parametrize(
    "correction",
    [
        pytest.param(cancel(2, trade_id="a"), id="another time"),
        pytest.param(cancel(1, trade_id="b"), id="another id"),
        pytest.param(cancel(1, trade_id="a", exchange="P"), id="another exchange"),
        pytest.param(cancel(1, trade_id="a", price=2.0), id="another price beside the id"),
        pytest.param(cancel(1, trade_id="a", volume=2.0), id="another volume beside the id"),
        pytest.param(cancel(1, price=100.0, volume=2.0), id="another volume"),
        pytest.param(cancel(9 * DAY, price=100.0, volume=1.0), id="a date without rows"),
        pytest.param(correct(2, trade_id="a", new={"price": 1.0}), id="a correct"),
    ],
)
def test_correction_without_a_matching_row_is_refused(store, correction: Correction):
    store.append(batch(trade(1, trade_id="a", exchange="N"), trade(1, trade_id="z")))
    with pytest.raises(CorrectionTargetMissing) as missing:
        store.correct(amendment(cancel(1, trade_id="z"), correction))
    assert missing.value.rows == [1]
    assert len(stored(store)) == 2
    assert store.log(TRADES, SYMBOL).head.number == 1


def test_different_matching_rows_are_ambiguous(store):
    store.append(batch(trade(1, exchange="N"), trade(1, exchange="P"), trade(2)))
    with pytest.raises(CorrectionAmbiguous) as ambiguous:
        store.correct(amendment(cancel(2, **NAMED), cancel(1, **NAMED)))
    assert ambiguous.value.rows == [1]
    assert len(stored(store)) == 3


def test_last_of_equal_rows_is_corrected(store):
    store.append(batch(trade(1), trade(1, 2.0), trade(1)))
    store.correct(amendment(correct(1, **NAMED, new={"price": 3.0})))
    assert prices(store) == [100.0, 2.0, 3.0]
    store.correct(amendment(correct(1, **NAMED, new={"price": 4.0})))
    assert prices(store) == [4.0, 2.0, 3.0]


def test_a_correction_sees_those_before_it_in_its_batch(store):
    store.append(batch(trade(1, trade_id="a"), trade(2), trade(2)))
    receipt = store.correct(
        amendment(
            correct(1, trade_id="a", new={"price": 5.0}),
            correct(1, price=5.0, volume=1.0, new={"volume": 3.0}),
            cancel(2, **NAMED),
            cancel(2, **NAMED),
            cancel(2, **NAMED),
        )
    )
    assert (receipt.stored, receipt.duplicate_rows) == (4, (4,))
    assert stored(store) == [trade(1, 5.0, 3.0, trade_id="a")]


def test_a_row_that_was_cancelled_cannot_be_corrected(store):
    store.append(batch(trade(1, trade_id="a")))
    store.correct(amendment(cancel(1, trade_id="a")))
    with pytest.raises(CorrectionTargetMissing):
        store.correct(amendment(correct(1, trade_id="a", new={"price": 5.0})))


REPEATABLE = [
    pytest.param([cancel(1, trade_id="a")], id="cancel by id"),
    pytest.param([cancel(1, **NAMED)], id="cancel by values"),
    pytest.param([correct(1, trade_id="a", new={"price": 5.0})], id="correct by id"),
    pytest.param([correct(1, **NAMED, new={"price": 5.0})], id="correct by the original values"),
    pytest.param([correct(1, **NAMED, new={"price": 5.0}), cancel(1, price=5.0, volume=1.0)], id="both"),
    pytest.param(
        [correct(1, **NAMED, new={"price": 5.0}), correct(1, price=5.0, volume=1.0, new={"price": 6.0})],
        id="one after the other",
    ),
    pytest.param([correct(1, trade_id="a", new={"price": 5.0}), cancel(1, trade_id="a")], id="both by id"),
]


@pytest.mark.parametrize("corrections", REPEATABLE)
def test_repeated_corrections_make_no_commit(store, corrections: list[Correction]):
    store.append(batch(trade(1, trade_id="a"), trade(2)))
    store.correct(amendment(*corrections))
    rows = stored(store)
    again = store.correct(amendment(*corrections))
    assert (again.stored, again.duplicate_rows) == (0, tuple(range(len(corrections))))
    assert again.commit == store.log(TRADES, SYMBOL).head
    assert again.commit.number == 2
    assert stored(store) == rows


def test_new_corrections_are_applied_beside_repeated_ones(store):
    store.append(batch(trade(1, trade_id="a"), trade(2, trade_id="b")))
    store.correct(amendment(cancel(1, trade_id="a")))
    receipt = store.correct(amendment(cancel(1, trade_id="a"), cancel(2, trade_id="b")))
    assert (receipt.stored, receipt.duplicates, receipt.duplicate_rows) == (1, 1, (0,))
    assert stored(store) == []


@pytest.mark.parametrize("row", [trade(1, trade_id="a"), trade(1)], ids=["with id", "without id"])
def test_a_cancelled_row_sent_again_is_a_duplicate_and_does_not_come_back(store, row):
    store.append(batch(row))
    store.correct(amendment(cancel(1, **NAMED)))
    again = store.append(batch(row))
    assert (again.stored, again.duplicate_rows) == (0, (0,))
    assert stored(store) == []
    assert store.append(batch(trade(1, 50.0))).stored == 1


def test_row_with_id_is_a_duplicate_of_original_and_corrected_values(store):
    row = trade(1, trade_id="a")
    store.append(batch(row))
    store.correct(amendment(correct(1, trade_id="a", new={"price": 2.0})))
    store.correct(
        amendment(
            correct(1, trade_id="a", new={"price": 3.0, "volume": 9.0}),
            correct(1, trade_id="a", new={"price": 4.0}),
        )
    )
    said = [
        row,
        row | {"price": 2.0},
        row | {"price": 3.0, "volume": 9.0},
        row | {"price": 4.0, "volume": 9.0},
    ]
    assert store.append(batch(*said, *reversed(said))).stored == 0
    with pytest.raises(IdConflict) as conflict:
        store.append(batch(row, row | {"price": 5.0}))
    assert conflict.value.rows == [1]
    assert stored(store) == said[3:]


def test_rows_without_ids_are_counted_by_original_values(store):
    store.append(batch(trade(1), trade(1), trade(1)))
    store.correct(amendment(cancel(1, **NAMED), correct(1, **NAMED, new={"price": 5.0})))
    assert store.append(batch(*(trade(1) for _ in range(4)))).stored == 1
    assert store.append(batch(trade(1, 5.0))).stored == 1
    assert sorted(prices(store)) == [5.0, 5.0, 100.0, 100.0]


def test_row_stored_after_a_correction_can_be_corrected(store):
    store.append(batch(trade(1, trade_id="a"), trade(DAY, trade_id="x")))
    store.correct(amendment(cancel(1, trade_id="a"), cancel(DAY, trade_id="x")))
    store.append(
        batch(trade(DAY, 3.0, trade_id="y"), trade(1, 2.0, trade_id="b"), trade(1, 2.5, trade_id="c"))
    )
    store.correct(amendment(correct(1, trade_id="b", new={"price": 7.0}), cancel(DAY, trade_id="y")))
    assert stored(store) == [trade(1, 7.0, trade_id="b"), trade(1, 2.5, trade_id="c")]


def keyed(*corrections: Correction, caller: str = "key:1") -> Amendment:
    return amendment(*corrections, caller=caller, request_key="k")


def test_the_same_idempotency_key_and_corrections_give_the_first_answer_to_their_caller(store):
    store.append(batch(trade(1), trade(1)))
    for stored_rows, others, left in ((1, (), 1), (1, (), 0), (0, (0,), 0)):
        caller = f"key:{left}{stored_rows}"
        first, again = (store.correct(keyed(cancel(1, **NAMED), caller=caller)) for _ in range(2))
        assert (first.stored, first.duplicate_rows, first.replayed) == (stored_rows, others, False)
        assert (again.stored, again.duplicate_rows, again.replayed) == (stored_rows, others, True)
        assert again.commit == first.commit
        assert len(stored(store)) == left


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(keyed(cancel(2, **NAMED)), id="another time"),
        pytest.param(keyed(cancel(1, **NAMED), cancel(1, **NAMED)), id="more corrections"),
        pytest.param(keyed(correct(1, **NAMED, new={"price": 1.0})), id="another action"),
        pytest.param(keyed(correct(1, **NAMED, new={"price": 2.0, "volume": 1.0})), id="other values"),
    ],
)
def test_idempotency_key_of_other_corrections_is_refused(store, other: Amendment):
    store.append(batch(trade(1), trade(2)))
    store.correct(keyed(cancel(1, **NAMED)))
    with pytest.raises(RequestKeyReused):
        store.correct(other)
    with pytest.raises(RequestKeyReused):
        store.append(batch(trade(5), request_key="k"))
    store.append(batch(trade(5), request_key="rows"))
    with pytest.raises(RequestKeyReused):
        store.correct(amendment(cancel(1, **NAMED), request_key="rows"))


def test_a_symbol_that_was_never_stored_cannot_be_corrected(store):
    with pytest.raises(UnknownSymbol):
        store.correct(amendment(cancel(1, **NAMED), symbol="GHOST"))
    assert store.symbols(TRADES) == []


@pytest.mark.parametrize(
    "new", [{"timestamp": 5}, {"trade_id": "b"}, {"exchange": "N"}, {"colour": "red"}, {}], ids=str
)
def test_identifying_columns_cannot_be_corrected(new: dict[str, Any]):
    with pytest.raises(ValueError, match=r"may change|needs new values"):
        amendment(correct(1, trade_id="a", new=new))
