"""The headers that tell a caller how it stands.

`X-RateLimit-*` tell of what binds first, the bucket or a quota: its size, what is left of it, and the epoch
second at which it is whole again. `RateLimit-Policy` and `RateLimit` are the structured fields of
draft-ietf-httpapi-ratelimit-headers-11, with one item for the bucket and one for each quota: quota `q` per
window of `w` seconds, `r` remaining, `t` seconds until it is whole again or, where it refused, until the
request is admitted. Quota units are the draft's default, and there is no partition key: it would tell a
client nothing that its credential does not.
"""

from collections.abc import Callable
from functools import lru_cache

from django.http import HttpRequest, HttpResponseBase

from ratelimit.limits.admission import Admission
from ratelimit.limits.buckets.token_bucket import SECOND_US, Standing
from ratelimit.limits.quotas.spends import QuotaStanding
from ratelimit.wsgi_variables import ADMISSION


def admission_headers(admission: Admission) -> dict[str, str]:
    """Header names and values for an admission; where it was refused, with `Retry-After`."""
    bucket, quotas = admission
    policies = _policy(bucket.name, bucket.limit, bucket.refill_us)
    limits = _limit(bucket.name, bucket.remaining, bucket.retry_after_us or bucket.until_full_us)
    tightest: Standing | QuotaStanding = bucket
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


def _limit(name: str, remaining: int, until_us: int) -> str:
    return f'"{name}";r={remaining};t={-(-until_us // SECOND_US)}'


@lru_cache(maxsize=1024)
def _policy(name: str, limit: int, window_us: int) -> str:
    return f'"{name}";q={limit};w={-(-window_us // SECOND_US)}'


class RateLimitHeadersMiddleware:
    """Adds the headers wherever there was an admission, refusals included."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        admission: Admission | None = request.META.get(ADMISSION)
        if admission is not None:
            for name, value in admission_headers(admission).items():
                response.headers[name] = value
        return response
