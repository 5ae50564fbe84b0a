"""DRF's throttle over the limiter."""

from typing import TYPE_CHECKING

from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from ratelimit.api_keys import Caller
from ratelimit.limiter import admit
from ratelimit.token_bucket import SECOND_US, Standing

if TYPE_CHECKING:  # DRF's views import this module through their settings
    from rest_framework.views import APIView

READ_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def kind_of(method: str | None) -> str:
    """The kind of bucket that a method is charged to: `read` or `write`."""
    return "read" if method in READ_METHODS else "write"


class TokenBucketThrottle(BaseThrottle):
    """Charges the caller's bucket; the standing is left on Django's request for the headers.

    Requests without a caller (public views) are not charged.
    """

    standing: Standing | None = None

    def allow_request(self, request: Request, view: "APIView") -> bool:
        caller = request.user
        if not isinstance(caller, Caller):
            return True
        standing = admit(caller_identity=caller.identity, rate=caller.rate, kind=kind_of(request.method))
        self.standing = standing
        request._request.rate_standing = standing  # noqa: SLF001 where middleware sees it
        return standing.admitted

    def wait(self) -> float | None:
        """Seconds after which a request will be admitted, if this caller sends none before."""
        return None if self.standing is None else self.standing.retry_after_us / SECOND_US
