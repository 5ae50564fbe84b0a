"""Columns that were added to a dataset later: outside of the digest; a missing one is null, and compared like any other."""

from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from store.datasets import BARS, CORPORATE_ACTIONS
from store.exceptions import IdConflict, RequestKeyReused
from store.market_store import MarketStore
from store.protocol import ALL_TIME, Action, Amendment, Append, Correction, Receipt
from tests.store.builders import SYMBOL, Row, amendment, batch, correct, stored, trade

FLAGS = (None, True, False)


def flagged(flag: bool | None, at: int = 1, **others: Any) -> Row:
    return trade(at, buyer_is_maker=flag, **others)


def flags(store: MarketStore, at: int | None = None) -> list[bool | None]:
    return [row["buyer_is_maker"] for row in stored(store, commit=at)]


def counts(receipt: Receipt) -> tuple[int, tuple[int, ...]]:
    return receipt.stored, receipt.duplicate_rows


@pytest.mark.parametrize("trade_id", ["a", None])
@pytest.mark.parametrize("sent", FLAGS)
@pytest.mark.parametrize("kept", FLAGS)
def test_a_missing_value_is_another_value(store, kept, sent, trade_id):
    store.append(batch(flagged(kept, trade_id=trade_id)))
    again = batch(flagged(sent, trade_id=trade_id), flagged(sent, 2, trade_id="b"))
    if kept == sent:
        assert counts(store.append(again)) == (1, (0,))
        assert flags(store) == [kept, sent]
    elif trade_id is None:
        assert counts(store.append(again)) == (2, ())
        assert flags(store) == [kept, sent, sent]
    else:
        with pytest.raises(IdConflict) as conflict:
            store.append(again)
        assert conflict.value.rows == [0]
        assert flags(store) == [kept]


@pytest.mark.parametrize(("kept", "sent"), [(None, True), (True, None), (True, False)])
def test_a_batch_is_known_by_its_key_and_its_digest_whatever_later_columns_say(store, kept, sent):
    first = store.append(batch(flagged(kept, trade_id="a"), request_key="k"))
    again = store.append(batch(flagged(sent, trade_id="a"), request_key="k"))
    assert again.replayed
    assert again.commit == first.commit
    assert flags(store) == [kept]


def test_a_correction_sets_the_column_and_unsets_it(store):
    store.append(batch(trade(1, trade_id="a"), trade(2), flagged(True, 3)))
    store.correct(amendment(correct(1, trade_id="a", new={"buyer_is_maker": True})))
    store.correct(amendment(correct(2, price=100.0, volume=1.0, new={"price": 7.0, "buyer_is_maker": False})))
    store.correct(amendment(correct(3, price=100.0, volume=1.0, new={"buyer_is_maker": None})))
    assert flags(store) == [True, False, None]
    store.correct(amendment(correct(1, trade_id="a", new={"volume": 9.0})))
    assert flags(store) == [True, False, None]
    assert [flags(store, at) for at in (1, 2, 3)] == [
        [None, None, True],
        [True, None, True],
        [True, False, True],
    ]
    again = amendment(correct(1, trade_id="a", new={"buyer_is_maker": True}))
    assert store.correct(again).duplicates == 1


def test_digest_of_corrections_covers_later_columns(store):
    store.append(batch(trade(1, trade_id="a")))
    said = [correct(1, trade_id="a", new={"buyer_is_maker": flag}) for flag in (True, False)]
    store.correct(amendment(said[0], request_key="k"))
    assert store.correct(amendment(said[0], request_key="k")).replayed
    with pytest.raises(RequestKeyReused):
        store.correct(amendment(said[1], request_key="k"))
    assert flags(store) == [True]


def test_row_with_id_matches_original_and_corrected_later_column(store):
    store.append(batch(flagged(True, trade_id="a")))
    store.correct(amendment(correct(1, trade_id="a", new={"price": 7.0, "buyer_is_maker": False})))
    for known in (flagged(True, trade_id="a"), flagged(False, price=7.0, trade_id="a")):
        assert store.append(batch(known)).stored == 0
    for other in (flagged(False, trade_id="a"), flagged(True, price=7.0, trade_id="a")):
        with pytest.raises(IdConflict):
            store.append(batch(other))


def test_row_without_id_matches_original_later_column(store):
    store.append(batch(flagged(True)))
    store.correct(amendment(correct(1, price=100.0, volume=1.0, new={"buyer_is_maker": False})))
    assert store.append(batch(flagged(True))).stored == 0
    assert store.append(batch(flagged(False))).stored == 1


BAR: Row = {
    "timestamp": 0, "resolution": "1m", "open": 2.0, "high": 3.0, "low": 1.0, "close": 2.0, "volume": 9.0,
    "vwap": None, "trade_count": None,
}  # fmt: skip


def bars(*rows: Row) -> Append:
    return Append(BARS, SYMBOL, pa.RecordBatch.from_pylist(rows, schema=BARS.schema), "feed")


def test_a_bar_without_a_stored_later_column_is_another_one(store):
    full = BAR | {"vwap": 2.5, "trade_count": 4}
    store.append(bars(BAR, full | {"timestamp": 1}))
    assert store.append(bars(BAR, full | {"timestamp": 1})).duplicate_rows == (0, 1)
    with pytest.raises(IdConflict) as conflict:
        store.append(bars(full, BAR, BAR | {"timestamp": 1}, full | {"timestamp": 1}))
    assert conflict.value.rows == [0, 2]
    assert store.append(replace(bars(BAR | {"timestamp": 1}), replaces=True)).replaced == 1
    assert store.log(BARS, SYMBOL).at().rows(ALL_TIME).to_pylist() == [BAR, BAR | {"timestamp": 1}]


def test_an_id_that_was_added_later_tells_rows_apart_and_belongs_to_the_digest(store):
    def dividend(amount: float, action_id: str | None) -> Row:
        return {"timestamp": 0, "kind": "dividend", "amount": amount, "action_id": action_id}

    def send(*rows: Row, **options: Any) -> Receipt:
        given = pa.RecordBatch.from_pylist([*rows], schema=CORPORATE_ACTIONS.schema)
        receipt: Receipt = store.append(Append(CORPORATE_ACTIONS, SYMBOL, given, "key:1", **options))
        return receipt

    assert counts(send(dividend(1.0, None), dividend(2.0, "a"), dividend(2.0, "b"))) == (3, ())
    assert counts(send(dividend(2.0, "b"), dividend(1.0, None), dividend(1.0, "c"))) == (1, (0, 1))
    for wrong in (dividend(2.0, None), dividend(1.0, "a")):
        with pytest.raises(IdConflict):
            send(wrong)
    first, second = dividend(3.0, "d"), dividend(3.0, "e")
    assert counts(send(first, request_key="k")) == (1, ())
    with pytest.raises(RequestKeyReused):
        send(second, request_key="k")
    assert counts(send(second)) == (1, ())
    named = {"kind": "dividend", "action_id": "d"}
    change = Correction(Action.CORRECT, 0, named, {"amount": 4.0})
    store.correct(Amendment(CORPORATE_ACTIONS, SYMBOL, (change,), "key:1"))
    assert counts(send(dividend(4.0, "d"), dividend(3.0, "d"))) == (0, (0, 1))
    amounts = {
        row["action_id"]: row["amount"]
        for row in store.log(CORPORATE_ACTIONS, SYMBOL).at().rows(ALL_TIME).to_pylist()
    }
    assert amounts == {None: 1.0, "a": 2.0, "b": 2.0, "c": 1.0, "d": 4.0, "e": 3.0}
