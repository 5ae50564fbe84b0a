"""Limits in the memory of one process, used while Redis is away.

Each of N processes gives 1/N of every bucket's rate, and 1/N of its size (at least one token). The processes do
not communicate. Tokens that they give are not charged to the bucket in Redis afterwards. Quotas are counted by
`QuotaCounts`. `docs/limits.md` states the worst case.
"""

import threading
from collections.abc import Sequence
from functools import lru_cache

from cachetools import LRUCache

from ratelimit.limits.admission import Admission, admission_of
from ratelimit.limits.quota_counts import QuotaCounts
from ratelimit.limits.quotas import QuotaCharge
from ratelimit.limits.token_bucket import SECOND_US, Bucket, BucketState, Charge, bucket_state, take

MAX_BUCKETS = 10_000


class LocalLimits:
    """This process's share of every bucket, in an LRU cache, and its counts of quotas. Thread-safe.

    Shares are kept after an outage, so the next outage continues with them.
    """

    def __init__(
        self, *, workers: int, buckets: int = MAX_BUCKETS, counts: QuotaCounts | None = None
    ) -> None:
        self._workers = max(1, workers)
        self._full_at: LRUCache[tuple[str, str, int], int] = LRUCache(buckets)
        self._bucket_lock = threading.Lock()
        self._counts = QuotaCounts() if counts is None else counts

    def admit(
        self, charge: Charge, quotas: Sequence[QuotaCharge] = (), *, now_us: int, epoch_now_us: int
    ) -> Admission:
        """Charge this process's share of the bucket, then the quotas.

        `now_us` is the time of a monotonic clock. A cost above the share's size is charged as that size. If the bucket
        admits but a quota refuses, the bucket's tokens are spent nevertheless. Raises DatabaseError.
        """
        bucket = self._take(charge, now_us=now_us, epoch_now_us=epoch_now_us)
        if not quotas:
            return Admission(bucket)
        if not bucket.admitted:
            used = self._counts.known(charge.identity, quotas, now_us=epoch_now_us)
            return admission_of(bucket, quotas, used, is_charged=False)
        used, is_charged = self._counts.spend(
            charge.identity, quotas, now_us=epoch_now_us, is_debt=charge.is_debt
        )
        return admission_of(bucket, quotas, used, is_charged=is_charged)

    def _take(self, charge: Charge, *, now_us: int, epoch_now_us: int) -> BucketState:
        share = _share(charge.bucket, self._workers)
        key = (charge.identity, charge.name, charge.bucket.rate)
        cost = charge.cost if charge.is_debt else min(charge.cost, share.burst)
        with self._bucket_lock:
            taken = take(
                share, full_at=self._full_at.get(key), now_us=now_us, cost=cost, is_debt=charge.is_debt
            )
            self._full_at[key] = taken.full_at
        return bucket_state(
            share, taken, name=charge.name, now_us=now_us, epoch_now_us=epoch_now_us, cost=cost
        )

    def __len__(self) -> int:
        return len(self._full_at)


@lru_cache(maxsize=1024)
def _share(bucket: Bucket, workers: int) -> Bucket:
    return Bucket(bucket.rate, max(1, bucket.burst // workers), SECOND_US * workers)
