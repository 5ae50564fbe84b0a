"""Quote bars of a window open at the quote that stood before it, on whichever date; in every store."""

from typing import Any

import numpy as np
import pytest

from store.bars.quote_bars import QuoteBars, quote_bars_of
from store.instruments import Instrument
from store.log_views import log_view, quote_windows
from store.log_views.bar_grid import plain_grid
from store.log_views.log_view import LogView
from store.log_views.quote_windows import (
    DATES_LOOKED_BACK,
    carried_quotes,
    windowed_quote_bars,
)
from store.market_store import MarketStore
from store.protocol import ALL_TIME, Window
from tests.chance import SOAK
from tests.store.builders import DAY, MINUTE, NOON, SECOND
from tests.store.quotes import quote, quote_log

pytestmark = pytest.mark.system

FIRST_MINUTE = Window(NOON, NOON + MINUTE)
EXCHANGES = (None, "N", "Q")
GRID = plain_grid(MINUTE, Instrument("ACME"))


@pytest.fixture(params=[None, 1], ids=["all rows at once", "one at a time"])
def few(request: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few rows are read at a time."""
    if request.param is not None:
        monkeypatch.setattr(log_view, "ROWS_AT_ONCE", request.param)
        monkeypatch.setattr(log_view, "_FEW_ROWS", request.param)
        monkeypatch.setattr(quote_windows, "ROWS_AT_ONCE", request.param)


def assert_same(found: QuoteBars, expected: QuoteBars) -> None:
    for name in QuoteBars.__slots__:
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)


def test_sides_are_carried_in_from_different_dates(store, few):
    log = quote_log(
        store,
        quote(-3 * DAY, bid=10.0),
        quote(-DAY, ask=12.0),
        quote(5 * SECOND, bid=10.5),
        quote(DAY, bid=99.0),
    )
    bars = windowed_quote_bars(log, FIRST_MINUTE, GRID, None)
    assert (bars.bid_open.tolist(), bars.bid_close.tolist()) == ([10.0], [10.5])
    assert (bars.ask_open.tolist(), bars.ask_close.tolist()) == ([12.0], [12.0])
    assert carried_quotes(log, NOON, [None])[None].bid == 10.0
    assert carried_quotes(log, NOON + 5 * SECOND + 1, [None])[None].bid == 10.5


def test_exchanges_are_not_mixed(store):
    log = quote_log(
        store,
        quote(-DAY, bid=10.0, exchange="Q"),
        quote(-1, bid=20.0, exchange="N"),
        quote(1, ask=30.0, exchange="Q"),
    )
    bars = windowed_quote_bars(log, FIRST_MINUTE, GRID, "Q")
    assert (bars.bid_open.tolist(), bars.ask_open.tolist()) == ([10.0], [30.0])
    assert windowed_quote_bars(log, FIRST_MINUTE, GRID, None).bid_open.tolist() == [20.0]
    assert len(windowed_quote_bars(log, FIRST_MINUTE, GRID, "N")) == 0
    carried = carried_quotes(log, NOON, ["N", "Q"])
    assert (carried["N"].bid, carried["Q"].bid) == (20.0, 10.0)


def test_side_not_quoted_on_many_dates_is_unknown(store, few):
    log = quote_log(
        store,
        quote(-2 * DAY * DATES_LOOKED_BACK - 5, bid=9.0, exchange="Q"),
        quote(-2 * DAY * DATES_LOOKED_BACK, ask=12.0, exchange="Q"),
        *(quote(-2 * DAY * date, bid=11.0, exchange="N") for date in range(1, DATES_LOOKED_BACK)),
        quote(1, bid=10.0, exchange="Q"),
    )
    known = carried_quotes(log, NOON, ["Q"])["Q"]
    assert (known.bid, known.ask) == (9.0, 12.0)
    log = quote_log(store, quote(-DAY, bid=11.0, exchange="N"))
    assert np.isnan(carried_quotes(log, NOON, ["Q"])["Q"].ask)
    bars = windowed_quote_bars(log, FIRST_MINUTE, GRID, "Q")
    assert bars.bid_open.tolist() == [10.0]
    assert np.isnan(bars.ask_open).all()


def random_log(store: MarketStore, seed: int) -> LogView:
    rng = np.random.default_rng(seed)
    at = np.sort(rng.integers(0, 4 * DAY, 200))
    rows = [
        quote(
            int(time),
            bid=float(time % 97) if side < 2 else None,
            ask=float(time % 89) if side else None,
            exchange=EXCHANGES[venue],
        )
        for time, side, venue in zip(at, rng.integers(0, 3, 200), rng.integers(0, 3, 200), strict=True)
    ]
    quote_log(store, *rows[::2])
    return quote_log(store, *rows[1::2])


@pytest.mark.parametrize("seed", range(3 if SOAK else 1))
def test_bars_of_part_windows_equal_bars_of_the_whole(store, few, seed: int):
    log = random_log(store, seed)
    interval = 60 * MINUTE
    rows = log.rows(ALL_TIME)
    venues = rows.column("exchange").to_pylist()
    # None of them is all quotes as one stream.
    wholes = {
        name: quote_bars_of(rows.filter([name in {None, each} for each in venues]), interval)
        for name in EXCHANGES
    }
    for start in range(NOON, NOON + 4 * DAY, 9 * interval):
        window = Window(start, start + 9 * interval)
        for name, whole in wholes.items():
            assert_same(
                windowed_quote_bars(log, window, plain_grid(interval, Instrument("ACME")), name),
                cut(whole, window),
            )


def cut(bars: QuoteBars, window: Window) -> QuoteBars:
    return bars[slice(*np.searchsorted(bars.time_ns, [window.start_ns, window.end_ns]))]
