"""A log whose newest commit is far ahead of the clock takes no writes, in every store."""

import re

import pytest

from store.commit_clock import CommitClock
from store.datasets import DECLARED_INSTRUMENTS
from store.exceptions import LogAheadOfClock
from store.instruments import Instrument
from tests.store.builders import MINUTE, NOON, SECOND, amendment, batch, cancel, stored, trade, trades_of

HOUR = 60 * MINUTE


def times(store) -> list[int]:
    log = trades_of(store)
    return [log.committed_at(number) for number in range(1, log.head.number + 1)]


@pytest.fixture
def ahead(store, clock):
    """A store after an hour forward, one commit, and an hour back."""
    clock.now += HOUR
    store.append(batch(trade(1), request_key="k"))
    clock.now -= HOUR
    return store


def test_a_clock_an_hour_forward_and_back_refuses_writes_until_it_is_a_minute_behind(ahead, clock):
    refusal = (
        "trades/AAPL: the newest commit, of 2025-01-02T13:00:00Z, is 3,600 s ahead of the clock; 60 s are"
    )
    for _ in range(2):
        with pytest.raises(LogAheadOfClock, match=refusal):
            ahead.append(batch(trade(2)))
    with pytest.raises(LogAheadOfClock, match=refusal):
        ahead.correct(amendment(cancel(1)))
    assert stored(ahead) == [trade(1)]
    clock.now = NOON + HOUR - MINUTE - 1
    with pytest.raises(LogAheadOfClock, match=" 61 s ahead"):
        ahead.append(batch(trade(2)))
    clock.now += 1
    ahead.append(batch(trade(2)))
    clock.now += 1
    ahead.correct(amendment(cancel(1)))
    clock.now = NOON + HOUR + SECOND
    ahead.append(batch(trade(3)))
    assert times(ahead) == [NOON + HOUR, NOON + HOUR + 1, NOON + HOUR + 2, NOON + HOUR + SECOND]
    assert stored(ahead) == [trade(2), trade(3)]


def test_other_logs_reads_and_batches_that_make_no_commit_go_on(ahead, clock):
    ahead.append(batch(trade(2), symbol="OTHER"))
    ahead.set_instruments([Instrument("OTHER")])
    assert ahead.append(batch(trade(1), request_key="k")).replayed
    assert ahead.append(batch(trade(1))).stored == 0
    assert trades_of(ahead).as_of(clock.now).commit.number == 0
    assert trades_of(ahead).as_of(clock.now + HOUR).commit.number == 1


def test_declarations_are_a_log_like_the_others(store, clock):
    clock.now += HOUR
    store.set_instruments([Instrument("A")])
    clock.now -= HOUR
    with pytest.raises(LogAheadOfClock, match="instruments/ALL"):
        store.set_instruments([Instrument("B")])
    assert store.log(*DECLARED_INSTRUMENTS).head.number == 1
    clock.now += HOUR
    store.set_instruments([Instrument("B")])
    assert [each.symbol for each in store.declared_instruments()] == ["A", "B"]


def test_the_seconds_that_a_refusal_names_let_the_log_be_written_to():
    refusing = CommitClock(lambda: NOON)
    for newest_ns in (NOON + HOUR, NOON + HOUR - 1, NOON + HOUR + 1, NOON + MINUTE + 1):
        with pytest.raises(LogAheadOfClock) as refused:
            refusing.next_time("trades/AAPL", newest_ns)
        named = re.search(r"CLOCK_AHEAD_SECONDS=(\d+),", str(refused.value))
        assert named is not None
        seconds = int(named[1])
        assert CommitClock(lambda: NOON, seconds).next_time("trades/AAPL", newest_ns) == newest_ns + 1
        with pytest.raises(LogAheadOfClock):
            CommitClock(lambda: NOON, seconds - 1).next_time("trades/AAPL", newest_ns)
