"""A walk over commits, in every store."""

import logging
import threading
from typing import Any

import pytest

from store.datasets import QUOTES, TRADES
from store.exceptions import IdConflict, UnknownSymbol
from store.instruments import Instrument
from store.protocol import ALL_TIME, NO_COMMIT, Action, CommitId, hash_of_key
from store.walk import (
    BEGINNING,
    CommitRecord,
    CommittedCorrection,
    CommittedCorrections,
    CommittedRows,
    LogPosition,
    Resync,
)
from tests.front.front_server import eventually
from tests.store.builders import DAY, NOON, SECOND, SYMBOL, amendment, batch, cancel, correct, stored, trade
from tests.store.walking import flat, walk


def named(row: dict[str, Any]) -> dict[str, Any]:
    return {"price": row["price"], "volume": row["volume"]}


def fill(store) -> None:
    """Rows of two dates, corrected twice in one commit and once more, a commit without rows, more rows."""
    first = [trade(DAY, 1.0), trade(2, 2.0), trade(1, 3.0), trade(DAY + 1, 4.0)]
    store.append(batch(*first, caller="key:7"))
    store.append(batch(trade(5, 5.0), trade(6, 6.0)))
    fix, again = {"price": 20.0}, {"volume": 7.0}
    store.correct(
        amendment(
            cancel(DAY, **named(first[0])),
            correct(2, **named(first[1]), new=fix),
            correct(2, price=20.0, volume=1.0, new=again),
            request_key="k",
        )
    )
    store.append(batch(trade(5, 5.0), request_key="all were there"))
    store.correct(amendment(cancel(2, price=20.0, volume=7.0), cancel(6, price=6.0, volume=1.0)))
    store.append(batch(trade(9, 9.0)))


def flat_rows(store) -> list[Any]:
    return flat(piece for piece in walk(store) if isinstance(piece, CommittedRows))


def test_records_are_those_of_the_walk(store):
    fill(store)
    log = store.log(TRADES, SYMBOL)
    expected = [piece for piece in walk(store) if isinstance(piece, CommitRecord)]
    assert len(expected) == 6
    assert log.records(NO_COMMIT, 100) == expected
    assert log.records(NO_COMMIT, 2) == expected[:2]
    assert log.records(expected[1].id, 3) == expected[2:5]
    assert log.records(expected[-1].id, 3) == []


def test_records_of_a_log_without_the_commit_are_refused(store):
    with pytest.raises(UnknownSymbol):
        store.log(TRADES, SYMBOL).records(NO_COMMIT, 1)
    fill(store)
    for commit in (CommitId(2, "0" * 64), CommitId(9, "0" * 64)):
        with pytest.raises(Resync):
            store.log(TRADES, SYMBOL).records(commit, 1)


def test_commit_yields_its_record_then_rows_by_date(store, clock):
    receipt = store.append(
        batch(trade(DAY, 1.0), trade(2, 2.0), trade(1, 3.0), caller="key:7", request_key="k")
    )
    record, *pieces = walk(store)
    assert isinstance(record, CommitRecord)
    assert (record.id, record.committed_at, record.facts.caller) == (receipt.commit, clock.now, "key:7")
    assert (record.facts.key_hash, record.receipt) == (hash_of_key("k"), receipt)
    assert len(record.facts.digest) == 64
    assert all(isinstance(piece, CommittedRows) for piece in pieces)
    rows = [(receipt.commit, 0, trade(2, 2.0)), (receipt.commit, 1, trade(1, 3.0))]
    assert flat(pieces) == [*rows, (receipt.commit, 2, trade(DAY, 1.0))]


def test_the_same_facts_have_the_same_hash_in_every_store(store):
    fill(store)
    store.append(batch(trade(20), complete_until=NOON + SECOND))
    assert store.log(TRADES, SYMBOL).at(1).commit.token == "1-8b4b8f"
    assert store.log(TRADES, SYMBOL).head.token == "7-6463f2"


def test_a_commit_without_rows_is_its_record(store):
    store.append(batch(trade(1)))
    receipt = store.append(batch(trade(1), request_key="again"))
    (record,) = walk(store, LogPosition(store.log(TRADES, SYMBOL).at(1).commit))
    assert isinstance(record, CommitRecord)
    assert record.receipt == receipt
    assert (receipt.received, receipt.stored, receipt.duplicate_rows) == (1, 0, (0,))


