"""Quote bars as they were known when they ended, in every store."""

import numpy as np
import pytest

from store.bar_policies import EVERY_PRINT
from store.datasets import QUOTES
from store.instruments import Instrument
from store.log_views.bar_grid import plain_grid
from store.log_views.known_bars import KnownLog
from store.log_views.known_quotes import known_quote_bars_by_exchange, windowed_known_quote_bars
from store.log_views.log_view import LogView, view_of
from store.market_store import MarketStore
from store.protocol import Action, Amendment, Correction, Window
from tests.store.builders import DAY, MINUTE, NOON, SECOND, SYMBOL, Clock
from tests.store.known_history import HOUR
from tests.store.quotes import quote, quote_log

WINDOW = Window(NOON, NOON + 2 * MINUTE)


@pytest.fixture
def moved(store: MarketStore, clock: Clock) -> LogView:
    """A quote of Q and, a minute later, one of N, of which a correction said hours later that the first was of N, too."""
    clock.now = NOON + MINUTE + SECOND
    quote_log(store, quote(SECOND, bid=1.0, exchange="Q"), quote(MINUTE, ask=2.0, exchange="N"))
    clock.now = NOON + 3 * HOUR
    correction = Correction(Action.CORRECT, NOON + SECOND, new={"exchange": "N"})
    store.correct(Amendment(QUOTES, SYMBOL, (correction,), "key:1"))
    return view_of(store.log(QUOTES, SYMBOL).at())


def test_a_quote_that_got_another_exchange_later_was_not_its_quote_then(moved: LogView):
    log = KnownLog(moved, plain_grid(MINUTE, Instrument("ACME")), EVERY_PRINT, MINUTE)
    by_exchange = dict(known_quote_bars_by_exchange(log, WINDOW))
    assert by_exchange["N"].time_ns.tolist() == [NOON + MINUTE]
    assert by_exchange["Q"].bid_close.tolist() == [1.0]
    later = windowed_known_quote_bars(log, Window(NOON + MINUTE, NOON + 2 * MINUTE), "N")
    assert (later.ask_close.tolist(), np.isnan(later.bid_open).tolist()) == ([2.0], [True])


def test_each_exchange_opens_at_its_own_quote_before_the_window(store: MarketStore, clock: Clock):
    clock.now = NOON + MINUTE
    names = [None, *(f"X{number}" for number in range(9))]
    earlier = [quote(-DAY + at, bid=1.0 + at, ask=20.0, exchange=name) for at, name in enumerate(names[:-1])]
    view = quote_log(store, *earlier, *(quote(SECOND, bid=30.0, exchange=name) for name in names))
    log = KnownLog(view, plain_grid(MINUTE, Instrument("ACME")), EVERY_PRINT, MINUTE)
    found = dict(known_quote_bars_by_exchange(log, WINDOW))
    assert list(found) == names
    opens = [found[name].bid_open.tolist() for name in names]
    assert opens == [*([1.0 + at] for at in range(9)), [30.0]]
    assert dict(known_quote_bars_by_exchange(log, Window(NOON + MINUTE, NOON + 2 * MINUTE))) == {}
    assert len(windowed_known_quote_bars(log, Window(NOON + MINUTE, NOON + 2 * MINUTE), "X1")) == 0
