"""Every store checks and counts its logs."""

import pytest

from store.datasets import BARS, TRADES
from store.exceptions import UnknownSymbol
from store.market_store import MarketStore
from tests.store.builders import DAY, NOON, SYMBOL, amendment, batch, cancel, trade


def test_a_log_is_checked_and_counted(store: MarketStore):
    store.append(batch(trade(1), trade(DAY), trade(5)))
    store.append(batch(trade(-7), request_key="k"))
    store.correct(amendment(cancel(5, price=100.0)))
    check = store.check(TRADES, SYMBOL)
    assert list(check.findings()) == []
    assert (check.checked.commits, check.checked.rows) == (3, 4)
    counts = store.statistics(TRADES, SYMBOL)
    assert (counts.commits, counts.rows) == (3, 4)
    assert (counts.first_ns, counts.last_ns) == (NOON - 7, NOON + DAY)


def test_a_log_without_rows_has_no_times(store: MarketStore):
    store.append(batch(complete_until=NOON))
    counts = store.statistics(TRADES, SYMBOL)
    assert (counts.commits, counts.rows, counts.first_ns, counts.last_ns) == (1, 0, None, None)


def test_what_was_never_stored_cannot_be_checked(store: MarketStore):
    for ask in (store.check, store.statistics):
        with pytest.raises(UnknownSymbol):
            ask(BARS, SYMBOL)
