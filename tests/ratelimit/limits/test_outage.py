"""What a process gives away by itself while Redis is away, and how it is charged when Redis is back."""

import threading
from fractions import Fraction

import pytest
from django_redis import get_redis_connection
from hypothesis import given
from hypothesis import strategies as st

from ratelimit.limits.buckets.token_bucket import SECOND_US, Bucket, Charge, standing, take
from ratelimit.limits.limiter import LATE_US, Limiter
from tests.ratelimit.limits.outages import BURST, RATE, START_US, steps, with_redis


@pytest.mark.parametrize("workers", [1, 2, 4, 8])
def test_a_caller_that_keeps_to_its_rate_through_an_outage_is_not_refused_at_its_end(made_world, workers):
    world = made_world(workers=workers)
    world.ask()
    world.is_away = True
    for _ in range(60):
        world.now_us += SECOND_US
        assert world.ask().admitted
    world.is_away = False
    world.now_us += SECOND_US
    told = world.ask()
    # Where there are others, what was given in the last second may have been had from Redis, too.
    assert told.admitted
    assert BURST - min(workers, 2) <= told.remaining <= BURST - 1


@with_redis
@given(
    rate=st.sampled_from([1, 2, 10, 1000]),
    moves=st.lists(st.tuples(steps, st.integers(1, 12), st.booleans()), min_size=1, max_size=20),
)
def test_with_one_process_a_caller_cannot_tell_an_outage_from_none(made_world, rate, moves):
    """Every answer (admitted, remaining, when to retry) is the one that a single bucket would have given."""
    world, bucket, full_at = made_world(), Bucket(rate, 2 * rate), None
    for step, times, is_away in moves:
        world.now_us += step
        world.is_away = is_away
        for _ in range(times):
            taken = take(bucket, full_at=full_at, now_us=world.now_us)
            full_at = taken.full_at
            now_us = world.now_us
            assert world.ask(rate=rate) == standing(
                bucket, taken, name="read", now_us=now_us, epoch_now_us=now_us
            )


@with_redis
@given(
    workers=st.integers(1, 4),
    is_lost=st.booleans(),
    during=st.lists(st.tuples(steps, st.integers(0, 3), st.integers(1, 25)), max_size=10),
    afterwards=st.lists(st.tuples(steps, st.integers(0, 3), st.integers(1, 25)), max_size=10),
)
def test_over_an_outage_all_processes_together_give_burst_and_rate_times_time(
    made_world, workers, during, afterwards, is_lost
):
    """Of what the others gave, the first that asks at Redis's return does not know: at most a token for each."""
    world, given_at = made_world(workers=workers), []
    back = [(0, worker, 1) for worker in range(workers)]
    for number, (step, worker, times) in enumerate([*during, *back, *afterwards]):
        world.now_us += step
        world.is_away = number < len(during)
        if is_lost and number == len(during):
            get_redis_connection("default").flushall()
        answers = [world.ask(worker=worker % workers) for _ in range(times)]
        given_at += [world.now_us for told in answers if told.admitted]
    for i, begin in enumerate(given_at):
        for j, end in enumerate(given_at[i:], start=1):
            assert j <= BURST + Fraction(RATE * (end - begin), SECOND_US) + workers - 1


