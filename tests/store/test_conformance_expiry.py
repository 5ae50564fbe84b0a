"""Rows expire in every store: their bars stay equal, reads of them are refused, and the rows go a day later."""

import numpy as np
import pytest

from store.bar_policies import BAR_POLICIES, EVERY_PRINT
from store.datasets import KEPT_BARS, QUOTES, TRADES
from store.exceptions import Expired
from store.expiring import REMOVED_AFTER_NS, expire, planned, remove_due
from store.log_views.log_view import first_row, last_row, rows_backwards, view_of
from store.log_views.trade_bars import last_price_ns
from store.protocol import ALL_TIME, Window
from store.walk import BEGINNING
from store.window_list import WindowList
from tests.store.builders import (
    DAY,
    MINUTE,
    SECOND,
    SYMBOL,
    amendment,
    append_of,
    batch,
    cancel,
    stored,
    trade,
    trades_of,
)
from tests.store.expired_days import BEFORE, DATES, RESOLUTIONS, WINDOW, all_bars, store_days, trades_on


def expire_days(store, before_ns=BEFORE, dataset=TRADES):
    plan = planned(store, dataset, SYMBOL, before_ns)
    expire(store, plan)
    return plan


@pytest.fixture
def days(store, clock):
    clock.now = BEFORE + 2 * DAY
    store_days(store)
    return store


def removed(store, clock):
    clock.now += REMOVED_AFTER_NS + SECOND
    remove_due(store, TRADES, SYMBOL, clock.now)
    assert trades_of(store).at().expired.removed_before_ns == BEFORE


def test_bars_are_equal_before_and_after(days, clock):
    before = all_bars(days)
    assert sum(len(bars[0]) for bars in before.values()) > 100
    expire_days(days)
    assert all_bars(days) == before
    removed(days, clock)
    assert all_bars(days) == before


@pytest.mark.system
@pytest.mark.soak
def test_bars_of_every_length_are_equal_before_and_after(store, clock):
    clock.now = BEFORE + 2 * DAY
    store_days(store, count=24)
    before = all_bars(store, RESOLUTIONS)
    assert sum(len(bars[0]) for bars in before.values()) > 2_000
    expire_days(store)
    assert all_bars(store, RESOLUTIONS) == before
    removed(store, clock)
    assert all_bars(store, RESOLUTIONS) == before


def test_reads_of_expired_rows_are_refused_with_what_is_left(days):
    expire_days(days)
    snapshot = trades_of(days).at()
    with pytest.raises(
        Expired, match="trades of AAPL before 2025-01-07 have expired: what is left are bars of a minute"
    ) as error:
        snapshot.rows(WINDOW)
    assert error.value.before_ns == BEFORE
    for read in (snapshot.versions, snapshot.check_readable):
        with pytest.raises(Expired):
            read(Window(BEFORE - DAY, BEFORE + DAY))
    for length in (SECOND, 1, 45 * SECOND):
        with pytest.raises(Expired, match="bars that whole minutes do not make"):
            snapshot.aggregates(WindowList.of(Window(BEFORE - DAY, BEFORE)), length, EVERY_PRINT)
    assert snapshot.rows(Window(BEFORE, WINDOW.end_ns)).num_rows == sum(
        len(trades_on(each)) for each in DATES[3:]
    )
    assert snapshot.rows(Window(BEFORE - 9 * DAY, BEFORE - 7 * DAY)).num_rows == 0


def test_what_names_no_start_begins_with_what_is_left(days):
    expire_days(days)
    snapshot = trades_of(days).at()
    left = [row for date in DATES[3:] for row in trades_on(date)]
    first = min(row["timestamp"] for row in left)
    assert snapshot.take_window(ALL_TIME, 1) == Window(BEFORE, first + 1)
    assert snapshot.row_bound(ALL_TIME) == len(left) == snapshot.rows(ALL_TIME).num_rows
    assert snapshot.take_window(ALL_TIME, len(left) - 1, from_end=True).start_ns > first
    assert snapshot.take_window(ALL_TIME, len(left) + 1, from_end=True) == ALL_TIME


