"""Quotas against a plain count, over any moves of callers, Redis and time."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from django.db import DatabaseError, connection
from django_redis import get_redis_connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.exceptions import RedisError

from ratelimit.limits import shared_limits
from ratelimit.limits.admission import QUOTA_EXCEEDED, RATE_LIMITED, Admission
from ratelimit.limits.limiter import Limiter
from ratelimit.limits.quotas import DAY, MONTH, RETENTION, QuotaCharge, period_at, quota_usage_delete_old
from ratelimit.limits.shared_limits import SharedAnswer, SharedCharge
from ratelimit.limits.token_bucket import SECOND_US, Bucket, Charge
from ratelimit.models import QuotaUse
from tests.chance import examples
from tests.patience import PATIENCE_SECONDS
from tests.ratelimit.processes import asked_at_once
from tests.ratelimit.redis_server import RedisServer

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.system]

DAY_US = 86_400 * SECOND_US
NOW = datetime(2026, 11, 30, 23, tzinfo=UTC)  # the last hour of a month
START_US = int(NOW.timestamp()) * SECOND_US
WIDE = Bucket(1_000_000, 2_000_000)
ATTEMPTS = 10

with_redis = settings(
    max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


class World:
    """Processes of one installation, the clock of Redis and of all of them, and a Redis that can be away."""

    def __init__(self, *, workers: int = 1, ahead_us: int = 0) -> None:
        self.now_us = START_US
        self.ahead_us = ahead_us
        self.is_away = False
        self.calls = 0
        self.limiters = [
            Limiter(workers=workers, clock=self.clock_ns, wall_clock=self.wall_clock_ns)
            for _ in range(workers)
        ]
        get_redis_connection("default").flushall()
        QuotaUse.objects.all().delete()

    def clock_ns(self) -> int:
        return self.now_us * 1000

    def wall_clock_ns(self) -> int:
        return (self.now_us + self.ahead_us) * 1000

    def take_shared(self, charge: SharedCharge) -> SharedAnswer:
        if self.is_away:
            raise RedisError("away")
        self.calls += 1
        return shared_limits.take_shared(charge, now_us=self.now_us)

    def suffer(self, move: str, redis_server: RedisServer) -> None:
        if move == "write":
            self.write()
        elif move == "flush":
            get_redis_connection("default").flushall()
        else:
            redis_server.kill()
            redis_server.start()

    def write(self) -> None:
        """Write all counts, as each process does once a minute."""
        for limiter in self.limiters:
            limiter.quota_counts.flush()

    def ask(
        self, *, day: int | None = None, month: int | None = None, tokens: int = 1, worker: int = 0,
        bucket: Bucket = WIDE,
    ) -> Admission:  # fmt: skip
        limits = ((DAY, day), (MONTH, month))
        quotas = tuple(QuotaCharge(unit, limit, tokens) for unit, limit in limits if limit is not None)
        return self.limiters[worker].admit(Charge("key:1", "read", bucket, max(1, tokens)), quotas)


@pytest.fixture
def made_world(redis_server, monkeypatch):
    def made(*, workers: int = 1, ahead_us: int = 0) -> World:
        world = World(workers=workers, ahead_us=ahead_us)
        monkeypatch.setattr("ratelimit.limits.limiter.take_shared", world.take_shared)
        return world

    return made


def written(unit: str = DAY) -> int:
    period = period_at(unit, START_US)
    return QuotaUse.objects.filter(period=period.name).values_list("booked", flat=True).first() or 0


@with_redis
@given(
    day=st.one_of(st.none(), st.integers(1, 40), st.just(4000)),
    month=st.one_of(st.none(), st.integers(1, 60)),
    moves=st.lists(st.tuples(st.integers(0, 1), st.integers(1, 7), st.integers(0, 30)), max_size=25),
)
def test_with_redis_every_answer_is_that_of_one_counter(made_world, day, month, moves):
    """Admitted, remaining, which quota refused, when it begins anew: two processes are as one counter that forgets nothing."""
    world = made_world(workers=2)
    used: dict[str, int] = {}
    limits = {unit: limit for unit, limit in ((DAY, day), (MONTH, month)) if limit is not None}
    for worker, tokens, minutes in moves:
        world.now_us += minutes * 60 * SECOND_US
        told = world.ask(day=day, month=month, tokens=tokens, worker=worker)
        periods = {unit: period_at(unit, world.now_us) for unit in limits}
        left = {unit: limits[unit] - used.get(periods[unit].name, 0) for unit in limits}
        fits = all(tokens <= rest for rest in left.values())
        assert told.admitted == fits
        for unit in limits if fits else ():
            used[periods[unit].name] = used.get(periods[unit].name, 0) + tokens
        refused = [unit for unit, rest in left.items() if tokens > rest]
        assert [quota.name for quota in told.quotas if not quota.admitted] == refused
        assert told.code == (QUOTA_EXCEEDED if refused else "")
        ends = [periods[unit].ends_us - world.now_us for unit in refused]
        assert told.retry_after_us == max(ends, default=0)
        assert {quota.name: quota.remaining for quota in told.quotas} == {
            unit: rest - (tokens if fits else 0) for unit, rest in left.items()
        }


@with_redis
@given(
    quota=st.sampled_from([1, 7, 30, 3000]),
    workers=st.integers(1, 3),
    moves=st.lists(
        st.tuples(
            st.sampled_from(["ask", "ask", "ask", "ask", "write", "flush", "restart"]),
            st.integers(0, 2),
            st.integers(1, 3),
        ),
        max_size=30,
    ),
)
def test_losses_of_redis_give_again_at_most_what_was_not_written(
    made_world, redis_server, quota, workers, moves
):
    """`unwritten` is what was given since the last write; it may be given again for each loss, in each process."""
    world, given_out, unwritten, again = made_world(workers=workers), 0, 0, 0
    for move, worker, tokens in moves:
        if move == "ask":
            admitted = world.ask(day=quota, tokens=tokens, worker=worker % workers).admitted
            given_out += tokens * admitted
            unwritten += tokens * admitted
        else:
            world.suffer(move, redis_server)
            unwritten = 0 if move == "write" else unwritten
            again += unwritten
    for tokens in (500, 3, 1):
        for worker in range(workers):
            while world.ask(day=quota, tokens=tokens, worker=worker).admitted:
                given_out += tokens
    assert quota <= given_out <= quota + again


def test_a_request_writes_nothing_and_reads_the_database_once(made_world, django_assert_num_queries):
    world = made_world()
    with django_assert_num_queries(1):
        assert [world.ask(day=5000, month=6000).quotas[0].remaining for _ in range(3)] == [4999, 4998, 4997]
    assert world.calls == 4
    world.write()
    assert (written(), written(MONTH)) == (3, 3)


def test_after_a_loss_of_redis_counts_are_read_back(made_world):
    world = made_world(workers=2)
    for worker in (0, 0, 1):
        world.ask(day=10, worker=worker)
    world.write()
    world.ask(day=10, worker=0)
    get_redis_connection("default").flushall()
    # The other process does not know of the call that is not written yet.
    assert world.ask(day=10, worker=1).quotas[0].remaining == 6
    world.write()
    assert written() == 4


def test_a_count_that_could_not_be_written_is_written_later(made_world, monkeypatch):
    world = made_world()
    for _ in range(2):
        world.ask(day=10)

    def locked(*_: object, **__: object) -> None:
        raise DatabaseError("locked")

    with monkeypatch.context() as patch:
        patch.setattr(QuotaUse.objects, "filter", locked)
        with pytest.raises(DatabaseError):
            world.write()
    world.write()
    assert written() == 2


def test_a_quota_that_is_used_up_is_refused_without_the_database(made_world, django_assert_num_queries):
    world = made_world(workers=2)
    assert [world.ask(day=3, worker=number % 2).admitted for number in range(4)] == [True, True, True, False]
    with django_assert_num_queries(0):
        refusals = [world.ask(day=3, worker=number % 2) for number in range(10)]
    assert {(told.code, told.retry_after) for told in refusals} == {(QUOTA_EXCEEDED, 3600)}
    world.now_us += 3600 * SECOND_US
    assert world.ask(day=3).admitted


def test_a_request_that_the_bucket_refuses_costs_nothing_of_a_quota(made_world):
    world, bucket = made_world(), Bucket(1, 2)
    told = [world.ask(day=10, month=20, bucket=bucket) for _ in range(6)]
    assert [one.code for one in told] == ["", "", *[RATE_LIMITED] * 4]
    assert [quota.remaining for quota in told[-1].quotas] == [8, 18]


def test_a_request_that_a_quota_refuses_costs_nothing_of_the_bucket_nor_of_the_other_quota(made_world):
    world, bucket = made_world(), Bucket(10, 20)
    assert world.ask(day=5, month=3, tokens=3, bucket=bucket).admitted
    told = world.ask(day=5, month=3, tokens=2, bucket=bucket)
    assert [(quota.name, quota.admitted, quota.remaining) for quota in told.quotas] == [
        (DAY, True, 2),
        (MONTH, False, 0),
    ]
    assert told.bucket.remaining == 17
    assert world.ask(day=5, tokens=2, bucket=bucket).bucket.remaining == 15


def test_while_redis_is_away_quotas_are_not_charged(made_world, django_assert_num_queries):
    world, bucket = made_world(), Bucket(1, 2)
    assert world.ask(day=5, tokens=4).quotas[0].remaining == 1
    world.is_away = True
    with django_assert_num_queries(0):
        told = [world.ask(day=5, bucket=bucket) for _ in range(3)]
    assert [(one.code, one.quotas) for one in told] == [("", ()), ("", ()), (RATE_LIMITED, ())]
    world.is_away = False
    assert [world.ask(day=5).code for _ in range(2)] == ["", QUOTA_EXCEEDED]


def test_a_workers_own_clock_does_not_matter_while_redis_is_there(made_world):
    world = made_world(ahead_us=2 * DAY_US)
    assert [world.ask(day=2).code for _ in range(3)] == ["", "", QUOTA_EXCEEDED]
    world.write()
    assert {row.period for row in QuotaUse.objects.all()} == {"2026-11-30"}


def test_a_limit_that_is_lowered_holds_at_once_and_one_that_is_raised_too(made_world):
    world = made_world()
    assert all(world.ask(day=10_000).admitted for _ in range(5))
    told = [world.ask(day=7) for _ in range(4)]
    assert [one.admitted for one in told] == [True, True, False, False]
    assert world.ask(day=4).quotas[0].remaining == 0
    assert world.ask(day=9).quotas[0].remaining == 1


def test_a_call_without_quota_tokens_costs_its_bucket_where_a_limit_was_lowered(made_world):
    world = made_world()
    assert all(world.ask(day=10_000).admitted for _ in range(20))
    bucket = Bucket(1, 2)
    assert [world.ask(day=7, tokens=0, bucket=bucket).admitted for _ in range(3)] == [True, False, False]


@pytest.mark.parametrize("garbage", ["", "x", "-1", "1.5", "1e3", "007", "9" * 17, " 1", "list"])
def test_a_malformed_count_counts_as_none(made_world, garbage):
    world, client = made_world(), get_redis_connection("default")
    assert world.ask(day=2).admitted
    world.write()
    key = shared_limits.quota_key("key:1", period_at(DAY, START_US).name)
    client.delete(key)
    client.rpush(key, "x") if garbage == "list" else client.set(key, garbage)
    assert [world.ask(day=2).admitted for _ in range(2)] == [True, False]


def test_a_redis_that_restarts_with_old_data_gives_nothing_twice(redis_server):
    limiter, charge, quotas = (
        Limiter(workers=1),
        Charge("key:1", "read", WIDE),
        (QuotaCharge(DAY, 20_000, 1),),
    )
    limiter.admit(charge, quotas)
    get_redis_connection("default").save()
    for _ in range(15):
        limiter.admit(charge, quotas)
    redis_server.kill()
    redis_server.start()
    (quota,) = limiter.admit(charge, quotas).quotas
    assert quota.remaining == 20_000 - 17


def test_counts_live_in_redis_until_the_period_ends(redis_server):
    limiter = Limiter(workers=1)
    told = limiter.admit(
        Charge("key:1", "read", WIDE), (QuotaCharge(DAY, 5000, 1), QuotaCharge(MONTH, 5000, 1))
    )
    client = get_redis_connection("default")
    for quota in told.quotas:
        lives_us = client.pttl(shared_limits.quota_key("key:1", quota.period.name)) * 1000
        assert -1000 <= quota.until_reset_us - lives_us < PATIENCE_SECONDS * SECOND_US


def test_rows_of_periods_long_over_are_removed_and_no_others():
    for period, age in (
        ("2026-10-20", RETENTION + timedelta(seconds=1)),
        ("2026-11", RETENTION),
        ("2026-11-30", RETENTION * 0),
    ):
        QuotaUse.objects.create(identity="key:1", period=period, booked=1, updated_at=NOW - age)
    assert quota_usage_delete_old(now=NOW) == 1
    assert {row.period for row in QuotaUse.objects.all()} == {"2026-11", "2026-11-30"}


@pytest.mark.parametrize(
    ("unit", "at", "name", "seconds"),
    [
        (DAY, "2026-11-20T00:00:00", "2026-11-20", 86_400),
        (DAY, "2028-02-29T23:59:59", "2028-02-29", 86_400),
        (MONTH, "2028-02-29T23:59:59", "2028-02", 29 * 86_400),
        (MONTH, "2026-12-31T23:59:59", "2026-12", 31 * 86_400),
    ],
)
def test_periods_are_days_and_months_of_utc(unit, at, name, seconds):
    now_us = int(datetime.fromisoformat(at).replace(tzinfo=UTC).timestamp()) * SECOND_US
    period = period_at(unit, now_us)
    assert (period.name, period.ends_us - period.begins_us) == (name, seconds * SECOND_US)
    assert period.begins_us <= now_us < period.ends_us
    assert period_at(unit, period.ends_us).begins_us == period.ends_us


def test_two_processes_give_exactly_the_quota(redis_server, tmp_path):
    path = tmp_path / "quotas.sqlite3"
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT sql FROM sqlite_master WHERE tbl_name = %s AND sql IS NOT NULL", ["ratelimit_quotause"]
        )
        statements = [row[0] for row in cursor.fetchall()]
    with closing(sqlite3.connect(path)) as database:
        database.executescript(";".join(["PRAGMA journal_mode=WAL", *statements]))
    for _ in range(ATTEMPTS):
        told = asked_at_once(
            redis_url=redis_server.url, database_url=f"sqlite:///{path}", rate=100_000, quota=300, seconds=50
        )
        assert sum(one["admitted"] for one in told) == 300
        # Otherwise one of them began when the other had ended.
        if min(one["admitted"] for one in told) > 0:
            return
        get_redis_connection("default").flushall()
    pytest.fail("two processes were never at it at once")


@pytest.mark.parametrize(
    ("limits", "left"),
    [
        ({DAY: 100}, {"day": 69}),
        ({DAY: 20}, {"day": 0}),
        ({DAY: 100, MONTH: 25}, {"day": 69, "month": 0}),
    ],
)
def test_a_debt_may_exceed_a_quota_and_is_always_admitted(made_world, limits, left):
    world = made_world()
    world.ask(day=limits.get(DAY), month=limits.get(MONTH), bucket=Bucket(10, 20))
    quotas = [QuotaCharge(unit, limit, 30) for unit, limit in limits.items()]
    admission = world.limiters[0].charge_debt(Charge("key:1", "read", Bucket(10, 20), 30), quotas)
    assert admission.admitted
    # One token of the bucket is in use before.
    assert (admission.bucket.remaining, admission.bucket.until_full_us) == (0, 3_100_000)
    assert {quota.name: quota.remaining for quota in admission.quotas} == left
    refused = world.ask(bucket=Bucket(10, 20))
    assert (refused.admitted, refused.retry_after_us) == (False, 1_200_000)
