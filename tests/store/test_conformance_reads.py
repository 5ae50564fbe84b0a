"""Rows, bars and versions, in every store."""

import numpy as np
import pytest

from store.datasets import TRADES
from store.protocol import ALL_TIME, NO_COMMIT, Dedupe, Window
from store.timestamps import EARLIEST_NS, LATEST_NS
from tests.store.builders import DAY, MINUTE, NOON, batch, stored, trade, trades_of

MIDNIGHT = NOON - DAY // 2


def whole_day(days_on: int = 0) -> Window:
    return Window(MIDNIGHT + days_on * DAY, MIDNIGHT + (days_on + 1) * DAY)


def test_rows_are_ordered_by_time_then_sequence_then_arrival(store):
    store.append(batch(trade(2, 1.0), trade(1, 2.0), trade(1, 3.0, sequence=9)))
    store.append(batch(trade(1, 4.0, sequence=3), trade(1, 5.0), trade(1, 6.0, sequence=9), trade(0, 7.0)))
    assert [row["price"] for row in stored(store)] == [7.0, 4.0, 3.0, 6.0, 2.0, 5.0, 1.0]


def test_equal_instants_without_sequence_keep_their_arrival_over_many_commits(store):
    prices = [float(price) for price in np.random.default_rng(1).permutation(40) + 1]
    for start in range(0, 40, 7):
        store.append(batch(*(trade(5, price) for price in prices[start : start + 7])))
    assert [row["price"] for row in stored(store)] == prices


def test_a_window_includes_its_start_and_not_its_end(store):
    store.append(batch(*(trade(number) for number in range(5))))
    assert stored(store, Window(NOON + 1, NOON + 3)) == [trade(1), trade(2)]
    assert stored(store, Window(NOON + 5, NOON + 9)) == []
    assert trades_of(store).at().rows(Window(NOON + 5, NOON + 9)).schema.equals(TRADES.schema)


@pytest.mark.parametrize(
    "instant",
    [
        pytest.param(EARLIEST_NS, id="first of 1900"),
        pytest.param(LATEST_NS, id="last of 2200"),
        pytest.param(-1, id="before the epoch"),
        pytest.param(0, id="the epoch"),
        pytest.param(MIDNIGHT, id="first of a day"),
        pytest.param(MIDNIGHT + DAY - 1, id="last of a day"),
    ],
)
def test_earliest_and_latest_instants_belong_to_their_own_day(store, instant):
    row = trade(1) | {"timestamp": instant}
    store.append(batch(row))
    start = instant // DAY * DAY
    assert stored(store) == [row]
    assert stored(store, Window(start, start + DAY)) == [row]
    assert stored(store, Window(instant, instant + 1)) == [row]
    assert (
        stored(store, Window(start - DAY, start)) == stored(store, Window(start + DAY, start + DAY * 2)) == []
    )
    assert trades_of(store).at().version(Window(start - DAY, start)) == NO_COMMIT
    assert trades_of(store).at().bars(ALL_TIME, DAY).time_ns.tolist() == [start]
    assert store.append(batch(row)).stored == 0


def test_reads_at_a_commit_see_earlier_rows_only(store):
    history = []
    for number in range(1, 5):
        store.append(batch(trade(10 - number, float(number)), trade(DAY * number)))
        history.append((stored(store), trades_of(store).at().bars(ALL_TIME, MINUTE).close.tolist()))
    for number, (rows, closes) in enumerate(history, start=1):
        assert stored(store, commit=number) == rows
        assert trades_of(store).at(number).bars(ALL_TIME, MINUTE).close.tolist() == closes
    assert stored(store, commit=0) == []
    assert len(trades_of(store).at(0).bars(ALL_TIME, MINUTE)) == 0


def test_the_version_of_a_window_is_the_newest_commit_on_its_dates(store):
    commits = [
        store.append(batch(trade(days_on * DAY), trade(days_on * DAY + 1, float(number + 1)))).commit
        for number, days_on in enumerate([0, 2, 0, 5, 2])
    ]
    newest = {days_on: trades_of(store).at().version(whole_day(days_on)) for days_on in range(6)}
    assert newest == {0: commits[2], 1: NO_COMMIT, 2: commits[4], 3: NO_COMMIT, 4: NO_COMMIT, 5: commits[3]}
    assert trades_of(store).at().version(ALL_TIME) == commits[4]
    assert trades_of(store).at(4).version(Window(MIDNIGHT, MIDNIGHT + 6 * DAY)) == commits[3]
    assert trades_of(store).at(4).version(whole_day(2)) == commits[1]
    assert trades_of(store).at(1).version(whole_day(2)) == NO_COMMIT
    assert trades_of(store).at().version(Window(MIDNIGHT + 3 * DAY, MIDNIGHT + 5 * DAY + 1)) == commits[3]


