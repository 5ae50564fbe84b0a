"""DRF's throttle over the admission."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rest_framework.exceptions import Throttled
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from ratelimit.access.permissions import asked_access
from ratelimit.access.table import ANY_CALLER, Access
from ratelimit.callers import Caller
from ratelimit.limits.admission import Admission
from ratelimit.limits.costs import cost_of
from ratelimit.limits.services import admit, admit_address, kind_of
from ratelimit.request_attributes import ADMISSION

if TYPE_CHECKING:  # DRF's views import this module through their settings
    from rest_framework.views import APIView


class TokenBucketThrottle(BaseThrottle):
    """Charges the caller, or the address of whoever is not known; the admission is left on Django's request.

    Raises LimitReached.
    """

    def allow_request(self, request: Request, view: "APIView") -> bool:
        # Django's request, where middleware sees it, and which DRF's asks for what it has not itself.
        django_request = request._request  # noqa: SLF001
        admission = _admission(request, view, django_request.META)
        setattr(django_request, ADMISSION, admission)
        if not admission.admitted:
            raise LimitReached(admission)
        return True


class LimitReached(Throttled):
    """429 with the code of what refused, a bucket or a quota; retry after `wait` seconds."""

    def __init__(self, admission: Admission) -> None:
        super().__init__(detail=admission.message, code=admission.code)
        self.wait = admission.retry_after


def _admission(request: Request, view: "APIView", meta: Mapping[str, Any]) -> Admission:
    """The admission of a request by its row in the table of access, or by its method where it has none."""
    caller = request.user
    if not isinstance(caller, Caller):
        return admit_address(meta.get("REMOTE_ADDR", ""))
    access = asked_access(request, view) or Access(ANY_CALLER, kind=kind_of(request.method))
    # DRF has chosen it before it asks who calls.
    answer_format = getattr(getattr(request, "accepted_renderer", None), "format", None) or ""
    cost = cost_of(access.cost, meta.get("QUERY_STRING", ""), answer_format)
    return admit(caller, access, cost=cost)
