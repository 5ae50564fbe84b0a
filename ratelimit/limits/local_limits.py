"""Limits in the memory of one process, used while Redis is away.

Each of N processes gives 1/N of every bucket: of its rate, and of its size (at least one token). It reserves tokens
of quotas for itself. The processes do not communicate, and the shared bucket in Redis is not charged afterwards for
tokens given meanwhile; `docs/limits.md` states the worst case.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from cachetools import LRUCache

from ratelimit.limits.admission import Admission, admission_of
from ratelimit.limits.quotas import (
    QuotaBalance,
    QuotaCharge,
    QuotaPeriod,
    exceeds_quota,
    is_short_of,
    period_at,
    quota_reserve,
)
from ratelimit.limits.token_bucket import SECOND_US, Bucket, BucketState, Charge, bucket_state, take

MAX_BUCKETS = 10_000
MAX_RESERVATIONS = 10_000

Balances = list[QuotaBalance | None]


@dataclass(frozen=True, slots=True)
class LocalReservation:
    """Tokens of one caller's quota that this process reserved for itself."""

    period: QuotaPeriod
    balance: QuotaBalance


class LocalLimits:
    """This process's share of every limit, in LRU caches. Thread-safe.

    Shares are kept after an outage, so the next outage continues with the same balances.
    """

    def __init__(self, *, workers: int, buckets: int = MAX_BUCKETS, quotas: int = MAX_RESERVATIONS) -> None:
        self._workers = max(1, workers)
        self._full_at: LRUCache[tuple[str, str, int], int] = LRUCache(buckets)
        self._reservations: LRUCache[tuple[str, str], LocalReservation] = LRUCache(quotas)
        self._bucket_lock = threading.Lock()
        self._quota_lock = threading.Lock()

    def admit(
        self, charge: Charge, quotas: Sequence[QuotaCharge] = (), *, now_us: int, epoch_now_us: int
    ) -> Admission:
        """Charge this process's share of the bucket, then the quotas.

        `now_us` is of a monotonic clock. A cost above the share's size is charged as that size. If the bucket admits
        and a quota refuses, the bucket's tokens are spent. Raises DatabaseError.
        """
        bucket = self._take(charge, now_us=now_us, epoch_now_us=epoch_now_us)
        if not quotas:
            return Admission(bucket)
        with self._quota_lock:
            balances: Balances = [self._balance(charge.identity, quota, epoch_now_us) for quota in quotas]
            is_paid = bucket.admitted and self._pay(charge.identity, quotas, balances, epoch_now_us)
        return admission_of(bucket, quotas, balances, is_short=bucket.admitted and not is_paid)

    def _take(self, charge: Charge, *, now_us: int, epoch_now_us: int) -> BucketState:
        share = _share(charge.bucket, self._workers)
        key = (charge.identity, charge.name, charge.bucket.rate)
        cost = min(charge.cost, share.burst)
        with self._bucket_lock:
            taken = take(share, full_at=self._full_at.get(key), now_us=now_us, cost=cost)
            self._full_at[key] = taken.full_at
        return bucket_state(
            share, taken, name=charge.name, now_us=now_us, epoch_now_us=epoch_now_us, cost=cost
        )

    def _pay(self, identity: str, quotas: Sequence[QuotaCharge], balances: Balances, now_us: int) -> bool:
        """Charge all quotas, or none if one has too few tokens. Returns whether they were charged.

        `balances` is updated in place.
        """
        for i, quota in enumerate(quotas):
            if is_short_of(quota, balances[i]) and not exceeds_quota(quota, balances[i]):
                balances[i] = self._reserve(identity, quota, balances[i], now_us)
        if any(map(is_short_of, quotas, balances)):
            return False
        for i, (quota, balance) in enumerate(zip(quotas, balances, strict=True)):
            if balance is not None:
                spent = QuotaBalance(balance.unspent - quota.tokens, balance.reserved)
                balances[i] = spent
                self._keep(identity, quota, spent, now_us)
        return True

    def _reserve(
        self, identity: str, quota: QuotaCharge, balance: QuotaBalance | None, now_us: int
    ) -> QuotaBalance:
        reserved = quota_reserve(identity, quota, now_us=now_us)
        unspent = reserved.tokens + (0 if balance is None else balance.unspent)
        balance = QuotaBalance(unspent, reserved.reserved)
        self._keep(identity, quota, balance, now_us)
        return balance

    def _keep(self, identity: str, quota: QuotaCharge, balance: QuotaBalance, now_us: int) -> None:
        period = period_at(quota.unit, now_us)
        self._reservations[identity, quota.unit] = LocalReservation(period, balance)

    def _balance(self, identity: str, quota: QuotaCharge, now_us: int) -> QuotaBalance | None:
        """Return this process's balance in the current period; None if it has no reservation."""
        reservation = self._reservations.get((identity, quota.unit))
        if reservation is None or not reservation.period.begins_us <= now_us < reservation.period.ends_us:
            return None
        return reservation.balance

    def __len__(self) -> int:
        return len(self._full_at)


@lru_cache(maxsize=1024)
def _share(bucket: Bucket, workers: int) -> Bucket:
    return Bucket(bucket.rate, max(1, bucket.burst // workers), SECOND_US * workers)
