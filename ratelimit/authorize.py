"""The order in which the calls of a caller are decided: access, limits, refusal; and DRF's classes that call it."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from rest_framework.exceptions import APIException, NotAuthenticated, NotFound, PermissionDenied, Throttled
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from ratelimit.access.denials import Denial, denial_of, fetched_denial
from ratelimit.callers import Caller
from ratelimit.limits.admission import Admission
from ratelimit.limits.services import admit_call
from web.endpoints import SMALL_BODY_BYTES, Access, access_of_call
from web.requests.exceptions import BodyTooLarge
from web.requests.wsgi_variables import ADMISSION, BODY_UNREAD

if TYPE_CHECKING:  # DRF's views import this module through their settings
    from rest_framework.views import APIView

# Maps a Denial's code to the exception; every other code is a PermissionDenied. DRF adds the header WWW-Authenticate
# for NotAuthenticated only.
_ERRORS: dict[str, type[APIException]] = {"not_authenticated": NotAuthenticated, "not_found": NotFound}


class LimitReached(Throttled):
    """A refusal, status 429. Its code tells whether the bucket or a quota refused. Retry after `wait` seconds."""

    def __init__(self, admission: Admission) -> None:
        super().__init__(detail=admission.message, code=admission.code)
        self.wait = admission.retry_after


def authorize(
    caller: Caller | None,
    access: Access | None,
    charge: Callable[[Caller | None, Access], Admission],
    *,
    arguments: Mapping[str, str] | None = None,
    charges_admitted: bool = True,
    charges_refused: bool = True,
) -> None:
    """Charge a call, and raise the first error: NotAuthenticated, LimitReached, PermissionDenied or NotFound.

    A refused caller is charged like an admitted one, because a free refusal would reveal which accounts exist. Who has
    no credential is not charged here, unless the endpoint is open to everybody. arguments: the URL's.
    charges_admitted, charges_refused: False leaves the charge of such a call to a later call of this function.
    """
    denial = denial_of(caller, access, arguments=arguments) or fetched_denial(
        caller, access, arguments=arguments
    )
    is_charged = charges_admitted if denial is None else charges_refused and caller is not None
    if is_charged and access is not None:
        check_limits(charge(caller, access))
    if denial is not None:
        raise _error(denial)


def check_access(caller: Caller, access: Access | None) -> None:
    """Raise PermissionDenied if the caller may not make such calls; charge nothing."""
    denial = denial_of(caller, access)
    if denial is not None:
        raise _error(denial)


def check_limits(admission: Admission) -> None:
    """Raise LimitReached if a limit refused the charge."""
    if not admission.admitted:
        raise LimitReached(admission)


def _error(denial: Denial) -> APIException:
    return _ERRORS.get(denial.code, PermissionDenied)(denial.message, denial.code)


class HasAccess(BasePermission):
    """The permission to call an endpoint, decided by what its view declares of the handler (`web.endpoints`). Without that nobody may call it.

    OPTIONS, and methods that the view lacks (405), require a credential, unless the endpoint is open to everybody.
    If the caller does not own the account, the answer is 404, as for an unknown account. DRF checks permissions
    repeatedly for HTML forms and OPTIONS; the call is charged once.
    """

    def has_permission(self, request: Request, view: "APIView") -> bool:
        """Return True if the caller may call the endpoint, or raise the errors of `authorize`.

        Raises BodyTooLarge if the caller may, but the body was not read because a refusal was expected.
        """
        _authorize(request, view, charges_admitted=False)
        if BODY_UNREAD in request.META and ADMISSION not in request.META:
            raise BodyTooLarge(SMALL_BODY_BYTES)
        return True


class TokenBucketThrottle(BaseThrottle):
    """A throttle that charges the caller, or an anonymous client's address, unless the call was already charged."""

    def allow_request(self, request: Request, view: "APIView") -> bool:
        """Return True or raise LimitReached."""
        _authorize(request, view)
        return True


def _authorize(request: Request, view: "APIView", *, charges_admitted: bool = True) -> None:
    caller = request.user if isinstance(request.user, Caller) else None
    # DRF has already negotiated the format when it authenticates the request.
    answer_format = getattr(getattr(request, "accepted_renderer", None), "format", None) or ""
    charge = partial(admit_call, request.META, answer_format=answer_format)
    authorize(
        caller,
        access_of_request(request),
        charge,
        arguments=view.kwargs,
        charges_admitted=charges_admitted,
    )


def access_of_request(request: Request) -> Access | None:
    """Return the access that applies to a request; None if it is denied. Cached on the request for the throttle."""
    cache = vars(request)
    if "access_of_request" not in cache:
        match = request.resolver_match
        cache["access_of_request"] = (
            None if match is None else access_of_call(match.func, request.method or "")
        )
    access: Access | None = cache["access_of_request"]
    return access
