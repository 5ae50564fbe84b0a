"""The pure bucket against a closed formula, and the Lua script against the pure bucket."""

import math
from fractions import Fraction

import pytest
from django_redis import get_redis_connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ratelimit.shared_buckets import Charge, bucket_script, take_shared
from ratelimit.token_bucket import SECOND, Bucket, Standing, standing, take

EPOCH = 1_800_000_000 * SECOND

rates = st.one_of(st.integers(1, 20), st.integers(1, 2**31 - 1))
steps = st.one_of(st.integers(0, 1000), st.integers(0, 3 * SECOND), st.integers(-2 * SECOND, 0))


@st.composite
def buckets(draw):
    rate = draw(rates)
    return Bucket(rate=rate, burst=draw(st.sampled_from([1, 2 * rate, rate])), period=SECOND)


@settings(deadline=None)
@given(
    bucket=st.builds(
        Bucket, rate=rates, burst=st.integers(1, 50), period=st.sampled_from([SECOND, 3 * SECOND])
    ),
    moves=st.lists(st.tuples(st.integers(0, 2 * SECOND), st.integers(1, 5)), max_size=60),
)
def test_admitted_tokens_never_exceed_burst_and_rate_times_time(bucket, moves):
    now, full_at, history = EPOCH, None, []
    for step, cost in moves:
        now += step
        taken = take(bucket, full_at=full_at, now=now, cost=cost)
        full_at = taken.full_at
        if taken.admitted:
            history.append((now, cost))
    for i, (begin, _) in enumerate(history):
        total = 0
        for at, cost in history[i:]:
            total += cost
            assert total <= bucket.burst + Fraction((at - begin) * bucket.rate, bucket.period)


@settings(deadline=None)
@given(rate=rates, idle=st.integers(0, 10 * SECOND))
def test_a_full_bucket_gives_exactly_its_burst_at_once(rate, idle):
    bucket, burst = Bucket(rate=rate, burst=min(2 * rate, 200)), min(2 * rate, 200)
    full_at = None
    for _ in range(burst):
        taken = take(bucket, full_at=full_at, now=EPOCH + idle)
        assert taken.admitted
        full_at = taken.full_at
    assert not take(bucket, full_at=full_at, now=EPOCH + idle).admitted


@settings(deadline=None)
@given(bucket=buckets(), spent=st.integers(0, 40), cost=st.integers(1, 3), ahead=st.integers(0, SECOND))
def test_after_retry_after_the_tokens_are_there_and_not_a_microsecond_before(bucket, spent, cost, ahead):
    full_at = None
    for _ in range(spent):
        full_at = take(bucket, full_at=full_at, now=EPOCH).full_at
    now = EPOCH + ahead
    taken = take(bucket, full_at=full_at, now=now, cost=cost)
    told = standing(bucket, taken, kind="read", now=now, epoch_now=now, cost=cost)
    if taken.admitted:
        assert told.retry_after == 0
    elif cost <= bucket.burst:
        assert told.retry_after > 0
        assert take(bucket, full_at=taken.full_at, now=now + told.retry_after, cost=cost).admitted
        assert not take(bucket, full_at=taken.full_at, now=now + told.retry_after - 1, cost=cost).admitted


@settings(deadline=None)
@given(bucket=buckets(), back=st.integers(0, 10**12))
def test_a_clock_that_was_set_back_denies_for_one_refill_at_most(bucket, back):
    full_at = take(bucket, full_at=None, now=EPOCH, cost=bucket.burst).full_at
    denied = take(bucket, full_at=full_at, now=EPOCH - back)
    told = standing(bucket, denied, kind="read", now=EPOCH - back, epoch_now=EPOCH - back)
    assert told.until_full <= math.ceil(bucket.capacity / bucket.rate)


def test_a_cost_above_the_burst_is_never_admitted():
    assert not take(Bucket(rate=1, burst=2), full_at=None, now=EPOCH, cost=3).admitted


