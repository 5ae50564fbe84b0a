"""Tokens taken ahead: how many, how long they live, and that nobody gets more than its limits by them."""

import threading
from fractions import Fraction

import pytest
from django.db import DatabaseError
from hypothesis import given
from hypothesis import strategies as st

from ratelimit.limits.admission import Admission
from ratelimit.limits.local_reservations import LIFETIME_NS, MIN_RATE, LocalReservations
from ratelimit.limits.token_bucket import SECOND_US, Bucket, BucketState, Charge, take
from tests.ratelimit.limits.outages import START_US, World, with_redis

LIFETIME_US = LIFETIME_NS // 1000
RATE = MIN_RATE
FIRST_TRIPS = [1, 2, 4, 8, 16, 21, 21]


def charge_of(cost: int = 1, *, identity: str = "key:1", rate: int = 1_000_000) -> Charge:
    return Charge(identity, "read", Bucket(rate, 2 * rate), cost)


def admission_of(*, remaining: int = 2_000_000) -> Admission:
    return Admission(BucketState(True, "read", 2_000_000, remaining, 2 * SECOND_US, START_US, 0, 0))


def kept(reservations: LocalReservations, tokens: int, *, identity: str = "key:1", now_ns: int = 0) -> None:
    """Have that many tokens taken ahead, by a key that has just spent as many."""
    for _ in range(2):
        order = reservations.order(charge_of(tokens, identity=identity), (), now_ns=now_ns)
        reservations.settle(order, admission_of())


def spent(reservations: LocalReservations, cost: int = 1, *, now_ns: int = 0) -> bool:
    return reservations.spend(charge_of(cost), (), now_ns=now_ns) is not None


def asked(world: World, times: int, **details: int) -> list[int]:
    """What is asked of Redis for that many calls."""
    world.taken.clear()
    assert all(world.ask(**details).admitted for _ in range(times))
    return list(world.taken)


def test_a_process_takes_ahead_what_it_spent_and_at_most_two_percent_of_a_second(made_world):
    assert asked(made_world(), sum(FIRST_TRIPS), rate=RATE) == FIRST_TRIPS


@pytest.mark.parametrize("rate", [1, 10, 100, MIN_RATE - 1])
def test_tiers_under_internal_are_charged_exactly(made_world, rate):
    assert set(asked(made_world(), min(100, 2 * rate), rate=rate)) == {1}


def test_tokens_that_are_not_spent_in_time_lapse(made_world):
    world = made_world()
    assert asked(world, 5, rate=RATE) == [1, 2, 4]
    world.now_us += LIFETIME_US - 1
    assert asked(world, 1, rate=RATE) == []
    world.now_us += 1
    assert len(asked(world, 1, rate=RATE)) == 1


def test_a_key_that_paused_takes_nothing_ahead(made_world):
    world = made_world()
    asked(world, 30, rate=RATE)
    world.now_us += 2 * LIFETIME_US
    assert asked(world, 1, rate=RATE) == [1]


def test_a_key_that_is_slower_than_its_reservations_live_is_charged_exactly(made_world):
    world = made_world()
    for _ in range(10):
        world.now_us += 2 * LIFETIME_US
        assert asked(world, 1, rate=RATE) == [1]


def test_a_bucket_less_than_half_full_is_charged_exactly(made_world):
    world = made_world()
    assert world.ask(rate=RATE, cost=RATE + 1).admitted
    assert set(asked(world, 50, rate=RATE)) == {1}


def test_a_call_that_costs_more_than_is_reserved_goes_to_redis(made_world):
    world = made_world()
    assert asked(world, 2, rate=RATE, cost=10) == [10, 20]
    assert asked(world, 1, rate=RATE, cost=11) == [31]


def test_another_rate_does_not_spend_what_the_former_one_took(made_world):
    world = made_world()
    asked(world, 4, rate=RATE)
    assert asked(world, 1, rate=2 * RATE) == [1]
    assert asked(world, 1, rate=RATE - 1) == [1]


