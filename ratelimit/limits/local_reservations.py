"""Tokens that this process takes from Redis ahead of need, so that most calls of a busy key need no trip to Redis.

With a call's own tokens a process takes as many as it spent for that key in the last 20 ms, at most 2 % of a second's
tokens. They are charged at once. What is not spent within 20 ms is lost to the bucket: a caller may get a little less
than its rate, never more. A quota's tokens do not lapse: they pay for the key's next calls in this process.

Charged exactly, without tokens taken ahead: keys with a rate below 1,000 per second, keys whose bucket is less than
half full, and keys that have less than a second's tokens left of a quota.
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from ratelimit.limits.admission import Admission
from ratelimit.limits.quotas import QuotaCharge
from ratelimit.limits.token_bucket import Charge

# In tokens per second.
MIN_RATE = 1_000
LIFETIME_NS = 20_000_000
# The most tokens that are taken ahead are the rate divided by this.
_RATE_DIVISOR = 50
MAX_KEYS = 4_096
# In the last minute of a period nothing is held for later. Otherwise tokens of one day could pay for calls of the
# next, if this process's clock and Redis's do not run equally fast.
_BEFORE_PERIOD_ENDS_NS = 60 * 10**9
_NEVER_NS = 2**63

_Key = tuple[object, ...]


class TokenOrder(NamedTuple):
    """What to charge in Redis for a call: its own tokens and `ahead` more.

    held: quota tokens of earlier orders that pay for a part, so `quotas` charge that much less. key: None if nothing
    may be taken ahead for such calls. at_ns: when it was made.
    """

    charge: Charge
    quotas: Sequence[QuotaCharge]
    key: _Key | None = None
    cost: int = 0
    ahead: int = 0
    held: int = 0
    at_ns: int = 0


@dataclass(slots=True)
class _ReservedTokens:
    """The unspent tokens of a key, and its recent spending.

    admission: the outcome of the newest order. tokens: may be spent before `expires_ns`. held: quota tokens that are
    charged and not spent, `tokens` among them; usable before `period_ends_ns`. spent: since `window_ns`;
    spent_before: in the 20 ms before that. is_awaited: an order with tokens ahead is on its way.
    """

    admission: Admission
    tokens: int = 0
    expires_ns: int = 0
    held: int = 0
    period_ends_ns: int = _NEVER_NS
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
        if elapsed >= 2 * LIFETIME_NS:
            return 0
        if elapsed >= LIFETIME_NS:
            return self.spent * (2 * LIFETIME_NS - elapsed) // LIFETIME_NS
        return self.spent + self.spent_before * (LIFETIME_NS - elapsed) // LIFETIME_NS

    def ahead(self, rate: int, now_ns: int) -> int:
        """Return how many tokens to take ahead."""
        spent = self.spent_lately(now_ns)
        if spent == 0 or self.is_awaited or now_ns >= self.period_ends_ns:
            return 0
        bucket, quotas = self.admission
        if bucket.remaining * 2 < bucket.limit:
            return 0
        if quotas and any(quota.remaining is None or quota.remaining < rate for quota in quotas):
            return 0
        return min(spent, rate // _RATE_DIVISOR)


class LocalReservations:
    """Reservations by key, in an LRU cache. `now_ns` is of a monotonic clock. Thread-safe."""

    def __init__(self, *, capacity: int = MAX_KEYS) -> None:
        self._capacity = capacity
        self._reservations: OrderedDict[_Key, _ReservedTokens] = OrderedDict()
        self._lock = threading.Lock()

    def spend(self, charge: Charge, quotas: Sequence[QuotaCharge], *, now_ns: int) -> Admission | None:
        """Pay for a call with reserved tokens. Return the admission that took them; None if too few are left."""
        key = _key(charge, quotas)
        if key is None:
            return None
        with self._lock:
            reservation = self._reservations.get(key)
            if reservation is None or reservation.tokens < charge.cost or now_ns >= reservation.expires_ns:
                return None
            reservation.tokens -= charge.cost
            reservation.held -= charge.cost
            reservation.note_spent(charge.cost, now_ns)
            return reservation.admission

    def order(self, charge: Charge, quotas: Sequence[QuotaCharge], *, now_ns: int) -> TokenOrder:
        """Return what to charge in Redis for a call. After that, call `settle`."""
        key = _key(charge, quotas)
        if key is None:
            return TokenOrder(charge, quotas)
        with self._lock:
            reservation = self._reservations.get(key)
            if reservation is None:
                return TokenOrder(charge, quotas, key, charge.cost, 0, 0, now_ns)
            ahead = reservation.ahead(charge.bucket.rate, now_ns)
            if not quotas and not ahead:
                reservation.held = reservation.tokens = 0
                return TokenOrder(charge, quotas, key, charge.cost, 0, 0, now_ns)
            held = reservation.held if quotas and now_ns < reservation.period_ends_ns else 0
            tokens = charge.cost + ahead
            paid = min(held, tokens)
            reservation.held, reservation.tokens = held - paid, 0
            reservation.is_awaited = reservation.is_awaited or ahead > 0
        if tokens > charge.cost:
            charge = charge._replace(cost=tokens)
        if quotas:
            quotas = [replace(quota, tokens=tokens - paid) for quota in quotas]
        return TokenOrder(charge, quotas, key, tokens - ahead, ahead, paid, now_ns)

    def settle(self, order: TokenOrder, admission: Admission | None) -> None:
        """Note the outcome of an order: the admission; None if the call was refused or nobody knows."""
        if order.key is None:
            return
        with self._lock:
            reservation = self._reservations.get(order.key)
            if reservation is None:
                if admission is None:
                    return
                reservation = self._add(order.key, admission)
            if order.ahead:
                reservation.is_awaited = False
            if admission is None:
                reservation.held += order.held
                # The next order takes nothing ahead.
                reservation.spent = reservation.spent_before = 0
                return
            self._reservations.move_to_end(order.key)
            reservation.admission = admission
            reservation.period_ends_ns = _period_ends_ns(admission, order.at_ns)
            reservation.held += order.ahead
            if order.ahead:
                reservation.tokens = order.ahead
                reservation.expires_ns = min(order.at_ns + LIFETIME_NS, reservation.period_ends_ns)
            reservation.note_spent(order.cost, order.at_ns)

    def _add(self, key: _Key, admission: Admission) -> _ReservedTokens:
        if len(self._reservations) >= self._capacity:
            self._reservations.popitem(last=False)
        reservation = self._reservations[key] = _ReservedTokens(admission)
        return reservation

    def __len__(self) -> int:
        return len(self._reservations)


def _key(charge: Charge, quotas: Sequence[QuotaCharge]) -> _Key | None:
    """Return the key of a charge's reservation; None if nothing may be taken ahead for it."""
    rate = charge.bucket.rate
    if rate < MIN_RATE or charge.cost == 0:
        return None
    if not quotas:
        return charge.identity, charge.name, rate
    if quotas[0].tokens != charge.cost:
        return None
    return charge.identity, charge.name, rate, *((quota.unit, quota.limit) for quota in quotas)


def _period_ends_ns(admission: Admission, at_ns: int) -> int:
    """Return when to stop holding tokens of the quotas. at_ns: when the order was made, before Redis's `now_us`."""
    if not admission.quotas:
        return _NEVER_NS
    ends_us = min(quota.period.ends_us for quota in admission.quotas)
    return at_ns + (ends_us - admission.bucket.now_us) * 1000 - _BEFORE_PERIOD_ENDS_NS