@with_redis
@given(
    workers=st.integers(2, 4),
    is_lost=st.booleans(),
    during=st.lists(st.integers(0, SECOND_US // 2), max_size=10),
    back=st.lists(st.integers(0, SECOND_US // 5), min_size=7, max_size=7),
)
def test_who_finds_redis_back_before_the_others_gains_nothing(made_world, workers, is_lost, during, back):
    """All are greedy, and all but one find out within the breaker's pause; at the end everything is settled."""
    world = made_world(workers=workers)
    world.is_away = True
    given_at = world.greedy([*during, 0])
    world.is_away, world.unaware = False, set(range(1, workers))
    if is_lost:
        get_redis_connection("default").flushall()
    given_at += world.greedy(back)
    world.unaware = set()
    given_at += world.greedy([0, *back])
    spent = Fraction(RATE * (given_at[-1] - given_at[0]), SECOND_US)
    assert len(given_at) <= BURST + spent + workers - 1


@pytest.mark.parametrize("workers", [2, 4])
@pytest.mark.parametrize("fault", ["killed", "frozen"])
@pytest.mark.parametrize("late_us", [SECOND_US, 2 * SECOND_US, LATE_US])
def test_the_latest_of_those_who_find_redis_back_gains_nothing_either(made_world, workers, fault, late_us):
    world = made_world(workers=workers)
    given_at = world.greedy([0])
    world.is_away = True
    given_at += world.greedy([0, *[SECOND_US // 5] * 5])
    if fault == "killed":
        get_redis_connection("default").flushall()
    world.is_away, world.unaware = False, set(range(1, workers))
    given_at += world.greedy([0, *[late_us // 20] * 19])
    world.unaware = set()
    given_at += world.greedy([0, *[SECOND_US // 5] * 35])
    for count, instant in enumerate(given_at, start=1):
        assert count <= BURST + Fraction(RATE * (instant - given_at[0]), SECOND_US) + workers - 1
    # What was held back meanwhile is a burst at most.
    assert len(given_at) >= Fraction(RATE * (given_at[-1] - given_at[0]), SECOND_US) - BURST


losses = st.tuples(
    st.lists(st.integers(0, SECOND_US // 2), max_size=8),
    st.lists(st.integers(0, SECOND_US // 4), max_size=6),
    st.sets(st.integers(0, 3), max_size=3),
    st.sampled_from(["killed", "emptied", "frozen"]),
)


@with_redis
@given(workers=st.integers(2, 4), faults=st.lists(losses, min_size=1, max_size=4))
def test_losing_redis_again_and_again_gives_nobody_more(made_world, workers, faults):
    """All are greedy; it is lost again before all have found it back, or have told it what they gave.

    At each loss at most a token for each of the others is not known.
    """
    world = made_world(workers=workers)
    given_at = world.greedy([0])
    for during, back, unaware, fault in faults:
        if fault != "emptied":
            world.is_away, world.unaware = True, set()
            given_at += world.greedy([0, *during])
        if fault != "frozen":
            get_redis_connection("default").flushall()
        world.is_away, world.unaware = False, set() if fault == "emptied" else unaware
        given_at += world.greedy(back)
        world.unaware = set()
    given_at += world.greedy([SECOND_US // 10] * 10)
    for count, instant in enumerate(given_at, start=1):
        assert count <= BURST + Fraction(RATE * (instant - given_at[0]), SECOND_US) + len(faults) * (
            workers - 1
        )


@pytest.mark.parametrize("workers", [2, 4])
def test_who_paid_before_redis_was_lost_again_is_not_given_what_the_others_owe(made_world, workers):
    """One finds it back and pays; it is killed before any other has, so that nobody knows what those gave."""
    world = made_world(workers=workers)
    given_at = world.greedy([0])
    for _ in range(8):
        world.is_away, world.unaware = True, set()
        given_at += world.greedy([0, *[SECOND_US // 4] * 5])
        get_redis_connection("default").flushall()
        world.is_away, world.unaware = False, set(range(1, workers))
        given_at += [world.now_us for _ in range(2) if world.ask(worker=0).admitted]
    spent = Fraction(RATE * (world.now_us - START_US), SECOND_US)
    assert len(given_at) <= BURST + spent + workers - 1


def test_a_caller_refused_at_the_return_of_redis_is_admitted_when_it_was_told(made_world):
    world = made_world()
    world.is_away = True
    assert sum(world.ask().admitted for _ in range(25)) == BURST
    world.is_away = False
    refused = world.ask()
    assert (refused.admitted, refused.remaining, refused.retry_after_us) == (False, 0, SECOND_US // RATE)
    world.now_us += refused.retry_after_us
    assert [world.ask().admitted for _ in range(2)] == [True, False]


def test_what_was_given_meanwhile_counts_once_though_another_thread_tells_it_first(made_world, monkeypatch):
    world = made_world()
    world.is_away = True
    for _ in range(5):
        world.ask()
    world.is_away = False

    def overtaken(charge, **details):
        monkeypatch.setattr("ratelimit.limits.limiter.take_shared", world.take_shared)
        thread = threading.Thread(target=world.ask)
        thread.start()
        thread.join()
        return world.take_shared(charge, **details)

    monkeypatch.setattr("ratelimit.limits.limiter.take_shared", overtaken)
    assert world.ask().remaining == BURST - 7
    assert world.ask().remaining == BURST - 8


@pytest.mark.parametrize("workers", [1, 2])
def test_a_bucket_that_redis_has_lost_is_not_full_again(made_world, workers):
    world = made_world(workers=workers)
    for number in range(BURST):
        assert world.ask(worker=number % workers).admitted
    world.is_away = True
    assert not any(world.ask(worker=worker).admitted for worker in range(workers))
    get_redis_connection("default").flushall()
    world.is_away = False
    # What the others took last, a process does not know: at most a token for each.
    assert sum(world.ask(worker=number % workers).admitted for number in range(BURST)) <= workers - 1
    world.now_us += SECOND_US
    given = sum(world.ask(worker=number % workers).admitted for number in range(2 * RATE))
    assert RATE - (workers - 1) <= given <= RATE


def test_a_redis_that_was_restarted_between_two_requests_gives_no_second_burst(redis_server):
    limiter = Limiter(workers=1)
    assert all(limiter.admit(Charge("key:9", "read", Bucket(1, 2))).admitted for _ in range(2))
    redis_server.kill()
    redis_server.start()
    admitted = [limiter.admit(Charge("key:9", "read", Bucket(1, 2))).admitted for _ in range(5)]
    assert sum(admitted) <= 1  # the request that finds the socket closed does not know yet
