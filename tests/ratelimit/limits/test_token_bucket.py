"""The pure bucket against a closed formula, and the Lua script against the pure bucket."""

from fractions import Fraction

import pytest
from django_redis import get_redis_connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ratelimit.limits.shared_limits import SharedCharge, admission_script, take_shared
from ratelimit.limits.token_bucket import SECOND_US, Bucket, BucketState, Charge, bucket_state, take
from tests.chance import examples
from tests.patience import PATIENCE_SECONDS

EPOCH = 1_800_000_000 * SECOND_US

rates = st.one_of(st.integers(1, 20), st.integers(1, 2**31 - 1))
steps = st.one_of(st.integers(0, 1000), st.integers(0, 3 * SECOND_US), st.integers(-2 * SECOND_US, 0))


@st.composite
def buckets(draw):
    rate = draw(rates)
    return Bucket(rate=rate, burst=draw(st.sampled_from([1, 2 * rate, rate])), period_us=SECOND_US)


@settings(deadline=None)
@given(
    bucket=st.builds(
        Bucket, rate=rates, burst=st.integers(1, 50), period_us=st.sampled_from([SECOND_US, 3 * SECOND_US])
    ),
    moves=st.lists(st.tuples(st.integers(0, 2 * SECOND_US), st.integers(1, 5)), max_size=60),
)
def test_admitted_tokens_never_exceed_burst_and_rate_times_time(bucket, moves):
    now, full_at, history = EPOCH, None, []
    for step, cost in moves:
        now += step
        taken = take(bucket, full_at=full_at, now_us=now, cost=cost)
        full_at = taken.full_at
        if taken.admitted:
            history.append((now, cost))
    for i, (begin, _) in enumerate(history):
        total = 0
        for at, cost in history[i:]:
            total += cost
            assert total <= bucket.burst + Fraction((at - begin) * bucket.rate, bucket.period_us)


@settings(deadline=None)
@given(rate=rates, idle=st.integers(0, 10 * SECOND_US))
def test_a_full_bucket_gives_exactly_its_burst_at_once(rate, idle):
    bucket, burst = Bucket(rate=rate, burst=min(2 * rate, 200)), min(2 * rate, 200)
    full_at = None
    for _ in range(burst):
        taken = take(bucket, full_at=full_at, now_us=EPOCH + idle)
        assert taken.admitted
        full_at = taken.full_at
    assert not take(bucket, full_at=full_at, now_us=EPOCH + idle).admitted


@settings(deadline=None)
@given(bucket=buckets(), spent=st.integers(0, 40), cost=st.integers(1, 3), ahead=st.integers(0, SECOND_US))
def test_after_retry_after_the_tokens_are_there_and_not_a_microsecond_before(bucket, spent, cost, ahead):
    full_at = None
    for _ in range(spent):
        full_at = take(bucket, full_at=full_at, now_us=EPOCH).full_at
    now = EPOCH + ahead
    taken = take(bucket, full_at=full_at, now_us=now, cost=cost)
    told = bucket_state(bucket, taken, name="read", now_us=now, epoch_now_us=now, cost=cost)
    if taken.admitted:
        assert told.retry_after_us == 0
    elif cost <= bucket.burst:
        assert told.retry_after_us > 0
        assert take(bucket, full_at=taken.full_at, now_us=now + told.retry_after_us, cost=cost).admitted
        assert not take(
            bucket, full_at=taken.full_at, now_us=now + told.retry_after_us - 1, cost=cost
        ).admitted


@settings(deadline=None)
@given(bucket=buckets(), back=st.integers(1, 10**12))
def test_a_clock_that_was_set_back_leaves_at_most_the_deepest_debt(bucket, back):
    full_at = take(bucket, full_at=None, now_us=EPOCH, cost=bucket.burst).full_at
    denied = take(bucket, full_at=full_at, now_us=EPOCH - back)
    start = (EPOCH - back) * bucket.rate
    assert denied == (False, min(full_at, start + 2 * bucket.capacity))


@settings(deadline=None)
@given(bucket=buckets(), used=st.integers(0, 3), debts=st.lists(st.integers(1, 100), min_size=1, max_size=5))
def test_a_debt_is_taken_to_one_burst_below_empty_and_then_waited_for(bucket, used, debts):
    used = min(used, bucket.burst)
    full_at = take(bucket, full_at=None, now_us=EPOCH, cost=used).full_at
    for debt in debts:
        taken = take(bucket, full_at=full_at, now_us=EPOCH, cost=debt, is_debt=True)
        full_at = taken.full_at
        assert taken.admitted
    owed = min(used + sum(debts), 2 * bucket.burst)
    assert full_at == EPOCH * bucket.rate + owed * bucket.period_us
    told = bucket_state(bucket, taken, name="read", now_us=EPOCH, epoch_now_us=EPOCH)
    assert told.remaining == max(0, bucket.burst - owed)
    # To the microsecond.
    assert take(bucket, full_at=full_at, now_us=EPOCH + told.debt_us + 1, cost=0).admitted
    if told.debt_us:
        assert not take(bucket, full_at=full_at, now_us=EPOCH + told.debt_us - 2, cost=0).admitted
    refused = take(bucket, full_at=full_at, now_us=EPOCH)
    if owed >= bucket.burst:
        told = bucket_state(bucket, refused, name="read", now_us=EPOCH, epoch_now_us=EPOCH)
        assert not refused.admitted
        assert take(bucket, full_at=full_at, now_us=EPOCH + told.retry_after_us).admitted
        assert not take(bucket, full_at=full_at, now_us=EPOCH + told.retry_after_us - 1).admitted


