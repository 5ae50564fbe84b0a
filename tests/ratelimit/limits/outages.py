"""Processes of one installation that lose Redis, on clocks that tests set."""

from typing import Any

from django_redis import get_redis_connection
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from redis.exceptions import RedisError

from ratelimit.limits import shared_buckets
from ratelimit.limits.buckets.token_bucket import SECOND_US, Bucket, Charge, Standing
from ratelimit.limits.limiter import Limiter
from ratelimit.limits.shared_buckets import Told

RATE, BURST = 10, 20
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
        # Of those who have not found out yet that Redis is back, or are cut off from it.
        self.unaware: set[int] = set()
        # Of those whose next call is carried out, though its answer comes too late.
        self.unheard: set[int] = set()
        self.asking = 0
        self.failures = 0
        self.limiters = [
            Limiter(workers=workers, clock=self.clock_ns, wall_clock=self.clock_ns) for _ in range(workers)
        ]
        get_redis_connection("default").flushall()

    def clock_ns(self) -> int:
        return self.now_us * 1000

    def take_shared(self, charge: Charge, **details: Any) -> Told:
        if self.asking in self.unheard:
            self.unheard.remove(self.asking)
            shared_buckets.take_shared(charge, now_us=self.now_us, **details)
            self.failures += 1
            raise RedisError("too late")
        if self.is_away or self.asking in self.unaware:
            self.failures += 1
            raise RedisError("away")
        return shared_buckets.take_shared(charge, now_us=self.now_us, **details)

    def ask(self, *, worker: int = 0, rate: int = RATE) -> Standing:
        self.asking = worker
        return self.limiters[worker].admit(Charge("key:1", "read", Bucket(rate, 2 * rate))).bucket

    def greedy(self, steps: list[int]) -> list[int]:
        """When tokens were given, if every process takes all there is after each step of time."""
        given_at = []
        for step in steps:
            self.now_us += step
            workers = BURST * list(range(len(self.limiters)))
            given_at += [self.now_us for worker in workers if self.ask(worker=worker).admitted]
        return given_at
