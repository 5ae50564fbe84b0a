"""Charges requests that DRF's throttles do not see: public pages, the admin, 401s and unknown paths.

The charge counts against the caller's rate limit, or, without a caller, against the client's address.
"""

from collections.abc import Callable
from typing import Any

from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from marketdata_project.problems import problem_of
from ratelimit.authorize import LimitReached
from ratelimit.callers import Caller
from ratelimit.credentials.identify import identify
from ratelimit.credentials.people import caller_of_person
from ratelimit.exceptions import CredentialError, NetworkNotAllowed
from ratelimit.limits.costs import UNMETERED
from ratelimit.limits.services import admit_call
from web.endpoints import ANY_CALLER, Access
from web.requests.received import call_in
from web.requests.wsgi_variables import ADMISSION

# The url names of web pages and documentation, open to anybody.
_PAGE_VIEWS = frozenset(
    {
        "dashboard",
        "endpoints",
        "favicon",
        "import-page",
        "login-link",
        "admin-login",
        "schema",
        "docs",
        "errors",
        "guides",
        "guide",
        "versions",
    }
)
# All views that are no endpoints of the API. Load balancers, the supervisor and Prometheus request those that are no pages.
PUBLIC_VIEWS = _PAGE_VIEWS | {"healthz", "readyz", "metrics"}
# URL namespaces of pages with a session: the admin, which requires a staff session, and the login page.
DJANGO_SITES = frozenset({"admin", "login"})
_PAGES = Access(ANY_CALLER, group="access", cost=UNMETERED)


class AnonymousClientMiddleware:
    """A middleware that charges public pages and the admin before the view, and answers 401, 404, 406 and 413 after it.

    The admin and the login page are free for staff who are logged in. A 401 is charged to the address, any other answer
    to the caller, or to the address if there is no caller. If the limit refuses the charge, the answer becomes 429. A
    caller who is charged after the view becomes the request's user, so that the audit record names it.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self._get_response(request)
        if ADMISSION in request.META:
            return response
        if response.status_code == 401:
            return charge(request, None) or response
        # A 404 from a view (such as the admin's) is not charged: its path is known.
        is_unrouted = response.status_code == 404 and request.resolver_match is None
        if response.status_code in {406, 413} or is_unrouted:
            caller = _known_caller(request)
            if caller is not None:
                request.user = caller  # type: ignore[assignment]  # for the audit record
            return charge(request, caller) or response
        return response

    def process_view(self, request: HttpRequest, *_: Any) -> HttpResponse | None:
        """Charge a page; return the 429 if the limit refuses, else None."""
        match = request.resolver_match
        if match is None or ADMISSION in request.META:
            return None
        if not DJANGO_SITES.isdisjoint(match.namespaces):
            user = getattr(request, "user", None)
            is_free = user is not None and user.is_active and user.is_staff
        else:
            is_free = match.url_name not in _PAGE_VIEWS
        return None if is_free else charge(request, _known_caller(request))


def charge(request: HttpRequest, caller: Caller | None) -> HttpResponse | None:
    """Charge the caller, or the address if there is none; return the 429 if the limit refuses, else None."""
    admission = admit_call(request.META, caller, _PAGES)
    return None if admission.admitted else problem_of(LimitReached(admission)).answer(request)


def _known_caller(request: HttpRequest) -> Caller | None:
    """Return the caller by credential or session; None if there is none, or it is invalid or cannot be checked now."""
    call, now = call_in(request.META), timezone.now()
    # Verifying a signature would use up its nonce. Here the caller is only charged, and the address can be, instead.
    if {"signature", "signature-input"} & call.headers.keys():
        return None
    try:
        identity = identify(call, now=now)
        if identity is not None:
            return identity.caller
        user = getattr(request, "user", None)
        caller = None if user is None else caller_of_person(user, credential="session", now=now)
    except (CredentialError, NetworkNotAllowed, DatabaseError):
        return None
    return caller
