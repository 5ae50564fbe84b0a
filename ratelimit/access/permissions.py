"""DRF's permission class, by the access table."""

from typing import TYPE_CHECKING

from rest_framework.exceptions import APIException, NotAuthenticated, NotFound, PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from http_requests.exceptions import BodyTooLarge
from ratelimit.access.table import SMALL_BODY_BYTES, Access, access_of_call, denial_of
from ratelimit.callers import Caller
from ratelimit.wsgi_variables import ADMISSION, BODY_UNREAD

if TYPE_CHECKING:  # DRF's views import this module through their settings
    from rest_framework.views import APIView


# Any other denial is a PermissionDenied. Only by NotAuthenticated does DRF add the challenge.
_ERRORS: dict[str, type[APIException]] = {"not_authenticated": NotAuthenticated, "not_found": NotFound}


class HasAccess(BasePermission):
    """Admits a request by its endpoint's row; an endpoint without a row admits nobody.

    OPTIONS, and a method that the view lacks (a 405), need any caller, or nobody if the endpoint is open to
    anybody. Another's account is 404, as an unknown one. A refused caller is charged like an admitted one:
    otherwise refusals would be free and would tell another's account from an unknown one.
    """

    def has_permission(self, request: Request, view: "APIView") -> bool:
        """Return True or raise NotAuthenticated, PermissionDenied or NotFound; Throttled takes precedence.

        Raises BodyTooLarge for a call that was refused before its body was read and would be admitted now.
        """
        access, user = access_of_request(request, view), request.user
        caller = user if isinstance(user, Caller) else None
        account = None if access is None or access.account is None else view.kwargs.get(access.account)
        denial = denial_of(caller, access, account=account)
        if denial is not None:
            if caller is not None and access is not None and not _is_charged(request):
                view.check_throttles(request)
            raise _ERRORS.get(denial.code, PermissionDenied)(denial.message, denial.code)
        if BODY_UNREAD in request.META and not _is_charged(request):
            raise BodyTooLarge(SMALL_BODY_BYTES)
        return True


def access_of_request(request: Request, view: "APIView") -> Access | None:
    """The row that decides about a request; None if it is denied. Cached on the request for the throttle."""
    of_request = vars(request)
    if "access_of_request" not in of_request:
        of_request["access_of_request"] = _asked_access(request, view)
    access: Access | None = of_request["access_of_request"]
    return access


def _asked_access(request: Request, view: "APIView") -> Access | None:
    match = request.resolver_match
    url_name = None if match is None else match.url_name
    method = request.method or ""
    return access_of_call(url_name, method, is_implemented=_implements(view, method))


def _is_charged(request: Request) -> bool:
    """Whether the request was charged before. DRF asks again for a page's forms and for OPTIONS."""
    return ADMISSION in request.META


def _implements(view: "APIView", method: str) -> bool:
    """Whether the view has the method; otherwise the answer is a 405."""
    name = method.lower()
    return name in view.http_method_names and hasattr(view, name)
