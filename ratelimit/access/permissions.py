"""DRF's permission over the table of access."""

from typing import TYPE_CHECKING

from rest_framework.exceptions import APIException, NotAuthenticated, NotFound, PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from http_requests.exceptions import BodyTooLarge
from ratelimit.access.decision import may
from ratelimit.access.table import SMALL_BODY_BYTES, Access, access_asked
from ratelimit.callers import Caller
from ratelimit.wsgi_variables import ADMISSION, BODY_UNREAD

if TYPE_CHECKING:  # DRF's views import this module through their settings
    from rest_framework.views import APIView


# Any other denial is a PermissionDenied. Only by NotAuthenticated does DRF add the challenge.
_ERRORS: dict[str, type[APIException]] = {"not_authenticated": NotAuthenticated, "not_found": NotFound}


class HasAccess(BasePermission):
    """Admits whom the endpoint's row admits; an endpoint without a row admits nobody.

    OPTIONS, and a method that the view lacks and that is left to be a 405, need a caller only, and none where
    the endpoint is for anybody. Another's account is 404, as one that is not there. A refusal of a caller is
    charged as an answer is: what is free could be asked without end, and would tell another's account from
    one that is not there.
    """

    def has_permission(self, request: Request, view: "APIView") -> bool:
        """True. Raises NotAuthenticated, PermissionDenied or NotFound, and Throttled in their place.

        Raises BodyTooLarge where the body was not read since the call was refused when its headers came, and
        what refused it has changed.
        """
        access, user = asked_access(request, view), request.user
        caller = user if isinstance(user, Caller) else None
        account = None if access is None or access.account is None else view.kwargs.get(access.account)
        denial = may(caller, access, account=account)
        if denial is not None:
            if caller is not None and access is not None and not _is_charged(request):
                view.check_throttles(request)
            raise _ERRORS.get(denial.code, PermissionDenied)(denial.message, denial.code)
        if BODY_UNREAD in request.META and not _is_charged(request):
            raise BodyTooLarge(SMALL_BODY_BYTES)
        return True


def asked_access(request: Request, view: "APIView") -> Access | None:
    """The row by which a request is judged; None where it is denied.

    The throttle asks for what the permission found.
    """
    of_request = vars(request)
    if "asked_access" not in of_request:
        of_request["asked_access"] = _asked_access(request, view)
    access: Access | None = of_request["asked_access"]
    return access


def _asked_access(request: Request, view: "APIView") -> Access | None:
    match = request.resolver_match
    url_name = None if match is None else match.url_name
    method = request.method or ""
    return access_asked(url_name, method, is_implemented=_implements(view, method))


def _is_charged(request: Request) -> bool:
    """Whether there was an admission already.

    DRF asks again for the forms of a page and for what OPTIONS tells.
    """
    return ADMISSION in request.META


def _implements(view: "APIView", method: str) -> bool:
    """Whether there is something to protect; what is not implemented is left to be a 405."""
    name = method.lower()
    return name in view.http_method_names and hasattr(view, name)
