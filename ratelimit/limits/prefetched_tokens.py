"""Tokens that a process takes from a shared bucket in advance, for keys of more than 10,000 calls per second.

One call of Redis takes a millisecond's worth of tokens. They are spent within 10 ms or lost, so the bucket
is never overdrawn. Without this each call of such a key would cost a round trip to Redis.
"""

import threading
from dataclasses import dataclass

from cachetools import LRUCache

from ratelimit.limits.token_bucket import BucketState

PREFETCH_ABOVE = 10_000
LIFETIME_NS = 10_000_000
MAX_PREFETCHED = 1_000

BucketKey = tuple[str, str, int]


@dataclass(slots=True)
class _TokensLeft:
    tokens: int
    ends_at_ns: int
    bucket: BucketState


def prefetch_size(rate: int, cost: int) -> int:
    """Tokens to take in one call for a request that costs `cost`, at a rate per second."""
    return max(cost, rate // 1000) if rate > PREFETCH_ABOVE else cost


class PrefetchedTokens:
    """Unspent tokens by bucket. `now_ns` is of a monotonic clock. Bounded, thread-safe."""

    def __init__(self, *, capacity: int = MAX_PREFETCHED) -> None:
        self._left: LRUCache[BucketKey, _TokensLeft] = LRUCache(capacity)
        self._lock = threading.Lock()

    def spend(self, key: BucketKey, *, cost: int, now_ns: int) -> BucketState | None:
        """Pay with tokens taken before. Returns the bucket as it was then; None if too few are left."""
        with self._lock:
            left = self._left.get(key)
            if left is None or now_ns >= left.ends_at_ns or left.tokens < cost:
                return None
            left.tokens -= cost
            return left.bucket

    def keep(self, key: BucketKey, *, tokens: int, bucket: BucketState, now_ns: int) -> None:
        """Keep tokens that were asked for at `now_ns`. They join and end with those that are still alive."""
        with self._lock:
            left = self._left.get(key)
            if left is not None and now_ns < left.ends_at_ns:
                left.tokens += tokens
                left.bucket = bucket
                return
            self._left[key] = _TokensLeft(tokens=tokens, ends_at_ns=now_ns + LIFETIME_NS, bucket=bucket)

    def __len__(self) -> int:
        return len(self._left)
