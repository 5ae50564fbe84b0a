"""Whether a request may pass: the shared bucket, or this process's share of it while Redis is away."""

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache

from django.conf import settings
from redis.exceptions import RedisError

from ratelimit.leases import Leases, lot
from ratelimit.local_buckets import LocalBuckets
from ratelimit.shared_buckets import breaks, take_shared
from ratelimit.tiers import burst_of
from ratelimit.token_bucket import Bucket, Charge, Standing

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
        """The standing after a charge of `cost` tokens (at most the burst), at `rate` per second."""
        now_ns = self._clock()
        key = (caller_identity, kind, rate)
        tokens = lot(rate, cost)
        if tokens > cost:
            leased = self._leases.spend(key, cost=cost, now_ns=now_ns)
            if leased is not None:
                return leased
        charge = Charge(caller_identity, kind, _bucket(rate), tokens)
        try:
            standing = self._take_shared(charge, now_us=now_ns // 1000)
        except RedisError as error:
            self._note(is_local=True, error=error)
            return self._take_local(replace(charge, cost=cost))
        if self._is_local:
            self._note(is_local=False)
        if tokens > cost and standing.admitted:
            self._leases.deposit(key, tokens=tokens - cost, standing=standing, now_ns=now_ns)
        return standing

    def _take_shared(self, charge: Charge, *, now_us: int) -> Standing:
        """Charge the shared bucket, and with it what this process gave away by itself. Raises RedisError."""
        failed = breaks()
        missing = self._local.missing(charge, now_us=now_us, breaks=failed)
        owed = self._local.claim_owed(charge, now_us=now_us)
        try:
            standing = take_shared(charge, missing=missing, owed=owed)
        except RedisError:
            self._local.put_back(charge, owed=owed)
            raise
        self._local.remember(
            charge, standing, now_us=now_us, settled=owed, breaks=failed, is_doubtful=breaks() != failed
        )
        return standing

    def _take_local(self, charge: Charge) -> Standing:
        return self._local.take(charge, now_us=self._clock() // 1000, epoch_now_us=self._wall_clock() // 1000)

    def _note(self, *, is_local: bool, error: RedisError | None = None) -> None:
        if is_local == self._is_local:
            return
        self._is_local = is_local
        if is_local:
            logger.warning("Redis is away, limits are kept by each process alone: %s", error)
        else:
            logger.info("Redis is back, limits are shared again")


def admit(*, caller_identity: str, rate: int, kind: str, cost: int = 1) -> Standing:
    """The standing after a charge by this process's limiter to a caller's `read` or `write` bucket."""
    return process_limiter().admit(caller_identity=caller_identity, rate=rate, kind=kind, cost=cost)


@cache
def process_limiter() -> Limiter:
    return Limiter(workers=settings.WORKERS)


@cache
def _bucket(rate: int) -> Bucket:
    return Bucket(rate=rate, burst=burst_of(rate))
