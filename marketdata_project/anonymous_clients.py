"""Clients without a known caller have a bucket by address: public pages, each 401 and unknown paths are charged to it."""

from collections.abc import Callable
from typing import Any

from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from http_requests.received import call_of
from marketdata_project.access_table import PUBLIC_VIEWS
from marketdata_project.problems import problem_of
from ratelimit.access.table import ANY_CALLER, Access
from ratelimit.callers import Caller
from ratelimit.credentials.identify import identify
from ratelimit.credentials.people.grants import caller_of_person
from ratelimit.exceptions import CredentialError, NetworkNotAllowed
from ratelimit.limits.costs import UNMETERED
from ratelimit.limits.services import admit_call
from ratelimit.limits.throttles import LimitReached
from ratelimit.wsgi_variables import ADMISSION

# Asked by whatever keeps the service running, or watches it.
_FREE_VIEWS = frozenset({"healthz", "readyz", "metrics"})
_PAGES = Access(ANY_CALLER, group="access", cost=UNMETERED)


class AnonymousClientMiddleware:
    """Charges for what nothing else was charged for: public pages beforehand, a 401, 404, 406 or 413 afterwards.

    A public page, an unknown path, a 406 or a 413 is charged to the caller, if there is one, otherwise to the
    address. Over the limit the answer is 429 instead. Whoever is charged after the answer is left as the
    request's user, as after every authentication.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self._get_response(request)
        if ADMISSION in request.META:
            return response
        if response.status_code == 401:
            return charged(request, None) or response
        # A view of Django's own sites that finds nothing is none of these.
        if response.status_code in {406, 413} or (
            response.status_code == 404 and request.resolver_match is None
        ):
            caller = _known_caller(request)
            if caller is not None:
                request.user = caller  # type: ignore[assignment]  # the audit record is of whom the call was charged to
            return charged(request, caller) or response
        return response

    def process_view(self, request: HttpRequest, *_: Any) -> HttpResponse | None:
        """429 for a public page over the limit."""
        match = request.resolver_match
        if match is None or match.url_name not in PUBLIC_VIEWS - _FREE_VIEWS or ADMISSION in request.META:
            return None
        return charged(request, _known_caller(request))


def charged(request: HttpRequest, caller: Caller | None) -> HttpResponse | None:
    """None once a caller or the address was charged; the 429 if that was refused."""
    admission = request.META[ADMISSION] = admit_call(call_of(request), caller, _PAGES)
    return None if admission.admitted else problem_of(LimitReached(admission)).response()


def _known_caller(request: HttpRequest) -> Caller | None:
    """Whose credential or session it is; None where it is not good, or cannot be looked up now."""
    call, now = call_of(request), timezone.now()
    # A signature is of one call: its nonce is not used up for a page that needs none.
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