def test_a_correction_names_its_row_and_has_the_values_before_and_after(store):
    fill(store)
    pieces = [piece for piece in walk(store) if isinstance(piece, CommittedCorrections)]
    assert [piece.commit.number for piece in pieces for _ in piece.corrections] == [3, 3, 3, 5, 5]
    found = [each for piece in pieces for each in piece.corrections]
    fixed, again = trade(2, 20.0), trade(2, 20.0, 7.0)
    assert found == [
        CommittedCorrection(Action.CORRECT, 1, 0, 0, trade(2, 2.0), fixed),
        CommittedCorrection(Action.CORRECT, 1, 0, 0, fixed, again),
        CommittedCorrection(Action.CANCEL, 1, 2, 2, trade(DAY, 1.0), None),
        CommittedCorrection(Action.CANCEL, 1, 0, 0, again, None),
        CommittedCorrection(Action.CANCEL, 2, 1, 5, trade(6, 6.0), None),
    ]


def test_the_origin_of_every_version_of_a_row_is_its_place_in_the_walk(store):
    fill(store)
    placed = {(commit, ordinal): row for commit, ordinal, row in flat_rows(store)}
    versions = store.log(TRADES, SYMBOL).at().versions(ALL_TIME).select(["timestamp", "arrival"]).to_pylist()
    found = [
        (
            each,
            store.log(TRADES, SYMBOL)
            .at()
            .row_origin(timestamp_ns=each["timestamp"], arrival=each["arrival"]),
        )
        for each in versions
    ]
    assert {place for _, place in found} == placed.keys()
    assert all(placed[place]["timestamp"] == version["timestamp"] for version, place in found)
    arrivals = sorted((version["arrival"], place[0].number, place[1]) for version, place in found)
    assert [place[1:] for place in arrivals] == sorted(place[1:] for place in arrivals)


def test_rows_that_were_duplicates_have_no_ordinal(store):
    store.append(batch(trade(1, 1.0), trade(2, 2.0)))
    commit = store.append(batch(trade(1, 1.0), trade(3, 3.0), trade(2, 2.0), trade(4, 4.0))).commit
    assert flat(walk(store))[-2:] == [(commit, 0, trade(3, 3.0)), (commit, 1, trade(4, 4.0))]


def test_commits_continue_after_any_position(store):
    fill(store)
    whole = flat(walk(store))
    assert [each.id.number for each in whole if isinstance(each, CommitRecord)] == [1, 2, 3, 4, 5, 6]
    for taken, each in enumerate(whole):
        place = each.position if isinstance(each, CommitRecord) else LogPosition(each[0], each[1] + 1)
        assert flat(walk(store, place)) == whole[taken + 1 :]
    for piece in walk(store):
        assert flat([*walk_up_to(store, piece.position), *walk(store, piece.position)]) == whole


def walk_up_to(store, place: LogPosition):
    pieces = walk(store)
    return pieces[: [piece.position for piece in pieces].index(place) + 1]


def test_positions_of_a_whole_commit_and_of_the_beginning(store):
    fill(store)
    whole = flat(walk(store))
    third = store.log(TRADES, SYMBOL).at(3).commit
    behind = [each for each in whole if (each.id if isinstance(each, CommitRecord) else each[0]).number > 3]
    assert flat(walk(store, LogPosition(third))) == flat(walk(store, LogPosition(third, 3))) == behind
    assert flat(walk(store, LogPosition(NO_COMMIT, 0))) == whole
    assert walk(store, LogPosition(store.log(TRADES, SYMBOL).head)) == []


@pytest.mark.parametrize("upto", [0, 1, 3, 5])
def test_upto_ends_the_commits(store, upto: int):
    fill(store)
    pieces = walk(store, upto=upto)
    assert [each.id.number for each in pieces if isinstance(each, CommitRecord)] == [*range(1, upto + 1)]
    place = LogPosition(store.log(TRADES, SYMBOL).at(1).commit, 1)
    after = place.commit.number
    of = [piece for piece in walk(store, place, upto) if isinstance(piece, CommitRecord)]
    assert [each.id.number for each in of] == [*range(after + 1, upto + 1)]


def test_commits_end_with_the_newest_at_the_call(store):
    store.append(batch(trade(1)))
    begun = store.log(TRADES, SYMBOL).commits(BEGINNING, 99)
    store.append(batch(trade(2)))
    assert [piece.id.number for piece in begun if isinstance(piece, CommitRecord)] == [1]


@pytest.mark.parametrize("place", [LogPosition(CommitId(1, "f" * 64)), LogPosition(CommitId(9, "0" * 64), 0)])
def test_unknown_position_raises_resync(store, place: LogPosition):
    head = store.append(batch(trade(1))).commit
    with pytest.raises(Resync, match=f"{SYMBOL} was restored and is at commit {head.token} now") as caught:
        store.log(TRADES, SYMBOL).commits(place)
    assert (caught.value.symbol, caught.value.head) == (SYMBOL, head)


