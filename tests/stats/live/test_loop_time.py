"""What callers' frames may take of the event loop's time."""

import pytest

from stats.live.loop_time import BURST_SECONDS, SHARE, LoopTime, LoopTimes


def test_a_burst_waits_for_nothing():
    spent = LoopTime()
    spent.charge(BURST_SECONDS, now=1.0)
    assert spent.wait_seconds == 0.0


def test_what_is_more_is_waited_for_until_it_is_a_share_of_the_time():
    spent = LoopTime()
    spent.charge(BURST_SECONDS + 0.002, now=1.0)
    assert spent.wait_seconds == pytest.approx(0.002 / SHARE)
    spent.charge(0.0, now=1.0 + 0.002 / SHARE)
    assert spent.wait_seconds == pytest.approx(0.0, abs=1e-9)


def test_connections_of_a_holder_wait_one_after_another():
    spent, waits = LoopTime(), []
    spent.charge(BURST_SECONDS, now=1.0)
    for _ in range(5):
        spent.charge(0.001, now=1.0)
        waits.append(spent.wait_seconds)
    assert waits == pytest.approx([number * 0.001 / SHARE for number in range(1, 6)])


def test_over_any_time_no_more_than_the_share_is_spent():
    spent, now, total = LoopTime(), 0.0, 0.0
    while now < 100:
        spent.charge(0.003, now=now)
        total += 0.003
        now += spent.wait_seconds
    assert total <= SHARE * 100 + BURST_SECONDS + 0.003


def test_what_was_not_spent_is_not_saved_up():
    spent = LoopTime()
    spent.charge(BURST_SECONDS + 0.001, now=1000.0)
    assert spent.wait_seconds == pytest.approx(0.001 / SHARE)


def test_the_time_of_the_processor_is_charged():
    spent = LoopTime()
    with spent.timed():
        sum(range(2_000_000))
    assert spent.wait_seconds > 0


def test_a_holder_has_one_budget_as_long_as_it_has_connections():
    times = LoopTimes()
    first, other = times.of("a"), times.of("b")
    assert times.of("a") is first
    assert first is not other
    first.charge(1.0, now=0.0)
    del first
    assert times.of("a").wait_seconds == 0.0
