"""What processes give while Redis is away, and the worst case of `docs/limits.md`."""

from fractions import Fraction

import pytest
from django_redis import get_redis_connection
from hypothesis import given
from hypothesis import strategies as st

from ratelimit.limits.limiter import LocalLimits
from ratelimit.limits.token_bucket import SECOND_US, Bucket, Charge
from tests.ratelimit.limits.outages import BURST, RATE, START_US, with_redis

pytestmark = pytest.mark.system

steps = st.lists(st.integers(0, 2 * SECOND_US), max_size=8)


def shares(*, workers: int, rate: int = RATE) -> int:
    """Tokens that the shares of all processes hold together."""
    return workers * max(1, 2 * rate // workers)


@with_redis
@given(workers=st.integers(1, 9), rate=st.sampled_from([1, 2, 3, 10]), during=steps)
def test_while_redis_is_away_all_processes_together_give_their_shares(made_world, workers, rate, during):
    world = made_world(workers=workers)
    world.is_away = True
    given_out = world.greedy([0, *during], rate=rate)
    elapsed = Fraction(world.now_us - START_US, SECOND_US)
    assert given_out <= shares(workers=workers, rate=rate) + rate * elapsed


@with_redis
@given(
    workers=st.integers(1, 4),
    outages=st.lists(
        st.tuples(steps, steps, st.sampled_from(["frozen", "killed", "emptied"])), min_size=1, max_size=3
    ),
)
def test_an_outage_gives_one_more_burst_when_it_begins_and_one_when_it_ends(made_world, workers, outages):
    world = made_world(workers=workers)
    given_out = world.greedy([0])
    for during, afterwards, fault in outages:
        world.is_away = fault != "emptied"
        given_out += world.greedy([0, *during])
        if fault != "frozen":
            get_redis_connection("default").flushall()
        world.is_away = False
        given_out += world.greedy([0, *afterwards])
    elapsed = Fraction(world.now_us - START_US, SECOND_US)
    assert given_out <= BURST + RATE * elapsed + len(outages) * (BURST + shares(workers=workers))


@with_redis
@given(workers=st.integers(2, 4), during=steps)
def test_a_process_that_is_cut_off_alone_adds_no_more_than_its_share(made_world, workers, during):
    world = made_world(workers=workers)
    world.cut_off = {0}
    given_out = world.greedy([0, *during])
    elapsed = Fraction(world.now_us - START_US, SECOND_US)
    assert given_out <= (BURST + RATE * elapsed) * (1 + Fraction(1, workers))


@pytest.mark.parametrize("workers", [1, 2, 4, 8])
def test_a_caller_that_keeps_to_its_rate_is_not_refused_by_an_outage(made_world, workers):
    world = made_world(workers=workers)
    for is_away in (False, True, False):
        world.is_away = is_away
        for _ in range(60):
            world.now_us += SECOND_US
            assert world.ask().admitted


def test_a_share_that_is_used_up_stays_so_in_the_next_outage(made_world):
    world = made_world(workers=2)
    for expected in (BURST, 0):
        world.is_away = True
        assert world.greedy([0]) == expected
        world.is_away = False
        world.greedy([0])


def test_shares_are_bounded_and_the_longest_unused_goes_first():
    local = LocalLimits(workers=1, buckets=2)

    def admitted(identity: str) -> bool:
        charge = Charge(identity, "read", Bucket(1, 1))
        return local.admit(charge, now_us=START_US, epoch_now_us=START_US).admitted

    assert [admitted(identity) for identity in "abac"] == [True, True, False, True]
    assert len(local) == 2
    assert [admitted(identity) for identity in "ab"] == [False, True]
