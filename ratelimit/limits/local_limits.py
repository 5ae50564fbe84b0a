"""Limits in the memory of one process, used while Redis is away.

Each of N processes gives 1/N of every bucket's rate, and 1/N of its size (at least one token). It reserves quota
tokens for itself in the database. The processes do not communicate. Tokens that they give are not charged to the
bucket in Redis afterwards. `docs/limits.md` states the worst case.
"""

import threading
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from cachetools import LRUCache

from ratelimit.limits.admission import Admission, admission_of
from ratelimit.limits.quotas import (
    QuotaBalance,
    QuotaCharge,
    exceeds_quota,
    is_short_of,
    period_at,
    quota_reserve,
)
from ratelimit.limits.token_bucket import SECOND_US, Bucket, BucketState, Charge, bucket_state, take

MAX_BUCKETS = 10_000
MAX_RESERVATIONS = 10_000


class LocalLimits:
    """This process's share of every limit, in LRU caches. Thread-safe.

    Shares are kept after an outage, so the next outage continues with the same balances.
    """

    def __init__(self, *, workers: int, buckets: int = MAX_BUCKETS, quotas: int = MAX_RESERVATIONS) -> None:
        self._workers = max(1, workers)
        self._full_at: LRUCache[tuple[str, str, int], int] = LRUCache(buckets)
        # The quota tokens that this process reserved for itself, by identity and name of the period.
        self._balances: LRUCache[tuple[str, str], QuotaBalance] = LRUCache(quotas)
        self._bucket_lock = threading.Lock()
        self._quota_lock = threading.Lock()

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
        keys = [(charge.identity, period_at(quota.unit, epoch_now_us).name) for quota in quotas]
        with self._quota_lock:
            is_paid = bucket.admitted and self._pay(keys, quotas, epoch_now_us, is_debt=charge.is_debt)
            balances = [self._balances.get(key) for key in keys]
        return admission_of(
            bucket, quotas, balances, is_short=not charge.is_debt and bucket.admitted and not is_paid
        )

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

    def _pay(
        self, keys: Sequence[tuple[str, str]], quotas: Sequence[QuotaCharge], now_us: int, *, is_debt: bool
    ) -> bool:
        """Charge all quotas, or none if one has too few tokens; of a debt, what all of them have.

        Returns whether they were charged.
        """
        balances = [self._balance_for(key, quota, now_us) for key, quota in zip(keys, quotas, strict=True)]
        if is_debt and any(map(exceeds_quota, quotas, balances)):
            left = min(
                quota.limit if balance is None else balance.remaining(quota.limit)
                for quota, balance in zip(quotas, balances, strict=True)
            )
            quotas = [replace(quota, tokens=left) for quota in quotas]
            balances = [
                self._balance_for(key, quota, now_us) for key, quota in zip(keys, quotas, strict=True)
            ]
        if any(map(is_short_of, quotas, balances)):
            return False
        for key, quota, balance in zip(keys, quotas, balances, strict=True):
            if balance is not None:
                self._balances[key] = QuotaBalance(balance.unspent - quota.tokens, balance.reserved)
        return True

    def _balance_for(self, key: tuple[str, str], quota: QuotaCharge, now_us: int) -> QuotaBalance | None:
        """Return the balance for a charge. Reserves more tokens first if it has too few and the quota has more."""
        balance = self._balances.get(key)
        if not is_short_of(quota, balance) or exceeds_quota(quota, balance):
            return balance
        reservation = quota_reserve(key[0], quota, now_us=now_us)
        unspent = reservation.tokens + (0 if balance is None else balance.unspent)
        balance = self._balances[key] = QuotaBalance(unspent, reservation.reserved)
        return balance

    def __len__(self) -> int:
        return len(self._full_at)


@lru_cache(maxsize=1024)
def _share(bucket: Bucket, workers: int) -> Bucket:
    return Bucket(bucket.rate, max(1, bucket.burst // workers), SECOND_US * workers)
