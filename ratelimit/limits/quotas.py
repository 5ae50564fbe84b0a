"""Quotas: a maximum number of tokens per UTC day or month.

The tokens that callers used are counted in Redis and written to the database once a minute. A count that Redis has lost
is read back from the database.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from django.db.models import F, Value
from django.db.models.functions import Greatest
from django.utils import timezone

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


class QuotaCounts:
    """The newest counts by Redis that a process saw, until they are written. Thread-safe.

    `now_us` is in microseconds since the epoch.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flushing = threading.Lock()
        # By identity and the name of the period.
        self._counted: dict[tuple[str, str], int] = {}

    def note(self, identity: str, quotas: Sequence[QuotaCharge], used: Sequence[int], *, now_us: int) -> None:
        """Note the counts that Redis has after a charge."""
        with self._lock:
            for quota, count in zip(quotas, used, strict=True):
                key = identity, period_at(quota.unit, now_us).name
                self._counted[key] = max(count, self._counted.get(key, 0))

    def known(self, identity: str, quotas: Sequence[QuotaCharge], *, now_us: int) -> list[int]:
        """Return the counts by the database and this process. Raises DatabaseError."""
        periods = [period_at(quota.unit, now_us).name for quota in quotas]
        rows = QuotaUse.objects.filter(identity=identity, period__in=periods)
        booked = dict(rows.values_list("period", "booked"))
        return [max(booked.get(period, 0), self._counted.get((identity, period), 0)) for period in periods]

    def flush(self) -> None:
        """Write new counts to the database. Raises django.db.Error; then the next call writes the rest."""
        with self._flushing:
            with self._lock:
                counted = list(self._counted.items())
            for key, count in counted:
                _write(*key, count)
                with self._lock:
                    if self._counted[key] == count:
                        del self._counted[key]


def _write(identity: str, period: str, count: int) -> None:
    rows, now = QuotaUse.objects.filter(identity=identity, period=period), timezone.now()
    values = {"booked": Greatest(F("booked"), Value(count)), "updated_at": now}
    if not rows.update(**values):
        QuotaUse.objects.get_or_create(identity=identity, period=period, defaults={"updated_at": now})
        rows.update(**values)


def quota_usage_delete_old(*, now: datetime) -> int:
    """Delete rows that were last written more than RETENTION ago. Returns how many."""
    removed, _ = QuotaUse.objects.filter(updated_at__lt=now - RETENTION).delete()
    return removed
