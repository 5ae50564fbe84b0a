"""What a feed's batch does to rows that a fill stored, in every store; `test_fill_oracle` plays any course of them."""

from store.datasets import BARS, TRADES, UNIVERSE_CHANGES
from store.protocol import ALL_TIME, Dedupe, Fill, Superseded, Window
from store.walk import BEGINNING, CommitRecord, CommittedCorrections, CommittedRows
from tests.store.builders import (
    DAY,
    MINUTE,
    NOON,
    SYMBOL,
    amendment,
    append_of,
    bar,
    batch,
    cancel,
    correct,
    fill_of,
    stored,
    trade,
)

FILL = fill_of(0, 2 * DAY)


def filled(store, *rows, fill=FILL):
    return store.append(batch(*rows, fill=fill))


def prices(store, commit=None):
    return [row["price"] for row in stored(store, commit=commit)]


def test_rows_of_the_fill_from_the_first_to_the_last_of_the_feed_are_replaced(store):
    filled(store, trade(0, 1.0), trade(1, 2.0), trade(2, 3.0), trade(3, 4.0), trade(9, 5.0))
    receipt = store.append(batch(trade(1, 2.0), trade(2, 30.0), trade(3, 4.0)))
    assert (receipt.received, receipt.stored, receipt.duplicate_rows) == (3, 3, ())
    assert (receipt.superseded, receipt.commit.number) == (3, 2)
    assert prices(store) == [1.0, 2.0, 30.0, 4.0, 5.0]
    assert prices(store, commit=1) == [1.0, 2.0, 3.0, 4.0, 5.0]
    again = store.append(batch(trade(1, 2.0), trade(2, 30.0), trade(3, 4.0)))
    assert (again.stored, again.superseded, again.commit.number) == (0, None, 2)


def test_a_feed_without_duplicates_replaces_all_rows_of_the_fill(store):
    filled(store, trade(0, 1.0), trade(1, 2.0), trade(2, 3.0), trade(9, 4.0))
    rows = batch(trade(0, 1.0), trade(2, 3.0), dedupe=Dedupe.NONE)
    receipt = store.append(rows)
    assert (receipt.stored, receipt.superseded) == (2, 3)
    assert prices(store) == [1.0, 3.0, 4.0]
    assert store.append(rows).superseded is None


def test_a_corrected_row_of_a_fill_is_cancelled_with_its_new_values(store):
    filled(store, trade(1, 1.0), trade(2, 2.0))
    store.correct(amendment(correct(1, price=1.0, volume=1.0, new={"price": 7.0})))
    store.append(batch(trade(0, 3.0), trade(2, 2.0)))
    assert prices(store) == [3.0, 2.0]
    (corrections,) = [
        p for p in store.log(TRADES, SYMBOL).commits(BEGINNING) if isinstance(p, CommittedCorrections)
    ][1:]
    assert [each.before["price"] for each in corrections.corrections] == [7.0, 2.0]
    assert store.append(batch(trade(1, 1.0), trade(1, 7.0))).stored == 2


def test_a_cancelled_row_of_a_fill_is_stored_again_by_the_feed_and_by_a_fill(store):
    filled(store, trade(1, 1.0), trade(2, 2.0))
    for price in (1.0, 2.0):
        store.correct(amendment(cancel(int(price), price=price, volume=1.0)))
    assert store.append(batch(trade(1, 1.0))).stored == 1
    assert filled(store, trade(1, 1.0), trade(2, 2.0)).stored == 1
    assert prices(store) == [1.0, 2.0]


