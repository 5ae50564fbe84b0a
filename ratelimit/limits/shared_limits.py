"""Buckets and quotas in Redis, shared by all processes. One script call per request, by Redis's own clock.

For keys with a rate above 10,000 per second, a process takes the tokens of one millisecond in one call. They are
charged to the bucket at once, and are lost if they are not spent within 10 ms. Without this, each request of such a key
would cost a round trip to Redis.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

from cachetools import LRUCache
from django_redis import get_redis_connection

from ratelimit.limits.quotas import QuotaBalance, QuotaCharge, Reservation
from ratelimit.limits.token_bucket import BucketState, Charge, Taken, bucket_state
from redis_calls.script import Script

# In tokens per second. Tokens are prefetched for buckets with a higher rate.
PREFETCH_ABOVE = 10_000
PREFETCH_LIFETIME_NS = 10_000_000
# The largest number of buckets with prefetched tokens.
MAX_PREFETCHED = 1_000

BucketKey = tuple[str, str, int]

_KEYS_PER_SCAN = 1_000
# The script's outcome if the bucket has enough tokens but a quota has too few. The other outcomes are 1 (admitted) and
# 0 (the bucket has too few).
_QUOTA_SHORT = 2


@dataclass(slots=True)
class _Prefetch:
    tokens: int
    expires_at_ns: int
    bucket: BucketState


def prefetch_size(rate: int, cost: int) -> int:
    """Return how many tokens to take in one call for a request that costs `cost`; `rate` is per second."""
    return max(cost, rate // 1000) if rate > PREFETCH_ABOVE else cost


class PrefetchedTokens:
    """Prefetched tokens by bucket, in an LRU cache. `now_ns` is the time of a monotonic clock. Thread-safe."""

    def __init__(self, *, capacity: int = MAX_PREFETCHED) -> None:
        self._prefetches: LRUCache[BucketKey, _Prefetch] = LRUCache(capacity)
        self._lock = threading.Lock()

    def spend(self, key: BucketKey, *, cost: int, now_ns: int) -> BucketState | None:
        """Pay with prefetched tokens. Returns None if too few are left.

        Otherwise returns the bucket's state at the time when the tokens were taken from Redis.
        """
        with self._lock:
            prefetch = self._prefetches.get(key)
            if prefetch is None or now_ns >= prefetch.expires_at_ns or prefetch.tokens < cost:
                return None
            prefetch.tokens -= cost
            return prefetch.bucket

    def keep(self, key: BucketKey, *, tokens: int, bucket: BucketState, now_ns: int) -> None:
        """Store tokens that were requested at `now_ns`. If valid tokens are left, the new ones expire with them."""
        with self._lock:
            prefetch = self._prefetches.get(key)
            if prefetch is not None and now_ns < prefetch.expires_at_ns:
                prefetch.tokens += tokens
                prefetch.bucket = bucket
            else:
                self._prefetches[key] = _Prefetch(tokens, now_ns + PREFETCH_LIFETIME_NS, bucket)

    def __len__(self) -> int:
        return len(self._prefetches)


class SharedAnswer(NamedTuple):
    """The bucket and the quotas' balances after a charge.

    is_short: the bucket had enough tokens, but Redis had too few reserved, unspent tokens of a quota, so nothing was
    charged.
    """

    bucket: BucketState
    balances: tuple[QuotaBalance | None, ...] = ()
    is_short: bool = False


@cache
def admission_script() -> Script:
    text = Path(__file__).with_name("admission.lua").read_text()
    return Script(text, note_restart=_drop_reservations)


def take_shared(
    charge: Charge,
    *,
    quotas: Sequence[QuotaCharge] = (),
    reservations: Sequence[Reservation | None] = (),
    now_us: int | None = None,
) -> SharedAnswer:
    """Charge a bucket and quotas: all of them, or none.

    All `quotas` must have the same `tokens`. `reservations` is empty, or has an item for each quota: a new reservation
    to add to the balance first, or None. `now_us` replaces the server's clock. Raises redis.exceptions.RedisError.
    """
    bucket = charge.bucket
    keys = [bucket_key(charge), *[quota_key(charge.identity, quota.unit) for quota in quotas]]
    arguments: list[str | int] = [bucket.rate, bucket.burst, charge.cost, "" if now_us is None else now_us]
    if quotas:
        arguments += (quotas[0].tokens, *(quota.limit for quota in quotas), *map(_argument, reservations))
    # A repeated call would add its reservation twice.
    answer = admission_script()(keys, arguments, is_once=any(reservations))
    return _answer(charge, answer)


def bucket_key(charge: Charge) -> str:
    """Return the bucket's key in Redis."""
    return f"ratelimit:{charge.name}:{charge.identity}"


def quota_key(identity: str, unit: str) -> str:
    """Return the key in Redis of a quota's balance."""
    return f"ratelimit:quota:{unit}:{identity}"


def _answer(charge: Charge, answer: list[int]) -> SharedAnswer:
    now_us, outcome, full_us, full_part, *counts = answer
    taken = Taken(outcome != 0, full_us * charge.bucket.rate + full_part)
    state = bucket_state(
        charge.bucket, taken, name=charge.name, now_us=now_us, epoch_now_us=now_us, cost=charge.cost
    )
    if not counts:
        return SharedAnswer(state)
    balances = tuple(
        None if unspent < 0 else QuotaBalance(unspent, reserved)
        for unspent, reserved in zip(counts[::2], counts[1::2], strict=True)
    )
    return SharedAnswer(state, balances, outcome == _QUOTA_SHORT)


def _argument(reservation: Reservation | None) -> str:
    if reservation is None:
        return ""
    period = reservation.period
    return f"{period.begins_us} {period.ends_us} {reservation.tokens} {reservation.reserved}"


def _drop_reservations() -> None:
    """Delete the balances of all quotas.

    A restarted Redis may have loaded an old copy of its data, in which tokens that were given later are still unspent.
    The deleted tokens stay reserved in the database, so callers may get fewer than their quota, never more.
    """
    client = get_redis_connection("default")
    for key in client.scan_iter(match=quota_key("*", "*"), count=_KEYS_PER_SCAN):
        client.unlink(key)
