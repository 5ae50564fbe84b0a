"""Quotas: a maximum number of tokens per UTC day or month."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from ratelimit.limits.token_bucket import SECOND_US
from ratelimit.models import QuotaUse

UNITS = DAY, MONTH = "day", "month"
# The largest quota in tokens. Lua in Redis, and many readers of JSON, use doubles, which are exact up to this number.
MAX_QUOTA = 2**53 - 1
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
    """A charge of `tokens` to a quota of `limit` tokens per `unit`. A charge of 0 tokens only reads the count."""

    unit: str
    limit: int
    tokens: int

    def is_exceeded_by(self, used: int) -> bool:
        """Return whether the charge is more than is left of the quota."""
        return self.tokens > max(0, self.limit - used)


@dataclass(frozen=True, slots=True)
class QuotaState:
    """A quota after a charge, as a caller sees it."""

    period: QuotaPeriod
    limit: int
    remaining: int
    admitted: bool
    now_us: int

    @property
    def name(self) -> str:
        return self.period.unit

    @property
    def used(self) -> int:
        return self.limit - self.remaining

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


def quota_usage_delete_old(*, now: datetime) -> int:
    """Delete rows that were last written more than RETENTION ago. Returns how many."""
    removed, _ = QuotaUse.objects.filter(updated_at__lt=now - RETENTION).delete()
    return removed