def test_a_cost_above_the_burst_is_never_admitted():
    assert not take(Bucket(rate=1, burst=2), full_at=None, now_us=EPOCH, cost=3).admitted


def test_the_state_of_a_bucket_with_a_third_of_a_token_in_use():
    bucket = Bucket(rate=3, burst=6)
    taken = take(bucket, full_at=None, now_us=EPOCH)
    assert bucket_state(bucket, taken, name="read", now_us=EPOCH, epoch_now_us=EPOCH) == BucketState(
        admitted=True,
        name="read",
        limit=6,
        remaining=5,
        refill_us=2 * SECOND_US,
        now_us=EPOCH,
        until_full_us=333_334,
        retry_after_us=0,
    )


@settings(
    max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    bucket=buckets(),
    moves=st.lists(st.tuples(steps, st.integers(0, 4), st.booleans()), min_size=1, max_size=40),
)
def test_the_script_computes_what_the_pure_function_does(redis_server, bucket, moves):
    get_redis_connection("default").flushall()
    now_us, full_at = EPOCH, None
    for step, cost, is_debt in moves:
        now_us += step
        taken = take(bucket, full_at=full_at, now_us=now_us, cost=cost, is_debt=is_debt)
        is_clamped = full_at is not None and full_at > now_us * bucket.rate + 2 * bucket.capacity
        if (taken.admitted and cost) or is_clamped:
            full_at = taken.full_at
        answer = take_shared(SharedCharge(Charge("key:1", "read", bucket, cost, is_debt)), now_us=now_us)
        assert answer.bucket == bucket_state(
            bucket, taken, name="read", now_us=now_us, epoch_now_us=now_us, cost=cost
        )


def test_the_servers_clock_is_used_and_the_key_lives_until_the_bucket_is_full(redis_server):
    client = get_redis_connection("default")
    told = take_shared(SharedCharge(Charge("key:1", "read", Bucket(rate=1, burst=200), cost=200))).bucket
    seconds, microseconds = client.time()
    assert 0 <= seconds * SECOND_US + microseconds - told.now_us < PATIENCE_SECONDS * SECOND_US
    assert told.until_full_us == 200 * SECOND_US
    assert 200_000 - PATIENCE_SECONDS * 1000 < client.pttl("ratelimit:read:key:1") <= 200_001


@pytest.mark.parametrize(
    "garbage",
    [b"", b"x", b"\xff\x00", b"1e400 0", b"-5 0", b"nan 1", b"1", b"9" * 17 + b" 7", "list"],
    ids=["empty", "text", "bytes", "exponent", "negative", "nan", "half", "no instant", "another type"],
)
def test_garbage_under_a_key_is_a_full_bucket_and_never_unlimited(redis_server, garbage):
    client = get_redis_connection("default")
    key, bucket = "ratelimit:read:key:1", Bucket(rate=1, burst=2)
    client.rpush(key, "x") if garbage == "list" else client.set(key, garbage)
    admitted = [
        take_shared(SharedCharge(Charge("key:1", "read", bucket)), now_us=EPOCH).bucket.admitted
        for _ in range(3)
    ]
    assert admitted == [True, True, False]


def test_a_state_after_a_clock_that_was_set_back_is_the_deepest_debt_and_fills_up(redis_server):
    charge = Charge("key:1", "read", Bucket(rate=1, burst=2))
    get_redis_connection("default").set("ratelimit:read:key:1", b"9" * 16 + b" 7")
    refused = take_shared(SharedCharge(charge), now_us=EPOCH).bucket
    assert (refused.admitted, refused.remaining, refused.retry_after_us) == (False, 0, 3 * SECOND_US)
    assert take_shared(SharedCharge(charge), now_us=EPOCH + 3 * SECOND_US).bucket.admitted


def test_a_lowered_rate_reads_the_state_of_the_higher_one(redis_server):
    take_shared(SharedCharge(Charge("key:1", "read", Bucket(rate=7, burst=14))), now_us=EPOCH)
    told = take_shared(SharedCharge(Charge("key:1", "read", Bucket(rate=2, burst=4))), now_us=EPOCH).bucket
    assert (told.admitted, told.remaining) == (True, 2)


def test_a_server_that_forgot_the_script_is_given_it_again(redis_server):
    charge = Charge("key:1", "read", Bucket(rate=1, burst=2))
    take_shared(SharedCharge(charge), now_us=EPOCH)
    client = get_redis_connection("default")
    client.script_flush()
    assert take_shared(SharedCharge(charge), now_us=EPOCH).bucket.remaining == 0
    assert client.script_exists(admission_script().sha) == [True]
