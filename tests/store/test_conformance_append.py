"""What becomes of a batch, in every store: receipts, commits, idempotency keys."""

from typing import Any

import pytest

from store.datasets import TRADES
from store.exceptions import IdConflict, RequestKeyReused, UnknownSymbol
from store.protocol import ALL_TIME, NO_COMMIT, Dedupe, Window
from store.walk import CommitRecord
from tests.store.builders import DAY, MINUTE, NOON, batch, fill_of, stored, trade, trades_of
from tests.store.walking import walk


def test_first_batch_is_commit_1_and_its_rows_are_read_back(store):
    rows = [
        trade(1, 100.25, 10, trade_id="a", sequence=7, exchange="N", conditions="x;y", received_at=NOON + 9),
        trade(2, 1e-300, 0.1),
        trade(3, 2.0**53, 2.0**53, trade_id="=1,\"2'", conditions="-z"),
    ]
    receipt = store.append(batch(*rows))
    assert (receipt.received, receipt.stored, receipt.duplicates, receipt.duplicate_rows) == (3, 3, 0, ())
    assert (receipt.commit.number, receipt.replayed) == (1, False)
    assert stored(store) == rows
    assert trades_of(store).at().rows(ALL_TIME).schema.equals(TRADES.schema)


def test_commits_are_counted_from_1_and_the_receipt_names_the_head(store):
    receipts = [store.append(batch(trade(number))) for number in range(3)]
    assert [receipt.commit.number for receipt in receipts] == [1, 2, 3]
    assert len({receipt.commit.hash for receipt in receipts}) == 3
    assert trades_of(store).head == receipts[-1].commit
    assert [trades_of(store).at(number).commit for number in (1, 2, 3)] == [r.commit for r in receipts]
    assert trades_of(store).at(0).commit == NO_COMMIT


def test_each_symbol_has_its_own_commit_numbers(store):
    store.append(batch(trade(1)))
    store.append(batch(trade(2)))
    assert store.append(batch(trade(1), symbol="BRK.B")).commit.number == 1
    assert stored(store, symbol="BRK.B") == [trade(1)]


@pytest.mark.parametrize(
    "read",
    [
        pytest.param(lambda s: s.log(TRADES, "NONE").at(), id="newest"),
        pytest.param(lambda s: s.log(TRADES, "NONE").at(1), id="number"),
        pytest.param(lambda s: s.log(TRADES, "NONE").head, id="head"),
        pytest.param(lambda s: s.log(TRADES, "NONE").as_of(NOON), id="as of"),
        pytest.param(lambda s: s.log(TRADES, "NONE").committed_at(1), id="committed_at"),
    ],
)
def test_a_symbol_without_commits_is_unknown_to_every_read(store, read):
    store.append(batch(trade(1)))
    with pytest.raises(UnknownSymbol, match="NONE"):
        read(store)


def test_a_symbol_whose_only_batch_was_refused_is_unknown(store):
    with pytest.raises(IdConflict):
        store.append(batch(trade(1, trade_id="a"), trade(1, 2.0, trade_id="a")))
    with pytest.raises(UnknownSymbol):
        stored(store)
    assert store.symbols(TRADES) == []


def test_symbols_are_listed_sorted(store):
    assert store.symbols(TRADES) == []
    symbols = ["MSFT", "BRK.B", "^GSPC", "BTC-USD", "ES=F", "A:B", "X+Y", "CON", "CON.", "A B", "AAPL"]
    for symbol in symbols:
        store.append(batch(trade(1), symbol=symbol))
    assert store.symbols(TRADES) == sorted(symbols)
    assert [stored(store, symbol=symbol) for symbol in symbols] == [[trade(1)]] * len(symbols)


def test_the_same_request_key_gives_the_first_answer_again(store):
    store.append(batch(trade(1)))
    first = store.append(batch(trade(1), trade(2), request_key="k"))
    store.append(batch(trade(3)))
    again = store.append(batch(trade(1), trade(2), request_key="k"))
    assert again.replayed
    assert (again.received, again.stored, again.duplicate_rows, again.commit) == (2, 1, (0,), first.commit)
    assert trades_of(store).head.number == 3


def test_a_replay_needs_no_duplicate_detection(store):
    store.append(batch(trade(1), dedupe=Dedupe.NONE, request_key="k"))
    assert store.append(batch(trade(1), dedupe=Dedupe.NONE, request_key="k")).replayed
    assert len(stored(store)) == 1