def test_commits_of_an_unknown_log(store):
    store.append(batch(trade(1), symbol="OTHER"))
    with pytest.raises(UnknownSymbol):
        store.log(TRADES, SYMBOL).commits(BEGINNING)
    with pytest.raises(Resync) as caught:
        store.log(TRADES, SYMBOL).commits(LogPosition(CommitId(1, "f" * 64)))
    assert caught.value.head == NO_COMMIT


def test_each_dataset_has_its_own_log(store):
    fill(store)
    with pytest.raises(UnknownSymbol):
        store.log(QUOTES, SYMBOL).commits(BEGINNING)


def test_heads_change_only_with_commits(store):
    assert store.heads(TRADES) == {}
    store.append(batch(trade(1)))
    store.append(batch(trade(1), symbol="MSFT"))
    before = store.heads(TRADES)
    assert set(before) == {SYMBOL, "MSFT"}
    store.append(batch(trade(1)))  # a duplicate
    stored(store)
    assert store.heads(TRADES) == before
    store.correct(amendment(cancel(1, price=100.0, volume=1.0)))
    after = store.heads(TRADES)
    assert {symbol for symbol in after if after[symbol] != before[symbol]} == {SYMBOL}
    assert store.heads(TRADES, ["MSFT", "NOBODY"]) == {"MSFT": before["MSFT"]}
    assert store.heads(QUOTES) == {}


def test_hooks_are_called_after_each_commit_once_it_is_visible(store):
    called: list[tuple[str, str, CommitId, CommitId]] = []
    store.committed.append(
        lambda dataset, symbol, commit: called.append(
            (dataset.name, symbol, commit, store.log(dataset, symbol).head)
        )
    )
    receipts = [
        store.append(batch(trade(1, trade_id="a"))),
        store.correct(amendment(correct(1, trade_id="a", new={"price": 2.0}))),
        store.append(batch(trade(1, trade_id="a"), request_key="no rows, and a commit")),
    ]
    store.append(batch(trade(1, trade_id="a")))
    store.append(batch(trade(1, trade_id="a"), request_key="no rows, and a commit"))
    with pytest.raises(IdConflict):
        store.append(batch(trade(1, 77.0, trade_id="a")))
    commits = [receipt.commit for receipt in receipts]
    assert called == [("trades", SYMBOL, commit, commit) for commit in commits]


def test_a_hook_that_fails_is_logged_and_the_others_are_called(store, caplog):
    called: list[int] = []

    def fail(*_: Any) -> None:
        raise RuntimeError("the bell is broken")

    store.committed += [fail, lambda _dataset, _symbol, commit: called.append(commit.number)]
    with caplog.at_level(logging.ERROR):
        assert store.append(batch(trade(1))).commit.number == 1
    assert called == [1]
    assert "the bell is broken" in caplog.text


def test_a_hook_may_write_to_the_same_log(store):
    """No lock is held while it is called."""
    threads: list[int] = []

    def write(_dataset: Any, _symbol: str, commit: CommitId) -> None:
        threads.append(threading.get_ident())
        if commit.number < 3:
            store.append(batch(trade(commit.number * SECOND)))

    store.committed.append(write)
    store.append(batch(trade(0)))
    assert [row["timestamp"] for row in stored(store)] == [NOON, NOON + SECOND, NOON + 2 * SECOND]
    assert threads == [threading.get_ident()] * 3


def test_a_change_stamp_changes_with_commits_and_declarations(store):
    store.append(batch(trade(1)))
    stamp = store.change_stamp([(TRADES, SYMBOL), (TRADES, "NEW"), (QUOTES, SYMBOL)])
    other = store.change_stamp([(QUOTES, "NOBODY")])
    # A store of several hosts has no stamps before it has heard from PostgreSQL.
    assert eventually(lambda: stamp() == stamp())
    stamps, others = [stamp()], other()
    store.append(batch(trade(1)))  # a duplicate
    store.append(batch(trade(1), symbol="MSFT"))
    assert stamp() == stamps[0]
    store.append(batch(trade(2)))
    stamps.append(stamp())
    store.correct(amendment(cancel(1, price=100.0, volume=1.0)))
    stamps.append(stamp())
    store.append(batch(trade(1), symbol="NEW"))
    stamps.append(stamp())
    assert other() == others
    store.set_instrument(Instrument(SYMBOL, exchange="XNAS"))
    stamps.append(stamp())
    assert len(set(stamps)) == len(stamps)
    assert other() != others
