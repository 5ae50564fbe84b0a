"""Bars by policy, what they depend on, and what later commits changed of them, in every store."""

from typing import Any

import pytest

from store.bar_policies import EVERY_PRINT, US_EQUITIES, BarPolicy
from store.bars.bars import Bars
from store.exceptions import UnknownSymbol
from store.log_views.revisions import revisions_of
from store.market_store import MarketStore
from store.protocol import ALL_TIME, Window
from tests.store.builders import DAY, MINUTE, NOON, Clock, amendment, batch, cancel, correct, trade, trades_of
from tests.store.revision_walk import BarValues, Revision, listed

HOUR = Window(NOON, NOON + 60 * MINUTE)
ODD: dict[str, Any] = {"conditions": "odd_lot"}
MIDNIGHT = NOON - DAY // 2


def volumes(bars: Bars) -> dict[int, float]:
    """By minute after noon, the bars' volumes."""
    starts = ((bars.time_ns - NOON) // MINUTE).tolist()
    return dict(zip(starts, bars.volume.tolist(), strict=True))


def bar(price: float, volume: float = 1.0, trade_count: int = 1) -> BarValues:
    return BarValues(price, price, price, price, volume, trade_count, price * volume)


def revised(store: MarketStore, window: Window = HOUR, **asked: Any) -> list[Revision]:
    """The revisions as of `commit`, by default the newest one."""
    trades = trades_of(store).at(asked.pop("commit", None))
    return listed(revisions_of(trades, window, MINUTE, **{"policy": EVERY_PRINT, "after": 0, **asked}))


@pytest.fixture
def credited(store) -> MarketStore:
    """A price in minutes 0, 3 and 70; odd lots, which set none, in minutes 1, 4, 65 and 71."""
    store.append(
        batch(
            trade(0, 10.0, 1.0),
            trade(MINUTE, 99.0, 2.0, **ODD),
            trade(3 * MINUTE, 11.0, 4.0),
            trade(4 * MINUTE, 99.0, 8.0, **ODD),
            trade(65 * MINUTE, 99.0, 16.0, **ODD),
            trade(70 * MINUTE, 12.0, 32.0),
            trade(71 * MINUTE, 99.0, 64.0, **ODD),
        )
    )
    return store  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("policy", "window", "expected"),
    [
        (EVERY_PRINT, HOUR, {0: 1.0, 1: 2.0, 3: 4.0, 4: 8.0}),
        (US_EQUITIES, HOUR, {0: 3.0, 3: 28.0}),
        (US_EQUITIES, Window(NOON, NOON + MINUTE), {0: 3.0}),
        (US_EQUITIES, Window(NOON + MINUTE, NOON + 3 * MINUTE), {}),
        (US_EQUITIES, Window(NOON + MINUTE, NOON + 4 * MINUTE), {3: 28.0}),
        (US_EQUITIES, Window(NOON + 70 * MINUTE, NOON + 71 * MINUTE), {70: 96.0}),
        (US_EQUITIES, ALL_TIME, {0: 3.0, 3: 28.0, 70: 96.0}),
    ],
    ids=["every print", "hour", "minute", "no price", "from a gap", "to the end", "all"],
)
def test_volume_without_a_price_is_credited_across_the_edge_of_a_window(credited, policy, window, expected):
    assert volumes(trades_of(credited).at().bars(window, MINUTE, policy=policy)) == expected


def test_volume_is_never_credited_to_another_date(store):
    store.append(
        batch(
            trade(0, 10.0, 1.0),
            *(trade(MIDNIGHT + after * DAY - 1, 9.0, 2.0, **ODD) for after in (1, 2, 5)),
            trade(MIDNIGHT + DAY, 9.0, 4.0, **ODD),
        )
    )
    for window in (HOUR, Window(MIDNIGHT, MIDNIGHT + DAY), ALL_TIME):
        bars = trades_of(store).at().bars(window, MINUTE, policy=US_EQUITIES)
        assert (bars.volume.tolist(), bars.trade_count.tolist(), bars.notional.tolist()) == (
            [3.0],
            [2],
            [28.0],
        )
    for interval_ns, last in ((DAY, 3.0), (2 * DAY, 9.0)):
        bars = trades_of(store).at().bars(ALL_TIME, interval_ns, policy=US_EQUITIES)
        assert bars.volume.tolist() == [last]


