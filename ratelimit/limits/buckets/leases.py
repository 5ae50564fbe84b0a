"""Tokens taken from a shared bucket in lots and spent in this process, for rates at which each trip counts.

A lot is a millisecond's worth and lives for ten: what is not spent by then is lost, so that the bucket is
never overdrawn, only used a little less. Up to `LEASE_ABOVE` per second a lot is what the request costs, and
exact.
"""

import threading
from dataclasses import dataclass

from cachetools import LRUCache

from ratelimit.limits.buckets.token_bucket import Standing

LEASE_ABOVE = 10_000
LIFETIME_NS = 10_000_000
MAX_LEASES = 1_000


@dataclass(slots=True)
class Lease:
    tokens: int
    ends_at_ns: int
    standing: Standing


def lot(rate: int, cost: int) -> int:
    """Tokens to take in one call for a request that costs `cost`, at a rate per second."""
    return max(cost, rate // 1000) if rate > LEASE_ABOVE else cost


class Leases:
    """Unspent tokens by bucket. `now_ns` is of a monotonic clock. Bounded, thread-safe."""

    def __init__(self, *, capacity: int = MAX_LEASES) -> None:
        self._leases: LRUCache[tuple[str, str, int], Lease] = LRUCache(capacity)
        self._lock = threading.Lock()

    def spend(self, key: tuple[str, str, int], *, cost: int, now_ns: int) -> Standing | None:
        """Pay from what is left of the last lot.

        The standing is that when it was taken; None if what is left is too little.
        """
        with self._lock:
            lease = self._leases.get(key)
            if lease is None or now_ns >= lease.ends_at_ns or lease.tokens < cost:
                return None
            lease.tokens -= cost
            return lease.standing

    def deposit(self, key: tuple[str, str, int], *, tokens: int, standing: Standing, now_ns: int) -> None:
        """Keep the rest of a lot that was asked for at `now_ns`.

        It joins one that is still alive, and ends with it.
        """
        with self._lock:
            lease = self._leases.get(key)
            if lease is not None and now_ns < lease.ends_at_ns:
                lease.tokens += tokens
                lease.standing = standing
                return
            self._leases[key] = Lease(tokens=tokens, ends_at_ns=now_ns + LIFETIME_NS, standing=standing)

    def __len__(self) -> int:
        return len(self._leases)