def test_a_call_is_not_refused_for_want_of_tokens_ahead(made_world):
    """Another process empties the bucket meanwhile, but for one token."""
    world = made_world(workers=2)
    asked(world, 3, rate=RATE)
    assert world.ask(worker=1, rate=RATE, cost=2 * RATE - 4).admitted
    assert asked(world, 1, rate=RATE) == [4, 1]
    world.taken.clear()
    assert [world.ask(rate=RATE).admitted for _ in range(2)] == [False, False]
    assert world.taken == [1, 1]


def test_a_lost_redis_gives_its_tokens_once(made_world):
    world = made_world()
    asked(world, 4, rate=RATE)
    world.is_away = True
    # Three tokens were taken ahead of the fourth call; the share is a whole burst.
    assert sum(world.ask(rate=RATE).admitted for _ in range(3 * RATE)) == 3 + 2 * RATE
    world.is_away = False
    world.now_us += 2 * LIFETIME_US
    assert asked(world, 2, rate=RATE)[0] == 1


@with_redis
@given(
    workers=st.integers(1, 3),
    moves=st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 2 * LIFETIME_US), st.integers(1, 20), st.integers(1, 3)),
        max_size=10,
    ),
)
def test_all_processes_together_give_no_more_than_the_bucket(made_world, workers, moves):
    world, given_out, burst = made_world(workers=workers), 0, 60
    for worker, step, times, cost in moves:
        world.now_us += step
        for _ in range(times):
            told = world.ask(worker=worker % workers, rate=RATE, burst=burst, cost=cost)
            given_out += cost * told.admitted
        elapsed = Fraction(world.now_us - START_US, SECOND_US)
        assert given_out <= burst + RATE * elapsed


@with_redis
@given(steps=st.lists(st.integers(0, 100_000), max_size=6))
def test_who_asks_for_all_there_is_gets_exactly_the_bucket(made_world, steps):
    world, bucket, full_at = made_world(), Bucket(RATE, 60), None
    for step in [0, *steps]:
        world.now_us += step
        given_out = expected = 0
        while world.ask(rate=RATE, burst=bucket.burst).admitted:
            given_out += 1
        while (taken := take(bucket, full_at=full_at, now_us=world.now_us)).admitted:
            expected, full_at = expected + 1, taken.full_at
        assert given_out == expected


def test_threads_never_spend_a_token_twice():
    reservations, admitted = LocalReservations(), []
    kept(reservations, 1000)

    def spend() -> None:
        while spent(reservations):
            admitted.append(1)

    threads = [threading.Thread(target=spend) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(admitted) == 1000


def test_of_calls_at_once_only_one_takes_tokens_ahead():
    reservations = LocalReservations()
    kept(reservations, 10)
    while spent(reservations):
        pass
    orders = [reservations.order(charge_of(), (), now_ns=0) for _ in range(3)]
    assert [order.ahead for order in orders] == [30, 0, 0]
    for order in orders:
        reservations.settle(order, admission_of())
    assert sum(spent(reservations) for _ in range(100)) == 30


def test_a_call_without_an_answer_leaves_nothing_and_another_one_may_take_ahead():
    reservations = LocalReservations()
    kept(reservations, 10)
    reservations.settle(reservations.order(charge_of(20), (), now_ns=0), None)
    assert not spent(reservations)
    kept(reservations, 10)
    assert spent(reservations)


def test_reservations_are_bounded_and_the_longest_unused_goes_first():
    reservations = LocalReservations(capacity=2)
    for identity in ("key:1", "key:2", "key:1", "key:3"):
        kept(reservations, 1, identity=identity)
    assert len(reservations) == 2
    assert spent(reservations)
    assert reservations.spend(charge_of(identity="key:2"), (), now_ns=0) is None


def test_a_failed_call_to_redis_leaves_nothing_reserved(made_world, monkeypatch):
    world = made_world()
    asked(world, 3, rate=RATE)

    def broken(*_: object, **__: object) -> None:
        raise DatabaseError("no quota can be reserved")

    monkeypatch.setattr("ratelimit.limits.limiter.take_shared", broken)
    for _ in range(2):
        with pytest.raises(DatabaseError):
            world.ask(rate=RATE)
    monkeypatch.setattr("ratelimit.limits.limiter.take_shared", world.take_shared)
    assert asked(world, 2, rate=RATE) == [1, 2]