def test_rows_come_before_cancels_in_a_walk(store):
    filled(store, trade(1, 1.0), trade(DAY, 2.0))
    store.append(batch(trade(0, 3.0), trade(DAY, 4.0), trade(DAY + 1, 5.0)))
    pieces = list(store.log(TRADES, SYMBOL).commits(BEGINNING))
    record = [piece for piece in pieces if isinstance(piece, CommitRecord)][1]
    assert record.facts.superseded == (Superseded(NOON, NOON + DAY + 1),)
    assert (record.length, record.receipt.stored) == (5, 3)
    own = [piece for piece in pieces if not isinstance(piece, CommitRecord) and piece.commit == record.id]
    kinds = [CommittedRows if isinstance(piece, CommittedRows) else CommittedCorrections for piece in own]
    assert kinds == sorted(kinds, key=lambda kind: kind is CommittedCorrections)
    cancels = [each for piece in own if isinstance(piece, CommittedCorrections) for each in piece.corrections]
    assert [(each.target_commit, each.target_ordinal, each.after) for each in cancels] == [
        (1, 0, None),
        (1, 1, None),
    ]
    assert own[-1].position.ordinal == 5


def test_a_key_replays_what_was_superseded(store):
    filled(store, trade(1, 1.0))
    first = store.append(batch(trade(0, 3.0), trade(2, 4.0), request_key="k"))
    again = store.append(batch(trade(0, 3.0), trade(2, 4.0), request_key="k"))
    assert (again.replayed, again.stored, again.superseded) == (True, first.stored, 1)


def test_a_batch_that_only_cancels_rows_of_a_fill_is_a_commit(store):
    rows = batch(trade(0, 1.0), trade(2, 3.0))
    store.append(rows)
    filled(store, trade(1, 2.0))
    called = []
    store.committed.append(lambda dataset, symbol, commit: called.append(commit.number))
    receipt = store.append(rows)
    assert (receipt.stored, receipt.duplicates, receipt.superseded, receipt.commit.number) == (0, 2, 1, 3)
    store.append(rows)
    assert called == [3]


def test_bars_are_superseded_within_their_resolution(store):
    window = Fill(Window(NOON, NOON + DAY), "other")
    rows = [bar(n, 1.0) for n in range(4)] + [bar(0, 2.0, "5m"), bar(5, 2.0, "5m")]
    store.append(append_of(BARS, *rows, fill=window))
    receipt = store.append(append_of(BARS, bar(0, 1.0), bar(2, 3.0), bar(5, 2.0, "5m")))
    assert (receipt.stored, receipt.duplicates, receipt.superseded) == (3, 0, 4)
    found = store.log(BARS, SYMBOL).at().rows(ALL_TIME).to_pylist()
    assert [(row["timestamp"] - NOON, row["resolution"], row["close"]) for row in found] == [
        (0, "5m", 2.0),
        (0, "1m", 1.0),
        (2 * MINUTE, "1m", 3.0),
        (3 * MINUTE, "1m", 1.0),
        (5 * MINUTE, "5m", 2.0),
    ]


def test_a_bar_of_the_feed_replaces_that_of_a_fill_with_other_values(store):
    store.append(append_of(BARS, bar(0, 1.0), fill=Fill(Window(NOON, NOON + DAY), "other")))
    receipt = store.append(append_of(BARS, bar(0, 1.0, vwap=1.0)))
    assert (receipt.stored, receipt.superseded) == (1, 1)
    assert [row["vwap"] for row in store.log(BARS, SYMBOL).at().rows(ALL_TIME).to_pylist()] == [1.0]


def test_rows_with_an_action_of_their_own_are_cancelled(store):
    def append(action: str, fill: Fill | None = None) -> int:
        row = {"timestamp": 0, "member": "A", "action": action}
        return int(store.append(append_of(UNIVERSE_CHANGES, row, symbol="SPX", fill=fill)).stored)

    assert append("add", Fill(Window(0, DAY), "vendor")) == append("remove") == 1
    log = store.log(UNIVERSE_CHANGES, "SPX")
    assert [row["action"] for row in log.at().rows(ALL_TIME).to_pylist()] == ["remove"]
    *_, last = log.commits(BEGINNING)
    assert isinstance(last, CommittedCorrections)
    assert last.corrections[0].before == {"timestamp": 0, "member": "A", "action": "add"}
