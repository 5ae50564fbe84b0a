"""DRF's throttle class, which charges the caller's limits."""

from typing import TYPE_CHECKING

from rest_framework.exceptions import Throttled
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from ratelimit.access.permissions import access_of_request
from ratelimit.callers import Caller
from ratelimit.limits.admission import Admission
from ratelimit.limits.services import admit_call, kind_of
from web.endpoints import ANY_CALLER, Access
from web.requests.wsgi_variables import ADMISSION

if TYPE_CHECKING:  # DRF's views import this module through their settings
    from rest_framework.views import APIView


class TokenBucketThrottle(BaseThrottle):
    """A throttle that charges the caller, or an anonymous client's address, unless the call was already charged."""

    def allow_request(self, request: Request, view: "APIView") -> bool:
        """Return True or raise LimitReached."""
        meta = request.META
        if ADMISSION not in meta:
            _admit(request)
        admission: Admission = meta[ADMISSION]
        if not admission.admitted:
            raise LimitReached(admission)
        return True


class LimitReached(Throttled):
    """A refusal, status 429. Its code tells whether the bucket or a quota refused. Retry after `wait` seconds."""

    def __init__(self, admission: Admission) -> None:
        super().__init__(detail=admission.message, code=admission.code)
        self.wait = admission.retry_after


def _admit(request: Request) -> None:
    """Charge a request by what its view declares; if that is nothing, charge one token to its method's bucket."""
    caller = request.user if isinstance(request.user, Caller) else None
    access = access_of_request(request) or Access(ANY_CALLER, kind=kind_of(request.method))
    # DRF has already negotiated the format when it authenticates the request.
    answer_format = getattr(getattr(request, "accepted_renderer", None), "format", None) or ""
    admit_call(request.META, caller, access, answer_format=answer_format)
