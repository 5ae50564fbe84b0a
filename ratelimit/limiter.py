"""Whether a request may pass: the shared bucket, or this process's share of it while Redis is away."""

import logging
import time
from collections.abc import Callable
from functools import cache

from django.conf import settings
from redis.exceptions import RedisError

from ratelimit.leases import Leases, lot
from ratelimit.local_buckets import LocalBuckets
from ratelimit.shared_buckets import Charge, take_shared
from ratelimit.tiers import burst_of
from ratelimit.token_bucket import Bucket, Standing

logger = logging.getLogger(__name__)


class Limiter:
    """The limiter of one process, one of `workers`. `clock` is monotonic, `wall_clock` since the epoch, both in ns."""

    def __init__(
        self,
        *,
        workers: int,
        clock: Callable[[], int] = time.monotonic_ns,
        wall_clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._clock = clock
        self._wall_clock = wall_clock
        self._leases = Leases()
        self._local = LocalBuckets(workers=workers)
        self._is_local = False

    def admit(self, *, caller_identity: str, rate: int, kind: str, cost: int = 1) -> Standing:
        """Charge `cost` tokens (at most the burst) at `rate` per second; see `admitted` of the answer."""
        now = self._clock()
        tokens = lot(rate, cost)
        if tokens > cost:
            leased = self._leases.spend((caller_identity, kind, rate), cost=cost, now=now)
            if leased is not None:
                return leased
        bucket = _bucket(rate)
        owed = self._local.owed(identity=caller_identity, kind=kind, bucket=bucket, now=now // 1000)
        try:
            charge = Charge(caller_identity, kind, bucket, min(tokens + owed, bucket.burst))
            standing = take_shared([charge])[0]
        except RedisError as error:
            self._note(is_local=True, error=error)
            return self._local.take(
                identity=caller_identity,
                kind=kind,
                bucket=bucket,
                cost=cost,
                now=self._clock() // 1000,
                epoch_now=self._wall_clock() // 1000,
            )
        if self._is_local:
            self._note(is_local=False)
        if owed and standing.admitted:
            self._local.settle(identity=caller_identity, kind=kind, rate=rate)
        self._local.remember(identity=caller_identity, rate=rate, standing=standing, now=now // 1000)
        if tokens > cost and standing.admitted:
            self._leases.deposit(
                (caller_identity, kind, rate), tokens=tokens - cost, standing=standing, now=now
            )
        return standing

    def _note(self, *, is_local: bool, error: RedisError | None = None) -> None:
        if is_local == self._is_local:
            return
        self._is_local = is_local
        if is_local:
            logger.warning("Redis is away, limits are kept by each process alone: %s", error)
        else:
            logger.info("Redis is back, limits are shared again")


def admit(*, caller_identity: str, rate: int, kind: str, cost: int = 1) -> Standing:
    """Charge a caller's bucket of that kind (`read` or `write`) in this process's limiter."""
    return process_limiter().admit(caller_identity=caller_identity, rate=rate, kind=kind, cost=cost)


@cache
def process_limiter() -> Limiter:
    return Limiter(workers=settings.WORKERS)


@cache
def _bucket(rate: int) -> Bucket:
    return Bucket(rate=rate, burst=burst_of(rate))