def test_volume_is_credited_within_the_dates_that_are_given(store):
    """The date ends half an hour after noon."""
    lots = (trade(minute * MINUTE, 9.0, 2.0**minute, **ODD) for minute in (1, 29, 30, 31))
    store.append(batch(trade(0, 10.0, 1.0), *lots, trade(40 * MINUTE, 1.0, 1.0)))

    def dates_of(time_ns):
        return (time_ns - NOON) // (30 * MINUTE)

    asked: dict[str, Any] = {"policy": US_EQUITIES, "dates_of": dates_of}
    assert volumes(trades_of(store).at().bars(HOUR, MINUTE, **asked)) == {0: 3.0 + 2.0**29, 40: 1.0}
    assert volumes(trades_of(store).at().bars(Window(NOON, NOON + MINUTE), MINUTE, **asked)) == {
        0: 3.0 + 2.0**29
    }
    ends = [
        trades_of(store).at().dependency_window(Window(NOON, NOON + minutes * MINUTE), MINUTE, **asked).end_ns
        for minutes in (1, 30, 31, 41)
    ]
    assert ends == [NOON + minutes * MINUTE for minutes in (30, 30, 41, 60)]


@pytest.mark.parametrize(
    ("days_of_a_date", "interval_ns", "credited"), [(4, MINUTE, 8.0), (1, MINUTE, 1.0), (4, DAY, 1.0)]
)
def test_volume_of_a_later_utc_date_is_credited_within_a_long_date(
    store, days_of_a_date: int, interval_ns: int, credited: float
):
    """Such as a trading date before which the exchange was closed."""
    asked: dict[str, Any] = {
        "policy": US_EQUITIES,
        "dates_of": lambda time_ns: (time_ns - MIDNIGHT) // (days_of_a_date * DAY),
    }

    def volume() -> list[float]:
        found = trades_of(store).at().bars(Window(MIDNIGHT, MIDNIGHT + DAY), interval_ns, **asked)
        return found.volume.tolist()  # type: ignore[no-any-return]

    store.append(batch(trade(0), trade(2 * DAY, trade_id="later"), trade(3 * DAY)))
    store.append(batch(trade(2 * DAY + MINUTE, volume=7.0, **ODD)))
    assert volume() == [1.0]
    store.correct(amendment(cancel(2 * DAY, trade_id="later")))
    assert volume() == [credited]
    store.append(batch(trade(DAY, volume=16.0, **ODD)))
    assert volume() == [credited + 16.0 * (credited > 1.0)]


