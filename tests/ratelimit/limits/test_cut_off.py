"""What is given over a bucket's measure when a process is cut off from a Redis that others still use."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit.limits.buckets.token_bucket import SECOND_US
from tests.ratelimit.limits.outages import BURST, RATE, START_US, with_redis

PAUSE_US = SECOND_US


def most(*, workers: int, elapsed_us: int, alone_us: int) -> Fraction:
    """Tokens that may be given in all: the bucket's, and of those cut off their shares.

    `alone_us` is the time for which they were cut off, all of them added up.
    """
    of_bucket = BURST + Fraction(RATE * elapsed_us, SECOND_US)
    of_shares = Fraction((workers - 1) * BURST, workers) + Fraction(RATE * alone_us, workers * SECOND_US)
    return of_bucket + of_shares


times = st.lists(st.integers(0, SECOND_US // 3), max_size=5)
cuts = st.tuples(times, times, st.sets(st.integers(0, 3), min_size=1, max_size=3), st.booleans())


@with_redis
@given(workers=st.integers(2, 4), is_used_up=st.booleans(), faults=st.lists(cuts, min_size=1, max_size=4))
def test_over_the_buckets_measure_are_at_most_the_shares_of_those_who_are_cut_off(
    made_world, workers, is_used_up, faults
):
    """All are greedy, and at least one is never cut off.

    The last call of some is carried out though they do not hear of it.
    """
    world, alone_us = made_world(workers=workers), 0
    given_at = world.greedy([0] if is_used_up else [])
    for during, back, cut, is_unheard in faults:
        world.unaware = {worker for worker in cut if worker < workers - 1}
        world.unheard = set(world.unaware) if is_unheard else set()
        for step in [0, *during]:
            alone_us += step * len(world.unaware)
            given_at += world.greedy([step])
            elapsed_us = world.now_us - START_US
            assert len(given_at) <= most(workers=workers, elapsed_us=elapsed_us, alone_us=alone_us)
        world.unaware, world.unheard = set(), set()
        given_at += world.greedy([0, *back])


@pytest.mark.parametrize("workers", [2, 4])
@pytest.mark.parametrize("is_unheard", [False, True])
@pytest.mark.parametrize("away_us", [PAUSE_US, 19 * SECOND_US // 10])
def test_of_a_bucket_in_full_use_what_was_given_beside_it_is_had_back(
    made_world, workers, is_unheard, away_us
):
    """The bucket was empty before: a share's inflow comes beside the bucket's, and then nothing is over."""
    world = made_world(workers=workers)
    given_at = world.greedy([0])
    world.unaware = {0}
    world.unheard = {0} if is_unheard else set()
    given_at += world.greedy([0, *[away_us // 10] * 10])
    alone = Fraction(RATE * away_us, workers * SECOND_US)
    assert len(given_at) <= BURST + Fraction(RATE * away_us, SECOND_US) + alone + 1
    world.unaware = set()
    given_at += world.greedy([0, *[PAUSE_US // 10] * 20])
    assert len(given_at) <= BURST + Fraction(RATE * (world.now_us - START_US), SECOND_US)
