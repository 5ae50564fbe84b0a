"""Batches of a secondary source that fill a window, in every store."""

import pytest

from store.exceptions import UnknownSymbol
from store.protocol import ALL_TIME, NO_COMMIT, Fill, Window
from tests.store.builders import MINUTE, NOON, SECOND, batch, fill_of, stored, trade, trades_of

FILL = fill_of(0, MINUTE)


def fills(store, window=ALL_TIME, commit=None):
    return trades_of(store).at(commit).fills(window)


def test_a_fill_stores_its_rows_and_is_told_with_its_commit(store):
    store.append(batch(trade(-5)))
    receipt = store.append(batch(trade(1), trade(2), fill=FILL))
    assert (receipt.stored, receipt.commit.number) == (2, 2)
    assert stored(store) == [trade(-5), trade(1), trade(2)]
    assert fills(store) == [(2, FILL)]


@pytest.mark.parametrize("rows", [[], [trade(1)]], ids=["without rows", "with rows that are stored"])
def test_a_fill_without_new_rows_is_a_commit(store, rows):
    store.append(batch(trade(1)))
    receipt = store.append(batch(*rows, fill=FILL))
    assert (receipt.stored, receipt.duplicates, receipt.commit.number) == (0, len(rows), 2)
    assert fills(store) == [(2, FILL)]
    assert stored(store) == [trade(1)]
    assert trades_of(store).at().version(ALL_TIME).number == 1


def test_a_log_may_begin_with_a_fill_without_rows(store):
    assert store.append(batch(fill=FILL)).commit.number == 1
    assert (fills(store), stored(store)) == ([(1, FILL)], [])
    assert trades_of(store).at().version(ALL_TIME) == NO_COMMIT


def test_fills_of_a_window_as_of_a_commit(store):
    others = [fill_of(MINUTE * n, MINUTE * (n + 1), f"source {n}") for n in range(5)]
    for each in others:
        store.append(batch(fill=each))
        store.append(batch(trade(each.window.start_ns)))
    window = Window(NOON + MINUTE, NOON + 3 * MINUTE)
    assert fills(store, window) == [(3, others[1]), (5, others[2])]
    assert fills(store, window, commit=4) == [(3, others[1])]
    assert fills(store, ALL_TIME, commit=0) == []


def test_fills_of_an_unknown_log_raise(store):
    with pytest.raises(UnknownSymbol):
        fills(store)


def test_a_fill_leaves_what_the_feed_declared(store):
    store.append(batch(trade(5), complete_until=NOON + SECOND))
    store.append(batch(trade(9), fill=FILL))
    assert trades_of(store).at().completeness().complete_until_ns == NOON + SECOND


@pytest.mark.parametrize("at", [-1, MINUTE])
def test_rows_outside_of_the_window_are_refused(at):
    with pytest.raises(ValueError, match="in its window"):
        batch(trade(1), trade(at), fill=FILL)


def test_only_the_feed_declares_completeness():
    with pytest.raises(ValueError, match="only the feed"):
        batch(trade(1), fill=FILL, complete_until=NOON)


@pytest.mark.parametrize(("window", "source"), [(Window(5, 5), "a"), (Window(5, 6), "")])
def test_a_fill_has_a_window_and_a_source(window, source):
    with pytest.raises(ValueError, match="needs a source"):
        Fill(window, source)


def test_rows_are_checked_in_any_order_of_time():
    assert batch(trade(MINUTE - 1), trade(0), fill=FILL).rows.num_rows == 2
