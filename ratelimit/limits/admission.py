"""The outcome of a request for admission, and the headers that show it to the caller.

`X-RateLimit-*` show the bucket or the quota that has the fewest tokens left: its size, what is left, and the
epoch second at which it is full again. `RateLimit-Policy` and `RateLimit` are the structured fields of
draft-ietf-httpapi-ratelimit-headers-11, with one item for the bucket and one for each quota: quota `q` per
window of `w` seconds, `r` remaining, `t` seconds until it is full again or, for a bucket that refused, until the
request is admitted. Quota units are the draft's default. There is no partition key, because it would repeat the
credential.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

from django.http import HttpRequest, HttpResponseBase

from ratelimit.limits.quotas import (
    QuotaBalance,
    QuotaCharge,
    QuotaState,
    is_short_of,
    is_used_up,
    period_at,
)
from ratelimit.limits.token_bucket import SECOND_US, BucketState
from ratelimit.wsgi_variables import ADMISSION

RATE_LIMITED = "rate_limited"
QUOTA_EXCEEDED = "quota_exceeded"


class Admission(NamedTuple):
    """A bucket and quotas after a request. All were charged, or none if one of them refused."""

    bucket: BucketState
    quotas: tuple[QuotaState, ...] = ()

    @property
    def admitted(self) -> bool:
        return self.bucket.admitted and (not self.quotas or all(quota.admitted for quota in self.quotas))

    @property
    def retry_after_us(self) -> int:
        """The span after which the request is admitted if the caller sends none before; 0 if it was."""
        return max(self.bucket.retry_after_us, *(quota.retry_after_us for quota in self.quotas), 0)

    @property
    def retry_after(self) -> int:
        """The same in seconds, rounded up."""
        return -(-self.retry_after_us // SECOND_US)

    @property
    def code(self) -> str:
        """The reason for a refusal: QUOTA_EXCEEDED or RATE_LIMITED; "" if admitted."""
        if any(not quota.admitted for quota in self.quotas):
            return QUOTA_EXCEEDED
        return "" if self.bucket.admitted else RATE_LIMITED

    @property
    def message(self) -> str:
        """The refusal in words."""
        used_up = [quota.name for quota in self.quotas if not quota.admitted]
        reason = (
            f"the quota of the {' and of the '.join(used_up)} is used up"
            if used_up
            else "the limit is reached"
        )
        return f"{reason}; retry in {self.retry_after} s"


def admission_of(
    bucket: BucketState,
    quotas: Sequence[QuotaCharge],
    balances: Sequence[QuotaBalance | None],
    *,
    is_short: bool,
) -> Admission:
    """The admission of a request.

    is_short: the bucket had enough and a quota had not, so nothing was charged.
    """
    refused: Sequence[bool] = ()
    if is_short or not bucket.admitted:
        # Also if the bucket refused: a caller should not wait for it and then find a quota used up.
        refused = list(map(is_used_up, quotas, balances))
        if is_short and not any(refused):
            refused = list(map(is_short_of, quotas, balances))
    now_us = bucket.now_us
    return Admission(
        bucket,
        tuple(
            QuotaState(
                period_at(quota.unit, now_us),
                quota.limit,
                None if balance is None else balance.remaining(quota.limit),
                not (refused and refused[number]),
                now_us,
            )
            for number, (quota, balance) in enumerate(zip(quotas, balances, strict=True))
        ),
    )


def admission_headers(admission: Admission) -> dict[str, str]:
    """Header names and values for an admission, with `Retry-After` if it was refused."""
    bucket, quotas = admission
    policies = _policy(bucket.name, bucket.limit, bucket.refill_us)
    limits = _limit(bucket.name, bucket.remaining, bucket.retry_after_us or bucket.until_full_us)
    tightest: BucketState | QuotaState = bucket
    left = bucket.remaining
    for quota in quotas:
        policies += f", {_policy(quota.name, quota.limit, quota.period.ends_us - quota.period.begins_us)}"
        if quota.remaining is None:
            continue
        limits += f", {_limit(quota.name, quota.remaining, quota.until_reset_us)}"
        if quota.remaining < left:
            tightest, left = quota, quota.remaining
    headers = {
        "X-RateLimit-Limit": str(tightest.limit),
        "X-RateLimit-Remaining": str(left),
        "X-RateLimit-Reset": str(tightest.reset),
        "RateLimit-Policy": policies,
        "RateLimit": limits,
    }
    if not admission.admitted:
        headers["Retry-After"] = str(admission.retry_after)
    return headers


class RateLimitHeadersMiddleware:
    """Adds the headers to every answer of a request that was admitted or refused."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        admission: Admission | None = request.META.get(ADMISSION)
        if admission is not None:
            for name, value in admission_headers(admission).items():
                response.headers[name] = value
        return response


def _limit(name: str, remaining: int, until_us: int) -> str:
    return f'"{name}";r={remaining};t={-(-until_us // SECOND_US)}'


@lru_cache(maxsize=1024)
def _policy(name: str, limit: int, window_us: int) -> str:
    return f'"{name}";q={limit};w={-(-window_us // SECOND_US)}'
