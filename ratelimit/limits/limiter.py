"""Admits or refuses requests, by the limits in Redis, or by this process's own buckets while Redis is away."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from functools import cache, lru_cache, partial

from cachetools import LRUCache
from django.conf import settings
from redis.exceptions import RedisError

from ops.metrics.declarations import LIMIT_DECISIONS
from ops.redis.loop_connection import LoopConnection
from ratelimit.limits.admission import Admission, admission_of
from ratelimit.limits.quotas import QuotaCharge, QuotaCounts
from ratelimit.limits.shared_limits import RedisBatch, SharedAnswer, SharedCharge, take_shared
from ratelimit.limits.token_bucket import SECOND_US, Bucket, Charge, bucket_state, take
from ratelimit.periodic_writer import PeriodicWriter

logger = logging.getLogger(__name__)
_decisions_of = cache(LIMIT_DECISIONS.labels)

# Attempts to charge a request. A second one is needed if Redis has lost a quota's count, or is in another period than
# this process; a third one if the period ends meanwhile.
_MAX_ATTEMPTS = 3
QUOTA_WRITE_SECONDS = 60.0
MAX_BUCKETS = 10_000


class LocalLimits:
    """Limits in the memory of one of `workers` processes, used while Redis is away. Thread-safe.

    Each process gives 1/workers of every bucket's rate, and of its size (at least one token). Tokens that it gives are not
    charged to the bucket in Redis afterwards, and not to quotas; `docs/limits.md` states the worst case. Shares are kept
    in an LRU cache after an outage, so the next outage continues with them.
    """

    def __init__(self, *, workers: int, buckets: int = MAX_BUCKETS) -> None:
        self._workers = max(1, workers)
        self._full_at: LRUCache[tuple[str, str, int], int] = LRUCache(buckets)
        self._bucket_lock = threading.Lock()

    def admit(self, charge: Charge, *, now_us: int, epoch_now_us: int) -> Admission:
        """Charge this process's share of the bucket. A cost above the share's size is charged as that size.

        `now_us` is the time of a monotonic clock.
        """
        share = _share(charge.bucket, self._workers)
        key = (charge.identity, charge.name, charge.bucket.rate)
        cost = charge.cost if charge.is_debt else min(charge.cost, share.burst)
        with self._bucket_lock:
            taken = take(
                share, full_at=self._full_at.get(key), now_us=now_us, cost=cost, is_debt=charge.is_debt
            )
            self._full_at[key] = taken.full_at
        return Admission(
            bucket_state(share, taken, name=charge.name, now_us=now_us, epoch_now_us=epoch_now_us, cost=cost)
        )

    def __len__(self) -> int:
        return len(self._full_at)


@lru_cache(maxsize=1024)
def _share(bucket: Bucket, workers: int) -> Bucket:
    return Bucket(bucket.rate, max(1, bucket.burst // workers), SECOND_US * workers)


class Limiter:
    """The limiter of one of `workers` processes.

    `clock` is monotonic, `wall_clock` counts from the epoch, both in nanoseconds.
    """

    def __init__(
        self,
        *,
        workers: int,
        clock: Callable[[], int] = time.monotonic_ns,
        wall_clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._clock = clock
        self._wall_clock = wall_clock
        self.quota_counts = QuotaCounts()
        self._local = LocalLimits(workers=workers)
        self._is_local = False
        self._batch: RedisBatch | None = None

    def admit(self, charge: Charge, quotas: Sequence[QuotaCharge] = ()) -> Admission:
        """Charge a bucket and quotas for a request: all of them, or none. Raises DatabaseError."""
        counted_in = "redis"
        try:
            admission = self._admit_shared(charge, quotas)
        except RedisError as error:
            admission, counted_in = self._admit_local(charge, error), "process"
        outcome = "admitted" if admission.admitted else "refused"
        _decisions_of(charge.name, outcome, counted_in).inc()
        return admission

    def charge_debt(self, charge: Charge, quotas: Sequence[QuotaCharge] = ()) -> Admission:
        """Charge work that is done. The bucket owes the tokens that it lacks; a quota may be exceeded by them.

        Always admitted. Raises DatabaseError.
        """
        charge = charge._replace(is_debt=True)
        try:
            return self._admit_shared(charge, quotas)
        except RedisError as error:
            return self._admit_local(charge, error)

    def _admit_local(self, charge: Charge, error: RedisError) -> Admission:
        """Charge this process's own limits, and no quota. error: why Redis was not asked."""
        if not self._is_local:
            self._is_local = True
            logger.warning("Redis is away, limits are kept by each process alone: %s", error)
        now_us, epoch_now_us = self._clock() // 1000, self._wall_clock() // 1000
        return self._local.admit(charge, now_us=now_us, epoch_now_us=epoch_now_us)

    def admit_soon(
        self,
        charge: Charge,
        quotas: Sequence[QuotaCharge],
        *,
        redis: LoopConnection,
        then: Callable[[Admission | None], object],
    ) -> bool:
        """Charge a call from an event loop, without waiting. Return whether the charge was sent; else call `admit`.

        `then` gets the admission if the call is admitted, and None if `admit` must decide: the call was refused, or
        Redis did not answer. It is never called before this returns.
        """
        if not redis.ready_or_opening():
            return False
        batch = self._batch
        if batch is None or not batch.is_open or batch.redis is not redis:
            batch = self._batch = RedisBatch(redis)
        now_us = self._wall_clock() // 1000
        batch.add(SharedCharge(charge, quotas, now_us), partial(self._on_shared, charge, quotas, then))
        return True

    def _on_shared(
        self,
        charge: Charge,
        quotas: Sequence[QuotaCharge],
        then: Callable[[Admission | None], object],
        answer: SharedAnswer | None,
    ) -> None:
        admission = None
        if answer is not None:
            self._note_answer()
            if answer.has_counts:
                admission = self._admission(charge, quotas, answer)
        if admission is None or not admission.admitted:
            then(None)
            return
        _decisions_of(charge.name, "admitted", "redis").inc()
        then(admission)

    def _admit_shared(self, charge: Charge, quotas: Sequence[QuotaCharge]) -> Admission:
        """Charge the limits in Redis. A count that it lacks is read back. Raises RedisError, DatabaseError."""
        now_us, known = self._wall_clock() // 1000, list[int]()
        for _ in range(_MAX_ATTEMPTS):
            answer = take_shared(SharedCharge(charge, quotas, now_us, known))
            self._note_answer()
            if answer.has_counts:
                return self._admission(charge, quotas, answer)
            now_us = answer.bucket.now_us
            known = self.quota_counts.known(charge.identity, quotas, now_us=now_us)
        raise RedisError("Redis lost the counts of quotas in every attempt")

    def _admission(self, charge: Charge, quotas: Sequence[QuotaCharge], answer: SharedAnswer) -> Admission:
        bucket, used, is_charged = answer
        if not quotas:
            return Admission(bucket)
        if is_charged:
            self.quota_counts.note(charge.identity, quotas, used, now_us=bucket.now_us)
        return admission_of(bucket, quotas, used, is_charged=is_charged)

    def _note_answer(self) -> None:
        if self._is_local:
            self._is_local = False
            logger.info("Redis is back, limits are shared again")


@cache
def process_limiter() -> Limiter:
    return Limiter(workers=settings.WORKERS * settings.WEB_HOSTS)


def start_quota_writer() -> PeriodicWriter:
    """Start this process's writer of used quotas and return it. It stops when the process exits."""
    flush = process_limiter().quota_counts.flush
    return PeriodicWriter("Used quotas", flush, seconds=QUOTA_WRITE_SECONDS).start()
