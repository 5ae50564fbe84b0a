"""DRF's permission class, which applies the access table."""

from typing import TYPE_CHECKING

from rest_framework.exceptions import APIException, NotAuthenticated, NotFound, PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from ratelimit.access.table import SMALL_BODY_BYTES, Access, access_of_call, denial_of
from ratelimit.callers import Caller
from web.requests.exceptions import BodyTooLarge
from web.requests.wsgi_variables import ADMISSION, BODY_UNREAD

if TYPE_CHECKING:  # DRF's views import this module through their settings
    from rest_framework.views import APIView


# Maps a Denial's code to the exception; every other code is a PermissionDenied. DRF adds the header WWW-Authenticate
# for NotAuthenticated only.
_ERRORS: dict[str, type[APIException]] = {"not_authenticated": NotAuthenticated, "not_found": NotFound}


class HasAccess(BasePermission):
    """The permission to call an endpoint, decided by its row in the access table. Without a row nobody may call it.

    OPTIONS, and methods that the view lacks (405), require a credential, unless the endpoint is open to everybody.
    If the caller does not own the account, the answer is 404, as for an unknown account. A refused caller is charged
    like an admitted one, because a free refusal would reveal which accounts exist.
    """

    def has_permission(self, request: Request, view: "APIView") -> bool:
        """Return True if the caller may call the endpoint.

        Otherwise raises NotAuthenticated, PermissionDenied or NotFound; Throttled if a limit is reached. Raises
        BodyTooLarge if the caller may, but the body was not read because a refusal was expected.
        """
        access, user = access_of_request(request, view), request.user
        caller = user if isinstance(user, Caller) else None
        denial = denial_of(caller, access, arguments=view.kwargs)
        if denial is not None:
            if caller is not None and access is not None and not _is_charged(request):
                view.check_throttles(request)
            raise _ERRORS.get(denial.code, PermissionDenied)(denial.message, denial.code)
        if BODY_UNREAD in request.META and not _is_charged(request):
            raise BodyTooLarge(SMALL_BODY_BYTES)
        return True


def access_of_request(request: Request, view: "APIView") -> Access | None:
    """Return the row that applies to a request; None if access is denied. Cached on the request for the throttle."""
    cache = vars(request)
    if "access_of_request" not in cache:
        cache["access_of_request"] = _row_for(request, view)
    access: Access | None = cache["access_of_request"]
    return access


def _row_for(request: Request, view: "APIView") -> Access | None:
    match = request.resolver_match
    url_name = None if match is None else match.url_name
    method = request.method or ""
    return access_of_call(url_name, method, is_implemented=_implements(view, method))


def _is_charged(request: Request) -> bool:
    """Return whether the request was already charged. DRF checks permissions repeatedly for HTML forms and OPTIONS."""
    return ADMISSION in request.META


def _implements(view: "APIView", method: str) -> bool:
    """Return whether the view has the method; if not, the answer is 405."""
    name = method.lower()
    return name in view.http_method_names and hasattr(view, name)
