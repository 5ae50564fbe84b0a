"""What one process knows of a bucket and gives of its share, and what is owed for that."""

import threading

import pytest

from ratelimit.limits.buckets.local_buckets import LocalBuckets
from ratelimit.limits.buckets.token_bucket import SECOND_US, Bucket, Charge, Standing
from tests.ratelimit.limits.outages import BURST, RATE, START_US

CHARGE = Charge("key:1", "read", Bucket(RATE, BURST))


def local_with(tokens: int, *, workers: int = 1) -> LocalBuckets:
    """A process that gave that many tokens by itself, all at the start."""
    local = LocalBuckets(workers=workers)
    for _ in range(tokens):
        assert local.take_alone(CHARGE, now_us=START_US, epoch_now_us=START_US).admitted
    return local


def shared_standing(*, until_full_us: int) -> Standing:
    return Standing(True, "read", BURST, 1, 2 * SECOND_US, START_US, until_full_us, 0)


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
