"""DRF's permission class, which applies what views declare in `access`."""

from typing import TYPE_CHECKING

from rest_framework.exceptions import APIException, NotAuthenticated, NotFound, PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from ratelimit.access.denials import denial_of
from ratelimit.callers import Caller
from web.endpoints import SMALL_BODY_BYTES, Access, access_of_call
from web.requests.exceptions import BodyTooLarge
from web.requests.wsgi_variables import ADMISSION, BODY_UNREAD

if TYPE_CHECKING:  # DRF's views import this module through their settings
    from rest_framework.views import APIView


# Maps a Denial's code to the exception; every other code is a PermissionDenied. DRF adds the header WWW-Authenticate
# for NotAuthenticated only.
_ERRORS: dict[str, type[APIException]] = {"not_authenticated": NotAuthenticated, "not_found": NotFound}


class HasAccess(BasePermission):
    """The permission to call an endpoint, decided by what its view declares of the handler (`web.endpoints`). Without that nobody may call it.

    OPTIONS, and methods that the view lacks (405), require a credential, unless the endpoint is open to everybody.
    If the caller does not own the account, the answer is 404, as for an unknown account. A refused caller is charged
    like an admitted one, because a free refusal would reveal which accounts exist.
    """

    def has_permission(self, request: Request, view: "APIView") -> bool:
        """Return True if the caller may call the endpoint.

        Otherwise raises NotAuthenticated, PermissionDenied or NotFound; Throttled if a limit is reached. Raises
        BodyTooLarge if the caller may, but the body was not read because a refusal was expected.
        """
        access, user = access_of_request(request), request.user
        caller = user if isinstance(user, Caller) else None
        denial = denial_of(caller, access, arguments=view.kwargs)
        if denial is not None:
            if caller is not None and access is not None and not _is_charged(request):
                view.check_throttles(request)
            raise _ERRORS.get(denial.code, PermissionDenied)(denial.message, denial.code)
        if BODY_UNREAD in request.META and not _is_charged(request):
            raise BodyTooLarge(SMALL_BODY_BYTES)
        return True


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


def _is_charged(request: Request) -> bool:
    """Return whether the request was already charged. DRF checks permissions repeatedly for HTML forms and OPTIONS."""
    return ADMISSION in request.META