def test_an_interval_is_of_the_date_on_which_it_begins(store):
    """Dates begin at noon. The eight hours from 08:00 on are of the date before."""
    hour = 60 * MINUTE
    store.append(batch(trade(-5 * hour), trade(1, volume=2.0, **ODD), trade(5 * hour, volume=4.0, **ODD)))
    asked: dict[str, Any] = {"policy": US_EQUITIES, "dates_of": lambda time_ns: (time_ns - NOON) // DAY}
    for end_ns in (MIDNIGHT + 8 * hour, MIDNIGHT + DAY):
        window = Window(MIDNIGHT, end_ns)
        assert trades_of(store).at().bars(window, 8 * hour, **asked).volume.tolist() == [3.0]
        needed = trades_of(store).at().dependency_window(window, 8 * hour, **asked)
        assert needed.end_ns == (NOON + 4 * hour if end_ns < NOON else MIDNIGHT + 40 * hour)


@pytest.mark.parametrize(
    ("policy", "window", "end"),
    [
        (EVERY_PRINT, HOUR, HOUR.end_ns),
        (US_EQUITIES, HOUR, NOON + 71 * MINUTE),
        (US_EQUITIES, Window(NOON, NOON + MINUTE), NOON + 4 * MINUTE),
        (US_EQUITIES, Window(NOON, NOON + 3 * MINUTE), NOON + 4 * MINUTE),
        (US_EQUITIES, Window(NOON, NOON + 71 * MINUTE), MIDNIGHT + DAY),
        (US_EQUITIES, Window(NOON, MIDNIGHT + DAY), MIDNIGHT + DAY),
        (US_EQUITIES, ALL_TIME, ALL_TIME.end_ns),
    ],
    ids=["every print", "hour", "gap", "edge", "nothing follows", "date", "all"],
)
def test_the_dependency_window_ends_with_the_next_interval_that_has_a_price_or_the_date(
    credited, policy: BarPolicy, window, end: int
):
    found = trades_of(credited).at().dependency_window(window, MINUTE, policy=policy)
    assert found == Window(window.start_ns, end)


def test_dependency_window_as_of_a_commit(credited):
    credited.append(batch(trade(62 * MINUTE, 12.0, trade_id="a")))
    credited.correct(amendment(cancel(62 * MINUTE, trade_id="a")))
    ends = [
        trades_of(credited).at(at).dependency_window(HOUR, MINUTE, policy=US_EQUITIES).end_ns
        for at in range(4)
    ]
    assert ends == [MIDNIGHT + DAY, *(NOON + minutes * MINUTE for minutes in (71, 63, 71))]


def test_bars_of_the_session_follow_corrections(store):
    outside = trade(2, 99.0, conditions="extended_hours")
    store.append(batch(trade(0, 10.0), trade(1, 50.0, trade_id="a"), outside, trade(DAY, 11.0)))
    store.correct(amendment(cancel(1, trade_id="a")))
    day = Window(MIDNIGHT, MIDNIGHT + DAY)
    now, then = (trades_of(store).at(at).session_bars(day, policy=US_EQUITIES) for at in (None, 1))
    assert (now.time_ns.tolist(), now.high.tolist(), then.high.tolist()) == ([MIDNIGHT], [10.0], [50.0])


def test_a_late_trade_and_corrections_revise_the_bars_that_they_change_and_no_others(store, clock: Clock):
    store.append(batch(trade(0, 5.0, trade_id="a"), trade(MINUTE, 6.0), trade(2 * MINUTE, 7.0, trade_id="b")))
    clock.now += 1000
    store.append(batch(trade(1, 5.0), trade(3 * MINUTE, 9.0)))
    clock.now += 1000
    store.correct(
        amendment(
            cancel(2 * MINUTE, trade_id="b"), correct(0, trade_id="a", new={"price": 4.0, "conditions": "x"})
        )
    )
    late = Revision(NOON, 2, NOON + 1000, bar(5.0), bar(5.0, 2.0, 2))
    mixed = BarValues(4.0, 5.0, 4.0, 5.0, 2.0, 2, 9.0)
    fixed = Revision(NOON, 3, NOON + 2000, bar(5.0, 2.0, 2), mixed)
    emptied = Revision(NOON + 2 * MINUTE, 3, NOON + 2000, bar(7.0), None)
    assert revised(store) == [late, fixed, emptied]
    assert revised(store, after=2) == [fixed, emptied]
    assert revised(store, commit=2) == [late]
    assert revised(store, after=2, commit=2) == revised(store, after=3) == []
    assert revised(store, Window(NOON + MINUTE, NOON + 3 * MINUTE)) == [emptied]


def test_a_symbol_that_was_never_stored_has_no_revisions(store):
    for ask in (
        lambda: revised(store),
        lambda: trades_of(store).at().session_bars(ALL_TIME, policy=US_EQUITIES),
        lambda: trades_of(store).at().dependency_window(HOUR, MINUTE, policy=US_EQUITIES),
    ):
        with pytest.raises(UnknownSymbol):
            ask()
