"""The outcome of charging a request, and the headers that show it to the caller.

`X-RateLimit-*` show the bucket or the quota that has the fewest tokens left: its size, the tokens left, and the
epoch second at which it is full again. `RateLimit-Policy` and `RateLimit` are the structured fields of
draft-ietf-httpapi-ratelimit-headers-11, with one item for the bucket and one for each quota: `q` tokens per `w`
seconds, `r` tokens left, and `t` seconds until it is full again. If the bucket refused, `t` is the time until the
request would be admitted. The draft's optional unit and partition key are left out, because the unit is the default
and the partition would repeat the credential.
"""

from collections.abc import Sequence
from functools import lru_cache
from math import ceil
from typing import NamedTuple

from ratelimit.limits.quotas import QuotaCharge, QuotaState, period_at
from ratelimit.limits.token_bucket import SECOND_US, BucketState
from web.durations import duration_text

COST_HEADER = "X-Cost"
RATE_LIMITED = "rate_limited"
QUOTA_EXCEEDED = "quota_exceeded"
_NAMES = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "RateLimit-Policy", "RateLimit")
_LINES = "".join(f"{name}: %s\r\n" for name in _NAMES)


class Admission(NamedTuple):
    """The bucket and the quotas after a request. If one of them refused, Redis charged none of them."""

    bucket: BucketState
    quotas: tuple[QuotaState, ...] = ()

    @property
    def admitted(self) -> bool:
        return self.bucket.admitted and (not self.quotas or all(quota.admitted for quota in self.quotas))

    @property
    def retry_after_us(self) -> int:
        """Microseconds until the request would be admitted if the caller sends no other; 0 if it was admitted."""
        return max(self.bucket.retry_after_us, *(quota.retry_after_us for quota in self.quotas), 0)

    @property
    def retry_after(self) -> int:
        """`retry_after_us` in seconds, rounded up."""
        return -(-self.retry_after_us // SECOND_US)

    @property
    def code(self) -> str:
        """The reason for a refusal: QUOTA_EXCEEDED or RATE_LIMITED; "" if admitted."""
        if any(not quota.admitted for quota in self.quotas):
            return QUOTA_EXCEEDED
        return "" if self.bucket.admitted else RATE_LIMITED

    @property
    def message(self) -> str:
        """The reason for a refusal, for people."""
        used_up = [quota.name for quota in self.quotas if not quota.admitted]
        if used_up:
            reason = f"the quota of the {' and of the '.join(used_up)} is used up"
        else:
            rate = round(self.bucket.limit * SECOND_US / self.bucket.refill_us)
            tokens = "1 token" if rate == 1 else f"{rate:,} tokens"
            reason = f'the limit "{self.bucket.name}" is reached: {tokens} a second'
        return f"{reason}; retry in {duration_text(self.retry_after, ceil)}"


def admission_of(
    bucket: BucketState, quotas: Sequence[QuotaCharge], used: Sequence[int], *, is_charged: bool
) -> Admission:
    """Return a request's Admission. used: how many tokens of each quota are used, with the request's if it is charged."""
    now_us = bucket.now_us
    # Check quotas even if the bucket refused. Otherwise a caller might wait for the bucket in vain.
    states = [
        QuotaState(
            period=period_at(quota.unit, now_us),
            limit=quota.limit,
            remaining=max(0, quota.limit - count),
            admitted=is_charged or not quota.is_exceeded_by(count),
            now_us=now_us,
        )
        for quota, count in zip(quotas, used, strict=True)
    ]
    return Admission(bucket, tuple(states))


def admission_headers(admission: Admission) -> dict[str, str]:
    """Return header names and values for an admission, with `Retry-After` if it was refused."""
    headers = dict(zip(_NAMES, map(str, _values(admission)), strict=True))
    if not admission.admitted:
        headers["Retry-After"] = str(admission.retry_after)
    return headers


def admission_lines(admission: Admission) -> bytes:
    """Return the same as header lines, for a call that was admitted."""
    return (_LINES % _values(admission)).encode()


def _values(admission: Admission) -> tuple[int, int, int, str, str]:
    """Return the values of the headers `_NAMES`."""
    bucket, quotas = admission
    policies = _policy(bucket.name, bucket.limit, bucket.refill_us)
    limits = _limit(bucket.name, bucket.remaining, bucket.retry_after_us or bucket.until_full_us)
    tightest: BucketState | QuotaState = bucket
    least_remaining = bucket.remaining
    for quota in quotas:
        policies += f", {_policy(quota.name, quota.limit, quota.period.ends_us - quota.period.begins_us)}"
        limits += f", {_limit(quota.name, quota.remaining, quota.until_reset_us)}"
        if quota.remaining < least_remaining:
            tightest, least_remaining = quota, quota.remaining
    return tightest.limit, least_remaining, tightest.reset, policies, limits


def _limit(name: str, remaining: int, until_us: int) -> str:
    return f'"{name}";r={remaining};t={-(-until_us // SECOND_US)}'


@lru_cache(maxsize=1024)
def _policy(name: str, limit: int, window_us: int) -> str:
    return f'"{name}";q={limit};w={-(-window_us // SECOND_US)}'
