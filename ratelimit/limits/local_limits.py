"""Limits in the memory of one process, used while Redis is away.

Each of N processes gives 1/N of every bucket's rate, and 1/N of its size (at least one token). The processes do
not communicate. Tokens that they give are not charged to the bucket in Redis afterwards, and not to quotas.
`docs/limits.md` states the worst case.
"""

import threading
from functools import lru_cache

from cachetools import LRUCache

from ratelimit.limits.admission import Admission
from ratelimit.limits.token_bucket import SECOND_US, Bucket, Charge, bucket_state, take

MAX_BUCKETS = 10_000


class LocalLimits:
    """This process's share of every bucket, in an LRU cache. Thread-safe.

    Shares are kept after an outage, so the next outage continues with them.
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
