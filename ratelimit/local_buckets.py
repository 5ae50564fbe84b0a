"""Buckets in the memory of one process, for when Redis is away: each process gives its share of the rate."""

import threading
from collections import OrderedDict

from ratelimit.token_bucket import SECOND, Bucket, Standing, standing, take

MAX_BUCKETS = 10_000

_Key = tuple[str, str, int]


class LocalBuckets:
    """One bucket per caller, kind and rate, with `1/workers` of the rate and of the burst (at least a token).

    `remember` keeps them in step with the shared ones, so that losing Redis gives nobody a second burst; what was
    taken here is `owed` to the shared bucket, so that regaining it gives none either.
    Bounded: beyond `capacity` the bucket longest unused is dropped. `now` is always microseconds of a monotonic clock.
    """

    def __init__(self, *, workers: int, capacity: int = MAX_BUCKETS) -> None:
        self._workers = max(1, workers)
        self._capacity = capacity
        self._full_at: OrderedDict[_Key, int] = OrderedDict()
        self._owed: dict[_Key, tuple[int, int]] = {}
        self._lock = threading.Lock()

    def take(
        self, *, identity: str, kind: str, bucket: Bucket, cost: int, now: int, epoch_now: int
    ) -> Standing:
        """Take tokens from this process's share of the shared `bucket`; never raises."""
        share = self._share(bucket)
        key = (identity, kind, bucket.rate)
        with self._lock:
            taken = take(share, full_at=self._full_at.get(key), now=now, cost=cost)
            self._put(key, taken.full_at)
            if taken.admitted:
                self._owed[key] = (self._owed.get(key, (0, 0))[0] + cost, now)
        return standing(share, taken, kind=kind, now=now, epoch_now=epoch_now, cost=cost)

    def remember(self, *, identity: str, rate: int, standing: Standing, now: int) -> None:
        """Note how full the shared bucket is; a share of it needs the same time to fill up."""
        with self._lock:
            self._put((identity, standing.kind, rate), (now + standing.until_full) * rate)

    def owed(self, *, identity: str, kind: str, bucket: Bucket, now: int) -> int:
        """Tokens taken here that the shared bucket does not know of and that it cannot have got back by now."""
        taken, last = self._owed.get((identity, kind, bucket.rate), (0, 0))
        refill = bucket.burst * SECOND // bucket.rate
        return min(taken, bucket.burst) if now - last < refill else 0

    def settle(self, *, identity: str, kind: str, rate: int) -> None:
        """Forget what was owed: the shared bucket has been charged with it."""
        self._owed.pop((identity, kind, rate), None)

    def __len__(self) -> int:
        return len(self._full_at)

    def _put(self, key: _Key, full_at: int) -> None:
        self._full_at[key] = full_at
        self._full_at.move_to_end(key)
        if len(self._full_at) > self._capacity:
            dropped, _ = self._full_at.popitem(last=False)
            self._owed.pop(dropped, None)

    def _share(self, bucket: Bucket) -> Bucket:
        burst = max(1, bucket.burst // self._workers)
        return Bucket(rate=bucket.rate, burst=burst, period=SECOND * self._workers)
