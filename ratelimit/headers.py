"""The headers that tell a caller how it stands.

`X-RateLimit-Limit` is the bucket's size, from which `X-RateLimit-Remaining` counts down; `X-RateLimit-Reset` is
the epoch second at which the bucket is full again. `RateLimit-Policy` and `RateLimit` say the same in the
structured fields of draft-ietf-httpapi-ratelimit-headers: quota `q` per window of `w` seconds, `r` remaining,
`t` seconds until the quota is whole again.
"""

from collections.abc import Callable
from functools import lru_cache

from django.http import HttpRequest, HttpResponseBase

from ratelimit.token_bucket import SECOND_US, Standing


def rate_headers(standing: Standing) -> dict[str, str]:
    """Header names and values for a bucket that was charged."""
    remaining = str(standing.remaining)
    return {
        "X-RateLimit-Limit": str(standing.limit),
        "X-RateLimit-Remaining": remaining,
        "X-RateLimit-Reset": str(standing.reset),
        "RateLimit-Policy": _policy(standing.kind, standing.limit, standing.refill_us),
        "RateLimit": f'"{standing.kind}";r={remaining};t={-(-standing.until_full_us // SECOND_US)}',
    }


@lru_cache(maxsize=1024)
def _policy(kind: str, limit: int, refill_us: int) -> str:
    return f'"{kind}";q={limit};w={-(-refill_us // SECOND_US)}'


class RateLimitHeadersMiddleware:
    """Adds the headers wherever a bucket was charged, refusals included."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        standing: Standing | None = getattr(request, "rate_standing", None)
        if standing is not None:
            for name, value in rate_headers(standing).items():
                response.headers[name] = value
        return response
