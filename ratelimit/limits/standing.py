"""How a caller stands: every bucket and quota that it has."""

from dataclasses import dataclass

from ratelimit.access.table import READ, TRADING, WRITE, access_table
from ratelimit.callers import Caller
from ratelimit.limits.admission import Admission
from ratelimit.limits.buckets.token_bucket import Standing
from ratelimit.limits.quotas.book import quota_booked
from ratelimit.limits.quotas.spends import QuotaStanding
from ratelimit.limits.services import DATA_GROUP, bucket_name, look, rate_of

# What every caller has, whatever endpoints there are.
_OF_ALL = {(DATA_GROUP, READ): None, (DATA_GROUP, WRITE): None, (DATA_GROUP, TRADING): None}


@dataclass(frozen=True, slots=True)
class BucketReport:
    """A bucket, and the tokens per second that flow into it."""

    standing: Standing
    rate: int


@dataclass(frozen=True, slots=True)
class QuotaReport:
    """A quota, and how much of it is used."""

    standing: QuotaStanding
    used: int
    remaining: int


@dataclass(frozen=True, slots=True)
class LimitsReport:
    buckets: list[BucketReport]
    quotas: list[QuotaReport]


def limits_report(caller: Caller, *, charged: Admission) -> LimitsReport:
    """Every bucket and quota of a caller.

    Nothing is charged; `charged` is the admission of the call that asks.
    """
    buckets = {charged.bucket.name: charged.bucket}
    rates: dict[str, int] = {}
    for group, kind in _kinds():
        name = bucket_name(group, kind)
        rates.setdefault(name, rate_of(caller, kind))
        if name not in buckets:
            buckets[name] = look(caller, group=group, kind=kind).bucket
    return LimitsReport(
        [BucketReport(buckets[name], rate) for name, rate in rates.items()],
        [_quota_report(caller, quota) for quota in charged.quotas],
    )


def _kinds() -> list[tuple[str, str]]:
    """Group and kind of every bucket that an endpoint is charged to."""
    declared = sorted({(row.group, row.kind) for row in access_table().values()})
    return list(dict.fromkeys([*_OF_ALL, *declared]))


def _quota_report(caller: Caller, quota: QuotaStanding) -> QuotaReport:
    """A quota of which Redis knows nothing has nothing at hand: what is booked is used."""
    remaining = quota.remaining
    if remaining is None:
        remaining = max(0, quota.limit - quota_booked(identity=caller.family, period=quota.period))
    return QuotaReport(quota, max(0, quota.limit - remaining), remaining)
