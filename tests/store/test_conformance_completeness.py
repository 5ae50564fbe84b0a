"""How far a log is known to be complete, in every store."""

import pytest

from store.datasets import TRADES
from store.log_views.log_view import view_of
from store.protocol import ALL_TIME, NO_COMMIT, Action, Amendment, Completeness, Correction, Window
from tests.store.builders import DAY, NOON, SECOND, SYMBOL, batch, stored, trade, trades_of

NOTHING = ALL_TIME.start_ns


@pytest.fixture(autouse=True)
def after_the_rows(clock) -> None:
    clock.now = NOON + DAY


def completeness(store, commit=None):
    found = trades_of(store).at(commit).completeness()
    return found.newest_ns, found.complete_until_ns


def test_newest_event_time_grows_and_never_falls(store):
    store.append(batch(trade(5), trade(9)))
    store.append(batch(trade(7)))
    store.append(batch(trade(DAY)))
    assert [completeness(store, number) for number in (1, 2, 3)] == [
        (NOON + 9, NOTHING),
        (NOON + 9, NOTHING),
        (NOON + DAY, NOTHING),
    ]
    assert trades_of(store).at(0).completeness() == Completeness(NOTHING, NOTHING)


@pytest.mark.parametrize("ahead_ns", [1, SECOND, 50 * DAY])
def test_a_row_that_is_dated_ahead_counts_as_one_of_its_commits_instant(store, clock, ahead_ns):
    clock.now = NOON
    store.append(batch(trade(NOON + ahead_ns)))
    assert completeness(store) == (NOON, NOTHING)
    assert view_of(trades_of(store).at()).last_event_ns() == NOON + ahead_ns
    clock.now = NOON + 9
    store.append(batch(trade(3)))
    assert completeness(store) == (NOON + 3, NOTHING)
    assert view_of(trades_of(store).at()).last_event_ns() == NOON + max(ahead_ns, 3)


def test_a_cancelled_row_still_shows_how_far_the_feed_was(store):
    store.append(batch(trade(5), trade(9, 2.0)))
    cancel = Correction(Action.CANCEL, NOON + 9, {"price": 2.0, "volume": 1.0})
    store.correct(Amendment(TRADES, SYMBOL, (cancel,), "key:1"))
    assert completeness(store) == (NOON + 9, NOTHING)


def test_a_declaration_with_rows_is_part_of_their_commit(store):
    receipt = store.append(batch(trade(5), complete_until=NOON + SECOND))
    assert (receipt.stored, receipt.commit.number) == (1, 1)
    assert completeness(store) == (NOON + 5, NOON + SECOND)


def test_a_declaration_without_rows_is_a_commit_of_its_own(store):
    store.append(batch(trade(5)))
    receipt = store.append(batch(complete_until=NOON + SECOND))
    assert (receipt.received, receipt.stored, receipt.commit.number) == (0, 0, 2)
    assert [completeness(store, number) for number in (1, 2)] == [
        (NOON + 5, NOTHING),
        (NOON + 5, NOON + SECOND),
    ]
    assert stored(store) == [trade(5)]
    assert trades_of(store).at().version(Window(NOON, NOON + DAY)).number == 1


def test_a_log_may_begin_with_a_declaration(store):
    assert store.append(batch(complete_until=NOON)).commit.number == 1
    assert completeness(store) == (NOTHING, NOON)
    assert stored(store) == []
    assert trades_of(store).at().version(ALL_TIME) == NO_COMMIT
    store.append(batch(trade(1)))
    assert stored(store) == [trade(1)]


def test_an_earlier_declaration_changes_nothing(store):
    store.append(batch(trade(5), complete_until=NOON + SECOND))
    assert store.append(batch(complete_until=NOON)).commit.number == 1
    assert store.append(batch(trade(5), complete_until=NOON + SECOND)).commit.number == 1
    receipt = store.append(batch(trade(5), complete_until=NOON + SECOND + 1))
    assert (receipt.duplicates, receipt.commit.number) == (1, 2)


def test_a_repeated_batch_may_declare_more(store):
    store.append(batch(trade(5)))
    receipt = store.append(batch(complete_until=NOON + SECOND))
    assert receipt.commit.number == 2


def test_a_batch_needs_rows_or_a_declaration():
    with pytest.raises(ValueError, match="needs a row"):
        batch()
