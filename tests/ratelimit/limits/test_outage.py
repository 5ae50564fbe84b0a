"""What a process gives away by itself while Redis is away, and how it is charged when Redis is back."""

import threading
from fractions import Fraction
from typing import Any

import pytest
from django_redis import get_redis_connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.exceptions import RedisError

from ratelimit.limits import shared_buckets
from ratelimit.limits.limiter import LATE_US, Limiter
from ratelimit.limits.local_buckets import LocalBuckets
from ratelimit.limits.shared_buckets import Told
from ratelimit.limits.token_bucket import SECOND_US, Bucket, Charge, Standing, standing, take

RATE, BURST = 10, 20
CHARGE = Charge("key:1", "read", Bucket(RATE, BURST))
START_US = 5_000 * SECOND_US

with_redis = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
steps = st.one_of(st.just(0), st.integers(0, SECOND_US // 5), st.integers(0, 3 * SECOND_US))


class World:
    """Processes of one installation, their clock, and a Redis that goes by that clock and can be away."""

    def __init__(self, *, workers: int = 1) -> None:
        self.now_us = START_US
        self.is_away = False
        # Of those who have not found out yet that Redis is back.
        self.unaware: set[int] = set()
        self.asking = 0
        self.failures = 0
        self.limiters = [
            Limiter(workers=workers, clock=self.clock_ns, wall_clock=self.clock_ns) for _ in range(workers)
        ]
        get_redis_connection("default").flushall()

    def clock_ns(self) -> int:
        return self.now_us * 1000

    def take_shared(self, charge: Charge, **details: Any) -> Told:
        if self.is_away or self.asking in self.unaware:
            self.failures += 1
            raise RedisError("away")
        return shared_buckets.take_shared(charge, now_us=self.now_us, **details)

    def ask(self, *, worker: int = 0, rate: int = RATE) -> Standing:
        self.asking = worker
        return self.limiters[worker].admit(Charge("key:1", "read", Bucket(rate, 2 * rate))).bucket

    def greedy(self, steps: list[int]) -> list[int]:
        """The instants at which tokens were given, when every process takes what there is after each step of time."""
        given_at = []
        for step in steps:
            self.now_us += step
            workers = BURST * list(range(len(self.limiters)))
            given_at += [self.now_us for worker in workers if self.ask(worker=worker).admitted]
        return given_at


@pytest.fixture
def made_world(redis_server, monkeypatch):
    def made(*, workers: int = 1) -> World:
        world = World(workers=workers)
        monkeypatch.setattr("ratelimit.limits.limiter.take_shared", world.take_shared)
        monkeypatch.setattr("ratelimit.limits.limiter.failures", lambda: world.failures)
        return world

    return made


def local_with(tokens: int, *, workers: int = 1) -> LocalBuckets:
    """A process that gave that many tokens by itself, all at the start."""
    local = LocalBuckets(workers=workers)
    for _ in range(tokens):
        assert local.take_alone(CHARGE, now_us=START_US, epoch_now_us=START_US).admitted
    return local


def shared_standing(*, until_full_us: int) -> Standing:
    return Standing(True, "read", BURST, 1, 2 * SECOND_US, START_US, until_full_us, 0)


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


def missing(local: LocalBuckets, *, after_us: int = 0, failures: int = 1, charge: Charge = CHARGE) -> int:
    """Tokens that the shared bucket must be missing in any case."""
    return local.claim(charge, now_us=START_US + after_us, failures=failures).missing // SECOND_US


def owed(local: LocalBuckets, *, after_us: int = 0, charge: Charge = CHARGE) -> int:
    """Tokens that are owed by now and that nobody has claimed; they stay so."""
    debt = local.claim(charge, now_us=START_US + after_us, failures=1)
    local.put_back(charge, debt)
    return debt.owed // SECOND_US


def test_threads_that_claim_at_once_share_what_is_owed():
    for _ in range(50):
        local, barrier = local_with(7), threading.Barrier(4)
        claims: list[int] = []

        def claim(local=local, claims=claims, barrier=barrier) -> None:
            barrier.wait()
            claims.append(local.claim(CHARGE, now_us=START_US, failures=1).owed)

        threads = [threading.Thread(target=claim) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(claims) == [0, 0, 0, 7 * SECOND_US]


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_what_is_owed_falls_with_the_shares_rate(workers):
    local = local_with(5, workers=workers)
    told = [owed(local, after_us=tenth * SECOND_US // 10) for tenth in range(25)]
    assert told == [max(0, 5 - -(-tenth // workers)) for tenth in range(25)]


def test_what_the_shared_bucket_has_yet_to_refill_is_not_refilled_by_the_share_first():
    """The share's refill and the shared bucket's are the same tokens: what was given of them is owed."""
    local = LocalBuckets(workers=1)
    local.remember(CHARGE, shared_standing(until_full_us=2 * SECOND_US), now_us=START_US)
    now_us = START_US + SECOND_US
    assert sum(local.take_alone(CHARGE, now_us=now_us, epoch_now_us=now_us).admitted for _ in range(20)) == 10
    assert owed(local, after_us=SECOND_US) == 10


def test_what_was_put_back_is_claimed_again_and_what_was_paid_is_not():
    local = local_with(5)
    for _ in range(2):
        assert owed(local) == 5
    debt = local.claim(CHARGE, now_us=START_US, failures=1)
    local.remember(CHARGE, shared_standing(until_full_us=SECOND_US // 2), now_us=START_US, paid=debt)
    assert owed(local) == 0


def test_what_another_thread_gave_while_the_debt_was_being_paid_stays_owed():
    local = local_with(5)
    debt = local.claim(CHARGE, now_us=START_US, failures=1)
    local.take_alone(CHARGE, now_us=START_US, epoch_now_us=START_US)
    local.remember(CHARGE, shared_standing(until_full_us=SECOND_US // 2), now_us=START_US, paid=debt)
    assert owed(local) == 1


def test_a_claim_in_flight_outlives_the_news_of_another_thread():
    local = local_with(5)
    debt = local.claim(CHARGE, now_us=START_US, failures=1)
    local.remember(CHARGE, shared_standing(until_full_us=0), now_us=START_US)
    assert owed(local) == 0
    local.put_back(CHARGE, debt)
    assert owed(local) == 5


def test_what_redis_told_last_is_missing_until_it_has_answered_without_a_failure():
    local = LocalBuckets(workers=1)
    told = shared_standing(until_full_us=SECOND_US // 2)
    local.remember(CHARGE, told, now_us=START_US, failures=1)
    assert [missing(local, failures=1), missing(local, failures=2)] == [0, 5]
    local.remember(CHARGE, told, now_us=START_US, failures=2, is_doubtful=True)
    assert missing(local, failures=2) == 5
    local.remember(CHARGE, told, now_us=START_US, failures=2)
    assert missing(local, failures=2) == 0


def test_while_the_others_may_not_know_the_shared_bucket_lacks_what_this_share_does():
    local = LocalBuckets(workers=2)
    local.settle(until_us=START_US + SECOND_US)
    given = [local.take_alongside(CHARGE, now_us=START_US, epoch_now_us=START_US).admitted for _ in range(12)]
    assert given == [True] * 10 + [False] * 2
    # But for the charge itself, which the shared bucket is asked for.
    assert missing(local, failures=0) == 9
    local.give_back_alongside(CHARGE)
    assert missing(local, failures=0) == 8
    assert missing(local, after_us=SECOND_US, failures=0) == 0


def test_a_charge_that_is_given_back_was_never_given():
    local = local_with(5)
    local.give_back_alone(CHARGE)
    assert owed(local) == 4


def test_local_buckets_are_bounded_and_the_longest_unused_goes_first_with_what_it_owed():
    local = LocalBuckets(workers=1, capacity=2)
    charges = {identity: Charge(identity, "read", Bucket(1, 2)) for identity in "abc"}
    for identity in "abac":
        local.take_alone(charges[identity], now_us=START_US, epoch_now_us=START_US)
    assert len(local) == 2
    assert not local.take_alone(charges["a"], now_us=START_US, epoch_now_us=START_US).admitted
    assert [owed(local, charge=charges[identity]) for identity in "abc"] == [2, 0, 1]


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


def test_a_redis_that_was_restarted_between_two_requests_gives_no_second_burst(redis_server, standing_clock):
    limiter = Limiter(workers=1, clock=lambda: START_US * 1000)
    assert all(limiter.admit(Charge("key:9", "read", Bucket(1, 2))).admitted for _ in range(2))
    redis_server.kill()
    redis_server.start()
    admitted = [limiter.admit(Charge("key:9", "read", Bucket(1, 2))).admitted for _ in range(5)]
    assert sum(admitted) <= 1  # the request that finds the socket closed does not know yet
