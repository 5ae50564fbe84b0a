"""Tokens that this process took from Redis ahead of need, so that most calls of a busy key need no trip to Redis.

A process takes ahead what it spent for the key in the last 20 ms, at most 2 % of a second's tokens. They are charged
at once, and lapse after 20 ms: a caller may get a little less than its rate, never more. Tokens of a quota do not
lapse: they are spent before others are taken. Keys with a rate below 1,000 per second are always charged exactly.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cachetools import LRUCache

from ratelimit.limits.admission import Admission
from ratelimit.limits.quotas import QuotaCharge
from ratelimit.limits.token_bucket import Charge

# In tokens per second.
MIN_RATE = 1_000
LIFETIME_NS = 20_000_000
# The most tokens that are taken ahead are the rate divided by this.
_RATE_DIVISOR = 50
MAX_BUCKETS = 10_000


class BucketKey(NamedTuple):
    """A caller's bucket."""

    identity: str
    name: str
    rate: int


def bucket_of(charge: Charge) -> BucketKey:
    """Return the bucket of a charge."""
    return BucketKey(charge.identity, charge.name, charge.bucket.rate)


def is_reservable(charge: Charge, quotas: Sequence[QuotaCharge]) -> bool:
    """Return whether tokens for such charges may be taken ahead."""
    return charge.bucket.rate >= MIN_RATE and charge.cost > 0 and not quotas


@dataclass(slots=True)
class _Reservation:
    """The unspent tokens of one bucket, and its recent spending.

    admission: the outcome of the call to Redis that took the newest tokens. spent: tokens spent since `window_ns`.
    spent_before: tokens spent in the 20 ms before `window_ns`.
    """

    admission: Admission
    tokens: int = 0
    expires_ns: int = 0
    window_ns: int = 0
    spent: int = 0
    spent_before: int = 0
    is_awaited: bool = False

    def note_spent(self, tokens: int, now_ns: int) -> None:
        elapsed = now_ns - self.window_ns
        if elapsed >= LIFETIME_NS:
            self.spent_before = self.spent if elapsed < 2 * LIFETIME_NS else 0
            self.window_ns, self.spent = now_ns, 0
        self.spent += tokens

    def spent_lately(self, now_ns: int) -> int:
        """Return how many tokens were spent in the last 20 ms, as a sliding-window counter estimates it."""
        elapsed = now_ns - self.window_ns
        if elapsed >= LIFETIME_NS:
            return self.spent * max(0, 2 * LIFETIME_NS - elapsed) // LIFETIME_NS
        return self.spent + self.spent_before * (LIFETIME_NS - elapsed) // LIFETIME_NS


class LocalReservations:
    """Reservations by bucket, in an LRU cache. `now_ns` is of a monotonic clock. Thread-safe."""

    def __init__(self, *, capacity: int = MAX_BUCKETS) -> None:
        self._reservations: LRUCache[BucketKey, _Reservation] = LRUCache(capacity)
        self._lock = threading.Lock()

    def spend(self, key: BucketKey, cost: int, *, now_ns: int) -> Admission | None:
        """Pay for a call with reserved tokens. Return the admission that took them; None if too few are left."""
        with self._lock:
            reservation = self._reservations.get(key)
            if reservation is None or reservation.tokens < cost or now_ns >= reservation.expires_ns:
                return None
            reservation.tokens -= cost
            reservation.note_spent(cost, now_ns)
            return reservation.admission

    def ahead(self, key: BucketKey, *, now_ns: int) -> int:
        """Return how many tokens to take ahead."""
        with self._lock:
            reservation = self._reservations.get(key)
            return 0 if reservation is None else self._ahead(key, reservation, now_ns)

    def missing(self, key: BucketKey, *, now_ns: int) -> int:
        """Return how many tokens to take ahead now, if fewer than half of that are left; otherwise 0.

        After a positive result it returns 0 until `keep` or `give_up` is called.
        """
        with self._lock:
            reservation = self._reservations.get(key)
            if reservation is None or reservation.is_awaited:
                return 0
            wanted = self._ahead(key, reservation, now_ns)
            if reservation.tokens * 2 >= wanted:
                return 0
            reservation.is_awaited = True
            return wanted

    def keep(self, key: BucketKey, admission: Admission, tokens: int, *, spent: int, now_ns: int) -> None:
        """Add tokens that Redis gave for calls to come; `spent` more paid for the call that asked for them."""
        with self._lock:
            reservation = self._reservations.get(key)
            if reservation is None:
                reservation = self._reservations[key] = _Reservation(admission)
            if now_ns >= reservation.expires_ns:
                reservation.tokens = 0
            reservation.admission, reservation.is_awaited = admission, False
            reservation.tokens += tokens
            reservation.expires_ns = now_ns + LIFETIME_NS
            reservation.note_spent(spent, now_ns)

    def give_up(self, key: BucketKey) -> None:
        """Note that the tokens that `missing` asked for do not come."""
        with self._lock:
            reservation = self._reservations.get(key)
            if reservation is not None:
                reservation.is_awaited = False

    @staticmethod
    def _ahead(key: BucketKey, reservation: _Reservation, now_ns: int) -> int:
        return min(reservation.spent_lately(now_ns), key.rate // _RATE_DIVISOR)

    def __len__(self) -> int:
        return len(self._reservations)