@pytest.mark.parametrize(
    "other",
    [
        pytest.param([trade(1), trade(3)], id="other value"),
        pytest.param([trade(1)], id="fewer rows"),
        pytest.param([trade(2), trade(1)], id="another order"),
        pytest.param([trade(1), trade(2), trade(2)], id="more rows"),
        pytest.param([trade(1), trade(2, trade_id="1")], id="an id"),
    ],
)
def test_a_request_key_with_another_batch_is_refused(store, other):
    store.append(batch(trade(1), trade(2), request_key="k"))
    with pytest.raises(RequestKeyReused):
        store.append(batch(*other, request_key="k"))
    assert stored(store) == [trade(1), trade(2)]


def test_request_key_with_rows_in_another_order_of_dates_is_refused(store):
    store.append(batch(trade(0), trade(DAY), request_key="k"))
    with pytest.raises(RequestKeyReused):
        store.append(batch(trade(DAY), trade(0), request_key="k"))
    assert store.append(batch(trade(DAY), trade(0), dedupe=Dedupe.NONE)).stored == 2


@pytest.mark.parametrize(
    ("term", "fact", "value", "other"),
    [
        ("complete_until", "complete_until_ns", NOON + 9, NOON + 10),
        ("fill", "fill", fill_of(0, DAY), fill_of(0, DAY, "another")),
    ],
    ids=["complete_until", "fill"],
)
def test_a_term_of_a_batch_is_told_with_its_commit_and_belongs_to_its_key(
    store, term: str, fact, value, other
):
    called = []
    store.committed.append(lambda dataset, symbol, commit: called.append(commit.number))
    given = batch(trade(5), request_key="k", **{term: value})
    first, again = store.append(given), store.append(given)
    assert (again.replayed, again.commit) == (True, first.commit)
    changed: Any
    for changed in (None, other):
        with pytest.raises(RequestKeyReused):
            store.append(batch(trade(5), request_key="k", **{term: changed}))
    store.append(batch(trade(6)))
    store.append(batch(**{term: other}))
    records = [piece for piece in walk(store) if isinstance(piece, CommitRecord)]
    assert [getattr(record.facts, fact) for record in records] == [value, None, other]
    assert called == [1, 2, 3]


def test_a_request_key_belongs_to_its_caller_and_its_symbol(store):
    store.append(batch(trade(1), request_key="k"))
    other_caller = store.append(batch(trade(2), request_key="k", caller="key:2"))
    other_symbol = store.append(batch(trade(3), request_key="k", symbol="MSFT"))
    assert (other_caller.stored, other_caller.replayed) == (1, False)
    assert (other_symbol.stored, other_symbol.replayed) == (1, False)


def test_refused_batch_does_not_use_its_request_key(store):
    store.append(batch(trade(1, trade_id="a")))
    with pytest.raises(IdConflict):
        store.append(batch(trade(1, 2.0, trade_id="a"), request_key="k"))
    assert not store.append(batch(trade(2, trade_id="b"), request_key="k")).replayed


def test_duplicates_with_a_request_key_are_a_commit_without_rows(store):
    first = store.append(batch(trade(1)))
    keyed = store.append(batch(trade(1), request_key="k"))
    assert (keyed.stored, keyed.duplicate_rows, keyed.commit.number) == (0, (0,), 2)
    assert store.append(batch(trade(1), request_key="k")).replayed
    assert trades_of(store).at().version(ALL_TIME) == first.commit


def test_duplicates_without_a_request_key_are_no_commit_and_name_the_head(store):
    store.append(batch(trade(1)))
    head = store.append(batch(trade(2))).commit
    assert store.append(batch(trade(1))).commit == head
    assert trades_of(store).head == head


def test_commit_as_of_is_the_newest_commit_made_by_an_instant(store, clock):
    for number in (1, 2, 3):
        clock.now = NOON + 10 * number
        store.append(batch(trade(number)))
    asked = {NOON: 0, NOON + 10: 1, NOON + 19: 1, NOON + 20: 2, NOON + 30: 3, NOON + DAY: 3}
    assert {at: trades_of(store).as_of(at).commit.number for at in asked} == asked
    assert [trades_of(store).committed_at(number) - NOON for number in (1, 2, 3)] == [10, 20, 30]


def test_a_clock_that_is_set_back_does_not_reorder_commits(store, clock):
    for number, now in enumerate((NOON, NOON - MINUTE, NOON - MINUTE + 1, NOON), start=1):
        clock.now = now
        store.append(batch(trade(number)))
    assert [trades_of(store).as_of(NOON + late).commit.number for late in range(-1, 5)] == [0, 1, 2, 3, 4, 4]


def test_a_batch_over_several_dates_is_one_commit(store):
    rows = [trade(2 * DAY), trade(0), trade(DAY), trade(1)]
    assert store.append(batch(*rows)).stored == 4
    assert trades_of(store).head.number == 1
    assert stored(store) == [rows[1], rows[3], rows[2], rows[0]]
    assert stored(store, Window(NOON + DAY, NOON + DAY + 1)) == [rows[2]]
