"""Quote bars of a window open at the quote that stood before it, on whichever date; in every store."""

from typing import Any

import numpy as np
import pytest

from store.bars.quote_bars import QuoteBars
from store.datasets import QUOTES
from store.instruments import Instrument
from store.log_views import log_view, quote_windows
from store.log_views.bar_grid import plain_grid
from store.log_views.log_view import LogView, view_of
from store.log_views.quote_windows import DATES_LOOKED_BACK, quote_bars_by_exchange, windowed_quote_bars
from store.market_store import MarketStore
from store.protocol import ALL_TIME, Action, Amendment, Correction, Window
from tests.chance import SOAK
from tests.store.builders import DAY, MINUTE, NOON, SECOND, SYMBOL, Clock, Row
from tests.store.known_history import HOUR
from tests.store.quotes import quote, quote_log

pytestmark = pytest.mark.system

FIRST_MINUTE, SECOND_MINUTE = Window(NOON, NOON + MINUTE), Window(NOON + MINUTE, NOON + 2 * MINUTE)
TWO_MINUTES = Window(NOON, NOON + 2 * MINUTE)
EXCHANGES = (None, "N", "Q")
GRID = plain_grid(MINUTE, Instrument("ACME"))


@pytest.fixture(params=[None, 1], ids=["all rows at once", "one at a time"])
def few(request: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few rows are read at a time."""
    if request.param is not None:
        monkeypatch.setattr(log_view, "ROWS_AT_ONCE", request.param)
        monkeypatch.setattr(log_view, "_FEW_ROWS", request.param)
        monkeypatch.setattr(quote_windows, "ROWS_AT_ONCE", request.param)


@pytest.mark.parametrize("settle_ns", [None, MINUTE])
def test_sides_are_carried_in_from_different_dates(store, few, settle_ns: int | None):
    log = quote_log(
        store,
        quote(-3 * DAY, bid=10.0),
        quote(-DAY, ask=12.0),
        quote(5 * SECOND, bid=10.5),
        quote(DAY, bid=99.0),
    )
    bars = windowed_quote_bars(log, FIRST_MINUTE, GRID, None, settle_ns)
    assert (bars.bid_open.tolist(), bars.bid_close.tolist()) == ([10.0], [10.5])
    assert (bars.ask_open.tolist(), bars.ask_close.tolist()) == ([12.0], [12.0])


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


@pytest.mark.parametrize(("older", "bid"), [(0, 9.0), (1, np.nan)])
def test_side_not_quoted_on_many_dates_is_unknown(store, few, older: int, bid: float):
    log = quote_log(
        store,
        quote(-2 * DAY * (DATES_LOOKED_BACK + older), bid=9.0, exchange="Q"),
        *(quote(-2 * DAY * date, bid=11.0, exchange="N") for date in range(1, DATES_LOOKED_BACK + older)),
        quote(1, ask=10.0, exchange="Q"),
    )
    bars = windowed_quote_bars(log, FIRST_MINUTE, GRID, "Q")
    assert bars.ask_open.tolist() == [10.0]
    np.testing.assert_array_equal(bars.bid_open, [bid])


@pytest.mark.parametrize("settle_ns", [None, 366 * DAY], ids=["now", "then"])
@pytest.mark.parametrize("seed", range(3 if SOAK else 1))
def test_bars_equal_bars_made_quote_by_quote(store, few, settle_ns: int | None, seed: int):
    log = random_log(store, seed)
    interval, rows = 60 * MINUTE, log.rows(ALL_TIME).to_pylist()
    grid = plain_grid(interval, Instrument("ACME"))
    for start in range(NOON, NOON + 4 * DAY, (9 if SOAK else 40) * interval):
        window = Window(start, start + 9 * interval)
        for name in EXCHANGES:
            own = [row for row in rows if name in {None, row["exchange"]}]  # None is all as one stream
            expected = slow_bars(own, interval, window)
            assert_same(windowed_quote_bars(log, window, grid, name, settle_ns), expected)
        for name, bars in quote_bars_by_exchange(log, window, grid, settle_ns):
            assert_same(bars, slow_bars([row for row in rows if row["exchange"] == name], interval, window))


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
        | {"ask_size": float(time % 7) if time % 3 else None}
        for time, side, venue in zip(at, rng.integers(0, 3, 200), rng.integers(0, 3, 200), strict=True)
    ]
    quote_log(store, *rows[::2])
    return quote_log(store, *rows[1::2])


def slow_bars(rows: list[Row], interval: int, window: Window) -> dict[int, dict[str, float]]:
    now: dict[str, tuple[float, float]] = dict.fromkeys(("bid", "ask"), (np.nan, np.nan))
    bars: dict[int, dict[str, float]] = {}
    seen: dict[tuple[int, str], list[float]] = {}
    for row in rows:
        time = row["timestamp"] // interval * interval
        bar = bars.setdefault(time, {"quote_count": 0})
        bar["quote_count"] += 1
        for side in now:
            values = seen.setdefault((time, side), [] if np.isnan(now[side][0]) else [now[side][0]])
            if row[side] is not None:
                size = row[f"{side}_size"]
                now[side] = (row[side], np.nan if size is None else size)
                values.append(row[side])
            said = values or [np.nan]
            bar |= {f"{side}_open": said[0], f"{side}_high": max(said), f"{side}_low": min(said)}
            bar |= {f"{side}_close": said[-1], f"{side}_size": now[side][1]}
    return {time: bar for time, bar in bars.items() if window.start_ns <= time < window.end_ns}


def assert_same(found: QuoteBars, expected: dict[int, dict[str, float]]) -> None:
    assert found.time_ns.tolist() == sorted(expected)
    for name in QuoteBars.__slots__[1:]:
        column = [expected[time][name] for time in sorted(expected)]
        np.testing.assert_array_equal(getattr(found, name), column, err_msg=name)


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
    by_exchange = dict(quote_bars_by_exchange(moved, TWO_MINUTES, GRID, MINUTE))
    assert by_exchange["N"].time_ns.tolist() == [NOON + MINUTE]
    assert by_exchange["Q"].bid_close.tolist() == [1.0]
    later = windowed_quote_bars(moved, SECOND_MINUTE, GRID, "N", MINUTE)
    assert (later.ask_close.tolist(), np.isnan(later.bid_open).tolist()) == ([2.0], [True])


@pytest.mark.parametrize("settle_ns", [None, MINUTE])
def test_each_exchange_opens_at_its_own_quote_before_the_window(
    store: MarketStore, clock: Clock, settle_ns: int | None
):
    clock.now = NOON + MINUTE
    names = [None, *(f"X{number}" for number in range(9))]
    earlier = [quote(-DAY + at, bid=1.0 + at, ask=20.0, exchange=name) for at, name in enumerate(names[:-1])]
    view = quote_log(store, *earlier, *(quote(SECOND, bid=30.0, exchange=name) for name in names))
    found = dict(quote_bars_by_exchange(view, TWO_MINUTES, GRID, settle_ns))
    assert list(found) == names
    opens = [found[name].bid_open.tolist() for name in names]
    assert opens == [*([1.0 + at] for at in range(9)), [30.0]]
    assert dict(quote_bars_by_exchange(view, SECOND_MINUTE, GRID, settle_ns)) == {}
    assert len(windowed_quote_bars(view, SECOND_MINUTE, GRID, "X1", settle_ns)) == 0
