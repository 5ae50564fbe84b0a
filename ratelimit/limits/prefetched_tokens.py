"""Tokens that a process takes from a shared bucket in advance, for keys with a rate above 10,000 per second.

One call to Redis takes the tokens of one millisecond. They are already charged to the bucket, and are lost unless
spent within 10 ms. Without this each request of such a key would cost a round trip to Redis.
"""

import threading
from dataclasses import dataclass

from cachetools import LRUCache

from ratelimit.limits.token_bucket import BucketState

# Tokens are prefetched for buckets with a higher rate, in tokens per second.
PREFETCH_ABOVE = 10_000
LIFETIME_NS = 10_000_000
# The most buckets with prefetched tokens.
MAX_PREFETCHED = 1_000

BucketKey = tuple[str, str, int]


@dataclass(slots=True)
class _TokensLeft:
    tokens: int
    ends_at_ns: int
    bucket: BucketState


def prefetch_size(rate: int, cost: int) -> int:
    """Return how many tokens to take in one call for a request that costs `cost`; `rate` is per second."""
    return max(cost, rate // 1000) if rate > PREFETCH_ABOVE else cost


class PrefetchedTokens:
    """Prefetched tokens by bucket, in an LRU cache. `now_ns` is of a monotonic clock. Thread-safe."""

    def __init__(self, *, capacity: int = MAX_PREFETCHED) -> None:
        self._left: LRUCache[BucketKey, _TokensLeft] = LRUCache(capacity)
        self._lock = threading.Lock()

    def spend(self, key: BucketKey, *, cost: int, now_ns: int) -> BucketState | None:
        """Pay with prefetched tokens. Returns the bucket's state when they were taken; None if too few are left."""
        with self._lock:
            left = self._left.get(key)
            if left is None or now_ns >= left.ends_at_ns or left.tokens < cost:
                return None
            left.tokens -= cost
            return left.bucket

    def keep(self, key: BucketKey, *, tokens: int, bucket: BucketState, now_ns: int) -> None:
        """Store tokens that were requested at `now_ns`. They are added to valid ones, and then expire with those."""
        with self._lock:
            left = self._left.get(key)
            if left is not None and now_ns < left.ends_at_ns:
                left.tokens += tokens
                left.bucket = bucket
                return
            self._left[key] = _TokensLeft(tokens=tokens, ends_at_ns=now_ns + LIFETIME_NS, bucket=bucket)

    def __len__(self) -> int:
        return len(self._left)
