"""Quotas: a maximum number of tokens per UTC day or month.

Tokens are reserved in the database, a thousandth of the quota at a time, before they are given. The unspent
tokens of a reservation are in Redis, or in a process while Redis is away. If they are lost, they stay reserved in
the database, so no caller ever gets more than its quota.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from ratelimit.limits.token_bucket import SECOND_US
from ratelimit.models import QuotaUse

UNITS = DAY, MONTH = "day", "month"
# The largest quota in tokens. Lua in Redis, and many readers of JSON, use doubles, which are exact up to this number.
MAX_QUOTA = 2**53 - 1
RESERVATIONS_PER_QUOTA = 1000
# How long a row is kept after it was last written. It is longer than a month, so that the row's period is over by then,
# even if a clock is wrong by days.
RETENTION = timedelta(days=40)

_MICROSECOND = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True)
class QuotaPeriod:
    """A UTC day or month: `[begins_us, ends_us)` in microseconds since the epoch; `name` is 2026-11-20 or 2026-11."""

    unit: str
    name: str
    begins_us: int
    ends_us: int


@dataclass(frozen=True, slots=True)
class QuotaCharge:
    """A charge of `tokens` to a quota of `limit` tokens per `unit`. A charge of 0 tokens only reads the balance."""

    unit: str
    limit: int
    tokens: int


@dataclass(frozen=True, slots=True)
class QuotaBalance:
    """How many tokens of a caller's quota are reserved in a period, and how many of those are unspent."""

    unspent: int
    reserved: int

    def usable(self, limit: int) -> int:
        """Return how many unspent tokens may be given.

        More than `limit` are reserved if the limit was lowered in this period. The excess must not be given.
        """
        return max(0, self.unspent - max(0, self.reserved - limit))

    def remaining(self, limit: int) -> int:
        """Return how many tokens may still be given in the period, reserved or not."""
        return max(0, limit - self.reserved + self.unspent)


@dataclass(frozen=True, slots=True)
class Reservation:
    """Tokens that were just reserved; `reserved` is the new total in the database."""

    period: QuotaPeriod
    tokens: int
    reserved: int


@dataclass(frozen=True, slots=True)
class QuotaState:
    """A quota after a charge, as a caller sees it. `remaining` is None if the balance is unknown."""

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
        """Microseconds until the next period begins; 0 if admitted."""
        return 0 if self.admitted else self.until_reset_us

    @property
    def reset(self) -> int:
        """The epoch second at which the period ends."""
        return self.period.ends_us // SECOND_US


def period_at(unit: str, now_us: int) -> QuotaPeriod:
    """Return the UTC day or month that contains an instant."""
    return _period_of(unit, now_us // _DAY_US)


def reservation_size(quota: QuotaCharge) -> int:
    """Return how many tokens to reserve: a thousandth of the quota, at least the request's cost and 1."""
    return max(1, quota.limit // RESERVATIONS_PER_QUOTA, quota.tokens)


def exceeds_quota(quota: QuotaCharge, balance: QuotaBalance | None) -> bool:
    """Return whether the charge is more than is left of the whole quota. False if the balance is unknown."""
    return balance is not None and balance.remaining(quota.limit) < quota.tokens


def is_short_of(quota: QuotaCharge, balance: QuotaBalance | None) -> bool:
    """Return whether the charge is more than the unspent reserved tokens, so that more must be reserved."""
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


def quota_reserve(identity: str, quota: QuotaCharge, *, now_us: int) -> Reservation:
    """Reserve tokens in the current period, never more than the quota. `tokens` is 0 if none are left.

    Do not call it in a transaction: a rollback would undo the reservation of tokens that were already given. Raises
    DatabaseError.
    """
    period, now = period_at(quota.unit, now_us), datetime.fromtimestamp(now_us / SECOND_US, UTC)
    rows = QuotaUse.objects.filter(identity=identity, period=period.name)
    while True:
        reserved = rows.values_list("booked", flat=True).first()
        if reserved is None:
            QuotaUse.objects.get_or_create(
                identity=identity, period=period.name, defaults={"updated_at": now}
            )
            reserved = 0
        tokens = max(0, min(reservation_size(quota), quota.limit - reserved))
        if tokens == 0:
            return Reservation(period, 0, reserved)
        # The update fails only if another call has reserved tokens meanwhile. The loop ends at the latest when all
        # tokens of the quota are reserved.
        if rows.filter(booked=reserved).update(booked=reserved + tokens, updated_at=now):
            return Reservation(period, tokens, reserved + tokens)


def quota_reserved(*, identity: str, period: QuotaPeriod) -> int:
    """Return how many tokens of a caller's quota are reserved in a period. Raises DatabaseError."""
    reserved = QuotaUse.objects.filter(identity=identity, period=period.name).values_list("booked", flat=True)
    return reserved.first() or 0


def quota_usage_delete_old(*, now: datetime) -> int:
    """Delete rows that were last written more than RETENTION ago. Returns how many."""
    removed, _ = QuotaUse.objects.filter(updated_at__lt=now - RETENTION).delete()
    return removed