def test_standing_of_a_bucket_with_a_third_of_a_token_in_use():
    bucket = Bucket(rate=3, burst=6)
    taken = take(bucket, full_at=None, now=EPOCH)
    assert standing(bucket, taken, kind="read", now=EPOCH, epoch_now=EPOCH) == Standing(
        admitted=True,
        kind="read",
        limit=6,
        remaining=5,
        refill=2 * SECOND,
        now=EPOCH,
        until_full=333_334,
        retry_after=0,
    )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pair=st.tuples(buckets(), buckets()),
    moves=st.lists(st.tuples(steps, st.integers(1, 4), st.integers(1, 4)), min_size=1, max_size=40),
)
def test_the_script_computes_what_the_pure_function_does(redis_server, pair, moves):
    get_redis_connection("default").flushall()
    now = EPOCH
    states: list[int | None] = [None, None]
    for step, *costs in moves:
        now += step
        taken = [
            take(bucket, full_at=full_at, now=now, cost=cost)
            for bucket, full_at, cost in zip(pair, states, costs, strict=True)
        ]
        admitted = all(t.admitted for t in taken)
        if admitted:
            states = [t.full_at for t in taken]
        charges = [
            Charge("key:1", kind, bucket, cost)
            for kind, bucket, cost in zip(("read", "write"), pair, costs, strict=True)
        ]
        told = take_shared(charges, now=now)
        assert [s.admitted for s in told] == [admitted, admitted]
        if admitted:
            expected = [
                standing(b, t, kind=s.kind, now=now, epoch_now=now)
                for b, t, s in zip(pair, taken, told, strict=True)
            ]
            assert told == expected


def test_one_empty_bucket_leaves_the_others_uncharged(redis_server):
    full, empty = Bucket(rate=10, burst=20), Bucket(rate=1, burst=1)
    take_shared([Charge("key:1", "write", empty)], now=EPOCH)
    told = take_shared([Charge("key:1", "read", full), Charge("key:1", "write", empty)], now=EPOCH)
    assert [s.admitted for s in told] == [False, False]
    assert [s.retry_after for s in told] == [0, SECOND]
    assert take_shared([Charge("key:1", "read", full)], now=EPOCH)[0].remaining == 19


def test_the_servers_clock_is_used_and_the_key_lives_until_the_bucket_is_full(redis_server):
    client = get_redis_connection("default")
    (told,) = take_shared([Charge("key:1", "read", Bucket(rate=10, burst=20), cost=20)])
    seconds, microseconds = client.time()
    assert 0 <= seconds * SECOND + microseconds - told.now < SECOND
    assert told.until_full == 2 * SECOND
    assert 0 < client.pttl("ratelimit:read:key:1") <= 2001


@pytest.mark.parametrize(
    "garbage",
    [b"", b"x", b"\xff\x00", b"1e400 0", b"-5 0", b"nan 1", b"1", "list"],
    ids=["empty", "text", "bytes", "exponent", "negative", "nan", "half", "another type"],
)
def test_garbage_under_a_key_is_a_full_bucket_and_never_unlimited(redis_server, garbage):
    client = get_redis_connection("default")
    key, bucket = "ratelimit:read:key:1", Bucket(rate=1, burst=2)
    client.rpush(key, "x") if garbage == "list" else client.set(key, garbage)
    admitted = [take_shared([Charge("key:1", "read", bucket)], now=EPOCH)[0].admitted for _ in range(3)]
    assert admitted == [True, True, False]


def test_an_absurdly_late_state_denies_for_one_refill_at_most(redis_server):
    get_redis_connection("default").set("ratelimit:read:key:1", b"9" * 400 + b" 7")
    (told,) = take_shared([Charge("key:1", "read", Bucket(rate=1, burst=2))], now=EPOCH)
    assert (told.admitted, told.retry_after) == (False, SECOND)


def test_a_lowered_rate_reads_the_state_of_the_higher_one(redis_server):
    take_shared([Charge("key:1", "read", Bucket(rate=7, burst=14))], now=EPOCH)
    (told,) = take_shared([Charge("key:1", "read", Bucket(rate=2, burst=4))], now=EPOCH)
    assert (told.admitted, told.remaining) == (True, 2)


def test_a_server_that_forgot_the_script_is_given_it_again(redis_server):
    charge = Charge("key:1", "read", Bucket(rate=1, burst=2))
    take_shared([charge], now=EPOCH)
    client = get_redis_connection("default")
    client.script_flush()
    assert take_shared([charge], now=EPOCH)[0].remaining == 0
    assert client.script_exists(bucket_script().sha) == [True]