def test_the_extent_of_a_window_is_its_first_and_last_date_with_commits(store):
    for days_on in (2, 0, 5):
        store.append(batch(trade(days_on * DAY)))
    first = MIDNIGHT // DAY

    def extent(start: int, end: int, commit: int | None = None) -> tuple[int, ...]:
        window = Window(MIDNIGHT + start, MIDNIGHT + end)
        found = trades_of(store).at(commit).extent(window)
        return () if found is None else tuple(date - first for date in found)

    assert trades_of(store).at().extent(ALL_TIME) == (first, first + 5)
    assert (extent(-DAY, 9 * DAY), extent(-DAY, 9 * DAY, 1), extent(-DAY, 9 * DAY, 2)) == (
        (0, 5),
        (2, 2),
        (0, 2),
    )
    assert (extent(1, 2 * DAY), extent(1, 2 * DAY + 1), extent(DAY, 5 * DAY)) == ((0, 0), (0, 2), (2, 2))
    assert (extent(6 * DAY, 9 * DAY), extent(DAY, DAY), extent(2 * DAY, DAY)) == ((), (), ())
    assert [trades_of(store).at().extent(ALL_TIME, after=after) for after in (1, 2, 3)] == [
        (first, first + 5),
        (first + 5, first + 5),
        None,
    ]
    assert trades_of(store).at(2).extent(ALL_TIME, after=1) == (first, first)


def test_rows_that_were_stored_before_do_not_touch_the_version_of_their_date(store):
    first = store.append(batch(trade(0))).commit
    second = store.append(batch(trade(0), trade(DAY))).commit
    assert trades_of(store).at().version(whole_day()) == first
    assert trades_of(store).at().version(whole_day(1)) == second


def test_bars_open_and_close_by_order_and_sum_volumes(store):
    store.append(batch(trade(59 * 10**9, 5.0, 0.1), trade(0, 3.0, 0.2), trade(1, 9.0, 0.3)))
    store.append(batch(trade(0, 4.0, 0.4, sequence=1), trade(MINUTE, 7.0, 10), trade(30, 1.0, 0.5)))
    bars = trades_of(store).at().bars(ALL_TIME, MINUTE)
    assert bars.time_ns.tolist() == [NOON, NOON + MINUTE]
    assert bars.open.tolist() == [4.0, 7.0]
    assert bars.high.tolist() == [9.0, 7.0]
    assert bars.low.tolist() == [1.0, 7.0]
    assert bars.close.tolist() == [5.0, 7.0]
    assert bars.volume.tolist() == [1.5, 10.0]
    assert bars.trade_count.tolist() == [5, 1]


def test_bars_of_a_window_are_the_bars_of_its_rows(store):
    store.append(batch(*(trade(number * MINUTE // 2, 1.0 + number) for number in range(20))))
    window = Window(NOON + 2 * MINUTE, NOON + 7 * MINUTE)
    bars = trades_of(store).at().bars(window, MINUTE)
    assert bars.time_ns.tolist() == [NOON + number * MINUTE for number in range(2, 7)]
    assert bars.open.tolist() == [5.0, 7.0, 9.0, 11.0, 13.0]


def test_a_window_without_trades_has_no_bars(store):
    store.append(batch(trade(0)))
    assert len(trades_of(store).at().bars(whole_day(3), MINUTE)) == 0


@pytest.mark.system
def test_hundreds_of_dates_in_one_batch(store):
    rows = [
        trade("2020-01-01T00:00:00Z") | {"timestamp": EARLIEST_NS + days_on * DAY} for days_on in range(366)
    ]
    store.append(batch(*reversed(rows), dedupe=Dedupe.ROWS))
    assert stored(store) == rows
    assert store.append(batch(*rows)).stored == 0
