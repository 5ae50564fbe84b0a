"""Quote bars of a window open at the quote that stood before it, on whichever date; in every store."""

from typing import Any

import numpy as np
import pytest

from store.bars.quote_bars import QuoteBars
from store.instruments import Instrument
from store.log_views import log_view
from store.log_views.bar_grid import plain_grid
from store.log_views.log_view import LogView
from store.log_views.quote_windows import DATES_LOOKED_BACK, quote_bars_by_exchange
from store.market_store import MarketStore
from store.protocol import ALL_TIME, Window
from tests.chance import SOAK
from tests.store.builders import DAY, MINUTE, NOON, SECOND, Row
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


def test_sides_are_carried_in_from_different_dates(store, few):
    log = quote_log(
        store,
        quote(-3 * DAY, bid=10.0),
        quote(-DAY, ask=12.0),
        quote(5 * SECOND, bid=10.5),
        quote(DAY, bid=99.0),
    )
    ((_, bars),) = quote_bars_by_exchange(log, FIRST_MINUTE, GRID)
    assert (bars.bid_open.tolist(), bars.bid_close.tolist()) == ([10.0], [10.5])
    assert (bars.ask_open.tolist(), bars.ask_close.tolist()) == ([12.0], [12.0])


def test_exchanges_are_not_mixed(store):
    log = quote_log(
        store,
        quote(-DAY, bid=10.0, exchange="Q"),
        quote(-1, bid=20.0, exchange="N"),
        quote(1, ask=30.0, exchange="Q"),
    )
    ((exchange, bars),) = quote_bars_by_exchange(log, FIRST_MINUTE, GRID)
    assert (exchange, bars.bid_open.tolist(), bars.ask_open.tolist()) == ("Q", [10.0], [30.0])


@pytest.mark.parametrize(("older", "bid"), [(0, 9.0), (1, np.nan)])
def test_side_not_quoted_on_many_dates_is_unknown(store, few, older: int, bid: float):
    log = quote_log(
        store,
        quote(-2 * DAY * (DATES_LOOKED_BACK + older), bid=9.0, exchange="Q"),
        *(quote(-2 * DAY * date, bid=11.0, exchange="N") for date in range(1, DATES_LOOKED_BACK + older)),
        quote(1, ask=10.0, exchange="Q"),
    )
    ((_, bars),) = quote_bars_by_exchange(log, FIRST_MINUTE, GRID)
    assert bars.ask_open.tolist() == [10.0]
    np.testing.assert_array_equal(bars.bid_open, [bid])


@pytest.mark.parametrize("seed", range(3 if SOAK else 1))
def test_bars_equal_bars_made_quote_by_quote(store, few, seed: int):
    log = random_log(store, seed)
    interval, rows = 60 * MINUTE, log.rows(ALL_TIME).to_pylist()
    grid = plain_grid(interval, Instrument("ACME"))
    for start in range(NOON, NOON + 4 * DAY, (9 if SOAK else 40) * interval):
        window = Window(start, start + 9 * interval)
        for name, bars in quote_bars_by_exchange(log, window, grid):
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


def test_each_exchange_opens_at_its_own_quote_before_the_window(store: MarketStore):
    names = [None, *(f"X{number}" for number in range(9))]
    earlier = [quote(-DAY + at, bid=1.0 + at, ask=20.0, exchange=name) for at, name in enumerate(names[:-1])]
    view = quote_log(store, *earlier, *(quote(SECOND, bid=30.0, exchange=name) for name in names))
    found = dict(quote_bars_by_exchange(view, TWO_MINUTES, GRID))
    assert list(found) == names
    opens = [found[name].bid_open.tolist() for name in names]
    assert opens == [*([1.0 + at] for at in range(9)), [30.0]]
    assert dict(quote_bars_by_exchange(view, SECOND_MINUTE, GRID)) == {}
