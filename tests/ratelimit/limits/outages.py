"""Processes of one installation that lose Redis, on a clock that tests set."""

from django_redis import get_redis_connection
from hypothesis import HealthCheck, settings
from redis.exceptions import RedisError

from ratelimit.limits import shared_limits
from ratelimit.limits.limiter import Limiter
from ratelimit.limits.shared_limits import SharedAnswer, SharedCharge
from ratelimit.limits.token_bucket import SECOND_US, Bucket, BucketState, Charge
from tests.chance import examples

RATE, BURST = 10, 20
START_US = 5_000 * SECOND_US

with_redis = settings(
    max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


class World:
    """Processes of one installation, their clock, and a Redis that goes by that clock and can be away."""

    def __init__(self, *, workers: int = 1) -> None:
        self.now_us = START_US
        self.is_away = False
        self.cut_off: set[int] = set()
        self.asking = 0
        self.limiters = [
            Limiter(workers=workers, clock=self.clock_ns, wall_clock=self.clock_ns) for _ in range(workers)
        ]
        get_redis_connection("default").flushall()

    def clock_ns(self) -> int:
        return self.now_us * 1000

    def take_shared(self, charge: SharedCharge) -> SharedAnswer:
        if self.is_away or self.asking in self.cut_off:
            raise RedisError("away")
        return shared_limits.take_shared(charge, now_us=self.now_us)

    def ask(self, *, worker: int = 0, rate: int = RATE) -> BucketState:
        self.asking = worker
        return self.limiters[worker].admit(Charge("key:1", "read", Bucket(rate, 2 * rate))).bucket

    def greedy(self, steps: list[int], *, rate: int = RATE) -> int:
        """How many tokens are given if every process takes all it can after each step of time."""
        count = 0
        for step in steps:
            self.now_us += step
            workers = 2 * rate * list(range(len(self.limiters)))
            count += sum(self.ask(worker=worker, rate=rate).admitted for worker in workers)
        return count
