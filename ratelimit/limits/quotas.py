"""Quotas: so many tokens in a UTC day or month.

Tokens are reserved in the database, a thousandth of the quota at a time, before they are given. The unspent
rest of a reservation is in Redis, or in a process while Redis is away. If it is lost, it was reserved, so no
caller ever gets more than its quota.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from ratelimit.limits.token_bucket import SECOND_US

DAY, MONTH = "day", "month"
# The largest number that every JSON reader, and Redis's doubles, hold exactly.
MAX_QUOTA = 2**53 - 1
RESERVATIONS_PER_QUOTA = 1000

_MICROSECOND = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True)
class QuotaPeriod:
    """`[begins_us, ends_us)` in microseconds since the epoch; `name` is 2026-11-20 or 2026-11."""

    unit: str
    name: str
    begins_us: int
    ends_us: int


@dataclass(frozen=True, slots=True)
class QuotaCharge:
    """Tokens that a request takes from a quota (`limit` per `unit`); 0 tokens only ask for the balance."""

    unit: str
    limit: int
    tokens: int


@dataclass(frozen=True, slots=True)
class QuotaBalance:
    """Tokens reserved from a caller's quota in a period, and how many of those are unspent."""

    unspent: int
    reserved: int

    def usable(self, limit: int) -> int:
        """Unspent tokens that may be given, also where the limit was lowered below what is reserved."""
        return max(0, self.unspent - max(0, self.reserved - limit))

    def remaining(self, limit: int) -> int:
        """Tokens that may still be given in the period."""
        return max(0, limit - self.reserved + self.unspent)


@dataclass(frozen=True, slots=True)
class Reservation:
    """Tokens that were just reserved, after which the database has `reserved` in all."""

    period: QuotaPeriod
    tokens: int
    reserved: int


@dataclass(frozen=True, slots=True)
class QuotaState:
    """A quota after a charge, as a caller sees it. `remaining` is None where Redis does not know it."""

    period: QuotaPeriod
    limit: int
    remaining: int | None
    admitted: bool
    now_us: int

    @property
    def name(self) -> str:
        return self.period.unit

    @property
    def until_reset_us(self) -> int:
        return self.period.ends_us - self.now_us

    @property
    def retry_after_us(self) -> int:
        """The span until the next period begins; 0 if admitted."""
        return 0 if self.admitted else self.until_reset_us

    @property
    def reset(self) -> int:
        """The epoch second at which the period ends."""
        return self.period.ends_us // SECOND_US


def period_at(unit: str, now_us: int) -> QuotaPeriod:
    """The day or the month in which an instant lies."""
    return _period_of(unit, now_us // _DAY_US)


def reservation_size(quota: QuotaCharge) -> int:
    """Tokens that are reserved at once: a thousandth of the quota, at least what the request costs."""
    return max(1, quota.limit // RESERVATIONS_PER_QUOTA, quota.tokens)


def is_used_up(quota: QuotaCharge, balance: QuotaBalance | None) -> bool:
    """Whether the whole quota has too little left. False where the balance is unknown."""
    return balance is not None and balance.remaining(quota.limit) < quota.tokens


def is_short_of(quota: QuotaCharge, balance: QuotaBalance | None) -> bool:
    """Whether too few reserved tokens are unspent, so that more must be reserved."""
    return (0 if balance is None else balance.usable(quota.limit)) < quota.tokens


@lru_cache(maxsize=64)
def _period_of(unit: str, day: int) -> QuotaPeriod:
    begin = _EPOCH + timedelta(days=day)
    if unit == DAY:
        return QuotaPeriod(DAY, f"{begin:%Y-%m-%d}", _us(begin), _us(begin + timedelta(days=1)))
    begin = begin.replace(day=1)
    end = (begin + timedelta(days=31)).replace(day=1)
    return QuotaPeriod(MONTH, f"{begin:%Y-%m}", _us(begin), _us(end))


def _us(instant: datetime) -> int:
    return (instant - _EPOCH) // _MICROSECOND