def test_a_start_at_the_first_instant_is_named_and_an_earlier_one_is_not(days):
    expire_days(days)
    snapshot = trades_of(days).at()
    with pytest.raises(Expired):
        snapshot.check_readable(ALL_TIME)
    snapshot.check_readable(Window(ALL_TIME.start_ns - 1, ALL_TIME.end_ns))


def test_a_read_that_names_no_start_and_ends_in_expired_dates_is_refused(days):
    expire_days(days)
    snapshot = trades_of(days).at()
    for end_ns in (BEFORE - DAY, BEFORE):
        for read in (snapshot.rows, snapshot.check_readable):
            with pytest.raises(Expired):
                read(Window(ALL_TIME.start_ns, end_ns))
    assert snapshot.rows(Window(ALL_TIME.start_ns, WINDOW.start_ns)).num_rows == 0


def test_the_newest_date_never_expires(days):
    assert expire_days(days, BEFORE + 30 * DAY).before_ns == BEFORE + DAY
    assert expire_days(days, BEFORE + 30 * DAY).dates == ()
    assert {row["timestamp"] // DAY for row in stored(days)} == {BEFORE // DAY + 1}


def test_a_walk_back_over_what_is_left_ends(days):
    expire_days(days, BEFORE + DAY)
    left = [cancel(row["timestamp"], price=row["price"], volume=row["volume"]) for row in stored(days)]
    days.correct(amendment(*left))
    view = view_of(trades_of(days).at())
    assert (last_row(view), first_row(view), list(rows_backwards(view))) == (None, None, [])


def test_the_last_price_is_found_in_kept_bars(days):
    windows = [Window(WINDOW.start_ns, BEFORE + hour * 60 * MINUTE) for hour in (-9, 0, 1, 24)]
    policies = list(BAR_POLICIES.values())

    def last_prices():
        view = view_of(trades_of(days).at())
        return [last_price_ns(view, policy, window) for policy in policies for window in windows]

    before = last_prices()
    expire_days(days)
    assert last_prices() == before
    assert len(set(before)) >= 3


def test_minutes_count_as_rows_in_expired_dates(days):
    expire_days(days)
    snapshot = trades_of(days).at()
    minutes = snapshot.times_of_minutes(WINDOW)
    assert snapshot.take_window(WINDOW, 5) == Window(WINDOW.start_ns, int(minutes[4]) + MINUTE)
    left = snapshot.row_bound(Window(BEFORE, WINDOW.end_ns))
    assert snapshot.take_window(WINDOW, left + 3, from_end=True) == Window(int(minutes[-3]), WINDOW.end_ns)
    assert snapshot.row_bound(WINDOW) >= left + len(minutes)


def test_an_as_of_before_a_change_of_an_expired_date_is_refused(days):
    length = WindowList.of(WINDOW), 30 * MINUTE, EVERY_PRINT
    at_head, earlier = (trades_of(days).at(number) for number in (8, 5))
    bars = at_head.aggregates(*length)
    expire_days(days)
    with pytest.raises(Expired, match="earlier versions of the trades"):
        earlier.log.at(5).aggregates(*length)
    again = at_head.log.at(8).aggregates(*length)
    assert np.array_equal(again.volume, bars.volume)
    # Of the dates that were not changed later bars are those of then.
    untouched = WindowList.of(Window(BEFORE - DAY, BEFORE)), 30 * MINUTE, EVERY_PRINT
    assert len(earlier.log.at(5).aggregates(*untouched)) == len(at_head.log.at(8).aggregates(*untouched))


def test_rows_and_corrections_of_expired_dates_are_refused(days):
    expire_days(days)
    late = trade(BEFORE - 1, 100.0)
    with pytest.raises(Expired, match="send rows from 2025-01-07 on"):
        days.append(batch(late))
    with pytest.raises(Expired, match="send rows from 2025-01-07 on"):
        days.correct(amendment(cancel(trades_on(DATES[0])[2]["timestamp"])))
    assert days.append(batch(trade(BEFORE, 100.0))).stored == 1


@pytest.mark.parametrize(
    "when",
    [pytest.param("kept_bars", marks=pytest.mark.soak), "trades"],
    ids=["before the bars", "before the record"],
)
def test_a_row_that_comes_meanwhile_is_in_the_kept_bars(days, monkeypatch, when):
    append, calls = days.append, list[str]()

    def append_after_another(request):
        calls.append(request.dataset.name)
        if calls.count(when) == 1 and request.dataset.name == when:
            append(batch(trade(BEFORE - 1, 77.0, 3.0)))
        return append(request)

    monkeypatch.setattr(days, "append", append_after_another)
    expire_days(days)
    last = (
        trades_of(days).at().aggregates(WindowList.of(Window(BEFORE - MINUTE, BEFORE)), MINUTE, EVERY_PRINT)
    )
    assert (last.close[-1], calls.count("kept_bars"), calls[-1]) == (77.0, 2, "trades")


def test_rows_of_later_dates_that_come_meanwhile_change_nothing(days, monkeypatch):
    append, calls = days.append, list[str]()

    def append_after_another(request):
        calls.append(request.dataset.name)
        if request.dataset is KEPT_BARS:
            append(batch(trade(BEFORE + len(calls), 77.0, 3.0)))
        return append(request)

    monkeypatch.setattr(days, "append", append_after_another)
    expire_days(days)
    assert calls == ["kept_bars", "trades"]


@pytest.mark.parametrize(
    "other", [BEFORE, pytest.param(BEFORE - DAY, marks=pytest.mark.soak)], ids=["same", "fewer"]
)
def test_two_runs_at_once_keep_each_bar_once(days, monkeypatch, other):
    before, append, calls = all_bars(days), days.append, list[str]()

    def append_after_another_run(request):
        calls.append(request.dataset.name)
        if calls == ["kept_bars", "trades"]:  # the record comes when its bars are kept
            expire_days(days, other)
        return append(request)

    monkeypatch.setattr(days, "append", append_after_another_run)
    expire_days(days)
    snapshot = trades_of(days).at()
    assert (all_bars(days) == before, snapshot.expired.before_ns) == (True, BEFORE)
    expire(days, planned(days, TRADES, SYMBOL, BEFORE))
    assert trades_of(days).head == snapshot.commit


def test_rows_go_a_day_after_the_record_at_the_earliest(days, clock):
    expire_days(days)
    recorded = trades_of(days).end().committed_at
    remove_due(days, TRADES, SYMBOL, recorded + REMOVED_AFTER_NS - 1)
    assert len(list(trades_of(days).commits(BEGINNING))) > 8
    remove_due(days, TRADES, SYMBOL, recorded + REMOVED_AFTER_NS)
    with pytest.raises(Expired):
        list(trades_of(days).commits(BEGINNING))
    remove_due(days, TRADES, SYMBOL, recorded + 9 * DAY)
    assert trades_of(days).head.number == 10
    check = days.check(TRADES, SYMBOL)
    assert [found.message for found in check.findings()] == []


def test_expiring_goes_on_date_by_date(days, clock):
    before = all_bars(days)
    for index, date in enumerate(range(BEFORE - 4 * DAY, BEFORE + 1, 2 * DAY)):
        expire_days(days, date)
        if index % 2:
            clock.now += REMOVED_AFTER_NS + SECOND
            remove_due(days, TRADES, SYMBOL, clock.now)
    assert all_bars(days) == before
    assert planned(days, TRADES, SYMBOL, BEFORE).dates == ()


def test_quotes_expire_without_bars(store, clock):
    clock.now = BEFORE + 2 * DAY
    rows = [{"timestamp": at, "bid": 1.0, "bid_size": 1.0} for at in (BEFORE - 1, BEFORE)]
    store.append(append_of(QUOTES, *rows))
    plan = expire_days(store, dataset=QUOTES)
    assert (plan.rows, store.symbols(KEPT_BARS)) == (1, [])
    snapshot = store.log(QUOTES, SYMBOL).at()
    with pytest.raises(Expired, match="have expired: what is left are quotes from 2025-01-07 on"):
        snapshot.rows(WINDOW)
    assert snapshot.rows(ALL_TIME).num_rows == snapshot.row_bound(ALL_TIME) == 1
