"""The periods of quotas: UTC days and UTC months."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

DAY, MONTH = "day", "month"

_MICROSECOND = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Period:
    """`[begins_us, ends_us)` in microseconds since the epoch; `name` is 2026-11-20 or 2026-11."""

    unit: str
    name: str
    begins_us: int
    ends_us: int


def period_at(unit: str, now_us: int) -> Period:
    """The day or the month in which an instant lies."""
    return _period_of(unit, now_us // _DAY_US)


@lru_cache(maxsize=64)
def _period_of(unit: str, day: int) -> Period:
    begin = _EPOCH + timedelta(days=day)
    if unit == DAY:
        return Period(DAY, f"{begin:%Y-%m-%d}", _us(begin), _us(begin + timedelta(days=1)))
    begin = begin.replace(day=1)
    end = (begin + timedelta(days=31)).replace(day=1)
    return Period(MONTH, f"{begin:%Y-%m}", _us(begin), _us(end))


def _us(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND
